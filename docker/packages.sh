#!/bin/sh
# packages.sh [-l] GROUP...: install the Debian packages that a purpose needs.
#   build  compiler, BPF tools and libraries: `make`
#   run    a container and a guest to run it in: `make run`
#   test   test libraries, a CRI client, a Kafka broker's runtime: `make test`
#   fresh  what makes a fresh Debian machine: `make test-fresh`
#   -l     only print the names, for a Dockerfile: apt-get install $(packages.sh -l build)
# Says by name what is missing before it installs; on a prepared machine it is silent.
# For any POSIX shell: where this is all that runs, on other distributions, there may be no bash.
set -eu
# su without - leaves out where dpkg's helpers and bpftool are.
export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

packages_of()
{
	case $1 in
	build)
		echo bash gcc libc6-dev make clang llvm bpftool pkg-config libbpf-dev librdkafka-dev \
			libelf-dev zlib1g-dev libcyaml-dev libyaml-dev libjansson-dev \
			libcurl4-openssl-dev libsqlite3-dev
		;;
	run)
		echo runc busybox-static cpio xz-utils zstd iproute2 qemu-system-x86 \
			qemu-system-common
		;;
	test)
		packages_of run
		echo libcmocka-dev libclang-rt-dev python3 python3-grpcio python3-grpc-tools \
			kcat jq maven e2fsprogs util-linux systemd dbus openssh-client \
			openssl python3-h2 python3-pip
		;;
	fresh)
		echo debootstrap git util-linux
		;;
	*)
		echo "packages.sh: unknown group '$1'; groups are build, run, test, fresh" >&2
		return 2
		;;
	esac
}

# Prints the given packages that are not installed. dpkg-query fails for unknown ones: no news.
missing_of()
{
	{
		dpkg-query -W -f '${db:Status-Status} ${Package}\n' "$@" 2>/dev/null || true
		printf 'wanted %s\n' "$@"
	} | awk '$1 == "installed" { have[$2] = 1 } $1 == "wanted" && !have[$2]++ { print $2 }'
}

stop()
{
	echo "packages.sh: $1; please install: $2" >&2
	exit 1
}

install_missing()
{
	echo "Missing packages: $*"
	[ "$(id -u)" = 0 ] || stop "only root can install them" "$*"
	echo "Installing them with apt-get."
	export DEBIAN_FRONTEND=noninteractive
	apt-get update -q -q
	apt-get install -q -y -oDpkg::Use-Pty=0 --no-install-recommends "$@"
}

only_list='' names=''
[ "${1-}" != -l ] || { only_list=1; shift; }
[ $# -gt 0 ] || { echo "usage: packages.sh [-l] build|run|test|fresh..." >&2; exit 2; }
for group; do
	words=$(packages_of "$group")
	for word in $words; do
		case " $names " in
		*" $word "*) ;;
		*) names="$names $word" ;;
		esac
	done
done
# shellcheck disable=SC2086 # package names are split on purpose
set -- $names
[ -z "$only_list" ] || { printf '%s\n' "$@"; exit; }
command -v apt-get >/dev/null ||
	stop "this is not a Debian-like system (no apt-get), names may differ" "$*"
missing=$(missing_of "$@")
# shellcheck disable=SC2086
[ -z "$missing" ] || install_missing $missing
