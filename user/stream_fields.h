/*
 * What a stream is made of, for stream.c (what becomes of its records) and stream_saved.c (what the
 * next agent must know).
 */
#ifndef LOGTAP_STREAM_FIELDS_H
#define LOGTAP_STREAM_FIELDS_H

#include "checkpoint.h"
#include "stream.h"

struct stream {
	struct stream_context *context;
	struct stream *next_changed;
	bool changed;                /* is in that list */
	struct stream_slot *slot;    /* NULL: another's by now */
	uint32_t index;
	uint32_t generation;
	enum stream_kind kind;
	char *file;
	enum wanted wanted;
	bool finished;
	struct stream_text *text;    /* made with the first record: the runtime's files may come late */
	bool text_restored;          /* made by the agent before, whose configuration may have been another */
	struct saved_text saved_text;
	struct assembly *assembly;
	uint64_t spill;              /* block of the heap, of lines.memory, for more half lines than a saved state holds */
	struct saved_processes processes;
	bool processes_changed;
	uint32_t process_half;       /* as saved */
	struct dropped dropped;
	/* Losses told so far, in gap records and counters. */
	uint64_t told_bytes[LOSS_COUNT];
	uint64_t told_writes[LOSS_COUNT];
	uint64_t told_bytes_total;
	uint64_t told_writes_total;
	/* The slot's totals at the last tick that passed: told at the next, so not worth saving. */
	uint64_t seen_bytes;
	uint64_t seen_writes;
};

/* An empty one. 0 or -ENOMEM. */
int stream__new(struct stream_context *context, uint32_t index, bool mid_line, struct stream **out);
/* To be saved by the commit to come. */
void stream__mark_changed(struct stream *stream);
struct heap *stream__heap(const struct stream *stream);
/* The stream's text, once: for the next agent, which cannot ask who a container was that has ended. */
void stream__save_text(struct stream *stream);
/* A block for more half lines than a saved state holds, if there is room for it; and back. */
void stream__take_spill(struct stream *stream);
void stream__give_spill(struct stream *stream);
/* All blocks but those of half lines. */
void stream__give_blocks(struct stream *stream);

#endif
