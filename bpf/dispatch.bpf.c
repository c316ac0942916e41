/*
 * What is attached, for as long as anything is captured: one small program a hook, which jumps to
 * the program that its array holds now. To change the programs, after an upgrade of logtap or a
 * change of its configuration, is one update of an array: each write is seen by exactly one of old
 * and new. An empty array lets the hook pass.
 *
 * This object outlives the logtap that loaded it, so it knows as little as possible: the functions,
 * and for writes the filter, so that what is not selected costs no jump.
 */
#include "vmlinux.h"

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "record.h"

#include "shared.bpf.h"

char LICENSE[] SEC("license") = "GPL";

/* One a program: from 6.12 on all programs of an array must be made for the same function. */
#define NEXT(program)                                                                           \
	struct {                                                                                \
		__uint(type, BPF_MAP_TYPE_PROG_ARRAY);                                          \
		__uint(max_entries, 1);                                                         \
		__type(key, u32);                                                               \
		__type(value, u32);                                                             \
	} next_##program SEC(".maps")

/* One program for the function, and its rescue: see rescue.bpf.h. */
#define DISPATCH_WRITE(function)                                                                \
	DISPATCH_SELECTED(function, function##_exit)                                            \
	DISPATCH_SELECTED(function, function##_rescue)

#define DISPATCH_SELECTED(function, program)                                                    \
	NEXT(program);                                                                          \
	SEC("fexit/" #function)                                                                 \
	int BPF_PROG(program, struct kiocb *iocb)                                               \
	{                                                                                       \
		if (filter[filter_index(iocb->ki_filp->f_inode->i_ino)])                        \
			bpf_tail_call(ctx, &next_##program, 0);                                 \
		return 0;                                                                       \
	}

#define DISPATCH(section, program)                                                              \
	NEXT(program);                                                                          \
	SEC(section)                                                                            \
	int program(void *ctx)                                                                  \
	{                                                                                       \
		bpf_tail_call(ctx, &next_##program, 0);                                         \
		return 0;                                                                       \
	}

DISPATCH_WRITE(pipe_write)
DISPATCH_WRITE(anon_pipe_write)
DISPATCH_WRITE(generic_file_write_iter)
DISPATCH_WRITE(shmem_file_write_iter)
DISPATCH_WRITE(ext4_file_write_iter)
DISPATCH_WRITE(xfs_file_write_iter)
DISPATCH_WRITE(btrfs_file_write_iter)
DISPATCH_WRITE(f2fs_file_write_iter)
DISPATCH_WRITE(fuse_file_write_iter)
DISPATCH_WRITE(ovl_write_iter)

DISPATCH("tp_btf/sched_process_exec", sched_process_exec)
DISPATCH("tp_btf/cgroup_mkdir", cgroup_mkdir)
DISPATCH("tp_btf/cgroup_rmdir", cgroup_rmdir)
DISPATCH("fexit/pipe_release", pipe_release_exit)
DISPATCH("fexit/security_file_open", security_file_open_exit)
DISPATCH("fentry/security_file_free", security_file_free_enter)
DISPATCH("fentry/__destroy_inode", destroy_inode_enter)
