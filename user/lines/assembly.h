/*
 * Lines out of the writes of one stream. Owner: the stream, on its shard's thread.
 *
 * A half line waits in a carry, whose text is in the shard's heap: what the latest saved state refers to is never changed,
 * only appended to. Who may finish it:
 *   stream   the next writer of the stream, whoever it is;
 *   process  the process that began it;
 *   auto     its own process when the write looks like stdio's flush of a full buffer (its length a multiple of 1,024), so that
 *            two block-buffered workers on one pipe do not tear each other's lines; else the next writer of the stream.
 */
#ifndef LOGTAP_ASSEMBLY_H
#define LOGTAP_ASSEMBLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/config.h"

struct carry_budget;
struct heap;

/* Half lines of one stream at one time; the oldest gives way. */
#define CARRIES_MAX 256

/* Why a line is not whole. After start the newline was there; after the others it was not. */
enum partial { PARTIAL_NONE, PARTIAL_START, PARTIAL_MAX_SIZE, PARTIAL_TIMEOUT, PARTIAL_EOF, PARTIAL_LOST };

struct writer {
	uint64_t start_time;     /* of the process; with tgid it names the process for good */
	uint32_t tgid;
	uint32_t tid;
	uint32_t tag;            /* of the process record that describes it */
	uint32_t way;
};

/*
 * A piece of a write: pieces of one write come in order, but pieces of others may come between
 * them.
 */
struct piece {
	const char *bytes;
	size_t length;
	uint64_t position;       /* of the ring record */
	uint64_t time;           /* boot time, ns */
	struct writer writer;
	uint32_t write_length;
	uint32_t write_offset;
};

struct line {
	const char *text;        /* without the newline; valid during the call */
	size_t length;
	enum partial partial;
	uint64_t position;       /* of the ring record that holds the first byte */
	uint64_t offset;         /* of the first byte in that record's bytes; the rest of a cut line counts on */
	uint64_t time;           /* of the write that completed it */
	struct writer writer;    /* of that write */
};

enum carry_kind {
	CARRY_STREAM,    /* for the next writer */
	CARRY_PROCESS,   /* for its own process */
	CARRY_WRITE,     /* in the middle of a write: for that write's next piece */
	CARRY_KINDS,
};

/* A half line as it is saved: another build may read it. */
struct saved_carry {
	uint64_t block;          /* of the heap */
	uint32_t block_size;
	uint32_t start;          /* of the text in the block */
	uint32_t length;
	uint8_t kind;
	uint8_t bound;           /* to its process, once the write is over */
	uint16_t reserved;
	uint64_t position;
	uint64_t offset;
	uint64_t time;           /* of the latest piece, as is the writer */
	struct writer writer;
};

struct assembly_options {
	enum assembly_mode mode;
	size_t max_line;         /* bytes; a longer line is cut, between UTF-8 characters where there are any */
	struct heap *heap;       /* may be another in the next call, as long as nothing waits */
	struct carry_budget *budget; /* what does not fit goes out as max_size; NULL: no bound */
	uint64_t timeout;        /* ns that a half line may wait */
	void (*emit)(void *context, const struct line *line);
};

struct assembly;

/* `options` must outlive it. `mid_line`: the first line may lack its start. 0 or -ENOMEM. */
int assembly__new(const struct assembly_options *options, void *context, bool mid_line,
		  struct assembly **out);
void assembly__free(struct assembly *assembly);

void assembly__add(struct assembly *assembly, const struct piece *piece);
/* Emits the oldest of the half lines that were touched last before `before`. False: there is none. */
bool assembly__flush_one(struct assembly *assembly, uint64_t before, enum partial why);
/* True when flush_one would find one. */
bool assembly__waits(const struct assembly *assembly, uint64_t before);
/* Bytes of the half line that flush_one would emit, 0 without one. */
size_t assembly__oldest_length(const struct assembly *assembly, uint64_t before);
/* What was touched last before this has waited for too long at `now` (boot time, ns). */
uint64_t assembly__overdue(const struct assembly *assembly, uint64_t now);
/* Bytes are missing at this place, where nothing waits: the next line may lack its start. */
void assembly__break(struct assembly *assembly);

/* More half lines than this are kept only after assembly__allow. */
#define SAVED_CARRIES 4
/* At most so many half lines from now on, up to CARRIES_MAX: the oldest gives way to more. */
void assembly__allow(struct assembly *assembly, unsigned int carries);
unsigned int assembly__count(const struct assembly *assembly);
bool assembly__mid_line(const struct assembly *assembly);
/* True when what is saved is another than at the last call. */
bool assembly__changed(struct assembly *assembly);
/* Writes assembly__count of them, oldest first. */
void assembly__save(const struct assembly *assembly, struct saved_carry *out);
/*
 * Into a new assembly; their blocks are adopted, and are the assembly's from here on. 0 or -ENOMEM:
 * nothing is restored then.
 */
int assembly__restore(struct assembly *assembly, const struct saved_carry *carries, unsigned int count);

#endif
