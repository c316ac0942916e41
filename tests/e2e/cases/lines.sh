# Shows how writes become lines, in each mode of assembly: lines that span writes, empty ones, long ones, binary bytes, carriage
# returns, last lines without a newline, and two block-buffered writers on one pipe.
# needs: logtap tools
# timeout: 120

WORKER_LINES=8000
mode=''

# settings ASSEMBLY INVALID_UTF8 TIMEOUT
settings()
{
	cat <<-END
		lines:
		  assembly: $1
		  invalid_utf8: $2
		  max_line: 64KiB
		  timeout: $3
	END
}

# capture MODE: from here on, by a logtap that assembles like that. What containers' pipes hold is kept in $OUT/pipes/MODE.
capture()
{
	[ -z "$mode" ] || logtap_stop "$mode"
	mode=$1
	mkdir -p "$OUT/pipes/$mode"
	logtap_start "$mode" "/run/$mode.yaml"
}

# run_script NAME SCRIPT: what a container of that name prints.
run_script()
{
	bundle -m "$TOOLS:/mnt" "$1" sh -c "$2"
	container_run "$1" "$OUT/pipes/$mode/$1"
}

run_workers()
{
	run_script workers "/mnt/workers $WORKER_LINES"
}

# The container lives until its half line has come out: the end of the stream is not what sends it.
show_timeout()
{
	mkdir -p /run/e2e/go
	bundle -m /run/e2e/go:/mnt waits \
		sh -c 'printf "half a line"; until [ -e /mnt/go ]; do usleep 50000; done; echo "its rest"'
	container_start waits "$OUT/pipes/$mode/waits"
	wait_for "the half line" 30 grep -q '"message":"half a line"' "$OUT/$mode.out"
	: >/run/e2e/go/go
	container_wait waits
	container_delete waits
}

guest()
{
	settings auto replace 20s >/run/auto.yaml
	settings process base64 8s >/run/process.yaml
	settings stream replace 20s >/run/stream.yaml

	capture auto
	run_script spans 'printf "one "; printf "line\nan"; printf "other\n"'
	run_script thousand 'seq 1000 >/tmp/lines; dd if=/tmp/lines bs=64k 2>/dev/null'
	run_script empty 'printf "\n\n\nx\n\n"'
	run_script binary 'printf "a\0b\001\377\376c\303\251\n\342\202\nplain\n"'
	run_script returns 'printf "dos\r\nbare\rreturn\r\n"'
	run_script long 'printf "%0200000d\n%065536d\n%0131073d\n" 0 0 0'
	run_script unfinished 'echo whole; printf "no newline"'
	run_script starting 'printf "Starting "; /bin/echo ok'
	run_workers

	capture process
	# Without an end of its own the shell would become echo.
	run_script starting 'printf "Starting "; /bin/echo ok; true'
	run_script binary 'printf "a\0b\001\377\376c\303\251\n\342\202\nplain\n"'
	show_timeout
	run_workers

	capture stream
	run_script starting 'printf "Starting "; /bin/echo ok'
	run_workers
	logtap_stop stream
}

check()
{
	for mode in auto process stream; do
		expect "the workers' lines" "$(wc -l <"$OUT/pipes/$mode/workers")" $((2 * WORKER_LINES))
		grep -vqE '^worker[01] [0-9]{6} [a-zA-Z0-9]*$' "$OUT/pipes/$mode/workers" ||
			fail "no line of the workers was torn in the pipe: nothing is shown"
	done
	judge <<'END'
import os
import sys
from records import *

OUT = sys.argv[1]
auto, process, stream = (load(f"{OUT}/{name}.out") for name in ("auto", "process", "stream"))
BINARY = [b"a\0b\x01\xff\xfec\xc3\xa9", b"\xe2\x82", b"plain"]


def lines(logs, name):
    return [message(record) for record in logs[name + "/stdout"]]


def partials(logs, name):
    return [record.get("partial") for record in logs[name + "/stdout"]]


def whole(logs, name, wanted):
    expect(name, lines(logs, name), wanted)
    expect(name + " partial", set(partials(logs, name)), {None})


def worker_lines():
    letters = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ01234567"
    count = int(sum(1 for _ in open(f"{OUT}/pipes/auto/workers", "rb")) / 2)
    return [[b"worker%d %06d %s" % (worker, i, letters[:i * 13 % 60]) for i in range(count)] for worker in (0, 1)]


def expect_untorn(logs, what):
    got = lines(logs, "workers")
    for worker, wanted in enumerate(worker_lines()):
        expect(f"{what}: worker {worker}", [line for line in got if line.startswith(b"worker%d" % worker)], wanted)
    expect(f"{what}: workers' lines", len(got), sum(map(len, worker_lines())))
    expect(f"{what}: partial", set(partials(logs, "workers")), {None})


whole(auto, "spans", [b"one line", b"another"])
whole(auto, "thousand", [b"%d" % i for i in range(1, 1001)])
whole(auto, "empty", [b"", b"", b"", b"x", b""])
whole(auto, "binary", [line.decode(errors="replace").encode() for line in BINARY])
whole(auto, "returns", [b"dos\r", b"bare\rreturn\r"])
whole(auto, "starting", [b"Starting ok"])
expect("long", [len(line) for line in lines(auto, "long")],
       [65536, 65536, 65536, 200000 - 3 * 65536, 65536, 65536, 65536, 1])
expect("long: bytes", delivered(auto["long/stdout"]), b"".join(b"0" * n + b"\n" for n in (200000, 65536, 131073)))
expect("long: partial", partials(auto, "long"), 3 * ["max_size"] + 2 * [None] + 2 * ["max_size"] + [None])
expect("unfinished", list(zip(lines(auto, "unfinished"), partials(auto, "unfinished"))),
       [(b"whole", None), (b"no newline", "eof")])
expect_untorn(auto, "auto")

whole(process, "binary", BINARY)
expect("base64", [record.get("encoding") for record in process["binary/stdout"]], ["base64", "base64", None])
expect("process: starting", sorted(lines(process, "starting")), [b"Starting ", b"ok"])
expect("process: the half line's partial",
       [r["partial"] in ("eof", "timeout") for r in process["starting/stdout"] if r["message"] == "Starting "], [True])
expect("waits", list(zip(lines(process, "waits"), partials(process, "waits"))),
       [(b"half a line", "timeout"), (b"its rest", None)])
expect_untorn(process, "process")

whole(stream, "starting", [b"Starting ok"])
both = sum(worker_lines(), [])
expect("stream: bytes of the workers", sorted(delivered(stream["workers/stdout"])),
       sorted(b"".join(line + b"\n" for line in both)))
if not set(lines(stream, "workers")) - set(both):
    fail("stream: whoever writes next goes on with a line, but no line was torn")

# A half line that came out late, and writers at the same time, have their bytes in another order.
OTHER_ORDER = {("process", "starting"), *((mode, "workers") for mode in ("auto", "process", "stream"))}
for name, logs in (("auto", auto), ("process", process), ("stream", stream)):
    expect_only(logs, [f"{container}/stdout" for container in os.listdir(f"{OUT}/pipes/{name}")])
    for log, records in logs.items():
        container = log.removesuffix("/stdout")
        pipe = open(f"{OUT}/pipes/{name}/{container}", "rb").read()
        if container == "binary" and name == "auto":
            pipe = pipe.decode(errors="replace").encode()
        expect_bytes(f"{name}: {container}", records, len(pipe))
        if (name, container) not in OTHER_ORDER:
            expect_truth(f"{name}: {container}", records, pipe)
    expect_ids_unique(logs)
    expect_no_loss(f"{OUT}/{name}.err")
expect("counted invalid UTF-8", counters(f"{OUT}/auto.err")["lines_invalid_utf8"], 2)
expect("counted max_size", counters(f"{OUT}/auto.err")["lines_partial_max_size"], 5)
END
}
