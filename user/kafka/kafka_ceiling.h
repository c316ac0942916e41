/*
 * The size limit in force, above which records are cut: what the brokers say, or half of what was
 * refused. It rises again: the brokers are asked every minute, and where they do not say what was
 * refused, longer ones are tried after ten. Sizes are bytes of an encoded record, times those of
 * clock__ms. Owner: the Kafka sink; its thread alone.
 */
#ifndef LOGTAP_KAFKA_CEILING_H
#define LOGTAP_KAFKA_CEILING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Halved no further. */
#define KAFKA_CEILING_LEAST 1000

struct kafka_client;

struct kafka_ceiling {
	size_t most;             /* what the client takes without a limit */
	size_t bytes;            /* 0: that */
	size_t next;             /* for the next client, when it is wanted */
	size_t said;             /* by the brokers, last; 0: they did not */
	size_t before;           /* a higher one is being tried, and this one holds if that is refused; 0: no */
	uint64_t set_ms;         /* when it was set, or one was tried */
	uint64_t asked_ms;
};

/* Of the first client, which has no limit. */
void kafka_ceiling__init(struct kafka_ceiling *ceiling, size_t most);
/* What holds now. */
size_t kafka_ceiling__limit(const struct kafka_ceiling *ceiling);
/* No lower one will be tried: what is refused now is refused for its own sake. */
bool kafka_ceiling__lowest(const struct kafka_ceiling *ceiling);
/* Something was refused, and this is what the brokers say. True when the new limit is news. */
bool kafka_ceiling__refused(struct kafka_ceiling *ceiling, size_t said, uint64_t now_ms);
/* The brokers answered, 0: that they do not say. True when `next` is another limit. */
bool kafka_ceiling__answered(struct kafka_ceiling *ceiling, size_t said, uint64_t now_ms);
/* A record of this size was taken. True when it shows that the limit has risen. */
bool kafka_ceiling__taken(struct kafka_ceiling *ceiling, size_t size);

/* The same with the brokers asked and the user told. */

/* Before anything is sent; waits for timeout_ms at most. True: a new client is needed. */
bool kafka_ceiling__learn(struct kafka_ceiling *ceiling, struct kafka_client *client,
			  const char *topic, int timeout_ms);
/* After a refusal; waits likewise. */
void kafka_ceiling__lower(struct kafka_ceiling *ceiling, struct kafka_client *client,
			  const char *topic, int timeout_ms);
/* To be called about every second; waits for nothing. True: a new client is needed. */
bool kafka_ceiling__look(struct kafka_ceiling *ceiling, struct kafka_client *client,
			 int timeout_ms, uint64_t now_ms);
/* For a new client that `next` is to hold for. */
void kafka_ceiling__move(struct kafka_ceiling *ceiling, const char *topic);

#endif
