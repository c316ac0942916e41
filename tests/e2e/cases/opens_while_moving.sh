# Shows that a file that is opened while streams move into other maps finds a slot there, though few are free: files are opened
# at ever longer intervals from the move's beginning to its end, and each is captured.
# needs: logtap
# timeout: 180

LOGS=/run/e2e/logs
NEXT=/sys/fs/bpf/logtap/slots-next
HELD=30

# agent NAME MAX_STREAMS
agent()
{
	echo "capture: {files: [$LOGS/*.log], max_streams: $2}" >"/run/$1.yaml"
	logtap_start "$1" "/run/$1.yaml"
}

# However long the move takes, each part of it that is a tenth of the time until then sees a file opened.
open_files()
{
	python3 - "$LOGS" "$NEXT" <<'END'
import os, sys, time

logs, moving = sys.argv[1:]
while not os.path.exists(moving):
    time.sleep(0.001)
count, start, at = 0, time.monotonic(), 0.3
while os.path.exists(moving) and count < 60:
    with open(f"{logs}/opened{count}.log", "w") as file:
        file.write(f"opened {count}\n")
    count += 1
    time.sleep(max(0, start + at - time.monotonic()))
    at *= 1.07
print(count)
END
}

last_is_read()
{
	grep -q '"message":"last"' "$OUT/after.out"
}

guest()
{
	local i fd opener

	mkdir -p "$LOGS"
	echo $HELD >"$OUT/held"
	agent before 96
	for ((i = 0; i < HELD; i++)); do
		exec {fd}>"$LOGS/held$i.log"
		echo "held $i" >&"$fd"
	done
	logtap_stop before TERM || fail "before: exit status $?"
	open_files >"$OUT/opened" 2>"$OUT/opener.err" &
	opener=$!
	agent after 128
	wait $opener || fail "$(cat "$OUT/opener.err")"
	echo last >"$LOGS/last.log"
	wait_for "the last file" 60 last_is_read
	logtap_stop after || fail "after: exit status $?"
}

check()
{
	grep -q "streams have moved into maps with room for 128" "$OUT/after.err" || fail "no stream has moved"
	judge <<'END'
import sys
from records import *

OUT = sys.argv[1]
held, opened = (int(open(f"{OUT}/{name}").read()) for name in ("held", "opened"))
seen = [json.loads(line)["message"] for name in ("before", "after") for line in open(f"{OUT}/{name}.out", "rb")]
wanted = [f"held {i}" for i in range(held)] + [f"opened {i}" for i in range(opened)] + ["last"]
expect("messages", sorted(seen), sorted(wanted))
counters = [json.loads(line)["counters"] for line in open(f"{OUT}/after.err") if line.startswith('{"counters"')]
expect("streams_unregistered", counters[-1]["streams_unregistered"], 0)
if opened < 10:
    fail(f"only {opened} files were opened while streams moved")
END
}
