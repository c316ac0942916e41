#include "assembly.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define STDIO_UNIT 1024
/* Half lines of one stream at one time; the oldest gives way. */
#define CARRIES_MAX 256

enum carry_kind {
	CARRY_STREAM,    /* for the next writer */
	CARRY_PROCESS,   /* for its own process */
	CARRY_WRITE,     /* in the middle of a write: for that write's next piece */
};

struct carry {
	struct carry *next;
	enum carry_kind kind;
	bool bound;              /* to its process, once the write is over */
	char *text;
	size_t length;
	size_t capacity;
	struct carry_budget *budget; /* that holds `capacity` of it; or NULL */
	uint64_t position;
	uint64_t offset;
	uint64_t time;           /* of the latest piece, as is the writer */
	struct writer writer;
};

struct assembly {
	const struct assembly_options *options;
	void *context;
	bool mid_line;
	struct carry *carries;   /* oldest first */
	unsigned int carries_count;
};

int assembly__new(const struct assembly_options *options, void *context, bool mid_line,
		  struct assembly **out)
{
	struct assembly *assembly = calloc(1, sizeof(*assembly));

	if (!assembly)
		return -ENOMEM;
	assembly->options = options;
	assembly->context = context;
	assembly->mid_line = mid_line;
	*out = assembly;
	return 0;
}

static void carry__free(struct carry *carry)
{
	if (carry->budget)
		carry->budget->used -= carry->capacity;
	free(carry->text);
	free(carry);
}

void assembly__free(struct assembly *assembly)
{
	if (!assembly)
		return;
	while (assembly->carries) {
		struct carry *carry = assembly->carries;

		assembly->carries = carry->next;
		carry__free(carry);
	}
	free(assembly);
}

/* The carry stays whole for the caller. */
static struct carry *unlink_carry(struct assembly *assembly, struct carry **link)
{
	struct carry *carry = *link;

	*link = carry->next;
	assembly->carries_count--;
	return carry;
}

static void link_carry(struct assembly *assembly, struct carry *carry)
{
	struct carry **link = &assembly->carries;

	while (*link)
		link = &(*link)->next;
	carry->next = NULL;
	*link = carry;
	assembly->carries_count++;
}

static void emit(struct assembly *assembly, struct line *line)
{
	if (assembly->mid_line && line->partial == PARTIAL_NONE)
		line->partial = PARTIAL_START;
	assembly->mid_line = false;
	assembly->options->emit(assembly->context, line);
}

static void emit_carry(struct assembly *assembly, const struct carry *carry, enum partial partial)
{
	struct line line = {
		.text = carry->text,
		.length = carry->length,
		.partial = partial,
		.position = carry->position,
		.offset = carry->offset,
		.time = carry->time,
		.writer = carry->writer,
	};

	emit(assembly, &line);
}

/* The longest prefix of at most `max` bytes that does not end inside a UTF-8 character. */
static size_t cut_length(const char *text, size_t max)
{
	size_t cut = max;

	while (cut > max - 3 && (text[cut] & 0xc0) == 0x80)
		cut--;
	return (text[cut] & 0xc0) == 0x80 ? max : cut;
}

/*
 * Emits what of `line` is over the limit, as pieces marked max_size, and advances it to the rest.
 * What is left is at most max_line long.
 */
static void emit_excess(struct assembly *assembly, struct line *line)
{
	size_t max = assembly->options->max_line;

	while (line->length > max) {
		struct line cut = *line;

		cut.length = cut_length(line->text, max);
		cut.partial = PARTIAL_MAX_SIZE;
		emit(assembly, &cut);
		line->text += cut.length;
		line->length -= cut.length;
		line->offset += cut.length;
	}
}

static struct line line_of_piece(const struct piece *piece, size_t at, size_t length)
{
	struct line line = {
		.text = piece->bytes + at,
		.length = length,
		.position = piece->position,
		.offset = at,
		.time = piece->time,
		.writer = piece->writer,
	};

	return line;
}

/*
 * By doubling, so that a long line in small writes is not copied each time. 0 or -ENOMEM: no
 * memory, or not within the budget.
 */
static int carry__grow(struct carry *carry, size_t needed)
{
	size_t capacity = 2 * carry->capacity;
	size_t more;
	char *text;

	if (capacity < needed)
		capacity = needed;
	more = capacity - carry->capacity;
	if (carry->budget && more > carry->budget->limit - carry->budget->used)
		return -ENOMEM;
	text = realloc(carry->text, capacity);
	if (!text)
		return -ENOMEM;
	if (carry->budget)
		carry->budget->used += more;
	carry->text = text;
	carry->capacity = capacity;
	return 0;
}

/* 0 or -ENOMEM; the carry is as it was then. */
static int carry__append(struct carry *carry, const char *bytes, size_t length)
{
	if (carry->length + length > carry->capacity) {
		int err = carry__grow(carry, carry->length + length);

		if (err)
			return err;
	}
	memcpy(carry->text + carry->length, bytes, length);
	carry->length += length;
	return 0;
}

/*
 * Appends to the half line what `line` brings; when that makes it too long, emits the excess and
 * keeps the rest. On failure the carry is as it was.
 */
static int extend_carry(struct assembly *assembly, struct carry *carry, const struct line *line)
{
	struct line whole;
	int err;

	err = carry__append(carry, line->text, line->length);
	if (err)
		return err;
	carry->time = line->time;
	carry->writer = line->writer;
	if (carry->length <= assembly->options->max_line)
		return 0;
	whole = *line;
	whole.text = carry->text;
	whole.length = carry->length;
	whole.position = carry->position;
	whole.offset = carry->offset;
	emit_excess(assembly, &whole);
	memmove(carry->text, whole.text, whole.length);
	carry->length = whole.length;
	carry->offset = whole.offset;
	return 0;
}

/* A carry that starts with `line`, not linked yet. NULL without memory. */
static struct carry *new_carry(struct carry_budget *budget, const struct line *line)
{
	struct carry *carry = calloc(1, sizeof(*carry));

	if (!carry)
		return NULL;
	carry->budget = budget;
	carry->position = line->position;
	carry->offset = line->offset;
	carry->time = line->time;
	carry->writer = line->writer;
	if (carry__append(carry, line->text, line->length)) {
		carry__free(carry);
		return NULL;
	}
	return carry;
}

static bool same_process(const struct writer *a, const struct writer *b)
{
	return a->tgid == b->tgid && a->start_time == b->start_time;
}

static bool may_continue(const struct carry *carry, enum carry_kind kind, const struct writer *writer)
{
	if (carry->kind != kind)
		return false;
	if (kind == CARRY_PROCESS)
		return same_process(&carry->writer, writer);
	return kind == CARRY_STREAM || carry->writer.tid == writer->tid;
}

static struct carry *take_carry(struct assembly *assembly, enum carry_kind kind,
				const struct writer *writer)
{
	for (struct carry **link = &assembly->carries; *link; link = &(*link)->next)
		if (may_continue(*link, kind, writer))
			return unlink_carry(assembly, link);
	return NULL;
}

/* The half line that this piece goes on with, unlinked, or NULL. */
static struct carry *continued_carry(struct assembly *assembly, const struct piece *piece)
{
	struct carry *carry;

	if (!assembly->carries)
		return NULL;
	carry = take_carry(assembly, CARRY_WRITE, &piece->writer);
	if (piece->write_offset)
		return carry;
	if (carry) {
		/* The rest of that write never came. */
		emit_carry(assembly, carry, PARTIAL_LOST);
		carry__free(carry);
	}
	carry = take_carry(assembly, CARRY_PROCESS, &piece->writer);
	return carry ? carry : take_carry(assembly, CARRY_STREAM, &piece->writer);
}

static bool looks_like_stdio_flush(const struct piece *piece)
{
	return piece->write_length % STDIO_UNIT == 0;
}

static enum carry_kind parking_kind(const struct assembly *assembly, struct carry *carry,
				    const struct piece *piece)
{
	if (assembly->options->mode == ASSEMBLY_PROCESS ||
	    (assembly->options->mode == ASSEMBLY_AUTO && looks_like_stdio_flush(piece)))
		carry->bound = true;
	if (piece->write_offset + piece->length < piece->write_length)
		return CARRY_WRITE;
	return carry->bound ? CARRY_PROCESS : CARRY_STREAM;
}

static void make_room(struct assembly *assembly)
{
	struct carry *oldest;

	if (assembly->carries_count < CARRIES_MAX)
		return;
	oldest = unlink_carry(assembly, &assembly->carries);
	emit_carry(assembly, oldest, PARTIAL_TIMEOUT);
	carry__free(oldest);
}

/* The end of a piece, without a newline: it waits in `carry` (unlinked) or in a new one. */
static void park(struct assembly *assembly, struct carry *carry, struct line *line,
		 const struct piece *piece)
{
	int err = 0;

	if (carry) {
		err = extend_carry(assembly, carry, line);
	} else {
		emit_excess(assembly, line);
		carry = new_carry(assembly->options->budget, line);
	}
	if (err)
		emit_carry(assembly, carry, PARTIAL_MAX_SIZE);
	if (!carry || err) {
		/* No memory to wait in: better cut than lost. */
		emit_excess(assembly, line);
		line->partial = PARTIAL_MAX_SIZE;
		emit(assembly, line);
		if (carry)
			carry__free(carry);
		return;
	}
	carry->kind = parking_kind(assembly, carry, piece);
	make_room(assembly);
	link_carry(assembly, carry);
}

/* `line` ends with a newline and completes `carry`, which it frees. */
static void complete_carry(struct assembly *assembly, struct carry *carry, struct line *line)
{
	if (extend_carry(assembly, carry, line)) {
		emit_carry(assembly, carry, PARTIAL_MAX_SIZE);
		emit_excess(assembly, line);
		emit(assembly, line);
	} else {
		emit_carry(assembly, carry, PARTIAL_NONE);
	}
	carry__free(carry);
}

void assembly__add(struct assembly *assembly, const struct piece *piece)
{
	struct carry *carry;
	size_t at = 0;

	if (!piece->length)
		return;
	carry = continued_carry(assembly, piece);
	while (at < piece->length) {
		const char *start = piece->bytes + at;
		const char *newline = memchr(start, '\n', piece->length - at);
		struct line line;

		if (!newline) {
			line = line_of_piece(piece, at, piece->length - at);
			park(assembly, carry, &line, piece);
			return;
		}
		line = line_of_piece(piece, at, newline - start);
		at += line.length + 1;
		if (carry) {
			complete_carry(assembly, carry, &line);
			carry = NULL;
			continue;
		}
		emit_excess(assembly, &line);
		emit(assembly, &line);
	}
}

/* Emits and frees the carries that were touched last before `before`. */
static void flush_older(struct assembly *assembly, uint64_t before, enum partial why)
{
	struct carry **link = &assembly->carries;

	while (*link) {
		struct carry *carry;

		if ((*link)->time >= before) {
			link = &(*link)->next;
			continue;
		}
		carry = unlink_carry(assembly, link);
		emit_carry(assembly, carry, why);
		carry__free(carry);
	}
}

void assembly__flush(struct assembly *assembly, enum partial why)
{
	flush_older(assembly, UINT64_MAX, why);
}

void assembly__break(struct assembly *assembly)
{
	assembly__flush(assembly, PARTIAL_LOST);
	assembly->mid_line = true;
}

void assembly__expire(struct assembly *assembly, uint64_t now)
{
	uint64_t timeout = assembly->options->timeout;

	if (assembly->carries && now > timeout)
		flush_older(assembly, now - timeout, PARTIAL_TIMEOUT);
}
