/* A heap in memory alone, for tests of what lives in one. */
#ifndef LOGTAP_HEAP_MEMORY_H
#define LOGTAP_HEAP_MEMORY_H

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../user/lines/heap.h"

struct heap_memory {
	int fd;
	size_t limit;
	char *base;
	struct heap *heap;
};

static inline void heap_memory__open(struct heap_memory *memory, size_t limit)
{
	struct heap_options options;

	memory->fd = memfd_create("heap", MFD_CLOEXEC);
	memory->limit = limit;
	memory->base = mmap(NULL, limit, PROT_READ | PROT_WRITE, MAP_SHARED, memory->fd, 0);
	options = (struct heap_options){ .fd = memory->fd, .base = memory->base, .limit = limit };
	if (memory->fd < 0 || memory->base == MAP_FAILED || heap__new(&options, &memory->heap))
		abort();
}

static inline void heap_memory__close(struct heap_memory *memory)
{
	heap__free(memory->heap);
	munmap(memory->base, memory->limit);
	close(memory->fd);
}

#endif
