/* Records into a stream's ring, and waking its reader as rarely as possible. */
#ifndef LOGTAP_RING_BPF_H
#define LOGTAP_RING_BPF_H

#include "rescue.bpf.h"

/*
 * The flags to submit with. A wake-up costs about twenty times a record, so only a reader that
 * waits is woken, and one that naps (it has a timer) only when enough is waiting for it.
 */
static __always_inline u64 wakeup_flags(void *ring, u32 shard)
{
	struct shard_state *state = bpf_map_lookup_elem(&shards, &shard);

	if (!state || state->wait == READER_RUNS)
		return BPF_RB_NO_WAKEUP;
	if (state->wait == READER_NAPS &&
	    bpf_ringbuf_query(ring, BPF_RB_AVAIL_DATA) < state->wake_bytes)
		return BPF_RB_NO_WAKEUP;
	if (leave_waking(shard))
		return BPF_RB_NO_WAKEUP;
	state->wait = READER_RUNS;
	return BPF_RB_FORCE_WAKEUP;
}

/* Wakes the reader with a record that it skips. Without room for one it has much to read, and naps at most. */
static __always_inline void wake_reader(u32 shard)
{
	struct shard_state *state = bpf_map_lookup_elem(&shards, &shard);
	void *ring = bpf_map_lookup_elem(&rings, &shard);
	u64 *nothing;

	if (!state || !ring || state->wait == READER_RUNS)
		return;
	nothing = bpf_ringbuf_reserve(ring, sizeof(*nothing), 0);
	if (!nothing)
		return;
	state->wait = READER_RUNS;
	bpf_ringbuf_discard(nothing, BPF_RB_FORCE_WAKEUP);
}

/* For the rescue: the first program has captured the write. */
static __always_inline bool was_marked(void)
{
	struct task_struct *task = bpf_get_current_task_btf();
	u64 mark = write_mark(task);
	u64 *place = find_mark(task);
	u64 before;

	if (!place)
		return false;
	before = *(volatile u64 *)place;
	if (!is_same_task(before, mark))
		return false;
	note_skipped(before, mark);
	*(volatile u64 *)place = 0;
	if (MARK_WRITE(before) != mark)
		return false;
	if (before & MARK_WAKES)
		wake_reader(before & MARK_SHARD);
	return true;
}

/* Bytes of a ring that a record of this size takes: a header of 8, and all of it a multiple of 8. */
#define RING_TAKES(size) (((u64)(size) + 8 + 7) & ~7ULL)

/*
 * True when with `length` bytes more the stream would hold more of the ring than its share: they are
 * lost then, so that others lose nothing. Signed: user space may have counted a record before the
 * kernel half has.
 */
static __always_inline bool is_over_share(void *ring, const struct stream_slot *slot, u64 length)
{
	s64 held = slot->sent - slot->consumed + length;
	s64 size, free;

	if (held <= share_floor)
		return false;
	size = bpf_ringbuf_query(ring, BPF_RB_RING_SIZE);
	free = size - (s64)bpf_ringbuf_query(ring, BPF_RB_AVAIL_DATA) - (s64)length;
	return free < size >> 1 && held > free >> SHARE_SHIFT;
}

/* A record about a slot that carries no payload: a hint, whose loss costs nothing. */
static __always_inline void send_hint(u8 type, u32 index, struct stream_slot *slot)
{
	u32 shard = slot->shard;
	void *ring = bpf_map_lookup_elem(&rings, &shard);
	struct record *record;

	if (!ring)
		return;
	record = bpf_ringbuf_reserve(ring, sizeof(*record), 0);
	if (!record)
		return;
	__builtin_memset(record, 0, sizeof(*record));
	record->version = RECORD_VERSION;
	record->header_length = sizeof(*record);
	record->type = type;
	record->length = sizeof(*record);
	record->slot = index;
	record->generation = slot->generation;
	record->time = bpf_ktime_get_boot_ns();
	record->lost_bytes = slot->lost_bytes;
	record->lost_writes = slot->lost_writes;
	bpf_ringbuf_submit(record, BPF_RB_FORCE_WAKEUP);
}

#endif
