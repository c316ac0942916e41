/*
 * A stream as its shard knows it: who it is, its half lines, what was told of its losses. Owner:
 * the shard's thread.
 */
#ifndef LOGTAP_STREAM_H
#define LOGTAP_STREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "assembly.h"
#include "encode.h"
#include "record.h"

struct capture;
struct counters;
struct identity_cache;
struct selection;

/* What all streams of a shard share. Kept by the shard. */
struct stream_context {
	struct capture *capture;
	struct selection *selection;
	struct identity_cache *identities;
	struct encoder *encoder;
	struct counters *counters;
	const struct assembly_options *assembly;
	enum kafka_key key;
};

struct stream;

/*
 * Decides whether the stream in this slot is wanted. -ENOMEM, or 0 and the stream, wanted or not.
 */
int stream__open(struct stream_context *context, uint32_t slot, struct stream **out);
/* Emits nothing: see stream__finish. */
void stream__free(struct stream *stream);

uint32_t stream__generation(const struct stream *stream);
bool stream__wanted(const struct stream *stream);

/* What the shard's assembly options must have as emit: the context is the stream. */
void stream__emit(void *context, const struct line *line);

/* A data or process record of the stream's, at its place in the ring. */
void stream__record(struct stream *stream, const struct record *record, uint64_t position);
/* Nobody holds the stream for writing now: half lines end. */
void stream__eof(struct stream *stream);
/*
 * About once a second: tells losses that no record has told, and emits half lines that are too old
 * at `now` (boot time, ns), which is behind the clock while the ring is. `passed`: what was in the
 * ring at the last tick that passed has been read, so that the losses seen there have their place
 * here.
 */
void stream__tick(struct stream *stream, bool passed, uint64_t now);
/* The last words: half lines, marked with the reason, and losses. */
void stream__finish(struct stream *stream, enum partial why, uint64_t now);

#endif
