/*
 * How the topic's partitions get on: how many records wait for each, and which one stands still
 * while others flow. Owner: the Kafka sink; its thread alone.
 */
#ifndef LOGTAP_KAFKA_PARTITIONS_H
#define LOGTAP_KAFKA_PARTITIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of a record without a key: librdkafka chooses one that has a leader. */
#define KAFKA_PARTITION_ANY -1

struct kafka_partition {
	size_t waiting;          /* records in the window */
	uint64_t since_ms;       /* of the last delivery, or of the first that waits */
};

struct kafka_partitions {
	struct kafka_partition *list;
	int32_t count;           /* up to the highest that was seen */
	uint64_t delivered_ms;   /* to any of them */
	uint64_t outage_ms;      /* when none of those that waited took records, as far as was seen */
};

void kafka_partitions__free(struct kafka_partitions *partitions);
/* True when it was idle. Without memory the partition is not watched. */
bool kafka_partitions__add(struct kafka_partitions *partitions, int32_t partition, uint64_t now_ms);
void kafka_partitions__remove(struct kafka_partitions *partitions, int32_t partition);
void kafka_partitions__delivered(struct kafka_partitions *partitions, int32_t partition,
				 uint64_t now_ms);
size_t kafka_partitions__waiting(const struct kafka_partitions *partitions, int32_t partition);
/* A new client: what waits has waited for nothing so far. */
void kafka_partitions__restart(struct kafka_partitions *partitions, uint64_t now_ms);
/* No broker is there: what waits waits for that. */
void kafka_partitions__outage(struct kafka_partitions *partitions, uint64_t now_ms);
/*
 * One that nothing was delivered to for some seconds though records wait, while others had what
 * waited for them delivered; or KAFKA_PARTITION_ANY. To be called at least every second. `excused` says which ones are known already.
 */
int32_t kafka_partitions__stuck(struct kafka_partitions *partitions, uint64_t now_ms,
				bool (*excused)(const void *opaque, int32_t partition),
				const void *opaque);

#endif
