#include "config_memory.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/config.h"
#include "journal/lane_journal.h"
#include "kafka/kafka_conf.h"
#include "kubernetes/pods.h"
#include "record.h"
#include "stream/checkpoint_file.h"
#include "stream/waiting.h"

#define KIB (1ULL << 10)
#define MIB (1ULL << 20)

/* JSON turns one byte into at most six: \u0000. */
#define ESCAPE_FACTOR 6
/* Everything in a record beside the message and labels: paths and names, the longest of which need every byte escaped. */
#define RECORD_OVERHEAD (64 * KIB)

/* Of the kernel's hash maps for one stream: its own element, and those of the cgroups. */
#define HASHED_STREAM 1024
/* Of librdkafka for a queued message, whose bytes stay in the journal. */
#define QUEUED_MESSAGE 512
/* Batches that are compressed and on their way. */
#define SINK_BUFFERS (16 * MIB)

uint64_t config__max_record(const struct config *config)
{
	return config->lines.max_line * ESCAPE_FACTOR + RECORD_OVERHEAD + config->record.labels_max;
}

static uint64_t queued_messages(const struct config *config)
{
	const struct kafka_limits no_limits = { 0 };
	rd_kafka_conf_t *conf;
	char value[32] = "0";
	size_t size = sizeof(value);
	char why[256];

	if (kafka_conf__new(config, &no_limits, &conf, why, sizeof(why)))
		return 0;
	rd_kafka_conf_get(conf, "queue.buffering.max.messages", value, &size);
	rd_kafka_conf_destroy(conf);
	return strtoull(value, NULL, 10);
}

/*
 * Each shard has an entry for every slot that was ever its own, and over time that may be all of them; a text has only the
 * stream that lives. Each heap grows by steps.
 */
static uint64_t checkpoints(const struct config *config)
{
	const struct capture_config *capture = &config->capture;
	uint64_t shard = checkpoint_file__heap_offset(capture->max_streams) + HEAP_STEP;

	return capture->shards * shard + capture->max_streams * (CHECKPOINT_TEXT + config->record.labels_max);
}

void config__memory(const struct config *config, struct config_memory *out)
{
	const struct capture_config *capture = &config->capture;
	/* A ring's two positions and its header have pages of their own. */
	uint64_t ring = capture->ring_size + 3 * sysconf(_SC_PAGESIZE);
	struct config_memory memory = {
		.rings = ring * capture->shards,
		.maps = capture->max_streams * (sizeof(struct stream_slot) + HASHED_STREAM) +
			FILTER_SIZE * sizeof(__u32),
		.journal = config->journal.max_size,
		.checkpoint = checkpoints(config),
		.lines = config->lines.memory + config->lines.memory / WAITING_SHARE,
		.sink = MIB,
		.pods = config->kubernetes.source == KUBERNETES_NONE ? 0 : PODS_BYTES_MAX,
	};

	memory.journal += KAFKA_LANES_MAX * lane_journal__memory(config);
	/* Each shard has one segment on its way at a time, and each lane. */
	if (*config->journal.disk.directory) {
		memory.spill = config->journal.segment_size * capture->shards;
		if (lane_journal__memory(config))
			memory.spill += config->journal.segment_size * KAFKA_LANES_MAX;
		memory.disk = config->journal.disk.max_size;
	}
	if (config->sink == SINK_KAFKA)
		memory.sink = SINK_BUFFERS + queued_messages(config) * QUEUED_MESSAGE;
	memory.total = memory.rings + memory.maps + memory.journal + memory.spill + memory.checkpoint +
		       memory.lines + memory.sink + memory.pods;
	*out = memory;
}
