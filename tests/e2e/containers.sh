# Sourced: runc containers of a static busybox, laid out like a runtime would lay them out.
# In a guest all of it lives in memory; nothing here needs a registry or a daemon.
# Callers set ROOTFS, as tests/e2e/rootfs makes it.

BUNDLES=${BUNDLES:-/run/e2e/bundles}
CRI_NAMESPACE=${CRI_NAMESPACE:-k8s.io}
declare -gA DRAINS=()

# json VARIABLE TEXT: stores TEXT as a JSON string (without a process: there may be hundreds).
json()
{
	local text=${2//\\/\\\\}

	text=${text//\"/\\\"}
	text=${text//$'\n'/\\n}
	text=${text//$'\t'/\\t}
	printf -v "$1" '"%s"' "$text"
}

# A bundle with a pod lies where containerd's CRI plugin keeps it; a plain one does not.
bundle_dir()
{
	local cri=/run/containerd/io.containerd.runtime.v2.task/$CRI_NAMESPACE/$1

	if [ -d "$cri" ]; then echo "$cri"; else echo "$BUNDLES/$1"; fi
}

runc_root()
{
	if [[ $(bundle_dir "$1") = /run/containerd/* ]]; then
		echo "/run/containerd/runc/$CRI_NAMESPACE"
	else
		echo /run/runc
	fi
}

runc_for()
{
	local id=$1
	shift

	runc --root "$(runc_root "$id")" "$@"
}

# bundle [-p POD -n NAMESPACE -u UID -c CONTAINER -i IMAGE -s SANDBOX_ID] [-g CGROUP]
#        [-m HOST_DIR:DIR]... ID COMMAND...
# With -p: annotations, places and the cgroup are those of containerd's CRI plugin.
bundle()
{
	local pod='' namespace=default uid=11111111-2222-3333-4444-555555555555 container=main
	local image=localhost/busybox:1 sandbox='' cgroup='' mounts='' dir id word args='' option
	local OPTIND=1

	while getopts p:n:u:c:i:s:g:m: option; do
		case $option in
		p) pod=$OPTARG ;;
		n) namespace=$OPTARG ;;
		u) uid=$OPTARG ;;
		c) container=$OPTARG ;;
		i) image=$OPTARG ;;
		s) sandbox=$OPTARG ;;
		g) cgroup=$OPTARG ;;
		m) mounts+=",{\"destination\":\"${OPTARG#*:}\",\"type\":\"bind\",
			\"source\":\"${OPTARG%%:*}\",\"options\":[\"rbind\",\"rw\"]}" ;;
		*) return 2 ;;
		esac
	done
	shift $((OPTIND - 1))
	id=$1
	shift
	for word; do
		json word "$word"
		args+=,$word
	done
	dir=$BUNDLES/$id
	if [ -n "$pod" ]; then
		dir=/run/containerd/io.containerd.runtime.v2.task/$CRI_NAMESPACE/$id
		cgroup=${cgroup:-/kubepods/besteffort/pod$uid/$id}
	fi
	mkdir -p "$dir"
	bundle_config >"$dir/config.json"
}

# Writes the OCI specification of the bundle that the caller's variables describe.
bundle_config()
{
	local annotations=''

	[ -z "$pod" ] || annotations='
		"io.kubernetes.cri.container-type": "container",
		"io.kubernetes.cri.container-name": "'$container'",
		"io.kubernetes.cri.image-name": "'$image'",
		"io.kubernetes.cri.sandbox-id": "'$sandbox'",
		"io.kubernetes.cri.sandbox-name": "'$pod'",
		"io.kubernetes.cri.sandbox-namespace": "'$namespace'",
		"io.kubernetes.cri.sandbox-uid": "'$uid'"'
	cat <<-END
	{
	"ociVersion": "1.0.2",
	"process": {
		"terminal": false, "cwd": "/", "user": {"uid": 0, "gid": 0},
		"args": [${args#,}], "env": ["PATH=/bin"]
	},
	"root": {"path": "$ROOTFS", "readonly": true},
	"hostname": "${pod:-$id}",
	"annotations": {$annotations},
	"mounts": [
		{"destination": "/proc", "type": "proc", "source": "proc"},
		{"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["mode=755"]},
		{"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"}$mounts
	],
	"linux": {
		"cgroupsPath": "${cgroup:-/e2e/$id}",
		"namespaces": [{"type": "pid"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"}]
	}
	}
	END
}

# container_start ID [STDOUT_FILE [STDERR_FILE]]: the container's stdout and stderr are pipes that
# one reader each drains into a file (/dev/null), as a shim would. Returns when it runs.
container_start()
{
	local id=$1 dir out err status=0

	dir=$(bundle_dir "$id")
	exec {out}> >(exec cat >"${2:-/dev/null}")
	DRAINS[$id]=$!
	exec {err}> >(exec {out}>&-; exec cat >"${3:-/dev/null}")
	DRAINS[$id]+=" $!"
	runc_for "$id" --log "$dir/runc.log" run --detach --bundle "$dir" "$id" \
		</dev/null >&"$out" 2>&"$err" {out}>&- {err}>&- || status=$?
	exec {out}>&- {err}>&-
	[ "$status" = 0 ] || cat "$dir/runc.log" >&2
	return "$status"
}

# podman_config DIR PODMAN PATH: a configuration in DIR for the Podman unpacked at PODMAN, whose conmon finds its hooks' programs on PATH.
podman_config()
{
	mkdir -p "$1"
	echo '{"default": [{"type": "insecureAcceptAnything"}]}' >"$1/policy.json"
	cat >"$1/containers.conf" <<-END
		[containers]
		default_sysctls = []
		[engine]
		conmon_path = ["$2/usr/bin/conmon"]
		conmon_env_vars = ["PATH=$3", "LD_LIBRARY_PATH=$2/usr/lib/x86_64-linux-gnu"]
		events_logger = "file"
		[engine.runtimes]
		crun = ["$2/usr/bin/crun"]
	END
}

# container_wait ID [SECONDS]: until it has ended and all that it wrote is drained; as wait_for.
container_wait()
{
	local tries=$((${2:-60} * 80)) drain

	for drain in ${DRAINS[$1]}; do
		while kill -0 "$drain" 2>/dev/null; do
			[ $((tries--)) -gt 0 ] || { echo "container $1 does not end" >&2; return 1; }
			sleep 0.05
		done
	done
}

# Ends what still runs in it and removes every trace of it.
container_delete()
{
	local dir

	dir=$(bundle_dir "$1")
	[ -d "$dir" ] || return 0
	runc_for "$1" delete --force "$1"
	rm -rf "$dir"
	unset "DRAINS[$1]"
}

container_run()
{
	container_start "$@"
	container_wait "$1"
	container_delete "$1"
}
