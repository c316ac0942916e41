# Shows that containers which write without end cost the quiet ones no line: while logtap does not get to run, the ring takes no
# more of a stream than its share, so that there is room for the others; what the loud ones lose is told to the byte.
# needs: logtap tools
# timeout: 300

LOUD="flood1 flood2 pieces forks"
QUIET="quiet1 quiet2 quiet3 quiet4"

# The floods write all the time that the quiet ones do, and many times what the ring takes.
start_loud()
{
	local name

	for name in flood1 flood2; do
		bundle -m "$TOOLS:/mnt" -m /run/e2e/truth:/tmp "$name" sh -c "
			until [ -e /tmp/go ]; do usleep 20000; done
			/mnt/writes - /tmp/$name lines:8000
			: >/tmp/$name.loud
			while [ ! -e /tmp/quiet ]; do /mnt/writes - /tmp/$name lines:100; usleep 200000; done"
	done
	# Writes larger than the ring.
	bundle -m "$TOOLS:/mnt" -m /run/e2e/truth:/tmp pieces sh -c "
		until [ -e /tmp/go ]; do usleep 20000; done
		/mnt/writes - /tmp/pieces write:1048576 write:1048576 write:1048576 lines:10; : >/tmp/pieces.loud"
	# A process for each line: they say who they are in records of their own.
	bundle -m /run/e2e/truth:/tmp forks sh -c "
		until [ -e /tmp/go ]; do usleep 20000; done
		n=0
		while [ \$n -lt 200 ]; do
			n=\$((n + 1)); (echo \$n); echo \$n >>/tmp/forks
		done
		: >/tmp/forks.loud"
	for name in $LOUD; do
		container_start "$name"
	done
}

# quiet NAME: fifty lines, before the flood, in it and after it.
quiet()
{
	bundle -m "$TOOLS:/mnt" -m /run/e2e/truth:/tmp "$1" sh -c "
		/mnt/writes - /tmp/$1 lines:50
		for flag in loud end; do
			until [ -e /tmp/\$flag ]; do usleep 20000; done
			/mnt/writes - /tmp/$1 lines:50
			: >/tmp/$1.\$flag
		done"
	container_start "$1"
}

# each FLAG NAME...: all of them have got there.
each()
{
	local name

	for name in "${@:2}"; do
		wait_for "$name to be $1" 100 test -e "/run/e2e/truth/$name.$1"
	done
}

guest()
{
	local name

	mkdir -p /run/e2e/truth
	cat >/run/share.yaml <<-END
		capture: {shards: 1, ring_size: 512KiB}
	END
	logtap_start logtap /run/share.yaml
	start_loud
	for name in $QUIET; do
		quiet "$name"
	done
	wait_for "the quiet lines" 30 sh -c "[ \$(grep -c '\"quiet' $OUT/logtap.out) = 200 ]"
	kill -STOP "${LOGTAP_PIDS[logtap]}"
	: >/run/e2e/truth/go
	# shellcheck disable=SC2086 # words
	each loud $LOUD
	: >/run/e2e/truth/loud
	# shellcheck disable=SC2086
	each loud $QUIET
	# One that begins only now.
	bundle -m "$TOOLS:/mnt" -m /run/e2e/truth:/tmp new /mnt/writes - /tmp/new lines:50
	container_run new
	: >/run/e2e/truth/quiet
	kill -CONT "${LOGTAP_PIDS[logtap]}"
	# Its lines are the ring's last: until they are read, the quiet ones' share holds what they wrote during the flood.
	wait_for "the ring to be read" 60 grep -q '"new"' "$OUT/logtap.out"
	: >/run/e2e/truth/end
	for name in $LOUD $QUIET; do
		container_wait "$name"
		container_delete "$name"
	done
	logtap_stop logtap
	cp -r /run/e2e/truth "$OUT/"
}

check()
{
	judge <<'END'
import sys
from records import *

OUT = sys.argv[1]
logs = load(f"{OUT}/logtap.out")
told = counters(f"{OUT}/logtap.err")
# Where the kernel skipped hooks, and the node's gaps say so, as many writes may be missing, and each is of one log.
inexact = 0
_, said = lost(logs.pop(NODE, []), "hooks_missed")
loud = ["flood1", "flood2", "pieces", "forks"]
quiet = [f"quiet{n}" for n in range(1, 5)] + ["new"]
expect_only(logs, [f"{name}/stdout" for name in loud + quiet])
for name in quiet + loud:
    records = logs[f"{name}/stdout"]
    truth = open(f"{OUT}/truth/{name}", "rb").read()
    short = len(truth) - len(delivered(records)) - lost(records)[0]
    if said and short > 0:
        print(f"{name}: {short} bytes of skipped writes")
        inexact += 1
    else:
        expect_truth(name, records, truth)
    print(name, len(records), lost(records))
    if name in quiet:
        expect(f"{name}: told as lost", lost(records), (0, 0))
    elif not lost(records)[0]:
        fail(f"{name}: nothing was lost: nothing is shown")
if inexact > said:
    fail(f"{inexact} logs lack bytes, but only {said} writes are told as missed")
gaps = [lost(records, "ring_full") for records in logs.values()]
expect("counted", (told["bytes_lost_ring_full"], told["writes_lost_ring_full"]), tuple(map(sum, zip(*gaps))))
END
}
