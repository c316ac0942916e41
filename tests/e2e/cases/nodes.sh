# Shows whose the lines are where a node of Kubernetes is a container itself, as kind makes it: a privileged container of Docker's
# with a real systemd as its init and a containerd of its own, whose pods come over its real CRI, in systemd's cgroups (kubelet.slice)
# and in those of the driver cgroupfs (/kubelet/kubepods). Pods' lines say which pod it is, also of a pod that ran before logtap
# came; what a service of the node's systemd writes to the container's stdout is the node's; none is another pod's, though a pod of
# the machine itself has the same names. logtap as a pod of such a node captures what runs in the node, with complete names, and
# nothing else.
# needs: logtap docker
# init: systemd
# timeout: 600
# api: one of its agents is in a pod that knows no API server
# slow: a Docker daemon and a node in it start on an emulated processor

SPEAK='echo first; echo "first error" >&2; usleep 300000; echo last; echo "last error" >&2'
EARLY=(early-0 shop 11111111-2222-4333-8444-555555555501)
LATE=(late-0 shop 11111111-2222-4333-8444-555555555502)
FLAT=(flat-0 shop 11111111-2222-4333-8444-555555555503)
WITHIN=(within-0 shop 11111111-2222-4333-8444-555555555504)
NODE=/srv/node

# note NAME ID
note()
{
	echo "$@" >>"$OUT/containers"
}

dockerd_start()
{
	export PATH=$DOCKER/usr/bin:$DOCKER/usr/sbin:$PATH DOCKER_HOST=unix:///run/docker.sock
	mkdir -p /var/lib/docker
	mount -t tmpfs docker /var/lib/docker
	dockerd --bridge none --iptables=false --ip-masq=false --storage-driver vfs --exec-opt native.cgroupdriver=systemd \
		--containerd /run/containerd/containerd.sock </dev/null >"$OUT/dockerd.log" 2>&1 &
	DOCKERD_PID=$!
	wait_for "dockerd" 90 docker version
	docker load -q -i "$E2E_CACHE/image.tar" >/dev/null
}

# What the node's systemd knows: the bus, containerd, and a service that prints to the node's stdout. systemd itself gives
# that up when it starts (make_null_stdio), so a process before it keeps it.
node_units()
{
	mkdir -p $NODE/units
	cp "$REPO"/tests/guest/systemd/{basic.target,sysinit.target,dbus.service,dbus.socket} $NODE/units
	containerd_config /run/containerd /var/lib/containerd >$NODE/config.toml
	cat >$NODE/units/containerd.service <<-END
		[Unit]
		DefaultDependencies=no
		[Service]
		Type=notify
		Delegate=yes
		KillMode=process
		Environment=PATH=$CONTAINERD/usr/bin:/usr/sbin:/usr/bin:/sbin:/bin
		ExecStart=$CONTAINERD/usr/bin/containerd --config $NODE/config.toml
		StandardOutput=null
		StandardError=file:$OUT/node.containerd.log
	END
	cat >$NODE/units/speak.service <<-END
		[Unit]
		DefaultDependencies=no
		[Service]
		Type=oneshot
		StandardOutput=null
		ExecStart=/bin/sh -c 'cat /proc/self/cgroup >$OUT/speak.cgroup; echo "of a service" >/proc/\$\$(cat /run/holder)/fd/1'
	END
	cat >$NODE/units/node.target <<-END
		[Unit]
		DefaultDependencies=no
		Wants=dbus.socket containerd.service
	END
}

node_start()
{
	node_units
	docker run -d --name kind-worker --privileged --cgroupns private --network none --tmpfs /run --tmpfs /tmp \
		--tmpfs /var/lib/containerd:exec --tmpfs /var/log -e container=docker -e "SYSTEMD_UNIT_PATH=$NODE/units" \
		-v /usr:/usr:ro -v /usr/bin:/bin:ro -v /usr/sbin:/sbin:ro -v /usr/lib:/lib:ro -v /usr/lib64:/lib64:ro \
		-v "$CONTAINERD:$CONTAINERD:ro" -v "$E2E_CACHE:$E2E_CACHE:ro" -v "$REPO:$REPO:ro" -v "$OUT:$OUT" -v $NODE:$NODE:ro \
		localhost/busybox:1 /bin/sh -c 'echo "the node starts"; sleep 3000 & echo $! >/run/holder; exec /lib/systemd/systemd --unit=node.target' >/dev/null
	NODE_PID=$(docker inspect -f '{{.State.Pid}}' kind-worker)
	docker inspect kind-worker >"$OUT/inspect"
	wait_for "the node's containerd" 90 in_node ctr version
	in_node ctr -n k8s.io images import --snapshotter native "$E2E_CACHE/image.tar" >/dev/null
}

in_node()
{
	nsenter -t "$NODE_PID" -a env -u CONTAINERD_ADDRESS "PATH=$CONTAINERD/usr/bin:/usr/sbin:/usr/bin:/sbin:/bin" "$@"
}

node_cri()
{
	CRI_SOCKET=/proc/$NODE_PID/root/run/containerd/containerd.sock cri "$@"
}

# pod NAME ARGUMENT...: one in the node, with one container, until that has ended.
pod()
{
	local sandbox id name=$1
	shift

	read -r sandbox id < <(node_cri run "$@" -- sh -c "$SPEAK")
	note "$name" "$id"
	node_cri wait "$id"
	node_cri remove "$sandbox"
}

# on_host NAME: a pod of the machine's own containerd, with the names of one in the node.
on_host()
{
	local sandbox id

	read -r sandbox id < <(cri run "${LATE[@]}" web -- sh -c "$SPEAK")
	note "$1" "$id"
	cri wait "$id"
	cri remove "$sandbox"
}

# logtap as a pod of the node's, as conf/kubernetes has it.
inside()
{
	local sandbox id

	printf '%s\n' 'node: kind-worker' 'capture: {files: [/srv/app/*.log]}' >$NODE/logtap.yaml
	read -r sandbox id < <(node_cri run logtap-x1 logging 11111111-2222-4333-8444-555555555509 logtap --handler systemd --cgroup-root kubelet \
		--privileged --mount /usr --mount /lib --mount /lib64 --mount "$REPO" --mount "$OUT" --mount "$NODE" --mount /sys/fs/bpf -- \
		sh -c "echo \$\$ >$OUT/inner.pid; exec $LOGTAP run -c $NODE/logtap.yaml >$OUT/inner.out 2>$OUT/inner.err")
	wait_for "logtap in the node" 60 grep -q capturing "$OUT/inner.err"
	pod within "${WITHIN[@]}" web --handler systemd --cgroup-root kubelet
	on_host outside
	mkdir -p /srv/app "/proc/$NODE_PID/root/srv/app"
	echo "of the machine" >/srv/app/app.log
	in_node sh -c 'echo "of the node" >/srv/app/app.log'
	in_node kill -INT "$(cat "$OUT/inner.pid")"
	node_cri wait "$id" || fail "logtap in the node: exit status $?"
	node_cri remove "$sandbox"
}

guest()
{
	local early sandbox

	containerd_start
	dockerd_start
	node_start
	read -r sandbox early < <(node_cri run "${EARLY[@]}" web --handler systemd --cgroup-root kubelet -- sh -c \
		'echo before; until [ -e /tmp/go ]; do usleep 100000; done; echo after; echo "after error" >&2')
	note early "$early"
	echo 'node: guest' >/run/logtap.yaml
	logtap_start logtap /run/logtap.yaml
	: >"/proc/$NODE_PID/root/run/containerd/io.containerd.runtime.v2.task/k8s.io/$early/rootfs/tmp/go"
	node_cri wait "$early"
	node_cri remove "$sandbox"
	pod late "${LATE[@]}" web --handler systemd --cgroup-root kubelet
	pod flat "${FLAT[@]}" web --cgroup-root kubelet
	in_node systemctl start speak.service
	on_host outer
	logtap_stop logtap || fail "logtap's exit status is $?"
	inside
	docker rm -f kind-worker >/dev/null
	kill "$DOCKERD_PID"
	wait "$DOCKERD_PID" || true
	containerd_stop
}

check()
{
	grep -q '/system.slice/speak.service' "$OUT/speak.cgroup" || fail "the node's service was in $(cat "$OUT/speak.cgroup")"
	judge <<-'END'
		from records import *

		EARLY, LATE, FLAT, WITHIN = (f"11111111-2222-4333-8444-55555555550{n}" for n in (1, 2, 3, 4))
		containers = dict(line.split() for line in open(f"{sys.argv[1]}/containers"))
		[node] = json.load(open(f"{sys.argv[1]}/inspect"))
		spoken = {"stdout": ["first", "last"], "stderr": ["first error", "last error"]}

		def judge(what, id, where, pod, uid, partial, streams, host="guest"):
		    global seen
		    its = [record for record in records if record["container"]["id"] == id]
		    for stream, wanted in streams.items():
		        lines = [record for record in its if record["stream"] == stream]
		        expect(f"{what}/{stream}", [record["message"] for record in lines], wanted)
		        for i, record in enumerate(lines):
		            expect(f"{what}/{stream}: container", record["container"],
		                   {"id": id, "name": "web", "image": "localhost/busybox:1", "runtime": "containerd"})
		            expect(f"{what}/{stream}: pod", record.get("kubernetes"),
		                   {"pod_name": pod, "pod_namespace": "shop", "pod_uid": uid, "pod_node_name": where, "container_name": "web",
		                    "container_id": f"containerd://{id}", "container_image": "localhost/busybox:1", "restart_count": 0})
		            expect(f"{what}/{stream}: partial", record.get("partial"), None if i else partial)
		            expect(f"{what}/{stream}: host", record["host"], host)
		            expect(f"{what}/{stream}: file", record["file"], f"/var/log/pods/shop_{pod}_{uid}/web/0.log")
		    seen += len(its)

		seen, records = 0, list(records_of(f"{sys.argv[1]}/logtap.out"))
		judge("early", containers["early"], "kind-worker", "early-0", EARLY, "start", {"stdout": ["after"], "stderr": ["after error"]})
		judge("late", containers["late"], "kind-worker", "late-0", LATE, None, spoken)
		judge("flat", containers["flat"], "kind-worker", "flat-0", FLAT, None, spoken)
		judge("outer", containers["outer"], "guest", "late-0", LATE, None, spoken)
		its = [record for record in records if record["container"]["id"] == node["Id"]]
		expect("the node's", [record["message"] for record in its if record["message"] == "of a service"], ["of a service"])
		for record in its:
		    expect("the node's: container", (record["container"]["name"], record["container"]["runtime"]), ("kind-worker", "docker"))
		    expect("the node's: pod", record.get("kubernetes"), None)
		expect("records of others", len(records), seen + len(its))
		expect_no_loss(f"{sys.argv[1]}/logtap.err")

		seen, records = 0, list(records_of(f"{sys.argv[1]}/inner.out"))
		[file] = [record for record in records if record["source_type"] == "file"]
		records.remove(file)
		expect("the node's file", (file["message"], file["file"], file["host"]), ("of the node", "/srv/app/app.log", "kind-worker"))
		judge("within", containers["within"], "kind-worker", "within-0", WITHIN, None, spoken, "kind-worker")
		expect("inside: records of others", len(records), seen)
		expect_no_loss(f"{sys.argv[1]}/inner.err")
	END
}
