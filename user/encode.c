#include "encode.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "counters.h"
#include "identity.h"
#include "journal.h"
#include "json.h"

/* Of everything in a line record but the stream's text, the process's name and the message. */
#define LINE_OVERHEAD 512

struct encoder {
	struct encoder_options options;
	size_t id_prefix_length;
	uint64_t boot_to_wall;   /* ns to add to boot time */
	uint64_t second;         /* that `date` is for */
	char date[20];           /* 2026-11-21T06:31:22 */
};

struct stream_text {
	char *key;
	size_t key_length;
	char *fields;            /* ,"stream":... up to and without the process */
	size_t fields_length;
	uint64_t stream;
};

static const char *const loss_reason[LOSS_COUNT] = {
	[LOSS_RING_FULL] = "ring_full",
	[LOSS_UNSUPPORTED] = "unsupported",
	[LOSS_FAULT] = "fault",
};

static const struct {
	const char *name;
	enum counter counter;
} partial_kind[] = {
	[PARTIAL_START] = { "start", COUNTER_lines_partial_start },
	[PARTIAL_MAX_SIZE] = { "max_size", COUNTER_lines_partial_max_size },
	[PARTIAL_TIMEOUT] = { "timeout", COUNTER_lines_partial_timeout },
	[PARTIAL_EOF] = { "eof", COUNTER_lines_partial_eof },
	[PARTIAL_LOST] = { "lost", COUNTER_lines_partial_lost },
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
	encoder->second = 0;
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
	encoder->second = 0;
}

/* Small writers, each of which returns the end of what it wrote. */

static char *put(char *out, const char *text, size_t length)
{
	memcpy(out, text, length);
	return out + length;
}

#define PUT_LITERAL(out, text) put(out, text, sizeof(text) - 1)

static char *put_number(char *out, uint64_t n)
{
	char digits[20];
	int i = sizeof(digits);

	do {
		digits[--i] = '0' + n % 10;
		n /= 10;
	} while (n);
	return put(out, digits + i, sizeof(digits) - i);
}

static char *put_hex(char *out, uint64_t n)
{
	char digits[16];
	int i = sizeof(digits);

	do {
		digits[--i] = "0123456789abcdef"[n & 15];
		n >>= 4;
	} while (n);
	return put(out, digits + i, sizeof(digits) - i);
}

/* RFC 3339 in UTC. The date is formatted once a second. */
static char *put_timestamp(struct encoder *encoder, char *out, uint64_t boot_time)
{
	uint64_t wall = boot_time + encoder->boot_to_wall;
	uint64_t second = wall / NS_PER_SECOND;
	uint32_t fraction = wall % NS_PER_SECOND;

	if (second != encoder->second) {
		time_t t = second;
		struct tm tm;

		gmtime_r(&t, &tm);
		strftime(encoder->date, sizeof(encoder->date), "%Y-%m-%dT%H:%M:%S", &tm);
		encoder->second = second;
	}
	out = put(out, encoder->date, 19);
	*out++ = '.';
	for (int i = 8; i >= 0; i--, fraction /= 10)
		out[i] = '0' + fraction % 10;
	out[9] = 'Z';
	return out + 10;
}

/* Writes ,"name":"value" with the value escaped; nothing for an empty value. */
static void field(FILE *out, const char *name, const char *value)
{
	size_t length = value ? strlen(value) : 0;
	struct json_shape shape;
	char *escaped;

	if (!length)
		return;
	shape = json__measure(value, length);
	escaped = malloc(shape.len + 1);
	if (!escaped)
		return;
	*json__escape(escaped, value, length, shape) = 0;
	fprintf(out, ",\"%s\":\"%s\"", name, escaped);
	free(escaped);
}

/* Writes ,"name":{...} of what `fill` writes; nothing when it writes nothing. */
static void object(FILE *out, const char *name, const struct identity *identity, const char *node,
		   void (*fill)(FILE *out, const struct identity *identity, const char *node))
{
	char *text = NULL;
	size_t length = 0;
	FILE *inner = open_memstream(&text, &length);

	if (!inner)
		return;
	fill(inner, identity, node);
	fclose(inner);
	if (length)
		fprintf(out, ",\"%s\":{%s}", name, text + 1);
	free(text);
}

static void container_fields(FILE *out, const struct identity *identity, const char *node)
{
	(void)node;
	field(out, "id", identity->container_id);
	field(out, "name", identity->container_name);
	field(out, "image", identity->image);
	field(out, "runtime", identity->runtime);
}

static void kubernetes_fields(FILE *out, const struct identity *identity, const char *node)
{
	if (!*identity->pod_uid && !*identity->pod_name)
		return;
	field(out, "pod_name", identity->pod_name);
	field(out, "pod_namespace", identity->pod_namespace);
	field(out, "pod_uid", identity->pod_uid);
	field(out, "pod_node_name", node);
	field(out, "container_name", identity->container_name);
	field(out, "container_id", identity->container_id);
	field(out, "container_image", identity->image);
}

static const char *const kind_name[] = {
	[STREAM_STDOUT] = "stdout",
	[STREAM_STDERR] = "stderr",
	[STREAM_FILE] = "file",
};

static void write_fields(FILE *out, const struct encoder *encoder, const struct stream_source *source)
{
	bool file = source->kind == STREAM_FILE;

	if (!file)
		field(out, "stream", kind_name[source->kind]);
	field(out, "source_type", file ? "file" : "container");
	field(out, "host", encoder->options.node);
	if (file)
		field(out, "file", source->file);
	if (!source->identity)
		return;
	object(out, "container", source->identity, encoder->options.node, container_fields);
	object(out, "kubernetes", source->identity, encoder->options.node, kubernetes_fields);
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
	else if (source->kind == STREAM_FILE)
		fprintf(out, "%s:%s:%s", encoder->options.node,
			identity ? identity->container_id : "", source->file);
	else
		fprintf(out, "%s/%s", identity ? identity->container_id : encoder->options.node,
			kind_name[source->kind]);
}

int stream_text__new(const struct encoder *encoder, const struct stream_source *source,
		     struct stream_text **out)
{
	struct stream_text *text = calloc(1, sizeof(*text));
	FILE *fields = NULL, *key = NULL;
	int err = -ENOMEM;

	if (!text)
		return err;
	text->stream = source->stream;
	fields = open_memstream(&text->fields, &text->fields_length);
	key = open_memstream(&text->key, &text->key_length);
	if (fields && key) {
		write_fields(fields, encoder, source);
		write_key(key, encoder, source);
		err = 0;
	}
	if (fields && fclose(fields))
		err = -ENOMEM;
	if (key && fclose(key))
		err = -ENOMEM;
	if (err)
		stream_text__free(text);
	else
		*out = text;
	return err;
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
	journal__append(encoder->options.journal, meta);
	counters__add(encoder->options.counters, COUNTER_journal_records, 1);
	counters__add(encoder->options.counters, COUNTER_journal_bytes, meta->value_len);
}

static char *put_head(struct encoder *encoder, char *out, const struct stream_text *text, uint64_t time)
{
	out = PUT_LITERAL(out, "{\"timestamp\":\"");
	out = put_timestamp(encoder, out, time);
	*out++ = '"';
	return put(out, text->fields, text->fields_length);
}

static char *put_process(char *out, const struct writer *writer, const struct process *process)
{
	out = PUT_LITERAL(out, ",\"process\":{\"pid\":");
	out = put_number(out, writer->tgid);
	out = PUT_LITERAL(out, ",\"tid\":");
	out = put_number(out, writer->tid);
	if (process) {
		size_t length = strlen(process->name);
		struct json_shape shape = json__measure(process->name, length);

		out = PUT_LITERAL(out, ",\"name\":\"");
		out = json__escape(out, process->name, length, shape);
		out = PUT_LITERAL(out, "\",\"uid\":");
		out = put_number(out, process->uid);
	}
	*out++ = '}';
	return out;
}

static char *put_id(const struct encoder *encoder, char *out, const char *kind)
{
	out = PUT_LITERAL(out, ",\"id\":\"");
	out = put(out, encoder->options.id_prefix, encoder->id_prefix_length);
	return put(out, kind, strlen(kind));
}

static char *put_line_id(const struct encoder *encoder, char *out, uint64_t position, uint64_t offset)
{
	out = put_id(encoder, out, "");
	out = put_hex(out, position);
	*out++ = '.';
	return put_hex(out, offset);
}

static void count_line(struct encoder *encoder, const struct line *line, bool invalid_utf8)
{
	counters__add(encoder->options.counters, COUNTER_lines, 1);
	if (line->partial != PARTIAL_NONE)
		counters__add(encoder->options.counters, partial_kind[line->partial].counter, 1);
	if (invalid_utf8)
		counters__add(encoder->options.counters, COUNTER_lines_invalid_utf8, 1);
}

/*
 * The message is the last field but for `partial`, so that a sink can cut it without knowing the
 * rest.
 */
int encoder__line(struct encoder *encoder, const struct stream_text *text, const struct line *line,
		  const struct process *process)
{
	struct json_shape shape = json__measure(line->text, line->length);
	bool base64 = shape.invalid_utf8 && encoder->options.invalid_utf8 == INVALID_UTF8_BASE64;
	size_t message_length = base64 ? json__base64_len(line->length) : shape.len;
	struct journal_meta meta = {
		.raw_len = line_bytes(line),
		.lines = 1,
		.message_len = message_length,
	};
	char *start, *out;
	int err = reserve(encoder, text,
			  LINE_OVERHEAD + encoder->id_prefix_length + text->fields_length + message_length, &start);

	if (err)
		return err;
	out = put_head(encoder, start, text, line->time);
	out = put_line_id(encoder, out, line->position, line->offset);
	meta.head_len = out - start;
	*out++ = '"';
	out = put_process(out, &line->writer, process);
	if (base64)
		out = PUT_LITERAL(out, ",\"encoding\":\"base64\"");
	out = PUT_LITERAL(out, ",\"message\":\"");
	meta.message_off = out - start;
	out = base64 ? json__base64(out, line->text, line->length)
		     : json__escape(out, line->text, line->length, shape);
	*out++ = '"';
	if (line->partial != PARTIAL_NONE) {
		out = PUT_LITERAL(out, ",\"partial\":\"");
		out = put(out, partial_kind[line->partial].name, strlen(partial_kind[line->partial].name));
		*out++ = '"';
	}
	*out++ = '}';
	append(encoder, text, start, out, &meta);
	count_line(encoder, line, shape.invalid_utf8);
	return 0;
}

/* Behind the id, to the record's end. */
static char *put_lost(char *out, uint64_t bytes, const char *unit, uint64_t count, const char *reason)
{
	out = PUT_LITERAL(out, "\",\"lost\":{\"bytes\":");
	out = put_number(out, bytes);
	out = PUT_LITERAL(out, ",\"");
	out = put(out, unit, strlen(unit));
	out = PUT_LITERAL(out, "\":");
	out = put_number(out, count);
	out = PUT_LITERAL(out, ",\"reason\":\"");
	out = put(out, reason, strlen(reason));
	return PUT_LITERAL(out, "\"}}");
}

int encoder__gap(struct encoder *encoder, const struct stream_text *text, const struct gap *gap)
{
	struct journal_meta meta = { .flags = JOURNAL_GAP, .raw_len = gap->bytes };
	char *start, *out;
	int err = reserve(encoder, text, LINE_OVERHEAD + encoder->id_prefix_length + text->fields_length, &start);

	if (err)
		return err;
	out = put_head(encoder, start, text, gap->time);
	out = put_id(encoder, out, "gap.");
	out = put_hex(out, gap->slot);
	*out++ = '.';
	out = put_hex(out, gap->generation);
	*out++ = '.';
	out = put_hex(out, gap->total);
	meta.head_len = out - start;
	out = put_lost(out, gap->bytes, "writes", gap->writes, loss_reason[gap->reason]);
	append(encoder, text, start, out, &meta);
	counters__add(encoder->options.counters, COUNTER_gaps, 1);
	return 0;
}

int encoder__dropped(struct encoder *encoder, const struct stream_text *text, const struct dropped *dropped)
{
	struct journal_meta meta = { .flags = JOURNAL_GAP, .raw_len = dropped->bytes, .lines = dropped->lines };
	char *start, *out;
	int err = reserve(encoder, text, LINE_OVERHEAD + encoder->id_prefix_length + text->fields_length, &start);

	if (err)
		return err;
	out = put_head(encoder, start, text, dropped->time);
	out = put_line_id(encoder, out, dropped->position, dropped->offset);
	out = PUT_LITERAL(out, ".lost");
	meta.head_len = out - start;
	out = put_lost(out, dropped->bytes, "lines", dropped->lines, "journal_full");
	append(encoder, text, start, out, &meta);
	counters__add(encoder->options.counters, COUNTER_gaps, 1);
	return 0;
}
