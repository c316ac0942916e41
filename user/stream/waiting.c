#include "waiting.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "lines/heap.h"

/* The first block is small, for most that wait have little; what follows is as large as all before it. */
#define BLOCK_BYTES_MIN (4u << 10)
#define BLOCK_BYTES_MAX (64u << 10)

/* At the start of each block; valid in all but the last, of which the state knows the end. */
struct block {
	uint64_t next;
	uint32_t next_size;
	uint32_t end;            /* behind its last line */
};

/* Before each line's text. */
struct entry {
	uint32_t size;           /* with the text, a multiple of 8 */
	uint32_t length;         /* of the text */
	uint64_t position;
	uint64_t offset;
	uint64_t time;
	struct writer writer;
	struct process process;
	uint8_t partial;
	uint8_t known;           /* the process is */
	uint8_t reserved[5];
};

_Static_assert(sizeof(struct block) == 16, "block layout");
_Static_assert(sizeof(struct entry) % 8 == 0, "entry layout");

void waiting__init(struct waiting *waiting)
{
	*waiting = (struct waiting){ .first = HEAP_NONE, .last = HEAP_NONE };
}

static uint32_t block_size(const struct waiting *waiting, uint32_t needed)
{
	uint32_t wanted = waiting->bytes > BLOCK_BYTES_MAX ? BLOCK_BYTES_MAX : waiting->bytes;
	uint32_t size = BLOCK_BYTES_MIN;

	while (size < wanted || size < sizeof(struct block) + needed)
		size *= 2;
	return size;
}

/* A block behind the last one. -ENOSPC. */
static int add_block(struct waiting *waiting, struct heap *heap, uint64_t limit, uint32_t needed)
{
	uint32_t size = block_size(waiting, needed);
	struct block *last;
	uint64_t at;

	if ((uint64_t)waiting->bytes + size > limit)
		return -ENOSPC;
	at = heap__take(heap, size);
	if (at == HEAP_NONE)
		return -ENOSPC;
	if (waiting->first == HEAP_NONE) {
		waiting->first = at;
		waiting->first_size = size;
		waiting->start = sizeof(struct block);
	} else {
		/* A saved state for which this is the last block does not look at it. */
		last = heap__at(heap, waiting->last);
		*last = (struct block){ .next = at, .next_size = size, .end = waiting->end };
	}
	waiting->last = at;
	waiting->end = sizeof(struct block);
	waiting->bytes += size;
	return 0;
}

static uint32_t entry_size(size_t length)
{
	return (sizeof(struct entry) + length + 7) / 8 * 8;
}

static bool fits_last_block(const struct waiting *waiting, const struct heap *heap, uint32_t size)
{
	return waiting->last != HEAP_NONE && waiting->end + size <= heap__size(heap, waiting->last);
}

bool waiting__fits(const struct waiting *waiting, struct heap *heap, uint64_t limit, size_t length)
{
	uint32_t size = entry_size(length);
	uint64_t block;

	if (fits_last_block(waiting, heap, size))
		return true;
	size = block_size(waiting, size);
	if ((uint64_t)waiting->bytes + size > limit)
		return false;
	block = heap__take(heap, size);
	heap__give(heap, block);
	return block != HEAP_NONE;
}

int waiting__add(struct waiting *waiting, struct heap *heap, uint64_t limit, const struct line *line,
		 const struct process *process)
{
	uint32_t size = entry_size(line->length);
	struct entry *entry;
	int err;

	if (!fits_last_block(waiting, heap, size)) {
		err = add_block(waiting, heap, limit, size);
		if (err)
			return err;
	}
	entry = (struct entry *)((char *)heap__at(heap, waiting->last) + waiting->end);
	*entry = (struct entry){
		.size = size,
		.length = line->length,
		.position = line->position,
		.offset = line->offset,
		.time = line->time,
		.writer = line->writer,
		.partial = line->partial,
		.known = process != NULL,
	};
	if (process)
		entry->process = *process;
	memcpy(entry + 1, line->text, line->length);
	waiting->end += size;
	return 0;
}

static struct entry *first_entry(const struct waiting *waiting, const struct heap *heap)
{
	return (struct entry *)((char *)heap__at(heap, waiting->first) + waiting->start);
}

bool waiting__first(const struct waiting *waiting, const struct heap *heap, struct line *line,
		    struct process *process, bool *known)
{
	const struct entry *entry;

	if (waiting->first == HEAP_NONE)
		return false;
	entry = first_entry(waiting, heap);
	*line = (struct line){
		.text = (const char *)(entry + 1),
		.length = entry->length,
		.partial = entry->partial,
		.position = entry->position,
		.offset = entry->offset,
		.time = entry->time,
		.writer = entry->writer,
	};
	*process = entry->process;
	*known = entry->known;
	return true;
}

static void remove_first_block(struct waiting *waiting, struct heap *heap)
{
	const struct block *block = heap__at(heap, waiting->first);
	uint64_t deadline = waiting->deadline;

	heap__give(heap, waiting->first);
	if (waiting->first == waiting->last) {
		waiting__init(waiting);
		waiting->deadline = deadline;
		return;
	}
	waiting->bytes -= waiting->first_size;
	waiting->first = block->next;
	waiting->first_size = block->next_size;
	waiting->start = sizeof(struct block);
}

static uint32_t end_of_first(const struct waiting *waiting, const struct heap *heap)
{
	if (waiting->first == waiting->last)
		return waiting->end;
	return ((const struct block *)heap__at(heap, waiting->first))->end;
}

void waiting__remove_first(struct waiting *waiting, struct heap *heap)
{
	waiting->start += first_entry(waiting, heap)->size;
	if (waiting->start == end_of_first(waiting, heap))
		remove_first_block(waiting, heap);
}

void waiting__clear(struct waiting *waiting, struct heap *heap)
{
	while (waiting->first != HEAP_NONE)
		remove_first_block(waiting, heap);
}

/* From `start` to `end`, exactly. */
static int check_entries(const char *block, uint32_t start, uint32_t end)
{
	while (start < end) {
		const struct entry *entry = (const struct entry *)(block + start);

		if (end - start < sizeof(*entry) || entry->size > end - start || entry->size % 8 ||
		    entry->size < sizeof(*entry) || entry->length > entry->size - sizeof(*entry))
			return -EINVAL;
		if (entry->partial > PARTIAL_LOST || entry->known > 1 || entry->writer.way >= SLOT_WRITERS ||
		    entry->process.name[PROCESS_NAME_SIZE])
			return -EINVAL;
		start += entry->size;
	}
	return start == end ? 0 : -EINVAL;
}

int waiting__adopt(const struct waiting *waiting, struct heap *heap)
{
	uint64_t at = waiting->first, bytes = 0;
	uint32_t start = waiting->start, size = waiting->first_size;

	if (at == HEAP_NONE)
		return waiting->last == HEAP_NONE && !waiting->bytes ? 0 : -EINVAL;
	for (;;) {
		const struct block *block;
		uint32_t end;

		if (heap__adopt(heap, at, size))
			return -EINVAL;
		block = heap__at(heap, at);
		end = at == waiting->last ? waiting->end : block->end;
		/* A block without a line is not kept. */
		if (start < sizeof(*block) || start % 8 || start >= end || end > size ||
		    check_entries((const char *)block, start, end))
			return -EINVAL;
		bytes += size;
		if (at == waiting->last)
			return bytes == waiting->bytes ? 0 : -EINVAL;
		at = block->next;
		size = block->next_size;
		start = sizeof(*block);
	}
}
