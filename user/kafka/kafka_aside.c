#include "kafka_aside.h"

#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/config.h"
#include "base/log.h"
#include "kafka_window.h"
#include "sink/sink.h"

static int open_lane(struct kafka_aside *aside, struct kafka_lane *lane, int32_t partition)
{
	/* Its disk's thread wakes the sink, which is both sides. */
	const struct lane_journal_options options = {
		.config = aside->config,
		.data_fd = aside->data_fd,
		.counters = aside->counters,
	};
	int err = lane_journal__open(&options, partition, &lane->journal);

	if (!err)
		lane->partition = partition;
	return err;
}

static struct kafka_lane *find(struct kafka_aside *aside, int32_t partition)
{
	for (int i = 0; i < KAFKA_LANES_MAX; i++)
		if (aside->lanes[i].state && aside->lanes[i].partition == partition)
			return &aside->lanes[i];
	return NULL;
}

static struct kafka_lane *find_unused(struct kafka_aside *aside)
{
	for (int i = 0; i < KAFKA_LANES_MAX; i++)
		if (!aside->lanes[i].state)
			return &aside->lanes[i];
	return NULL;
}

static int take_up(struct kafka_aside *aside, struct kafka_lane *lane, int32_t partition)
{
	int err = open_lane(aside, lane, partition);

	if (err) {
		log_error("what was set aside for partition %" PRId32 " cannot be taken up: %s", partition,
			  strerror(-err));
		return err;
	}
	/* The process before ended between its last record and its removal: there is nothing to probe with. */
	lane->state = journal__pending(lane->journal) ? KAFKA_LANE_PROBING : KAFKA_LANE_LEFT;
	return 0;
}

int kafka_aside__init(struct kafka_aside *aside, const struct sink_context *context)
{
	int32_t partitions[KAFKA_LANES_MAX];
	int count;
	int err = 0;

	aside->config = context->config;
	aside->data_fd = context->data_fd;
	aside->counters = context->counters;
	count = lane_journal__find(context->config, partitions);
	for (int i = 0; !err && i < count; i++)
		err = take_up(aside, &aside->lanes[i], partitions[i]);
	return count < 0 ? count : err;
}

void kafka_aside__save(struct kafka_aside *aside, unsigned int deadline_ms)
{
	uint64_t end = clock__ms() + deadline_ms;

	for (int i = 0; i < KAFKA_LANES_MAX; i++) {
		uint64_t now = clock__ms();

		if (aside->lanes[i].journal)
			journal__save(aside->lanes[i].journal, now < end ? end - now : 0);
	}
}

void kafka_aside__leave(struct kafka_aside *aside)
{
	for (int i = 0; i < KAFKA_LANES_MAX; i++)
		journal__shut(aside->lanes[i].journal);
}

void kafka_aside__close(struct kafka_aside *aside)
{
	for (int i = 0; i < KAFKA_LANES_MAX; i++)
		journal__close(aside->lanes[i].journal);
}

struct kafka_lane *kafka_aside__lane(struct kafka_aside *aside, int32_t partition)
{
	struct kafka_lane *lane = find(aside, partition);

	return lane && lane->state != KAFKA_LANE_LEFT && lane->state != KAFKA_LANE_BEGUN ? lane : NULL;
}

static void tell_failure(struct kafka_aside *aside, int32_t partition, const char *why)
{
	if (!aside->failure_told)
		log_warn("partition %" PRId32 " takes no records, and they cannot be set aside (%s): "
			 "others wait with it",
			 partition, why);
	aside->failure_told = true;
}

struct kafka_lane *kafka_aside__begin(struct kafka_aside *aside, int32_t partition, uint64_t bytes)
{
	struct kafka_lane *lane = find(aside, partition);
	int err;

	if (!aside->config->journal.directory || !aside->config->kafka.aside_size)
		return NULL;
	if (bytes > lane_journal__at_once(aside->config)) {
		tell_failure(aside, partition, "kafka.aside_size is too small");
		return NULL;
	}
	if (lane) {
		lane->state = KAFKA_LANE_BEGUN;
		return lane;
	}
	lane = find_unused(aside);
	err = lane ? open_lane(aside, lane, partition) : 0;
	if (lane && !err) {
		lane->state = KAFKA_LANE_BEGUN;
		return lane;
	}
	tell_failure(aside, partition, err ? strerror(-err) : "too many partitions are");
	return NULL;
}

void kafka_aside__tidy(struct kafka_aside *aside)
{
	for (int i = 0; i < KAFKA_LANES_MAX; i++) {
		struct kafka_lane *lane = &aside->lanes[i];

		if (lane->state != KAFKA_LANE_LEFT || journal__pending(lane->journal))
			continue;
		journal__close(lane->journal);
		lane_journal__remove(aside->config, lane->partition);
		*lane = (struct kafka_lane){ .state = KAFKA_LANE_UNUSED };
		aside->full_told = false;
	}
}

uint64_t kafka_aside__pending(const struct kafka_aside *aside)
{
	uint64_t pending = 0;

	for (int i = 0; i < KAFKA_LANES_MAX; i++)
		if (aside->lanes[i].journal)
			pending += journal__pending(aside->lanes[i].journal);
	return pending;
}

bool kafka_aside__put(struct kafka_aside *aside, struct kafka_lane *lane,
		      const struct kafka_record *record)
{
	struct journal_meta meta = record->record.meta;
	/* A record that was cut is put as it was: it is cut again. A gap's own text is all it has. */
	bool gap = record->own && meta.flags & JOURNAL_GAP;
	char *place;

	if (gap)
		meta.value_len = record->own_len;
	place = journal__reserve(lane->journal, meta.key_len + meta.value_len);
	if (!place) {
		/* Its disk may be about to make room. */
		if (!journal__full(lane->journal))
			return false;
		if (!aside->full_told)
			log_warn("partition %" PRId32 " still takes no records, and what is set aside for it "
				 "has reached its bound (kafka.aside_size, journal.disk): others wait with it now",
				 lane->partition);
		aside->full_told = true;
		return false;
	}
	memcpy(place, record->record.key, meta.key_len);
	memcpy(place + meta.key_len, gap ? record->own : record->record.value, meta.value_len);
	journal__append(lane->journal, &meta);
	journal__publish(lane->journal);
	return true;
}
