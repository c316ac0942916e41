#include "layout.h"

#include <string.h>

#include "base/text_put.h"
#include "field_filter.h"
#include "journal_record.h"

static const struct layout *const layouts[NAMES_COUNT] = {
	[NAMES_DEFAULT] = &layout_default,
	[NAMES_FLUENTBIT] = &layout_fluentbit,
	[NAMES_ECS] = &layout_ecs,
	[NAMES_OTEL] = &layout_otel,
};

static const char *const partial_name[] = {
	[PARTIAL_START] = "start",
	[PARTIAL_MAX_SIZE] = "max_size",
	[PARTIAL_TIMEOUT] = "timeout",
	[PARTIAL_EOF] = "eof",
	[PARTIAL_LOST] = "lost",
};

const struct layout *layout__get(unsigned int names)
{
	return layouts[names < NAMES_COUNT ? names : NAMES_DEFAULT];
}

const char *layout__partial(enum partial partial)
{
	return partial_name[partial];
}

unsigned int layout__untold(const struct layout *layout, const struct globs_config *fields)
{
	unsigned int untold = 0;

	for (unsigned int field = 0; field < PROCESS_FIELDS; field++)
		if (!field_filter__tells(fields, layout->process[field]))
			untold |= 1u << field;
	return untold;
}

size_t layout__time_at(const struct layout *layout, const char *fields, size_t length)
{
	const char *marker;

	if (!layout->time_marker)
		return 0;
	marker = memmem(fields, length, layout->time_marker, strlen(layout->time_marker));
	return marker ? marker + strlen(layout->time_marker) - fields : 0;
}

/* Where the mark of a partial line stands, or would, and how long it is. */
static size_t find_mark(const struct layout *layout, const struct journal_meta *meta, const char *value, size_t *length)
{
	size_t at = meta->head_len + strlen(layout->id_close);
	size_t open = strlen(layout->partial_open), close = strlen(layout->partial_close);
	const char *end;

	*length = 0;
	if (at > meta->message_off)
		return meta->message_off;
	if (meta->message_off - at <= open || memcmp(value + at, layout->partial_open, open))
		return at;
	end = memmem(value + at + open, meta->message_off - at - open, layout->partial_close, close);
	if (end)
		*length = end + close - (value + at);
	return at;
}

size_t layout__cut(const struct journal_meta *meta, const char *value, size_t message_len, char *out)
{
	const struct layout *layout = layout__get(journal_names(meta));
	char rest[LAYOUT_LOSS_SIZE];
	size_t rest_length = layout->end(rest, PARTIAL_MAX_SIZE) - rest;
	size_t at = meta->message_off, old = 0, mark = 0;

	if (layout->id_close) {
		at = find_mark(layout, meta, value, &old);
		mark = strlen(layout->partial_open) + strlen(partial_name[PARTIAL_MAX_SIZE]) + strlen(layout->partial_close);
	}
	if (out) {
		out = put(out, value, at);
		if (mark) {
			out = put_string(out, layout->partial_open);
			out = put_string(out, partial_name[PARTIAL_MAX_SIZE]);
			out = put_string(out, layout->partial_close);
		}
		out = put(out, value + at + old, meta->message_off - at - old + message_len);
		put(out, rest, rest_length);
	}
	return meta->message_off - old + mark + message_len + rest_length;
}
