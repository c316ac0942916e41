/*
 * Stands for capture where a test fills the ring itself: one shard, and the functions of
 * user/capture/capture.h that a pipeline calls. Included once in a program, instead of linking the real one.
 */
#ifndef LOGTAP_RING_CAPTURE_H
#define LOGTAP_RING_CAPTURE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "capture/capture.h"
#include "capture/ring.h"
#include "quiet_capture.h"
#include "real_ring.h"
#include "record.h"

#define RING_CAPTURE_RING (1u << 20)
#define RING_CAPTURE_SLOTS 32

struct capture {
	struct real_ring ring;
	struct shard_state state;
	struct stream_slot slots[RING_CAPTURE_SLOTS];
};

int capture__ring_fd(const struct capture *capture, unsigned int shard)
{
	(void)shard;
	return capture->ring.ring_fd;
}

int capture__open_ring(const struct capture *capture, unsigned int shard, struct ring **out)
{
	return ring__open(capture__ring_fd(capture, shard), RING_CAPTURE_RING, out);
}

uint64_t capture__ring_size(const struct capture *capture, unsigned int shard)
{
	(void)capture, (void)shard;
	return RING_CAPTURE_RING;
}

unsigned int capture__max_streams(const struct capture *capture)
{
	(void)capture;
	return RING_CAPTURE_SLOTS;
}

struct shard_state *capture__shard_state(const struct capture *capture, unsigned int shard)
{
	(void)shard;
	return (struct shard_state *)&capture->state;
}

struct stream_slot *capture__slot(const struct capture *capture, uint32_t slot)
{
	return (struct stream_slot *)&capture->slots[slot];
}

uint64_t capture__withdraw(struct capture *capture, uint32_t slot)
{
	(void)capture, (void)slot;
	return 0;
}

bool capture__grace_is_over(const struct capture *capture, uint64_t grace)
{
	(void)capture, (void)grace;
	return true;
}

void capture__free_slot(struct capture *capture, uint32_t slot)
{
	capture->slots[slot].state = SLOT_FREE;
}

/* A file's stream, which one process writes. Waits for room as no real writer does. */
static inline void ring_capture__send(struct capture *capture, uint32_t slot, int type,
				      const void *payload, uint32_t length)
{
	const struct stream_slot *s = &capture->slots[slot];
	struct record head = {
		.version = RECORD_VERSION,
		.header_length = sizeof(head),
		.type = type,
		.length = sizeof(head) + length,
		.slot = slot,
		.generation = s->generation,
		.time = clock__ns(CLOCK_BOOTTIME),
		.start_time = 1,
		.write_length = length,
		.tgid = 1,
		.tid = 1,
		.writer = 1,
	};
	char bytes[REAL_RING_VALUE];

	memcpy(bytes, &head, sizeof(head));
	memcpy(bytes + sizeof(head), payload, length);
	while (real_ring__output(&capture->ring, bytes, sizeof(head) + length))
		usleep(500);
}

static inline void ring_capture__write(struct capture *capture, uint32_t slot, const char *text)
{
	ring_capture__send(capture, slot, RECORD_DATA, text, strlen(text));
}

static inline void ring_capture__open_file(struct capture *capture, uint32_t slot, const char *path)
{
	struct stream_slot *s = &capture->slots[slot];
	const struct process_payload process = { .name = "writer" };

	s->generation++;
	s->kind = STREAM_FILE;
	snprintf(s->path, sizeof(s->path), "%s", path);
	__atomic_store_n(&s->state, SLOT_OPEN, __ATOMIC_RELEASE);
	ring_capture__send(capture, slot, RECORD_PROCESS, &process, sizeof(process));
}

#endif
