# Shows that every way to write is seen, byte for byte, or told as lost: write, writev, pwrite, io_uring, asynchronous and direct
# I/O, of a byte and of a mebibyte, short writes and writes that end in a fault, into a pipe and into files on ext4 and tmpfs.
#
# What is no write for the file system is lost, but told: splice and sendfile into a file, and asynchronous direct I/O (whose
# bytes are not known yet when the hook runs: only the write is counted). What never passes the hooked function is neither seen
# nor told today: splice, sendfile, vmsplice and tee into a pipe.
# needs: logtap tools
# timeout: 120

SIZES="write:1 write:2 write:63 write:64 write:65 write:4095 write:4096 write:4097 write:32768 write:32769 write:65537
	write:1048576"
PIPE_SHAPES="$SIZES writev:1 writev:7 writev:1024 uring:1 uring:5000 uring:200000 uringv:300 nonblock:3000000 lines:100
	fault:4196 faultv:4196 fault:5000 faultv:8000 lines:3"
FILE_SHAPES="$SIZES writev:1 writev:7 writev:1024 pwrite:5000 pwrite:1048576 uring:5000 uring:1048576 uringv:300 aio:3000
	lines:100 fault:4196 faultv:4196 lines:3"
LOGS=/run/e2e/logs

make_ext4()
{
	truncate -s 64M /run/e2e/ext4.img
	mkfs.ext4 -q /run/e2e/ext4.img
	mkdir -p "$LOGS/ext4" "$LOGS/tmpfs"
	mount -o loop /run/e2e/ext4.img "$LOGS/ext4"
}

# write_file NAME SHAPE...
write_file()
{
	"$TOOLS/writes" "$LOGS/$1.log" "/run/e2e/truth/${1//\//-}" "${@:2}"
}

guest()
{
	mkdir -p /run/e2e/truth
	make_ext4
	cat >/run/writes.yaml <<-END
		capture:
		  files: [$LOGS/**/*.log]
		lines:
		  invalid_utf8: base64
		  timeout: 60s
	END
	# shellcheck disable=SC2086 # words
	bundle -m "$TOOLS:/mnt" -m /run/e2e/truth:/tmp pipe /mnt/writes - /tmp/pipe $PIPE_SHAPES

	logtap_start logtap /run/writes.yaml
	container_run pipe "$OUT/pipe.drained"
	for fs in ext4 tmpfs; do
		# shellcheck disable=SC2086
		write_file "$fs/plain" $FILE_SHAPES
		write_file "$fs/splice" lines:10 splice:5000 lines:10
		write_file "$fs/sendfile" lines:10 sendfile:300000 lines:10
	done
	write_file ext4/direct write:4096 direct:4096 direct:1048576 write:100
	write_file ext4/direct-aio write:16384 direct-aio:8192 write:100
	logtap_stop logtap
	cp -r /run/e2e/truth "$OUT/"
}

check()
{
	cmp "$OUT/pipe.drained" "$OUT/truth/pipe" || fail "the pipe's reader read other bytes than were written"
	judge <<'END'
import sys
from records import *

OUT = sys.argv[1]
LOGS = "/run/e2e/logs"
logs = load(f"{OUT}/logtap.out")
FAULTS = 4
told = counters(f"{OUT}/logtap.err")


def truth(name):
    return open(f"{OUT}/truth/{name}", "rb").read()


def unreadable(name):
    return [int(n) for n in open(f"{OUT}/truth/{name}.unreadable")]


files = [f"{fs}/{name}" for fs in ("ext4", "tmpfs") for name in ("plain", "splice", "sendfile")]
files += ["ext4/direct", "ext4/direct-aio"]
expect_only(logs, ["pipe/stdout"] + [f"{LOGS}/{name}.log" for name in files])
expect_ids_unique(logs)

# A fault may leave nobody knowing where the written bytes are: then they are told as lost.
pipe = logs["pipe/stdout"]
expect_truth("pipe", pipe, truth("pipe"))
expect("pipe: lost, but not to faults", lost(pipe), lost(pipe, "fault"))
if lost(pipe, "fault")[1] > FAULTS:
    fail(f"pipe: more than {FAULTS} writes are told as lost to faults")
AIO = 8192   # bytes, that the truth leaves out
for name in files:
    records = logs[f"{LOGS}/{name}.log"]
    # A write that is done before io_submit returns is like any other.
    if name == "ext4/direct-aio" and lost(records) == (0, 0):
        expect(f"{name}: bytes, all of them", len(delivered(records)), len(truth(name.replace("/", "-"))) + AIO)
        continue
    expect(f"{name}: bytes", delivered(records), truth(name.replace("/", "-")))
    expect(f"{name}: lost bytes", lost(records, "unsupported")[0], sum(unreadable(name.replace("/", "-"))))
    expect(f"{name}: lost, but not as unsupported", lost(records), lost(records, "unsupported"))
    if name == "ext4/direct-aio":
        expect(f"{name}: writes told as lost", lost(records), (0, 1))

for reason in ("ring_full", "unsupported", "fault"):
    expect(f"counted as lost: {reason}", (told[f"bytes_lost_{reason}"], told[f"writes_lost_{reason}"]),
           tuple(map(sum, zip(*(lost(records, reason) for records in logs.values())))))
expect("counted lines", told["lines"], sum("lost" not in record for records in logs.values() for record in records))
END
}
