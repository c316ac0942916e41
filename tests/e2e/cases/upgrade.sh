# Shows that a logtap of another build takes capture over, and hands it back: other programs, longer records and slots, more and
# fewer rings, of other sizes, room for more and fewer streams. Containers and files write all the time; no line is lost, torn,
# doubled or out of order, whether the logtap before was ended or killed, and whether it had read its rings or not. The rings
# hold what is written until the next logtap reads, also on a slow machine.
# slow: minutes; the faults case shows the same in short
# needs: logtap tools
# timeout: 600

# shellcheck source=tests/e2e/half_lines.sh
. "$REPO/tests/e2e/half_lines.sh"
SHARED=/run/e2e/upgrade
LOGS=/run/e2e/logs
OTHER=$REPO/build/e2e-upgrade
AGENTS=7
export MAKEFLAGS=

host()
{
	make -C "$REPO" BUILD="$OTHER" VERSION=0.2.0 CPPFLAGS=-DRECORD_EXTRA=8 BPF_CPPFLAGS=-DRECORD_EXTRA=8 all
	cmp -s "$REPO/build/logtap" "$OTHER/logtap" && fail "both builds are the same"
	flag built
}

# prints_lines NAME: to both streams, as many as it gets done.
prints_lines()
{
	bundle -m "$SHARED:/tmp" "$1" sh -c "
		i=0
		until [ -e /tmp/stop ]; do
			echo \"$1 line \$i\"
			echo \"$1 error \$i\" >&2
			i=\$((i + 1))
			usleep 5000
		done
		echo \$i >/tmp/$1.count"
	container_start "$1" "$OUT/$1.pipe" "$OUT/$1.pipe2"
}

# A file that stays open, and others that come and go all the time; while no agent gives slots back, ever
# more slowly, and no more of them than there is room for.
write_files()
{
	local i=0 away=0 pause

	exec 7>>"$LOGS/open.log"
	until [ -e "$SHARED/stop" ]; do
		if [ -e "$SHARED/away" ]; then away=$((away + 1)); else away=0; fi
		if [ $away -le 60 ]; then
			echo "open line $i" >&7
			printf '%s\n' "brief $i a" "brief $i b" >"$LOGS/brief$i.log"
			i=$((i + 1))
		fi
		printf -v pause '%d.%02d' $(((5 + 2 * away) / 100)) $(((5 + 2 * away) % 100))
		sleep "$pause"
	done
	echo "$i" >"$SHARED/files.count"
}

# What was closed before is read, too: its files share a shard.
mark_is_read()
{
	grep -q "\"message\":\"mark $1\"" "$OUT/agent$1.out"
}

# agent NUMBER BUILD SHARDS RING_SIZE MAX_STREAMS
agent()
{
	cat >"/run/agent$1.yaml" <<-END
		capture: {shards: $3, ring_size: $4, max_streams: $5, files: [$LOGS/*.log]}
		lines: {timeout: 10m}
	END
	LOGTAP=$2/logtap logtap_start "agent$1" "/run/agent$1.yaml"
	echo "$1" >"$SHARED/agent.new"
	mv "$SHARED/agent.new" "$SHARED/agent"
	echo "mark $1" >"$LOGS/mark$1.log"
	wait_for "agent$1 to read" 60 mark_is_read "$1"
	rm -f "$SHARED/away"
	sleep 1
}

# end NAME: it leaves capture behind.
end()
{
	: >"$SHARED/away"
	logtap_stop "$1" TERM || fail "$1: exit status $?"
}

# It is killed while what it has not read waits in its rings, which the next has to read first.
kill_behind()
{
	: >"$SHARED/away"
	kill -STOP "${LOGTAP_PIDS[$1]}"
	sleep 1
	kill -KILL "${LOGTAP_PIDS[$1]}"
	wait "${LOGTAP_PIDS[$1]}" || true
}

# Killed at any point, what they have begun is ended by those that follow.
kill_movers()
{
	local pid n

	RANDOM=$(cat "$OUT/seed")
	for n in {1..6}; do
		cat >/run/mover.yaml <<-END
			capture: {shards: $((n % 3 + 1)), ring_size: $((8 << n % 3))MiB, max_streams: $((100 + 30 * n)), files: [$LOGS/*.log]}
		END
		"$OTHER/logtap" attach -c /run/mover.yaml 2>>"$OUT/movers.told" &
		pid=$!
		sleep "$((RANDOM % 6)).$((RANDOM % 1000 + 1000))"
		kill -KILL "$pid" 2>/dev/null || true
		wait "$pid" && echo "mover $n ended by itself" || echo "mover $n was killed"
		find /sys/fs/bpf/logtap -name '*-next' -o -name '*-new' -o -name 'ring-*-old' | sort | xargs echo
	done
}

# What a build does not know it leaves alone, and says why.
refuse_layout()
{
	local about=/sys/fs/bpf/logtap/about value

	value=$(bpftool -j map dump pinned "$about" | jq -r '.[0].value | map(ltrimstr("0x")) | join(" ")')
	read -ra value <<<"$value"
	bpftool map update pinned "$about" key hex 0 0 0 0 value hex "${value[@]:0:8}" 63 "${value[@]:9}"
	expect "another layout: exit status" "$("$LOGTAP" run -c /run/agent1.yaml 2>"$OUT/layout.told" || echo $?)" 1
	bpftool map update pinned "$about" key hex 0 0 0 0 value hex "${value[@]}"
}

guest()
{
	local name

	wait_flag built 300
	mkdir -p "$SHARED" "$LOGS"
	echo 0 >"$SHARED/agent"
	agent 1 "$REPO/build" 1 8MiB 96
	for name in one two three; do
		prints_lines "$name"
	done
	prints_half_lines
	write_files &
	sleep 1
	kill_behind agent1
	agent 2 "$OTHER" 3 32MiB 160
	kill_behind agent2
	agent 3 "$REPO/build" 2 4MiB 128
	end agent3
	agent 4 "$OTHER" 1 16MiB 96
	end agent4
	agent 5 "$REPO/build" 1 16MiB 96
	prints_lines late
	kill_behind agent5
	kill_movers
	"$OTHER/logtap" attach -c /run/agent2.yaml 2>"$OUT/attach.told" || fail "attach: $(cat "$OUT/attach.told")"
	sleep 1
	agent 6 "$OTHER" 3 32MiB 160
	kill_behind agent6
	refuse_layout
	agent 7 "$REPO/build" 1 8MiB 96
	: >"$SHARED/stop"
	for name in one two three late halves; do
		container_wait "$name" 120
		container_delete "$name"
	done
	wait_for "the files' end" 30 test -e "$SHARED/files.count"
	sleep 1
	logtap_stop agent7 INT || fail "agent7: exit status $?"
	cp "$SHARED"/*.count "$OUT"
	echo "$AGENTS" >"$OUT/agents"
}

check()
{
	grep -q "layout 99.* known: 1.* or let it drain and then" "$OUT/layout.told" || fail "layout: $(cat "$OUT/layout.told")"
	grep -q "streams have moved into maps with room for 160" "$OUT/agent2.err" || fail "agent2 has moved no streams"
	judge <<'END'
import sys
from records import *

OUT = sys.argv[1]
LOGS = "/run/e2e/logs"
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


def expect_lines(log, wanted):
    records = logs.pop(log, [])
    expect(f"{log}: lines", [r.get("message") for r in records], wanted)
    expect(f"{log}: marked", [r["partial"] for r in records if "partial" in r], [])
    return records


for name in ("one", "two", "three", "late"):
    for stream, word in (("stdout", "line"), ("stderr", "error")):
        records = expect_lines(f"{name}/{stream}", [f"{name} {word} {i}" for i in range(count(name))])
        expect(f"{name}/{stream}: writers", {r["process"].get("name") for r in records}, {"sh"})
expect_lines("halves/stdout", [f"half {i} begins, goes on and ends" for i in range(count("halves"))])
files = count("files")
expect_lines(f"{LOGS}/open.log", [f"open line {i}" for i in range(files)])
for i in range(files):
    expect_lines(f"{LOGS}/brief{i}.log", [f"brief {i} a", f"brief {i} b"])
for agent in range(1, agents + 1):
    expect_lines(f"{LOGS}/mark{agent}.log", [f"mark {agent}"])
expect("other logs", sorted(logs), [])
for line in open(f"{OUT}/agent{agents}.err"):
    if line.startswith('{"counters"'):
        expect("streams_unregistered", json.loads(line)["counters"]["streams_unregistered"], 0)
if count("one") < 300 or files < 60 or count("halves") < 2:
    fail(f"too little was written: {count('one')} lines, {files} files, {count('halves')} half lines")
print(f"{len(seen)} records, {copies} copies, {files} files, {count('halves')} half lines, {agents} agents")
END
}
