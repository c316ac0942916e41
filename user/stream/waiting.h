/*
 * Lines of one stream that wait for what is to be said of it: for the labels of its pod. They lie in
 * the shard's heap, one behind the other in a chain of blocks, so that the ring is released, and the
 * next agent has them. Owner: the stream, on its shard's thread.
 *
 * The struct is what the checkpoint saves. What the latest saved state refers to is never changed:
 * lines are added behind it, and blocks that are given back are free only with the commit to come.
 */
#ifndef LOGTAP_WAITING_H
#define LOGTAP_WAITING_H

#include <stdbool.h>
#include <stdint.h>

#include "encode.h"
#include "lines/assembly.h"

/* Of lines.memory so much more is had for lines that wait, and of that one stream may have as much. */
#define WAITING_SHARE 4

struct heap;

struct waiting {
	uint64_t first;          /* blocks; HEAP_NONE: nothing waits */
	uint64_t last;
	uint32_t start;          /* of the first line, in the first block */
	uint32_t end;            /* behind the last line, in the last block */
	uint32_t first_size;     /* bytes of the first block */
	uint32_t bytes;          /* of all blocks */
	uint64_t deadline;       /* boot time, ns, until which it waits; 0: it does not */
};

/* Nothing waits, and nothing is to. */
void waiting__init(struct waiting *waiting);
/*
 * Takes a copy. `process` may be NULL. -ENOSPC, and nothing is changed, when the heap is full, or
 * the blocks would exceed `limit` bytes.
 */
int waiting__add(struct waiting *waiting, struct heap *heap, uint64_t limit, const struct line *line,
		 const struct process *process);
/* True when a line of this length would be taken. */
bool waiting__fits(const struct waiting *waiting, struct heap *heap, uint64_t limit, size_t length);
/*
 * The oldest line; its text is valid until the next call of another function. `process` is filled;
 * *known tells whether it was given. False when there is none.
 */
bool waiting__first(const struct waiting *waiting, const struct heap *heap, struct line *line,
		    struct process *process, bool *known);
void waiting__remove_first(struct waiting *waiting, struct heap *heap);
void waiting__clear(struct waiting *waiting, struct heap *heap);

/* Adopts the blocks of a state that another agent saved; see heap__adopt. 0 or -EINVAL: it makes no sense. */
int waiting__adopt(const struct waiting *waiting, struct heap *heap);

#endif
