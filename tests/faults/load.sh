# Sourced by the fault run in the guest: what writes, and where. Every writer is a loglines, so that all of its bytes follow
# from its name, the seed and the number of lines that it says it wrote; `writer` notes what the check is to expect.
# A stream's mode: `exact` has one writer, so each gap's place and size can be verified; in `lines` two
# writers share a pipe, or the file is rotated: lines and order are verified, gaps by their sum.

LOGS=/run/e2e/logs
STOP=stop	# in $REPORTS, /var/log in containers: ends all writers
FLOOD=flood	# likewise: while it exists the runaway writes as fast as it can
PACE=${PACE:-4}	# lines a second of the slowest streams; others have up to 15 times as many
PODS=()

# writer NAME MODE KEY=VALUE... -- OPTION...: one more to expect; sets COMMAND, which reports to the
# container's /var/log.
writer()
{
	local name=$1 mode=$2 about='' options
	shift 2

	while [ "$1" != -- ]; do
		about+=" $1"
		shift
	done
	shift
	options=$*
	about+=" sizes=$(expr "$options" : '.*--sizes \([a-z]*\)')"
	[[ $options != *--binary* ]] || about+=" binary=1"
	echo "writer=$name mode=$mode seed=$SEED$about" >>"$OUT/writers"
	COMMAND="/mnt/loglines --writer $name --seed $SEED --lines 100000000 --report /var/log/$name"
	COMMAND+=" --until /var/log/$STOP $options"
}

# pod NUMBER OUT_OPTIONS ERR_OPTIONS: one writer on stdout, one on stderr.
pod()
{
	local about out

	about="id=$(pod_id "$1") name=c-$1 pod=pod-$1 namespace=space-$1 uid=$(pod_uid "$1") kind=pod"
	# shellcheck disable=SC2086 # words
	writer "out-$1" exact $about stream=stdout -- --fd 1 $2
	out=$COMMAND
	# shellcheck disable=SC2086
	writer "err-$1" exact $about stream=stderr -- --fd 2 $3
	pod_bundle "$1" sh -c "$out & $COMMAND; wait"
	PODS+=("$(pod_id "$1")")
}

# pair NUMBER: two processes with full buffers on one pipe.
pair()
{
	local about first

	about="id=$(pod_id "$1") name=c-$1 pod=pod-$1 namespace=space-$1 uid=$(pod_uid "$1") kind=pair"
	# shellcheck disable=SC2086
	writer "one-$1" lines $about stream=stdout -- --fd 1 --block 4096 --rate $((15 * PACE)) --sizes short
	first=$COMMAND
	# shellcheck disable=SC2086
	writer "two-$1" lines $about stream=stdout -- --fd 1 --block 4096 --rate $((10 * PACE)) --sizes short
	pod_bundle "$1" sh -c "$first & $COMMAND; wait"
	PODS+=("$(pod_id "$1")")
}

# log MODE PATH OPTION...: a process of the host with a log file.
log()
{
	local name=${2#"$LOGS"/}

	name=${name//\//-}
	# shellcheck disable=SC2086
	writer "$name" "$1" "file=$2" kind=file -- --file "$2" "${@:3}"
	COMMAND=${COMMAND//\/mnt\//$TOOLS/}
	${COMMAND//\/var\/log\//$REPORTS/} &
	LOGGERS+=($!)
}

# brief NUMBER: a container that is gone after a few lines. Its names may be gone with it.
brief()
{
	writer "brief-$1" exact "id=brief-$1" stream=stdout kind=brief -- --fd 1 --sizes short
	# shellcheck disable=SC2086
	bundle -m "$TOOLS:/mnt" -m "$REPORTS:/var/log" "brief-$1" ${COMMAND/100000000/40}
	container_run "brief-$1"
}

load_start()
{
	local i

	LOGGERS=()
	mkdir -p "$REPORTS"
	pod 1 "--rate $((6 * PACE)) --sizes short" "--rate $((2 * PACE)) --sizes short --binary"
	pod 2 "--rate $((3 * PACE)) --sizes mix --binary" "--rate $((3 * PACE)) --sizes short"
	pod 3 "--rate $((6 * PACE)) --sizes plain --halve 10" "--rate $((3 * PACE)) --sizes short --halve 5"
	pod 4 "--rate $((3 * PACE)) --sizes mix" "--rate $((6 * PACE)) --sizes short"
	pod 5 "--rate $((6 * PACE)) --sizes short" "--rate 5 --sizes short --halve 1"
	pod 6 "--rate $((6 * PACE)) --sizes short --flood /var/log/$FLOOD" "--rate $((2 * PACE)) --sizes short"
	pair 7
	pair 8
	for i in "${PODS[@]}"; do
		container_start "$i"
	done
	log lines "$LOGS/ext4/renamed.log" --rate $((6 * PACE)) --sizes short --follow
	log lines "$LOGS/ext4/truncated.log" --rate $((6 * PACE)) --sizes short --follow
	log lines "$LOGS/tmpfs/copied.log" --rate $((6 * PACE)) --sizes short --follow
	log lines "$LOGS/tmpfs/deleted.log" --rate $((6 * PACE)) --sizes mix --follow
	log exact "$LOGS/tmpfs/plain.log" --rate $((6 * PACE)) --sizes short --halve 20
	log exact "$LOGS/tmpfs/mixed.log" --rate $((2 * PACE)) --sizes mix
	log exact "$LOGS/ext4/binary.log" --rate $((3 * PACE)) --sizes short --binary
}

# Ends the writers; what they say that they wrote goes to what is expected.
load_stop()
{
	local pod line name

	: >"$REPORTS/$STOP"
	for pod in "${PODS[@]}"; do
		container_wait "$pod" 120
		container_delete "$pod"
	done
	wait "${LOGGERS[@]}"
	while read -r line; do
		name=${line%% *}
		echo "$line $(cat "$REPORTS/${name#writer=}")"
	done <"$OUT/writers" >"$EXPECTED"
}
