# Shows that no line is lost, torn or out of order, whatever happens to the agent: it is killed and ended at random moments (the
# seed is printed) and started again at once, under containers that print lines, half lines that wait for the next agent, and the
# pieces of block-buffered workers. What comes twice has the same id and the same content.
# slow: minutes; the faults case shows the same in short
# needs: logtap tools
# timeout: 600

# shellcheck source=tests/e2e/half_lines.sh
. "$REPO/tests/e2e/half_lines.sh"
SHARED=/run/e2e/restart
AGENTS=${RESTARTS:-12}

# Lines to both streams, as many as it gets done.
prints_lines()
{
	bundle -m "$SHARED:/tmp" lines sh -c '
		i=0
		until [ -e /tmp/stop ]; do
			echo "line $i"
			echo "error $i" >&2
			i=$((i + 1))
			usleep 5000
		done
		echo $i >/tmp/lines.count'
	container_start lines "$OUT/lines.pipe" "$OUT/lines.pipe2"
}

# Two processes a round, whose buffers cut their lines anywhere.
works()
{
	bundle -m "$SHARED:/tmp" -m "$TOOLS:/mnt" workers sh -c '
		i=0
		until [ -e /tmp/stop ]; do
			/mnt/workers 300
			i=$((i + 1))
			usleep 100000
		done
		echo $i >/tmp/workers.count'
	container_start workers "$OUT/workers.pipe"
}

start_agent()
{
	logtap_start "agent$1" /run/restart.yaml
	echo "$1" >"$SHARED/agent.new"
	mv "$SHARED/agent.new" "$SHARED/agent"
}

guest()
{
	local n name

	RANDOM=$(cat "$OUT/seed")
	echo "seed $(cat "$OUT/seed")"
	mkdir -p "$SHARED"
	echo 0 >"$SHARED/agent"
	echo "lines: {timeout: 10m}" >/run/restart.yaml
	start_agent 1
	prints_lines
	prints_half_lines
	works
	for ((n = 2; n <= AGENTS; n++)); do
		sleep "$((RANDOM % 2)).$((RANDOM % 1000 + 1000))"
		if ((RANDOM % 4)); then
			kill -KILL "${LOGTAP_PIDS[agent$((n - 1))]}"
			wait "${LOGTAP_PIDS[agent$((n - 1))]}" || true
		else
			logtap_stop "agent$((n - 1))" TERM || fail "agent$((n - 1)): exit status $?"
		fi
		start_agent "$n"
	done
	: >"$SHARED/stop"
	for name in lines halves workers; do
		container_wait "$name" 120
		container_delete "$name"
	done
	logtap_stop "agent$AGENTS" INT || fail "agent$AGENTS: exit status $?"
	cp "$SHARED"/*.count "$OUT"
	echo "$AGENTS" >"$OUT/agents"
}

check()
{
	judge <<'END'
import sys
from records import *

OUT = sys.argv[1]
agents = int(open(f"{OUT}/agents").read())
seen, copies, logs = {}, 0, {}
for agent in range(1, agents + 1):
    for line in open(f"{OUT}/agent{agent}.out", "rb"):
        # A kill may tear the agent's last write: the next agent delivers the whole line.
        if not line.endswith(b"\n"):
            continue
        record = json.loads(line)
        if record["id"] in seen:
            expect(f"the copy of {record['id']}", record, seen[record["id"]])
            copies += 1
            continue
        seen[record["id"]] = record
        logs.setdefault(log_of(record), []).append(record)


def count(name):
    return int(open(f"{OUT}/{name}.count").read())


def expect_lines(log, wanted, name):
    records = logs.pop(log)
    expect(f"{log}: lines", [r.get("message") for r in records], wanted)
    expect(f"{log}: marked", [r["partial"] for r in records if "partial" in r], [])
    expect(f"{log}: writers", {r["process"].get("name") for r in records}, {name})


lines = count("lines")
halves = count("halves")
expect_lines("lines/stdout", [f"line {i}" for i in range(lines)], "sh")
expect_lines("lines/stderr", [f"error {i}" for i in range(lines)], "sh")
expect_lines("halves/stdout", [f"half {i} begins, goes on and ends" for i in range(halves)], "sh")
filling = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ01234567"
worker = {w: [r for r in logs["workers/stdout"] if r["message"].startswith(f"worker{w} ")] for w in (0, 1)}
expect("workers: others", len(logs.pop("workers/stdout")), len(worker[0]) + len(worker[1]))
for w in (0, 1):
    expect(f"worker {w}", [r["message"] for r in worker[w]],
           [f"worker{w} {i:06} {filling[:i * 13 % 60]}" for _ in range(count("workers")) for i in range(300)])
    expect(f"worker {w}: writers", {r["process"].get("name") for r in worker[w]}, {"workers"})
expect("other logs", sorted(logs), [])
if halves < 3 or lines < 500:
    fail(f"too little was written: {halves} half lines, {lines} lines")
print(f"{len(seen)} records, {copies} copies, {halves} half lines, {agents} agents")
END
}
