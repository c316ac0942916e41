#include "expectation.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const field_keys[FIELD_COUNT] = {
	[FIELD_ID] = "id",
	[FIELD_NAME] = "name",
	[FIELD_IMAGE] = "image",
	[FIELD_RUNTIME] = "runtime",
	[FIELD_POD] = "pod",
	[FIELD_NAMESPACE] = "namespace",
	[FIELD_UID] = "uid",
	[FIELD_STREAM] = "stream",
	[FIELD_FILE] = "file",
	[FIELD_LOG] = "log",
};

struct parse {
	const char *path;
	unsigned int line;
};

__attribute__((noreturn)) static void die(const struct parse *parse, const char *what,
					  const char *why)
{
	fprintf(stderr, "logcheck: %s:%u: %s: %s\n", parse->path, parse->line, what, why);
	exit(2);
}

static void *allocate(const struct parse *parse, size_t size)
{
	void *memory = calloc(1, size);

	if (!memory)
		die(parse, "out of memory", strerror(ENOMEM));
	return memory;
}

static uint64_t number(const struct parse *parse, const char *text)
{
	char *end;
	uint64_t value = strtoull(text, &end, 10);

	if (!*text || *end)
		die(parse, text, "is not a number");
	return value;
}

static bool set_field(struct expected_stream *stream, const char *key, const char *value)
{
	for (int i = 0; i < FIELD_COUNT; i++) {
		if (!strcmp(key, field_keys[i])) {
			free(stream->fields[i]);
			stream->fields[i] = strdup(value);
			return true;
		}
	}
	return false;
}

static void set(const struct parse *parse, struct expected_stream *stream,
		struct expected_writer *writer,
		const char *key, const char *value)
{
	int err = 0;

	if (!strcmp(key, "writer"))
		err = line__set_writer(&writer->source, value);
	else if (!strcmp(key, "sizes"))
		err = line__set_sizes(&writer->source, value);
	else if (!strcmp(key, "seed"))
		writer->source.seed = number(parse, value);
	else if (!strcmp(key, "lines"))
		writer->lines = number(parse, value);
	else if (!strcmp(key, "bytes"))
		stream->written = number(parse, value);
	else if (!strcmp(key, "binary"))
		writer->source.binary = number(parse, value);
	else if (!set_field(stream, key, value))
		err = -EINVAL;
	if (err)
		die(parse, key, "is not a key, or not with this value");
}

static void stream__free(struct expected_stream *stream)
{
	struct expected_writer *writer;

	while ((writer = TAILQ_FIRST(&stream->writers))) {
		TAILQ_REMOVE(&stream->writers, writer, link);
		free(writer);
	}
	for (int i = 0; i < FIELD_COUNT; i++)
		free(stream->fields[i]);
	free(stream);
}

/* Adds what a line said: a writer of a stream that is known already, or of a new one. */
static void add(const struct parse *parse, struct expected_streams *streams,
		struct expected_stream *stream,
		struct expected_writer *writer)
{
	struct expected_stream *known =
		expectation__stream(streams, stream->fields[FIELD_ID], stream->fields[FIELD_STREAM],
				    stream->fields[FIELD_FILE]);

	if (!*writer->source.writer || !writer->lines || !stream->written)
		die(parse, "writer, lines, bytes", "one of them is not given");
	if (!known) {
		TAILQ_INSERT_TAIL(streams, stream, link);
		known = stream;
	} else if (expectation__writer(known, writer->source.writer)) {
		die(parse, writer->source.writer, "is twice in one stream");
	} else {
		known->written += stream->written;
		stream__free(stream);
	}
	TAILQ_INSERT_TAIL(&known->writers, writer, link);
}

static void read_line(const struct parse *parse, char *text, struct expected_streams *streams)
{
	struct expected_stream *stream = allocate(parse, sizeof(*stream));
	struct expected_writer *writer = allocate(parse, sizeof(*writer));
	char *word;

	TAILQ_INIT(&stream->writers);
	while ((word = strsep(&text, " \n"))) {
		char *value = strchr(word, '=');

		if (!*word)
			continue;
		if (!value)
			die(parse, word, "is not KEY=VALUE");
		*value++ = 0;
		set(parse, stream, writer, word, value);
	}
	add(parse, streams, stream, writer);
}

void expectation__read(const char *path, struct expected_streams *streams)
{
	struct parse parse = { .path = path };
	FILE *file = fopen(path, "re");
	char *line = NULL;
	size_t size = 0;

	TAILQ_INIT(streams);
	if (!file)
		die(&parse, "cannot be read", strerror(errno));
	while (getline(&line, &size, file) > 0) {
		parse.line++;
		read_line(&parse, line, streams);
	}
	if (TAILQ_EMPTY(streams))
		die(&parse, "is empty", "it says nothing to check");
	free(line);
	fclose(file);
}

void expectation__free(struct expected_streams *streams)
{
	struct expected_stream *stream;

	while ((stream = TAILQ_FIRST(streams))) {
		TAILQ_REMOVE(streams, stream, link);
		stream__free(stream);
	}
}

static bool same(const char *a, const char *b)
{
	return a == b || (a && b && !strcmp(a, b));
}

struct expected_stream *expectation__stream(struct expected_streams *streams,
					    const char *container_id,
					    const char *kind, const char *file)
{
	struct expected_stream *stream;

	TAILQ_FOREACH(stream, streams, link)
		if (same(stream->fields[FIELD_ID], container_id) &&
		    same(stream->fields[FIELD_STREAM], kind) &&
		    same(stream->fields[FIELD_FILE], file))
			break;
	return stream;
}

struct expected_writer *expectation__writer(struct expected_stream *stream, const char *name)
{
	struct expected_writer *writer;

	TAILQ_FOREACH(writer, &stream->writers, link)
		if (!strcmp(writer->source.writer, name))
			break;
	return writer;
}
