#include "kafka_refusal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kafka_window.h"
#include "record/journal_gap.h"

/* The head ends with the id's text, which has no quotes. */
static void use_id_as_key(struct journal_record *record)
{
	const char *head_end = record->value + record->meta.head_len;
	const char *quote = memrchr(record->value, '"', record->meta.head_len);

	if (record->meta.key_len || !quote)
		return;
	record->key = quote + 1;
	record->meta.key_len = head_end - record->key;
}

int kafka_refusal__replace(struct kafka_record *record)
{
	struct journal_meta *meta = &record->record.meta;
	struct journal_meta gap;
	char *value;

	if (meta->flags & JOURNAL_GAP || !meta->head_len)
		return -EINVAL;
	value = malloc(meta->head_len + JOURNAL_GAP_TAIL);
	if (!value)
		return -ENOMEM;
	journal_gap__make(meta, record->record.value, meta->raw_len, meta->lines,
			  JOURNAL_LOSS_REFUSED, value, &gap);
	use_id_as_key(&record->record);
	meta->flags = gap.flags;
	meta->message_off = 0;
	free(record->own);
	record->own = value;
	record->own_len = gap.value_len;
	return 0;
}
