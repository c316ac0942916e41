# Shows that each line of a container of Docker's says whose it is: name, image, labels, restarts and log, from its first line
# to its last, also of a container that ends at once, that Docker restarts, that is cri-dockerd's, and where the daemon keeps its
# files elsewhere. dockerd 20.10.
# needs: logtap docker
# timeout: 300
# pods: 1
# slow: a Docker daemon starts on an emulated processor

SPEAK='echo first; echo "first error" >&2; sleep 0.5; echo last; echo "last error" >&2'
UID_OF_POD=8a3bf2b1-0c4d-4e5f-9a6b-7c8d9e0f1a2b

# dockerd_start NAME ARGUMENT...
dockerd_start()
{
	local run=/run/e2e/docker-$1

	export PATH=$DOCKER/usr/bin:$DOCKER/usr/sbin:$PATH
	mkdir -p "$run"
	dockerd --bridge none --iptables=false --ip-masq=false --storage-driver vfs --pidfile "$run/pid" --exec-root "$run/exec" \
		--host "unix://$run/sock" --containerd /run/containerd/containerd.sock "${@:2}" </dev/null >"$OUT/dockerd.$1" 2>&1 &
	DOCKERD_PID=$!
	export DOCKER_HOST=unix://$run/sock
	wait_for "dockerd" 90 docker version
	docker load -q -i "$E2E_CACHE/image.tar" >/dev/null
}

dockerd_stop()
{
	kill "$DOCKERD_PID"
	wait "$DOCKERD_PID" || true
}

# keep NAME: what Docker itself says of it, for the judgement.
keep()
{
	docker inspect "$1" >"$OUT/inspect.$1"
}

run()
{
	docker run --network none "$@"
}

guest()
{
	mkdir -p /var/lib/docker /data
	mount -t tmpfs docker /var/lib/docker
	mount -t tmpfs data /data
	containerd_start
	dockerd_start usual
	logtap_start logtap
	run --name web --label tier=front --label 'com.example/a=x"y' localhost/busybox:1 sh -c "$SPEAK" >/dev/null
	run --name short localhost/busybox:1 echo "only line" >/dev/null
	run --name again -d --restart on-failure:2 localhost/busybox:1 sh -c 'echo attempt; exit 1' >/dev/null
	wait_for "two restarts" 60 sh -c "docker inspect again | grep -q '\"RestartCount\": 2'"
	wait_for "the end of the restarts" 60 sh -c "docker inspect again | grep -q '\"Running\": false'"
	run --name k8s_POD_web-0_shop_${UID_OF_POD}_0 -d --cgroup-parent /kubepods/besteffort/pod$UID_OF_POD \
		--label io.kubernetes.docker.type=podsandbox --label io.kubernetes.pod.name=web-0 \
		--label io.kubernetes.pod.namespace=shop --label io.kubernetes.pod.uid=$UID_OF_POD \
		localhost/pause:1 sh -c 'echo "of the pause"; exec sleep 1000' >/dev/null
	run --name k8s_nginx_web-0_shop_${UID_OF_POD}_3 --cgroup-parent /kubepods/besteffort/pod$UID_OF_POD \
		--label io.kubernetes.docker.type=container --label io.kubernetes.container.name=nginx \
		--label io.kubernetes.pod.name=web-0 --label io.kubernetes.pod.namespace=shop \
		--label io.kubernetes.pod.uid=$UID_OF_POD --label io.kubernetes.sandbox.id="$(docker ps -q --no-trunc)" \
		--label io.kubernetes.container.logpath=/var/log/pods/shop_web-0_$UID_OF_POD/nginx/3.log \
		localhost/busybox:1 sh -c "$SPEAK" >/dev/null
	for name in web short again k8s_nginx_web-0_shop_${UID_OF_POD}_3 k8s_POD_web-0_shop_${UID_OF_POD}_0; do
		keep "$name"
	done
	docker rm -f k8s_POD_web-0_shop_${UID_OF_POD}_0 >/dev/null
	cp "/var/lib/docker/containers/$(docker inspect -f '{{.Id}}' web)/config.v2.json" "$OUT/"
	dockerd_stop
	dockerd_start elsewhere --data-root /data/docker
	run --name moved localhost/busybox:1 sh -c "$SPEAK" >/dev/null
	keep moved
	dockerd_stop
	containerd_stop
	logtap_stop logtap || fail "logtap's exit status is $?"
}

check()
{
	judge <<-'END'
		import glob, json, os
		from records import *

		UID = "8a3bf2b1-0c4d-4e5f-9a6b-7c8d9e0f1a2b"
		spoken = {"stdout": ["first", "last"], "stderr": ["first error", "last error"]}
		said = {"web": spoken, "moved": spoken, "short": {"stdout": ["only line"]},
		        "again": {"stdout": ["attempt"] * 3}, f"k8s_nginx_web-0_shop_{UID}_3": spoken}
		records = list(records_of(f"{sys.argv[1]}/logtap.out"))
		for name, streams in said.items():
		    about = json.load(open(f"{sys.argv[1]}/inspect.{name}"))[0]
		    pod = name.startswith("k8s_")
		    container = {"id": about["Id"], "name": "nginx" if pod else name, "image": "localhost/busybox:1",
		                 "runtime": "docker"}
		    if about["Config"]["Labels"]:
		        container["labels"] = about["Config"]["Labels"]
		    for stream, i, record in lines_of(records, about["Id"], name, streams):
		        container.pop("restart_count", None)
		        if not pod:
		            container["restart_count"] = i if name == "again" else 0
		        expect(f"{name}/{stream}: container", record["container"], container)
		        expect(f"{name}/{stream}: partial", record.get("partial"), None)
		        expect(f"{name}/{stream}: file", record["file"],
		               f"/var/log/pods/shop_web-0_{UID}/nginx/3.log" if pod else about["LogPath"])
		        expect(f"{name}/{stream}: pod", record.get("kubernetes"), {
		            "pod_name": "web-0", "pod_namespace": "shop", "pod_uid": UID, "pod_node_name": "guest",
		            "container_name": "nginx", "container_id": f"docker://{about['Id']}",
		            "container_image": "localhost/busybox:1", "restart_count": 3} if pod else None)
		expect("records of others", len(records), 4 * 3 + 1 + 3)
	END
}
