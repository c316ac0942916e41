"""check.py DIR LOGLINES MINUTES <MESSAGES: the fault run's proof, from what a consumer got: lines of PARTITION TIMESTAMP RECORD.

DIR has what was written (expected), done (schedule.*) and measured (samples). Each stream with one writer is verified byte by byte
against what LOGLINES makes again, gaps in their places; streams of `lines` mode line by line, and their gaps by the sum.
Prints one line of figures; what is wrong is on stderr, the first of it first. Exit status 1 when anything is.
"""
import bisect
import collections
import json
import re
import subprocess
import sys

from exactly_once import ExactlyOnce
from records import shown, written

HEAD = re.compile(rb"(\S+) (\d+) \d+ ")
PROBLEMS_TOLD = 30
PROBLEMS_EACH = 3   # of one stream
STREAMS_MIN = 20
# Of what agents took. The configuration gives 8 MiB to half lines, 8 to the journal (beside it lies the checkpoint, with half
# lines' texts and a block for each stream) and 32 to its disk; the rest is librdkafka's, libbpf's while it loads, and the program's.
LIMITS = {"KiB of memory": 48 << 10, "descriptors": 160, "KiB of journal": 20 << 10, "KiB of journal on disk": 34 << 10}
NAMES = {"name": ("container", "name"), "pod": ("kubernetes", "pod_name"), "namespace": ("kubernetes", "pod_namespace"),
         "uid": ("kubernetes", "pod_uid")}

# How long a record may have been under way when the broker failed.
UNDER_WAY_MS = 30000
OUT, LOGLINES, MINUTES = sys.argv[1], sys.argv[2], float(sys.argv[3])
problems = []


def problem(text):
    problems.append(text)


class Truth:
    """What one writer wrote, from its first byte on."""

    def __init__(self, writer):
        options = [LOGLINES, "--fd", "1", "--report", "/dev/null"]
        for name in ("writer", "seed", "lines", "sizes"):
            options += ["--" + name, writer[name]]
        if "binary" in writer:
            options.append("--binary")
        self.process = subprocess.Popen(options, stdout=subprocess.PIPE, bufsize=1 << 18)
        self.held = b""
        self.line = 0   # that the next byte is of
        self.whole = True   # its first

    def take(self, length):
        """The next bytes, fewer at the end."""
        taken, self.held = self.held[:length], self.held[length:]
        if len(taken) < length:
            taken += self.process.stdout.read(length - len(taken))
        self.line += taken.count(b"\n")
        self.whole = taken.endswith(b"\n") if taken else self.whole
        return taken

    def untake(self, taken):
        self.held = taken + self.held
        self.line -= taken.count(b"\n")

    def skip_to(self, line):
        """Returns the bytes skipped."""
        skipped = len(self.held)
        self.line += self.held.count(b"\n")
        self.held = b""
        while self.line < line:
            rest = self.process.stdout.readline()
            if not rest:
                break
            skipped += len(rest)
            self.line += 1
        return skipped

    def rest(self):
        rest = self.held + self.process.stdout.read()
        self.process.wait()
        return rest


class Stream:
    """Records of one log, in the consumer's order, without duplicates."""

    def __init__(self, name, writer):
        self.name = name
        self.writers = {writer["writer"]: writer}
        self.expected = writer
        self.delivered = self.lost = self.gaps = self.records = self.missing = self.problems = self.unnamed = 0

    def problem(self, text):
        self.problems += 1
        if self.problems <= PROBLEMS_EACH:
            problem(f"{self.name}: {text}")

    def names(self, record):
        """Who wrote it is said in every record. Of a container that is gone the names may be gone too."""
        for name, (section, field) in NAMES.items() if self.expected["kind"] != "brief" else ():
            said, wanted = record.get(section, {}).get(field), self.expected.get(name)
            if said != wanted:
                self.problem(f"{section}.{field} is {said}, not {wanted}")
        if "lost" not in record and record["process"].get("name") != "loglines":
            self.problem(f"record {record['id']}: the process is {record['process']}")

    def add(self, record):
        self.records += 1
        self.names(record)
        if "lost" in record:
            self.gaps += 1
            self.lost += record["lost"]["bytes"]
            self.gap(record["lost"]["bytes"])
            return
        got = written(record)
        self.delivered += len(got)
        self.piece(record, got)

    def end(self):
        total = sum(int(writer["bytes"]) for writer in self.writers.values())
        if total != self.delivered + self.lost:
            self.problem(f"{total} bytes written, but {self.delivered} delivered and {self.lost} told as lost")


class Exact(Stream):
    """One writer: byte after byte."""

    def __init__(self, name, writer):
        super().__init__(name, writer)
        self.truth = Truth(writer)
        self.partial = None   # of the record before
        self.after_gap = False

    def gap(self, length):
        if len(self.truth.take(length)) != length:
            self.problem(f"a gap of {length} bytes tells more than was written")
        self.partial, self.after_gap = None, True

    def piece(self, record, got):
        """A line may be cut by a gap, and by nothing else."""
        partial = record.get("partial")
        if self.partial == "lost" or (partial == "start" and not self.after_gap) or partial not in (None, "start", "lost"):
            self.problem(f"line {self.truth.line} is marked {partial}, after {self.partial or 'a whole one'}: {shown(got)}")
        self.partial, self.after_gap = partial, False
        wanted = self.truth.take(len(got))
        if got != wanted:
            self.differs(got, wanted)

    def differs(self, got, wanted):
        """Goes on behind it where the next line is known, so that all that is missing is counted."""
        self.truth.untake(wanted)
        head = HEAD.match(got)
        line = self.truth.line
        if not head or head[1].decode() not in self.writers:
            self.problem(f"at line {line}: {shown(got)}, not {shown(wanted)}")
        elif int(head[2]) < line:
            self.problem(f"line {int(head[2])} comes again or out of order, behind line {line - 1}")
        else:
            missing = self.truth.skip_to(int(head[2]))
            self.missing += int(head[2]) - line
            if missing:
                self.problem(f"{missing} bytes are missing from line {line} to line {int(head[2])}")
            if self.truth.take(len(got)) != got:
                self.problem(f"line {int(head[2])} is torn: {shown(got)}")

    def end(self):
        super().end()
        line = self.truth.line
        rest = self.truth.rest()
        if rest:
            self.missing += rest.count(b"\n")
            self.problem(f"the last lines are missing, from {line} on, {len(rest)} bytes")


class Lines(Stream):
    """Two writers, or files that were rotated: each line, and their order. A file's is kept within what its shard captured."""

    def __init__(self, name, writer):
        super().__init__(name, writer)
        self.truths = {}
        self.last = {}
        self.may_be_torn = 0

    def gap(self, length):
        """It may have begun or ended within a line of each writer, which is then torn; only one of them can be marked."""
        self.may_be_torn += 2 * len(self.writers)

    def lines_of(self, writer):
        if writer not in self.truths:
            text = Truth(self.writers[writer]).rest()
            self.truths[writer] = [text.split(b"\n")[:-1], set(), text]
        return self.truths[writer][:2]

    def torn(self, got):
        """True for the end of a line whose beginning a gap took."""
        self.may_be_torn -= 1
        return self.may_be_torn >= 0 and any(got in text for *_, text in self.truths.values())

    def piece(self, record, got):
        if record.get("partial"):
            if not self.gaps and record["partial"] != "lost":
                self.problem(f"a line is marked {record['partial']}: {shown(got)}")
            return
        for writer in self.writers:
            self.lines_of(writer)
        head = HEAD.match(got)
        writer, number = (head[1].decode(), int(head[2])) if head else (None, 0)
        lines, seen = self.lines_of(writer) if writer in self.writers else ([], set())
        if (number >= len(lines) or lines[number] != got[:-1]) and self.torn(got):
            return
        if writer not in self.writers:
            self.problem(f"no writer's line: {shown(got)}")
            return
        way = (writer, record["id"].split(".")[2] if self.expected["kind"] == "file" else None)
        if number >= len(lines) or lines[number] != got[:-1]:
            self.problem(f"line {number} of {writer} is torn: {shown(got)}")
        if number in seen:
            self.problem(f"line {number} of {writer} comes again")
        elif number <= self.last.get(way, -1):
            self.problem(f"line {number} of {writer} comes behind {self.last[way]}")
        seen.add(number)
        self.last[way] = number

    def end(self):
        super().end()
        for writer in self.writers:
            lines, seen = self.lines_of(writer)
            missing = [number for number in range(len(lines)) if number not in seen]
            self.missing += 0 if self.lost else len(missing)
            if missing and not self.lost:
                self.problem(f"{len(missing)} lines of {writer} are missing, the first is {missing[0]}")


def key_of(record):
    if "source_type" not in record:
        return "the node"
    if record["source_type"] == "file":
        return record["file"]
    return f"{record['container']['id']}/{record['stream']}"


def read_expected():
    streams = {}
    for line in open(f"{OUT}/expected"):
        writer = dict(word.split("=", 1) for word in line.split())
        key = writer.get("file") or f"{writer['id']}/{writer['stream']}"
        if key in streams:
            streams[key].writers[writer["writer"]] = writer
        else:
            streams[key] = {"exact": Exact, "lines": Lines}[writer["mode"]](writer.get("name", "") + " " + key, writer)
    return streams


class Schedule:
    """What was done, and which agent ran when."""

    def __init__(self):
        self.faults = collections.Counter()
        self.starts, self.causes, self.times, self.reloads, self.broker = [], [], {}, [], []
        for place in ("guest", "host"):
            for line in open(f"{OUT}/schedule.{place}"):
                time, kind, *rest = line.split()
                if kind.endswith("_broker"):
                    self.broker.append([float(time) * 1000, float("inf"), kind])
                if kind == "over" and rest[0].endswith("_broker"):
                    self.broker[-1][1] = float(time) * 1000
                if kind == "reload_agent":
                    self.reloads.append((float(time) * 1000, float("inf")))
                if kind == "agent":
                    self.starts.append(float(time) * 1000)
                    self.causes.append(rest[-1])
                    if rest[-1] == "reload_agent":
                        self.reloads[-1] = (self.reloads[-1][0], self.starts[-1])
                elif place == "guest" and kind in ("begin", "end"):
                    self.times[kind] = float(time)
                elif kind not in ("begin", "over"):
                    self.faults[kind if kind != "refused" else f"refused {rest[0]}"] += 1

    def agent_at(self, ms):
        return bisect.bisect(self.starts, ms) - 1

    def cause(self, first_ms, second_ms):
        """Why a record came twice: the fault before the agent that sent the second copy. One that reloads has two sinks in turn,
        and a sink whose broker fails may take a new client, which sends again what was under way."""
        agent = self.agent_at(second_ms)
        if self.agent_at(first_ms) != agent:
            return self.causes[agent]
        if any(begin <= first_ms and second_ms <= end for begin, end in self.reloads):
            return "reload_agent"
        near = [kind for begin, end, kind in self.broker if begin <= second_ms and first_ms - UNDER_WAY_MS <= end]
        return near[-1] if near else "none"

    def minutes(self):
        return (self.times["end"] - self.times["begin"]) / 60


def read_messages(streams, schedule):
    """Returns the duplicates by cause: the fault before the agent that sent the second one."""
    once, causes = ExactlyOnce(), collections.Counter()
    unknown = collections.Counter()
    for line in sys.stdin.buffer:
        _, time, value = line.split(b" ", 2)
        record = json.loads(value)
        try:
            known = once.take(record["id"], value, int(time))
        except ValueError as error:
            problem(f"{error}; one is {shown(value)}")
            continue
        if known:
            causes[schedule.cause(known[1], int(time))] += 1
        elif key_of(record) in streams:
            streams[key_of(record)].add(record)
        else:
            unknown[key_of(record)] += 1
    for key, count in unknown.items():
        problem(f"{key}: {count} records of a log that nobody wrote")
    return causes


def samples():
    """The most of: KiB of memory, descriptors, KiB of journal and of disk."""
    rows = [list(map(int, line.split()[2:])) for line in open(f"{OUT}/samples")]
    return [max(column) for column in zip(*rows)]


def counted(counter):
    return ", ".join(f"{kind} {count}" for kind, count in sorted(counter.items())) or "none"


def main():
    streams, schedule = read_expected(), Schedule()
    causes = read_messages(streams, schedule)
    for stream in streams.values():
        stream.end()
    all = streams.values()
    brief = sum(stream.expected["kind"] == "brief" for stream in all)
    if len(all) - brief < STREAMS_MIN:
        problem(f"{len(all) - brief} streams are too few")
    if schedule.minutes() < MINUTES:
        problem(f"it took {schedule.minutes():.2f} minutes, not {MINUTES}")
    if causes["none"]:
        problem(f"{causes['none']} records came twice although the agent that sent them lived")
    most = samples()
    for name, actual, limit in zip(LIMITS, most, LIMITS.values()):
        if actual > limit:
            problem(f"{name}: at most {actual}, not within {limit}")
    rss, fds, journal, disk = most
    print(f"{schedule.minutes():.1f} minutes, {len(all) - brief} streams and {brief} brief ones,",
          f"{sum(stream.records - stream.gaps for stream in all)} lines, {sum(stream.missing for stream in all)} missing;",
          f"gaps: {sum(stream.gaps for stream in all)} of {sum(stream.lost for stream in all)} bytes in",
          f"{sum(stream.gaps > 0 for stream in all)} streams; duplicates: {counted(causes)}; faults: {counted(schedule.faults)};",
          f"at most {rss / 1024:.0f} MiB of memory, {fds} descriptors, {journal / 1024:.0f} MiB of journal, {disk / 1024:.0f} MiB on disk")
    for text in problems[:PROBLEMS_TOLD]:
        print(text, file=sys.stderr)
    if len(problems) > PROBLEMS_TOLD:
        print(f"and {len(problems) - PROBLEMS_TOLD} more", file=sys.stderr)
    sys.exit(1 if problems else 0)


main()
