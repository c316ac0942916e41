# Shows that SIGHUP loses no line: under load the configuration is loaded anew many times (the seed is printed), with other globs,
# limits, timeouts, modes of assembly and names of the node, with files that have mistakes, and with a sink that cannot start; then
# the agent is killed in the middle of it, again and again. What is selected throughout is whole and in its order; other files begin
# and stop to come out between two lines. At the end there are fewer shards than before: the half lines of those that are no more
# come out as lost.
# slow: minutes; the faults case shows the same in short
# needs: logtap tools
# timeout: 300

SHARED=/run/e2e/reload
LOGS=/run/e2e/logs
CONFIG=/run/reload.yaml
RELOADS=${RELOADS:-20}
KILLS=${KILLS:-4}
TOGGLED=4
agent=0
anew=0
refused=0
declare -a ON=(0 0 0 0) PERIODS=(0 0 0 0)

# toggled_globs RANDOM: another choice of the files on-N.log, as lines of YAML.
toggled_globs()
{
	local i now

	for ((i = 0; i < TOGGLED; i++)); do
		now=$(($1 >> i & 1))
		PERIODS[i]=$((PERIODS[i] + (now && !ON[i])))
		ON[i]=$now
	done
}

# Half of those that are on are named, the others are all but what is excluded.
configure()
{
	local modes=(auto process stream) limits=(1KiB 4KiB 64KiB) timeouts=(1s 20s) i
	local kept=("$LOGS/kept-*.log" "$LOGS/k*[0-9].log")

	toggled_globs "$RANDOM"
	{
		echo "node: node-$((RANDOM % 2))"
		echo "lines: {assembly: ${modes[RANDOM % 3]}, max_line: ${limits[RANDOM % 3]}, timeout: ${timeouts[RANDOM % 2]}}"
		echo "capture:"
		echo "  ring_size: 128MiB"	# what is written while a killed agent is started again
		echo "  files:"
		echo "    - '${kept[RANDOM % 2]}'"
		echo "    - $LOGS/brief-*.log"
		if ((RANDOM % 2)); then
			echo "    - $LOGS/on-*.log"
			echo "  exclude_files:"
			for ((i = 0; i < TOGGLED; i++)); do
				((ON[i])) || echo "    - $LOGS/on-$i.log"
			done
			echo "    - /nowhere"
		else
			for ((i = 0; i < TOGGLED; i++)); do
				((!ON[i])) || echo "    - '$LOGS/on-$i.*'"
			done
		fi
	} >"$CONFIG"
}

# What must not change anything. Each has its own words.
REFUSALS=("the file has mistakes" "capture.pin cannot change" "journal.directory cannot change"
	"the new configuration cannot be used")
misconfigure()
{
	cp "$CONFIG" "$CONFIG.right"
	case $1 in
	0) echo "  no_such_key: 1" >>"$CONFIG" ;;
	1) sed -i 's,^capture:,capture:\n  pin: /sys/fs/bpf/other,' "$CONFIG" ;;
	2) echo "journal: {directory: /dev/shm/other}" >>"$CONFIG" ;;
	3)
		cat >>"$CONFIG" <<-END
			sink: kafka
			kafka:
			  brokers: ["localhost:1"]
			  topic: none
			  rdkafka: {security.protocol: ssl, ssl.ca.location: /no/such/file}
		END
		;;
	esac
}

said()
{
	[ "$(grep -c "$2" "$OUT/agent$agent.err")" -ge "$1" ]
}

hang_up()
{
	kill -HUP "${LOGTAP_PIDS[agent$agent]}"
}

reload()
{
	configure
	hang_up
	anew=$((anew + 1))
	wait_for "the configuration to be loaded anew" 60 said "$anew" "loaded anew"
}

reload_in_vain()
{
	misconfigure "$1"
	hang_up
	wait_for "the agent to say: ${REFUSALS[$1]}" 60 said 1 "${REFUSALS[$1]}"
	mv "$CONFIG.right" "$CONFIG"
	refused=$((refused + 1))
}

pause()
{
	sleep "0.$((RANDOM % 500 + 1000))"
}

start_agent()
{
	agent=$((agent + 1))
	anew=0
	logtap_start "agent$agent" "$CONFIG"
}

# loglines_here NAME OPTION...: beside the containers, until the case stops it.
loglines_here()
{
	"$TOOLS/loglines" --writer "$1" --seed 1 --lines 100000000 --sizes short --rate "$RATE" \
		--until "$SHARED/stop" --report "$SHARED/$1.report" "${@:2}" &
}

come_out()
{
	[ "$(grep -c "$LOGS/$2" "$OUT/agent$agent.out")" -ge "$1" ]
}

# Lines a second of each writer: all together an eighth of what the machine can.
measure_rate()
{
	local start=${EPOCHREALTIME/./} lines=10000

	"$TOOLS/loglines" --writer rate --seed 1 --lines $lines --sizes short --file "$LOGS/brief-rate.log" \
		--report /dev/null
	wait_for "$lines lines" 120 come_out $lines brief-rate.log
	RATE=$((lines * 1000000 / (${EPOCHREALTIME/./} - start) / 8 / 8))
	RATE=$((RATE < 30 ? 30 : RATE > 1500 ? 1500 : RATE))
	echo "$RATE lines a second of each writer"
}

# Files that come and go all the time.
writes_briefly()
{
	local i j

	for ((i = 0; ; i++)); do
		[ ! -e "$SHARED/stop" ] || break
		for j in {1..20}; do
			echo "brief $i line $j"
			[ $((j % 10)) != 0 ] || sleep 0.03
		done >"$LOGS/brief-$i.log"
	done
}

write_everything()
{
	local i options="--seed 1 --lines 100000000 --until /mnt2/stop"

	bundle -m "$TOOLS:/mnt" -m "$SHARED:/mnt2" steady sh -c \
		"/mnt/loglines --writer steady --sizes mix --fd 1 --fd 2 --rate $((RATE / 8 + 1)) $options --report /mnt2/steady.report"
	bundle -m "$TOOLS:/mnt" -m "$SHARED:/mnt2" blocks sh -c \
		"/mnt/loglines --writer blocks --sizes short --fd 1 --block 1024 --rate $RATE $options --report /mnt2/blocks.report"
	container_start steady "$OUT/steady.stdout" "$OUT/steady.stderr"
	container_start blocks "$OUT/blocks.stdout"
	loglines_here kept-0 --file "$LOGS/kept-0.log"
	loglines_here kept-1 --file "$LOGS/kept-1.log" --block 1000
	for ((i = 0; i < TOGGLED; i++)); do
		loglines_here "on-$i" --file "$LOGS/on-$i.log"
	done
	writes_briefly &
	WRITERS=$(jobs -p | grep -vxF "${LOGTAP_PIDS[agent1]}")
}

written_much()
{
	[ "$(wc -l <"$LOGS/kept-0.log")" -gt 100 ] && [ -s "$OUT/blocks.stdout" ] && [ -s "$LOGS/on-3.log" ]
}

stop_writers()
{
	: >"$SHARED/stop"
	container_wait steady 60
	container_wait blocks 60
	# shellcheck disable=SC2086 # a list
	wait $WRITERS || fail "a writer ended with status $?"
	container_delete steady
	container_delete blocks
}

killed_in_the_middle()
{
	configure
	hang_up
	sleep "0.$((RANDOM % 400 + 1000))"
	kill -KILL "${LOGTAP_PIDS[agent$agent]}"
	wait "${LOGTAP_PIDS[agent$agent]}" || true
	((RANDOM % 2)) || configure
	start_agent
}

# shards NUMBER
shards()
{
	cat >"/run/shards-$1.yaml" <<-END
		capture: {containers: false, shards: $1, files: [$LOGS/half-*.log]}
		journal: {directory: /dev/shm/fewer}
		lines: {timeout: 10m}
	END
}

all_halves_begun()
{
	[ "$(grep -c '"whole"' "$OUT/two.out")" = 6 ]
}

halves_lost()
{
	[ "$(grep -c '"partial":"lost"' "$OUT/one.out")" = 6 ]
}

# Files, so that each shard has some: of their inode numbers some are odd.
fewer_shards()
{
	local fd

	shards 2
	shards 1
	logtap_start two /run/shards-2.yaml
	for fd in 20 21 22 23 24 25; do
		eval "exec $fd>$LOGS/half-$fd.log"
		printf 'whole\nhalf %d' "$fd" >&"$fd"
	done
	wait_for "the lines before the half ones" 60 all_halves_begun
	logtap_stop two TERM || fail "two: exit status $?"
	[ -e /dev/shm/fewer/shard-1/checkpoint ] || fail "two shards left no second checkpoint"
	"$LOGTAP" detach || fail "detach: exit status $?"
	logtap_start one /run/shards-1.yaml
	wait_for "the half lines" 60 halves_lost
	logtap_stop one || fail "one: exit status $?"
	[ ! -e /dev/shm/fewer/shard-1 ] || fail "of the shard that is no more there is left: $(ls /dev/shm/fewer/shard-1)"
}

guest()
{
	local n

	RANDOM=$(cat "$OUT/seed")
	echo "seed $(cat "$OUT/seed")"
	mkdir -p "$SHARED" "$LOGS"
	configure
	start_agent
	measure_rate
	write_everything
	wait_for "the writers" 60 written_much
	for ((n = 0; n < RELOADS; n++)); do
		reload
		((n % 4 != 3 || refused >= ${#REFUSALS[@]})) || reload_in_vain "$refused"
		((RANDOM % 3 == 0)) || pause
	done
	expect "refusals" "$refused" "${#REFUSALS[@]}"
	for ((n = 0; n < KILLS; n++)); do
		reload
		pause
		killed_in_the_middle
		pause
	done
	stop_writers
	logtap_stop "agent$agent" || fail "agent$agent: exit status $?"
	for ((n = 0; n < TOGGLED; n++)); do
		echo "on-$n ${PERIODS[n]}"
	done >"$OUT/periods"
	echo "$agent" >"$OUT/agents"
	mkdir "$OUT/files"
	cp "$LOGS"/*.log "$OUT/files"
	fewer_shards
}

check()
{
	judge <<'END'
import os
import sys
from records import *

OUT = sys.argv[1]
LOGS = "/run/e2e/logs/"
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
            # Who only had its configuration loaded anew sends nothing twice.
            if agent == 1:
                fail(f"without a kill it came twice: {record}")
            continue
        seen[record["id"]] = record
        logs.setdefault(log_of(record), []).append(record)


def contents(path):
    with open(path, "rb") as file:
        return file.read()


def runs(what, records, truth):
    """Of a file that was selected now and then: whole lines in their order, in so many runs."""
    at, count = 0, 0
    expect(f"{what}: gaps", lost(records), (0, 0))
    for record in records:
        got = written(record)
        if not count or truth[at:at + len(got)] != got:
            if at and truth[at - 1:at] != b"\n":
                fail(f"{what}: at byte {at} it stops within a line")
            at = truth.find(b"\n" + got, max(at - 1, 0)) + 1 if not truth.startswith(got) or at else 0
            if not truth[at:].startswith(got):
                fail(f"{what}: this is not what was written, or again: {shown(got)}")
            count += 1
        at += len(got)
    if truth[at - 1:at] != b"\n":
        fail(f"{what}: at byte {at} it stops within a line")
    return count


files = {name: contents(f"{OUT}/files/{name}") for name in sorted(os.listdir(f"{OUT}/files"))}
truths = {f"{log.replace('.', '/')}": contents(f"{OUT}/{log}") for log in ("steady.stdout", "steady.stderr", "blocks.stdout")}
truths.update({LOGS + name: text for name, text in files.items() if not name.startswith("on-")})
expect("logs", sorted(set(logs) - {LOGS + name for name in files if name.startswith("on-")}), sorted(truths))
for name, truth in truths.items():
    expect_truth(name, logs[name], truth)
    expect(f"{name}: gaps", lost(logs[name]), (0, 0))
stopped = 0
for line in open(f"{OUT}/periods"):
    name, periods = line.split()
    count = runs(name, logs.get(f"{LOGS}{name}.log", []), files[f"{name}.log"])
    if count > int(periods):
        fail(f"{name}: {count} runs of lines, but it was selected {periods} times")
    stopped += count - 1
if stopped < 4:
    fail(f"the files that were selected now and then hardly ever stopped: {stopped} times")
steady = logs["steady/stdout"]
expect("hosts", {record["host"] for record in steady}, {"node-0", "node-1"})
if not any(r.get("partial") == "max_size" for r in steady) or len(steady) < 500:
    fail(f"too little was written: {len(steady)} records")
expect_no_loss(f"{OUT}/agent{agents}.err")
halves = [r for records in load(f"{OUT}/one.out").values() for r in records if r.get("partial") == "lost"]
expect("half lines of shards that are no more", sorted(r["message"] for r in halves), [f"half {fd}" for fd in range(20, 26)])
print(f"{len(seen)} records, {copies} copies, {agents} agents, {len(truths)} logs, stopped {stopped} times")
END
}
