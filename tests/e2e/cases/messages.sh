# Shows that who cannot run logtap, or runs it wrongly, reads why and what to do, with the right exit status and without a word of
# libbpf's: a bad configuration, no root, no BTF, a second agent, a closed output, a broker that is not there, lockdown.
# needs: logtap
# timeout: 150

# tells NAME STATUS COMMAND...: the command ends with that status and says something, in $OUT/NAME.err.
tells()
{
	local name=$1 wanted=$2 status=0
	shift 2

	timeout 60 "$@" </dev/null >"$OUT/$name.out" 2>"$OUT/$name.err" || status=$?
	expect "$name: exit status" "$status" "$wanted"
	[ -s "$OUT/$name.err" ] || [ -s "$OUT/$name.out" ] || fail "$name: nothing is said"
}

bad_configuration()
{
	cat >/run/bad.yaml <<-END
		capture:
		  shards: 99
		  ring_size: 65537
		  colour: blue
		lines:
		  assembly: perhaps
		sink: kafka
	END
	tells config 2 "$LOGTAP" run -c /run/bad.yaml
	tells config_check 2 "$LOGTAP" check /run/bad.yaml
	tells config_missing 2 "$LOGTAP" run -c /run/none.yaml
	tells usage 2 "$LOGTAP" start
	tells usage_option 2 "$LOGTAP" -c /run/bad.yaml run
	tells usage_argument 2 "$LOGTAP" detach now
	tells usage_help 0 "$LOGTAP" check --help
}

# A copy, as the repository may lie where only root can go.
not_root()
{
	install -m 755 "$LOGTAP" /run/e2e/logtap
	tells nobody 1 setpriv --reuid 65534 --regid 65534 --clear-groups /run/e2e/logtap run
	tells nobody_doctor 1 setpriv --reuid 65534 --regid 65534 --clear-groups /run/e2e/logtap doctor
}

no_btf()
{
	# shellcheck disable=SC2016 # expanded there
	tells btf 1 unshare -m sh -c 'mount -t tmpfs none /sys/kernel/btf && exec "$0" run' "$LOGTAP"
}

second_agent()
{
	logtap_start first
	tells second 1 "$LOGTAP" run
	echo 'capture: {pin: ""}' >/run/unpinned.yaml
	tells second_unpinned 1 "$LOGTAP" run -c /run/unpinned.yaml
	logtap_stop first || fail "first: exit status $?"
}

closed_output()
{
	local status=0 reader

	mkfifo /run/e2e/output
	sleep 1000 </run/e2e/output &
	reader=$!
	"$LOGTAP" run </dev/null >/run/e2e/output 2>"$OUT/epipe.err" &
	LOGTAP_PIDS[epipe]=$!
	wait_for "logtap to capture" 60 logtap_ready "$OUT/epipe.err" "${LOGTAP_PIDS[epipe]}"
	kill "$reader"
	bundle speaks echo "a line"
	container_run speaks
	wait "${LOGTAP_PIDS[epipe]}" || status=$?
	expect "output whose reader is gone: exit status" "$status" 1
	tells closed 2 sh -c 'exec "$0" run >&-' "$LOGTAP"
}

has_lines()
{
	kill -USR1 "${LOGTAP_PIDS[kafka]}"
	grep -q "\"lines\":$1," "$OUT/kafka.err"
}

# Says once that there is no broker, goes on, and ends in time with what it could not deliver.
no_broker()
{
	local status=0

	cat >/run/kafka.yaml <<-END
		sink: kafka
		kafka:
		  brokers: [127.0.0.1:9]
	END
	logtap_start kafka /run/kafka.yaml
	bundle unheard echo "a line"
	container_run unheard
	wait_for "the message about the broker" 60 grep -q 127.0.0.1:9 "$OUT/kafka.err"
	bundle unheard sh -c 'for i in $(seq 20); do echo "$i"; usleep 200000; done'
	container_run unheard
	wait_for "the lines" 60 has_lines 21
	kill -TERM "${LOGTAP_PIDS[kafka]}"
	timeout 60 tail -s 0.1 -f /dev/null --pid="${LOGTAP_PIDS[kafka]}" || fail "does not end within 60 s without a broker"
	wait "${LOGTAP_PIDS[kafka]}" || status=$?
	expect "without a broker: exit status" "$status" 0
}

# For good: nothing can follow. Where the kernel has no lockdown this is left out.
lockdown()
{
	mountpoint -q /sys/kernel/security || mount -t securityfs none /sys/kernel/security
	[ -w /sys/kernel/security/lockdown ] || return 0
	echo confidentiality >/sys/kernel/security/lockdown
	tells lockdown 1 "$LOGTAP" run
	tells lockdown_doctor 1 "$LOGTAP" doctor
}

guest()
{
	mkdir -p /run/e2e
	bad_configuration
	not_root
	no_btf
	second_agent
	closed_output
	no_broker
	lockdown
}

# says NAME PATTERN...: each in what logtap said.
says()
{
	local name=$1 pattern
	shift

	for pattern; do
		grep -qEis -- "$pattern" "$OUT/$name.err" "$OUT/$name.out" ||
			fail "$name: not a word of '$pattern'"
	done
}

check()
{
	says config 'bad.yaml:2: .*shards' 'bad.yaml:3: .*ring_size' 'bad.yaml:4: .*colour' 'bad.yaml:6: .*assembly' 'brokers'
	says config_check 'bad.yaml:2: .*shards' 'bad.yaml:4: .*colour'
	says config_missing '/run/none.yaml'
	says usage "'start' is no command" '--help'
	says usage_option "'-c' is no option here" '--help'
	says usage_argument 'detach takes -c FILE' '--help'
	says usage_help 'check FILE'
	says nobody 'root|CAP_BPF'
	says nobody_doctor 'root|CAP_BPF'
	says btf 'BTF'
	says second 'another logtap' 'process [0-9]* holds' 'capture.pin'
	says second_unpinned 'another logtap' 'journal.directory'
	says epipe 'nobody reads it any more' 'stopped with 1 records not written' '"bytes_captured":7,' '"sink_records_delivered":0,'
	says closed 'standard output is not open'
	# All that was written, 58 bytes in 21 lines, is told as not delivered, and the line that epipe's run has left.
	says kafka '127.0.0.1:9' '"bytes_captured":58,' '"lines":21,' '"sink_records_delivered":0,' '22 records are left undelivered'
	expect "messages about the broker" "$(grep -c 127.0.0.1:9 "$OUT/kafka.err")" 1
	[ ! -e "$OUT/lockdown.err" ] || says lockdown 'lockdown'
	[ ! -e "$OUT/lockdown.err" ] || says lockdown_doctor 'lockdown'
	! grep -il libbpf "$OUT"/*.err || fail "libbpf speaks"
	! grep -l 'capturing' "$OUT"/{config,nobody,btf,second,closed,lockdown}.err || fail "who cannot run says that it captures"
}
