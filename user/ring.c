#include "ring.h"

#include <errno.h>
#include <linux/bpf.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

struct ring {
	size_t page;
	size_t mask;
	uint64_t *consumer;          /* page of ours, read by the kernel */
	const uint64_t *producer;    /* page of the kernel's, followed by the data, which is mapped twice in a row */
	size_t producer_size;
	const char *data;
	uint64_t next;               /* position behind the last record looked at */
};

int ring__open(int map_fd, size_t size, struct ring **out)
{
	struct ring *ring = calloc(1, sizeof(*ring));
	int err;

	if (!ring)
		return -ENOMEM;
	ring->page = sysconf(_SC_PAGESIZE);
	ring->mask = size - 1;
	ring->consumer = mmap(NULL, ring->page, PROT_READ | PROT_WRITE, MAP_SHARED, map_fd, 0);
	if (ring->consumer == MAP_FAILED) {
		err = -errno;
		ring->consumer = NULL;
		goto fail;
	}
	ring->producer_size = ring->page + 2 * size;
	ring->producer = mmap(NULL, ring->producer_size, PROT_READ, MAP_SHARED, map_fd, ring->page);
	if (ring->producer == MAP_FAILED) {
		err = -errno;
		ring->producer = NULL;
		goto fail;
	}
	ring->data = (const char *)ring->producer + ring->page;
	ring->next = __atomic_load_n(ring->consumer, __ATOMIC_ACQUIRE);
	*out = ring;
	return 0;
fail:
	ring__free(ring);
	return err;
}

void ring__free(struct ring *ring)
{
	if (!ring)
		return;
	if (ring->consumer)
		munmap(ring->consumer, ring->page);
	if (ring->producer)
		munmap((void *)ring->producer, ring->producer_size);
	free(ring);
}

/* The position behind the record at `position`, whose header's length this is. */
static uint64_t behind(uint64_t position, uint32_t length)
{
	length &= ~(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT);
	return position + (((uint64_t)length + BPF_RINGBUF_HDR_SZ + 7) & ~7ULL);
}

const struct record *ring__next(struct ring *ring, uint64_t *position)
{
	while (ring->next < ring__produced(ring)) {
		const char *header = ring->data + (ring->next & ring->mask);
		uint32_t length = __atomic_load_n((const uint32_t *)header, __ATOMIC_ACQUIRE);
		uint64_t at = ring->next;

		if (length & BPF_RINGBUF_BUSY_BIT)
			return NULL;
		ring->next = behind(at, length);
		if (length & BPF_RINGBUF_DISCARD_BIT)
			continue;
		*position = at;
		return (const struct record *)(header + BPF_RINGBUF_HDR_SZ);
	}
	return NULL;
}

int ring__seek(struct ring *ring, uint64_t position)
{
	uint64_t at = __atomic_load_n(ring->consumer, __ATOMIC_RELAXED);

	if (position > ring__produced(ring))
		return -ERANGE;
	/* From record to record: what is not a record's place would be read as one. */
	while (at < position) {
		uint32_t length = __atomic_load_n((const uint32_t *)(ring->data + (at & ring->mask)),
						  __ATOMIC_ACQUIRE);

		at = behind(at, length);
	}
	if (at != position)
		return -ERANGE;
	ring->next = position;
	return 0;
}

void ring__release(struct ring *ring, uint64_t position)
{
	__atomic_store_n(ring->consumer, position, __ATOMIC_RELEASE);
}

uint64_t ring__produced(const struct ring *ring)
{
	return __atomic_load_n(ring->producer, __ATOMIC_ACQUIRE);
}

uint64_t ring__consumed(const struct ring *ring)
{
	return ring->next;
}

uint64_t ring__waiting(const struct ring *ring)
{
	return ring__produced(ring) -
	       __atomic_load_n(ring->consumer, __ATOMIC_RELAXED);
}
