#include "assembly.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "carry_budget.h"
#include "heap.h"

#define STDIO_UNIT 1024

struct carry {
	struct carry *next;
	struct heap *heap;
	struct carry_budget *budget; /* that holds the block; or NULL */
	struct saved_carry saved;
};

struct assembly {
	const struct assembly_options *options;
	void *context;
	bool mid_line;
	bool changed;
	struct carry *carries;   /* oldest first */
	unsigned int carries_count;
	unsigned int carries_max;
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
	assembly->carries_max = CARRIES_MAX;
	*out = assembly;
	return 0;
}

static void carry__free(struct carry *carry)
{
	carry_budget__give(carry->budget, carry->saved.block_size);
	heap__give(carry->heap, carry->saved.block);
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
	assembly->changed = true;
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
	assembly->changed = true;
}

static void emit(struct assembly *assembly, struct line *line)
{
	if (assembly->mid_line) {
		if (line->partial == PARTIAL_NONE)
			line->partial = PARTIAL_START;
		assembly->mid_line = false;
		assembly->changed = true;
	}
	assembly->options->emit(assembly->context, line);
}

static const char *carry__text(const struct carry *carry)
{
	return (const char *)heap__at(carry->heap, carry->saved.block) + carry->saved.start;
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

/* It may be too long: restored of a time when longer lines were allowed. */
static void emit_carry(struct assembly *assembly, const struct carry *carry, enum partial partial)
{
	const struct saved_carry *saved = &carry->saved;
	struct line line = {
		.text = carry__text(carry),
		.length = saved->length,
		.position = saved->position,
		.offset = saved->offset,
		.time = saved->time,
		.writer = saved->writer,
	};

	emit_excess(assembly, &line);
	line.partial = partial;
	emit(assembly, &line);
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
 * Moves to a block for `needed` bytes: by doubling, so that a long line in small writes is not
 * copied each time. What was cut off at the front stays behind. 0 or -ENOMEM: no memory, or not
 * within the budget.
 */
static int carry__grow(struct carry *carry, size_t needed)
{
	struct saved_carry *saved = &carry->saved;
	size_t wanted = 2 * (size_t)saved->length > needed ? 2 * (size_t)saved->length : needed;
	uint64_t block = heap__take(carry->heap, wanted);
	size_t size;

	if (block == HEAP_NONE)
		return -ENOMEM;
	size = heap__size(carry->heap, block);
	if (size > saved->block_size && !carry_budget__take(carry->budget, size - saved->block_size)) {
		heap__give(carry->heap, block);
		return -ENOMEM;
	}
	if (saved->length)
		memcpy(heap__at(carry->heap, block), carry__text(carry), saved->length);
	if (size < saved->block_size)
		carry_budget__give(carry->budget, saved->block_size - size);
	heap__give(carry->heap, saved->block);
	saved->block = block;
	saved->block_size = size;
	saved->start = 0;
	return 0;
}

/*
 * Behind what is there: the bytes before are a saved state's too. 0 or -ENOMEM; the carry is as it
 * was then.
 */
static int carry__append(struct carry *carry, const char *bytes, size_t length)
{
	struct saved_carry *saved = &carry->saved;

	if ((size_t)saved->start + saved->length + length > saved->block_size) {
		int err = carry__grow(carry, saved->length + length);

		if (err)
			return err;
	}
	memcpy((char *)carry__text(carry) + saved->length, bytes, length);
	saved->length += length;
	return 0;
}

/*
 * Appends to the half line what `line` brings; when that makes it too long, emits the excess and
 * keeps the rest. On failure the carry is as it was.
 */
static int extend_carry(struct assembly *assembly, struct carry *carry, const struct line *line)
{
	struct saved_carry *saved = &carry->saved;
	struct line whole;
	int err;

	err = carry__append(carry, line->text, line->length);
	if (err)
		return err;
	saved->time = line->time;
	saved->writer = line->writer;
	if (saved->length <= assembly->options->max_line)
		return 0;
	whole = *line;
	whole.text = carry__text(carry);
	whole.length = saved->length;
	whole.position = saved->position;
	whole.offset = saved->offset;
	emit_excess(assembly, &whole);
	/* The rest stays where it is: a saved state has these bytes. */
	saved->start += saved->length - whole.length;
	saved->length = whole.length;
	saved->offset = whole.offset;
	return 0;
}

/* A carry that starts with `line`, not linked yet. NULL without memory. */
static struct carry *new_carry(const struct assembly_options *options, const struct line *line)
{
	struct carry *carry = calloc(1, sizeof(*carry));

	if (!carry)
		return NULL;
	carry->heap = options->heap;
	carry->budget = options->budget;
	carry->saved.block = HEAP_NONE;
	carry->saved.position = line->position;
	carry->saved.offset = line->offset;
	carry->saved.time = line->time;
	carry->saved.writer = line->writer;
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
	if (carry->saved.kind != kind)
		return false;
	if (kind == CARRY_PROCESS)
		return same_process(&carry->saved.writer, writer);
	return kind == CARRY_STREAM || carry->saved.writer.tid == writer->tid;
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
		carry->saved.bound = true;
	if (piece->write_offset + piece->length < piece->write_length)
		return CARRY_WRITE;
	return carry->saved.bound ? CARRY_PROCESS : CARRY_STREAM;
}

static void make_room(struct assembly *assembly)
{
	struct carry *oldest;

	while (assembly->carries_count >= assembly->carries_max) {
		oldest = unlink_carry(assembly, &assembly->carries);
		emit_carry(assembly, oldest, PARTIAL_TIMEOUT);
		carry__free(oldest);
	}
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
		carry = new_carry(assembly->options, line);
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
	carry->saved.kind = parking_kind(assembly, carry, piece);
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

/* The link to the oldest half line that was touched last before `before`, or to NULL. */
static struct carry **find_older(const struct assembly *assembly, uint64_t before)
{
	struct carry *const *link = &assembly->carries;

	while (*link && (*link)->saved.time >= before)
		link = &(*link)->next;
	return (struct carry **)link;
}

bool assembly__waits(const struct assembly *assembly, uint64_t before)
{
	return *find_older(assembly, before);
}

uint64_t assembly__overdue(const struct assembly *assembly, uint64_t now)
{
	return now > assembly->options->timeout ? now - assembly->options->timeout : 0;
}

size_t assembly__oldest_length(const struct assembly *assembly, uint64_t before)
{
	const struct carry *carry = *find_older(assembly, before);

	return carry ? carry->saved.length : 0;
}

bool assembly__flush_one(struct assembly *assembly, uint64_t before, enum partial why)
{
	struct carry **link = find_older(assembly, before);
	struct carry *carry;

	if (!*link)
		return false;
	carry = unlink_carry(assembly, link);
	emit_carry(assembly, carry, why);
	carry__free(carry);
	return true;
}

void assembly__break(struct assembly *assembly)
{
	assembly->changed |= !assembly->mid_line;
	assembly->mid_line = true;
}

void assembly__allow(struct assembly *assembly, unsigned int carries)
{
	assembly->carries_max = carries;
}

unsigned int assembly__count(const struct assembly *assembly)
{
	return assembly->carries_count;
}

bool assembly__mid_line(const struct assembly *assembly)
{
	return assembly->mid_line;
}

bool assembly__changed(struct assembly *assembly)
{
	bool changed = assembly->changed;

	assembly->changed = false;
	return changed;
}

void assembly__save(const struct assembly *assembly, struct saved_carry *out)
{
	for (const struct carry *carry = assembly->carries; carry; carry = carry->next)
		*out++ = carry->saved;
}

int assembly__restore(struct assembly *assembly, const struct saved_carry *carries, unsigned int count)
{
	struct carry *made = NULL;

	/* Last first, so that the list has them in order. */
	for (unsigned int i = count; i-- > 0;) {
		struct carry *carry = calloc(1, sizeof(*carry));

		if (!carry)
			goto fail;
		carry->heap = assembly->options->heap;
		carry->budget = assembly->options->budget;
		carry->saved = carries[i];
		carry->next = made;
		made = carry;
	}
	for (unsigned int i = 0; i < count; i++)
		carry_budget__adopt(assembly->options->budget, carries[i].block_size);
	assembly->carries = made;
	assembly->carries_count = count;
	return 0;
fail:
	while (made) {
		struct carry *carry = made;

		made = carry->next;
		free(carry);
	}
	return -ENOMEM;
}
