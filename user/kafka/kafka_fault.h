/*
 * What librdkafka's error codes mean to us: whose fault an error is, which decides what becomes of
 * the records, and how it is said. Pure functions, any thread.
 */
#ifndef LOGTAP_KAFKA_FAULT_H
#define LOGTAP_KAFKA_FAULT_H

#include <librdkafka/rdkafka.h>
#include <stddef.h>

enum kafka_blame {
	KAFKA_BLAME_NOBODY,      /* the consequence of another error, which is reported by itself */
	KAFKA_BLAME_RECORD,      /* of one record in the batch: found and given up */
	KAFKA_BLAME_SIZE,        /* the batch is over the topic's limit: records are cut to fit */
	KAFKA_BLAME_TOPIC,       /* no record can be written to it: they wait until it is put right */
	KAFKA_BLAME_TRUST,       /* certificates, passwords: likewise; they are read again meanwhile */
	KAFKA_BLAME_CLUSTER,     /* brokers, network, librdkafka: likewise */
};

struct kafka_fault {
	rd_kafka_resp_err_t err;
	enum kafka_blame blame;
	const char *words;       /* a format for the reason, a string */
};

/* Never NULL. */
const struct kafka_fault *kafka_fault__of(rd_kafka_resp_err_t err);

/* Different words are numbered from 0; below KAFKA_FAULT_WORDS. */
#define KAFKA_FAULT_WORDS 32
size_t kafka_fault__number(const struct kafka_fault *fault);

#endif
