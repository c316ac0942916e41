/*
 * Records set aside for partitions that take none while others do, so that these flow on: each such
 * partition has a lane, a journal of its own below journal.directory, which outlives the process
 * like any other. A lane is left when it is empty, so a key's order holds. Owner: the Kafka sink;
 * its thread alone, which is both appender and follower.
 */
#ifndef LOGTAP_KAFKA_ASIDE_H
#define LOGTAP_KAFKA_ASIDE_H

#include <stdbool.h>
#include <stdint.h>

#include "journal/journal.h"
#include "journal/lane_journal.h"

struct config;
struct counters;
struct kafka_record;
struct sink_context;

enum kafka_lane_state {
	KAFKA_LANE_UNUSED,
	KAFKA_LANE_BEGUN,        /* what waits in the window goes there first, once there is no client */
	KAFKA_LANE_PROBING,      /* a few of its records are sent, to see whether it takes them */
	KAFKA_LANE_DRAINING,     /* it does: all that is in the lane goes, before anything newer */
	KAFKA_LANE_LEFT,         /* all of it is on its way; newer records go directly */
};

struct kafka_lane {
	enum kafka_lane_state state;
	int32_t partition;
	struct journal *journal;
};

struct kafka_aside {
	const struct config *config;
	struct counters *counters;
	int data_fd;             /* see struct sink_context */
	struct kafka_lane lanes[KAFKA_LANES_MAX];
	bool full_told;
	bool failure_told;
};

/* Takes up the lanes that are there from before. 0 or -errno, told. */
int kafka_aside__init(struct kafka_aside *aside, const struct sink_context *context);
/* Before the close: to disk, as by journal__save, all within deadline_ms. */
void kafka_aside__save(struct kafka_aside *aside, unsigned int deadline_ms);
/* Before the close: another one may take the lanes up from here on, as after journal__shut. */
void kafka_aside__leave(struct kafka_aside *aside);
/* What is not acknowledged stays in its files. Valid on all zero. */
void kafka_aside__close(struct kafka_aside *aside);

/* The partition's lane that newer records must go to, or NULL. */
struct kafka_lane *kafka_aside__lane(struct kafka_aside *aside, int32_t partition);
/*
 * Begins one, or takes up the one that was left, with room for `bytes` of what waits; NULL when
 * there can be none.
 */
struct kafka_lane *kafka_aside__begin(struct kafka_aside *aside, int32_t partition, uint64_t bytes);
/* Removes the lanes that are left and wholly acknowledged. */
void kafka_aside__tidy(struct kafka_aside *aside);
/* Records in all lanes. */
uint64_t kafka_aside__pending(const struct kafka_aside *aside);

/* False when the lane is full, which is told unless its disk is about to make room. */
bool kafka_aside__put(struct kafka_aside *aside, struct kafka_lane *lane,
		      const struct kafka_record *record);
#endif
