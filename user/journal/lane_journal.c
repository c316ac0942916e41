#include "lane_journal.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/config.h"
#include "base/log.h"
#include "journal.h"

/* So that half of a lane's bytes fit wherever a segment begins. */
#define LEAST_SEGMENTS 4
/* With a disk, two more are for what comes back from it. */
#define LOADED_SEGMENTS 2
/* Of a shard on disk, before lanes get any of it. */
#define SHARD_SEGMENTS 2
/* Of what is beyond that, all lanes together get this part. */
#define LANES_PART 4

static bool has_disk(const struct config *config)
{
	return config->journal.disk.directory && *config->journal.disk.directory;
}

static uint64_t least_size(const struct config *config)
{
	return (LEAST_SEGMENTS + (has_disk(config) ? LOADED_SEGMENTS : 0)) *
	       config->journal.segment_size;
}

/* Of one that is there already, too, where nothing more is set aside. */
static uint64_t size(const struct config *config)
{
	uint64_t least = least_size(config);

	return config->kafka.aside_size < least ? least : config->kafka.aside_size;
}

uint64_t lane_journal__memory(const struct config *config)
{
	return config->sink == SINK_KAFKA && config->kafka.aside_size ? size(config) : 0;
}

uint64_t lane_journal__at_once(const struct config *config)
{
	uint64_t loaded = has_disk(config) ? LOADED_SEGMENTS * config->journal.segment_size : 0;

	return (size(config) - loaded) / 2;
}

/* Also of one that is there already, where nothing more is set aside: at a clean stop it is saved. */
static uint64_t disk_size(const struct config *config)
{
	const struct journal_config *journal = &config->journal;
	uint64_t shards = SHARD_SEGMENTS * journal->segment_size * config->capture.shards;

	if (!has_disk(config) || journal->disk.max_size < shards)
		return 0;
	return (journal->disk.max_size - shards) / LANES_PART / KAFKA_LANES_MAX;
}

uint64_t lane_journal__disk(const struct config *config)
{
	return lane_journal__memory(config) ? disk_size(config) : 0;
}

static void make_path(const char *directory, int32_t partition, char path[PATH_MAX])
{
	snprintf(path, PATH_MAX, "%s/aside/%" PRId32, directory, partition);
}

int lane_journal__open(const struct lane_journal_options *lane, int32_t partition,
		       struct journal **out)
{
	const struct journal_config *config = &lane->config->journal;
	char disk[PATH_MAX];
	char path[PATH_MAX];
	const struct journal_options options = {
		.directory = path,
		.max_size = size(lane->config),
		.segment_size = config->segment_size,
		.data_fd = lane->data_fd,
		.space_fd = lane->data_fd,
		.disk = {
			.directory = has_disk(lane->config) ? disk : NULL,
			.max_size = disk_size(lane->config),
			.max_age_ms = config->disk.max_age_ms,
			.fsync = config->disk.fsync,
		},
		.orphan = lane->orphan,
		.counters = lane->counters,
	};

	make_path(config->directory, partition, path);
	if (options.disk.directory)
		make_path(config->disk.directory, partition, disk);
	return journal__open(&options, NULL, out);
}

static void remove_directory(const char *directory, int32_t partition)
{
	char path[PATH_MAX];

	make_path(directory, partition, path);
	if (rmdir(path) && errno != ENOENT)
		log_debug("%s cannot be removed: %s", path, strerror(errno));
}

void lane_journal__remove(const struct config *config, int32_t partition)
{
	remove_directory(config->journal.directory, partition);
	if (has_disk(config))
		remove_directory(config->journal.disk.directory, partition);
}

/* A lane's directory is its partition's number. */
static bool is_partition(const char *name, int32_t *out)
{
	char *end;
	long number = strtol(name, &end, 10);

	if (*end || end == name || number < 0 || number > INT32_MAX)
		return false;
	*out = number;
	return true;
}

static bool is_in(const int32_t *list, int count, int32_t number)
{
	while (count--)
		if (list[count] == number)
			return true;
	return false;
}

/* Adds those below `directory` to the list. */
static int find_below(const char *directory, int32_t *list, int *count)
{
	char path[PATH_MAX];
	struct dirent *entry;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/aside", directory);
	dir = opendir(path);
	if (!dir && errno != ENOENT) {
		int err = -errno;

		log_error("what was set aside in %s cannot be taken up: %s", path, strerror(-err));
		return err;
	}
	while (dir && (entry = readdir(dir))) {
		int32_t partition;

		if (!is_partition(entry->d_name, &partition) || is_in(list, *count, partition))
			continue;
		if (*count < KAFKA_LANES_MAX)
			list[(*count)++] = partition;
		else
			log_warn("%s/%" PRId32 ": more partitions' records are set aside than are taken up "
				 "at once: they come out at a later start",
				 path, partition);
	}
	if (dir)
		closedir(dir);
	return 0;
}

int lane_journal__find(const struct config *config, int32_t out[KAFKA_LANES_MAX])
{
	int count = 0;
	int err = config->journal.directory ? find_below(config->journal.directory, out, &count) : 0;

	/* Its disk may be out of order: the journal does without. */
	if (!err && has_disk(config))
		find_below(config->journal.disk.directory, out, &count);
	return err ? err : count;
}
