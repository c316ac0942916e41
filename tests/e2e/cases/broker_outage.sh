# Shows that an outage of the broker delays and does not lose: it hangs for 8 s and then is dead
# for 8 s, while a container writes all the time; once with librdkafka's own patience and once with
# a message.timeout.ms that both outages exceed. And that logtap waits without spinning.
# needs: logtap tools kafka
# topics: patient:2 hasty:2
# timeout: 300
# pods: 2

. "$REPO/tests/e2e/lines.sh"
OUTAGE=8	# seconds
RATE=50	# few: logtap's work shall not be taken for spinning

# Clock ticks that the process has run.
cpu_ticks()
{
	awk '{ print $14 + $15 }' "/proc/$1/stat"
}

# In 1/100 s, as ticks are; of time that passed.
uptime_ticks()
{
	awk '{ print int($1 * 100) }' /proc/uptime
}

# Clock ticks that five million additions take on this machine at this moment: 1/6 of OUTAGE where this was written.
effort()
{
	local TIMEFORMAT=%2U ticks

	ticks=$({ time awk 'BEGIN { for (i = 0; i < 5000000; i++) sum += i }'; } 2>&1 | tr -d .)
	echo $((10#$ticks))
}

# outage RUN KIND: asks the host for one and measures logtap meanwhile.
outage()
{
	local pid=${LOGTAP_PIDS[$1]} cpu passed most

	flag "$1.$2.wanted"
	wait_flag "$1.$2.begun"
	cpu=$(cpu_ticks "$pid") passed=$(uptime_ticks)
	flag "$1.$2.watched"
	wait_flag "$1.$2.over"
	cpu=$(($(cpu_ticks "$pid") - cpu)) passed=$(($(uptime_ticks) - passed))
	most=$((2 * $(effort) * passed / (100 * OUTAGE)))
	echo "$1, $2: logtap ran $cpu of $passed ticks without a broker, may run $most"
	[ "$passed" -ge $((90 * OUTAGE)) ] || fail "an outage of $passed ticks only"
	[ "$cpu" -lt "$most" ] || fail "logtap ran $cpu of $passed ticks without a broker, not less than $most"
	flag "$1.$2.measured"
	wait_flag "$1.$2.ended"
}

# run NUMBER NAME: one logtap that ships to topic NAME, through both outages.
run()
{
	local delivered

	logtap_start "$2" "$OUT/$2.yaml"
	pod_bundle "$1" /mnt/loglines --seed "$SEED" --writer "$2" --lines 1000000 --rate $RATE \
		--sizes short --fd 1 --until "/var/log/stop.$2" --report "/var/log/$2"
	container_start "$(pod_id "$1")"
	wait_for "records" 30 delivered_more_than "$2" 0
	outage "$2" hang
	delivered=$(delivered "$2")
	wait_for "records after the hang" 60 delivered_more_than "$2" "$delivered"
	outage "$2" death
	delivered=$(delivered "$2")
	wait_for "records after the death" 60 delivered_more_than "$2" "$delivered"
	touch "$REPORTS/stop.$2"
	container_wait "$(pod_id "$1")"
	container_delete "$(pod_id "$1")"
	logtap_stop "$2" || fail "logtap's exit status is $?"
	expect_pod "$1" stdout "$2" sizes=short
}

# What logtap says on SIGUSR1.
delivered()
{
	local before

	before=$(grep -c '"counters"' "$OUT/$1.err" || true)
	kill -USR1 "${LOGTAP_PIDS[$1]}"
	wait_for "logtap's counters" 30 counters_more_than "$before" "$1"
	counter sink_records_delivered "$1"
}

counters_more_than()
{
	[ "$(grep -c '"counters"' "$OUT/$2.err")" -gt "$1" ]
}

delivered_more_than()
{
	[ "$(delivered "$1")" -gt "$2" ]
}

guest()
{
	kafka_config patient "$OUT/patient.yaml" </dev/null
	kafka_config hasty "$OUT/hasty.yaml" <<-END
		  rdkafka: {message.timeout.ms: 5000}
	END
	run 1 patient
	run 2 hasty
}

# The broker's side of an outage: KIND RUN BEGIN END
answer()
{
	wait_flag "$2.$1.wanted" 240
	broker "$3"
	flag "$2.$1.begun"
	wait_flag "$2.$1.watched"
	sleep $OUTAGE
	flag "$2.$1.over"
	wait_flag "$2.$1.measured"
	broker "$4"
	flag "$2.$1.ended"
}

host()
{
	local run

	for run in patient hasty; do
		answer hang "$run" pause resume
		answer death "$run" kill start
	done
}

# Records that were sent again after a failed delivery may come twice, with the same id.
check()
{
	local all=$EXPECTED run

	for run in patient hasty; do
		EXPECTED=$OUT/expected.$run
		grep "writer=$run " "$all" >"$EXPECTED"
		consume "$run" | logcheck --allow-duplicates
		echo "$run: $(counter sink_records_retried "$run") records sent again, $(figure \
			duplicates) came twice"
	done
	expect "duplicates with librdkafka's own patience" "$(sed -n 's/^patient: .* \([0-9]*\) came.*/\1/p' \
		"$OUT/check.log")" 0
}
