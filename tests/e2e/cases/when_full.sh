# Shows what becomes of lines while the broker hangs and the journal is full. With drop_oldest, also with a disk and also when logtap
# gets SIGKILL while it drops, and with drop_newest: writers go on, and of each stream every byte is delivered or told as lost, at the
# place where it is missing, never both. With replay: interleaved, the backlog and fresh lines come in turns, and all of them come.
# needs: logtap tools kafka
# topics: oldest newest disk turns
# timeout: 400
# slow: four runs, six agents killed

STREAMS="a b c"
TRUTH=/run/e2e/truth

# begin RUN JOURNAL...: a logtap, with that section `journal`.
begin()
{
	cat >"/run/$1.yaml" <<-END
		capture: {shards: 1}
		lines: {max_line: 4KiB}
		journal: {segment_size: 1MiB, $2}
		sink: kafka
		kafka:
		  brokers: ['$KAFKA']
		  topic: $(topic "$1")
		  rdkafka: {queue.buffering.max.messages: 500}
	END
	logtap_start "$1.1" "/run/$1.yaml"
}

# container NAME COMMAND: a shell's, with the tool `writes`.
container()
{
	bundle -m "$TOOLS:/mnt" -m "$TRUTH:/tmp" "$1" sh -c "$2"
	container_start "$1"
}

# Each writes until it is told to stop.
begin_flood()
{
	local name

	for name in $STREAMS; do
		container "$1-$name" "until [ -e /tmp/stop.$1 ]; do /mnt/writes - /tmp/$1-$name lines:500; done"
	done
}

# They end while nothing is taken from logtap: none of them is held up.
end_flood()
{
	local name

	touch "$TRUTH/stop.$1"
	for name in $STREAMS; do
		ended "$1-$name"
	done
}

ended()
{
	container_wait "$1"
	container_delete "$1"
}

# broker_is RUN paused|resumed
broker_is()
{
	flag "$1.$2.wanted"
	wait_flag "$1.$2"
}

# counts LOG COUNTER LEAST
counts()
{
	local value

	kill -USR1 "${LOGTAP_PIDS[$1]}"
	value=$(grep -o "\"$2\":[0-9]*" "$OUT/$1.err" | tail -n 1 | cut -d: -f2)
	[ "${value:-0}" -ge "$3" ]
}

# kill_while_dropping RUN: three times, each time the next logtap goes on.
kill_while_dropping()
{
	local i log

	for i in 1 2 3; do
		log=$1.$i
		wait_for "lines to be dropped" 60 counts "$log" journal_dropped_lines $((i * 3000))
		kill -KILL "${LOGTAP_PIDS[$log]}"
		wait "${LOGTAP_PIDS[$log]}" || true
		logtap_start "$1.$((i + 1))" "/run/$1.yaml"
	done
	wait_for "lines to be dropped" 60 counts "$1.4" journal_dropped_lines 3000
}

# end RUN LOG: all that is left comes.
end()
{
	broker_is "$1" resumed
	container "$1-after" "/mnt/writes - /tmp/$1-after lines:100"
	ended "$1-after"
	wait_for "the streams to be closed" 60 counts "$2" streams_closed 2
	logtap_stop "$2" || fail "logtap's exit status is $?"
}

guest()
{
	mkdir -p "$TRUTH" /run/e2e/disk
	# Two segments may both be on their way to the sink: then nothing may be dropped.
	begin oldest "max_size: 3MiB, when_full: drop_oldest"
	begin_flood oldest
	wait_for "records" 60 counts oldest.1 sink_records_delivered 100
	broker_is oldest paused
	kill_while_dropping oldest
	end_flood oldest
	end oldest oldest.4

	begin disk "max_size: 4MiB, when_full: drop_oldest,
	            disk: {directory: /run/e2e/disk, max_size: 16MiB, max_age: 3s, fsync: none}"
	begin_flood disk
	wait_for "records" 60 counts disk.1 sink_records_delivered 100
	broker_is disk paused
	kill_while_dropping disk
	end_flood disk
	end disk disk.4

	begin newest "max_size: 2MiB, when_full: drop_newest"
	begin_flood newest
	wait_for "records" 60 counts newest.1 sink_records_delivered 100
	broker_is newest paused
	wait_for "lines to be dropped" 60 counts newest.1 lines_lost_journal_full 10000
	end_flood newest
	end newest newest.1

	begin turns "max_size: 64MiB, replay: interleaved"
	broker_is turns paused
	container turns-a "/mnt/writes - /tmp/turns-a lines:20000"
	ended turns-a
	container turns-b "/mnt/writes - /tmp/turns-b lines:300"
	ended turns-b
	end turns turns.1
	rm -f "$TRUTH"/stop.*
	cp -r "$TRUTH" "$OUT/"
}

# answer RUN: the broker's side.
answer()
{
	wait_flag "$1.paused.wanted" 240
	broker pause
	flag "$1.paused"
	wait_flag "$1.resumed.wanted" 240
	broker resume
	flag "$1.resumed"
}

host()
{
	local run

	for run in oldest disk newest turns; do
		answer "$run"
	done
}

check()
{
	local run

	for run in oldest disk newest turns; do
		consume "$run" >"$OUT/$run.out"
	done
	judge <<'END'
import glob
import json
import sys
from records import *

OUT = sys.argv[1]


def truth(name):
    return open(f"{OUT}/truth/{name}", "rb").read()


def once(path):
    """The records in their order, each where it came first, and how many came again."""
    seen = {}
    copies = 0
    for line in open(path, "rb"):
        record = json.loads(line)
        copies += record["id"] in seen
        if seen.setdefault(record["id"], record) != record:
            fail(f"{path}: {record['id']} came twice and is not the same")
    return list(seen.values()), copies


def by_log(records):
    logs = {}
    for record in records:
        logs.setdefault(log_of(record), []).append(record)
    return logs


def writes_lost(run):
    """In full rings, by all agents."""
    return sum(counters(path)["writes_lost_ring_full"] for path in glob.glob(f"{OUT}/{run}.*.err") if b'{"counters"' in open(path, "rb").read())


def expect_all(run, logs):
    """Every byte and every line, each gap in its place. Returns the lines told as lost, by reason."""
    told = {}
    expect(f"{run}: logs", sorted(logs), sorted(f"{run}-{name}/stdout" for name in names[run]))
    for name in names[run]:
        records, written = logs[f"{run}-{name}/stdout"], truth(f"{run}-{name}")
        expect_truth(f"{run}: {name}", records, written)
        lines = 0
        for record in records:
            gap = record.get("lost")
            count = gap.get("lines", gap.get("writes")) if gap else 1
            if gap:
                told[gap["reason"]] = told.get(gap["reason"], 0) + count
            lines += count
        # A write is a line here. Of a gap of writes that is dropped in its turn the bytes are told, not how many they were.
        expect(f"{run}: {name}: lines", lines + max(0, min(written.count(b"\n") - lines, writes_lost(run))), written.count(b"\n"))
    expect(f"{run}: lost after there was room", any("lost" in record for record in logs.get(f"{run}-after/stdout", [])), False)
    return told


names = {run: ["a", "b", "c", "after"] for run in ("oldest", "disk", "newest")}
names["turns"] = ["a", "b", "after"]
for run, reasons in (("oldest", ["journal_full"]), ("disk", ["journal_full", "expired"]), ("newest", ["journal_full"])):
    records, copies = once(f"{OUT}/{run}.out")
    told = expect_all(run, by_log(records))
    print(f"{run}: {len(records)} records, {copies} came again; lines told as lost: {told}")
    for reason in reasons:
        if not told.get(reason):
            fail(f"{run}: nothing is told as {reason}: nothing is shown")
    if run == "newest":
        expect("newest: records that came twice", copies, 0)

records, copies = once(f"{OUT}/turns.out")
expect("turns: records that came twice", copies, 0)


def place(record):
    return [int(part, 16) for part in record["id"].split(".")[-2:]]


logs = {log: sorted(found, key=place) for log, found in by_log(records).items()}
expect("turns: lines told as lost", expect_all("turns", logs), {})
of_b = [log_of(record) == "turns-b/stdout" for record in records]
last_a = max(i for i, record in enumerate(records) if log_of(record) == "turns-a/stdout")
fresh = [i for i in range(last_a) if of_b[i]]
print(f"turns: {len(records)} records; {len(fresh)} of b's 300 came before the backlog of a ended, at {last_a}: {fresh[:1]} to {fresh[-1:]}")
if not fresh or last_a - fresh[-1] < 3000:
    fail("turns: what was fresh came behind the backlog")
steps = {after - before for before, after in zip(fresh, fresh[1:])}
expect("turns: places from one fresh line to the next", steps, {2})
END
}
