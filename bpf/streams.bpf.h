/*
 * The life of a stream in the kernel: registered before its first byte, closed when nobody can
 * write it any more, so that a reused inode number never inherits it. User space frees the slot
 * after the stream's last record.
 */
#ifndef LOGTAP_STREAMS_BPF_H
#define LOGTAP_STREAMS_BPF_H

#define PIPEFS_MAGIC 0x50495045
#define FUSE_SUPER_MAGIC 0x65735546
#define S_IFMT 0170000
#define S_IFREG 0100000
#define S_IFIFO 0010000
#define FMODE_WRITE 0x2
/*
 * A file that overlayfs opens on a layer for itself: the write to the overlay's own file is the one
 * to see.
 */
#define FMODE_NOACCOUNT 0x20000000
#define NAMES_DEPTH 48

static __always_inline void filter_add(u64 ino, int n)
{
	__sync_fetch_and_add(&filter[filter_index(ino)], n);
}

#define EEXIST 17

static __always_inline struct stream_key inode_key(struct inode *inode)
{
	struct stream_key key = { .inode = (u64)inode };

	return key;
}

static __always_inline u32 shard_of(u64 id)
{
	return (id ^ (id >> 32)) % (shard_count ? shard_count : 1);
}

/*
 * Starts the slot's next life. A container's streams share its shard, so that what is known of it
 * stays on one thread.
 */
static __always_inline void fill_slot(struct stream_slot *slot, struct inode *inode, u32 kind, u32 flags,
				      struct task_struct *task)
{
	struct cgroup *cgroup = task_cgroup(task);
	int depth = cgroup_depth(cgroup);

	slot->generation++;
	slot->kind = kind;
	slot->flags = flags | (state.capturing ? 0 : SLOT_MID_LINE);
	if (BPF_CORE_READ(task, thread_pid, level) > state.pid_level)
		slot->flags |= SLOT_PID_NAMESPACE;
	if (BPF_CORE_READ(task, nsproxy, mnt_ns, ns.inum) != state.init_mount_namespace)
		slot->flags |= SLOT_MOUNT_NAMESPACE;
	slot->inode = (u64)inode;
	slot->ino = BPF_CORE_READ(inode, i_ino);
	slot->dev = BPF_CORE_READ(inode, i_sb, s_dev);
	slot->magic = BPF_CORE_READ(inode, i_sb, s_magic);
	slot->eof = 0;
	slot->sent = 0;
	slot->consumed = 0;
	slot->cgroup_id = cgroup_number(cgroup);
	slot->cgroup_level = depth;
	slot->shard = shard_of(slot->cgroup_id);
	slot->path[0] = 0;
	slot->names_length = 0;
	read_cgroup_names(cgroup, depth, slot->cgroup, slot->cgroup_top);
}

/*
 * While streams move, free slots go from the queue before to ours: who finds the first empty finds
 * them in the second. Their generations are ours already.
 */
static __always_inline long pop_slot(u32 *index)
{
	if (moving && !bpf_map_pop_elem(&free_slots_before, index))
		return 0;
	return bpf_map_pop_elem(&free_slots, index);
}

/*
 * Takes a free slot for an inode that is no stream yet. NULL when it is one or none is free. The
 * stream is not visible to writes before publish_stream.
 */
static __always_inline struct stream_slot *take_slot(const struct stream_key *key, u32 *index)
{
	struct stream_slot *slot;

	if (bpf_map_lookup_elem(&streams, key) ||
	    (moving && bpf_map_lookup_elem(&streams_before, key)))
		return 0;
	if (pop_slot(index)) {
		__sync_fetch_and_add(&state.unregistered, 1);
		return 0;
	}
	slot = bpf_map_lookup_elem(&slots, index);
	return slot;
}

static __always_inline void publish_stream(const struct stream_key *key, u32 index,
					   struct stream_slot *slot)
{
	struct stream_value value = { .slot = index, .generation = slot->generation };
	/*
	 * Not long: the verifier puts the map's own function in the helper's place, which returns
	 * 32 bits.
	 */
	int err;

	/* From here on user space may look at the slot: all of it must be filled. */
	barrier();
	slot->state = SLOT_OPEN;
	err = bpf_map_update_elem(&streams, key, &value, BPF_NOEXIST);
	if (err) {
		/*
		 * Somebody registered it at the same moment, or the map is full. User space may
		 * have seen it: it frees the slot.
		 */
		slot->state = SLOT_CLOSED;
		send_hint(RECORD_CLOSED, index, slot);
		if (err != -EEXIST)
			__sync_fetch_and_add(&state.unregistered, 1);
		return;
	}
	filter_add(slot->ino, 1);
	send_hint(RECORD_OPENED, index, slot);
}

static __always_inline bool is_anonymous_pipe(struct inode *inode)
{
	return (BPF_CORE_READ(inode, i_mode) & S_IFMT) == S_IFIFO &&
	       BPF_CORE_READ(inode, i_sb, s_magic) == PIPEFS_MAGIC;
}

static __always_inline void register_pipe(struct inode *inode, u32 kind, u32 flags,
					  struct task_struct *task)
{
	struct stream_key key = inode_key(inode);
	struct stream_slot *slot;
	u32 index;

	slot = take_slot(&key, &index);
	if (!slot)
		return;
	fill_slot(slot, inode, kind, flags, task);
	publish_stream(&key, index, slot);
}

/* The file's name in its directory against the globs' superset: eight bytes at each end. */
static __always_inline bool name_matches(struct dentry *dentry)
{
	const struct name_patterns *patterns = &settings.patterns[settings.patterns_now & 1];
	struct name_scratch *scratch;
	u64 head, tail, length;
	u32 zero = 0;

	if (!patterns->count)
		return false;
	scratch = bpf_map_lookup_elem(&name_scratch, &zero);
	if (!scratch)
		return false;
	length = BPF_CORE_READ(dentry, d_name.len);
	if (length > 255)
		return false;
	scratch->before = 0;
	*(u64 *)scratch->name = 0;
	KEEP_BOUND(length);
	length &= 255;
	if (bpf_probe_read_kernel(scratch->name, length, BPF_CORE_READ(dentry, d_name.name)))
		return false;
	__builtin_memcpy(&head, scratch->name, 8);
	/* The eight bytes that end where the name ends: `before` is as long as they are. */
	bpf_probe_read_kernel(&tail, 8, (char *)&scratch->before + length);
	for (u32 i = 0; i < NAME_PATTERNS_MAX && i < patterns->count; i++) {
		const struct name_pattern *p = &patterns->pattern[i];

		if (length >= p->length_min && (head & p->head_mask) == p->head &&
		    (tail & p->tail_mask) == p->tail)
			return true;
	}
	return false;
}

/*
 * The path inside the file system, which user space can turn into the host's path whatever mounts
 * the writer sees.
 */
static __always_inline void read_names(struct dentry *dentry, struct stream_slot *slot)
{
	bool whole = false;
	u32 used = 0;

	for (int i = 0; i < NAMES_DEPTH; i++) {
		struct dentry *parent = BPF_CORE_READ(dentry, d_parent);
		long n;

		whole = parent == dentry;
		if (!parent || whole || used > SLOT_PATH_SIZE - 256)
			break;
		n = bpf_probe_read_kernel_str(&slot->names[used], 256,
					      BPF_CORE_READ(dentry, d_name.name));
		if (n <= 0)
			break;
		used += n & 511;
		dentry = parent;
	}
	slot->names_length = whole ? used : 0;
}

static __always_inline bool is_log_file(struct file *file)
{
	fmode_t mode = file->f_mode;

	return (mode & FMODE_WRITE) && !(mode & FMODE_NOACCOUNT) &&
	       (file->f_inode->i_mode & S_IFMT) == S_IFREG && name_matches(file->f_path.dentry);
}

static __always_inline void register_file(struct file *file, u32 flags, struct task_struct *task)
{
	struct stream_key key = inode_key(file->f_inode);
	struct stream_slot *slot;
	u32 index;

	slot = take_slot(&key, &index);
	if (!slot)
		return;
	fill_slot(slot, file->f_inode, STREAM_FILE, flags, task);
	/* A directory's files share a shard: order holds when a log is renamed and made anew. */
	slot->shard = shard_of(BPF_CORE_READ(file, f_path.dentry, d_parent, d_inode, i_ino));
	/* Too long for the slot, or gone: an empty path matches nothing and user space says so. */
	if (bpf_d_path(&file->f_path, slot->path, sizeof(slot->path)) < 0)
		slot->path[0] = 0;
	read_names(file->f_path.dentry, slot);
	publish_stream(&key, index, slot);
}

/* Removes the stream from the writers' sight. True for the one caller that did it. */
static __always_inline bool unpublish_stream(const struct stream_key *key, u64 ino)
{
	if (bpf_map_delete_elem(&streams, key))
		return false;
	/*
	 * Also the full barrier that fput_enter needs between this removal and its second look at
	 * the writers.
	 */
	filter_add(ino, -1);
	/* Between the two steps of its move it is in both maps, and counted for each. */
	if (moving && !bpf_map_delete_elem(&streams_before, key))
		filter_add(ino, -1);
	return true;
}

static __always_inline void close_slot(u32 index, u32 generation)
{
	struct stream_slot *slot = bpf_map_lookup_elem(&slots, &index);

	if (!slot || slot->generation != generation)
		return;
	slot->state = SLOT_CLOSED;
	send_hint(RECORD_CLOSED, index, slot);
}

/*
 * Nobody holds the pipe for writing now; somebody may again, who has it open for reading. False when
 * the stream is not known here; so with close_stream.
 */
static __always_inline bool end_stream(struct inode *inode)
{
	struct stream_key key = inode_key(inode);
	struct stream_value *value = bpf_map_lookup_elem(&streams, &key);
	struct stream_slot *slot;
	u32 index;

	if (!value)
		return false;
	index = value->slot;
	slot = bpf_map_lookup_elem(&slots, &index);
	if (!slot || slot->inode != key.inode)
		return true;
	slot->eof = 1;
	send_hint(RECORD_CLOSED, index, slot);
	return true;
}

static __always_inline bool close_stream(struct inode *inode)
{
	struct stream_key key = inode_key(inode);
	struct stream_value *found = bpf_map_lookup_elem(&streams, &key);
	struct stream_value value;

	if (!found)
		return false;
	value = *found;
	if (unpublish_stream(&key, inode->i_ino))
		close_slot(value.slot, value.generation);
	return true;
}

#endif
