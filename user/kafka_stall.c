#include "kafka_stall.h"

#define STALL_MS 2000
/* Paused for so long, let it try, whatever it may have missed to say. */
#define PAUSE_MS 30000
#define PARTITIONS_AT_ONCE 64

void kafka_stall__init(struct kafka_stall *stall, rd_kafka_t *rk, rd_kafka_topic_t *topic,
		       uint64_t linger_ms)
{
	*stall = (struct kafka_stall){
		.rk = rk,
		.topic = topic,
		.stall_ms = STALL_MS + linger_ms,
	};
}

void kafka_stall__delivered(struct kafka_stall *stall)
{
	stall->flowing = true;
	stall->stirred = true;
}

void kafka_stall__error(struct kafka_stall *stall)
{
	stall->flowing = false;
	stall->stirred = true;
}

/* Pauses or resumes `count` partitions from `first` on. False when some of them are not known. */
static bool set_some(const struct kafka_stall *stall, bool paused, int first, int count)
{
	rd_kafka_topic_partition_list_t *partitions = rd_kafka_topic_partition_list_new(count);
	bool known;

	rd_kafka_topic_partition_list_add_range(partitions, rd_kafka_topic_name(stall->topic), first,
						first + count - 1);
	if (paused)
		rd_kafka_pause_partitions(stall->rk, partitions);
	else
		rd_kafka_resume_partitions(stall->rk, partitions);
	known = !partitions->elems[count - 1].err;
	rd_kafka_topic_partition_list_destroy(partitions);
	return known;
}

static void set_paused(struct kafka_stall *stall, bool paused)
{
	stall->paused = paused;
	for (int first = 0; set_some(stall, paused, first, PARTITIONS_AT_ONCE);)
		first += PARTITIONS_AT_ONCE;
}

void kafka_stall__check(struct kafka_stall *stall, bool waiting, uint64_t now_ms)
{
	uint64_t quiet_ms = now_ms - stall->since_ms;

	if (stall->stirred || !waiting) {
		stall->stirred = false;
		stall->since_ms = now_ms;
		if (stall->paused)
			set_paused(stall, false);
	} else if (stall->paused ? quiet_ms >= PAUSE_MS :
				   stall->flowing && quiet_ms >= stall->stall_ms) {
		stall->since_ms = now_ms;
		set_paused(stall, !stall->paused);
	}
}
