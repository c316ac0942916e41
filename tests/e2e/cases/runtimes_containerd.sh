# Shows that each line of containerd's containers says whose it is, from its first line to its last, over the real CRI: a static
# pod, init, ordinary, restarted and ephemeral containers, a pid namespace that a pod shares, containers that end at once, in
# cgroups of its own and in systemd's; `ctr run`; and a pod of a containerd that keeps its files where k3s has them. What the pause
# container is made to print is not captured.
# needs: logtap containerd
# init: systemd
# timeout: 600
# pods: 14
# slow: a dozen real pods

SPEAK='echo first; echo "first error" >&2; usleep 300000; echo last; echo "last error" >&2'
POD=(web-0 shop 8a3bf2b1-0c4d-4e5f-9a6b-7c8d9e0f1a2b)
STATIC=(etcd-node kube-system d41d8cd98f00b204e9800998ecf8427e)
SLICES=(db-0 shop 1f2e3d4c-5b6a-4798-8765-43210fedcba9)
STATIC_SLICES=(proxy-node kube-system 0123456789abcdef0123456789abcdef)
K3S=(lite-0 edge 77777777-6666-4555-8444-333333333333)

# note NAME ID ATTEMPT
note()
{
	echo "$@" >>"$OUT/containers"
}

# add NAME ATTEMPT [OPTION...] -- COMMAND...: in the pod; waits for its end.
add()
{
	local id

	id=$(cri add "$SANDBOX" "${POD[@]}" "$1" --attempt "$2" --share-pid "${@:3}")
	note "$1" "$id" "$2"
	cri wait "$id" || true
}

# one CONTAINER ARGUMENT...: a pod with one container, as `cri run`, until that has ended.
one()
{
	local id pod name=$1
	shift

	read -r pod id < <(cri run "$@")
	note "$name" "$id" 0
	cri wait "$id"
	cri remove "$pod"
}

# As systemd's cgroup driver has them, with restarts, an init container and an ephemeral one.
slices()
{
	local sandbox init main

	read -r sandbox init < <(cri run "${SLICES[@]}" prepare --handler systemd -- sh -c "$SPEAK")
	note prepare "$init" 0
	cri wait "$init"
	main=$(cri add "$sandbox" "${SLICES[@]}" db --handler systemd --attempt 2 -- sh -c "$SPEAK; exec sleep 1000")
	note db "$main" 2
	[ -d "/sys/fs/cgroup/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod${SLICES[2]//-/_}.slice/cri-containerd-$main.scope" ] ||
		fail "the container is in no scope of systemd's"
	main=$(cri add "$sandbox" "${SLICES[@]}" shell --handler systemd --target "$main" -- sh -c "$SPEAK")
	note shell "$main" 0
	cri wait "$main"
	cri remove "$sandbox"
	one proxy "${STATIC_SLICES[@]}" proxy --handler systemd -- sh -c "$SPEAK"
}

guest()
{
	local static container main

	containerd_start
	echo 'node: guest' >/run/logtap.yaml
	logtap_start logtap /run/logtap.yaml
	read -r SANDBOX main < <(cri run "${POD[@]}" init --share-pid --label app=web -- sh -c "$SPEAK")
	note init "$main" 0
	cri wait "$main"
	add main 0 -- sh -c "$SPEAK; exit 1"
	add main 1 -- sh -c "$SPEAK"
	main=$(cri add "$SANDBOX" "${POD[@]}" sidecar --share-pid -- sh -c "$SPEAK; exec sleep 1000")
	note sidecar "$main" 0
	add debugger 0 --target "$main" -- sh -c "$SPEAK"
	for n in 1 2 3; do
		add "moment-$n" 0 -- echo "only line"
	done
	read -r static container < <(cri run "${STATIC[@]}" etcd -- sh -c "$SPEAK")
	note etcd "$container" 0
	cri wait "$container"
	ctr_run plain sh -c "$SPEAK" >/dev/null 2>&1
	cri remove "$SANDBOX"
	cri remove "$static"
	slices
	containerd_stop
	mkdir -p /var/lib/rancher/k3s/agent/containerd
	mount -t tmpfs k3s /var/lib/rancher/k3s/agent/containerd
	containerd_start /run/k3s/containerd /var/lib/rancher/k3s/agent/containerd
	one lite "${K3S[@]}" lite -- sh -c "$SPEAK"
	logtap_stop logtap || fail "logtap's exit status is $?"
	containerd_stop
	echo "$SANDBOX" >"$OUT/sandbox"
}

check()
{
	judge <<-'END'
		from records import *

		db = ("db-0", "shop", "1f2e3d4c-5b6a-4798-8765-43210fedcba9")
		pods = {"etcd": ("etcd-node", "kube-system", "d41d8cd98f00b204e9800998ecf8427e"), "prepare": db, "db": db, "shell": db,
		        "proxy": ("proxy-node", "kube-system", "0123456789abcdef0123456789abcdef"),
		        "lite": ("lite-0", "edge", "77777777-6666-4555-8444-333333333333")}
		usual = ("web-0", "shop", "8a3bf2b1-0c4d-4e5f-9a6b-7c8d9e0f1a2b")
		spoken = {"stdout": ["first", "last"], "stderr": ["first error", "last error"]}
		records = list(records_of(f"{sys.argv[1]}/logtap.out"))
		seen = 0

		def judge(name, id, container, file, kubernetes, streams):
		    global seen
		    its = [record for record in records if record["container"]["id"] == id]
		    for stream, wanted in streams.items():
		        lines = [record for record in its if record["stream"] == stream]
		        expect(f"{name}/{stream}", [record["message"] for record in lines], wanted)
		        for record in lines:
		            expect(f"{name}/{stream}: container", record["container"], container)
		            expect(f"{name}/{stream}: pod", record.get("kubernetes"), kubernetes)
		            expect(f"{name}/{stream}: file", record.get("file"), file)
		            expect(f"{name}/{stream}: partial", record.get("partial"), None)
		            expect(f"{name}/{stream}: source", record["source_type"], "kubernetes_logs" if kubernetes else "container")
		    seen += len(its)

		for line in open(f"{sys.argv[1]}/containers"):
		    name, id, attempt = line.split()
		    pod, namespace, uid = pods.get(name, usual)
		    judge(name, id,
		          {"id": id, "name": name, "image": "localhost/busybox:1", "runtime": "containerd"},
		          f"/var/log/pods/{namespace}_{pod}_{uid}/{name}/{attempt}.log",
		          {"pod_name": pod, "pod_namespace": namespace, "pod_uid": uid, "pod_node_name": "guest",
		           "container_name": name, "container_id": f"containerd://{id}", "container_image": "localhost/busybox:1",
		           "restart_count": int(attempt)},
		          {"stdout": ["only line"]} if name.startswith("moment") else spoken)
		judge("plain", "plain", {"id": "plain", "name": "plain", "image": "localhost/busybox:1", "runtime": "containerd"}, None, None, spoken)
		expect("records of others", len(records), seen)
		expect("records", seen, 12 * 4 + 3)
	END
}
