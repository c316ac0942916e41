/*
 * Records as JSON, written once, straight into the shard's journal. The names are design.md's
 * promise to users; they are documented in the README. Owner: the shard's thread.
 */
#ifndef LOGTAP_ENCODE_H
#define LOGTAP_ENCODE_H

#include <stdbool.h>
#include <stdint.h>

#include "assembly.h"
#include "record.h"

struct counters;
struct identity;
struct journal;

struct encoder_options {
	struct journal *journal;
	int space_fd;            /* eventfd that the journal writes when it has space again; not owned */
	const bool *abandon;     /* set by another thread: stop waiting for space */
	struct counters *counters;
	enum invalid_utf8 invalid_utf8;
	const char *node;
	const char *id_prefix;   /* of line ids: node, boot, shard and ring epoch */
};

struct encoder;

/* What all records of one stream have in common. Strings are "" or NULL where there is nothing. */
struct stream_source {
	enum stream_kind kind;
	const char *file;
	const struct identity *identity; /* NULL: not in a container */
	enum kafka_key key;
	uint64_t stream;         /* names it in its shard, see struct journal_meta */
};

/* The encoded common part of one stream's records. */
struct stream_text;

/* Who wrote, as the kernel half told once. */
struct process {
	uint32_t tag;
	uint32_t tgid;
	uint32_t uid;
	char name[PROCESS_NAME_SIZE + 1];
};

struct gap {
	uint64_t bytes;
	uint64_t writes;
	enum loss reason;
	uint64_t time;           /* boot time, ns */
	uint32_t slot;           /* slot, generation and total name the gap for good */
	uint32_t generation;
	uint64_t total;          /* bytes and writes told so far: one of them rises with each gap */
};

int encoder__new(const struct encoder_options *options, struct encoder **out);
void encoder__free(struct encoder *encoder);
/* Boot time to wall clock; call about once a second, so that a stepped clock is followed. */
void encoder__set_clock(struct encoder *encoder);

int stream_text__new(const struct encoder *encoder, const struct stream_source *source,
		     struct stream_text **out);
void stream_text__free(struct stream_text *text);

/*
 * Appends one record, waiting for journal space as long as it takes. 0, or -ECANCELED when *abandon
 * was set while it waited: the record is not in the journal. `process` may be NULL: pid and tid are
 * told without a name.
 */
int encoder__line(struct encoder *encoder, const struct stream_text *text, const struct line *line,
		  const struct process *process);
int encoder__gap(struct encoder *encoder, const struct stream_text *text, const struct gap *gap);

#endif
