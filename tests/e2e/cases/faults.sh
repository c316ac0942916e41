# Shows that nothing is lost, whatever happens: for MINUTES (`make test-faults`: 10) the agent is killed, stopped, ended and
# upgraded, the broker killed, stopped and paused, the journal's disk filled and made read-only, files are rotated and
# a writer runs wild, at random from a seed, while more than 20 streams are written; then, from what a consumer gets:
# every line once after duplicates were removed by id, in order, gap records equal to the gaps to the byte.
# needs: logtap next tools kafka
# topics: lines:4
# timeout: 600
# pods: 8

. "$REPO/tests/e2e/lines.sh"
. "$REPO/tests/faults/load.sh"
. "$REPO/tests/faults/chaos.sh"
MINUTES=${MINUTES:-1}

# ext4 SIZE DIRECTORY
ext4()
{
	truncate -s "$1" "$2.img"
	mkfs.ext4 -q "$2.img"
	mkdir -p "$2"
	mount -o loop "$2.img" "$2"
}

# What the agent takes, every few seconds: time, its pid, KiB of anonymous memory, descriptors, KiB of the journal and of its disk.
sample()
{
	local pid line word rss fds sizes

	while [ ! -e /run/e2e/over ]; do
		sleep 2
		read -r pid </run/e2e/agent.pid
		rss='' fds=("/proc/$pid/fd"/*)
		while read -r word line _; do
			[ "$word" != RssAnon: ] || rss=$line
		done 2>/dev/null <"/proc/$pid/status" || continue
		sizes=$(du -sk --exclude=filler /run/logtap "$DISK" 2>/dev/null | cut -f1) || continue
		# It may just have been killed.
		# shellcheck disable=SC2086 # two words
		[ -z "$rss" ] || echo "$EPOCHREALTIME $pid $rss ${#fds[@]}" $sizes
	done >"$OUT/samples"
}

# Ends when nothing has been delivered for some time: all is.
drain()
{
	local before=-1 now=0 same=0 end=$((SECONDS + 300))

	while [ $same -lt 3 ]; do
		[ $SECONDS -lt $end ] || fail "the journal does not drain"
		sleep 1
		now=$(delivered)
		if [ "$now" = "$before" ]; then same=$((same + 1)); else same=0; fi
		before=$now
	done
}

# What the sink did not take in its time waits in the journal: a broker that was away is asked every ten seconds.
deliver_rest()
{
	local tries

	CARD=end_agent
	for ((tries = 0; tries < 5; tries++)); do
		grep -q 'left undelivered' "$AGENT_LOG" || return 0
		agent_start
		drain
		agent_end INT
	done
	fail "the journal does not drain"
}

# What the agent says that it has delivered.
delivered()
{
	local before

	before=$(grep -c '"counters"' "$AGENT_LOG" || true)
	kill -USR1 "$AGENT"
	wait_for "the agent's counters" 30 counters_more_than "$before"
	grep -o '"sink_records_delivered":[0-9]*' "$AGENT_LOG" | tail -n 1 | cut -d: -f2
}

counters_more_than()
{
	[ "$(grep -c '"counters"' "$AGENT_LOG")" -gt "$1" ]
}

prepare()
{
	mkdir -p "$LOGS/tmpfs"
	ext4 256M "$LOGS/ext4"
	ext4 64M $DISK
	agent_config 0
	agent_config 1
}

# In the background, each from its own part of the seed; all of them end by themselves.
other_chaos()
{
	chaos LOG_FAULTS 2 300 1500 &
	LOOPS=($!)
	chaos DISK_FAULTS 3 2000 8000 &
	LOOPS+=($!)
	chaos LOAD_FAULTS 4 1000 4000 &
	LOOPS+=($!)
	{ sleep "${MINUTES}m"; : >$CALM; } &
	LOOPS+=($!)
}

guest()
{
	local loop

	echo "seed $SEED, $MINUTES minutes"
	prepare
	agent_start
	load_start
	sample &
	flag chaos
	note begin
	other_chaos
	chaos AGENT_FAULTS 1 1000 5000
	for loop in "${LOOPS[@]}"; do
		wait "$loop" || fail "the faults ended early: the last was $(tail -n 1 "$OUT/schedule.guest")"
	done
	note end
	flag calm
	load_stop
	wait_flag broker.calm
	drain
	agent_end INT
	deliver_rest
	: >/run/e2e/over
}

# The broker's side.
host()
{
	CALM=$OUT/flag.calm
	note begin
	wait_flag chaos 300
	chaos BROKER_FAULTS 5 2000 10000
	flag broker.calm
}

check()
{
	local status=0

	kcat -C -q -e -m 60 -b "$KAFKA" -t "$(topic lines)" -f '%p %T %s\n' >"$OUT/messages"
	PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$REPO/tests/e2e/tools /usr/bin/python3 "$REPO/tests/faults/check.py" \
		"$OUT" "$TOOLS/loglines" "$MINUTES" <"$OUT/messages" >"$OUT/summary" 2>"$OUT/problems" || status=$?
	cat "$OUT/problems" "$OUT/summary"
	[ $status = 0 ] || fail "$(head -n 1 "$OUT/problems") (seed $SEED)"
	rm "$OUT/messages"
}
