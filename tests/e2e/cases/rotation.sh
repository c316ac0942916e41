# Shows what hurts tailers and does not hurt here: a log is renamed, truncated, copied and truncated, deleted and made again 240
# times while it is written at more than 5,000 lines a second, on ext4, which gives a deleted file's inode number to the next, and on tmpfs.
# Files of other names get the numbers of the log's old files: what is written to them is nobody's line. Order holds across all of it,
# with two shards too.
# needs: logtap tools
# timeout: 150

TURNS=120
RATE=6000
LOGS=/run/e2e/logs

rotate()
{
	local log=$LOGS/$1/app.log logger status=0

	"$TOOLS/logger" "$log" "$RATE" "$OUT/$1.logger" &
	logger=$!
	"$TOOLS/rotator" "$log" "$TURNS" "$OUT/$1.rotator" || status=$?
	kill "$logger"
	wait "$logger"
	return "$status"
}

guest()
{
	local ext4

	mkdir -p "$LOGS/ext4" "$LOGS/tmpfs"
	truncate -s 64M /run/e2e/ext4.img
	mkfs.ext4 -q /run/e2e/ext4.img
	mount -o loop /run/e2e/ext4.img "$LOGS/ext4"
	cat >/run/rotation.yaml <<-END
		capture:
		  containers: false
	  shards: 2
		  files: [$LOGS/*/app.log]
	END
	logtap_start logtap /run/rotation.yaml
	rotate ext4 &
	ext4=$!
	rotate tmpfs
	wait "$ext4"
	logtap_stop logtap
}

check()
{
	judge <<'END'
import sys
from records import *

OUT = sys.argv[1]
TURNS = 120


def line(number):
    """As logger writes it."""
    return b"%08d the quick brown fox jumps over the lazy %s\n" % (number, (14 * b"dog")[:number % 40])


logs = load(f"{OUT}/logtap.out")
expect_only(logs, ["/run/e2e/logs/ext4/app.log", "/run/e2e/logs/tmpfs/app.log"])
expect_ids_unique(logs)
expect_no_loss(f"{OUT}/logtap.err")
for fs in ("ext4", "tmpfs"):
    logger = [line.split() for line in open(f"{OUT}/{fs}.logger")]
    rotator = {key: int(value) for key, value in (line.split() for line in open(f"{OUT}/{fs}.rotator"))}
    lines = int(next(value for key, value in logger if key == "lines"))
    inodes = [value for key, value in logger if key == "inode"]
    seconds = int(next(value for key, value in logger if key == "milliseconds")) / 1000
    print(f"{fs}: {lines} lines, {lines / seconds:.0f} a second; {len(inodes)} files, {len(set(inodes))} inode numbers;",
          rotator)
    expect(f"{fs}: turns", rotator["turns"], TURNS)
    # Opened anew for each rename and deletion.
    expect(f"{fs}: files", len(inodes), 1 + rotator["renamed"] + rotator["deleted"])
    expect(f"{fs}: lines of other files",
           [record["message"] for record in logs[f"/run/e2e/logs/{fs}/app.log"] if not record["message"][:8].isdigit()], [])
    records = logs[f"/run/e2e/logs/{fs}/app.log"]
    missing = sorted(set(range(lines)) - {int(record["message"][:8]) for record in records})
    expect(f"{fs}: missing lines", missing[:5], [])
    expect_truth(fs, records, b"".join(map(line, range(lines))))
    expect(f"{fs}: partial", {record.get("partial") for record in records}, {None})
    if fs == "ext4" and (len(set(inodes)) == len(inodes) or not rotator["decoys_with_its_number"]):
        fail("ext4: no inode number was seen to be reused: nothing is shown")
END
}
