/*
 * Where the kernel preempts itself, each write has two programs. The kernel skips a program on a CPU
 * on which a preempted task is inside it, so that one preemption would lose the writes of all others
 * until that task runs again. The second program, the rescue, has been attached before the first: the
 * kernel runs the latest first (__bpf_trampoline_link_prog in kernel/bpf/trampoline.c puts it at the
 * head). A write is lost only when both are skipped.
 *
 * So that exactly one of them captures a write, the first marks it before it does, and the rescue
 * leaves alone what is marked. Between the two a task does nothing, but it may be preempted, and move
 * to another CPU: so the mark is the task's. Others whose thread ids have the same place find it
 * taken, and leave their writes to their rescue.
 *
 * A reader that is woken may take the CPU at once from who has woken it. So the first program leaves
 * that to the rescue, too: it would be preempted each time.
 */
#ifndef LOGTAP_RESCUE_BPF_H
#define LOGTAP_RESCUE_BPF_H

/* The thread's id in the upper half; then which of its writes; a reader to be woken; its shard. */
#define MARK_WAKES 0x80ULL
#define MARK_SHARD 0x7fULL
#define MARK_WRITE(mark) ((mark) & ~(MARK_WAKES | MARK_SHARD))

/*
 * This write of this task, never 0. It has been counted in syscw when the next one comes: a mark that
 * stays because its rescue was skipped does not stand for that one. Only writes through io_uring and
 * aio are not counted there.
 */
static __always_inline u64 write_mark(struct task_struct *task)
{
	u64 mark = (u64)(u32)task->pid << 32;

	if (bpf_core_field_exists(task->ioac.syscw))
		mark |= (u32)task->ioac.syscw << 8;
	return mark;
}

static __always_inline bool is_same_task(u64 mark, u64 other)
{
	return mark >> 32 == other >> 32;
}

static __always_inline u64 *find_mark(struct task_struct *task)
{
	u32 index = mark_index(task->pid);

	return bpf_map_lookup_elem(&marks, &index);
}

/*
 * A mark of an earlier write: its rescue was skipped, and there was no need of it. (Or the stream was
 * withdrawn between the two programs.)
 */
static __always_inline void note_skipped(u64 before, u64 mark)
{
	if (MARK_WRITE(before) != mark)
		__sync_fetch_and_add(&state.needless, 1);
}

/* For the first program. False when the write is left to the rescue. */
static __always_inline bool mark_write(void)
{
	struct task_struct *task;
	u64 *place, mark, before;

	if (!rescue)
		return true;
	task = bpf_get_current_task_btf();
	mark = write_mark(task);
	place = find_mark(task);
	if (!place)
		return false;
	before = *(volatile u64 *)place;
	if (!is_same_task(before, mark)) {
		if (!before && !__sync_val_compare_and_swap(place, 0, mark))
			return true;
		__sync_fetch_and_add(&state.left, 1);
		return false;
	}
	/* Its own, which nobody else touches. */
	note_skipped(before, mark);
	*(volatile u64 *)place = mark;
	return true;
}

/* True when the write that is under way has a rescue to come, which will wake the shard's reader. */
static __always_inline bool leave_waking(u32 shard)
{
	struct task_struct *task;
	u64 *place, before;

	if (!rescue)
		return false;
	task = bpf_get_current_task_btf();
	place = find_mark(task);
	if (!place)
		return false;
	before = *(volatile u64 *)place;
	if (before >> 32 != (u32)task->pid)
		return false;
	*(volatile u64 *)place = MARK_WRITE(before) | MARK_WAKES | (shard & MARK_SHARD);
	return true;
}

#endif
