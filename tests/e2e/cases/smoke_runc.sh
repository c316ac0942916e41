# Shows that the harness works: a runc container's stdout and stderr are two pipes, a pod's bundle
# lies where containerd's would, and containers can come and go quickly.
# timeout: 240

guest()
{
	local id=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef

	bundle plain sh -c 'readlink /proc/self/fd/1; readlink /proc/self/fd/2; echo "to stderr" >&2'
	container_start plain "$OUT/plain.out" "$OUT/plain.err"
	container_wait plain
	container_delete plain

	bundle -p web-1 -n shop -u 01234567-89ab-cdef-0123-456789abcdef -c nginx "$id" \
		sh -c 'echo up; sleep 60'
	container_start "$id" "$OUT/pod.out"
	wait_for "the pod's line" 20 grep -qx up "$OUT/pod.out"
	cp "/run/containerd/runc/k8s.io/$id/state.json" "$OUT/state.json"
	find /sys/fs/cgroup -type d -name "$id" >"$OUT/cgroup"
	container_delete "$id"
	for id in {1..10}; do
		bundle "many$id" echo "line of $id"
		container_run "many$id" "$OUT/many.$id" &
	done
	wait
}

check()
{
	expect "pipes" "$(sort -u "$OUT/plain.out" | grep -c '^pipe:')" 2
	expect "stderr" "$(cat "$OUT/plain.err")" "to stderr"
	expect "short containers' lines" "$(cat "$OUT"/many.* | wc -l)" 10
	expect "pods in runc's state" "$(grep -c 'io.kubernetes.cri.sandbox-name=web-1' \
		"$OUT/state.json")" 1
	expect "cgroups" "$(grep -c kubepods/besteffort/pod01234567 "$OUT/cgroup")" 1
}
