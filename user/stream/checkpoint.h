/*
 * What a shard must know to go on where another agent ended, in a mapped file on tmpfs: how far its ring is read and its
 * journal written, and for each stream its half lines, the losses told and who it is. Owner: the shard's thread, once open.
 *
 * A state is written while the one before stays valid (two buffers a stream, heap blocks that are only appended to or given
 * back later), and one store makes all of them valid at once: checkpoint__commit. A process that is killed leaves its
 * stores up to some point of the program's order and none behind it: the file is the kernel's, so nothing needs to be
 * synced, and it is one thread's, so compiler barriers are all the order it needs, on x86 and arm64 alike.
 */
#ifndef LOGTAP_CHECKPOINT_H
#define LOGTAP_CHECKPOINT_H

#include <stdbool.h>
#include <stdint.h>

#include "encode.h"
#include "lines/assembly.h"
#include "lines/heap.h"
#include "lines/line_id.h"
#include "record.h"
#include "waiting.h"

/* Process records kept of a way: one may be overtaken by another. */
#define WAY_DEPTH 2

/* Of the heap, for what one stream is called, beside its labels. */
#define CHECKPOINT_TEXT (2ULL << 10)

struct saved_processes {
	struct process way[SLOT_WRITERS][WAY_DEPTH];
};

/* Whether a stream's lines come out. */
enum wanted {
	WANTED_NEVER,
	WANTED_NOW,
	WANTED_BEFORE, /* until the configuration changed: what was written by then comes out */
};

/* Fields, key and file path one behind the other, without NULs between. Never changed once made. */
struct saved_text {
	uint64_t block;          /* HEAP_NONE: not made yet */
	uint32_t fields_length;
	uint32_t key_length;
	uint16_t file_length;
	uint8_t names;           /* enum record_names, of the fields */
	uint8_t untold;          /* of who wrote: bits of enum process_field */
	uint32_t checksum;
};

/* What a text was made without: another one can only be better. */
enum text_lacks {
	TEXT_LACKS_FILES = 1,    /* the runtime's */
	TEXT_LACKS_POD = 2,      /* what Kubernetes says of it */
};

struct saved_stream {
	uint64_t transaction;    /* set by checkpoint__stage, as is half */
	uint32_t generation;
	uint32_t half;           /* which of the two buffers this is */
	uint8_t kind;
	uint8_t wanted;          /* enum wanted */
	uint8_t mid_line;
	uint8_t finished;        /* all of it is told: only the slot may not be given back yet */
	uint32_t process_half;   /* which of the processes' two buffers is valid */
	uint64_t told_bytes[LOSS_COUNT];
	uint64_t told_writes[LOSS_COUNT];
	uint64_t told_bytes_total;
	uint64_t told_writes_total;
	struct dropped dropped;  /* not told yet */
	struct saved_text text;
	uint64_t spill;          /* block of struct saved_spill, or HEAP_NONE */
	struct waiting waiting;
	uint32_t carries_count;
	uint32_t text_lacks;     /* enum text_lacks, together */
	struct saved_carry carries[SAVED_CARRIES]; /* unless there are more: then all are in the spill */
};

/* By `half`. */
struct saved_spill {
	struct saved_carry carries[2][CARRIES_MAX];
};

/* Where the shard's ring and journal stood. */
struct checkpoint_position {
	uint64_t ring;
	uint64_t journal_number; /* see struct journal_mark */
	uint64_t journal_offset;
};

struct checkpoint_options {
	const char *directory;   /* made when missing; the file in it is `checkpoint` */
	uint32_t streams;        /* slots */
	uint64_t heap_limit;     /* bytes */
	uint64_t epoch;          /* of the capture */
	const char *id_prefix;   /* of its line ids, shorter than LINE_ID_PREFIX_SIZE */
};

struct checkpoint;

/*
 * Opens what another agent left, or starts afresh: also, with a warning, where the file makes no
 * sense. 0 or -errno.
 */
int checkpoint__open(const struct checkpoint_options *options, struct checkpoint **out);
/* The file stays. */
void checkpoint__free(struct checkpoint *checkpoint);
/* The file goes. */
void checkpoint__remove(struct checkpoint *checkpoint);

/* True when the file's ring is that of the options' epoch. Else only half lines are of use: see checkpoint__restart. */
bool checkpoint__same_epoch(const struct checkpoint *checkpoint);
/* The epoch's that the file is of. */
const char *checkpoint__id_prefix(const struct checkpoint *checkpoint);
/* Gives up what is saved: the file is that of a new epoch's start. 0 or -errno: then it is of no use any more. */
int checkpoint__restart(struct checkpoint *checkpoint);

/* What the latest commit said; false when there was none. */
bool checkpoint__position(const struct checkpoint *checkpoint, struct checkpoint_position *out);
uint32_t checkpoint__streams(const struct checkpoint *checkpoint);
/* The valid state of a slot's stream and its processes, or NULL. Valid until the next commit. */
const struct saved_stream *checkpoint__saved(const struct checkpoint *checkpoint, uint32_t slot);
const struct saved_processes *checkpoint__saved_processes(const struct checkpoint *checkpoint, uint32_t slot);

/* False when the file system is full: a state of the slot's stream would not be saved. */
bool checkpoint__has_place(struct checkpoint *checkpoint, uint32_t slot);
/*
 * The buffer for the slot's next state, valid with the next commit; all of it must be written but
 * transaction and half. NULL: the file system is full.
 */
struct saved_stream *checkpoint__stage(struct checkpoint *checkpoint, uint32_t slot);
/* The same for its processes, for the state's process_half; NULL as above. */
struct saved_processes *checkpoint__stage_processes(struct checkpoint *checkpoint, uint32_t slot, uint32_t *half);
/* All that was staged is valid from here on. */
void checkpoint__commit(struct checkpoint *checkpoint, const struct checkpoint_position *position);

struct heap *checkpoint__heap(const struct checkpoint *checkpoint);

/*
 * Nanoseconds from boot time to wall clock as last used, so that a record that is made again has
 * the same timestamp. Not part of a commit. 0: none yet.
 */
uint64_t checkpoint__clock(const struct checkpoint *checkpoint);
void checkpoint__set_clock(struct checkpoint *checkpoint, uint64_t boot_to_wall);

#endif
