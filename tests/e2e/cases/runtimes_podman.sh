# Shows that each line of Podman's containers, and of containers as CRI-O lays them out, says whose it is, from its first line to
# its last: podman 4.3 with crun and conmon, by systemd's and by its own cgroups, as Quadlet starts it, with another storage, and
# started again by its policy and by hand.
# CRI-O itself is no package of Debian's: conmon and runc run from its files.
# needs: logtap podman
# init: systemd
# timeout: 400
# pods: 1
# slow: Podman starts a dozen times on an emulated processor

SPEAK='echo first; echo "first error" >&2; sleep 0.5; echo last; echo "last error" >&2'
UID_OF_POD=8a3bf2b1-0c4d-4e5f-9a6b-7c8d9e0f1a2b
USERDATA=/run/containers/storage/overlay-containers

podman_prepare()
{
	mkdir -p /var/lib/containers /data
	mount -t tmpfs containers /var/lib/containers
	mount -t tmpfs data /data
	podman_config /etc/containers "$PODMAN" "$PODMAN/usr/bin:$PATH"
	export LD_LIBRARY_PATH=$PODMAN/usr/lib/x86_64-linux-gnu PATH=$PODMAN/usr/bin:$PATH
	pod load -q -i "$E2E_CACHE/image.tar" >/dev/null
}

pod()
{
	podman --runtime crun --storage-driver vfs "$@"
}

RUN=(run --network none --security-opt seccomp=unconfined --log-driver k8s-file)

# keep NAME [STORAGE]: what Podman itself says of it.
keep()
{
	pod "${@:2}" inspect "$1" >"$OUT/inspect.$1"
}

# inspected NAME FIELD VALUE: whether Podman says so.
inspected()
{
	[ "$(pod inspect -f "{{.$2}}" "$1")" = "$3" ]
}

# attempts NAME COUNT: whether logtap has told that many.
attempts()
{
	[ "$(grep -c "\"name\":\"$1\".*\"attempt\"" "$OUT/logtap.out")" = "$2" ]
}

# By its policy: Podman counts that. By hand: it counts from 0 again; and it may have another name by then.
restarts()
{
	pod "${RUN[@]}" --name again -d --restart on-failure:2 localhost/busybox:1 sh -c 'echo attempt; exit 1' >/dev/null
	wait_for "two restarts" 120 inspected again RestartCount 2
	wait_for "the end of the restarts" 60 inspected again State.Status exited
	wait_for "its lines" 60 attempts again 3
	keep again
	pod restart again >/dev/null
	wait_for "the end of more restarts" 180 attempts again 6
	wait_for "the end of the restarts" 60 inspected again State.Status exited
	pod "${RUN[@]}" --name before -d localhost/busybox:1 sh -c 'echo attempt; exec sleep 1000' >/dev/null
	wait_for "its line" 60 attempts before 1
	pod rename before after
	pod restart -t 0 after >/dev/null
	wait_for "its line after a restart" 60 attempts after 1
	keep after
	pod kill after >/dev/null
}

# crio_bundle ID CONTAINER_TYPE ANNOTATIONS COMMAND...: as CRI-O leaves it.
crio_bundle()
{
	local id=$1 dir=$USERDATA/$1/userdata annotations=$3

	bundle -g "/kubepods/besteffort/pod$UID_OF_POD/crio-$id" "$id" "${@:4}"
	mkdir -p "$dir"
	jq --arg id "$id" --arg type "$2" --argjson more "$annotations" '.annotations = $more + {
		"io.container.manager": "cri-o", "io.kubernetes.cri-o.ContainerID": $id,
		"io.kubernetes.cri-o.ContainerType": $type}' "$BUNDLES/$id/config.json" >"$dir/config.json"
}

crio_run()
{
	local id=$1 dir=$USERDATA/$1/userdata log=/var/log/pods/shop_web-0_$UID_OF_POD/nginx/1.log

	mkdir -p "${log%/*}" /run/e2e/exits /run/e2e/attach
	conmon -c "$id" -u "$id" -n k8s_nginx_web-0_shop_${UID_OF_POD}_1 -r "$(command -v runc)" -b "$dir" -p "$dir/pidfile" \
		-P "$dir/conmon-pidfile" -l "k8s-file:$log" --exit-dir /run/e2e/exits --socket-dir-path /run/e2e/attach \
		--runtime-arg --root=/run/runc </dev/null
	wait_for "the container to be made" 30 test -s "$dir/pidfile"
	runc --root /run/runc start "$id"
	wait_for "its end" 60 test -f "/run/e2e/exits/$id"
	runc --root /run/runc delete "$id"
}

crio()
{
	local id sandbox

	id=$(printf 'c%063d' 1) sandbox=$(printf 'a%063d' 1)
	crio_bundle "$sandbox" sandbox '{"io.kubernetes.cri-o.KubeName": "web-0", "io.kubernetes.cri-o.Namespace": "shop",
		"io.kubernetes.cri-o.Labels": "{\"app\":\"web\"}",
		"io.kubernetes.cri-o.Annotations": "{\"logtap.io/include\":\"true\"}"}' true
	crio_bundle "$id" container '{"io.kubernetes.cri-o.SandboxID": "'"$sandbox"'",
		"io.kubernetes.cri-o.ImageName": "docker.io/library/web:1", "io.kubernetes.cri-o.Image": "sha256:12",
		"io.kubernetes.cri-o.LogPath": "/var/log/pods/shop_web-0_'$UID_OF_POD'/nginx/1.log",
		"io.kubernetes.cri-o.Metadata": "{\"name\":\"nginx\",\"attempt\":1}",
		"io.kubernetes.container.name": "nginx", "io.kubernetes.pod.name": "web-0",
		"io.kubernetes.pod.namespace": "shop", "io.kubernetes.pod.uid": "'$UID_OF_POD'"}' sh -c "$SPEAK"
	crio_run "$id"
}

guest()
{
	podman_prepare
	printf '%s\n' 'node: guest' 'record: {pod_annotations: {allow: ["*"]}}' >/run/logtap.yaml
	logtap_start logtap /run/logtap.yaml
	pod --cgroup-manager systemd "${RUN[@]}" --name web --label tier=front localhost/busybox:1 sh -c "$SPEAK" >/dev/null
	pod --cgroup-manager cgroupfs "${RUN[@]}" --name plain localhost/busybox:1 sh -c "$SPEAK" >/dev/null
	pod --cgroup-manager systemd "${RUN[@]}" --name short localhost/busybox:1 echo "only line" >/dev/null
	systemd-run -q --wait --unit quadlet --property Delegate=yes -E "LD_LIBRARY_PATH=$LD_LIBRARY_PATH" -E "PATH=$PATH" \
		podman --runtime crun --storage-driver vfs "${RUN[@]}" --cgroups split --name quadlet localhost/busybox:1 \
		sh -c "$SPEAK"
	for name in web plain short quadlet; do
		keep "$name"
	done
	restarts
	pod --root /data/storage load -q -i "$E2E_CACHE/image.tar" >/dev/null
	pod --root /data/storage "${RUN[@]}" --name moved localhost/busybox:1 sh -c "$SPEAK" >/dev/null
	keep moved --root /data/storage
	cp /var/lib/containers/storage/vfs-containers/containers.json "$OUT/" || true
	crio
	logtap_stop logtap || fail "logtap's exit status is $?"
}

check()
{
	judge <<-'END'
		import json
		from records import *

		UID = "8a3bf2b1-0c4d-4e5f-9a6b-7c8d9e0f1a2b"
		spoken = {"stdout": ["first", "last"], "stderr": ["first error", "last error"]}
		records = list(records_of(f"{sys.argv[1]}/logtap.out"))

		def judge(name, id, streams, container, file, pod, restarts=[0, 0]):
		    for stream, i, record in lines_of(records, id, name, streams):
		        restart = restarts[i]
		        whole = dict(container, restart_count=restart) if restart is not None else container
		        expect(f"{name}/{stream}: container", record["container"], whole)
		        expect(f"{name}/{stream}: partial", record.get("partial"), None)
		        expect(f"{name}/{stream}: file", record.get("file"), file)
		        expect(f"{name}/{stream}: pod", record.get("kubernetes"), pod)

		for name in ("web", "plain", "quadlet", "moved", "short"):
		    about = json.load(open(f"{sys.argv[1]}/inspect.{name}"))[0]
		    container = {"id": about["Id"], "name": name, "image": "localhost/busybox:1", "runtime": "podman"}
		    expect(f"{name}: Podman's own labels", about["Config"]["Labels"], {"tier": "front"} if name == "web" else None)
		    if name == "web":
		        container["labels"] = about["Config"]["Labels"]
		    judge(name, about["Id"], {"stdout": ["only line"]} if name == "short" else spoken, container,
		          about["HostConfig"]["LogConfig"]["Path"], None)
		about = json.load(open(f"{sys.argv[1]}/inspect.again"))[0]
		expect("again: Podman's own count", about["RestartCount"], 2)
		judge("again", about["Id"], {"stdout": ["attempt"] * 6},
		      {"id": about["Id"], "name": "again", "image": "localhost/busybox:1", "runtime": "podman"},
		      about["HostConfig"]["LogConfig"]["Path"], None, [0, 1, 2, 0, 1, 2])
		about = json.load(open(f"{sys.argv[1]}/inspect.after"))[0]
		its = [record["container"] for record in records if record["container"]["id"] == about["Id"]]
		expect("renamed", [(container["name"], container["restart_count"]) for container in its],
		       [("before", 0), ("after", 0)])
		id = f"c{1:063}"
		judge("crio", id, spoken, {"id": id, "name": "nginx", "image": "docker.io/library/web:1", "runtime": "cri-o"},
		      f"/var/log/pods/shop_web-0_{UID}/nginx/1.log",
		      {"pod_name": "web-0", "pod_namespace": "shop", "pod_uid": UID, "pod_node_name": "guest",
		       "container_name": "nginx", "container_id": f"cri-o://{id}", "container_image": "docker.io/library/web:1",
		       "restart_count": 1, "pod_labels": {"app": "web"}, "pod_annotations": {"logtap.io/include": "true"}},
		      [None, None])
		expect("records", len(records), 4 * 5 + 1 + 6 + 2)
	END
}
