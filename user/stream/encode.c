#include "encode.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/counters.h"
#include "base/json.h"
#include "base/text_put.h"
#include "base/timestamp.h"
#include "identity/identity.h"
#include "journal/journal.h"
#include "record/layout.h"

struct encoder {
	struct encoder_options options;
	size_t id_prefix_length;
	uint64_t boot_to_wall;   /* ns to add to boot time */
	struct timestamps timestamps;
};

struct stream_text {
	char *key;
	size_t key_length;
	char *fields;            /* of the head: see layout.h */
	size_t fields_length;
	size_t time_at;
	const struct layout *layout;
	enum record_names names;
	unsigned int untold;     /* bits of enum process_field */
	uint64_t stream;
};

static const char *const loss_reason[LOSS_COUNT + 1] = {
	[LOSS_RING_FULL] = "ring_full",
	[LOSS_UNSUPPORTED] = "unsupported",
	[LOSS_FAULT] = "fault",
	[LOSS_MISSED] = "hooks_missed",
};

static const enum counter partial_counter[] = {
	[PARTIAL_START] = COUNTER_lines_partial_start,
	[PARTIAL_MAX_SIZE] = COUNTER_lines_partial_max_size,
	[PARTIAL_TIMEOUT] = COUNTER_lines_partial_timeout,
	[PARTIAL_EOF] = COUNTER_lines_partial_eof,
	[PARTIAL_LOST] = COUNTER_lines_partial_lost,
};

int encoder__new(const struct encoder_options *options, struct encoder **out)
{
	struct encoder *encoder = calloc(1, sizeof(*encoder));

	if (!encoder)
		return -ENOMEM;
	encoder->options = *options;
	encoder->id_prefix_length = strlen(options->id_prefix);
	encoder__set_clock(encoder);
	*out = encoder;
	return 0;
}

void encoder__free(struct encoder *encoder)
{
	free(encoder);
}

void encoder__set_clock(struct encoder *encoder)
{
	encoder->boot_to_wall = clock__ns(CLOCK_REALTIME) - clock__ns(CLOCK_BOOTTIME);
}

void encoder__set_dropping(struct encoder *encoder, bool dropping)
{
	encoder->options.drop_newest = dropping;
}

uint64_t encoder__clock(const struct encoder *encoder)
{
	return encoder->boot_to_wall;
}

void encoder__restore_clock(struct encoder *encoder, uint64_t boot_to_wall)
{
	encoder->boot_to_wall = boot_to_wall;
}

static void write_key(FILE *out, const struct encoder *encoder, const struct stream_source *source)
{
	const struct identity *identity = source->identity;

	if (source->key == KAFKA_KEY_NONE)
		return;
	if (source->key == KAFKA_KEY_POD && identity && *identity->pod_uid)
		fputs(identity->pod_uid, out);
	else if (source->key != KAFKA_KEY_STREAM && identity)
		fputs(identity->container_id, out);
	else if (source->kind == STREAM_NONE)
		fputs(encoder->options.layout.node, out);
	else if (source->kind == STREAM_FILE)
		fprintf(out, "%s:%s:%s", encoder->options.layout.node,
			identity ? identity->container_id : "", source->file);
	else
		fprintf(out, "%s/%s", identity ? identity->container_id : encoder->options.layout.node,
			source->kind == STREAM_STDERR ? "stderr" : "stdout");
}

static void set_names(struct stream_text *text, enum record_names names)
{
	text->names = names;
	text->layout = layout__get(names);
}

static int write_text(struct stream_text *text, const struct encoder *encoder, const struct stream_source *source)
{
	struct layout_source layout_source;
	FILE *fields, *key;
	int err = layout_source__init(&layout_source, &encoder->options.layout, text->layout, source);

	if (err)
		return err;
	fields = open_memstream(&text->fields, &text->fields_length);
	key = open_memstream(&text->key, &text->key_length);
	if (fields)
		text->layout->fields(fields, &layout_source);
	if (key)
		write_key(key, encoder, source);
	if (!fields || fclose(fields))
		err = -ENOMEM;
	if (!key || fclose(key))
		err = -ENOMEM;
	counters__add(encoder->options.counters, COUNTER_labels_left_out, layout_source.left_out);
	layout_source__clear(&layout_source);
	return err;
}

int stream_text__new(const struct encoder *encoder, const struct stream_source *source,
		     struct stream_text **out)
{
	const struct record_config *record = encoder->options.layout.record;
	struct stream_text *text = calloc(1, sizeof(*text));
	int err;

	if (!text)
		return -ENOMEM;
	text->stream = source->stream;
	set_names(text, record ? record->names : NAMES_DEFAULT);
	text->untold = layout__untold(text->layout, record ? &record->fields : NULL);
	err = write_text(text, encoder, source);
	if (err) {
		stream_text__free(text);
		return err;
	}
	text->time_at = layout__time_at(text->layout, text->fields, text->fields_length);
	*out = text;
	return 0;
}

void stream_text__free(struct stream_text *text)
{
	if (!text)
		return;
	free(text->fields);
	free(text->key);
	free(text);
}

void stream_text__parts(const struct stream_text *text, struct text_parts *out)
{
	*out = (struct text_parts){
		.fields = text->fields,
		.fields_length = text->fields_length,
		.key = text->key,
		.key_length = text->key_length,
		.stream = text->stream,
		.names = text->names,
		.untold = text->untold,
	};
}

int stream_text__restore(const struct text_parts *parts, struct stream_text **out)
{
	struct stream_text *text = calloc(1, sizeof(*text));

	if (!text)
		return -ENOMEM;
	text->fields = malloc(parts->fields_length + 1);
	text->key = malloc(parts->key_length + 1);
	if (!text->fields || !text->key) {
		stream_text__free(text);
		return -ENOMEM;
	}
	memcpy(text->fields, parts->fields, parts->fields_length);
	memcpy(text->key, parts->key, parts->key_length);
	text->fields_length = parts->fields_length;
	text->key_length = parts->key_length;
	text->stream = parts->stream;
	set_names(text, parts->names);
	text->untold = parts->untold;
	text->time_at = layout__time_at(text->layout, text->fields, text->fields_length);
	*out = text;
	return 0;
}

/* Until one of the two eventfds is written, a second at most. */
static void wait_for_space(const struct encoder *encoder)
{
	struct pollfd fds[] = {
		{ .fd = encoder->options.space_fd, .events = POLLIN },
		{ .fd = encoder->options.wake_fd, .events = POLLIN },
	};
	uint64_t count;

	if (poll(fds, 2, 1000) <= 0)
		return;
	for (int i = 0; i < 2; i++)
		if (fds[i].revents & POLLIN && read(fds[i].fd, &count, sizeof(count)) < 0)
			continue;
}

/*
 * Space for a record of at most `length` bytes behind the stream's key. The key is written. While
 * the journal is full the thread waits here, and so the ring fills: the journal is the only buffer.
 */
static int reserve(struct encoder *encoder, const struct stream_text *text, size_t length, char **out)
{
	const struct encoder_options *options = &encoder->options;
	bool waited = false;
	char *space;

	/* No space will ever do. */
	if (text->key_length + length > journal__max_record(options->journal))
		return -EMSGSIZE;
	while (!(space = journal__reserve(options->journal, text->key_length + length))) {
		if (!waited)
			counters__add(options->counters, COUNTER_journal_full, 1);
		waited = true;
		/* What the follower and the disk do not see frees nothing. */
		journal__show(options->journal);
		if (options->drop_newest && journal__full(options->journal))
			return -ENOSPC;
		if (__atomic_load_n(options->abandon, __ATOMIC_ACQUIRE))
			return -ECANCELED;
		wait_for_space(encoder);
	}
	*out = put(space, text->key, text->key_length);
	return 0;
}

static void append(struct encoder *encoder, const struct stream_text *text, const char *start,
		   const char *end, struct journal_meta *meta)
{
	meta->key_len = text->key_length;
	meta->value_len = end - start;
	meta->stream = text->stream;
	meta->flags |= text->names << JOURNAL_NAMES_SHIFT;
	journal__append(encoder->options.journal, meta);
	counters__add(encoder->options.counters, COUNTER_journal_records, 1);
	counters__add(encoder->options.counters, COUNTER_journal_bytes, meta->value_len);
}

/* Up to the id's prefix. */
static char *put_head(struct encoder *encoder, char *out, const struct stream_text *text, uint64_t time)
{
	const struct layout_fields fields = { text->fields, text->fields_length, text->time_at };

	out = text->layout->head(out, &encoder->timestamps, time + encoder->boot_to_wall, &fields);
	return put(out, encoder->options.id_prefix, encoder->id_prefix_length);
}

static char *put_line_id(char *out, uint64_t position, uint64_t offset)
{
	out = put_hex(out, position);
	*out++ = '.';
	return put_hex(out, offset);
}

static void count_line(struct encoder *encoder, const struct line *line, bool invalid_utf8)
{
	counters__add(encoder->options.counters, COUNTER_lines, 1);
	if (line->partial != PARTIAL_NONE)
		counters__add(encoder->options.counters, partial_counter[line->partial], 1);
	if (invalid_utf8)
		counters__add(encoder->options.counters, COUNTER_lines_invalid_utf8, 1);
}

int encoder__line(struct encoder *encoder, const struct stream_text *text, const struct line *line,
		  const struct process *process)
{
	struct json_shape shape = json__measure(line->text, line->length);
	bool base64 = shape.invalid_utf8 && encoder->options.invalid_utf8 == INVALID_UTF8_BASE64;
	size_t message_length = base64 ? json__base64_len(line->length) : shape.len;
	const struct layout_line parts = { &line->writer, process, line->partial, base64, text->untold };
	struct journal_meta meta = {
		.raw_len = line_bytes(line),
		.lines = 1,
		.message_len = message_length,
	};
	char *start, *out;
	int err = reserve(encoder, text,
			  LAYOUT_LINE_OVERHEAD + encoder->id_prefix_length + text->fields_length + message_length,
			  &start);

	if (err)
		return err;
	out = put_head(encoder, start, text, line->time);
	out = put_line_id(out, line->position, line->offset);
	meta.head_len = out - start;
	out = text->layout->middle(out, &parts);
	meta.message_off = out - start;
	out = base64 ? json__base64(out, line->text, line->length)
		     : json__escape(out, line->text, line->length, shape);
	out = text->layout->end(out, line->partial);
	append(encoder, text, start, out, &meta);
	count_line(encoder, line, shape.invalid_utf8);
	return 0;
}

/* `out`: the end of the id's text. */
static void append_gap(struct encoder *encoder, const struct stream_text *text, const char *start, char *out,
		       struct journal_meta *meta, const struct layout_loss *loss)
{
	meta->head_len = out - start;
	out += text->layout->loss(out, LAYOUT_LOSS_SIZE, loss);
	append(encoder, text, start, out, meta);
	counters__add(encoder->options.counters, COUNTER_gaps, 1);
}

static int reserve_gap(struct encoder *encoder, const struct stream_text *text, char **out)
{
	return reserve(encoder, text,
		       LAYOUT_LINE_OVERHEAD + LAYOUT_LOSS_SIZE + encoder->id_prefix_length + text->fields_length, out);
}

int encoder__gap(struct encoder *encoder, const struct stream_text *text, const struct gap *gap)
{
	struct journal_meta meta = {
		.flags = JOURNAL_GAP,
		.raw_len = gap->bytes,
		.lines = gap->slot == GAP_OF_NODE ? gap->writes : 0,
	};
	const struct layout_loss loss = { "", gap->bytes, "writes", gap->writes, loss_reason[gap->reason] };
	char *start, *out;
	int err = reserve_gap(encoder, text, &start);

	if (err)
		return err;
	out = put_head(encoder, start, text, gap->time);
	out = PUT_LITERAL(out, "gap.");
	out = put_hex(out, gap->slot);
	*out++ = '.';
	out = put_hex(out, gap->generation);
	*out++ = '.';
	out = put_hex(out, gap->total);
	append_gap(encoder, text, start, out, &meta, &loss);
	return 0;
}

int encoder__dropped(struct encoder *encoder, const struct stream_text *text, const struct dropped *dropped)
{
	struct journal_meta meta = { .flags = JOURNAL_GAP, .raw_len = dropped->bytes, .lines = dropped->lines };
	const struct layout_loss loss = { "", dropped->bytes, "lines", dropped->lines, "journal_full" };
	char *start, *out;
	int err = reserve_gap(encoder, text, &start);

	if (err)
		return err;
	out = put_head(encoder, start, text, dropped->time);
	out = put_line_id(out, dropped->position, dropped->offset);
	out = PUT_LITERAL(out, ".lost");
	append_gap(encoder, text, start, out, &meta, &loss);
	return 0;
}
