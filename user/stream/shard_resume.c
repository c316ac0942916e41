#include "shard_fields.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "capture/ring.h"

#define SETTLE_TRIES 8

/*
 * The half lines of streams that have no slot any more, and what is not told of them: nobody else will. Waits for room, for
 * a second loss could not be told.
 */
static int let_go(struct shard *shard, uint32_t slot, const struct saved_stream *saved)
{
	struct stream *stream;
	int err = stream__restore(&shard->context, slot, false, saved,
				  checkpoint__saved_processes(shard->options.checkpoint, slot), &stream);

	if (err)
		return err;
	encoder__set_dropping(shard->context.encoder, false);
	stream__abandon(stream);
	encoder__set_dropping(shard->context.encoder, shard->encoder.drop_newest);
	if (stream__untold(stream)->bytes)
		shard->context.cancelled = true;
	stream__retire(stream);
	shard__commit(shard);
	/* What was cancelled is the next agent's. */
	if (shard->context.cancelled)
		shard->context.changed = NULL;
	stream__free(stream);
	return 0;
}

static int restore_stream(struct shard *shard, uint32_t slot)
{
	const struct saved_stream *saved = checkpoint__saved(shard->options.checkpoint, slot);
	const struct stream_slot *s = shard__slot(shard, slot);
	bool lives;
	struct stream *stream;
	int err;

	if (!saved)
		return 0;
	lives = s->generation == saved->generation && s->shard == shard->options.index &&
		__atomic_load_n(&s->state, __ATOMIC_ACQUIRE) != SLOT_FREE;
	if (saved->finished) {
		if (lives)
			capture__free_slot(shard->options.capture, slot);
		return 0;
	}
	if (!lives)
		return let_go(shard, slot, saved);
	err = stream__restore(&shard->context, slot, true, saved,
			      checkpoint__saved_processes(shard->options.checkpoint, slot), &stream);
	if (!err)
		shard__settle(shard, slot, stream);
	return err;
}

/*
 * The file is of rings that are no more, or knows nothing: what it has of half lines comes out under
 * its own ids, and it starts afresh.
 */
int shard__leave_epoch(struct shard *shard)
{
	struct checkpoint *checkpoint = shard->options.checkpoint;
	struct encoder_options options = shard->encoder;
	struct encoder *present = shard->context.encoder;
	int err;

	options.id_prefix = checkpoint__id_prefix(checkpoint);
	err = encoder__new(&options, &shard->context.encoder);
	if (err)
		return err;
	if (checkpoint__clock(checkpoint))
		encoder__restore_clock(shard->context.encoder, checkpoint__clock(checkpoint));
	for (uint32_t slot = 0; !err && slot < checkpoint__streams(checkpoint); slot++) {
		const struct saved_stream *saved = checkpoint__saved(checkpoint, slot);

		if (saved && !saved->finished)
			err = let_go(shard, slot, saved);
	}
	encoder__free(shard->context.encoder);
	shard->context.encoder = present;
	if (err || shard->context.cancelled)
		return err;
	err = checkpoint__restart(checkpoint);
	if (!err)
		shard->assembly.heap = checkpoint__heap(checkpoint);
	/* The new file has no commit yet, wherever ring and journal stand. */
	memset(&shard->committed, 0xff, sizeof(shard->committed));
	return err;
}

/* Goes on where the agent before has ended: its place in the ring, its streams. */
static int resume(struct shard *shard)
{
	struct checkpoint *checkpoint = shard->options.checkpoint;
	struct checkpoint_position position;
	bool known = checkpoint__position(checkpoint, &position);
	bool same = checkpoint__same_epoch(checkpoint);
	bool was_read;
	int err = 0;

	shard->consumed = ring__consumed(shard->ring);
	was_read = shard->consumed;
	/* A file of another epoch is of no use even when nothing was ever committed to it. */
	if (!same || (known && ring__seek(shard->ring, position.ring))) {
		if (same)
			log_warn("shard %u: the checkpoint is of another place than its ring: losses may be told late or not at all",
				 shard->options.index);
		known = false;
		err = shard__leave_epoch(shard);
	}
	shard->context.unknown_past = !known && was_read;
	shard__settle_missed(shard, known ? &position : NULL);
	if (!known || err || shard->context.cancelled)
		return err;
	shard->consumed = position.ring;
	if (checkpoint__clock(checkpoint))
		encoder__restore_clock(shard->context.encoder, checkpoint__clock(checkpoint));
	for (uint32_t slot = 0; !err && slot < checkpoint__streams(checkpoint); slot++)
		err = restore_stream(shard, slot);
	return err;
}

/* Bytes of the ring that each slot's records behind our place take. False when one is still being written. */
static bool add_unread(struct shard *shard, uint64_t *held)
{
	uint64_t start = ring__consumed(shard->ring), end = ring__produced(shard->ring), position;
	const struct record *record;
	bool whole;

	while (ring__consumed(shard->ring) < end && (record = ring__next(shard->ring, &position)))
		if (shard__is_held(shard, record))
			held[record->slot] += ring__consumed(shard->ring) - position;
	whole = ring__consumed(shard->ring) >= end;
	ring__seek(shard->ring, start);
	return whole;
}

/*
 * An agent that was killed may have counted records twice or not at all: what a stream holds is what
 * is there of it. Exact for a stream that nobody writes to meanwhile; what is written meanwhile may be off
 * until the ring is idle.
 */
static void settle_shares(struct shard *shard)
{
	size_t slots = capture__max_streams(shard->options.capture);
	uint64_t *held = calloc(2 * slots, sizeof(*held)), *sent = held + slots;
	bool changed = held;

	for (int tries = 0; changed && tries < SETTLE_TRIES; tries++) {
		memset(held, 0, slots * sizeof(*held));
		for (unsigned int i = 0; i < shard->live_count; i++)
			sent[shard->live[i]] = __atomic_load_n(&shard__slot(shard, shard->live[i])->sent, __ATOMIC_SEQ_CST);
		changed = !add_unread(shard, held);
		for (unsigned int i = 0; i < shard->live_count; i++) {
			uint32_t slot = shard->live[i];
			struct stream_slot *s = shard__slot(shard, slot);

			s->consumed = sent[slot] - held[slot];
			changed |= __atomic_load_n(&s->sent, __ATOMIC_SEQ_CST) != sent[slot];
		}
	}
	free(held);
}

/*
 * Before the first record. The streams that are there and were not saved: opened while no agent ran,
 * or never saved for want of space; who writes to them is asked again.
 */
int shard__take_up(struct shard *shard)
{
	unsigned int restored;
	int err = resume(shard);

	if (err || shard->context.cancelled)
		return err;
	shard->context.replayed = ring__produced(shard->ring);
	checkpoint__set_clock(shard->options.checkpoint, encoder__clock(shard->context.encoder));
	restored = shard->live_count;
	shard__scan_slots(shard);
	for (unsigned int i = restored; i < shard->live_count; i++) {
		struct stream_slot *slot = shard__slot(shard, shard->live[i]);

		memset(slot->writers, 0, sizeof(slot->writers));
	}
	shard->context.unknown_past = false;
	shard__commit(shard);
	settle_shares(shard);
	return 0;
}

int shard__wind_up(const struct shard_options *options)
{
	struct shard *shard = calloc(1, sizeof(*shard));
	int err;

	if (!shard)
		return -ENOMEM;
	shard->options = *options;
	shard->epoll = shard->wake = -1;
	/* Nothing takes from the journal yet. */
	shard->abandon = true;
	shard->context.may_resume = true;
	err = shard__open_context(shard);
	err = err ? err : shard__leave_epoch(shard);
	if (!err && shard->context.cancelled)
		err = -EAGAIN;
	shard__free(shard);
	return err;
}
