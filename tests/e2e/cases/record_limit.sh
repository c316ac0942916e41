# Shows that a record over the broker's limit is cut to fit, marked and counted, and holds up
# nothing: a topic that takes 10,000 bytes gets lines of up to 64 KiB among small ones.
# needs: logtap tools kafka
# topics: lines:2:10000
# timeout: 120
# pods: 1

. "$REPO/tests/e2e/lines.sh"
WHOLE=6000	# bytes of a line that fits with everything around it

guest()
{
	kafka_config lines "$OUT/logtap.yaml" </dev/null
	logtap_start logtap "$OUT/logtap.yaml"
	pod_bundle 1 /mnt/loglines --seed "$SEED" --writer limited --lines 1200 --rate 100 \
		--sizes mix --fd 2 --report /var/log/limited
	container_start "$(pod_id 1)"
	container_wait "$(pod_id 1)"
	container_delete "$(pod_id 1)"
	logtap_stop logtap || fail "logtap's exit status is $?"
	expect_pod 1 stderr limited sizes=mix
}

check()
{
	local cut

	consume lines | logcheck --allow-cut $WHOLE --allow-duplicates
	cut=$(figure cut)
	[ "$cut" -gt 0 ] || fail "no line was cut"
	expect "records said to be cut" "$(counter sink_records_cut logtap)" "$cut"
	expect "records dropped" "$(counter sink_records_dropped logtap)" 0
	expect "records delivered" "$(counter sink_records_delivered logtap)" "$(figure lines)"
	consume lines | awk 'length($0) > 10000 { print "a record of", length($0), "bytes"; exit 1 }' ||
		fail "a record is over the limit"
	echo "$cut of $(figure lines) lines were cut, $(figure duplicates) came twice"
}
