# Shows that only containers' own output is captured, and once, with real containerd and its CRI plugin: not what `kubectl exec`
# and `runc exec` print, nor pipes between programs inside a container or on the host, nor those of services and sessions that
# look a little like containers, nor the copies that the shim and containerd write, nor logtap's own output.
# needs: logtap containerd sshd
# init: systemd
# timeout: 300
# pods: 1

DECOY='echo decoy of a unit; echo decoy of a unit >&2'

# Prints into a pipe from a cgroup that nobody knows, in a mount namespace of its own.
# shellcheck disable=SC2016 # expanded there
in_cgroup()
{
	mkdir -p "/sys/fs/cgroup/$1"
	bash -c 'echo $$ >"/sys/fs/cgroup/$0/cgroup.procs"; exec unshare -m sh -c "$1"' "$1" "$DECOY" 2>&1 | cat
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

# Services and sessions, also with namespaces as containers have them. Where they were is printed too, and is no decoy.
host_decoys()
{
	local where='sed "s/^/in /" /proc/self/cgroup; '

	{
		echo "decoy on the host" | cat
		systemd-run -q --pipe sh -c "$where$DECOY" </dev/null 2>&1 | cat
		systemd-run -q --pipe -p PrivateTmp=yes sh -c "$where$DECOY" </dev/null 2>&1 | cat
		systemd-run -q --pipe unshare -m -p -f sh -c "$DECOY" </dev/null 2>&1 | cat
		ssh_root "$where$DECOY" 2>&1 | cat
		ssh_root "unshare -m -p -f sh -c '$DECOY'" 2>&1 | cat
		in_cgroup build
	} >>"$OUT/host"
}

# A service and a session that print from before logtap starts until /run/e2e/end is there.
standing_decoys()
{
	local loop='sed "s/^/in /" /proc/self/cgroup; until [ -e /run/e2e/end ]; do echo decoy of a unit; echo decoy of a unit >&2; sleep 0.1; done'

	systemd-run -q --pipe -p PrivateTmp=yes sh -c "$loop" </dev/null 2>&1 | cat >"$OUT/service" &
	ssh_root "$loop" 2>&1 | cat >"$OUT/session" &
	wait_for "the service" 30 test -s "$OUT/service"
	wait_for "the session" 30 test -s "$OUT/session"
}

is_larger()
{
	[ "$(stat -c %s "$1")" -gt "$2" ]
}

# still_prints FILE: what fills it goes on.
still_prints()
{
	wait_for "more of $1" 30 is_larger "$1" "$(stat -c %s "$1")"
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
	sshd_start
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
	standing_decoys
	logtap_start census /run/decoys.yaml
	: >"$root/tmp/go"
	wait_for "the pod's log" 30 grep -q "stdout F again 200" /var/log/pods/shop_web-1_*/nginx/0.log
	container_decoys "$container"
	still_prints "$OUT/service"
	still_prints "$OUT/session"
	: >"$root/tmp/end"
	: >/run/e2e/end
	wait "$exec_pid" || true
	logtap_stop census
	cp /var/log/pods/shop_web-1_*/nginx/0.log "$OUT/pod.log"
	cp /var/log/app.log "$OUT/"
	cri remove "$sandbox"
	containerd_stop
}

check()
{
	expect "what exec printed" "$(grep -c decoy "$OUT/exec")" 8
	expect "what services and sessions printed" "$(grep -c decoy "$OUT/host")" 13
	expect "services" "$(cat "$OUT"/{host,service} | grep -c '^in 0::/system.slice/run-u[0-9]*.service$')" 3
	expect "sessions" "$(cat "$OUT"/{host,session} | grep -c '^in 0::/user.slice/user-0.slice/session-.*.scope$')" 2
	judge <<'END'
import sys
from records import *

OUT = sys.argv[1]


def captured(name):
    logs = load(f"{OUT}/{name}.out")
    found = {log: [record["message"] for record in records] for log, records in logs.items()}
    expect(f"{name}: decoys", [line for log in found.values() for line in log if "decoy" in line], [])
    expect_no_loss(f"{OUT}/{name}.err")
    return logs, found


new, lines = captured("new")
expect("logs seen from the start", lines, {
    "nginx/stdout": ["first", "out of a pipe", "2"],
    "nginx/stderr": ["to stderr"],
    "plain/stdout": ["of ctr"],
    "/var/log/app.log": ["a log file's line"],
})
census, lines = captured("census")
expect("logs found by the census", lines, {"nginx/stdout": [f"again {i}" for i in range(1, 201)]})
pod = {"stdout": b"", "stderr": b""}
for line in open(f"{OUT}/pod.log", "rb"):
    _, stream, whole, message = line.split(b" ", 3)
    expect("the copy of containerd", whole, b"F")
    pod[stream.decode()] += message
for stream, text in pod.items():
    log = f"nginx/{stream}"
    expect_truth(log, new[log] + census.get(log, []), text)
for log, name in (("plain/stdout", "ctr"), ("/var/log/app.log", "app.log")):
    expect_truth(log, new[log], open(f"{OUT}/{name}", "rb").read())
END
}
