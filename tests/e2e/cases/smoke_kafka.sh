# Shows that the harness works: what a guest produces to the broker on the host a consumer on the
# host reads, across a pause of the broker.
# needs: kafka
# topics: lines:2
# timeout: 240

guest()
{
	kcat -L -m 60 -b "$KAFKA" >"$OUT/metadata"
	seq 100 | kcat -P -b "$KAFKA" -t "$(topic lines)"
	flag first
	wait_flag paused
	seq 101 200 | kcat -P -b "$KAFKA" -t "$(topic lines)" &
	flag producing
	wait $!
}

host()
{
	wait_flag first
	broker pause
	flag paused
	wait_flag producing
	broker resume
}

check()
{
	expect "advertised address" "$(grep -c "at $(broker address guest)" "$OUT/metadata")" 1
	consume lines | sort -n >"$OUT/consumed"
	expect "lines" "$(cksum <"$OUT/consumed")" "$(seq 200 | cksum)"
}
