# Sourced by the fault run, in the guest and on the host: decks of faults, and what each of them does.
# Which fault comes when follows from the seed; all that is done is noted in $OUT/schedule.PHASE.

FAULTS=${FAULTS-}	# names; if any, no others are done
CALM=/run/e2e/calm	# in the guest: the faults end when it exists

# note KIND [DETAIL]: in seconds of the guest's or the host's clock.
note()
{
	printf '%s %s\n' "$EPOCHREALTIME" "$*" >>"$OUT/schedule.$PHASE"
}

# draw DECK: sets CARD to one of the array DECK that was not drawn in this round, at random.
draw()
{
	local -n deck=$1 left=${1}_left
	local i

	[ ${#left[@]} -gt 0 ] || left=("${deck[@]}")
	i=$((RANDOM % ${#left[@]}))
	CARD=${left[i]}
	unset 'left[i]'
	left=("${left[@]}")
}

# nap MIN MAX: so many milliseconds, at random.
nap()
{
	local ms=$(($1 + RANDOM % ($2 - $1 + 1)))

	sleep $((ms / 1000)).$(printf %03d $((ms % 1000)))
}

# chaos DECK SALT MIN MAX: draws and does until it is calm and all of the deck was drawn once; MIN to MAX milliseconds between.
chaos()
{
	local -n all=$1
	local chosen=() chosen_left=() card done=0

	for card in "${all[@]}"; do
		[[ -n $FAULTS && " $FAULTS " != *" $card "* ]] || chosen+=("$card")
	done
	[ ${#chosen[@]} -gt 0 ] || return 0
	RANDOM=$((SEED + $2))
	while [ ! -e "$CALM" ] || [ $done -lt ${#chosen[@]} ]; do
		nap "$3" "$4"
		draw chosen
		note "$CARD"
		"$CARD"
		note "over $CARD"
		done=$((done + 1))
	done
}

# --- the agent. Two builds, two configurations.

AGENT_FAULTS=(kill_agent kill_agent_away kill_agent_starting stop_agent flood_agent end_agent end_agent_away reload_agent
	upgrade upgrade_killed)
BUILDS=("$REPO/build/logtap" "$REPO/build/next/logtap")
AGENT_NUMBER=0 BUILD_NUMBER=0 CONFIG_NUMBER=0 MORE_FILES=''

# agent_config NUMBER: captures of another size, so that an upgrade cannot just go on.
agent_config()
{
	kafka_config lines "$OUT/logtap.$1.yaml" </dev/null
	cat >>"$OUT/logtap.$1.yaml" <<-END
		capture:
		  files: ['$LOGS/*/*.log'$MORE_FILES]
		  shards: 2
		  ring_size: $((2 << $1))MiB
		  max_streams: $((256 * ($1 + 1)))
		lines: {max_line: 64KiB, memory: 8MiB, timeout: 30s, invalid_utf8: base64}
		journal:
		  directory: /run/logtap
		  max_size: 8MiB
		  segment_size: 1MiB
		  disk: {directory: $DISK/journal, max_size: 32MiB}
	END
}

agent_launch()
{
	AGENT_NUMBER=$((AGENT_NUMBER + 1))
	AGENT_LOG=$OUT/agent.$AGENT_NUMBER.err
	# A shell's background processes ignore SIGINT, by which logtap ends for good.
	env --default-signal=INT "${BUILDS[BUILD_NUMBER]}" run -c "$OUT/logtap.$CONFIG_NUMBER.yaml" \
		</dev/null >/dev/null 2>"$AGENT_LOG" &
	AGENT=$!
	echo "$AGENT" >/run/e2e/agent.pid
	note_agent
}

note_agent()
{
	note "agent $AGENT_NUMBER build $BUILD_NUMBER config $CONFIG_NUMBER after ${CARD-start}"
}

agent_start()
{
	agent_launch
	wait_for "agent $AGENT_NUMBER to capture" 120 logtap_ready "$AGENT_LOG" "$AGENT"
	kill -0 "$AGENT" 2>/dev/null || fail "agent $AGENT_NUMBER ended: $(tail -n 3 "$AGENT_LOG")"
}

# agent_end SIGNAL: it must end well, but for SIGKILL; and within Kubernetes' 30 s, or a bit more where all is slow.
agent_end()
{
	local status=0 timer

	kill "-$1" "$AGENT" || fail "agent $AGENT_NUMBER is gone: $(tail -n 3 "$AGENT_LOG")"
	{ sleep 60; kill -KILL "$AGENT"; } &
	timer=$!
	wait "$AGENT" || status=$?
	kill $timer
	[ "$1" = KILL ] || [ "$status" = 0 ] ||
		fail "agent $AGENT_NUMBER: exit status $status at SIG$1: $(tail -n 3 "$AGENT_LOG")"
}

kill_agent()
{
	agent_end KILL
	agent_start
}

kill_agent_away()
{
	agent_end KILL
	nap 1000 5000
	agent_start
}

# Wherever in its start it is.
kill_agent_starting()
{
	agent_end KILL
	agent_launch
	nap 0 3000
	agent_end KILL
	agent_start
}

stop_agent()
{
	kill -STOP "$AGENT"
	nap 1000 5000
	kill -CONT "$AGENT"
}

# Stopped while one writer runs wild: its part of the ring gets full.
flood_agent()
{
	kill -STOP "$AGENT"
	: >"$REPORTS/$FLOOD"
	nap 3000 5000
	rm -f "$REPORTS/$FLOOD"
	kill -CONT "$AGENT"
}

end_agent()
{
	agent_end TERM
	agent_start
}

end_agent_away()
{
	agent_end TERM
	nap 1000 5000
	agent_start
}

# A reload in the agent's log.
reloads()
{
	[ "$(grep -c 'loaded anew' "$AGENT_LOG")" -gt "$1" ]
}

# Another file is captured from then on, or no longer.
reload_agent()
{
	local before

	before=$(grep -c 'loaded anew' "$AGENT_LOG" || true)
	if [ -n "$MORE_FILES" ]; then MORE_FILES=''; else MORE_FILES=", '/run/e2e/more/*.log'"; fi
	agent_config "$CONFIG_NUMBER"
	kill -HUP "$AGENT"
	wait_for "agent $AGENT_NUMBER to load its configuration anew" 120 reloads "$before"
	note_agent
}

# The other build; every second time with the other configuration too.
other_build()
{
	BUILD_NUMBER=$((1 - BUILD_NUMBER))
	[ $BUILD_NUMBER = 0 ] || CONFIG_NUMBER=$((1 - CONFIG_NUMBER))
	agent_start
}

upgrade()
{
	agent_end TERM
	other_build
}

upgrade_killed()
{
	agent_end KILL
	other_build
}

# --- the journal's disk

DISK=/run/e2e/disk
DISK_FAULTS=(fill_disk readonly_disk)

fill_disk()
{
	dd if=/dev/zero of=$DISK/filler bs=64k 2>/dev/null || true
	nap 3000 8000
	rm $DISK/filler
}

# Refused while a file is open for writing: tried again for a while.
readonly_disk()
{
	local try

	for try in {1..40}; do
		! mount -o remount,ro $DISK 2>/dev/null || break
		sleep 0.1
	done
	[ "$try" -lt 40 ] || note "refused readonly_disk"
	nap 3000 8000
	mount -o remount,rw $DISK
}

# --- the logs

LOG_FAULTS=(rename_log truncate_log copy_log delete_log)

rename_log()
{
	# Its writer may not have made it again yet.
	wait_for "renamed.log to be made again" 60 test -e "$LOGS/ext4/renamed.log"
	mv "$LOGS/ext4/renamed.log" "$LOGS/ext4/renamed.1"
}

truncate_log()
{
	truncate -s 0 "$LOGS/ext4/truncated.log"
}

copy_log()
{
	cp "$LOGS/tmpfs/copied.log" "$LOGS/tmpfs/copied.1"
	: >"$LOGS/tmpfs/copied.log"
}

delete_log()
{
	rm -f "$LOGS/tmpfs/deleted.log"
}

# --- the load

LOAD_FAULTS=(runaway brief_container brief_container brief_container)
BRIEFS=0

# One writer without a bound.
runaway()
{
	: >"$REPORTS/$FLOOD"
	nap 1000 2000
	rm -f "$REPORTS/$FLOOD"
}

brief_container()
{
	BRIEFS=$((BRIEFS + 1))
	brief "$BRIEFS"
}

# --- the broker, on the host

BROKER_FAULTS=(pause_broker kill_broker stop_broker)

pause_broker()
{
	broker pause
	nap 1000 6000
	broker resume
}

kill_broker()
{
	broker kill
	nap 0 4000
	broker start
}

stop_broker()
{
	broker stop
	nap 0 4000
	broker start
}
