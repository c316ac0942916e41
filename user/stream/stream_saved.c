#include "stream_fields.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/counters.h"
#include "base/log.h"
#include "capture/capture.h"
#include "checkpoint_check.h"
#include "lines/carry_budget.h"

void stream__mark_changed(struct stream *stream)
{
	if (stream->changed)
		return;
	stream->changed = true;
	stream->next_changed = stream->context->changed;
	stream->context->changed = stream;
}

struct heap *stream__heap(const struct stream *stream)
{
	return checkpoint__heap(stream->context->checkpoint);
}

int stream__new(struct stream_context *context, uint32_t index, bool mid_line, struct stream **out)
{
	struct stream *stream = calloc(1, sizeof(*stream));
	int err;

	if (!stream)
		return -ENOMEM;
	stream->context = context;
	stream->index = index;
	stream->spill = HEAP_NONE;
	stream->saved_text.block = HEAP_NONE;
	waiting__init(&stream->waiting);
	stream->processes_changed = true;
	err = assembly__new(context->assembly, stream, mid_line, &stream->assembly);
	if (err) {
		stream__free(stream);
		return err;
	}
	assembly__allow(stream->assembly, SAVED_CARRIES);
	*out = stream;
	return 0;
}

void stream__take_spill(struct stream *stream)
{
	struct heap *heap = stream__heap(stream);
	uint64_t block = heap__take(heap, sizeof(struct saved_spill));

	if (block == HEAP_NONE)
		return;
	if (!carry_budget__take(stream->context->assembly->budget, heap__size(heap, block))) {
		heap__give(heap, block);
		return;
	}
	stream->spill = block;
	assembly__allow(stream->assembly, CARRIES_MAX);
}

void stream__give_spill(struct stream *stream)
{
	struct heap *heap = stream__heap(stream);

	if (stream->spill == HEAP_NONE)
		return;
	carry_budget__give(stream->context->assembly->budget, heap__size(heap, stream->spill));
	heap__give(heap, stream->spill);
	stream->spill = HEAP_NONE;
}

void stream__give_blocks(struct stream *stream)
{
	heap__give(stream__heap(stream), stream->saved_text.block);
	stream->context->waiting_bytes -= stream->waiting.bytes;
	waiting__clear(&stream->waiting, stream__heap(stream));
	stream->saved_text.block = HEAP_NONE;
	stream__give_spill(stream);
}

void stream__save_text(struct stream *stream)
{
	struct text_parts parts;
	struct saved_text *saved = &stream->saved_text;
	char *bytes;

	stream_text__parts(stream->text, &parts);
	saved->fields_length = parts.fields_length;
	saved->key_length = parts.key_length;
	saved->names = parts.names;
	saved->untold = parts.untold;
	saved->file_length = stream->file ? strlen(stream->file) : 0;
	saved->block = heap__take(stream__heap(stream),
				  parts.fields_length + parts.key_length + saved->file_length);
	if (saved->block == HEAP_NONE)
		return;
	bytes = heap__at(stream__heap(stream), saved->block);
	memcpy(bytes, parts.fields, parts.fields_length);
	memcpy(bytes + parts.fields_length, parts.key, parts.key_length);
	if (saved->file_length)
		memcpy(bytes + parts.fields_length + parts.key_length, stream->file, saved->file_length);
	saved->checksum = checkpoint_check__sum(bytes, parts.fields_length + parts.key_length + saved->file_length);
}

static int restore_text(struct stream *stream, const struct saved_text *saved)
{
	const char *bytes;
	struct text_parts parts;

	if (saved->block == HEAP_NONE)
		return 0;
	bytes = heap__at(stream__heap(stream), saved->block);
	parts = (struct text_parts){
		.fields = bytes,
		.fields_length = saved->fields_length,
		.key = bytes + saved->fields_length,
		.key_length = saved->key_length,
		.stream = (uint64_t)stream->index << 32 | stream->generation,
		.names = saved->names,
		.untold = saved->untold,
	};
	if (saved->file_length) {
		stream->file = strndup(parts.key + parts.key_length, saved->file_length);
		if (!stream->file)
			return -ENOMEM;
	}
	stream->saved_text = *saved;
	stream->text_restored = true;
	return stream_text__restore(&parts, &stream->text);
}

static int restore_carries(struct stream *stream, const struct saved_stream *saved)
{
	const struct saved_carry *carries = saved->carries;

	if (saved->carries_count > SAVED_CARRIES) {
		const struct saved_spill *spill = heap__at(stream__heap(stream), saved->spill);

		carries = spill->carries[saved->half];
	}
	stream->spill = saved->spill;
	if (stream->spill != HEAP_NONE) {
		carry_budget__adopt(stream->context->assembly->budget,
				    heap__size(stream__heap(stream), stream->spill));
		assembly__allow(stream->assembly, CARRIES_MAX);
	}
	return assembly__restore(stream->assembly, carries, saved->carries_count);
}

int stream__restore(struct stream_context *context, uint32_t slot, bool slot_lives, const struct saved_stream *saved,
		    const struct saved_processes *processes, struct stream **out)
{
	uint64_t latest = clock__ns(CLOCK_BOOTTIME) + context->wait;
	struct stream *stream;
	int err = stream__new(context, slot, saved->mid_line, &stream);

	if (err)
		return err;
	stream->slot = slot_lives ? capture__slot(context->capture, slot) : NULL;
	stream->generation = saved->generation;
	stream->kind = saved->kind;
	stream->wanted = saved->wanted;
	stream->text_lacks = saved->text_lacks;
	stream->waiting = saved->waiting;
	/* A configuration before may have let it wait for longer. */
	if (stream->waiting.deadline > latest)
		stream->waiting.deadline = latest;
	context->waits += stream->waiting.deadline != 0;
	context->waiting_bytes += stream->waiting.bytes;
	if (slot_lives)
		stream__learn_pod(stream);
	stream->processes = *processes;
	stream->processes_changed = false;
	stream->process_half = saved->process_half;
	stream->dropped = saved->dropped;
	memcpy(stream->told_bytes, saved->told_bytes, sizeof(stream->told_bytes));
	memcpy(stream->told_writes, saved->told_writes, sizeof(stream->told_writes));
	stream->told_bytes_total = saved->told_bytes_total;
	stream->told_writes_total = saved->told_writes_total;
	err = restore_text(stream, &saved->text);
	err = err ? err : restore_carries(stream, saved);
	err = err || !slot_lives ? err : stream__admit_again(stream);
	if (err) {
		stream__free(stream);
		return err;
	}
	*out = stream;
	return 0;
}

static void fill_carries(const struct stream *stream, struct saved_stream *out)
{
	struct saved_carry *carries = out->carries;

	out->carries_count = assembly__count(stream->assembly);
	if (out->carries_count > SAVED_CARRIES) {
		struct saved_spill *spill = heap__at(stream__heap(stream), stream->spill);

		carries = spill->carries[out->half];
	}
	assembly__save(stream->assembly, carries);
	out->mid_line = assembly__mid_line(stream->assembly);
	out->spill = stream->spill;
}

static void fill_processes(struct stream *stream, struct saved_stream *out)
{
	struct saved_processes *processes;

	if (stream->processes_changed) {
		/* The state has its place, and so have they. */
		processes = checkpoint__stage_processes(stream->context->checkpoint, stream->index,
							&stream->process_half);
		*processes = stream->processes;
		stream->processes_changed = false;
	}
	out->process_half = stream->process_half;
}

/* Said once: it concerns all streams. */
static void tell_unsaved(const struct stream *stream)
{
	static bool told;

	counters__add(stream->context->counters, COUNTER_streams_unsaved, 1);
	if (!__atomic_exchange_n(&told, true, __ATOMIC_RELAXED))
		log_warn("the file system of journal.directory is full: a restart of logtap may cut the half lines of streams that open now");
}

static void save(struct stream *stream)
{
	struct saved_stream *out = checkpoint__stage(stream->context->checkpoint, stream->index);

	if (!out) {
		tell_unsaved(stream);
		return;
	}
	out->generation = stream->generation;
	out->kind = stream->kind;
	out->wanted = stream->wanted;
	out->finished = stream->finished;
	memcpy(out->told_bytes, stream->told_bytes, sizeof(out->told_bytes));
	memcpy(out->told_writes, stream->told_writes, sizeof(out->told_writes));
	out->told_bytes_total = stream->told_bytes_total;
	out->told_writes_total = stream->told_writes_total;
	out->dropped = stream->dropped;
	out->text = stream->saved_text;
	out->text_lacks = stream->text_lacks;
	out->waiting = stream->waiting;
	fill_carries(stream, out);
	fill_processes(stream, out);
}

void stream__save_changed(struct stream_context *context)
{
	while (context->changed) {
		struct stream *stream = context->changed;

		context->changed = stream->next_changed;
		stream->changed = false;
		save(stream);
	}
}

