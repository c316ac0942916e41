#include "checkpoint_check.h"

#include <errno.h>
#include <string.h>
#include <zlib.h>

#include "checkpoint_v1.h"

static bool is_id_prefix(const char *text)
{
	size_t length = strnlen(text, LINE_ID_PREFIX_SIZE);

	for (size_t i = 0; i < length; i++)
		if (!strchr("0123456789abcdef.", text[i]))
			return false;
	return length < LINE_ID_PREFIX_SIZE;
}

int checkpoint_check__header(const struct checkpoint_header *header, uint64_t file_size)
{
	const struct checkpoint_commit *commit = &header->commits[header->committed & 1];

	if (header->magic != CHECKPOINT_MAGIC ||
	    (header->version != CHECKPOINT_VERSION && header->version != CHECKPOINT_V1) ||
	    header->entry_size != sizeof(struct checkpoint_entry))
		return -EINVAL;
	if (!header->streams || header->streams > CHECKPOINT_STREAMS_MAX ||
	    file_size < checkpoint_file__heap_offset(header->streams))
		return -EINVAL;
	if (header->committed > INT64_MAX || (header->committed && commit->transaction != header->committed))
		return -EINVAL;
	return is_id_prefix(header->id_prefix) ? 0 : -EINVAL;
}

uint32_t checkpoint_check__sum(const char *text, uint64_t length)
{
	return crc32(0, (const unsigned char *)text, length);
}

static int check_text(const struct saved_text *text, struct heap *heap)
{
	uint64_t length = (uint64_t)text->fields_length + text->key_length + text->file_length;
	const char *bytes;
	uint64_t size = HEAP_BLOCK_MIN;

	if (text->block == HEAP_NONE)
		return 0;
	if (length > HEAP_BLOCK_MAX || text->names >= NAMES_COUNT || text->untold >> PROCESS_FIELDS)
		return -EINVAL;
	while (size < length)
		size *= 2;
	if (heap__adopt(heap, text->block, size))
		return -EINVAL;
	bytes = heap__at(heap, text->block);
	if (checkpoint_check__sum(bytes, length) != text->checksum ||
	    memchr(bytes + length - text->file_length, 0, text->file_length))
		return -EINVAL;
	return 0;
}

static int check_carry(const struct saved_carry *carry, struct heap *heap)
{
	if (carry->kind >= CARRY_KINDS || carry->bound > 1 || carry->writer.way >= SLOT_WRITERS)
		return -EINVAL;
	if ((uint64_t)carry->start + carry->length > carry->block_size)
		return -EINVAL;
	return heap__adopt(heap, carry->block, carry->block_size);
}

static int check_carries(const struct saved_stream *state, struct heap *heap)
{
	const struct saved_carry *carries = state->carries;
	uint64_t spill_size = HEAP_BLOCK_MIN;
	int err = 0;

	while (spill_size < sizeof(struct saved_spill))
		spill_size *= 2;
	if (state->spill != HEAP_NONE && heap__adopt(heap, state->spill, spill_size))
		return -EINVAL;
	if (state->carries_count > CARRIES_MAX)
		return -EINVAL;
	if (state->carries_count > SAVED_CARRIES) {
		if (state->spill == HEAP_NONE)
			return -EINVAL;
		carries = ((struct saved_spill *)heap__at(heap, state->spill))->carries[state->half];
	}
	for (uint32_t i = 0; !err && i < state->carries_count; i++)
		err = check_carry(&carries[i], heap);
	return err;
}

static int check_processes(const struct saved_processes *processes)
{
	for (int way = 0; way < SLOT_WRITERS; way++)
		for (int i = 0; i < WAY_DEPTH; i++)
			if (processes->way[way][i].name[PROCESS_NAME_SIZE])
				return -EINVAL;
	return 0;
}

int checkpoint_check__entry(const struct checkpoint_entry *entry, int half, struct heap *heap)
{
	const struct saved_stream *state = &entry->states[half];
	int err;

	if (state->half != (uint32_t)half || state->process_half > 1 || state->wanted > WANTED_BEFORE ||
	    state->mid_line > 1 || state->finished > 1 || state->text_lacks > (TEXT_LACKS_FILES | TEXT_LACKS_POD) ||
	    (state->waiting.first != HEAP_NONE && !state->waiting.deadline) || state->kind < STREAM_STDOUT ||
	    state->kind > STREAM_FILE)
		return -EINVAL;
	/* Nobody looks at more of it: blocks that it may name are others' by now. */
	if (state->finished)
		return 0;
	err = check_processes(&entry->processes[state->process_half]);
	err = err ? err : check_text(&state->text, heap);
	err = err ? err : waiting__adopt(&state->waiting, heap);
	return err ? err : check_carries(state, heap);
}
