# Shows that nothing is lost in silence: when a ring is full because logtap does not get to run, when the journal is full because
# nobody reads logtap's output, every byte of every stream is delivered or told as lost, at the place where it is missing; and
# that streams which found no room are counted and captured once there is room.
# needs: logtap tools
# timeout: 150

LINES=20000
STREAMS="a b c"

# flood NAME LINES: a container of that name prints as fast as it can.
flood()
{
	bundle -m "$TOOLS:/mnt" -m /run/e2e/truth:/tmp "$1" /mnt/writes - "/tmp/$1" "lines:$2"
	container_start "$1"
}

ended()
{
	local name

	for name; do
		container_wait "$name"
		container_delete "$name"
	done
}

# A stopped agent: its ring takes 64 KiB and is full.
full_ring()
{
	local name

	cat >/run/ring.yaml <<-END
		capture: {shards: 1, ring_size: 64KiB}
	END
	bundle -m "$TOOLS:/mnt" -m /run/e2e/truth:/tmp before \
		sh -c "/mnt/writes - /tmp/before lines:100; : >/tmp/go; until [ -e /tmp/on ]; do usleep 50000; done
		       /mnt/writes - /tmp/before lines:$LINES; : >/tmp/gone; until [ -e /tmp/end ]; do usleep 50000; done
		       /mnt/writes - /tmp/before lines:100"
	logtap_start ring /run/ring.yaml
	container_start before
	wait_for "the container's first lines" 30 test -e /run/e2e/truth/go
	kill -STOP "${LOGTAP_PIDS[ring]}"
	: >/run/e2e/truth/on
	for name in $STREAMS; do
		flood "$name" "$LINES"
	done
	wait_for "the flood" 60 test -e /run/e2e/truth/gone
	# shellcheck disable=SC2086 # words
	ended $STREAMS
	kill -CONT "${LOGTAP_PIDS[ring]}"
	for name in before $STREAMS; do
		wait_for "the loss of $name to be told" 30 grep -q "\"id\":\"$name\".*ring_full" "$OUT/ring.out"
	done
	: >/run/e2e/truth/end
	ended before
	logtap_stop ring
}

# has_closed NAME COUNT: so many streams are over.
has_closed()
{
	kill -USR1 "${LOGTAP_PIDS[$1]}"
	grep -q "\"streams_closed\":$2," "$OUT/$1.err"
}

# The output of logtap is a pipe that nobody reads for now: the journal fills, then the ring.
full_journal()
{
	local pid

	cat >/run/journal.yaml <<-END
		capture: {shards: 1, ring_size: 64KiB}
		lines: {max_line: 4KiB}
		journal: {max_size: 2MiB, segment_size: 1MiB}
	END
	mkfifo /run/e2e/output
	sleep 1000 </run/e2e/output &
	pid=$!
	env --default-signal=INT "$LOGTAP" run -c /run/journal.yaml </dev/null >/run/e2e/output 2>"$OUT/journal.err" &
	LOGTAP_PIDS[journal]=$!
	wait_for "logtap to capture" 60 logtap_ready "$OUT/journal.err" $!
	flood stuck "$LINES"
	ended stuck
	cat /run/e2e/output >"$OUT/journal.out" &
	wait_for "logtap's output" 30 test -s "$OUT/journal.out"
	kill "$pid"
	wait_for "the loss to be told" 30 grep -q ring_full "$OUT/journal.out"
	wait_for "the streams to be closed" 30 has_closed journal 2
	flood again 100
	ended again
	logtap_stop journal
	wait
}

# Sixteen slots and twenty files; the census looks again every ten seconds.
full_slots()
{
	local i fds=()

	mkdir -p /run/e2e/slots
	cat >/run/slots.yaml <<-END
		capture: {containers: false, max_streams: 16, files: [/run/e2e/slots/*.log]}
	END
	logtap_start slots /run/slots.yaml
	for i in {1..20}; do
		exec {fds[i]}>"/run/e2e/slots/$i.log"
		echo "early $i" >&"${fds[i]}"
	done
	for i in {1..8}; do
		exec {fds[i]}>&-
	done
	until_captured
	for i in {9..20}; do
		echo "late $i" >&"${fds[i]}"
		exec {fds[i]}>&-
	done
	logtap_stop slots
	cp -r /run/e2e/slots "$OUT/"
}

# Each try is a line in each file; those of the census start in the middle.
until_captured()
{
	local end=$((SECONDS + 240)) i

	while [ "$(grep -o '"file":"[^"]*"' "$OUT/slots.out" | sort -u | wc -l)" -lt 20 ]; do
		[ $SECONDS -lt $end ] || fail "not all files are captured after there was room"
		for i in {9..20}; do
			echo "try $i" >&"${fds[i]}"
		done
		sleep 0.5
	done
}

guest()
{
	mkdir -p /run/e2e/truth
	full_ring
	full_journal
	full_slots
	cp -r /run/e2e/truth "$OUT/"
}

check()
{
	judge <<'END'
import sys
from records import *

OUT = sys.argv[1]


def truth(name):
    return open(f"{OUT}/truth/{name}", "rb").read()


def expect_truths(case, names):
    logs = load(f"{OUT}/{case}.out")
    expect_only(logs, [f"{name}/stdout" for name in names])
    expect_ids_unique(logs)
    for name in names:
        expect_truth(f"{case}: {name}", logs[f"{name}/stdout"], truth(name))
    told = counters(f"{OUT}/{case}.err")
    gaps = [lost(records, "ring_full") for records in logs.values()]
    expect(f"{case}: counted", (told["bytes_lost_ring_full"], told["writes_lost_ring_full"]), tuple(map(sum, zip(*gaps))))
    expect(f"{case}: gaps of other reasons", told["bytes_lost_fault"] + told["bytes_lost_unsupported"], 0)
    print(case, {name: (len(truth(name)), lost(logs[f"{name}/stdout"])) for name in names})
    return logs


logs = expect_truths("ring", ["a", "b", "before", "c"])
for name in ("before", "a", "b", "c"):
    if not lost(logs[f"{name}/stdout"])[0]:
        fail(f"ring: {name}: nothing was lost: nothing is shown")
# What came after the gap follows it.
where = [i for i, record in enumerate(logs["before/stdout"]) if "lost" in record]
if where[0] < 100 or len(logs["before/stdout"]) - where[-1] <= 100:
    fail(f"ring: the gap is not between what came before it and after it: {where}")

logs = expect_truths("journal", ["again", "stuck"])
expect("journal: lost after there was room", lost(logs["again/stdout"]), (0, 0))
if not lost(logs["stuck/stdout"])[0]:
    fail("journal: nothing was lost: nothing is shown")
if not counters(f"{OUT}/journal.err")["journal_full"]:
    fail("journal: it was never full")

logs = load(f"{OUT}/slots.out")
expect("slots: files", len(logs), 20)
if counters(f"{OUT}/slots.err")["streams_unregistered"] < 4:
    fail("slots: fewer streams are counted than found no room")
early = [name for name, records in logs.items() if records[0]["message"].startswith("early")]
expect("slots: captured from the first line", len(early), 16)
for name, records in logs.items():
    number = name.split("/")[-1].split(".")[0]
    written = open(f"{OUT}/slots/{number}.log", "rb").read()
    expect_truth(f"slots: {number}", records, written if name in early else written[-len(delivered(records)):])
    wanted = ["late " + number] if int(number) > 8 else ["early " + number]
    expect(f"slots: last line of {number}", [records[-1]["message"]], wanted)
    expect(f"slots: partial of {number}", records[0].get("partial"), None if name in early else "start")
END
}
