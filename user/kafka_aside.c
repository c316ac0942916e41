#include "kafka_aside.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config.h"
#include "kafka_window.h"
#include "log.h"

/* So that half of a lane's bytes fit wherever a segment begins. */
#define LEAST_SEGMENTS 4

static void lane_path(const struct kafka_aside *aside, int32_t partition, char path[PATH_MAX])
{
	snprintf(path, PATH_MAX, "%s/aside/%" PRId32, aside->config->journal.directory, partition);
}

uint64_t kafka_aside__room(const struct config *config)
{
	uint64_t least = LEAST_SEGMENTS * config->journal.segment_size;

	return config->kafka.aside_size < least ? least : config->kafka.aside_size;
}

static int open_lane(struct kafka_aside *aside, struct kafka_lane *lane, int32_t partition)
{
	char path[PATH_MAX];
	const struct journal_options options = {
		.directory = path,
		.max_size = kafka_aside__room(aside->config),
		.segment_size = aside->config->journal.segment_size,
		/* Nobody sleeps on either: both sides are one thread, which knows. */
		.data_fd = -1,
		.space_fd = -1,
	};
	int err;

	lane_path(aside, partition, path);
	err = journal__open(&options, NULL, &lane->journal);
	if (err)
		return err;
	lane->partition = partition;
	return 0;
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

/* A lane's directory is its partition's number. */
static int take_up(struct kafka_aside *aside, const char *name)
{
	struct kafka_lane *lane = find_unused(aside);
	char *end;
	long partition = strtol(name, &end, 10);
	int err;

	if (*end || partition < 0 || partition > INT32_MAX || end == name)
		return 0;
	err = lane ? open_lane(aside, lane, partition) : -ENFILE;
	if (err)
		return err;
	/* The process before ended between its last record and its removal: there is nothing to probe with. */
	lane->state = journal__pending(lane->journal) ? KAFKA_LANE_PROBING : KAFKA_LANE_LEFT;
	return 0;
}

int kafka_aside__init(struct kafka_aside *aside, const struct config *config)
{
	char path[PATH_MAX];
	struct dirent *entry;
	DIR *dir;
	int err = 0;

	aside->config = config;
	if (!config->journal.directory)
		return 0;
	snprintf(path, sizeof(path), "%s/aside", config->journal.directory);
	dir = opendir(path);
	if (!dir)
		return errno == ENOENT ? 0 : -errno;
	while (!err && (entry = readdir(dir)))
		err = take_up(aside, entry->d_name);
	closedir(dir);
	if (err)
		log_error("what was set aside in %s cannot be taken up: %s", path, strerror(-err));
	return err;
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
	if (bytes > kafka_aside__room(aside->config) / 2) {
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
	char path[PATH_MAX];

	for (int i = 0; i < KAFKA_LANES_MAX; i++) {
		struct kafka_lane *lane = &aside->lanes[i];

		if (lane->state != KAFKA_LANE_LEFT || journal__pending(lane->journal))
			continue;
		journal__close(lane->journal);
		lane_path(aside, lane->partition, path);
		if (rmdir(path))
			log_debug("%s cannot be removed: %s", path, strerror(errno));
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
		if (!aside->full_told)
			log_warn("partition %" PRId32 " still takes no records, and what is set aside for it "
				 "has reached its bound (kafka.aside_size): others wait with it now",
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
