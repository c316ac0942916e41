#include "kafka_limit.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "journal/journal.h"
#include "record/layout.h"

/* Of a batch with one record: the header of version 2 (61 bytes) and the record's own, at most. */
#define OVERHEAD 100

size_t kafka_limit__encoded(const struct journal_record *record, size_t value_len,
			    size_t headers_size)
{
	return OVERHEAD + headers_size + record->meta.key_len + value_len;
}

static bool is_base64(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)text[i]) && text[i] != '+' && text[i] != '/')
			return false;
	return true;
}

/*
 * Whole groups of four, lest a base64 message end in one that cannot be decoded; plain words lose
 * at most three bytes.
 */
static size_t cut_message(const char *message, size_t len, size_t max)
{
	size_t cut = json__cut(message, len, max);

	return cut < len && is_base64(message, cut) ? cut - cut % 4 : cut;
}

int kafka_limit__cut(const struct journal_record *record, size_t headers_size, size_t limit,
		     char **out, size_t *out_len)
{
	const struct journal_meta *meta = &record->meta;
	size_t least, message_len;
	char *value;

	if (!meta->message_off)
		return -EMSGSIZE;
	least = kafka_limit__encoded(record, layout__cut(meta, record->value, 0, NULL), headers_size);
	if (least > limit)
		return -EMSGSIZE;
	message_len = cut_message(record->value + meta->message_off, meta->message_len,
				  limit - least);
	value = malloc(layout__cut(meta, record->value, message_len, NULL));
	if (!value)
		return -ENOMEM;
	*out_len = layout__cut(meta, record->value, message_len, value);
	*out = value;
	return 0;
}

static size_t read_answer(rd_kafka_event_t *event)
{
	const rd_kafka_ConfigResource_t **resources;
	const rd_kafka_ConfigEntry_t **entries;
	size_t count;

	if (rd_kafka_event_error(event))
		return 0;
	resources = rd_kafka_DescribeConfigs_result_resources(
		rd_kafka_event_DescribeConfigs_result(event), &count);
	if (!count || rd_kafka_ConfigResource_error(resources[0]))
		return 0;
	entries = rd_kafka_ConfigResource_configs(resources[0], &count);
	for (size_t i = 0; i < count; i++) {
		const char *value = rd_kafka_ConfigEntry_value(entries[i]);

		if (value && !strcmp(rd_kafka_ConfigEntry_name(entries[i]), "max.message.bytes"))
			return strtoul(value, NULL, 10);
	}
	return 0;
}

void kafka_limit__request(rd_kafka_t *rk, const char *topic, int timeout_ms,
			  rd_kafka_queue_t *answers)
{
	rd_kafka_ConfigResource_t *resource = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC,
									  topic);
	rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(
		rk, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
	char errstr[256];

	if (!rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, errstr,
						       sizeof(errstr)))
		rd_kafka_DescribeConfigs(rk, &resource, 1, options, answers);
	rd_kafka_AdminOptions_destroy(options);
	rd_kafka_ConfigResource_destroy(resource);
}

bool kafka_limit__answer(rd_kafka_queue_t *answers, int timeout_ms, size_t *out)
{
	rd_kafka_event_t *event = rd_kafka_queue_poll(answers, timeout_ms);

	if (!event)
		return false;
	*out = read_answer(event);
	rd_kafka_event_destroy(event);
	return true;
}
