/*
 * The topic's limit on the size of a batch, and records cut to fit it. Sink's thread.
 */
#ifndef LOGTAP_KAFKA_LIMIT_H
#define LOGTAP_KAFKA_LIMIT_H

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stddef.h>

struct journal_record;

/* Bytes of the record in a batch of its own, at most, its value being `value_len` long. */
size_t kafka_limit__encoded(const struct journal_record *record, size_t value_len,
			    size_t headers_size);

/*
 * A copy of the record's value with its message cut and marked, so that it is encoded in `limit`
 * bytes. 0 and the caller's *out, to be freed; -EMSGSIZE when it would not fit even without a
 * message; -ENOMEM.
 */
int kafka_limit__cut(const struct journal_record *record, size_t headers_size, size_t limit,
		     char **out, size_t *out_len);

/* Asks the brokers for the topic's max.message.bytes; the answer comes within timeout_ms. */
void kafka_limit__request(rd_kafka_t *rk, const char *topic, int timeout_ms,
			  rd_kafka_queue_t *answers);
/* Waits for it for at most timeout_ms: true and what they say, 0 when they do not. */
bool kafka_limit__answer(rd_kafka_queue_t *answers, int timeout_ms, size_t *out);

#endif
