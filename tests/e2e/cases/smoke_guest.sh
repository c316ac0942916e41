# Shows that the harness works: a guest boots a kernel of its own with what capture needs, and its
# output, files and flags reach the host.
# timeout: 240

guest()
{
	[ -s /sys/kernel/btf/vmlinux ] || fail "the kernel has no BTF"
	mountpoint -q /sys/fs/bpf || fail "no bpffs"
	grep -qw memory /sys/fs/cgroup/cgroup.subtree_control || fail "no memory controller"
	uname -r >"$OUT/kernel"
	flag booted
	wait_flag answered
}

host()
{
	wait_flag booted
	flag answered
}

check()
{
	expect "the guest's kernel" "$(cut -d. -f1 "$OUT/kernel" | grep -c '^[56]$')" 1
}
