#!/usr/bin/python3
"""exactly_once: makes each line come once, from records that logtap delivered at least once.

A record's `id` names the line for good: a record that comes again, because its delivery was under way when logtap or the broker died,
has the same id and is the same to the byte. So the first one with an id is taken, and others with it are dropped:
    seen = ExactlyOnce()
    for value in messages:
        if seen.first(value): ...
Where a line's place matters nothing else is needed: duplicates repeat what has come before, in its order, and the first copies are in order.
All ids are kept here. Duplicates are never further apart than what was under way (for Kafka in one partition,
as the key decides it): a consumer that lives long keeps the ids of so much, or lets its database have a unique index on `id`.

As a program it filters: kcat -C ... | exactly_once.py >lines
"""
import json
import sys


class ExactlyOnce:
    def __init__(self):
        self.seen = {}
        self.duplicates = 0

    def first(self, value, about=None):
        """True for the first record with its id; `about` is kept with it. An id that stands for other bytes is an error."""
        return self.take(json.loads(value)["id"], value, about) is None

    def take(self, id, value, about=None):
        """None for the first, else what it was about."""
        known = self.seen.get(id)
        if known is None:
            self.seen[id] = (hash(value), about)
            return None
        if known[0] != hash(value):
            raise ValueError(f"id {id} stands for two different records")
        self.duplicates += 1
        return known


if __name__ == "__main__":
    once = ExactlyOnce()
    for line in sys.stdin.buffer:
        if once.first(line):
            sys.stdout.buffer.write(line)
    print(f"{once.duplicates} duplicates removed", file=sys.stderr)
