/*
 * logcheck [--allow-loss] [--allow-duplicates] [--allow-cut BYTES] EXPECTATION <RECORDS
 *
 * Reads logtap's records, one a line, and verifies them against what loglines wrote: every line of
 * every writer once, in its writer's order, byte for byte, under the right container, pod and
 * stream; nothing from anything else; and for each stream: bytes written = delivered + told as lost
 * + told as cut. expectation.h says what EXPECTATION is.
 *   --allow-loss        gap records are no failure as long as the sum holds
 *   --allow-duplicates  nor are records that have the id of an earlier one
 *   --allow-cut BYTES   nor are longer lines than BYTES that were cut and marked max_size
 * Prints a line of figures. Exit status: 0; 1 what was found wrong is on stderr, the first of it in
 * words; 2 not checked.
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "expectation.h"
#include "ids.h"

#define PROBLEMS_TOLD 10
#define SHOWN 60                 /* bytes of a message */

struct check {
	struct expected_streams streams;
	struct ids *ids;
	bool allow_loss;
	bool allow_duplicates;
	bool ended;              /* there are no more records */
	size_t allow_cut;        /* lines may be cut that are longer; 0: none may */
	uint64_t records, lines, gaps, duplicates, cut_lines, problems;
};

/* A message as it was before it became JSON. */
struct message {
	const char *text;
	size_t length;
	char *decoded;           /* what text points to, if it had to be decoded */
};

__attribute__((format(printf, 2, 3))) static void problem(struct check *check, const char *format,
							  ...)
{
	va_list args;

	if (check->problems++ >= PROBLEMS_TOLD)
		return;
	va_start(args, format);
	if (check->ended)
		fputs("logcheck: at the end: ", stderr);
	else
		fprintf(stderr, "logcheck: record %" PRIu64 ": ", check->records);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
}

static const char *text_of(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

static const char *or_none(const char *text)
{
	return text ? text : "(none)";
}

/* Printable, and no longer than SHOWN; the result is valid until the second next call. */
static const char *shown(const char *text, size_t length)
{
	static char buffers[2][SHOWN + 1];
	static int turn;
	char *out = buffers[turn ^= 1];

	length = length > SHOWN ? SHOWN : length;
	for (size_t i = 0; i < length; i++)
		out[i] = text[i] >= 32 && text[i] < 127 ? text[i] : '?';
	out[length] = 0;
	return out;
}

/* --- who wrote it */

static void check_field(struct check *check, const char *name, const char *actual,
			const char *wanted)
{
	if (actual == wanted || (actual && wanted && !strcmp(actual, wanted)))
		return;
	problem(check, "%s is %s, not %s", name, or_none(actual), or_none(wanted));
}

static void check_container(struct check *check, const json_t *record, char *const *fields)
{
	const json_t *container = json_object_get(record, "container");

	check_field(check, "container.id", text_of(container, "id"), fields[FIELD_ID]);
	check_field(check, "container.name", text_of(container, "name"), fields[FIELD_NAME]);
	check_field(check, "container.image", text_of(container, "image"), fields[FIELD_IMAGE]);
	check_field(check, "container.runtime", text_of(container, "runtime"),
		    fields[FIELD_RUNTIME]);
}

static void check_pod(struct check *check, const json_t *record, char *const *fields)
{
	const json_t *pod = json_object_get(record, "kubernetes");
	char id[256];

	check_field(check, "kubernetes.pod_name", text_of(pod, "pod_name"), fields[FIELD_POD]);
	check_field(check, "kubernetes.pod_namespace", text_of(pod, "pod_namespace"),
		    fields[FIELD_NAMESPACE]);
	check_field(check, "kubernetes.pod_uid", text_of(pod, "pod_uid"), fields[FIELD_UID]);
	if (!fields[FIELD_POD])
		return;
	check_field(check, "kubernetes.container_name", text_of(pod, "container_name"),
		    fields[FIELD_NAME]);
	snprintf(id, sizeof(id), "%s://%s", fields[FIELD_RUNTIME], fields[FIELD_ID]);
	check_field(check, "kubernetes.container_id", text_of(pod, "container_id"), id);
	check_field(check, "kubernetes.container_image", text_of(pod, "container_image"),
		    fields[FIELD_IMAGE]);
}

static void check_identity(struct check *check, const json_t *record,
			   const struct expected_stream *stream)
{
	const char *timestamp = text_of(record, "timestamp");
	const char *source = stream->fields[FIELD_POD] ? "kubernetes_logs" : "container";

	check_field(check, "source_type", text_of(record, "source_type"), stream->fields[FIELD_FILE] ? "file" : source);
	/* Of a container's it is where its runtime writes them. */
	check_field(check, "file", text_of(record, "file"), stream->fields[stream->fields[FIELD_FILE] ? FIELD_FILE : FIELD_LOG]);
	check_container(check, record, stream->fields);
	check_pod(check, record, stream->fields);
	if (!timestamp || strlen(timestamp) != 30 || timestamp[10] != 'T' || timestamp[29] != 'Z')
		problem(check, "timestamp is %s", or_none(timestamp));
	if (!text_of(record, "host"))
		problem(check, "no host");
}

/* --- what was written */

static int base64_digit(char c)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? at - digits : -1;
}

static size_t decode_base64(char *out, const char *text, size_t length)
{
	uint32_t bits = 0;
	size_t done = 0;
	int have = 0;

	for (size_t i = 0; i < length && base64_digit(text[i]) >= 0; i++) {
		bits = bits << 6 | base64_digit(text[i]);
		have += 6;
		if (have >= 8) {
			have -= 8;
			out[done++] = bits >> have;
		}
	}
	return done;
}

static int message__read(struct message *message, const json_t *record)
{
	const json_t *text = json_object_get(record, "message");
	const char *encoding = text_of(record, "encoding");

	*message = (struct message){
		.text = json_string_value(text),
		.length = json_string_length(text),
	};
	if (!message->text)
		return -1;
	if (!encoding)
		return 0;
	message->decoded = malloc(message->length + 1);
	if (!message->decoded || strcmp(encoding, "base64"))
		return -1;
	message->length = decode_base64(message->decoded, message->text, message->length);
	message->text = message->decoded;
	return 0;
}

/* False: the number says that this is not the writer's next line, nor a later one. */
static bool check_order(struct check *check, struct expected_writer *writer, uint64_t seq)
{
	const char *name = writer->source.writer;

	if (seq >= writer->lines) {
		problem(check, "%s has %" PRIu64 " lines, this is number %" PRIu64, name,
			writer->lines, seq);
		return false;
	}
	if (seq < writer->next) {
		problem(check,
			"%s: line %" PRIu64 " again or out of order: %" PRIu64 " was to come next",
				name, seq,
			writer->next);
		return false;
	}
	if (seq > writer->next) {
		if (!check->allow_loss)
			problem(check, "%s: lines %" PRIu64 " to %" PRIu64 " are missing", name,
				writer->next, seq - 1);
		writer->missing += seq - writer->next;
	}
	writer->next = seq + 1;
	return true;
}

/*
 * Compares a line, or the part of one that a cut left, with what was written. Returns the bytes
 * that were cut.
 */
static size_t check_bytes(struct check *check, const struct line_source *source, uint64_t seq,
			  const struct message *message, const char *partial)
{
	static char expected[LINE_LENGTH_MAX];
	size_t length = line__make(source, seq, expected), at = 0;
	bool cut = partial && !strcmp(partial, "max_size") && message->length < length &&
		check->allow_cut &&
		   length > check->allow_cut;

	while (at < length && at < message->length && message->text[at] == expected[at])
		at++;
	if (partial && !cut)
		problem(check, "%s: line %" PRIu64 " of %zu bytes has %zu and is marked %s",
			source->writer, seq, length,
			message->length, partial);
	else if (at < message->length || (at < length && !cut))
		problem(check,
			"%s: line %" PRIu64 " of %zu bytes has %zu and differs at byte %zu: '%s', "
			"not '%s'",
			source->writer, seq, length, message->length, at,
			shown(message->text + at, message->length - at), shown(expected + at,
									       length - at));
	check->cut_lines += cut;
	return cut ? length + 1 - message->length : 0;
}

static bool has_newline(const char *partial)
{
	return !partial || !strcmp(partial, "start");
}

/*
 * The rest of a line, where the loss of its other bytes is told: its bytes count, but nobody can
 * say whose they are.
 */
static bool is_fragment(const struct check *check, const char *partial)
{
	return check->allow_loss && partial && (!strcmp(partial, "start") || !strcmp(partial,
										     "lost"));
}

static void check_message(struct check *check, const json_t *record, struct expected_stream *stream,
			  const struct message *message)
{
	const char *partial = text_of(record, "partial");
	char name[LINE_WRITER_MAX + 1];
	struct expected_writer *writer;
	uint64_t seq;

	stream->delivered += message->length + has_newline(partial);
	if (is_fragment(check, partial))
		return;
	check->lines++;
	if (line__parse(message->text, message->length, name, &seq)) {
		problem(check, "no numbered line: '%s' of %zu bytes, partial %s",
			shown(message->text, message->length), message->length, or_none(partial));
		return;
	}
	writer = expectation__writer(stream, name);
	if (!writer)
		problem(check, "writer %s does not write to this stream: '%s'", name,
			shown(message->text, message->length));
	else if (check_order(check, writer, seq))
		stream->cut += check_bytes(check, &writer->source, seq, message, partial);
}

/* A record that was there before holds a line that was there before. */
static void check_duplicate(struct check *check, struct expected_stream *stream, const char *id,
			    const struct message *message)
{
	char name[LINE_WRITER_MAX + 1];
	struct expected_writer *writer;
	uint64_t seq;

	check->duplicates++;
	if (!check->allow_duplicates)
		problem(check, "id %s was there before", id);
	if (!message->text || line__parse(message->text, message->length, name, &seq))
		return;
	writer = expectation__writer(stream, name);
	if (!writer || seq >= writer->next)
		problem(check, "id %s was there before, with another line than %s %" PRIu64, id,
			name, seq);
}

static void check_gap(struct check *check, const json_t *lost, struct expected_stream *stream)
{
	uint64_t bytes = json_integer_value(json_object_get(lost, "bytes"));
	uint64_t writes = json_integer_value(json_object_get(lost, "writes"));

	check->gaps++;
	stream->lost += bytes;
	if (!bytes || !writes)
		problem(check, "a gap record of nothing");
	if (!check->allow_loss)
		problem(check, "%" PRIu64 " bytes in %" PRIu64 " writes are lost: %s", bytes,
			writes,
			or_none(text_of(lost, "reason")));
}

/* --- records */

static void check_content(struct check *check, const json_t *record, struct expected_stream *stream)
{
	const json_t *id = json_object_get(record, "id"), *lost = json_object_get(record, "lost");
	struct message message;
	int err = message__read(&message, record);

	if (!json_is_string(id))
		problem(check, "no id");
	else if (!ids__add(check->ids, json_string_value(id), json_string_length(id)))
		check_duplicate(check, stream, json_string_value(id), &message);
	else if (lost)
		check_gap(check, lost, stream);
	else if (err)
		problem(check, "no message");
	else
		check_message(check, record, stream, &message);
	free(message.decoded);
}

static void check_record(struct check *check, const char *text, size_t length)
{
	struct expected_stream *stream;
	const char *id, *kind, *file;
	json_error_t error;
	json_t *record = json_loadb(text, length, JSON_ALLOW_NUL, &error);

	check->records++;
	if (!record) {
		problem(check, "is not JSON: %s at byte %d of %zu: '%s'", error.text,
			error.position, length,
			shown(text, length));
		return;
	}
	id = text_of(json_object_get(record, "container"), "id");
	kind = text_of(record, "stream");
	file = kind ? NULL : text_of(record, "file");
	stream = expectation__stream(&check->streams, id, kind, file);
	if (!stream) {
		problem(check, "unexpected: container %s, stream %s, file %s: '%s'", or_none(id),
			or_none(kind),
			or_none(file), shown(text, length));
	} else {
		check_identity(check, record, stream);
		check_content(check, record, stream);
	}
	json_decref(record);
}

static void read_records(struct check *check)
{
	char *line = NULL;
	size_t size = 0;
	ssize_t length;

	while ((length = getline(&line, &size, stdin)) > 0)
		check_record(check, line, length);
	free(line);
}

/* --- the end */

static void check_writer(struct check *check, struct expected_writer *writer)
{
	if (writer->next == writer->lines)
		return;
	writer->missing += writer->lines - writer->next;
	if (!check->allow_loss)
		problem(check, "%s: the last %" PRIu64 " of its %" PRIu64 " lines are missing",
			writer->source.writer,
			writer->lines - writer->next, writer->lines);
}

static void check_sum(struct check *check, const struct expected_stream *stream)
{
	if (stream->written == stream->delivered + stream->lost + stream->cut)
		return;
	problem(check,
		"container %s, stream %s, file %s: %" PRIu64 " bytes written, but %" PRIu64
		" delivered + %" PRIu64 " lost + %" PRIu64 " cut",
		or_none(stream->fields[FIELD_ID]), or_none(stream->fields[FIELD_STREAM]),
		or_none(stream->fields[FIELD_FILE]), stream->written, stream->delivered,
			stream->lost, stream->cut);
}

static void summarize(struct check *check)
{
	uint64_t written = 0, delivered = 0, lost = 0, missing = 0, streams = 0;
	struct expected_stream *stream;
	struct expected_writer *writer;

	check->ended = true;
	TAILQ_FOREACH(stream, &check->streams, link) {
		TAILQ_FOREACH(writer, &stream->writers, link) {
			check_writer(check, writer);
			missing += writer->missing;
		}
		check_sum(check, stream);
		written += stream->written;
		delivered += stream->delivered;
		lost += stream->lost;
		streams++;
	}
	printf("streams=%" PRIu64 " lines=%" PRIu64 " missing=%" PRIu64 " written=%" PRIu64
	       " delivered=%" PRIu64 " lost=%" PRIu64 " gaps=%" PRIu64 " cut=%" PRIu64
	       " duplicates=%" PRIu64 " problems=%" PRIu64 "\n",
	       streams, check->lines, missing, written, delivered, lost, check->gaps,
		       check->cut_lines,
	       check->duplicates, check->problems);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "allow-loss", no_argument, NULL, 'l' },
		{ "allow-duplicates", no_argument, NULL, 'd' },
		{ "allow-cut", required_argument, NULL, 'c' },
		{ NULL, 0, NULL, 0 },
	};
	struct check check = { .ids = ids__new() };
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == '?')
			return 2;
		check.allow_loss |= option == 'l';
		check.allow_duplicates |= option == 'd';
		if (option == 'c')
			check.allow_cut = strtoul(optarg, NULL, 10);
	}
	if (argc != optind + 1 || !check.ids) {
		fputs("usage: logcheck [--allow-loss] [--allow-duplicates] [--allow-cut BYTES] "
		      "EXPECTATION <RECORDS\n",
		      stderr);
		return 2;
	}
	expectation__read(argv[optind], &check.streams);
	read_records(&check);
	summarize(&check);
	expectation__free(&check.streams);
	ids__free(check.ids);
	return check.problems ? 1 : 0;
}
