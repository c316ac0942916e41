/*
 * A finished write of a selected stream, into its ring. At the exit of write_iter the iterator has
 * been consumed: where the bytes were follows from where it stands and how many were written, so
 * short writes come out exact and nothing is kept from the function's entry.
 */
#ifndef LOGTAP_WRITES_BPF_H
#define LOGTAP_WRITES_BPF_H

#define EFAULT 14
#define ENOSPC 28
#define EIOCBQUEUED 529
#define SEGMENTS_MAX 1024 /* UIO_MAXIOV */
/*
 * Pieces of one write: 1 MiB in the largest pieces, or as many segments as a writev may have, and
 * room for both.
 */
#define PIECES_MAX 4096

/* A write on its way into the ring. On the BPF stack. */
struct capture {
	struct record head;   /* what all records of this write have in common */
	struct stream_slot *slot;
	u32 shard;
	int err;
};

static __always_inline void count_loss(struct stream_slot *slot, enum loss why, u64 bytes, u64 writes)
{
	__sync_fetch_and_add(&slot->lost_bytes_by[why], bytes);
	__sync_fetch_and_add(&slot->lost_writes_by[why], writes);
	__sync_fetch_and_add(&slot->lost_bytes, bytes);
	__sync_fetch_and_add(&slot->lost_writes, writes);
}

/*
 * Ring space is reserved in constant sizes, which every kernel with a ring allows (exact sizes need
 * dynptr, 5.19, and then a copy from user memory into one, 6.16); only `length` bytes are copied,
 * since reading more would fault on what was never written.
 */
#define COPY_PIECE(size)                                                                        \
	do {                                                                                    \
		struct record *record = bpf_ringbuf_reserve(ring, sizeof(*record) + (size), 0); \
                                                                                                \
		if (!record)                                                                    \
			return -ENOSPC;                                                         \
		KEEP_BOUND(length);                                                             \
		if (length > (size) ||                                                          \
		    bpf_probe_read_user(record + 1, length, (const void *)source)) {            \
			bpf_ringbuf_discard(record, BPF_RB_NO_WAKEUP);                          \
			return -EFAULT;                                                         \
		}                                                                               \
		*record = *head;                                                                \
		record->length = sizeof(*record) + length;                                      \
		__sync_fetch_and_add(&slot->sent, RING_TAKES(sizeof(*record) + (size)));        \
		bpf_ringbuf_submit(record, wakeup_flags(ring, shard));                          \
		return 0;                                                                       \
	} while (0)

/*
 * One piece of a write as one record: 0, -ENOSPC (ring or share full) or -EFAULT. Global, so that it is
 * verified once and for itself: from 6.7 on (ab5cfac139ab, "bpf: verify callbacks as if they are
 * called unknown number of times") the walk below would have it verified again and again.
 */
__noinline int emit_piece(const struct record *head, struct stream_slot *slot, u32 shard,
			  u64 source, u64 length)
{
	void *ring = bpf_map_lookup_elem(&rings, &shard);

	if (!ring || !head || !slot || is_over_share(ring, slot, length))
		return -ENOSPC;
	if (length <= 448) {
		if (length <= 64)
			COPY_PIECE(64);
		if (length <= 128)
			COPY_PIECE(128);
		if (length <= 192)
			COPY_PIECE(192);
		if (length <= 256)
			COPY_PIECE(256);
		if (length <= 320)
			COPY_PIECE(320);
		COPY_PIECE(448);
	}
	if (length <= 4096) {
		if (length <= 704)
			COPY_PIECE(704);
		if (length <= 960)
			COPY_PIECE(960);
		if (length <= 1472)
			COPY_PIECE(1472);
		if (length <= 2048)
			COPY_PIECE(2048);
		if (length <= 3072)
			COPY_PIECE(3072);
		COPY_PIECE(4096);
	}
	if (length <= 6144)
		COPY_PIECE(6144);
	if (length <= 8192)
		COPY_PIECE(8192);
	if (length <= 12288)
		COPY_PIECE(12288);
	if (length <= 16384)
		COPY_PIECE(16384);
	if (length <= 24576)
		COPY_PIECE(24576);
	COPY_PIECE(PIECE_MAX);
}

/*
 * Says once per process, not per write, who the writer is: the slot remembers by a few ways whose
 * record went out last. The tag changes when the process is another one, execs or changes its user.
 */
static __always_inline void identify_writer(struct capture *capture, struct task_struct *task)
{
	struct task_struct *leader = task->group_leader;
	struct stream_slot *slot = capture->slot;
	u32 uid = task->cred->uid.val;
	u64 tag = leader->start_boottime ^ (leader->self_exec_id << 48) ^ ((u64)uid << 24) ^
		  capture->head.tgid;
	u32 way = (tag ^ (tag >> 17)) & (SLOT_WRITERS - 1);
	struct process_payload *process;
	struct record *record;
	void *ring;

	capture->head.start_time = leader->start_boottime;
	capture->head.writer = (u32)tag ^ (u32)(tag >> 32);
	capture->head.way = way;
	if (slot->writers[way] == tag)
		return;
	ring = bpf_map_lookup_elem(&rings, &capture->shard);
	if (!ring || is_over_share(ring, slot, sizeof(*record) + sizeof(*process)))
		return;
	record = bpf_ringbuf_reserve(ring, sizeof(*record) + sizeof(*process), 0);
	if (!record)
		return;
	*record = capture->head;
	record->type = RECORD_PROCESS;
	record->length = sizeof(*record) + sizeof(*process);
	process = (void *)(record + 1);
	__builtin_memcpy(process->name, leader->comm, PROCESS_NAME_SIZE);
	process->uid = uid;
	process->reserved = 0;
	__sync_fetch_and_add(&slot->sent, RING_TAKES(sizeof(*record) + sizeof(*process)));
	bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
	slot->writers[way] = tag;
}

/* Where a walk over the segments of a vector stands. */
struct segment_walk {
	struct capture *capture;
	const struct iovec *segment;
	u64 base;             /* of what is left of the segment */
	u64 left;             /* in the segment */
	u64 offset;           /* back: bytes of the write that lie before here; forward: bytes emitted */
	u64 length;           /* of the write */
};

static long step_back(u32 i, struct segment_walk *walk)
{
	struct iovec segment;

	if (walk->left >= walk->offset)
		return 1;
	walk->offset -= walk->left;
	walk->segment--;
	if (bpf_probe_read_kernel(&segment, sizeof(segment), walk->segment)) {
		walk->capture->err = -EFAULT;
		return 1;
	}
	walk->base = (u64)segment.iov_base;
	walk->left = segment.iov_len;
	return 0;
}

/* One piece of the current segment, or on to the next segment. */
static long step_forward(u32 i, struct segment_walk *walk)
{
	struct capture *capture = walk->capture;
	u64 length = walk->left;
	struct iovec segment;

	if (walk->offset >= walk->length)
		return 1;
	if (!length) {
		walk->segment++;
		if (bpf_probe_read_kernel(&segment, sizeof(segment), walk->segment)) {
			capture->err = -EFAULT;
			return 1;
		}
		walk->base = (u64)segment.iov_base;
		walk->left = segment.iov_len;
		return 0;
	}
	if (length > walk->length - walk->offset)
		length = walk->length - walk->offset;
	if (length > PIECE_MAX)
		length = PIECE_MAX;
	capture->head.write_offset = walk->offset;
	capture->err = emit_piece(&capture->head, capture->slot, capture->shard, walk->base,
				  length);
	if (capture->err)
		return 1;
	walk->base += length;
	walk->left -= length;
	walk->offset += length;
	return 0;
}

/*
 * The slow way: several segments or a large write. Returns the bytes that went out; the reason for
 * fewer is capture->err.
 */
static __noinline u64 emit_segments(struct capture *capture, const struct iovec *segment, u64 base,
				    u64 done, u64 length)
{
	struct segment_walk walk = {
		.capture = capture,
		.segment = segment,
		.base = base,
		.left = done,
		.offset = length,
		.length = length,
	};

	/*
	 * `done` bytes of the current segment have been written: go back until all of the write
	 * lies ahead.
	 */
	bpf_loop(SEGMENTS_MAX + 1, step_back, &walk, 0);
	if (capture->err)
		return 0;
	if (walk.left < walk.offset) {
		capture->err = -EFAULT;
		return 0;
	}
	walk.base += walk.left - walk.offset;
	walk.left = walk.offset;
	walk.offset = 0;
	bpf_loop(PIECES_MAX, step_forward, &walk, 0);
	return walk.offset;
}

/*
 * A pipe gives up a page that it cannot fill, but leaves the iterator behind what it had copied of
 * it: where the written bytes are is not known then. The iterator stands at the byte that cannot be
 * read. Files put their iterator back.
 */
static __always_inline bool lost_its_place(const struct capture *capture, struct iov_iter *iter, u64 position)
{
	char byte;

	return iter->count && capture->slot->kind != STREAM_FILE &&
	       bpf_probe_read_user(&byte, sizeof(byte), (const void *)position);
}

static __always_inline u64 emit_write(struct capture *capture, struct iov_iter *iter, u64 length)
{
	enum iter_kind kind = iter_kind(iter);
	u64 done = iter->iov_offset;
	const struct iovec *segment;
	struct iovec current = {};
	u64 source;

	if (kind == ITER_KIND_UBUF) {
		source = iter_ubuf(iter) + done - length;
		if (done != length && lost_its_place(capture, iter, source + length)) {
			capture->err = -EFAULT;
			return 0;
		}
		if (length > PIECE_MAX)
			return emit_segments(capture, 0, source, length, length);
		capture->err = emit_piece(&capture->head, capture->slot, capture->shard, source,
					  length);
		return capture->err ? 0 : length;
	}
	if (kind != ITER_KIND_IOVEC)
		return 0;
	segment = iter_iov(iter);
	/* Past the last segment when all was written: nothing to read there then. */
	if (((done || iter->count) && bpf_probe_read_kernel(&current, sizeof(current), segment)) ||
	    lost_its_place(capture, iter, (u64)current.iov_base + done)) {
		capture->err = -EFAULT;
		return 0;
	}
	return emit_segments(capture, segment, (u64)current.iov_base, done, length);
}

static __always_inline enum loss loss_of(int err)
{
	if (err == -ENOSPC)
		return LOSS_RING_FULL;
	return err ? LOSS_FAULT : LOSS_UNSUPPORTED;
}

/* The stream that is being written, or NULL when the filter was hit by chance. */
static __always_inline struct stream_slot *find_stream(struct inode *inode, struct stream_value *value)
{
	struct stream_key key = inode_key(inode);
	struct stream_value *found = bpf_map_lookup_elem(&streams, &key);
	struct stream_slot *slot;

	if (!found)
		return 0;
	*value = *found;
	slot = bpf_map_lookup_elem(&slots, &value->slot);
	/*
	 * A map element may be reused while it is read; the slot is not, so it has the last word.
	 */
	if (!slot || slot->inode != key.inode)
		return 0;
	return slot;
}

/*
 * Out of line, so that the programs stay short where nothing is selected. 0 when the stream is not
 * known here.
 */
static __noinline int capture_write(struct inode *inode, struct iov_iter *iter, long ret)
{
	u64 pid_tgid = bpf_get_current_pid_tgid();
	struct stream_slot *slot;
	struct capture capture;
	struct stream_value value;
	u64 done;

	if (ret <= 0 && ret != -EIOCBQUEUED)
		return 1;
	if (pid_tgid >> 32 == state.agent_tgid &&
	    bpf_get_current_task_btf()->group_leader->start_boottime == state.agent_start)
		return 1;
	slot = find_stream(inode, &value);
	if (!slot)
		return 0;
	if (ret <= 0) {
		/* Direct asynchronous I/O: how much will have been written is not known here. */
		count_loss(slot, LOSS_UNSUPPORTED, 0, 1);
		return 1;
	}
	capture = (struct capture){
		.head = {
			.version = RECORD_VERSION,
			.header_length = sizeof(struct record),
			.type = RECORD_DATA,
			.slot = value.slot,
			.generation = value.generation,
			.time = bpf_ktime_get_boot_ns(),
			.lost_bytes = slot->lost_bytes,
			.lost_writes = slot->lost_writes,
			.tgid = pid_tgid >> 32,
			.tid = pid_tgid,
			.write_length = ret,
		},
		.slot = slot,
		.shard = slot->shard,
	};
	identify_writer(&capture, bpf_get_current_task_btf());
	done = emit_write(&capture, iter, ret);
	if (done < (u64)ret)
		count_loss(capture.slot, loss_of(capture.err), ret - done, 1);
	return 1;
}

#endif
