/*
 * The shapes of records: under which names a record says what it says. One file a preset
 * (layout_*.c), one table for all who must know a record's shape: the encoder, and who makes
 * another of a record later: cut, or a gap in its place. Such a record is of its own preset,
 * whatever the configuration says by then. Constant data and pure functions, any thread.
 *
 * A record is, in this order: a head with the time and the stream's fields, ending with the text of
 * its id; what the id's closing and the process need; the message; an end of a few bytes.
 */
#ifndef LOGTAP_LAYOUT_H
#define LOGTAP_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/config.h"
#include "lines/assembly.h"

struct journal_meta;
struct layout_source;
struct process;
struct timestamps;

/* The fields of one stream, rendered once. */
struct layout_fields {
	const char *text;
	size_t length;
	size_t time_at;          /* the time stands before this byte of them */
};

/* What a line's record says beside the head, the id and the message. */
struct layout_line {
	const struct writer *writer;
	const struct process *process; /* NULL: pid and tid alone are known */
	enum partial partial;
	bool base64;
	unsigned int untold;     /* of the writer: bits of enum process_field */
};

/* The rest of a gap record, behind the id's text. */
struct layout_loss {
	const char *id_suffix;
	uint64_t bytes;
	const char *unit;        /* of what `count` counts: lines, writes */
	uint64_t count;
	const char *reason;
};

/* Of everything in a line's record but fields, id, process name and message, at most. */
#define LAYOUT_LINE_OVERHEAD 768
/* Of a gap's rest, with its NUL. */
#define LAYOUT_LOSS_SIZE 384

/* Labels of one kind. */
enum layout_labels {
	LAYOUT_POD_LABELS,
	LAYOUT_POD_ANNOTATIONS,
	LAYOUT_NAMESPACE_LABELS,
	LAYOUT_NODE_LABELS,
	LAYOUT_CONTAINER_LABELS,
	LAYOUT_LABELS,
};

struct layout {
	/* Paths of fields (see field_filter.h) about which is decided before they are written. */
	const char *labels[LAYOUT_LABELS];
	const char *process[PROCESS_FIELDS];
	size_t label_overhead;   /* bytes that a label takes beside its name and value */
	bool dedot;              /* whatever the configuration says */
	void (*fields)(FILE *out, const struct layout_source *source);
	/* Ends before the fields' byte at which the time stands; NULL: that is their first. */
	const char *time_marker;
	char *(*head)(char *out, struct timestamps *timestamps, uint64_t wall, const struct layout_fields *fields);
	/* From the id's text to the message. */
	char *(*middle)(char *out, const struct layout_line *line);
	/* Behind the message. */
	char *(*end)(char *out, enum partial partial);
	int (*loss)(char *out, size_t size, const struct layout_loss *loss);
	/* The mark of a partial line: right behind the id and what closes it; NULL: it is part of the end. */
	const char *id_close;
	const char *partial_open, *partial_close;
};

/* Of a number that is no preset's: the default's. */
const struct layout *layout__get(unsigned int names);
/* "start", "max_size", ... Not of PARTIAL_NONE. */
const char *layout__partial(enum partial partial);
/* Bits of enum process_field: those that are not among the fields. */
unsigned int layout__untold(const struct layout *layout, const struct globs_config *fields);
size_t layout__time_at(const struct layout *layout, const char *fields, size_t length);

/*
 * A record's value with its message cut to `message_len` bytes and marked as max_size, whatever mark
 * it had: its length; it is written to `out` unless that is NULL. The record has a message.
 */
size_t layout__cut(const struct journal_meta *meta, const char *value, size_t message_len, char *out);

extern const struct layout layout_default, layout_fluentbit, layout_ecs, layout_otel;

#endif
