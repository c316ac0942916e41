#include "kafka_stall.h"

#define STALL_MS 1000
/* Paused for so long, let it try, whatever it may have missed to say. */
#define PAUSE_MS 30000

void kafka_stall__init(struct kafka_stall *stall, rd_kafka_t *rk, rd_kafka_topic_t *topic,
		       uint64_t linger_ms)
{
	*stall = (struct kafka_stall){
		.rk = rk,
		.topic = topic,
		.stall_ms = STALL_MS + linger_ms,
	};
}

void kafka_stall__delivered(struct kafka_stall *stall, int partition)
{
	if (partition >= stall->partitions)
		stall->partitions = partition + 1;
	stall->flowing = true;
	stall->stirred = true;
}

void kafka_stall__error(struct kafka_stall *stall)
{
	stall->flowing = false;
	stall->stirred = true;
}

void kafka_stall__stir(struct kafka_stall *stall)
{
	stall->stirred = true;
}

static void set_paused(struct kafka_stall *stall, bool paused)
{
	rd_kafka_topic_partition_list_t *list =
		rd_kafka_topic_partition_list_new(stall->partitions);

	rd_kafka_topic_partition_list_add_range(list, rd_kafka_topic_name(stall->topic), 0,
						stall->partitions - 1);
	if (paused)
		rd_kafka_pause_partitions(stall->rk, list);
	else
		rd_kafka_resume_partitions(stall->rk, list);
	rd_kafka_topic_partition_list_destroy(list);
	stall->paused = paused;
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
