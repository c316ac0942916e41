#include "pipeline.h"

#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/config.h"
#include "base/log.h"
#include "capture/capture.h"
#include "journal/journal.h"
#include "journal/lane_journal.h"
#include "lines/line_id.h"
#include "record.h"
#include "record/record_facts.h"
#include "sink/sink.h"
#include "sink/sink_left.h"
#include "stream/checkpoint.h"
#include "stream/shard.h"
#include "stream/waiting.h"

/* What a stop grants each; asking a broker that does not answer may keep the sink for 3 s more. */
#define SHARDS_MS 5000
#define SINK_MS 12000
#define SAVE_MS 7000
#define FREE_MS 1000
#define ASKING_MS 3000

#define PAUSE_MS 2000

_Static_assert(SHARDS_MS + SINK_MS + ASKING_MS + SAVE_MS + FREE_MS <= PIPELINE_STOP_MS, "as promised");

struct pipeline {
	struct pipeline_options options;
	struct record_facts facts;
	unsigned int shards_count;
	int data_fd;
	int space_fds[SHARDS_MAX];
	char id_prefixes[SHARDS_MAX][LINE_ID_PREFIX_SIZE];
	struct checkpoint *checkpoints[SHARDS_MAX];
	/* Of the shards, then those of shards that were, and what a Kafka sink had set aside. */
	struct journal *journals[SHARDS_MAX + KAFKA_LANES_MAX];
	unsigned int journals_count;
	struct sink *sink;
	struct shard *shards[SHARDS_MAX];
};

static void close_checkpoint(struct pipeline *pipeline, unsigned int index)
{
	checkpoint__free(pipeline->checkpoints[index]);
	pipeline->checkpoints[index] = NULL;
}

static int open_checkpoint(struct pipeline *pipeline, unsigned int index, const char *directory)
{
	char *id_prefix = pipeline->id_prefixes[index];
	struct capture *capture = pipeline->options.capture;
	uint32_t streams = capture__max_streams(capture);
	uint64_t lines = pipeline->options.config->lines.memory / pipeline->shards_count;
	struct checkpoint_options options = {
		.directory = directory,
		.streams = streams,
		.heap_limit = lines + lines / WAITING_SHARE +
			      streams * (CHECKPOINT_TEXT + pipeline->options.config->record.labels_max),
		.epoch = capture__epoch(capture),
		.id_prefix = id_prefix,
	};
	int err;

	line_id__prefix(id_prefix, pipeline->options.config->node, index, options.epoch);
	err = checkpoint__open(&options, &pipeline->checkpoints[index]);
	/* A record that is made again has the id that it had, also when the node has got another name. */
	if (!err && checkpoint__same_epoch(pipeline->checkpoints[index]))
		strcpy(id_prefix, checkpoint__id_prefix(pipeline->checkpoints[index]));
	if (err == -EWOULDBLOCK)
		log_error("%s/checkpoint is in use: is another logtap running? Give each its own journal.directory",
			  directory);
	else if (err)
		log_error("%s/checkpoint cannot be opened: %s", directory, strerror(-err));
	return err;
}

/* Of all shards. */
static uint64_t disk_size(const struct config *config)
{
	return config->journal.disk.max_size - KAFKA_LANES_MAX * lane_journal__disk(config);
}

/*
 * Each shard's part of journal.max_size. Of shards that the configuration has no more there may be rings yet: then two segments
 * and those that come back from disk, as the configuration must have for each of its own.
 */
static uint64_t memory_size(const struct pipeline *pipeline)
{
	const struct journal_config *config = &pipeline->options.config->journal;
	uint64_t least = (*config->disk.directory ? 4 : 2) * config->segment_size;
	uint64_t part = config->max_size / pipeline->shards_count;

	return part > least ? part : least;
}

/*
 * As far as the checkpoint says that it is written. Without a checkpoint there is no shard, and what is found is read.
 */
static int open_journal(struct pipeline *pipeline, unsigned int index, const char *directory)
{
	const struct journal_config *config = &pipeline->options.config->journal;
	struct checkpoint *checkpoint = pipeline->checkpoints[index];
	struct checkpoint_position position = { 0 };
	struct journal_mark end;
	char disk[4096];
	struct journal_options options = {
		.directory = directory,
		.max_size = memory_size(pipeline),
		.segment_size = config->segment_size,
		.data_fd = pipeline->data_fd,
		.space_fd = pipeline->space_fds[index],
		.when_full = config->when_full,
		.replay = config->replay,
		.disk = {
			.directory = *config->disk.directory ? disk : NULL,
			.max_size = disk_size(pipeline->options.config) / pipeline->shards_count,
			.max_age_ms = config->disk.max_age_ms,
			.fsync = config->disk.fsync,
		},
		.epoch = capture__epoch(pipeline->options.capture),
		.orphan = !checkpoint,
		.counters = pipeline->options.counters,
	};
	bool known = checkpoint && checkpoint__position(checkpoint, &position);
	int err;

	snprintf(disk, sizeof(disk), "%s/shard-%u", config->disk.directory, index);
	if (options.orphan && access(directory, F_OK) &&
	    (!options.disk.directory || access(disk, F_OK)))
		return 0;
	end = (struct journal_mark){ position.journal_number, position.journal_offset };
	err = journal__open(&options, known ? &end : NULL,
			    &pipeline->journals[pipeline->journals_count]);
	if (err)
		log_error("the journal in %s cannot be opened: %s", directory, strerror(-err));
	else
		pipeline->journals_count++;
	return err;
}

static struct shard_options shard_options(const struct pipeline *pipeline, unsigned int index, struct journal *journal)
{
	return (struct shard_options){
		.config = pipeline->options.config,
		.capture = pipeline->options.capture,
		.counters = pipeline->options.counters,
		.journal = journal,
		.pods = pipeline->options.pods,
		.checkpoint = pipeline->checkpoints[index],
		.space_fd = pipeline->space_fds[index],
		.index = index,
		.facts = &pipeline->facts,
		.root = pipeline->options.root,
		.id_prefix = pipeline->id_prefixes[index],
	};
}

/* The half lines in the checkpoint go behind what is in the journal. */
static int wind_up(struct pipeline *pipeline, unsigned int index)
{
	unsigned int number = --pipeline->journals_count;
	struct shard_options options = shard_options(pipeline, index, pipeline->journals[number]);
	int err = shard__wind_up(&options);

	journal__close(pipeline->journals[number]);
	pipeline->journals[number] = NULL;
	if (err && err != -EAGAIN)
		return err;
	if (err) {
		log_warn("the journal of shard %u, which is no more, is full: its half lines come out at another start", index);
		return 0;
	}
	checkpoint__remove(pipeline->checkpoints[index]);
	pipeline->checkpoints[index] = NULL;
	return 0;
}

/* Of a shard that was: a run that had more of them may have left records and half lines, which are delivered, too. */
static int open_orphan(struct pipeline *pipeline, unsigned int index, const char *directory)
{
	char path[4096 + 16];
	int err;

	snprintf(path, sizeof(path), "%s/checkpoint", directory);
	if (!access(path, F_OK)) {
		err = open_checkpoint(pipeline, index, directory);
		err = err ? err : open_journal(pipeline, index, directory);
		err = err ? err : wind_up(pipeline, index);
		if (err)
			log_error("%s: what shard %u has left cannot be delivered: %s", directory, index, strerror(-err));
		if (err)
			return err;
	}
	close_checkpoint(pipeline, index);
	return open_journal(pipeline, index, directory);
}

/* What a shard leaves for the next agent. */
static int open_files(struct pipeline *pipeline, unsigned int index)
{
	char directory[4096];
	int err;

	snprintf(directory, sizeof(directory), "%s/shard-%u", pipeline->options.config->journal.directory, index);
	if (index >= pipeline->shards_count)
		return open_orphan(pipeline, index, directory);
	pipeline->space_fds[index] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	err = pipeline->space_fds[index] < 0 ? -errno : 0;
	err = err ? err : open_checkpoint(pipeline, index, directory);
	return err ? err : open_journal(pipeline, index, directory);
}

/* A Kafka sink takes up itself what it finds; any other delivers it as what shards have left. */
static int open_lanes(struct pipeline *pipeline)
{
	const struct lane_journal_options options = {
		.config = pipeline->options.config,
		.data_fd = pipeline->data_fd,
		.orphan = true,
		.counters = pipeline->options.counters,
	};
	int32_t partitions[KAFKA_LANES_MAX];
	int count;
	int err = 0;

	if (options.config->sink == SINK_KAFKA)
		return 0;
	count = lane_journal__find(options.config, partitions);
	for (int i = 0; !err && i < count; i++) {
		err = lane_journal__open(&options, partitions[i],
					 &pipeline->journals[pipeline->journals_count]);
		if (err)
			log_error("what was set aside for partition %" PRId32 " cannot be delivered: %s",
				  partitions[i], strerror(-err));
		else
			pipeline->journals_count++;
	}
	return count < 0 ? count : err;
}

static int open_all_files(struct pipeline *pipeline)
{
	int err = 0;

	pipeline->data_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (pipeline->data_fd < 0)
		return -errno;
	for (unsigned int i = 0; !err && i < SHARDS_MAX; i++)
		err = open_files(pipeline, i);
	return err ? err : open_lanes(pipeline);
}

static int start_sink(struct pipeline *pipeline)
{
	struct sink_context context = {
		.config = pipeline->options.config,
		.journals = pipeline->journals,
		.journals_count = pipeline->journals_count,
		.data_fd = pipeline->data_fd,
		.counters = pipeline->options.counters,
		.output = pipeline->options.output,
	};

	return sink__start(&context, &pipeline->sink);
}

static int start_shard(struct pipeline *pipeline, unsigned int index)
{
	struct shard_options options = shard_options(pipeline, index, pipeline->journals[index]);
	int err = shard__start(&options, &pipeline->shards[index]);

	if (err)
		log_error("shard %u cannot start: %s", index, strerror(-err));
	return err;
}

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

/* What has been started, however far that went. */
static void pipeline__free(void *argument)
{
	struct pipeline *pipeline = argument;

	for (int i = 0; i < SHARDS_MAX; i++) {
		checkpoint__free(pipeline->checkpoints[i]);
		close_fd(pipeline->space_fds[i]);
	}
	for (unsigned int i = 0; i < pipeline->journals_count; i++)
		journal__close(pipeline->journals[i]);
	close_fd(pipeline->data_fd);
	free(pipeline);
}

int pipeline__start(const struct pipeline_options *options, struct pipeline **out)
{
	struct pipeline *pipeline = calloc(1, sizeof(*pipeline));
	int err;

	if (!pipeline)
		return -ENOMEM;
	pipeline->options = *options;
	record_facts__read(options->config, options->root, &pipeline->facts);
	pipeline->shards_count = capture__shards(options->capture);
	pipeline->data_fd = -1;
	memset(pipeline->space_fds, -1, sizeof(pipeline->space_fds));
	err = open_all_files(pipeline);
	err = err ? err : start_sink(pipeline);
	for (unsigned int i = 0; !err && i < pipeline->shards_count; i++)
		err = start_shard(pipeline, i);
	if (err) {
		pipeline__stop(pipeline, PIPELINE_PAUSE);
		return err;
	}
	*out = pipeline;
	return 0;
}

bool pipeline__failed(const struct pipeline *pipeline)
{
	for (unsigned int i = 0; i < pipeline->shards_count; i++)
		if (shard__failed(pipeline->shards[i]))
			return true;
	return sink__failed(pipeline->sink);
}

static void stop_shards(struct pipeline *pipeline, enum pipeline_end how, unsigned int deadline_ms)
{
	struct timespec deadline;

	clock_gettime(CLOCK_MONOTONIC, &deadline);
	deadline.tv_sec += deadline_ms / 1000;
	for (int i = 0; i < SHARDS_MAX; i++)
		if (pipeline->shards[i])
			shard__finish(pipeline->shards[i], how == PIPELINE_FLUSH, how == PIPELINE_PAUSE);
	for (int i = 0; i < SHARDS_MAX; i++)
		if (pipeline->shards[i])
			shard__stop(pipeline->shards[i], &deadline);
}

static unsigned int left_ms(uint64_t end)
{
	uint64_t now = clock__ms();

	return now < end ? end - now : 0;
}

/* What the sink did not take goes to disk, all within one time. */
static void save_journals(struct pipeline *pipeline)
{
	uint64_t end = clock__ms() + SAVE_MS;

	for (unsigned int i = 0; i < pipeline->journals_count; i++)
		journal__save(pipeline->journals[i], left_ms(end));
	if (pipeline->sink)
		sink__save(pipeline->sink, left_ms(end));
}

bool pipeline__may_pause(void)
{
	/* Its own sink, and that of a configuration which then cannot start. */
	return sink_left__count() + 2 <= SINKS_LEFT_MAX;
}

/* Who follows opens the files; the sink's client goes when the name server has answered, or the resolver has given up. */
static void leave(struct pipeline *pipeline)
{
	sink__leave(pipeline->sink);
	for (unsigned int i = 0; i < SHARDS_MAX; i++)
		close_checkpoint(pipeline, i);
	for (unsigned int i = 0; i < pipeline->journals_count; i++)
		journal__shut(pipeline->journals[i]);
	log_warn("the client of the sink before does not end yet (is a name server silent?): it is left to itself");
	if (!sink_left__free(pipeline->sink, pipeline__free, pipeline))
		return;
	sink__free(pipeline->sink, -1);
	pipeline__free(pipeline);
}

int pipeline__stop(struct pipeline *pipeline, enum pipeline_end how)
{
	bool takes = pipeline && pipeline->sink && !sink__failed(pipeline->sink);
	uint64_t end;
	int err = 0;

	if (!pipeline)
		return 0;
	stop_shards(pipeline, how, takes ? SHARDS_MS : 0);
	if (pipeline->sink)
		err = sink__end(pipeline->sink, how == PIPELINE_PAUSE ? PAUSE_MS : SINK_MS);
	if (how != PIPELINE_PAUSE)
		save_journals(pipeline);
	end = clock__ms() + FREE_MS;
	if (sink__free(pipeline->sink, FREE_MS))
		pipeline__free(pipeline);
	else if (how == PIPELINE_PAUSE)
		leave(pipeline);
	else
		log_warn("the sink's client does not end (is a name server silent?): logtap ends without that");
	if (how != PIPELINE_PAUSE)
		sink_left__join(left_ms(end));
	return err;
}
