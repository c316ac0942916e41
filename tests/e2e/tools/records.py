"""What checks of the end-to-end tests ask of the JSON lines that logtap printed.

A log is a file's path, or "NAME/stdout" and "NAME/stderr" of a container, NAME being the container's in its pod, else its ID;
NODE is what is said of none.
"""
import base64
import json
import os
import sys


NODE = ""


def fail(reason):
    sys.exit(reason)


def expect(what, actual, wanted):
    if actual == wanted:
        return
    if isinstance(actual, list) and isinstance(wanted, list):
        at = next((i for i, (a, b) in enumerate(zip(actual, wanted)) if a != b), min(len(actual), len(wanted)))
        what = f"{what}: {len(actual)} of {len(wanted)}, from {at} on"
        actual, wanted = actual[at:], wanted[at:]
    fail(f"{what}: {shown(actual)}, not {shown(wanted)}")


def shown(value):
    text = repr(value)
    return text if len(text) < 300 else text[:300] + "..."


def log_of(record):
    if "source_type" not in record:
        return NODE
    if record["source_type"] == "file":
        return record["file"]
    container = record["container"]
    return f'{container.get("name") or container["id"]}/{record["stream"]}'


def records_of(*paths):
    """In their order. A line that is no JSON object fails. What API=... adds is judged by unenriched.py."""
    for path in paths:
        with open(path, "rb") as lines:
            for line in lines:
                record = json.loads(line)
                if os.environ.get("API"):
                    record.get("kubernetes", {}).pop("enriched", None)
                yield record


def lines_of(records, container, name, streams):
    """A container's records as (stream, number in it, record): it has these streams alone, {stream: its messages}."""
    its = [record for record in records if record["container"]["id"] == container]
    expect(f"{name}: streams", sorted({record["stream"] for record in its}), sorted(streams))
    for stream, messages in streams.items():
        lines = [record for record in its if record["stream"] == stream]
        expect(f"{name}/{stream}", [record["message"] for record in lines], messages)
        for i, record in enumerate(lines):
            yield stream, i, record


def load(*paths):
    """Log -> its records in order."""
    logs = {}
    for record in records_of(*paths):
        logs.setdefault(log_of(record), []).append(record)
    return logs


def preset_of(record):
    return ("otel" if "resourceLogs" in record else "ecs" if "ecs" in record else
            "fluentbit" if "@timestamp" in record else "default")


def attributes(list_):
    found = {}
    for entry in list_:
        expect("an attribute twice", entry["key"] in found, False)
        [(kind, value)] = entry["value"].items()
        found[entry["key"]] = int(value) if kind == "intValue" else value
    return found


def flat(record, prefix=""):
    """The paths of a record's fields; of OTLP those of its resource, its log record and their attributes."""
    if "resourceLogs" in record:
        [resource] = record["resourceLogs"]
        [scope] = resource["scopeLogs"]
        [log] = scope["logRecords"]
        return {**{f"resource {name}": value for name, value in attributes(resource["resource"]["attributes"]).items()},
                **attributes(log["attributes"]), "body": log.get("body", {}).get("stringValue"),
                "timeUnixNano": log["timeUnixNano"], "observedTimeUnixNano": log["observedTimeUnixNano"]}
    found = {}
    for name, value in record.items():
        found.update(flat(value, prefix + name + ".") if isinstance(value, dict) else {prefix + name: value})
    return found


def message(record):
    if record.get("encoding") == "base64":
        return base64.b64decode(record["message"], validate=True)
    return record["message"].encode()


def written(record):
    """The bytes of the writes that the record stands for."""
    if "lost" in record:
        return b""
    return message(record) + (b"\n" if record.get("partial") in (None, "start") else b"")


def delivered(records):
    return b"".join(written(record) for record in records)


def lost(records, reason=None):
    """(bytes, writes) that the log's gap records tell."""
    gaps = [record["lost"] for record in records if "lost" in record]
    gaps = [gap for gap in gaps if reason in (None, gap["reason"])]
    return sum(gap["bytes"] for gap in gaps), sum(gap["writes"] for gap in gaps)


def expect_truth(what, records, truth):
    """Every byte in its order, and where bytes are told as lost, exactly those are missing."""
    at = 0
    for record in records:
        if "lost" in record:
            at += record["lost"]["bytes"]
            continue
        got = written(record)
        if got != truth[at:at + len(got)]:
            fail(f"{what}: at byte {at}: {shown(got)}, not {shown(truth[at:at + len(got)])}")
        at += len(got)
    expect(f"{what}: bytes delivered or told as lost", at, len(truth))


def expect_bytes(what, records, count):
    """As many bytes as were written are delivered or told as lost."""
    expect(f"{what}: bytes delivered or told as lost", len(delivered(records)) + lost(records)[0], count)


def expect_part(what, records, truth):
    """Of what logtap was there for only a part of: nothing is missing from the first delivered byte to the last."""
    expect(f"{what}: gaps", lost(records), (0, 0))
    if delivered(records) not in truth:
        fail(f"{what}: what was delivered, {shown(delivered(records))}, is no part of what was written")


def counters(path):
    """The last ones that logtap printed on stderr."""
    found = None
    with open(path, "rb") as lines:
        for line in lines:
            if line.startswith(b'{"counters"'):
                found = json.loads(line)["counters"]
    return found or fail(f"{path}: no counters")


def expect_only(logs, names):
    expect("logs", sorted(logs), sorted(names))


def expect_ids_unique(logs):
    ids = [record["id"] for records in logs.values() for record in records]
    expect("doubled line ids", len(ids) - len(set(ids)), 0)


def expect_no_loss(path):
    for name, value in counters(path).items():
        if "_lost" in name or name in ("gaps", "streams_unregistered", "sink_records_dropped"):
            expect(name, value, 0)
