#include "heap.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>

#define ORDER_OF_STEP 12
#define ORDERS 15
#define NO_UNIT UINT32_MAX

_Static_assert(HEAP_BLOCK_MIN << ORDER_OF_STEP == HEAP_STEP, "orders");
_Static_assert(HEAP_BLOCK_MIN << (ORDERS - 1) == HEAP_BLOCK_MAX, "orders");

/* Of a block's first unit; the units inside a block are UNIT_INSIDE. */
enum unit_state {
	UNIT_INSIDE,
	UNIT_FREE,
	UNIT_FRESH,      /* made since the last reclaim */
	UNIT_TAKEN,
	UNIT_DEFERRED,   /* freed, but a valid state may refer to it */
};

/* HEAP_BLOCK_MIN bytes. The links are those of the list that the block's state has. */
struct unit {
	uint32_t next;
	uint32_t prev;
	uint8_t order;
	uint8_t state;
};

struct heap {
	struct heap_options options;
	struct unit *units;
	size_t units_size;
	uint64_t size;
	uint64_t used;
	uint32_t free[ORDERS];
	uint32_t fresh;
	uint32_t deferred;
};

static void link_unit(struct heap *heap, uint32_t *list, uint32_t unit)
{
	heap->units[unit].prev = NO_UNIT;
	heap->units[unit].next = *list;
	if (*list != NO_UNIT)
		heap->units[*list].prev = unit;
	*list = unit;
}

static void unlink_unit(struct heap *heap, uint32_t *list, uint32_t unit)
{
	const struct unit *u = &heap->units[unit];

	if (u->next != NO_UNIT)
		heap->units[u->next].prev = u->prev;
	if (u->prev != NO_UNIT)
		heap->units[u->prev].next = u->next;
	else
		*list = u->next;
}

static void set_block(struct heap *heap, uint32_t unit, unsigned int order, enum unit_state state)
{
	heap->units[unit].order = order;
	heap->units[unit].state = state;
}

static uint32_t units_of(const struct heap *heap)
{
	return heap->size / HEAP_BLOCK_MIN;
}

/* Puts a block among the free ones, as one with its buddy where that is free too. */
static void release(struct heap *heap, uint32_t unit, unsigned int order)
{
	for (; order + 1 < ORDERS; order++) {
		uint32_t buddy = unit ^ 1u << order;
		const struct unit *u = &heap->units[buddy];

		if (buddy >= units_of(heap) || u->state != UNIT_FREE || u->order != order)
			break;
		unlink_unit(heap, &heap->free[order], buddy);
		heap->units[unit | 1u << order].state = UNIT_INSIDE;
		unit &= ~(1u << order);
	}
	set_block(heap, unit, order, UNIT_FREE);
	link_unit(heap, &heap->free[order], unit);
}

/* Takes a free block out of its list and gives back all of it but the block `wanted` of `order`. */
static void carve(struct heap *heap, uint32_t unit, uint32_t wanted, unsigned int order)
{
	unsigned int at = heap->units[unit].order;

	unlink_unit(heap, &heap->free[at], unit);
	while (at > order) {
		uint32_t upper = unit + (1u << --at);
		uint32_t spare = wanted >= upper ? unit : upper;

		unit = wanted >= upper ? upper : unit;
		set_block(heap, spare, at, UNIT_FREE);
		link_unit(heap, &heap->free[at], spare);
	}
	heap->used += (uint64_t)HEAP_BLOCK_MIN << order;
}

int heap__new(const struct heap_options *options, struct heap **out)
{
	struct heap *heap = calloc(1, sizeof(*heap));

	if (!heap)
		return -ENOMEM;
	heap->options = *options;
	heap->fresh = heap->deferred = NO_UNIT;
	for (int i = 0; i < ORDERS; i++)
		heap->free[i] = NO_UNIT;
	/* Touched only as far as the heap has grown. */
	heap->units_size = (options->limit / HEAP_BLOCK_MIN + 1) * sizeof(*heap->units);
	heap->units = mmap(NULL, heap->units_size, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (heap->units == MAP_FAILED) {
		free(heap);
		return -ENOMEM;
	}
	while (heap->size < options->size) {
		uint32_t unit = units_of(heap);

		heap->size += HEAP_STEP;
		release(heap, unit, ORDER_OF_STEP);
	}
	*out = heap;
	return 0;
}

void heap__free(struct heap *heap)
{
	if (!heap)
		return;
	munmap(heap->units, heap->units_size);
	free(heap);
}

static bool grow(struct heap *heap)
{
	uint32_t unit = units_of(heap);

	if (heap->size + HEAP_STEP > heap->options.limit ||
	    posix_fallocate(heap->options.fd, heap->options.offset + heap->size, HEAP_STEP))
		return false;
	heap->size += HEAP_STEP;
	release(heap, unit, ORDER_OF_STEP);
	return true;
}

static unsigned int order_of(uint64_t size)
{
	unsigned int order = 0;

	while (order < ORDERS && (uint64_t)HEAP_BLOCK_MIN << order < size)
		order++;
	return order;
}

static uint32_t find_free(const struct heap *heap, unsigned int order)
{
	for (; order < ORDERS; order++)
		if (heap->free[order] != NO_UNIT)
			return heap->free[order];
	return NO_UNIT;
}

uint64_t heap__take(struct heap *heap, size_t size)
{
	unsigned int order = order_of(size);
	uint32_t unit;

	if (order == ORDERS)
		return HEAP_NONE;
	while ((unit = find_free(heap, order)) == NO_UNIT)
		if (!grow(heap))
			return HEAP_NONE;
	carve(heap, unit, unit, order);
	set_block(heap, unit, order, UNIT_FRESH);
	link_unit(heap, &heap->fresh, unit);
	return (uint64_t)unit * HEAP_BLOCK_MIN;
}

static void give_back(struct heap *heap, uint32_t unit)
{
	heap->used -= (uint64_t)HEAP_BLOCK_MIN << heap->units[unit].order;
	release(heap, unit, heap->units[unit].order);
}

void heap__give(struct heap *heap, uint64_t block)
{
	uint32_t unit = block / HEAP_BLOCK_MIN;

	if (block == HEAP_NONE)
		return;
	switch (heap->units[unit].state) {
	case UNIT_FRESH:
		unlink_unit(heap, &heap->fresh, unit);
		give_back(heap, unit);
		break;
	case UNIT_TAKEN:
		heap->units[unit].state = UNIT_DEFERRED;
		link_unit(heap, &heap->deferred, unit);
		break;
	default:
		abort(); /* it would be given to two */
	}
}

void heap__reclaim(struct heap *heap)
{
	while (heap->deferred != NO_UNIT) {
		uint32_t unit = heap->deferred;

		unlink_unit(heap, &heap->deferred, unit);
		give_back(heap, unit);
	}
	while (heap->fresh != NO_UNIT) {
		uint32_t unit = heap->fresh;

		unlink_unit(heap, &heap->fresh, unit);
		heap->units[unit].state = UNIT_TAKEN;
	}
}

int heap__adopt(struct heap *heap, uint64_t block, uint64_t size)
{
	unsigned int order = order_of(size);
	uint32_t unit = block / HEAP_BLOCK_MIN;

	if (order == ORDERS || (uint64_t)HEAP_BLOCK_MIN << order != size || block % size ||
	    block >= heap->size || size > heap->size - block)
		return -EINVAL;
	/* The free block that it is a part of. */
	for (unsigned int at = order; at < ORDERS; at++) {
		uint32_t start = unit & ~((1u << at) - 1);

		if (heap->units[start].state != UNIT_FREE || heap->units[start].order != at)
			continue;
		carve(heap, start, unit, order);
		set_block(heap, unit, order, UNIT_TAKEN);
		return 0;
	}
	return -EINVAL;
}

void *heap__at(const struct heap *heap, uint64_t block)
{
	return heap->options.base + block;
}

size_t heap__size(const struct heap *heap, uint64_t block)
{
	return (size_t)HEAP_BLOCK_MIN << heap->units[block / HEAP_BLOCK_MIN].order;
}

uint64_t heap__used(const struct heap *heap)
{
	return heap->used;
}
