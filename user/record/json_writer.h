/*
 * Members of JSON objects, one after the other, into a stream. An object that gets no member is not
 * written at all, nor is a member that the filter (field_filter.h) leaves out. Names and values are
 * untrusted text: they are escaped. Owner: the caller, one thread. A failure of the stream is for its
 * owner to see, at fclose.
 */
#ifndef LOGTAP_JSON_WRITER_H
#define LOGTAP_JSON_WRITER_H

#include <stdbool.h>
#include <stdio.h>

#define JSON_WRITER_DEPTH 8

struct globs_config;

struct json_writer {
	FILE *out;
	bool comma;              /* the next member needs one before it */
	unsigned int depth;      /* objects that are open */
	unsigned int written;    /* of these, those whose beginning is written */
	const char *names[JSON_WRITER_DEPTH];
	const struct globs_config *fields; /* by paths; NULL: all are written */
};

/* The members that are written become those of an object of this name, until it is closed. */
void json_writer__open(struct json_writer *writer, const char *name);
void json_writer__close(struct json_writer *writer);
/* NULL or an empty value writes nothing. */
void json_writer__string(struct json_writer *writer, const char *name, const char *value);
/* Also an empty value. */
void json_writer__text(struct json_writer *writer, const char *name, const char *value);
/* The value is JSON itself: a number, true, an array. */
void json_writer__raw(struct json_writer *writer, const char *name, const char *value);
/* An array of those before the first NULL, of `most` at most; nothing when there are none. */
void json_writer__strings(struct json_writer *writer, const char *name, char *const *values, unsigned int most);
/* The digits of a number; nothing for any other text. */
void json_writer__digits(struct json_writer *writer, const char *name, const char *digits);

/* --- whatever the filter says */

/* The name alone: the value is the caller's to write. */
void json_writer__begin(struct json_writer *writer, const char *name);
/* As json_writer__raw. */
void json_writer__always(struct json_writer *writer, const char *name, const char *value);

/* Quotes and escapes. */
void json_writer__quote(FILE *out, const char *text);

#endif
