# Shows that names are complete from the first line to the last, however short the life: 1,000
# containers that live 1 ms to 1 s, among them real pods of the CRI plugin, as many as the guest
# carries in ten minutes, the rest laid out as that plugin does; each writes a first and a last line to
# stdout and stderr and is gone with its bundle.
# needs: logtap tools containerd
# timeout: 3000
# pods: 1
# slow: a thousand containers start, on two emulated processors

. "$REPO/tests/e2e/lines.sh"
CONTAINERS=${CONTAINERS:-1000}
AT_ONCE=16
REAL_SECONDS=${REAL_SECONDS:-600}

# What container NUMBER does between its first and its last line: 1 ms to 1 s.
program()
{
	echo "echo first $1; echo first $1 >&2; usleep $((1 + $1 * 7919 % 1000))000; echo last $1; echo last $1 >&2"
}

real_pod()
{
	local sandbox container

	read -r sandbox container < <(cri run "pod-$1" "space-$1" "$(pod_uid "$1")" "c-$1" -- sh -c "$(program "$1")")
	cri wait "$container"
	cri remove "$sandbox"
	echo "$container" >"$REPORTS/id.$1"
}

laid_out_pod()
{
	local id dir

	id=$(pod_id "$1")
	pod_bundle "$1" sh -c "$(program "$1")"
	dir=$(bundle_dir "$id")
	runc --root "/run/containerd/runc/$CRI_NAMESPACE" --log "$OUT/runc.log" run --bundle "$dir" "$id" \
		</dev/null >/dev/null 2>&1
	rm -rf "$dir"
	echo "$id" >"$REPORTS/id.$1"
}

# One worker's share: real pods until their time is over.
pods()
{
	local n

	for ((n = $1; n <= CONTAINERS; n += AT_ONCE)); do
		if [ "$1" -le 4 ] && [ "$SECONDS" -lt "$REAL_SECONDS" ]; then
			real_pod "$n"
			echo "$n" >>"$REPORTS/real"
		else
			laid_out_pod "$n"
		fi
	done
}

guest()
{
	local n workers=() worker

	mkdir -p "$REPORTS"
	containerd_start
	logtap_start logtap
	SECONDS=0
	for ((n = 1; n <= AT_ONCE; n++)); do
		pods "$n" &
		workers+=($!)
	done
	for worker in "${workers[@]}"; do
		wait "$worker"
	done
	logtap_stop logtap || fail "logtap's exit status is $?"
	containerd_stop
	cp -r "$REPORTS" "$OUT/reports"
}

check()
{
	CONTAINERS=$CONTAINERS SEED=$SEED judge <<-'END'
		import os, sys
		import records

		out, count, seed = sys.argv[1], int(os.environ["CONTAINERS"]), int(os.environ["SEED"])
		real = {int(n) for n in open(f"{out}/reports/real")} if os.path.exists(f"{out}/reports/real") else set()
		logs = records.load(f"{out}/logtap.out")
		for n in range(1, count + 1):
		    for stream in "stdout", "stderr":
		        found = logs.pop(f"c-{n}/{stream}", [])
		        records.expect(f"pod {n}: lines of {stream}", [line.get("message") for line in found], [f"first {n}", f"last {n}"])
		        for line in found:
		            who, pod = line["container"], line["kubernetes"]
		            image = "localhost/busybox:1" if n in real else f"registry.test/image:{n}"
		            name = f"c-{n}"
		            records.expect(f"pod {n}: container", {key: who[key] for key in ("id", "name", "image", "runtime")},
		                           {"id": open(f"{out}/reports/id.{n}").read().strip(), "name": name, "image": image,
		                            "runtime": "containerd"})
		            records.expect(f"pod {n}: pod", {key: pod[key] for key in ("pod_name", "pod_namespace", "pod_uid", "container_name")},
		                           {"pod_name": f"pod-{n}", "pod_namespace": f"space-{n}",
		                            "pod_uid": f"{n:08x}-0000-4000-8000-{seed:012x}", "container_name": name})
		records.expect("other logs", sorted(logs), [])
		records.expect_no_loss(f"{out}/logtap.err")
		with open(f"{out}/summary", "w") as summary:
		    print(f"{count} containers, {len(real)} of them real pods", file=summary)
	END
}
