#include "kafka_partitions.h"

#include <stdlib.h>

#define STUCK_MS 3000
/* A delivery so long ago shows that others flow. */
#define FLOWING_MS 1000

void kafka_partitions__free(struct kafka_partitions *partitions)
{
	free(partitions->list);
}

static bool grow(struct kafka_partitions *partitions, int32_t count)
{
	struct kafka_partition *list;

	if (count <= partitions->count)
		return true;
	list = realloc(partitions->list, count * sizeof(*list));
	if (!list)
		return false;
	for (int32_t i = partitions->count; i < count; i++)
		list[i] = (struct kafka_partition){ 0 };
	partitions->list = list;
	partitions->count = count;
	return true;
}

static bool known(const struct kafka_partitions *partitions, int32_t partition)
{
	return partition >= 0 && partition < partitions->count;
}

bool kafka_partitions__add(struct kafka_partitions *partitions, int32_t partition, uint64_t now_ms)
{
	if (partition < 0 || !grow(partitions, partition + 1))
		return false;
	if (partitions->list[partition].waiting++)
		return false;
	partitions->list[partition].since_ms = now_ms;
	return true;
}

void kafka_partitions__remove(struct kafka_partitions *partitions, int32_t partition)
{
	if (known(partitions, partition) && partitions->list[partition].waiting)
		partitions->list[partition].waiting--;
}

void kafka_partitions__delivered(struct kafka_partitions *partitions, int32_t partition,
				 uint64_t now_ms)
{
	partitions->delivered_ms = now_ms;
	if (known(partitions, partition))
		partitions->list[partition].since_ms = now_ms;
}

size_t kafka_partitions__waiting(const struct kafka_partitions *partitions, int32_t partition)
{
	return known(partitions, partition) ? partitions->list[partition].waiting : 0;
}

void kafka_partitions__restart(struct kafka_partitions *partitions, uint64_t now_ms)
{
	for (int32_t i = 0; i < partitions->count; i++)
		partitions->list[i].since_ms = now_ms;
}

void kafka_partitions__outage(struct kafka_partitions *partitions, uint64_t now_ms)
{
	partitions->outage_ms = now_ms;
}

/* How long the partition has stood still; after an outage each gets its time to come back. */
static uint64_t still_ms(const struct kafka_partitions *partitions,
			 const struct kafka_partition *partition, uint64_t now_ms)
{
	uint64_t since_ms = partition->since_ms > partitions->outage_ms ? partition->since_ms :
									    partitions->outage_ms;

	return now_ms - since_ms;
}

int32_t kafka_partitions__stuck(struct kafka_partitions *partitions, uint64_t now_ms,
				bool (*excused)(const void *opaque, int32_t partition),
				const void *opaque)
{
	bool flowing = now_ms - partitions->delivered_ms < FLOWING_MS;
	int32_t stuck = KAFKA_PARTITION_ANY;
	unsigned int waiting = 0;
	unsigned int still = 0;

	for (int32_t i = 0; i < partitions->count; i++) {
		const struct kafka_partition *partition = &partitions->list[i];

		if (!partition->waiting || excused(opaque, i))
			continue;
		waiting++;
		still += now_ms - partition->since_ms >= FLOWING_MS;
		if (still_ms(partitions, partition, now_ms) >= STUCK_MS &&
		    partitions->delivered_ms > partition->since_ms)
			stuck = i;
	}
	if (!flowing && still > 1)
		kafka_partitions__outage(partitions, now_ms);
	/* The others may have nothing left to deliver, for the stuck one takes all the room. */
	return flowing || waiting == 1 ? stuck : KAFKA_PARTITION_ANY;
}
