# Sourced by cases whose lines loglines writes and logcheck verifies (needs: tools), in all phases.
SEED=$(cat "$OUT/seed")
EXPECTED=$OUT/expected	# what logcheck is to expect
REPORTS=/run/e2e/reports	# in containers: /var/log; what loglines says that it wrote

# pod_id NUMBER: an id as containerd's CRI plugin gives to containers.
pod_id()
{
	printf '%056x%08x\n' $((0x1001 * SEED + 1)) "$1"
}

pod_uid()
{
	printf '%08x-0000-4000-8000-%012x\n' "$1" "$SEED"
}

# pod_bundle NUMBER COMMAND...: the bundle of container c-NUMBER in pod-NUMBER, which finds
# loglines in /mnt.
pod_bundle()
{
	mkdir -p "$REPORTS"
	bundle -p "pod-$1" -n "space-$1" -u "$(pod_uid "$1")" -c "c-$1" -i "registry.test/image:$1" \
		-m "$TOOLS:/mnt" -m "$REPORTS:/var/log" "$(pod_id "$1")" "${@:2}"
}

# expect_pod NUMBER STREAM WRITER KEY=VALUE...: what the bundle's container writes; the report of
# its loglines is WRITER.
expect_pod()
{
	echo "id=$(pod_id "$1") runtime=containerd name=c-$1 image=registry.test/image:$1" \
		"pod=pod-$1 namespace=space-$1 uid=$(pod_uid "$1") stream=$2" \
		"writer=$3 seed=$SEED ${*:4} $(cat "$REPORTS/$3")" >>"$EXPECTED"
}

# logcheck OPTION... <RECORDS: to the letter; its figures are in $OUT/figures.
logcheck()
{
	local status=0

	echo "seed $SEED"
	"$TOOLS/logcheck" "$@" "$EXPECTED" >"$OUT/figures" 2>"$OUT/problems" || status=$?
	cat "$OUT/problems" "$OUT/figures"
	[ "$status" = 0 ] ||
		fail "$(sed 's/^logcheck: //;q' "$OUT/problems") (seed $SEED)"
}

figure()
{
	grep -o "\b$1=[0-9]*" "$OUT/figures" | cut -d= -f2
}

# counter NAME LOG: what logtap said of it last, in $OUT/LOG.err.
counter()
{
	grep -o "\"$1\":[0-9]*" "$OUT/$2.err" | tail -n 1 | cut -d: -f2
}

# kafka_config TOPIC FILE: configuration of a logtap that captures containers and ships to TOPIC;
# more of the section `kafka` comes from stdin.
kafka_config()
{
	{
		printf '%s\n' "sink: kafka" "kafka:" "  brokers: ['$KAFKA']" "  topic: $(topic "$1")"
		cat
	} >"$2"
}
