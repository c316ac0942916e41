/*
 * Holds librdkafka back while a connected broker does not answer. Up to the present version, the
 * idempotent producer's broker thread polls without rest as long as a request is under way and
 * other messages have lingered: for the length of an outage that is one whole processor. It rests
 * while the partitions are paused, so they are, until something happens. Owner: the Kafka client;
 * its thread alone.
 */
#ifndef LOGTAP_KAFKA_STALL_H
#define LOGTAP_KAFKA_STALL_H

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stdint.h>

struct kafka_stall {
	rd_kafka_t *rk;
	rd_kafka_topic_t *topic;
	int partitions;          /* up to the highest that was delivered to */
	uint64_t stall_ms;       /* without a report: the broker does not answer */
	uint64_t since_ms;       /* of the last change, as far as check() has seen */
	bool flowing;            /* delivered, and no error since: the brokers are connected */
	bool stirred;            /* a report or an error came since the last check */
	bool paused;
};

/* The topic must outlive it. `linger_ms`: what the producer itself may wait before it sends. */
void kafka_stall__init(struct kafka_stall *stall, rd_kafka_t *rk, rd_kafka_topic_t *topic,
		       uint64_t linger_ms);
void kafka_stall__delivered(struct kafka_stall *stall, int partition);
void kafka_stall__error(struct kafka_stall *stall);
/* Something new is to be sent that the silence so far says nothing of. */
void kafka_stall__stir(struct kafka_stall *stall);
/* To be called at least every second. `waiting`: messages are not reported yet. */
void kafka_stall__check(struct kafka_stall *stall, bool waiting, uint64_t now_ms);

#endif
