/*
 * Everything the programs share with each other and with user space. Of all but oldest_tasks and
 * name_scratch the maps are user space's, made once and shared by all versions of the programs that
 * follow each other; the sizes here stand for theirs.
 */
#ifndef LOGTAP_MAPS_BPF_H
#define LOGTAP_MAPS_BPF_H

/* Which inode is which stream. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct stream_key);
	__type(value, struct stream_value);
} streams SEC(".maps");

/* Who a stream is and what it lost; user space maps it. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct stream_slot);
} slots SEC(".maps");

/* Slots that user space has given back. */
struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, 1);
	__type(value, u32);
} free_slots SEC(".maps");

struct ring {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
};

/* One ring a shard; a stream stays on its ring, so its order holds. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, SHARDS_MAX);
	__type(key, u32);
	__array(values, struct ring);
} rings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SHARDS_MAX);
	__type(key, u32);
	__type(value, struct shard_state);
} shards SEC(".maps");

/*
 * Container cgroups in which some process has exec'd: only the first exec there tells the
 * container's own pipes.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, u64);
	__type(value, u8);
} entered_cgroups SEC(".maps");

struct oldest_task {
	u64 start_time;
	u32 tgid;
	u32 reserved;
};

/* The census's: the oldest process of each container cgroup. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, u64);
	__type(value, struct oldest_task);
} oldest_tasks SEC(".maps");

/* Which writes a first program has captured, until their rescues have seen it: see rescue.bpf.h. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, MARKS);
	__type(key, u32);
	__type(value, u64);
} marks SEC(".maps");

/*
 * A file's name while it is compared, with room before it so that its last eight bytes can always
 * be read.
 */
struct name_scratch {
	u64 before;
	char name[256];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct name_scratch);
} name_scratch SEC(".maps");

/*
 * While streams move over from maps of another size or layout, these are the maps that they come
 * from; otherwise nobody uses them.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct stream_key);
	__type(value, struct stream_value);
} streams_before SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, u64);
	__type(value, u8);
} entered_before SEC(".maps");

/* Slots that nobody has taken there: what user space has not handed over yet is taken from here. */
struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, 1);
	__type(value, u32);
} free_slots_before SEC(".maps");

/* The program of those maps, which serves what has not moved yet. One a program: see dispatch.bpf.c. */
#define BEFORE(program)                                                                         \
	struct {                                                                                \
		__uint(type, BPF_MAP_TYPE_PROG_ARRAY);                                          \
		__uint(max_entries, 1);                                                         \
		__type(key, u32);                                                               \
		__type(value, u32);                                                             \
	} before_##program SEC(".maps")

/* Set before loading. */
/* Streams move: what is not found here is left to the program before. */
const volatile __u32 moving;
const volatile __u32 shard_count = 1;
/* Rescues are attached. */
const volatile __u32 rescue;
/* Bytes of the smallest ring that a stream may always hold. */
const volatile __u32 share_floor;

/* Shared like the maps. */
struct capture_state state SEC(".data.state") = {};

/* What the configuration says, of this object alone; user space may change it at any time. */
struct capture_settings settings SEC(".data.settings") = {};

/* The compiler must not move the bound check away from the length that the verifier follows. */
#define KEEP_BOUND(length) asm volatile("" : "+r"(length))

#endif
