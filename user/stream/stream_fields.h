/*
 * What a stream is made of, for stream.c (what becomes of its records) and stream_saved.c (what the
 * next agent must know).
 */
#ifndef LOGTAP_STREAM_FIELDS_H
#define LOGTAP_STREAM_FIELDS_H

#include "checkpoint.h"
#include "identity/cgroup_path.h"
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
	bool undecided;              /* it is wanted until its pod says otherwise, and nothing of it has come out */
	bool finished;
	struct stream_text *text;    /* made with the first record: the runtime's files may come late */
	bool text_restored;          /* made by the agent before, whose configuration may have been another */
	unsigned int text_lacks;     /* enum text_lacks, together */
	struct saved_text saved_text;
	char pod_uid[POD_UID_MAX + 1]; /* "": nothing is to be asked about a pod */
	const struct pod *pod;       /* a reference; NULL: not known */
	uint64_t pods_version;       /* before it was asked for last */
	bool pod_refused;            /* another one said that it was that pod, which was told */
	struct waiting waiting;      /* lines that wait for the pod */
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
	bool losses_untold;          /* the latest gap of them found no room */
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
/* Ends the transaction before the record that is being handled. */
void stream__commit(struct stream *stream);

/* Whether the stream is wanted, in stream_wanted.c. */

/* Decides it for a stream that is new, and counts it. */
void stream__admit(struct stream *stream);
/* For one that an agent before has admitted: the configuration may have changed. 0 or -ENOMEM. */
int stream__admit_again(struct stream *stream);
/*
 * For who ends an undecided stream's wait early: true when it is left out by what is known, with all that waits, as part of
 * this transaction.
 */
bool stream__is_left_out(struct stream *stream);
/* Decides with what is known now of its pod. `over`: nothing more is waited for. */
void stream__decide(struct stream *stream, bool over);

/* Who the stream is, in stream_identity.c. */

/* NULL: in no container. Valid until the next call. */
const struct identity *stream__identity(const struct stream *stream);
/*
 * What its records have in common, made before the first: then it may have to wait for its pod. NULL without memory: the
 * caller's record cannot be made then, which the caller counts.
 */
const struct stream_text *stream__text(struct stream *stream);
/* For the record at this position, when the text is of the agent before. */
void stream__renew_text(struct stream *stream, uint64_t position);
/* Once the slot is known: which pod is to be asked about. */
void stream__learn_pod(struct stream *stream);
/* Asks for it. True when another is known than before. */
bool stream__take_pod(struct stream *stream);
/* Nothing is known of the pod that the stream belongs to. */
bool stream__lacks_pod(const struct stream *stream);

/* One record of a line, or what becomes of it when there is no room. False when it is the next agent's. */
bool stream__append(struct stream *stream, const struct line *line, const struct process *process);
/* True when a line of this length finds room to wait. */
bool stream__has_room_to_wait(const struct stream *stream, size_t length);
/* Takes a line to those that wait. False when there is no room. */
bool stream__wait(struct stream *stream, const struct line *line, const struct process *process);
/* The state's: nothing waits any more, and it counts no longer. */
void stream__forget_wait(struct stream *stream);
/* Appends what waits, as part of this transaction; nothing waits from here on. */
void stream__release(struct stream *stream);
/* A block for more half lines than a saved state holds, if there is room for it; and back. */
void stream__take_spill(struct stream *stream);
void stream__give_spill(struct stream *stream);
/* All blocks but those of half lines. */
void stream__give_blocks(struct stream *stream);

#endif
