# Shows that what lives for milliseconds is captured and attributed: 200 containers that print one
# line to stdout and one to stderr and are gone with all traces, 20 at a time, and two pods of
# the real CRI plugin, beside a container that writes 10,000 lines a second in full buffers, or as
# many as the guest has room for: the check says how many it were (9,958 on two quiet cores).
# needs: logtap tools containerd
# timeout: 1200
# pods: 203
# slow: two hundred containers start beside a flood

. "$REPO/tests/e2e/lines.sh"
CONTAINERS=200
AT_ONCE=20
REAL_PODS=2
BUSY_RATE=10000

# One worker's share. runc stays, as a shim would, and deletes the container when it has ended; the
# bundle goes at once.
short_containers()
{
	local n id dir root=/run/containerd/runc/$CRI_NAMESPACE

	for ((n = $1; n <= CONTAINERS; n += AT_ONCE)); do
		pod_bundle "$n" /mnt/loglines --seed "$SEED" --writer "w$n" --lines 1 --sizes short \
			--fd 1 --fd 2 --report "/var/log/w$n"
		id=$(pod_id "$n")
		dir=$(bundle_dir "$id")
		runc --root "$root" --log "$OUT/runc.log" run --bundle "$dir" "$id" </dev/null \
			>/dev/null 2>&1
		rm -rf "$dir"
	done
}

# A pod of containerd's, whose lines are its command's arguments.
real_pod()
{
	local sandbox container line uid

	uid=$(pod_uid "90$1")
	line=$("$TOOLS/loglines" --seed "$SEED" --writer "r$1" --lines 1 --sizes plain \
		--report "$REPORTS/r$1")
	read -r sandbox container < <(cri run "real-$1" shop "$uid" "c-$1" -- \
		sh -c 'echo "$0"; echo "$0" >&2' "$line")
	cri wait "$container"
	cri remove "$sandbox"
	echo "$container" >"$REPORTS/id.r$1"
}

# Two emulated processors: without this the runtimes' many threads leave the writer, those who drain
# it and logtap next to nothing.
prefer_busy()
{
	local id pid

	id=$(pod_id 1000)
	for pid in ${DRAINS[$id]} "${LOGTAP_PIDS[logtap]}" $(cat "/sys/fs/cgroup/kubepods/besteffort/pod$(
		pod_uid 1000)/$id/cgroup.procs"); do
		chrt --all-tasks --fifo --pid 1 "$pid"
	done
}

guest()
{
	local n workers=() worker start

	containerd_start
	logtap_start logtap
	pod_bundle 1000 /mnt/loglines --seed "$SEED" --writer busy --lines 3000000 \
		--rate "$BUSY_RATE" --sizes short --block 4096 --fd 1 --until /var/log/stop \
		--report /var/log/busy
	container_start "$(pod_id 1000)"
	prefer_busy
	start=$SECONDS
	for ((n = 1; n <= AT_ONCE; n++)); do
		short_containers "$n" &
		workers+=($!)
	done
	for worker in "${workers[@]}"; do
		wait "$worker"
	done
	for ((n = 1; n <= REAL_PODS; n++)); do
		real_pod "$n"
	done
	touch "$REPORTS/stop"
	echo $((SECONDS - start)) >"$REPORTS/seconds"
	container_wait "$(pod_id 1000)"
	container_delete "$(pod_id 1000)"
	logtap_stop logtap || fail "logtap's exit status is $?"
	containerd_stop
	cp -r "$REPORTS" "$OUT/reports"
}

# expect_real_pod NUMBER
expect_real_pod()
{
	local stream uid

	uid=$(pod_uid "90$1")
	for stream in stdout stderr; do
		echo "id=$(cat "$REPORTS/id.r$1") runtime=containerd name=c-$1" \
			"image=localhost/busybox:1 pod=real-$1 namespace=shop uid=$uid log=/var/log/pods/shop_real-$1_$uid/c-$1/0.log" \
			"stream=$stream writer=r$1 seed=$SEED sizes=plain $(cat "$REPORTS/r$1")" \
			>>"$EXPECTED"
	done
}

check()
{
	local n

	REPORTS=$OUT/reports
	for ((n = 1; n <= CONTAINERS; n++)); do
		expect_pod "$n" stdout "w$n" sizes=short
		expect_pod "$n" stderr "w$n" sizes=short
	done
	for ((n = 1; n <= REAL_PODS; n++)); do
		expect_real_pod "$n"
	done
	expect_pod 1000 stdout busy sizes=short
	logcheck <"$OUT/logtap.out"
	expect "streams" "$(figure streams)" $((2 * CONTAINERS + 2 * REAL_PODS + 1))
	echo "beside them: $(($(sed 's/.*lines=\([0-9]*\).*/\1/' "$REPORTS/busy") / $(cat \
		"$REPORTS/seconds"))) lines/s"
	rm "$OUT/logtap.out"
}
