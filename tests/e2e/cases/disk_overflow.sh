# Shows that what nobody takes goes to disk and comes back: while logtap's output is not read the disk gets full, then read-only; then
# all is delivered, in order, nothing is missing. And what a power loss leaves: a copy of the disk's image, made while logtap runs and
# nothing was synced but by logtap, has every segment that logtap had given up its memory for.
# slow: minutes; the faults case shows the same in short
# needs: logtap tools
# timeout: 240
# pods: 2

. "$REPO/tests/e2e/lines.sh"
IMAGE=/run/e2e/disk.img
DISK=/run/e2e/disk
SHARD=$DISK/journal/shard-0

# A disk of 24 MiB.
make_disk()
{
	mkdir -p "$DISK" /run/e2e/loss
	truncate -s 24M "$IMAGE"
	mkfs.ext4 -q -J size=4 "$IMAGE"
	mount -o loop "$IMAGE" "$DISK"
	cat >/run/disk.yaml <<-END
		capture: {shards: 1}
		lines: {max_line: 4KiB}
		journal: {max_size: 6MiB, segment_size: 1MiB, disk: {directory: $DISK/journal}}
	END
}

# start_unread NAME: a logtap whose output waits in a pipe.
start_unread()
{
	mkfifo "/run/e2e/$1.fifo"
	sleep 1000 <"/run/e2e/$1.fifo" &
	UNREAD=$!
	env --default-signal=INT "$LOGTAP" run -c /run/disk.yaml </dev/null >"/run/e2e/$1.fifo" 2>"$OUT/$1.err" &
	LOGTAP_PIDS[$1]=$!
	wait_for "logtap to capture" 60 logtap_ready "$OUT/$1.err" $!
}

# write_until NUMBER NAME WHAT COMMAND...: a container writes until COMMAND succeeds.
write_until()
{
	pod_bundle "$1" /mnt/loglines --seed "$SEED" --writer "$2" --lines 1000000 --rate 2000 --sizes short --fd 1 \
		--until "/var/log/stop.$2" --report "/var/log/$2"
	container_start "$(pod_id "$1")"
	wait_for "$3" 90 "${@:4}"
	touch "$REPORTS/stop.$2"
	container_wait "$(pod_id "$1")"
	container_delete "$(pod_id "$1")"
}

# has_spilled COUNT
has_spilled()
{
	[ "$(find "$SHARD" -name 'seg-*' | wc -l)" -ge "$1" ]
}

disk_is_empty()
{
	! has_spilled 1
}

# has_delivered NAME: the journal is empty.
has_delivered()
{
	kill -USR1 "${LOGTAP_PIDS[$1]}"
	sleep 0.2
	[ "$(counter journal_records "$1")" = "$(counter sink_records_delivered "$1")" ]
}

full_then_read_only()
{
	start_unread overflow
	write_until 1 overflow "the disk to be full" grep -q "No space left" "$OUT/overflow.err"
	echo "on disk: $(find "$SHARD" -name 'seg-*' | wc -l) segments, $(df --output=pcent "$DISK" | tail -n 1) used"
	mount -o remount,ro "$DISK"
	cat /run/e2e/overflow.fifo >"$OUT/overflow.out" &
	wait_for "everything to be delivered" 60 has_delivered overflow
	mount -o remount,rw "$DISK"
	wait_for "the disk to be written again" 30 grep -q "writing works again" "$OUT/overflow.err"
	wait_for "the files on disk to go" 30 disk_is_empty
	kill "$UNREAD"
	logtap_stop overflow || fail "logtap's exit status is $?"
	expect_pod 1 stdout overflow sizes=short
	mv "$EXPECTED" "$EXPECTED.overflow"
}

power_loss()
{
	start_unread before
	write_until 2 before "segments on disk" has_spilled 6
	(cd "$SHARD" && sha256sum seg-*) >"$OUT/promised"
	# The loop device writes to the image what reaches the disk: nothing else was synced.
	cp "$IMAGE" /run/e2e/loss.img
	kill -KILL "${LOGTAP_PIDS[before]}"
	wait "${LOGTAP_PIDS[before]}" || true
	kill "$UNREAD"
	rm -rf /run/logtap
	umount "$DISK"
	mount -o loop /run/e2e/loss.img "$DISK"
	(cd "$SHARD" && sha256sum -c --quiet) <"$OUT/promised" || fail "a synced segment did not survive the power loss"
	logtap_start after /run/disk.yaml
	wait_for "what was on disk" 60 test -s "$OUT/after.out"
	wait_for "the files on disk to go" 60 disk_is_empty
	logtap_stop after || fail "logtap's exit status is $?"
	expect "bytes damaged by the power loss" "$(counter journal_damaged_bytes after)" 0
	echo "after the power loss: $(wc -l <"$OUT/promised") segments, $(wc -l <"$OUT/after.out") records"
}

guest()
{
	make_disk
	full_then_read_only
	power_loss
}

check()
{
	EXPECTED=$EXPECTED.overflow
	logcheck <"$OUT/overflow.out"
	judge <<'END'
import sys
from records import *

OUT = sys.argv[1]

# The segments that survived were written one after the other, each without a hole; those that were in memory alone lie between.
segments = len(open(f"{OUT}/promised").readlines())
logs = load(f"{OUT}/after.out")
expect_only(logs, ["c-2/stdout"])
expect_ids_unique(logs)
records = logs["c-2/stdout"]
expect("after the power loss: gaps", [record for record in records if "lost" in record], [])
numbers = [int(record["message"].split()[1]) for record in records]
expect("after the power loss: order", numbers, sorted(set(numbers)))
holes = sum(after != before + 1 for before, after in zip(numbers, numbers[1:]))
print(f"after the power loss: lines {numbers[0]} to {numbers[-1]}, {holes} holes, of {segments} segments or more")
if len(numbers) < 500 * segments or holes > segments:
    fail(f"after the power loss: {len(numbers)} lines with {holes} holes, of {segments} segments")
END
}
