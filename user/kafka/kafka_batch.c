#include "kafka_batch.h"

#include <errno.h>
#include <stdlib.h>

#include "kafka_limit.h"
#include "kafka_refusal.h"

static size_t encoded(const struct kafka_record *record, size_t headers_size)
{
	return kafka_limit__encoded(&record->record, kafka_record__value_len(record), headers_size);
}

static int make_gap(struct kafka_record *record, size_t limit, size_t headers_size)
{
	int err = kafka_refusal__replace(record);

	if (err == -ENOMEM)
		return err;
	return err || encoded(record, headers_size) > limit ? -EMSGSIZE : 0;
}

/*
 * Sees to it that the record fits the limit: without the end of its message, else as a gap. 0;
 * -EMSGSIZE: it cannot be made to; -ENOMEM.
 */
static int fit(struct kafka_record *record, size_t limit, size_t headers_size,
	       const struct kafka_batch_events *events, void *opaque)
{
	char *cut;
	int err;

	if (encoded(record, headers_size) <= limit)
		return 0;
	err = kafka_limit__cut(&record->record, headers_size, limit, &cut, &record->own_len);
	if (err == -EMSGSIZE) {
		events->too_large(opaque, limit);
		return make_gap(record, limit, headers_size);
	}
	if (err)
		return err;
	if (!record->own)
		events->cut(opaque);
	free(record->own);
	record->own = cut;
	return 0;
}

void kafka_batch__fill(struct kafka_batch *batch, struct kafka_window *window, size_t limit,
		       size_t headers_size, const struct kafka_batch_events *events, void *opaque)
{
	struct kafka_record *record = kafka_window__unsent(window);

	batch->count = 0;
	while (record && batch->count < KAFKA_BATCH_RECORDS) {
		struct kafka_record *next = TAILQ_NEXT(record, link);
		const struct journal_record *source = &record->record;
		int err = fit(record, limit, headers_size, events, opaque);

		if (err == -ENOMEM)
			break;
		if (err)
			events->drop(opaque, record);
		else
			batch->messages[batch->count++] = (rd_kafka_message_t){
				.payload = (char *)kafka_record__value(record),
				.len = kafka_record__value_len(record),
				.key = source->meta.key_len ? (char *)source->key : NULL,
				.key_len = source->meta.key_len,
				._private = record,
			};
		record = next;
	}
}
