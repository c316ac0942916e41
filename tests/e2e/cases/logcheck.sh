# Shows that logcheck, on which other cases rest, finds what it has to: records made of loglines'
# lines pass, and each single fault in them does not.
# needs: tools
# timeout: 60

. "$REPO/tests/e2e/lines.sh"

# What logtap would say: records FILE CONTAINER_ID STREAM <LINES
records()
{
	/usr/bin/python3 -c 'import json, sys
for number, line in enumerate(sys.stdin.buffer.read().split(b"\n")[:-1]):
    print(json.dumps({
        "timestamp": "2026-11-21T06:31:22.123456789Z", "host": "node", "source_type": "container",
        "stream": sys.argv[2], "container": {"id": sys.argv[1]},
        "id": "%s.%s.%d" % (*sys.argv[1:], number), "message": line.decode()}))' "$@"
}

# finds WHAT OPTION... <RECORDS: logcheck fails, and WHAT is among its reasons.
finds()
{
	local status=0

	"$TOOLS/logcheck" "${@:2}" "$EXPECTED" >"$OUT/figures" 2>"$OUT/problems" || status=$?
	[ "$status" = 1 ] || fail "logcheck's exit status is $status where it was to find '$1'"
	grep -q "$1" "$OUT/problems" || fail "not found: '$1', but: $(head -n 1 "$OUT/problems")"
}

passes()
{
	"$TOOLS/logcheck" "$@" "$EXPECTED" >"$OUT/figures" || fail "good records do not pass: $*"
}

# line NUMBER SED_COMMAND: the good records with that one changed.
line()
{
	sed "$1$2" "$OUT/good"
}

check()
{
	local loglines=("$TOOLS/loglines" --seed "$SEED" --lines 500) gap

	echo "seed $SEED"
	gap='{"timestamp":"2026-11-21T06:31:22.123456789Z","host":"node","source_type":"container",'
	gap+='"stream":"stdout","container":{"id":"c"},"id":"gap",'
	gap+='"lost":{"bytes":BYTES,"writes":1,"reason":"ring_full"}}'
	"${loglines[@]}" --writer a --report "$OUT/report" >"$OUT/lines"
	records c stdout <"$OUT/lines" >"$OUT/good"
	echo "id=c stream=stdout writer=a seed=$SEED $(cat "$OUT/report")" >"$EXPECTED"
	passes <"$OUT/good"
	expect "figures" "$(grep -c ' lines=500 missing=0 .* lost=0 ' "$OUT/figures")" 1

	line 100 d | finds 'a: lines 99 to 99 are missing'
	line 500 d | finds 'the last 1 of its 500 lines are missing'
	line 100 d | finds 'bytes written, but' --allow-loss
	line 100 p | finds 'was there before'
	line 100 'p;s/c\.stdout/d.stdout/' | finds 'line 99 again'
	line 100 '{h;d};101G' | finds 'line 99 again or out of order'
	# In the checksum: in what follows it may be half of an escape.
	line 7 's/\(message": "a 6 [0-9]* .\{3\}\)./\1#/' | finds 'line 6 of .* differs at byte'
	line 7 's/.\(", "encoding.*\)\?"}$/"}/' | finds 'line 6 of'
	line 7 's/"id": "c"}/"id": "other"}/' | finds 'unexpected: container other'
	line 7 's/"id": "c"}/"id": "c", "name": "x"}/' | finds 'container.name is x, not (none)'
	line 7 's/"stdout",/"stderr",/' | finds 'unexpected: container c, stream stderr'
	line 7 's/}$/, "partial": "max_size"}/' | finds 'is marked max_size'
	line 7 's/"message": "a /"message": "b /' | finds 'writer b does not write'
	line 7 's/"message": "a 6/"message": "a x/' | finds 'no numbered line'
	line 7 's/.$//' | finds 'is not JSON'
	line 7 'p;s/c\.stdout/d.stdout/;s/a 6 /a 500 /' | finds 'a has 500 lines'
	line 7 "a ${gap/BYTES/5}" | finds '5 bytes in 1 writes are lost: ring_full'
	line 7 "a ${gap/BYTES/5}" | finds '5 lost' --allow-loss
	line 7 "c ${gap/BYTES/$(sed -n 7p "$OUT/lines" | wc -c)}" | passes --allow-loss
	line 7 p | passes --allow-duplicates
	"${loglines[@]}" --writer a --omit 17 2>/dev/null | records c stdout |
		finds 'a: lines 17 to 17 are missing'
}
