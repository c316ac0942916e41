#include "ring.h"

#include <errno.h>
#include <linux/bpf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* One map. Its own positions count from 0. */
struct part {
	size_t page;
	size_t mask;
	uint64_t *consumer;          /* page of ours, read by the kernel */
	const uint64_t *producer;    /* page of the kernel's, followed by the data, which is mapped twice in a row */
	size_t producer_size;
	const char *data;
	uint64_t base;               /* position of its first byte in the shard */
};

struct ring {
	struct part present;
	struct part before;          /* without pages: there is none, or all of it is released */
	uint64_t next;               /* position behind the last record looked at */
};

static void unmap_part(struct part *part)
{
	if (part->consumer)
		munmap(part->consumer, part->page);
	if (part->producer)
		munmap((void *)part->producer, part->producer_size);
	memset(part, 0, sizeof(*part));
}

/* What it mapped is unmapped by unmap_part, also after a failure. */
static int map_part(struct part *part, int map_fd, size_t size)
{
	void *pages;

	part->page = sysconf(_SC_PAGESIZE);
	part->mask = size - 1;
	pages = mmap(NULL, part->page, PROT_READ | PROT_WRITE, MAP_SHARED, map_fd, 0);
	if (pages == MAP_FAILED)
		return -errno;
	part->consumer = pages;
	part->producer_size = part->page + 2 * size;
	pages = mmap(NULL, part->producer_size, PROT_READ, MAP_SHARED, map_fd, part->page);
	if (pages == MAP_FAILED)
		return -errno;
	part->producer = pages;
	part->data = (const char *)pages + part->page;
	return 0;
}

static uint64_t part_produced(const struct part *part)
{
	return part->base + __atomic_load_n(part->producer, __ATOMIC_ACQUIRE);
}

static uint64_t part_released(const struct part *part)
{
	return part->base + __atomic_load_n(part->consumer, __ATOMIC_ACQUIRE);
}

int ring__open(int map_fd, size_t size, struct ring **out)
{
	struct ring *ring = calloc(1, sizeof(*ring));
	int err;

	if (!ring)
		return -ENOMEM;
	err = map_part(&ring->present, map_fd, size);
	if (err) {
		ring__free(ring);
		return err;
	}
	ring->next = part_released(&ring->present);
	*out = ring;
	return 0;
}

int ring__follow(struct ring *ring, uint64_t base, int before_fd, size_t before_size)
{
	int err;

	ring->present.base = base;
	ring->next = part_released(&ring->present);
	if (before_fd < 0)
		return 0;
	err = map_part(&ring->before, before_fd, before_size);
	if (err) {
		unmap_part(&ring->before);
		return err;
	}
	/* Nobody writes to it any more. */
	ring->before.base = base - part_produced(&ring->before);
	ring->next = part_released(&ring->before);
	return 0;
}

void ring__free(struct ring *ring)
{
	if (!ring)
		return;
	unmap_part(&ring->present);
	unmap_part(&ring->before);
	free(ring);
}

/* Where the position is. */
static const struct part *part_at(const struct ring *ring, uint64_t position)
{
	return position < ring->present.base && ring->before.consumer ? &ring->before : &ring->present;
}

static const char *header_at(const struct ring *ring, uint64_t position)
{
	const struct part *part = part_at(ring, position);

	return part->data + ((position - part->base) & part->mask);
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
		const char *header = header_at(ring, ring->next);
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

/* Everything before it has been given back. */
static uint64_t released(const struct ring *ring)
{
	return part_released(ring->before.consumer ? &ring->before : &ring->present);
}

int ring__seek(struct ring *ring, uint64_t position)
{
	uint64_t at = released(ring);

	if (position > ring__produced(ring))
		return -ERANGE;
	/* From record to record: what is not a record's place would be read as one. */
	while (at < position)
		at = behind(at, __atomic_load_n((const uint32_t *)header_at(ring, at), __ATOMIC_ACQUIRE));
	if (at != position)
		return -ERANGE;
	ring->next = position;
	return 0;
}

static void release_part(const struct part *part, uint64_t position)
{
	__atomic_store_n(part->consumer, position - part->base, __ATOMIC_RELEASE);
}

void ring__release(struct ring *ring, uint64_t position)
{
	if (ring->before.consumer) {
		uint64_t end = ring->present.base;

		release_part(&ring->before, position < end ? position : end);
		if (position < end)
			return;
		unmap_part(&ring->before);
	}
	release_part(&ring->present, position);
}

uint64_t ring__produced(const struct ring *ring)
{
	return part_produced(&ring->present);
}

uint64_t ring__consumed(const struct ring *ring)
{
	return ring->next;
}

uint64_t ring__waiting(const struct ring *ring)
{
	return ring__produced(ring) - released(ring);
}
