# Shows that each line of a Podman's containers says whose it is where Podman keeps SQLite: 4.9, built from source, with Debian's
# crun and conmon; labels and restarts come from db.sql, also while other containers write to it.
# needs: logtap podman podman_sqlite
# timeout: 400
# slow: Podman starts a dozen times on an emulated processor

SPEAK='echo first; echo "first error" >&2; sleep 0.5; echo last; echo "last error" >&2'
CROWD=(north east south west)

podman_prepare()
{
	mkdir -p /var/lib/containers
	mount -t tmpfs containers /var/lib/containers
	podman_config /etc/containers "$PODMAN" "$PODMAN/usr/bin:$PATH"
	sed -i "s|^\[engine\]|&\nhelper_binaries_dir = [\"$NETAVARK/usr/lib/podman\"]|" /etc/containers/containers.conf
	export LD_LIBRARY_PATH=$PODMAN/usr/lib/x86_64-linux-gnu PATH=$PODMAN_SQLITE/bin:$PODMAN/usr/bin:$PATH
	pod load -q -i "$E2E_CACHE/image.tar" >/dev/null
}

pod()
{
	podman --runtime crun --storage-driver vfs --cgroup-manager cgroupfs "$@"
}

run()
{
	pod run --network none --security-opt seccomp=unconfined --log-driver k8s-file "$@" >/dev/null
}

# told NAME COUNT: whether logtap has told that many of its lines.
told()
{
	[ "$(grep -c "\"name\":\"$1\"" "$OUT/logtap.out")" = "$2" ]
}

crowd()
{
	local name started=()

	for name in "${CROWD[@]}"; do
		run --name "$name" --label "side=$name" localhost/busybox:1 sh -c "$SPEAK" &
		started+=($!)
	done
	wait "${started[@]}"
}

guest()
{
	local name

	podman_prepare
	echo "${CROWD[@]}" >"$OUT/crowd"
	pod info -f '{{.Host.DatabaseBackend}}' >"$OUT/backend"
	logtap_start logtap
	run --name web --label tier=front localhost/busybox:1 sh -c "$SPEAK"
	run -d --name again --restart on-failure:2 localhost/busybox:1 sh -c 'echo attempt; exit 1'
	wait_for "two restarts" 180 told again 3
	crowd
	for name in web again "${CROWD[@]}"; do
		pod inspect "$name" >"$OUT/inspect.$name"
	done
	logtap_stop logtap || fail "logtap's exit status is $?"
}

check()
{
	expect "where Podman keeps its containers" "$(cat "$OUT/backend")" sqlite
	judge <<-'END'
		import json
		from records import *

		spoken = {"stdout": ["first", "last"], "stderr": ["first error", "last error"]}
		labels = {"web": {"tier": "front"}, "again": None} | {name: {"side": name} for name in open(f"{sys.argv[1]}/crowd").read().split()}
		records = list(records_of(f"{sys.argv[1]}/logtap.out"))
		for name, label in labels.items():
		    about = json.load(open(f"{sys.argv[1]}/inspect.{name}"))[0]
		    container = {"id": about["Id"], "name": name, "image": "localhost/busybox:1", "runtime": "podman"}
		    if label:
		        container["labels"] = label
		    said = {"stdout": ["attempt"] * 3} if name == "again" else spoken
		    for stream, i, record in lines_of(records, about["Id"], name, said):
		        container["restart_count"] = i if name == "again" else 0
		        expect(f"{name}/{stream}: container", record["container"], container)
		expect("records", len(records), 3 + 4 * (len(labels) - 1))
	END
}
