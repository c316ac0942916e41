#include "hooks.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <bpf/btf.h>
#include <linux/magic.h>

#define array_size(a) (sizeof(a) / sizeof((a)[0]))

#define BTF_NAME_MAX 128

#define FUNCTION_EXIT(name, group_, what_) \
	{ .program = #name "_exit", .function = #name, .group = group_, .what = what_ }
#define FILE_WRITE(name, module_, what_, ...)                                                      \
	{                                                                                          \
		.program = #name "_exit", .function = #name, .group = HOOK_FILE_WRITE,             \
		.module = module_, .magics = { __VA_ARGS__ }, .what = what_                        \
	}
#define RESCUE(name, group_, module_)                                                              \
	{                                                                                          \
		.program = #name "_rescue", .function = #name, .group = group_, .module = module_, \
		.what = "writes while a preempted one is inside the hook"                          \
	}
#define TRACEPOINT(name, group_, what_)                                                            \
	{                                                                                          \
		.program = #name, .function = #name, .group = group_, .kind = HOOK_TRACEPOINT,     \
		.what = what_                                                                      \
	}

static const struct hook table[] = {
	/*
	 * 6.15: commits 262b2fa99cbe ("pipe: introduce struct file_operations pipeanon_fops") and
	 * f017b0a4951f ("pipe: don't update {a,c,m}time for anonymous pipes") split pipe_write into
	 * anon_pipe_write and fifo_pipe_write; the latter calls the former, so that attaching to
	 * both would see a FIFO's writes twice.
	 */
	FUNCTION_EXIT(anon_pipe_write, HOOK_PIPE_WRITE,
		      "writes to containers' stdout and stderr (6.15 and later)"),
	FUNCTION_EXIT(pipe_write, HOOK_PIPE_WRITE,
		      "writes to containers' stdout and stderr (before 6.15)"),
	FUNCTION_EXIT(pipe_release, HOOK_PIPE_CLOSE, "the last close of a pipe"),
	/* BTF tracepoints: 5.5. */
	TRACEPOINT(sched_process_exec, HOOK_EXEC, "the first program of a container"),
	FUNCTION_EXIT(security_file_open, HOOK_FILE_OPEN, "log files being opened"),
	{ .program = "security_file_free_enter",
	  .function = "security_file_free",
	  .group = HOOK_FILE_CLOSE,
	  .what = "the last close of a log file" },
	{ .program = "destroy_inode_enter",
	  .function = "__destroy_inode",
	  .group = HOOK_INODE_FREE,
	  .what = "inode numbers that become free" },
	/* Both since 5.0. */
	TRACEPOINT(cgroup_mkdir, HOOK_CGROUP, "new containers"),
	TRACEPOINT(cgroup_rmdir, HOOK_CGROUP, "containers that are gone"),
	/* 5.8: eaaacd23910f ("bpf: Add task and task/file iterator targets"). */
	{ .program = "census_tasks",
	  .function = "bpf_iter_task",
	  .group = HOOK_CENSUS,
	  .kind = HOOK_ITERATOR,
	  .what = "containers that run already" },
	{ .program = "census_files",
	  .function = "bpf_iter_task_file",
	  .group = HOOK_CENSUS,
	  .kind = HOOK_ITERATOR,
	  .what = "pipes and files that are open already" },
	/*
	 * Module functions are found from 5.11 on: 36e68442d1af ("bpf: Load and verify kernel
	 * module BTFs").
	 */
	FILE_WRITE(ext4_file_write_iter, "ext4", "log files on ext4", EXT4_SUPER_MAGIC),
	FILE_WRITE(xfs_file_write_iter, "xfs", "log files on xfs", XFS_SUPER_MAGIC),
	FILE_WRITE(btrfs_file_write_iter, "btrfs", "log files on btrfs", BTRFS_SUPER_MAGIC),
	FILE_WRITE(f2fs_file_write_iter, "f2fs", "log files on f2fs", F2FS_SUPER_MAGIC),
	/* An overlay's write goes on to the upper file system's function, with another inode. */
	FILE_WRITE(ovl_write_iter, "overlay", "log files inside containers (overlayfs)",
		   OVERLAYFS_SUPER_MAGIC),
	FILE_WRITE(fuse_file_write_iter, "fuse", "log files on FUSE and virtiofs",
		   FUSE_SUPER_MAGIC),
	/*
	 * 6.6: e88e0d366f9c ("tmpfs: trivial support for direct IO") gave tmpfs a function of its
	 * own; before it, and for ramfs, vfat and ext2 still, it is the generic one.
	 */
	FILE_WRITE(shmem_file_write_iter, NULL, "log files on tmpfs (6.6 and later)", TMPFS_MAGIC),
	FILE_WRITE(generic_file_write_iter, NULL,
		   "log files on vfat, ext2 and ramfs, and on tmpfs before 6.6", TMPFS_MAGIC,
		   RAMFS_MAGIC, MSDOS_SUPER_MAGIC, EXT2_SUPER_MAGIC),
	/* The pipes' in the order of the above. */
	RESCUE(anon_pipe_write, HOOK_PIPE_RESCUE, NULL),
	RESCUE(pipe_write, HOOK_PIPE_RESCUE, NULL),
	RESCUE(ext4_file_write_iter, HOOK_FILE_RESCUE, "ext4"),
	RESCUE(xfs_file_write_iter, HOOK_FILE_RESCUE, "xfs"),
	RESCUE(btrfs_file_write_iter, HOOK_FILE_RESCUE, "btrfs"),
	RESCUE(f2fs_file_write_iter, HOOK_FILE_RESCUE, "f2fs"),
	RESCUE(ovl_write_iter, HOOK_FILE_RESCUE, "overlay"),
	RESCUE(fuse_file_write_iter, HOOK_FILE_RESCUE, "fuse"),
	RESCUE(shmem_file_write_iter, HOOK_FILE_RESCUE, NULL),
	RESCUE(generic_file_write_iter, HOOK_FILE_RESCUE, NULL),
};

/* Reading it takes a while and megabytes, and every question needs it. */
static struct btf *vmlinux;

const struct hook *hooks__table(unsigned int *count)
{
	*count = array_size(table);
	return table;
}

int hooks__load(void)
{
	if (!vmlinux)
		vmlinux = btf__load_vmlinux_btf();
	return vmlinux ? 0 : -errno;
}

static bool module_has(const char *module, const char *name)
{
	struct btf *btf = btf__load_module_btf(module, vmlinux);
	bool found = btf && btf__find_by_name_kind(btf, name, BTF_KIND_FUNC) > 0;

	btf__free(btf);
	return found;
}

int hooks__present(const struct hook *hook)
{
	char name[BTF_NAME_MAX];
	int err = hooks__load();

	if (err)
		return err;
	/* The type that libbpf attaches a BTF tracepoint by. */
	if (hook->kind == HOOK_TRACEPOINT) {
		snprintf(name, sizeof(name), "btf_trace_%s", hook->function);
		return btf__find_by_name_kind(vmlinux, name, BTF_KIND_TYPEDEF) > 0;
	}
	if (btf__find_by_name_kind(vmlinux, hook->function, BTF_KIND_FUNC) > 0)
		return 1;
	return hook->module && module_has(hook->module, hook->function);
}

int hooks__function_id(const char *function)
{
	int err = hooks__load();

	return err ? err : btf__find_by_name_kind(vmlinux, function, BTF_KIND_FUNC);
}

int hooks__has_helper(const char *name)
{
	const struct btf_enum *values;
	const struct btf_type *type;
	int err = hooks__load();
	int id;

	if (err)
		return err;
	id = btf__find_by_name_kind(vmlinux, "bpf_func_id", BTF_KIND_ENUM);
	if (id < 0)
		return 0;
	type = btf__type_by_id(vmlinux, id);
	values = btf_enum(type);
	for (int i = 0; i < btf_vlen(type); i++)
		if (strcmp(btf__name_by_offset(vmlinux, values[i].name_off), name) == 0)
			return 1;
	return 0;
}

void hooks__release(void)
{
	btf__free(vmlinux);
	vmlinux = NULL;
}
