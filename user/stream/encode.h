/*
 * Records as JSON, written once, straight into the shard's journal. Under which names: see layout.h
 * and the README. Owner: the shard's thread.
 */
#ifndef LOGTAP_ENCODE_H
#define LOGTAP_ENCODE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/config.h"
#include "lines/assembly.h"
#include "record.h"
#include "record/layout_source.h"
#include "record/process.h"

struct counters;
struct journal;

struct encoder_options {
	struct journal *journal;
	/* While the journal is full, one waits for these eventfds (not owned), reading them: */
	int space_fd;            /* that the journal writes when it has space again */
	int wake_fd;             /* that another thread writes after setting *abandon; -1: none */
	const bool *abandon;     /* stop waiting for space */
	bool drop_newest;        /* never wait: see encoder__line */
	struct counters *counters;
	enum invalid_utf8 invalid_utf8;
	const char *id_prefix;   /* of line ids: node, boot, shard and ring epoch */
	struct layout_options layout;
};

struct encoder;

/* The encoded common part of one stream's records. */
struct stream_text;

/* Beside those that the kernel half counts by stream: writes that it was never asked about. Whose they were and their bytes are unknown. */
#define LOSS_MISSED LOSS_COUNT
#define GAP_OF_NODE UINT32_MAX

struct gap {
	uint64_t bytes;
	uint64_t writes;
	unsigned int reason;     /* enum loss, or LOSS_MISSED */
	uint64_t time;           /* boot time, ns */
	uint32_t slot;           /* slot, generation and total name the gap for good; GAP_OF_NODE: of no stream */
	uint32_t generation;
	uint64_t total;          /* bytes and writes told so far: one of them rises with each gap */
};

/* Lines that found no room in the journal, to be told before the stream's next line. */
struct dropped {
	uint64_t bytes;          /* newlines included; 0: none, then the rest is 0 too */
	uint64_t lines;
	/* Of the first: its id names the gap for good. */
	uint64_t position;
	uint64_t offset;
	uint64_t time;
};

int encoder__new(const struct encoder_options *options, struct encoder **out);
void encoder__free(struct encoder *encoder);
/* Boot time to wall clock; call about once a second, so that a stepped clock is followed. */
void encoder__set_clock(struct encoder *encoder);

/* Nanoseconds from boot time to wall clock as set last; another's may be set instead. */
uint64_t encoder__clock(const struct encoder *encoder);
void encoder__restore_clock(struct encoder *encoder, uint64_t boot_to_wall);

/* Whether a full journal drops (drop_newest), as the options say at first, or is waited for. */
void encoder__set_dropping(struct encoder *encoder, bool dropping);

int stream_text__new(const struct encoder *encoder, const struct stream_source *source,
		     struct stream_text **out);
void stream_text__free(struct stream_text *text);
/* What it consists of, not NUL-terminated, and one made of that. */
struct text_parts {
	const char *fields;
	size_t fields_length;
	const char *key;
	size_t key_length;
	uint64_t stream;
	enum record_names names; /* the preset of its records, whatever the encoder's */
	unsigned int untold;     /* of who wrote: bits of enum process_field */
};
void stream_text__parts(const struct stream_text *text, struct text_parts *out);
int stream_text__restore(const struct text_parts *parts, struct stream_text **out);

/*
 * Appends one record, staged: see journal.h. Waits for journal space as long as it takes, and
 * shows what is staged then, for nothing else could free space. `process` may be NULL: pid and
 * tid are told without a name. 0, or an error, then the record is not in the journal: -ECANCELED
 * when *abandon was set while it waited; -ENOSPC with drop_newest when there is no space; -EMSGSIZE when it is
 * longer than the journal's records can be.
 */
int encoder__line(struct encoder *encoder, const struct stream_text *text, const struct line *line,
		  const struct process *process);
int encoder__gap(struct encoder *encoder, const struct stream_text *text, const struct gap *gap);
/* A gap for lines that found no room in the journal. */
int encoder__dropped(struct encoder *encoder, const struct stream_text *text, const struct dropped *dropped);

/* What the line is in the application's bytes: its newline included. */
static inline uint64_t line_bytes(const struct line *line)
{
	return line->length + (line->partial == PARTIAL_NONE || line->partial == PARTIAL_START);
}

#endif
