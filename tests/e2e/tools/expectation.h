/*
 * What logcheck expects: streams, and the writers in each. Read from a file with one writer a line:
 *     writer=NAME seed=S lines=N bytes=WRITTEN [sizes=mix|short|plain] [binary=1]
 * and, on the same line, either of
 *     stream=stdout|stderr id=CONTAINER_ID [runtime= name= image= pod= namespace= uid= log=]
 *     file=PATH
 * A key that is not given must be missing in the records too. `lines=N bytes=WRITTEN` is what
 * loglines reports.
 */
#ifndef E2E_EXPECTATION_H
#define E2E_EXPECTATION_H

#include <sys/queue.h>

#include "line.h"

enum field {
	FIELD_ID, FIELD_NAME, FIELD_IMAGE, FIELD_RUNTIME, FIELD_POD, FIELD_NAMESPACE, FIELD_UID,
	FIELD_STREAM, FIELD_FILE, FIELD_LOG, FIELD_COUNT
};

struct expected_writer {
	TAILQ_ENTRY(expected_writer) link;
	struct line_source source;
	uint64_t lines;
	uint64_t next;           /* the number that comes next */
	uint64_t missing;
};

struct expected_stream {
	TAILQ_ENTRY(expected_stream) link;
	TAILQ_HEAD(, expected_writer) writers;
	char *fields[FIELD_COUNT]; /* NULL: must be missing */
	uint64_t written;        /* bytes, by its writers' reports */
	uint64_t delivered;
	uint64_t lost;
	uint64_t cut;            /* told by partial: max_size */
};

TAILQ_HEAD(expected_streams, expected_stream);

/* Ends the program with a message when the file cannot be read or makes no sense. */
void expectation__read(const char *path, struct expected_streams *streams);
void expectation__free(struct expected_streams *streams);

/* The stream of a record that says so of itself (NULL: does not say), or NULL. */
struct expected_stream *expectation__stream(struct expected_streams *streams,
					    const char *container_id,
					    const char *stream, const char *file);
struct expected_writer *expectation__writer(struct expected_stream *stream, const char *name);

#endif
