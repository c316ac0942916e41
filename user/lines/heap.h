/*
 * Memory in a file that outlives the process: a buddy allocator over a growing part of a mapped
 * file. What must be known of it after a crash is known by who holds the blocks: the allocator's
 * own lists are memory of the process, and the next process makes them anew by adopting the blocks
 * that the saved states refer to. Owner: the shard's thread, through its checkpoint.
 *
 * A saved state may refer to a block that is freed: the block is given back by heap__reclaim, which
 * is called once a newer state is the valid one. A block that was made since the last
 * heap__reclaim is in no valid state and is given back at once.
 */
#ifndef LOGTAP_HEAP_H
#define LOGTAP_HEAP_H

#include <stddef.h>
#include <stdint.h>

/* Blocks are powers of two of bytes, at multiples of their size. */
#define HEAP_BLOCK_MIN 256u
#define HEAP_BLOCK_MAX (4u << 20)
/* The file grows by this much. */
#define HEAP_STEP (1u << 20)
/* No block: all others are offsets in the heap. */
#define HEAP_NONE UINT64_MAX

struct heap;

struct heap_options {
	int fd;                  /* not owned */
	uint64_t offset;         /* of the heap in the file: a multiple of the page size */
	char *base;              /* where the file is mapped from there on, `limit` bytes of it */
	uint64_t size;           /* bytes that the file has of it already, all allocated; of whole steps */
	uint64_t limit;          /* bytes that it may have */
};

/* 0 or -ENOMEM. All of it is free. */
int heap__new(const struct heap_options *options, struct heap **out);
/* The blocks stay as they are in the file. */
void heap__free(struct heap *heap);

/*
 * A block of at least `size` bytes, of unknown content; HEAP_NONE when there is no room: the limit,
 * or the file system is full. The file's space is allocated before it is touched.
 */
uint64_t heap__take(struct heap *heap, size_t size);
/* HEAP_NONE does nothing. */
void heap__give(struct heap *heap, uint64_t block);
/* What was freed before is free from now on; what was made before may be referred to. */
void heap__reclaim(struct heap *heap);
/*
 * Takes a block that a saved state refers to. -EINVAL, and nothing is changed: it is no block, or
 * overlaps another that is taken.
 */
int heap__adopt(struct heap *heap, uint64_t block, uint64_t size);

void *heap__at(const struct heap *heap, uint64_t block);
size_t heap__size(const struct heap *heap, uint64_t block);
/* Bytes in blocks that are not free: those that wait for heap__reclaim included. */
uint64_t heap__used(const struct heap *heap);

#endif
