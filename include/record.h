/*
 * What the kernel half and the user half of logtap share: the records of a ring, the slots of
 * streams and the sizes of both. Fixed-width fields; sizes and offsets are asserted, so that two
 * builds can read each other. A reader skips record types and header fields it does not know: the
 * payload lies between `header_length` and `length`.
 */
#ifndef LOGTAP_RECORD_H
#define LOGTAP_RECORD_H

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

#define RECORD_VERSION 1
/* What every version's header has. Fields behind it are there when header_length says so. */
#define RECORD_HEADER_MIN 64

/* Bytes that another version has appended to records and slots: the tests build such a one. */
#ifndef RECORD_EXTRA
#define RECORD_EXTRA 0
#endif

/* Counters by inode hash: not zero where some selected inode has that hash. A power of two. */
#define FILTER_SIZE 65536

#define SHARDS_MAX 16

enum record_type {
	RECORD_DATA = 1,    /* a piece of a write; payload: its bytes */
	RECORD_PROCESS,     /* who writes; payload: struct process_payload */
	RECORD_OPENED,      /* hint: the slot was filled */
	RECORD_CLOSED,      /* hint: the slot's eof was set, or its state rose to closed */
	RECORD_CGROUP,      /* hint: a cgroup was made; payload: struct cgroup_payload */
};

/* Time is CLOCK_BOOTTIME in nanoseconds; pids and uids are those of the initial namespaces. */
struct record {
	__u8 version;
	__u8 header_length; /* bytes: the payload follows; a later version appends fields here */
	__u8 type;
	__u8 way;           /* data, process: which of the slot's writers */
	__u32 length;       /* bytes of header and payload */
	__u32 slot;
	__u32 generation;
	__u64 time;
	__u64 lost_bytes;   /* running totals of the stream: a rise is a gap just before this record */
	__u32 lost_writes;
	__u32 tgid;
	__u32 tid;
	__u32 writer;       /* tag of the process record that describes the writer */
	__u64 start_time;   /* of the process: with tgid it names the process for good */
	__u32 write_length; /* bytes of the whole write... */
	__u32 write_offset; /* ...and where in it this piece starts */
	__u8 extra[RECORD_EXTRA];
};

_Static_assert(sizeof(struct record) == RECORD_HEADER_MIN + RECORD_EXTRA, "record layout");
_Static_assert(__builtin_offsetof(struct record, time) == 16, "record layout");
_Static_assert(__builtin_offsetof(struct record, start_time) == 48, "record layout");

static inline const void *record_payload(const struct record *record)
{
	return (const char *)record + record->header_length;
}

/* Bytes; 0 when the header claims more than there is, or less than every version has. */
static inline __u32 record_payload_length(const struct record *record)
{
	if (record->header_length < RECORD_HEADER_MIN || record->length < record->header_length)
		return 0;
	return record->length - record->header_length;
}

#define PROCESS_NAME_SIZE 16

struct process_payload {
	char name[PROCESS_NAME_SIZE];
	__u32 uid;
	__u32 reserved;
};

#define CGROUP_NAMES 3
#define CGROUP_NAME_SIZE 160
#define CGROUP_TOP_NAMES 7

struct cgroup_payload {
	__u64 id;
	char names[CGROUP_NAMES][CGROUP_NAME_SIZE]; /* of the path, leaf first; "" behind its end */
	char top[CGROUP_TOP_NAMES][CGROUP_NAME_SIZE]; /* its first, from the root down */
	__u32 level;        /* how many it has; 0: an earlier version, `top` is not there */
	__u32 reserved;
};

/* What every version's payload has. */
#define CGROUP_PAYLOAD_MIN 488

/* The largest piece of a write in one record; a larger write takes several. */
#define PIECE_MAX 32768

/* STREAM_NONE: what is said of the node and not of a stream; no slot's. */
enum stream_kind { STREAM_NONE, STREAM_STDOUT, STREAM_STDERR, STREAM_FILE };

/* Rises only, until user space gives the slot back. */
enum slot_state { SLOT_FREE, SLOT_OPEN, SLOT_CLOSED };

enum slot_flag {
	SLOT_MID_LINE = 1 << 0,      /* what was written before is unknown: the first line may lack its start */
	SLOT_CENSUS = 1 << 1,        /* found open, not seen opening */
	SLOT_OLDEST_TASK = 1 << 2,   /* census: the cgroup's oldest task holds it */
	SLOT_PID_NAMESPACE = 1 << 3, /* the process that holds it is in another pid namespace than init */
	SLOT_MOUNT_NAMESPACE = 1 << 4, /* ... in another mount namespace */
};

enum loss { LOSS_RING_FULL, LOSS_UNSUPPORTED, LOSS_FAULT, LOSS_COUNT };

#define SLOT_WRITERS 8
#define SLOT_PATH_SIZE 1024
/* What every version's slots have. */
#define SLOT_SIZE_MIN 2736

/*
 * One selected stream: an inode that is written. Filled by the kernel half, given back by user
 * space.
 */
struct stream_slot {
	__u32 generation;
	__u32 state;
	__u32 kind;
	__u32 flags;
	__u32 shard;
	__u32 dev;          /* as the kernel has it: major << 20 | minor */
	__u64 inode;        /* its address: the key */
	__u64 ino;
	__u64 cgroup_id;
	__u64 magic;        /* of the file system */
	__u64 writers[SLOT_WRITERS]; /* whose process record was sent last, by way */
	__u64 lost_bytes;
	__u64 lost_writes;
	__u64 lost_bytes_by[LOSS_COUNT];
	__u64 lost_writes_by[LOSS_COUNT];
	char cgroup[CGROUP_NAMES][CGROUP_NAME_SIZE];
	char path[SLOT_PATH_SIZE];     /* files: as the process that opened it sees it */
	char names[SLOT_PATH_SIZE];    /* files: dentry names up to the file system's root, leaf first, each NUL-terminated */
	__u32 names_length; /* 0: too long for here */
	__u32 eof;          /* a pipe without writers; of its own, for it may come at the same moment as the close */
	/*
	 * Bytes that its data and process records take of the ring, whatever their payload: `sent` by
	 * the kernel half, `consumed` by user space as it reads them. The difference is what it holds of the ring.
	 */
	__u64 sent;
	__u64 consumed;
	__u32 cgroup_level; /* as in cgroup_payload */
	__u32 reserved32;
	char cgroup_top[CGROUP_TOP_NAMES][CGROUP_NAME_SIZE];
	__u8 extra[RECORD_EXTRA];
};

/*
 * The share of a ring that a stream may hold. Up to half of the ring any stream may fill; then 1 in
 * 1 << SHARE_SHIFT of what is still free. So what is left shrinks by a seventeenth, at most, for each
 * stream that writes without end, whatever the order in which they come.
 */
#define SHARE_SHIFT 4
/* Below this part of the ring nothing is asked: a stream whose reader keeps up never gets there. */
#define SHARE_FLOOR_DIVISOR 1024


_Static_assert(sizeof(struct stream_slot) % 8 == 0, "slot layout");
_Static_assert(__builtin_offsetof(struct stream_slot, lost_bytes) == 120, "slot layout");
_Static_assert(__builtin_offsetof(struct stream_slot, cgroup_level) == SLOT_SIZE_MIN, "slot layout");
_Static_assert(__builtin_offsetof(struct cgroup_payload, top) == CGROUP_PAYLOAD_MIN, "cgroup layout");

/*
 * A stream is found by its inode's address: on btrfs, subvolumes of one image have files with equal
 * inode and device numbers. It names the inode as long as that lives, and a stream never outlives
 * its inode.
 */
struct stream_key {
	__u64 inode;
};

struct stream_value {
	__u32 slot;
	__u32 generation;
};

/*
 * How the reader of a ring waits. The reader publishes it, then a full barrier, then looks at the
 * ring again; the kernel half clears it when it wakes the reader.
 */
enum reader_wait {
	READER_RUNS,
	READER_NAPS,        /* wake it when `wake_bytes` are waiting: a timer of its own covers less */
	READER_SLEEPS,      /* wake it at the next record */
};

struct shard_state {
	__u32 wait;
	__u32 wake_bytes;
	__u32 reserved[14];
};

_Static_assert(sizeof(struct shard_state) == 64, "one cache line a shard");

/* A superset of one glob: names whose first and last bytes are these. */
struct name_pattern {
	__u64 head, head_mask;
	__u64 tail, tail_mask;
	__u32 length_min;
	__u32 reserved;
};

#define NAME_PATTERNS_MAX 64

struct name_patterns {
	__u32 count;
	__u32 reserved;
	struct name_pattern pattern[NAME_PATTERNS_MAX];
};

/* Of one load of the programs; user space changes the patterns that are not in use, then the index. */
/* Which containers' pipes a census looks for. */
enum census_containers {
	CENSUS_NONE,
	CENSUS_ALL,              /* their hooks are new: what has begun by now is known by it */
	CENSUS_BEGUN,            /* only of those that have begun: the others' first exec will find theirs */
};

struct capture_settings {
	__u32 patterns_now;      /* which of the two */
	__u32 census_containers; /* enum census_containers */
	struct name_patterns patterns[2];
};

/*
 * How far gap records of the node tell writes that hooks missed, of all since the programs were pinned. Of a record that is
 * being written its place in the first shard's journal is noted before: killed behind its commit, the next agent finds that
 * the journal is committed beyond that place.
 */
struct missed_told {
	__u64 told;
	__u64 telling;      /* written last; 0: no record is being written */
	__u64 number, offset; /* the place: segment, and offset in it */
};

/* What all versions of the programs that follow each other share, beside the maps. */
struct capture_state {
	__u64 unregistered; /* streams that found no slot or no room in the map; the census retries them */
	__u64 agent_start;  /* with agent_tgid: the agent itself, never captured; CLOCK_BOOTTIME, ns */
	__u32 agent_tgid;   /* 0: none runs */
	__u32 init_mount_namespace;
	__u32 capturing;    /* writes flow: a stream that is opened now is complete from its first byte */
	__u32 reserved32;
	__u64 missed;       /* times that the kernel skipped a hook, as far as agents have told them */
	__u64 missed_writes; /* of these, hooks of writes */
	__u64 rescued;      /* calls that rescues took over, those that wrote nothing among them */
	__u64 left;         /* of these and others, those that the first program left to it: their mark's place was taken */
	__u64 needless;     /* times a rescue was skipped for a write that the first program had captured */
	__u64 unregistered_told; /* of `unregistered`, by agents */
	struct missed_told missed_told;
	__u32 pid_namespace; /* 0: the whole machine is in view; else what of it is: see view.bpf.h */
	__u32 pid_level;    /* how deep that namespace is */
	__u32 cgroup_level; /* how deep the cgroup is that its init sees as the root */
	__u32 reserved_too;
	__u64 reserved[16];
};

_Static_assert(sizeof(struct capture_state) == 256, "state layout");

/*
 * What is pinned says of itself, so that a later logtap can judge whether it can go on with it.
 * Later versions append fields in the room that is reserved.
 */
struct capture_about {
	__u64 magic;        /* written last: before it the pins are of an attach that did not end */
	__u32 layout;       /* CAPTURE_LAYOUT of who made it */
	__u32 shards;
	__u64 epoch;        /* when the first rings were made: CLOCK_BOOTTIME, ns */
	__u64 ring_sizes[SHARDS_MAX];
	__u32 max_streams;
	__u32 slot_size;
	__u32 filter_size;  /* bytes */
	__u32 state_size;
	char version[64];   /* of the logtap that took it last */
	/*
	 * A ring may follow another in its shard: its positions go on where those of the one before
	 * ended, so that a place in a shard never repeats.
	 */
	__u64 ring_bases[SHARDS_MAX]; /* position of the ring's first byte */
	__u32 ring_ids[SHARDS_MAX];   /* the kernel's id of the map that this is said of */
	__u32 shards_served; /* new streams go to as many; more rings are there only to be drained */
	__u32 slots_id;      /* the kernel's id of the map of slots that is in charge */
	__u32 generation_base; /* slots that are added begin here: others of their numbers were there before */
	__u32 rescue;       /* writes have a rescue each: see rescue.bpf.h */
	__u64 reserved[10];
};

#define CAPTURE_MAGIC 0x706174676f6c0a00ULL
/* Changes when a build can no longer go on with what another has pinned. */
#define CAPTURE_LAYOUT 1
/* The same with rescues: a build that knows of none would capture twice. */
#define CAPTURE_LAYOUT_RESCUE 2

/* Marks of writes, by thread id; the upper half of a mark is the thread's id. A power of two. */
#define MARKS 4096

static inline __u32 mark_index(__u32 tid)
{
	return tid & (MARKS - 1);
}

_Static_assert(sizeof(struct capture_about) == 520, "about layout");

static inline __u32 filter_index(__u64 ino)
{
	return ino & (FILTER_SIZE - 1);
}

#endif
