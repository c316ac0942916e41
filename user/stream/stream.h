/*
 * A stream as its shard knows it: who it is, its half lines, what was told of its losses. Owner:
 * the shard's thread.
 *
 * What follows from the ring's records alone may be made again after a crash and is then the same. All else that a stream
 * emits (at a timer, at its end, a gap, whose reasons stand in the slot) is a transaction of its own: what came before is
 * committed first, and then one record is appended, and committed at once.
 */
#ifndef LOGTAP_STREAM_H
#define LOGTAP_STREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "encode.h"
#include "lines/assembly.h"
#include "record.h"

struct capture;
struct checkpoint;
struct counters;
struct identity_cache;
struct pods;
struct saved_stream;
struct saved_processes;
struct selection;
struct stream;

/* What all streams of a shard share. Kept by the shard. */
struct stream_context {
	struct checkpoint *checkpoint;
	void (*commit)(void *owner); /* ends the transaction before the record that is being handled; nothing when nothing changed */
	void *owner;
	struct stream *changed;      /* to be saved by stream__save_changed */
	bool may_resume;             /* the next agent goes on here: what finds no space at the end is left to it... */
	bool cancelled;              /* ... so nothing may be committed any more */
	uint64_t replayed;           /* ring position: records before it may have been read by the agent before, too */
	uint64_t abandoned;          /* bytes of lines that found no space in the journal at the end */
	struct dropped untold;       /* at the end: bytes and lines that were dropped before, left to the next agent to tell */
	bool unknown_past;           /* a stream that is opened now may have had an agent whose memory is lost */
	struct capture *capture;
	struct selection *selection;
	struct identity_cache *identities;
	struct pods *pods;           /* NULL: nobody asks Kubernetes */
	uint64_t wait;               /* ns that a stream's lines wait for what it says of their pod */
	uint64_t waiting_limit;      /* bytes of them, of all streams... */
	uint64_t waiting_stream_limit; /* ...and of one */
	uint64_t waiting_bytes;
	unsigned int waits;          /* streams that wait */
	struct encoder *encoder;
	struct counters *counters;
	const struct assembly_options *assembly;
	enum kafka_key key;
};

/*
 * Decides whether the stream in this slot is wanted. -ENOMEM, or 0 and the stream, wanted or not.
 */
int stream__open(struct stream_context *context, uint32_t slot, struct stream **out);
/*
 * The stream as it was saved. `slot_lives`: its slot has this stream still, and it is decided again whether it is wanted;
 * else there is nothing left to do but to tell its half lines. -ENOMEM, or 0 and the stream.
 */
int stream__restore(struct stream_context *context, uint32_t slot, bool slot_lives, const struct saved_stream *saved,
		    const struct saved_processes *processes, struct stream **out);
/* Saves the streams that changed, for the next commit of the checkpoint. */
void stream__save_changed(struct stream_context *context);
/* Emits nothing: see stream__finish. Not while it waits to be saved. */
void stream__free(struct stream *stream);

uint32_t stream__generation(const struct stream *stream);
/* True when its lines come out; also when it was wanted only before. */
bool stream__wanted(const struct stream *stream);
/* True when no more is to be captured of it. */
bool stream__unwanted_now(const struct stream *stream);

/* What the shard's assembly options must have as emit: the context is the stream. */
void stream__emit(void *context, const struct line *line);

/* A data or process record of the stream's, at its place in the ring. */
void stream__record(struct stream *stream, const struct record *record, uint64_t position);
/* Nobody holds the stream for writing now: half lines end, if nothing behind them is still to be told as lost. */
void stream__eof(struct stream *stream);
/*
 * About once a second: tells losses that no record has told, and emits half lines that are too old
 * at `now` (boot time, ns), which is behind the clock while the ring is. `passed`: what was in the
 * ring at the last tick that passed has been read, so that the losses seen there have their place
 * here.
 */
void stream__tick(struct stream *stream, bool passed, uint64_t now);
/*
 * Asks for the stream's pod, outside of a batch: what it is called now holds for what comes, and what waits for it comes out, as it does
 * at the end of its time (`now`: boot time, ns).
 */
void stream__follow_pod(struct stream *stream, uint64_t now);
/* True when its lines wait for the pod. */
bool stream__waits(const struct stream *stream);
/* What waits for the pod comes out as it is known now, each line in a transaction of its own. */
void stream__end_wait(struct stream *stream);
/* The last words: half lines, marked with the reason, and losses. */
void stream__finish(struct stream *stream, enum partial why, uint64_t now);
/* Lines that were dropped and that no gap record tells yet, for the journal has no room for it. */
const struct dropped *stream__untold(const struct stream *stream);
/* These, or losses: stream__finish tells them once there is room. */
bool stream__has_untold(const struct stream *stream);
/* Tells the lines, if there is room. */
void stream__settle(struct stream *stream);
/* Of a stream without a slot: half lines that nobody can finish, and what is untold. */
void stream__abandon(struct stream *stream);
/* All is told: the next commit saves that only the slot is to be given back. */
void stream__retire(struct stream *stream);

#endif
