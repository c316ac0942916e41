/*
 * What is wrong with the delivery to Kafka, told in plain words when it begins and when it is over,
 * not a thousand times in between. Owner: the Kafka sink; its thread alone. All zero: nothing is
 * wrong.
 */
#ifndef LOGTAP_KAFKA_TROUBLE_H
#define LOGTAP_KAFKA_TROUBLE_H

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stdint.h>

#include "kafka_fault.h"

struct kafka_trouble {
	bool brokers_down;       /* all of them, as far as librdkafka knows */
	char cause[256];         /* of the last connection that failed */
	bool told;               /* and not over yet */
	bool trust;              /* what was told last is a matter of trust */
	size_t number;           /* of the words that were told last */
	uint64_t told_ms[KAFKA_FAULT_WORDS];
};

/* A delivery failed, or a client could not be made. */
void kafka_trouble__failed(struct kafka_trouble *trouble, rd_kafka_resp_err_t err,
			   const char *reason, uint64_t now_ms);
/* The client reports an error. `waiting`: records wait, so that a broker out of reach matters. */
void kafka_trouble__client_error(struct kafka_trouble *trouble, rd_kafka_resp_err_t err,
				 const char *reason, bool waiting, uint64_t now_ms);
/* A record was delivered. */
void kafka_trouble__over(struct kafka_trouble *trouble);

#endif
