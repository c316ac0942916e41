/*
 * What comes into the window, and by which way: from the journals, or from the lanes of partitions
 * whose records were set aside. Owner: the Kafka sink; its thread alone.
 */
#ifndef LOGTAP_KAFKA_INTAKE_H
#define LOGTAP_KAFKA_INTAKE_H

#include <stdbool.h>
#include <stdint.h>

#include "kafka_aside.h"
#include "kafka_partitions.h"
#include "kafka_window.h"

struct kafka_client;
struct sink_context;

struct kafka_intake {
	struct journal **journals;
	unsigned int journals_count;
	struct kafka_record *held; /* one a journal: read, but its lane is full; .journal NULL: none */
	unsigned int turn;       /* the journal to be read first */
	uint64_t checked_ms;     /* when a partition that stands still was looked for last */
	struct kafka_window *window;
	struct kafka_partitions partitions;
	struct kafka_aside aside;
};

/* 0 or -errno. The context and the window must outlive it. */
int kafka_intake__init(struct kafka_intake *intake, const struct sink_context *context,
		       struct kafka_window *window);
/* Valid on all zero. */
void kafka_intake__close(struct kafka_intake *intake);

/* Reads a batch from each lane and each journal. False when they had nothing that can go on. */
bool kafka_intake__read(struct kafka_intake *intake, struct kafka_client *client, uint64_t now_ms);
/* The record is acknowledged and leaves the window. */
void kafka_intake__finish(struct kafka_intake *intake, struct kafka_record *record);
/* A record was delivered to its partition. */
void kafka_intake__delivered(struct kafka_intake *intake, int32_t partition, uint64_t now_ms);
/* Reports are missing of partitions that are not known to stand still. */
bool kafka_intake__expecting(const struct kafka_intake *intake, uint64_t in_flight);
/*
 * True when a lane was begun for a partition: a new client is needed, then park(). `outage`: no
 * broker is there. To be called at least every second.
 */
bool kafka_intake__begin_lane(struct kafka_intake *intake, const char *topic, bool outage,
			      uint64_t now_ms);
/* Without a client: what waits for partitions with lanes moves there. */
void kafka_intake__park(struct kafka_intake *intake);
/* Records that are not acknowledged, wherever they are. */
uint64_t kafka_intake__pending(const struct kafka_intake *intake);

#endif
