#include "stream.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/counters.h"
#include "capture/capture.h"
#include "kubernetes/pod.h"
#include "selection/selection.h"
#include "stream_fields.h"

static const struct {
	enum counter bytes;
	enum counter writes;
} loss_counter[LOSS_COUNT] = {
	[LOSS_RING_FULL] = { COUNTER_bytes_lost_ring_full, COUNTER_writes_lost_ring_full },
	[LOSS_UNSUPPORTED] = { COUNTER_bytes_lost_unsupported, COUNTER_writes_lost_unsupported },
	[LOSS_FAULT] = { COUNTER_bytes_lost_fault, COUNTER_writes_lost_fault },
};

static void mark_assembly(struct stream *stream)
{
	if (assembly__changed(stream->assembly))
		stream__mark_changed(stream);
}

void stream__commit(struct stream *stream)
{
	stream->context->commit(stream->context->owner);
}

/* What an agent whose memory is lost has told nobody knows: better not to tell it twice. */
static void assume_told(struct stream *stream)
{
	for (int reason = 0; reason < LOSS_COUNT; reason++) {
		stream->told_bytes[reason] = stream->slot->lost_bytes_by[reason];
		stream->told_writes[reason] = stream->slot->lost_writes_by[reason];
		stream->told_bytes_total += stream->told_bytes[reason];
		stream->told_writes_total += stream->told_writes[reason];
	}
}

int stream__open(struct stream_context *context, uint32_t slot, struct stream **out)
{
	struct stream_slot *s = capture__slot(context->capture, slot);
	struct stream *stream;
	int err = stream__new(context, slot, s->flags & SLOT_MID_LINE || context->unknown_past, &stream);

	if (err)
		return err;
	stream->slot = s;
	stream->generation = s->generation;
	stream__learn_pod(stream);
	if (context->unknown_past)
		assume_told(stream);
	stream__admit(stream);
	stream__mark_changed(stream);
	*out = stream;
	return 0;
}

void stream__free(struct stream *stream)
{
	if (!stream)
		return;
	assembly__free(stream->assembly);
	stream__give_blocks(stream);
	stream__forget_wait(stream);
	stream_text__free(stream->text);
	pod__put(stream->pod);
	free(stream->file);
	free(stream);
}

uint32_t stream__generation(const struct stream *stream)
{
	return stream->generation;
}

bool stream__wanted(const struct stream *stream)
{
	return stream->wanted != WANTED_NEVER;
}

bool stream__unwanted_now(const struct stream *stream)
{
	return stream->wanted != WANTED_NOW;
}

static const struct process *find_process(const struct stream *stream, const struct writer *writer)
{
	for (int i = 0; i < WAY_DEPTH; i++) {
		const struct process *process = &stream->processes.way[writer->way][i];

		if (process->tag == writer->tag && process->tgid == writer->tgid)
			return process;
	}
	return NULL;
}

static int tell_dropped(struct stream *stream)
{
	int err = encoder__dropped(stream->context->encoder, stream->text, &stream->dropped);

	if (err)
		return err;
	memset(&stream->dropped, 0, sizeof(stream->dropped));
	stream__mark_changed(stream);
	return 0;
}

static void drop(struct stream *stream, const struct line *line)
{
	struct dropped *dropped = &stream->dropped;

	if (!dropped->lines) {
		dropped->position = line->position;
		dropped->offset = line->offset;
		dropped->time = line->time;
	}
	dropped->lines++;
	dropped->bytes += line_bytes(line);
	counters__add(stream->context->counters, COUNTER_lines_lost_journal_full, 1);
	counters__add(stream->context->counters, COUNTER_bytes_lost_journal_full, line_bytes(line));
	stream__mark_changed(stream);
}

/* No record could be made: there is no memory, or the end came before there was space. */
static void give_up(struct stream *stream, int err, uint64_t bytes)
{
	if (err == -ECANCELED && stream->context->may_resume) {
		stream->context->cancelled = true;
		return;
	}
	counters__add(stream->context->counters, COUNTER_bytes_abandoned, bytes);
	stream->context->abandoned += err == -ECANCELED ? bytes : 0;
}

/*
 * In a transaction of its own, behind that which dropped: else an agent could be killed when the sink has seen the gap, and
 * the next one, which finds room, would make the lines. It may find no room yet.
 */
void stream__settle(struct stream *stream)
{
	int err;

	if (!stream->dropped.bytes || !stream->text)
		return;
	stream__commit(stream);
	if (stream->context->cancelled)
		return;
	err = tell_dropped(stream);
	if (!err)
		stream__commit(stream);
	else if (err != -ENOSPC)
		give_up(stream, err, 0);
}

/* What was dropped lies before whatever comes next: until it is told, all is dropped. */
bool stream__append(struct stream *stream, const struct line *line, const struct process *process)
{
	int err = -ENOMEM;

	if (stream->context->cancelled)
		return false;
	/* What has come out is not called back. */
	stream->undecided = false;
	if (stream->dropped.bytes)
		err = -ENOSPC;
	else if (stream->text)
		err = encoder__line(stream->context->encoder, stream->text, line, process);
	if (err == -ENOSPC)
		drop(stream, line);
	else if (err)
		give_up(stream, err, line->length);
	return !stream->context->cancelled;
}

/* A line that finds no room to wait ends the wait for all: of an undecided stream as what is unknown is configured. */
void stream__emit(void *context, const struct line *line)
{
	struct stream *stream = context;
	const struct process *process = find_process(stream, &line->writer);

	if (stream->context->cancelled)
		return;
	if (stream->wanted && stream->waiting.deadline && stream__wait(stream, line, process))
		return;
	if (!stream->wanted || stream__is_left_out(stream)) {
		counters__add(stream->context->counters, COUNTER_bytes_discarded, line_bytes(line));
		return;
	}
	if (stream->waiting.deadline)
		stream__release(stream);
	stream__append(stream, line, process);
}

/* In transactions of their own, one half line each. Of a stream that is not wanted none comes out. */
static void flush(struct stream *stream, uint64_t before, enum partial why)
{
	while (stream->wanted && assembly__waits(stream->assembly, before)) {
		stream__commit(stream);
		stream__settle(stream);
		/* It would end the wait within this transaction. */
		if (stream->waiting.deadline &&
		    !stream__has_room_to_wait(stream, assembly__oldest_length(stream->assembly, before)))
			stream__end_wait(stream);
		assembly__flush_one(stream->assembly, before, why);
		mark_assembly(stream);
		stream__commit(stream);
	}
}

static void count_told(struct stream *stream, const struct gap *gap)
{
	const struct stream_context *context = stream->context;

	stream->told_bytes[gap->reason] += gap->bytes;
	stream->told_writes[gap->reason] += gap->writes;
	stream->told_bytes_total += gap->bytes;
	stream->told_writes_total += gap->writes;
	counters__add(context->counters, loss_counter[gap->reason].bytes, gap->bytes);
	counters__add(context->counters, loss_counter[gap->reason].writes, gap->writes);
	stream__mark_changed(stream);
}

/* Tells one gap, in a transaction of its own. False when it could not be told now. */
static bool tell_gap(struct stream *stream, struct gap *gap)
{
	const struct stream_text *text = stream__text(stream);
	int err;

	stream__end_wait(stream);
	gap->total = stream->told_bytes_total + stream->told_writes_total + gap->bytes + gap->writes;
	stream__settle(stream);
	if (!text || stream->context->cancelled || !stream->wanted)
		return false;
	err = stream->dropped.bytes ? -ENOSPC : encoder__gap(stream->context->encoder, text, gap);
	stream->losses_untold = err == -ENOSPC;
	if (err == -ENOSPC)
		return false;
	if (err)
		give_up(stream, err, 0);
	/* The next agent tells it. */
	if (stream->context->cancelled)
		return false;
	count_told(stream, gap);
	stream__commit(stream);
	return true;
}

/*
 * Tells up to `bytes` and `writes` in total as lost, by reason. The slot's totals by reason may
 * already be ahead of what a record knew: the rest is told when its turn comes.
 */
static void tell_losses(struct stream *stream, uint64_t bytes, uint64_t writes, uint64_t time)
{
	for (int reason = 0; reason < LOSS_COUNT; reason++) {
		uint64_t lost_bytes = stream->slot->lost_bytes_by[reason] - stream->told_bytes[reason];
		uint64_t lost_writes = stream->slot->lost_writes_by[reason] - stream->told_writes[reason];
		struct gap gap = {
			.bytes = lost_bytes < bytes ? lost_bytes : bytes,
			.writes = lost_writes < writes ? lost_writes : writes,
			.reason = reason,
			.time = time,
			.slot = stream->index,
			.generation = stream->generation,
		};

		if (!gap.bytes && !gap.writes)
			continue;
		if (!tell_gap(stream, &gap))
			return;
		bytes -= gap.bytes;
		writes -= gap.writes;
	}
}

/* Losses up to these totals lie before this place in the stream. */
static void check_losses(struct stream *stream, uint64_t bytes, uint64_t writes, uint64_t time)
{
	uint64_t told_bytes = stream->told_bytes_total;
	uint64_t told_writes = stream->told_writes_total;

	/* The two totals rise one after the other, and records may carry older ones. */
	bytes = bytes > told_bytes ? bytes - told_bytes : 0;
	writes = writes > told_writes ? writes - told_writes : 0;
	if (!bytes && !writes)
		return;
	flush(stream, UINT64_MAX, PARTIAL_LOST);
	assembly__break(stream->assembly);
	mark_assembly(stream);
	tell_losses(stream, bytes, writes, time);
}

static struct writer record_writer(const struct record *record)
{
	struct writer writer = {
		.start_time = record->start_time,
		.tgid = record->tgid,
		.tid = record->tid,
		.tag = record->writer,
		.way = record->way % SLOT_WRITERS,
	};

	return writer;
}

static void learn_process(struct stream *stream, const struct record *record)
{
	const struct process_payload *payload = record_payload(record);
	struct process *way = stream->processes.way[record->way % SLOT_WRITERS];

	if (record_payload_length(record) < sizeof(*payload))
		return;
	way[1] = way[0];
	memset(&way[0], 0, sizeof(way[0]));
	way[0].tag = record->writer;
	way[0].tgid = record->tgid;
	way[0].uid = payload->uid;
	memcpy(way[0].name, payload->name, PROCESS_NAME_SIZE);
	stream->processes_changed = true;
	stream__mark_changed(stream);
}

/* Without memory for more half lines than a saved state holds, the oldest gives way. */
static void allow_half_lines(struct stream *stream)
{
	unsigned int count = assembly__count(stream->assembly);

	if (stream->spill == HEAP_NONE && count >= SAVED_CARRIES)
		stream__take_spill(stream);
	if (stream->spill == HEAP_NONE || count)
		return;
	/* It is of lines.memory, which others may need. */
	stream__give_spill(stream);
	assembly__allow(stream->assembly, SAVED_CARRIES);
	stream__mark_changed(stream);
}

static void add_data(struct stream *stream, const struct record *record, uint64_t position)
{
	struct counters *counters = stream->context->counters;
	struct piece piece = {
		.bytes = record_payload(record),
		.length = record_payload_length(record),
		.position = position,
		.time = record->time,
		.writer = record_writer(record),
		.write_length = record->write_length,
		.write_offset = record->write_offset,
	};

	counters__add(counters, COUNTER_writes_captured, piece.write_offset == 0);
	counters__add(counters, COUNTER_bytes_captured, piece.length);
	if (!stream->wanted) {
		counters__add(counters, COUNTER_bytes_discarded, piece.length);
		return;
	}
	stream__renew_text(stream, position);
	stream__text(stream);
	stream__settle(stream);
	check_losses(stream, record->lost_bytes, record->lost_writes, record->time);
	allow_half_lines(stream);
	assembly__add(stream->assembly, &piece);
	mark_assembly(stream);
}

void stream__record(struct stream *stream, const struct record *record, uint64_t position)
{
	if (record->length < record->header_length || record->header_length < RECORD_HEADER_MIN)
		return;
	if (record->type == RECORD_PROCESS)
		learn_process(stream, record);
	else
		add_data(stream, record, position);
}

/*
 * What is lost and not told yet may be the rest of a half line: that is told where the gap is, by check_losses, before which it
 * neither ends nor times out.
 */
static bool has_losses_behind(const struct stream *stream)
{
	return __atomic_load_n(&stream->slot->lost_bytes, __ATOMIC_ACQUIRE) > stream->told_bytes_total ||
	       __atomic_load_n(&stream->slot->lost_writes, __ATOMIC_ACQUIRE) > stream->told_writes_total;
}

void stream__eof(struct stream *stream)
{
	if (!has_losses_behind(stream))
		flush(stream, UINT64_MAX, PARTIAL_EOF);
}

void stream__tick(struct stream *stream, bool passed, uint64_t now)
{
	if (!stream->wanted)
		return;
	if (passed) {
		check_losses(stream, stream->seen_bytes, stream->seen_writes, now);
		stream->seen_bytes = __atomic_load_n(&stream->slot->lost_bytes, __ATOMIC_ACQUIRE);
		stream->seen_writes = __atomic_load_n(&stream->slot->lost_writes, __ATOMIC_ACQUIRE);
	}
	if (!has_losses_behind(stream))
		flush(stream, assembly__overdue(stream->assembly, now), PARTIAL_TIMEOUT);
	stream__settle(stream);
}

void stream__finish(struct stream *stream, enum partial why, uint64_t now)
{
	if (!stream->wanted)
		return;
	check_losses(stream, stream->slot->lost_bytes, stream->slot->lost_writes, now);
	flush(stream, UINT64_MAX, why);
	stream__settle(stream);
}

const struct dropped *stream__untold(const struct stream *stream)
{
	return &stream->dropped;
}

bool stream__has_untold(const struct stream *stream)
{
	return stream->dropped.bytes || (stream->wanted && stream->losses_untold);
}

void stream__abandon(struct stream *stream)
{
	stream__end_wait(stream);
	flush(stream, UINT64_MAX, PARTIAL_LOST);
	stream__settle(stream);
	if (stream->text || !stream->dropped.bytes)
		return;
	/* What it was called could not be saved: nobody can tell it, now or later. */
	counters__add(stream->context->counters, COUNTER_bytes_abandoned, stream->dropped.bytes);
	memset(&stream->dropped, 0, sizeof(stream->dropped));
	stream__mark_changed(stream);
}

void stream__retire(struct stream *stream)
{
	stream->finished = true;
	stream__give_blocks(stream);
	stream__mark_changed(stream);
}
