# Shows that containers of gVisor, whose processes this kernel does not run, are recognised and said: by runsc alone, by
# containerd's shim for it, and a pod over the real CRI. They print what they should and nothing of it is captured, while an
# ordinary container's lines come; but of a container of containerd's that is alone in its sandbox all is, as that container's.
# runsc on ptrace, built from source.
# needs: logtap gvisor
# timeout: 300
# slow: a kernel in Go starts on an emulated processor

SPEAK='echo first; echo "first error" >&2; read version </proc/version; echo "$version"; echo last'

# runsc as the shim calls it, too: without a network and without hardware that helps.
runsc_prepare()
{
	mkdir -p /run/e2e/bin
	printf '#!/bin/sh\nexec %s --network=none --platform=ptrace "$@"\n' "$GVISOR/bin/runsc" >/run/e2e/bin/runsc
	chmod +x /run/e2e/bin/runsc
	ln -s "$GVISOR/bin/shim" /run/e2e/bin/containerd-shim-runsc-v1
	export PATH=/run/e2e/bin:$PATH
}

# With a handler for gVisor's pods.
containerd_restart()
{
	containerd_stop
	cat >>/run/e2e/containerd/config.toml <<-END
		[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runsc]
		runtime_type = "io.containerd.runsc.v1"
	END
	containerd --config /run/e2e/containerd/config.toml </dev/null >>"$OUT/containerd.log" 2>&1 &
	CONTAINERD_PID=$!
	wait_for "containerd" 60 ctr version
}

# The shim of this version gives only a sandbox's container its pipes, as the CRI plugin marks it.
shims()
{
	ctr run --snapshotter native --rm --runtime io.containerd.runsc.v1 \
		--annotation io.kubernetes.cri.container-type=sandbox localhost/busybox:1 shims sh -c "$SPEAK" </dev/null
}

guest()
{
	local sandbox container

	cat /proc/version >"$OUT/version"
	runsc_prepare
	containerd_start
	ctr images import --snapshotter native "$E2E_CACHE/image.tar" >/dev/null
	logtap_start plain
	bundle -g /e2e/alone alone sh -c "$SPEAK"
	runsc run --bundle "$BUNDLES/alone" alone </dev/null 2> >(exec cat >"$OUT/alone.err") | cat >"$OUT/alone.out"
	bundle ordinary sh -c "$SPEAK"
	container_run ordinary
	logtap_stop plain || fail "logtap's exit status is $?"
	logtap_start shim
	shims >"$OUT/shims.out" 2>"$OUT/shims.err"
	bundle ordinary sh -c "$SPEAK"
	container_run ordinary
	logtap_stop shim || fail "logtap's exit status is $?"
	containerd_restart
	logtap_start pod
	read -r sandbox container < <(cri run web-0 shop 8a3bf2b1-0c4d-4e5f-9a6b-7c8d9e0f1a2b nginx --handler runsc -- sh -c "$SPEAK")
	cri wait "$container"
	bundle ordinary sh -c "$SPEAK"
	container_run ordinary
	cp /var/log/pods/shop_web-0_8a3bf2b1-0c4d-4e5f-9a6b-7c8d9e0f1a2b/nginx/0.log "$OUT/pod.log"
	logtap_stop pod || fail "logtap's exit status is $?"
	cri remove "$sandbox"
	echo "$sandbox $container" >"$OUT/pod.ids"
	containerd_stop
}

check()
{
	judge <<-'END'
		from records import *

		def text(name):
		    return open(f"{sys.argv[1]}/{name}").read()

		def judge(logtap, containers, captured=()):
		    said = text(f"{logtap}.err")
		    expect(f"{logtap}: what is said", said.count("runs in gVisor"), 1)
		    expect(f"{logtap}: of which", [c for c in containers if f"container {c} runs in gVisor" in said] != [], True)
		    records = list(records_of(f"{sys.argv[1]}/{logtap}.out"))
		    expect(f"{logtap}: whose lines came", {record["container"]["id"] for record in records}, {"ordinary", *captured})
		    return records

		def judge_lines(name, records, container, version):
		    its = [record for record in records if record["container"]["id"] == name]
		    expect(f"{name}: lines", [(record["stream"], record["message"]) for record in its],
		           [("stdout", "first"), ("stderr", "first error"), ("stdout", version), ("stdout", "last")])
		    for record in its:
		        expect(f"{name}: whose they are", record["container"], container)

		hosts = text("version").strip()
		for logtap, container, captured in (("plain", "alone", ()), ("shim", "shims", ["shims"])):
		    lines = text(f"{container}.out").splitlines()
		    expect(f"{container}: what it printed", (lines[0], lines[-1], text(f"{container}.err")), ("first", "last", "first error\n"))
		    expect(f"{container}: whose kernel that is", lines[1].split()[:3], ["Linux", "version", "4.4.0"])
		    records = judge(logtap, [container], captured)
		    judge_lines("ordinary", records, {"id": "ordinary", "name": "ordinary", "runtime": "runc"}, hosts)
		judge_lines("shims", records,
		            {"id": "shims", "name": "shims", "image": "localhost/busybox:1", "runtime": "containerd"}, lines[1])
		lines = [line.split(" ", 3) for line in text("pod.log").splitlines()]
		expect("the pod's log", sorted((line[1], line[3][:19]) for line in lines),
		       [("stderr", "first error"), ("stdout", "Linux version 4.4.0"), ("stdout", "first"), ("stdout", "last")])
		judge("pod", text("pod.ids").split())
	END
}
