# Shows that the harness works: real containerd with its CRI plugin runs a pod, `exec` goes into it,
# and `ctr run` runs a container without a pod.
# needs: containerd
# timeout: 240

guest()
{
	local sandbox container

	containerd_start
	read -r sandbox container < <(cri run web-1 shop 01234567-89ab-cdef-0123-456789abcdef nginx \
		--label app=web -- sh -c 'echo "hello from the pod"; sleep 100')
	wait_for "the pod's line in its log" 30 grep -q "hello from the pod" \
		/var/log/pods/shop_web-1_*/nginx/0.log
	cp "/run/containerd/io.containerd.runtime.v2.task/k8s.io/$container/config.json" "$OUT/"
	cri exec "$container" -- echo "hello from exec" >"$OUT/exec"
	cri remove "$sandbox"
	ctr_run plain echo "hello from ctr" >"$OUT/ctr"
	containerd_stop
}

check()
{
	expect "exec" "$(cat "$OUT/exec")" "hello from exec"
	expect "ctr run" "$(cat "$OUT/ctr")" "hello from ctr"
	expect "annotations" "$(grep -c '"io.kubernetes.cri.container-name": *"nginx"' \
		"$OUT/config.json")" 1
}
