#include "kafka_refusal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kafka_window.h"

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
	char *gap = NULL;
	int len;

	if (meta->flags & JOURNAL_GAP || !meta->head_len)
		return -EINVAL;
	len = asprintf(&gap,
		       "%.*s.lost\",\"lost\":{\"bytes\":%" PRIu64 ",\"lines\":%" PRIu64
		       ",\"reason\":\"refused\"}}",
		       (int)meta->head_len, record->record.value, meta->raw_len, meta->lines);
	if (len < 0)
		return -ENOMEM;
	use_id_as_key(&record->record);
	meta->flags |= JOURNAL_GAP;
	meta->message_off = 0;
	free(record->own);
	record->own = gap;
	record->own_len = len;
	return 0;
}
