# Shows that nothing is lost, doubled, reordered or misnamed: two containers in two pods and a log
# file, 100,000 lines each of 64 bytes to 64 KiB, all at once, through a broker to a consumer.
# needs: logtap tools kafka
# topics: lines:4
# timeout: 300
# pods: 2
# slow: 470 MB through two emulated processors

. "$REPO/tests/e2e/lines.sh"
LINES_EACH=${LINES_EACH:-100000}
RATE=${RATE:-1000}
LOGS=/run/e2e/logs

configure()
{
	kafka_config lines "$OUT/logtap.yaml" </dev/null
	cat >>"$OUT/logtap.yaml" <<-END
		capture:
		  files: ['$LOGS/*.log']
		  shards: 2
	END
}

guest()
{
	local loglines="--seed $SEED --lines $LINES_EACH --rate $RATE --sizes mix"

	mkdir -p "$LOGS"
	configure
	logtap_start logtap "$OUT/logtap.yaml"
	pod_bundle 1 sh -c "/mnt/loglines $loglines --writer one --fd 1 --report /var/log/one"
	pod_bundle 2 sh -c "/mnt/loglines $loglines --writer two --fd 2 --report /var/log/two &
		/mnt/loglines --seed $SEED --lines $((LINES_EACH / 100)) --rate $((RATE / 100)) --sizes short \
			--writer three --fd 1 --report /var/log/three; wait"
	container_start "$(pod_id 1)"
	container_start "$(pod_id 2)"
	# shellcheck disable=SC2086 # options are split on purpose
	"$TOOLS/loglines" $loglines --writer four --file "$LOGS/app.log" --report "$REPORTS/four"
	container_wait "$(pod_id 1)" 120
	container_wait "$(pod_id 2)" 120
	container_delete "$(pod_id 1)"
	container_delete "$(pod_id 2)"
	logtap_stop logtap || fail "logtap's exit status is $?"
	expect_pod 1 stdout one sizes=mix
	expect_pod 2 stderr two sizes=mix
	expect_pod 2 stdout three sizes=short
	echo "file=$LOGS/app.log writer=four seed=$SEED sizes=mix $(cat "$REPORTS/four")" >>"$EXPECTED"
}

check()
{
	consume lines | logcheck
	expect "records sent again" "$(counter sink_records_retried logtap)" 0
	expect "records delivered" "$(counter sink_records_delivered logtap)" "$(figure lines)"
}
