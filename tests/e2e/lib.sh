# Sourced by every phase of a case (tests/e2e/phase), on the host and in the guest. Known there:
#   REPO   the repository      OUT    the case's directory, the same path on host and guest
#   CASE   its name            PHASE  host, guest or check
#   KAFKA  what a client in this place gives as bootstrap.servers (cases that need kafka)
set -euo pipefail

LOGTAP=$REPO/build/logtap
ROOTFS=$E2E_CACHE/rootfs
declare -gA LOGTAP_PIDS=()
# shellcheck source=tests/e2e/containers.sh
. "$REPO/tests/e2e/containers.sh"

# --- results

# Ends the phase; the first reason that a case gives is the one that is reported.
fail()
{
	echo "FAILED: $*" >&2
	[ -e "$OUT/reason" ] || printf '%s\n' "$*" >"$OUT/reason"
	exit 1
}

skip()
{
	printf '%s\n' "$*" >"$OUT/reason"
	exit 77
}

# expect WHAT ACTUAL WANTED
expect()
{
	[ "$2" = "$3" ] || fail "$1: '$2', not '$3'"
}

# --- waiting

# wait_for WHAT SECONDS COMMAND...: until COMMAND succeeds; four times as long where the machine is slow.
wait_for()
{
	local what=$1 end=$((SECONDS + 4 * $2))
	shift 2

	until "$@" >/dev/null 2>&1; do
		[ "$SECONDS" -lt "$end" ] || fail "waited in vain for $what"
		sleep 0.1
	done
}

# Flags are how the host and the guest of a case tell each other where they are.
flag()
{
	: >"$OUT/flag.$1"
}

wait_flag()
{
	wait_for "flag $1" "${2:-120}" test -e "$OUT/flag.$1"
}

# --- logtap

logtap_ready()
{
	grep -q capturing "$1" || ! kill -0 "$2" 2>/dev/null
}

# logtap_start NAME [CONFIG]: runs it beside the case, its stdout in $OUT/NAME.out and stderr in
# $OUT/NAME.err; returns when all hooks are attached.
logtap_start()
{
	local name=$1 args=()

	[ -z "${2-}" ] || args=(-c "$2")
	# A shell's background processes ignore SIGINT, by which logtap ends for good.
	env --default-signal=INT "$LOGTAP" run "${args[@]}" </dev/null >"$OUT/$name.out" 2>"$OUT/$name.err" &
	LOGTAP_PIDS[$name]=$!
	wait_for "logtap to capture" 60 logtap_ready "$OUT/$name.err" $!
	kill -0 $! 2>/dev/null || fail "logtap ended: $(tail -n 3 "$OUT/$name.err")"
}

# logtap_stop NAME [SIGNAL]: returns logtap's exit status. By default nothing of it stays behind; TERM leaves capture
# pinned, so that the next logtap of this guest goes on with it.
logtap_stop()
{
	local pid=${LOGTAP_PIDS[$1]}

	kill "-${2:-INT}" "$pid" 2>/dev/null || true
	wait "$pid"
}

# --- Kubernetes

# With API=down, hang or silent (tests/e2e/run -e) logtap is in a cluster whose API server does not answer, in the way that
# tests/kubernetes/deaf_server tells: what cases demand holds without it.
api_deaf_start()
{
	local dir=/run/e2e/deaf account=/var/run/secrets/kubernetes.io/serviceaccount

	mkdir -p "$dir" "$account"
	# In a subshell: a case may wait for all that it started.
	(setsid /usr/bin/python3 "$REPO/tests/kubernetes/deaf_server" "$dir" "$API" </dev/null >"$OUT/api.said" 2>&1 &)
	wait_for "the API server that does not answer" 60 test -e "$dir/port"
	export KUBERNETES_SERVICE_HOST=127.0.0.1 KUBERNETES_SERVICE_PORT
	KUBERNETES_SERVICE_PORT=$(cat "$dir/port")
	cp "$dir/ca.crt" "$account"
	echo token >"$account/token"
}

# All records that the case left, on stdout.
all_records()
{
	local topic

	find "$OUT" -maxdepth 1 -type f -name '*.out' -exec cat {} +
	for topic in $TOPICS; do
		consume "${topic%%:*}"
	done
}

# What the pods' records of a case say without an API server.
expect_unenriched()
{
	all_records | PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 "$REPO/tests/e2e/tools/unenriched.py" "${PODS:-0}" "$NAMELESS" 2>"$OUT/judgement" ||
		fail "$(tail -n 1 "$OUT/judgement")"
}

# --- Kafka

# Topics of a case: `# topics: a b:4` makes CASE.a and CASE.b; on the broker of all cases.
topic()
{
	echo "$CASE.$1"
}

broker()
{
	"$REPO/tests/kafka/broker" "$1" "$BROKER_DIR" "${@:2}"
}

# consume TOPIC: prints all that it holds now, one message a line.
consume()
{
	kcat -C -q -e -m 60 -b "$KAFKA" -t "$(topic "$1")"
}

# --- containerd, with its CRI plugin (cases that need containerd)

# containerd_config STATE ROOT: with a runtime handler for each cgroup driver, of which cgroupfs is the default.
containerd_config()
{
	cat <<-END
		version = 2
		state = "$1"
		root = "$2"
		[grpc]
		address = "$1/containerd.sock"
		[plugins."io.containerd.grpc.v1.cri"]
		sandbox_image = "localhost/pause:1"
		disable_apparmor = true
		[plugins."io.containerd.grpc.v1.cri".containerd]
		snapshotter = "native"
		[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
		runtime_type = "io.containerd.runc.v2"
		[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.systemd]
		runtime_type = "io.containerd.runc.v2"
		[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.systemd.options]
		SystemdCgroup = true
	END
}

# containerd_start [STATE ROOT]: where it keeps its files, if not in the usual places.
containerd_start()
{
	local run=/run/e2e/containerd state=${1:-/run/containerd} root=${2:-/var/lib/containerd}

	mkdir -p "$run"
	containerd_config "$state" "$root" >"$run/config.toml"
	export PATH=$CONTAINERD/usr/bin:$PATH PYTHONPATH=$E2E_CACHE CRI_SOCKET=$state/containerd.sock
	export CONTAINERD_ADDRESS=$CRI_SOCKET
	containerd --config "$run/config.toml" </dev/null >>"$OUT/containerd.log" 2>&1 &
	CONTAINERD_PID=$!
	wait_for "containerd" 60 ctr version
	ctr -n k8s.io images import --snapshotter native "$E2E_CACHE/image.tar" >/dev/null
}

containerd_stop()
{
	kill "$CONTAINERD_PID"
	wait "$CONTAINERD_PID" || true
}

cri()
{
	/usr/bin/python3 "$REPO/tests/e2e/cri.py" "$@"
}

# ctr_run ID COMMAND...: a container of containerd without a pod, in the namespace `default`.
ctr_run()
{
	ctr images ls -q | grep -qx localhost/busybox:1 ||
		ctr images import --snapshotter native "$E2E_CACHE/image.tar" >/dev/null
	ctr run --snapshotter native --rm localhost/busybox:1 "$@"
}

# --- logins (cases that need sshd and systemd)

# Debian's sshd as a service of its own, with sessions as pam_systemd makes them.
sshd_start()
{
	mkdir -p /run/sshd /run/ssh
	grep -q ^sshd: /etc/passwd || echo 'sshd:x:65533:65534::/run/sshd:/usr/sbin/nologin' >>/etc/passwd
	ssh-keygen -q -t ed25519 -N '' -f /run/ssh/host
	ssh-keygen -q -t ed25519 -N '' -f /run/ssh/client
	cp /run/ssh/client.pub /run/ssh/authorized
	printf '%s\n' 'account required pam_permit.so' \
		"session required $SSHD/lib/x86_64-linux-gnu/security/pam_systemd.so" >/etc/pam.d/sshd
	cat >/run/ssh/config <<-END
		ListenAddress 127.0.0.1
		HostKey /run/ssh/host
		AuthorizedKeysFile /run/ssh/authorized
		StrictModes no
		UsePAM yes
	END
	systemctl start systemd-logind
	systemd-run -q --unit ssh -E "LD_LIBRARY_PATH=$SSHD/usr/lib/x86_64-linux-gnu" \
		"$SSHD/usr/sbin/sshd" -D -f /run/ssh/config -E "$OUT/sshd.log"
	wait_for "sshd" 30 grep -q "Server listening" "$OUT/sshd.log"
}

# ssh_root COMMAND: a login of root's.
ssh_root()
{
	ssh -q -i /run/ssh/client -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null root@127.0.0.1 "$@" </dev/null
}

# judge: runs the Python on stdin, with tests/e2e/tools/records.py beside it; argv[1] is $OUT. What it
# says last is why it fails.
judge()
{
	PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$REPO/tests/e2e/tools /usr/bin/python3 - "$OUT" \
		2>"$OUT/judgement" || fail "$(tail -n 1 "$OUT/judgement")"
}
