/*
 * The journal of one lane, where records of a Kafka partition that takes none are set aside: where
 * its files lie, and how large they become. Names are by partition: aside/N below journal.directory
 * and below journal.disk.directory. Whoever delivers may open it: the Kafka sink as a lane, any
 * other sink's pipeline to read what is left in it. Any thread.
 */
#ifndef LOGTAP_LANE_JOURNAL_H
#define LOGTAP_LANE_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>

#define KAFKA_LANES_MAX 8

struct config;
struct counters;
struct journal;

struct lane_journal_options {
	const struct config *config;
	int data_fd;             /* written when there is something to read, or room: eventfd, not owned */
	bool orphan;             /* only what is found is read: nothing will be appended */
	struct counters *counters;
};

/* 0 or -errno, as journal__open. */
int lane_journal__open(const struct lane_journal_options *options, int32_t partition,
		       struct journal **out);
/* After its close: removes its directories, if nothing is left in them. */
void lane_journal__remove(const struct config *config, int32_t partition);
/*
 * The partitions that have files of an earlier process: how many are in `out`, KAFKA_LANES_MAX at
 * most; that there are more is told. -errno, told, when a directory cannot be read.
 */
int lane_journal__find(const struct config *config, int32_t out[KAFKA_LANES_MAX]);

/* Bytes of memory that a lane takes at most; 0: nothing is set aside. */
uint64_t lane_journal__memory(const struct config *config);
/* Bytes of records that fit in a new one at once, before anything of it can go to disk. */
uint64_t lane_journal__at_once(const struct config *config);
/* Bytes of journal.disk.max_size that a lane may take; the shards have the rest. */
uint64_t lane_journal__disk(const struct config *config);

#endif
