/*
 * The kernel half: sees streams open, sees what is written to them, sees them close. Nothing here
 * blocks, sleeps or allocates. The programs are not attached: those of dispatch.bpf.c jump here, the
 * writes' only when the filter says that the inode may be selected.
 */
#include "vmlinux.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "record.h"

#include "kernel_fixes.bpf.h"
#include "shared.bpf.h"
#include "maps.bpf.h"
#include "ring.bpf.h"
#include "cgroups.bpf.h"
#include "view.bpf.h"
#include "streams.bpf.h"
#include "writes.bpf.h"

char LICENSE[] SEC("license") = "GPL";

/* Writes. One body: all write_iter functions share one signature. */

#define WRITE_HOOK(function)                                                                    \
	BEFORE(function##_exit);                                                                \
	SEC("fexit/" #function)                                                                 \
	int BPF_PROG(function##_exit, struct kiocb *iocb, struct iov_iter *iter, long ret)      \
	{                                                                                       \
		if (mark_write() && !capture_write(iocb->ki_filp->f_inode, iter, ret) &&        \
		    moving)                                                                     \
			bpf_tail_call(ctx, &before_##function##_exit, 0);                       \
		return 0;                                                                       \
	}                                                                                       \
	RESCUE_HOOK(function)

#define RESCUE_HOOK(function)                                                                   \
	BEFORE(function##_rescue);                                                              \
	SEC("fexit/" #function)                                                                 \
	int BPF_PROG(function##_rescue, struct kiocb *iocb, struct iov_iter *iter, long ret)    \
	{                                                                                       \
		if (!was_marked() && !rescue_write(iocb->ki_filp->f_inode, iter, ret) &&        \
		    moving)                                                                     \
			bpf_tail_call(ctx, &before_##function##_rescue, 0);                     \
		return 0;                                                                       \
	}

static __always_inline int rescue_write(struct inode *inode, struct iov_iter *iter, long ret)
{
	int known = capture_write(inode, iter, ret);

	if (known)
		__sync_fetch_and_add(&state.rescued, 1);
	return known;
}

WRITE_HOOK(pipe_write)
WRITE_HOOK(anon_pipe_write)
WRITE_HOOK(shmem_file_write_iter)
WRITE_HOOK(ext4_file_write_iter)
WRITE_HOOK(xfs_file_write_iter)
WRITE_HOOK(btrfs_file_write_iter)
WRITE_HOOK(f2fs_file_write_iter)
WRITE_HOOK(fuse_file_write_iter)
WRITE_HOOK(ovl_write_iter)

BEFORE(generic_file_write_iter_exit);

/*
 * FUSE with a write-back cache comes through here too, with the same inode, after its own function
 * was hooked.
 */
SEC("fexit/generic_file_write_iter")
int BPF_PROG(generic_file_write_iter_exit, struct kiocb *iocb, struct iov_iter *iter, long ret)
{
	struct inode *inode = iocb->ki_filp->f_inode;

	if (inode->i_sb->s_magic == FUSE_SUPER_MAGIC)
		return 0;
	if (mark_write() && !capture_write(inode, iter, ret) && moving)
		bpf_tail_call(ctx, &before_generic_file_write_iter_exit, 0);
	return 0;
}

BEFORE(generic_file_write_iter_rescue);

SEC("fexit/generic_file_write_iter")
int BPF_PROG(generic_file_write_iter_rescue, struct kiocb *iocb, struct iov_iter *iter, long ret)
{
	struct inode *inode = iocb->ki_filp->f_inode;

	if (inode->i_sb->s_magic == FUSE_SUPER_MAGIC)
		return 0;
	if (!was_marked() && !rescue_write(inode, iter, ret) && moving)
		bpf_tail_call(ctx, &before_generic_file_write_iter_rescue, 0);
	return 0;
}

/* Containers' pipes. */

/*
 * Hooks that a runtime runs inside the container's cgroup exec before the entrypoint, with pipes of
 * their own, but they are children of the container's init, which already has the container's: so
 * the topmost process of the cgroup is asked.
 */
static __always_inline struct task_struct *topmost_in_cgroup(struct task_struct *task, struct cgroup *cgroup)
{
	for (int i = 0; i < 4; i++) {
		struct task_struct *parent = BPF_CORE_READ(task, real_parent);

		if (!parent || task_cgroup(parent) != cgroup)
			break;
		task = parent;
	}
	return task;
}

static __always_inline struct file *task_file(struct task_struct *task, u32 fd)
{
	struct fdtable *table = BPF_CORE_READ(task, files, fdt);
	struct file *file = 0;

	if (!table || BPF_CORE_READ(table, max_fds) <= fd)
		return 0;
	bpf_probe_read_kernel(&file, sizeof(file), BPF_CORE_READ(table, fd) + fd);
	return file;
}

static __always_inline void register_standard_pipe(struct task_struct *task, u32 fd, u32 kind)
{
	struct file *file = task_file(task, fd);
	struct inode *inode = file ? BPF_CORE_READ(file, f_inode) : 0;

	if (inode && is_anonymous_pipe(inode))
		register_pipe(inode, kind, 0, task);
}

static __always_inline bool in_init_mount_namespace(struct task_struct *task)
{
	return BPF_CORE_READ(task, nsproxy, mnt_ns, ns.inum) == state.init_mount_namespace;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(sched_process_exec, struct task_struct *task, pid_t old_pid, struct linux_binprm *bprm)
{
	struct cgroup *cgroup = task_cgroup(task);
	u64 id = cgroup_number(cgroup);
	u8 entered = 1;
	int err;

	if (!is_in_view(task) || !cgroup_depth(cgroup) || in_init_mount_namespace(task))
		return 0;
	if (moving && bpf_map_lookup_elem(&entered_before, &id))
		return 0;
	err = bpf_map_update_elem(&entered_cgroups, &id, &entered, BPF_NOEXIST);
	if (err && err != -EEXIST)
		__sync_fetch_and_add(&state.unregistered, 1);
	if (err)
		return 0;
	task = topmost_in_cgroup(task, cgroup);
	register_standard_pipe(task, 1, STREAM_STDOUT);
	register_standard_pipe(task, 2, STREAM_STDERR);
	return 0;
}

/*
 * A hint, early: the runtime has written the container's files before it makes the cgroup, and may
 * remove them at its exit.
 */
SEC("tp_btf/cgroup_mkdir")
int BPF_PROG(cgroup_mkdir, struct cgroup *cgroup, const char *path)
{
	u64 id = cgroup_number(cgroup);
	u32 shard = shard_of(id);
	void *ring = bpf_map_lookup_elem(&rings, &shard);
	int depth = cgroup_depth(cgroup);
	struct cgroup_payload *payload;
	struct record *record;

	if (!ring || !is_followed(cgroup) || !is_in_view(bpf_get_current_task_btf()))
		return 0;
	record = bpf_ringbuf_reserve(ring, sizeof(*record) + sizeof(*payload), 0);
	if (!record)
		return 0;
	__builtin_memset(record, 0, sizeof(*record));
	record->version = RECORD_VERSION;
	record->header_length = sizeof(*record);
	record->type = RECORD_CGROUP;
	record->length = sizeof(*record) + sizeof(*payload);
	record->time = bpf_ktime_get_boot_ns();
	payload = (void *)(record + 1);
	payload->id = id;
	/*
	 * Names are shorter than their room: what lies behind them must not be an older record's.
	 */
	__builtin_memset(payload->names, 0, sizeof(payload->names));
	for (int i = 0; i < CGROUP_TOP_NAMES; i++) {
		__builtin_memset(payload->top[i], 0, sizeof(payload->top[i]));
		/* All at once would be a call. */
		barrier();
	}
	payload->level = depth;
	payload->reserved = 0;
	read_cgroup_names(cgroup, depth, payload->names, payload->top);
	bpf_ringbuf_submit(record, BPF_RB_FORCE_WAKEUP);
	return 0;
}

SEC("tp_btf/cgroup_rmdir")
int BPF_PROG(cgroup_rmdir, struct cgroup *cgroup, const char *path)
{
	u64 id = cgroup_number(cgroup);

	bpf_map_delete_elem(&entered_cgroups, &id);
	if (moving)
		bpf_map_delete_elem(&entered_before, &id);
	bpf_map_delete_elem(&oldest_tasks, &id);
	return 0;
}

BEFORE(pipe_release_exit);

SEC("fexit/pipe_release")
int BPF_PROG(pipe_release_exit, struct inode *inode, struct file *file, int ret)
{
	struct pipe_inode_info *pipe = inode->i_pipe;
	bool known = true;

	if (!filter[filter_index(inode->i_ino)])
		return 0;
	/* The last file of a pipe takes the pipe from its inode. */
	if (!pipe)
		known = close_stream(inode);
	else if ((file->f_mode & FMODE_WRITE) && !BPF_CORE_READ(pipe, writers))
		known = end_stream(inode);
	if (!known && moving)
		bpf_tail_call(ctx, &before_pipe_release_exit, 0);
	return 0;
}

/* Log files. */

SEC("fexit/security_file_open")
int BPF_PROG(security_file_open_exit, struct file *file, int ret)
{
	struct task_struct *task = bpf_get_current_task_btf();

	if (ret || !is_log_file(file) || !is_in_view(task))
		return 0;
	register_file(file, 0, task);
	return 0;
}

BEFORE(security_file_free_enter);

/*
 * The last writer of a file has gone: it is no longer counted when the file is freed. A new one may
 * come at the same moment: its open counts it as a writer before it looks for the stream, and here
 * the stream is removed before the writers are counted again, so one of the two sees the other. The
 * inode may be gone already, and its stream with it; its memory is still readable.
 */
SEC("fentry/security_file_free")
int BPF_PROG(security_file_free_enter, struct file *file)
{
	struct inode *inode = file->f_inode;
	struct stream_value *found, value;
	struct stream_key key;

	if (!(file->f_mode & FMODE_WRITE) || !inode || !filter[filter_index(inode->i_ino)])
		return 0;
	if ((inode->i_mode & S_IFMT) != S_IFREG || inode->i_writecount.counter > 0)
		return 0;
	key = inode_key(inode);
	found = bpf_map_lookup_elem(&streams, &key);
	if (!found && moving)
		bpf_tail_call(ctx, &before_security_file_free_enter, 0);
	if (!found)
		return 0;
	value = *found;
	if (!unpublish_stream(&key, inode->i_ino))
		return 0;
	if (BPF_CORE_READ(inode, i_writecount.counter) > 0 &&
	    !bpf_map_update_elem(&streams, &key, &value, BPF_NOEXIST)) {
		filter_add(inode->i_ino, 1);
		return 0;
	}
	close_slot(value.slot, value.generation);
	return 0;
}

BEFORE(destroy_inode_enter);

/*
 * Whatever else was missed: an inode that goes takes its stream along, so that the number's next
 * owner starts afresh.
 */
SEC("fentry/__destroy_inode")
int BPF_PROG(destroy_inode_enter, struct inode *inode)
{
	if (filter[filter_index(inode->i_ino)] && !close_stream(inode) && moving)
		bpf_tail_call(ctx, &before_destroy_inode_enter, 0);
	return 0;
}

/*
 * For user space, which runs it by hand: makes writes forget a stream, if it is still the slot's.
 * Between the look and the removal the inode may go, and its stream with it, but its memory cannot
 * become another's: programs of this type are inside RCU (bpf_prog_test_run_raw_tp), and inodes are
 * freed after a grace period. So another stream's entry is never removed. 1 when this one's was.
 */
SEC("raw_tp/logtap_withdraw")
int withdraw_stream(u64 *ctx)
{
	struct stream_key key = { .inode = ctx[0] };
	struct stream_value *found = bpf_map_lookup_elem(&streams, &key);
	struct stream_slot *slot;
	u32 index = ctx[1];
	u64 ino;

	slot = bpf_map_lookup_elem(&slots, &index);
	if (!slot || !found || found->slot != index || found->generation != (u32)ctx[2])
		return 0;
	ino = slot->ino;
	return unpublish_stream(&key, ino);
}

/* The census: what was open before the hooks were. Run once by tasks, then once by files. */

/* Who reads the iterator. Its pid alone may be another's when it is gone. */
static __always_inline void learn_agent(void)
{
	u64 start = bpf_get_current_task_btf()->group_leader->start_boottime;
	u32 tgid = bpf_get_current_pid_tgid() >> 32;

	/* Known already: its own writes must not be seen meanwhile. */
	if (state.agent_tgid == tgid && state.agent_start == start)
		return;
	state.agent_tgid = 0;
	state.agent_start = start;
	barrier();
	state.agent_tgid = tgid;
}

SEC("iter/task")
int census_tasks(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct oldest_task self, *oldest;
	struct cgroup *cgroup;
	u8 entered = 1;
	u64 id;

	if (!task)
		return 0;
	if (!ctx->meta->seq_num) {
		learn_view();
		learn_agent();
	}
	cgroup = task_cgroup(task);
	if (task->pid != task->tgid || !BPF_CORE_READ(task, nsproxy) ||
	    !cgroup_depth(cgroup) || in_init_mount_namespace(task))
		return 0;
	id = cgroup_number(cgroup);
	if (settings.census_containers == CENSUS_ALL)
		bpf_map_update_elem(&entered_cgroups, &id, &entered, BPF_NOEXIST);
	oldest = bpf_map_lookup_elem(&oldest_tasks, &id);
	if (oldest && oldest->start_time <= task->start_boottime)
		return 0;
	__builtin_memset(&self, 0, sizeof(self));
	self.start_time = task->start_boottime;
	self.tgid = task->tgid;
	bpf_map_update_elem(&oldest_tasks, &id, &self, BPF_ANY);
	return 0;
}

static __always_inline bool has_begun(u64 cgroup_id)
{
	return bpf_map_lookup_elem(&entered_cgroups, &cgroup_id) ||
	       (moving && bpf_map_lookup_elem(&entered_before, &cgroup_id));
}

static __always_inline void census_pipe(struct task_struct *task, u32 fd, struct inode *inode)
{
	struct oldest_task *oldest;
	u64 id = cgroup_number(task_cgroup(task));
	u32 flags = SLOT_CENSUS | SLOT_MID_LINE;

	if (settings.census_containers == CENSUS_BEGUN && !has_begun(id))
		return;
	oldest = bpf_map_lookup_elem(&oldest_tasks, &id);
	if (!oldest)
		return;
	if (oldest->tgid == (u32)task->tgid)
		flags |= SLOT_OLDEST_TASK;
	register_pipe(inode, fd == 1 ? STREAM_STDOUT : STREAM_STDERR, flags, task);
}

SEC("iter/task_file")
int census_files(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct inode *inode;

	if (!task || !file || !(file->f_mode & FMODE_WRITE))
		return 0;
	inode = file->f_inode;
	if (is_anonymous_pipe(inode)) {
		if (settings.census_containers && (ctx->fd == 1 || ctx->fd == 2))
			census_pipe(task, ctx->fd, inode);
		return 0;
	}
	if (is_log_file(file))
		register_file(file, SLOT_CENSUS | SLOT_MID_LINE, task);
	return 0;
}
