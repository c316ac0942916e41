# Shows that what is written while a preempted task is inside a hook is captured all the same, once: four containers flood while
# logtap, at real-time priority, takes the processor from them whenever it is woken. Where the kernel does not preempt itself, no
# hook has a rescue.
# needs: logtap tools
# timeout: 180
# kernel: 6.18

FLOODS="flood1 flood2 flood3 flood4"
PIN=/sys/fs/bpf/logtap

guest()
{
	local name

	mkdir -p /run/e2e/truth
	mount -t debugfs none /sys/kernel/debug
	cat >/run/preempted.yaml <<-END
		capture: {shards: 1, ring_size: 16MiB}
	END
	logtap_start logtap /run/preempted.yaml
	chrt --all-tasks --fifo --pid 1 "${LOGTAP_PIDS[logtap]}"
	# "none voluntary (full)", say: what is in brackets holds.
	if grep -E '\((full|lazy)\)' /sys/kernel/debug/sched/preempt; then
		[ -e "$PIN/link-anon_pipe_write_rescue" ] || fail "the kernel preempts itself, and no write has a rescue"
	else
		[ "$(find "$PIN" -name '*_rescue')" = "" ] || fail "the kernel does not preempt itself, but writes have a rescue"
	fi
	for name in $FLOODS; do
		bundle -m "$TOOLS:/mnt" -m /run/e2e/truth:/tmp "$name" sh -c "
			until [ -e /tmp/go ]; do usleep 20000; done
			/mnt/writes - /tmp/$name lines:5000"
		container_start "$name"
	done
	: >/run/e2e/truth/go
	for name in $FLOODS; do
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
floods = [f"flood{n}" for n in range(1, 5)]
missed = told["hooks_missed_writes"]
missing = 0
_, said = lost(logs.pop(NODE, []), "hooks_missed")
expect_only(logs, [f"{name}/stdout" for name in floods])
expect_ids_unique(logs)
for name in floods:
    records = logs[f"{name}/stdout"]
    expect(f"{name}: told as lost", lost(records), (0, 0))
    truth = open(f"{OUT}/truth/{name}", "rb").read().splitlines()
    seen = [r["message"].encode() for r in records]
    expect(f"{name}: lines that come twice", len(seen) - len(set(seen)), 0)
    expect(f"{name}: lines that nobody wrote", set(seen) - set(truth), set())
    missing += len(truth) - len(seen)
if missing > said:
    fail(f"{missing} writes are missing, but only {said} are told")
open(f"{OUT}/summary", "w").write(
    f"{missing} of 20000 writes missing, at most {missed} counted, {said} told, {told['hooks_rescued_writes']} rescued\n")
END
}
