/*
 * Lines out of the writes of one stream. Owner: the stream, on its shard's thread.
 *
 * A half line waits in a carry. Who may finish it:
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

#include "config.h"

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

/* Bytes that the half lines of many assemblies may take together. Of one thread. */
struct carry_budget {
	size_t used;
	size_t limit;
};

struct assembly_options {
	enum assembly_mode mode;
	size_t max_line;         /* bytes; a longer line is cut, between UTF-8 characters where there are any */
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
/* Emits every half line, marked with the reason. */
void assembly__flush(struct assembly *assembly, enum partial why);
/* Bytes are missing at this place: flushes, and the next line may lack its start. */
void assembly__break(struct assembly *assembly);
/* Emits half lines that have waited for too long at `now` (boot time, ns). */
void assembly__expire(struct assembly *assembly, uint64_t now);

#endif
