# Shows that only containers' own output is captured, and once, with real containerd and its CRI plugin: not what `kubectl exec`
# and `runc exec` print, nor pipes between programs inside a container or on the host, nor those of services and sessions that
# look a little like containers, nor the copies that the shim and containerd write, nor logtap's own output.
# needs: logtap containerd
# timeout: 150

# in_unit CGROUP UNSHARE_OPTION...: prints into a pipe from a cgroup of systemd's, as `systemd-run --pipe` and `ssh host cmd` do.
in_unit()
{
	local cgroup=/sys/fs/cgroup/$1
	shift

	mkdir -p "$cgroup"
	# shellcheck disable=SC2016 # expanded there
	bash -c 'echo $$ >"$0/cgroup.procs"; exec unshare "$@" sh -c "echo decoy of a unit; echo decoy of a unit >&2"' \
		"$cgroup" "$@" 2>&1 | cat >/dev/null
}

# The pod prints while it is watched: by turns itself and by programs behind pipes of its own.
# shellcheck disable=SC2016 # expanded in the container
POD='echo first
	echo "to stderr" >&2
	echo "decoy inside a pipe" | sed "s/decoy inside a pipe/out of a pipe/"
	echo decoy | cat >/dev/null
	(echo decoy; echo decoy) | grep -c decoy
	cat /proc/self/cgroup | grep nothing
	until [ -e /tmp/go ]; do usleep 50000; done
	for i in $(seq 200); do echo "again $i"; done
	until [ -e /tmp/end ]; do usleep 50000; done'

host_decoys()
{
	echo "decoy on the host" | cat >/dev/null
	in_unit system.slice/x.service -m
	in_unit system.slice/run-u12.service -m -p -f
	in_unit user.slice/user-0.slice/session-1.scope -m
	in_unit user.slice/user-0.slice/session-2.scope -m -p -f
	in_unit build -m
}

container_decoys()
{
	local id=$1

	cri exec "$id" -- sh -c 'echo decoy of exec; echo decoy of exec | cat' >>"$OUT/exec"
	runc_for "$id" exec "$id" sh -c 'echo decoy of runc exec; echo decoy | cat >&2' 2>&1 | cat >>"$OUT/exec"
}

guest()
{
	local sandbox container root exec_pid

	cat >/run/decoys.yaml <<-END
		capture:
		  files: [/var/log/**/*.log, $OUT/*.out]
	END
	containerd_start
	logtap_start new /run/decoys.yaml
	read -r sandbox container < <(cri run web-1 shop 01234567-89ab-cdef-0123-456789abcdef nginx -- sh -c "$POD")
	root=$(bundle_dir "$container")/rootfs
	wait_for "the pod's log" 30 grep -q "stdout F 2" /var/log/pods/shop_web-1_*/nginx/0.log
	container_decoys "$container"
	ctr_run plain sh -c 'echo "of ctr"; echo decoy | cat >/dev/null' >"$OUT/ctr"
	host_decoys
	echo "a log file's line" >/var/log/app.log
	logtap_stop new

	# An exec that runs already when logtap starts.
	cri exec "$container" -- sh -c ': >/tmp/running; until [ -e /tmp/end ]; do echo decoy of exec; usleep 20000; done' \
		>/dev/null &
	exec_pid=$!
	wait_for "the exec" 30 test -e "$root/tmp/running"
	logtap_start census /run/decoys.yaml
	: >"$root/tmp/go"
	wait_for "the pod's log" 30 grep -q "stdout F again 200" /var/log/pods/shop_web-1_*/nginx/0.log
	container_decoys "$container"
	host_decoys
	: >"$root/tmp/end"
	wait "$exec_pid" || true
	logtap_stop census
	cp /var/log/pods/shop_web-1_*/nginx/0.log "$OUT/pod.log"
	cri remove "$sandbox"
	containerd_stop
}

check()
{
	expect "what exec printed" "$(grep -c decoy "$OUT/exec")" 8
	judge <<'END'
import sys
from records import *

OUT = sys.argv[1]


def lines(name):
    found = {log: [record["message"] for record in records] for log, records in load(f"{OUT}/{name}.out").items()}
    expect(f"{name}: decoys", [line for log in found.values() for line in log if "decoy" in line], [])
    expect_no_loss(f"{OUT}/{name}.err")
    return found


expect("logs seen from the start", lines("new"), {
    "nginx/stdout": ["first", "out of a pipe", "2"],
    "nginx/stderr": ["to stderr"],
    "plain/stdout": ["of ctr"],
    "/var/log/app.log": ["a log file's line"],
})
expect("logs found by the census", lines("census"), {"nginx/stdout": [f"again {i}" for i in range(1, 201)]})
pod = open(f"{OUT}/pod.log").read().splitlines()
expect("the copy of containerd", len(pod), 204)
END
}
