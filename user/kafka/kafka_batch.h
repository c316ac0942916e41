/*
 * Messages made of the window's records, in order, for the client to take at once. Sink's thread.
 */
#ifndef LOGTAP_KAFKA_BATCH_H
#define LOGTAP_KAFKA_BATCH_H

#include <librdkafka/rdkafka.h>
#include <stddef.h>

#include "kafka_window.h"

#define KAFKA_BATCH_RECORDS 256

struct kafka_batch {
	int count;
	rd_kafka_message_t messages[KAFKA_BATCH_RECORDS]; /* _private: the record */
};

/* What becomes of a record that does not fit. */
struct kafka_batch_events {
	void (*cut)(void *opaque);
	/* It does not fit even without its message: a gap takes its place, if that fits. */
	void (*too_large)(void *opaque, size_t limit);
	/* Not even a gap; it is to leave the window. */
	void (*drop)(void *opaque, struct kafka_record *record);
};

/* Those still to be sent, cut to fit `limit` bytes; `headers_size` of each are its headers. */
void kafka_batch__fill(struct kafka_batch *batch, struct kafka_window *window, size_t limit,
		       size_t headers_size, const struct kafka_batch_events *events, void *opaque);

#endif
