/*
 * libFuzzer: a checkpoint that was damaged in any way. It is refused or taken; what is taken refers to memory that is there and to
 * no block twice, and goes on to be used.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../user/base/log.h"
#include "../../user/stream/checkpoint.h"
#include "../../user/stream/checkpoint_check.h"
#include "../../user/stream/checkpoint_file.h"

#define STREAMS 3u
#define HEAP_OFFSET (CHECKPOINT_PAGE + 2 * CHECKPOINT_PAGE)
/* What is damaged: header, entries, the first blocks. */
#define IMAGE_SIZE (HEAP_OFFSET + 131072)

static char directory[] = "/dev/shm/logtap-fuzz-XXXXXX";
static char path[64];
static char image[IMAGE_SIZE];
volatile unsigned int sum;      /* so that what is read is read */
static struct checkpoint_options options = {
	.directory = directory,
	.streams = STREAMS,
	.heap_limit = HEAP_STEP,
	.epoch = 1,
	.id_prefix = "a.b.0.1.",
};

static struct checkpoint *open_it(void)
{
	struct checkpoint *checkpoint;

	if (checkpoint__open(&options, &checkpoint))
		abort();
	return checkpoint;
}

static void stage(struct checkpoint *checkpoint, uint32_t slot, uint32_t carries)
{
	struct heap *heap = checkpoint__heap(checkpoint);
	struct saved_stream *state = checkpoint__stage(checkpoint, slot);
	struct saved_carry *out = state->carries;

	state->kind = STREAM_FILE;
	state->wanted = 1;
	state->mid_line = state->finished = state->text_lacks = 0;
	state->text = (struct saved_text){ .block = heap__take(heap, 12), .fields_length = 5, .key_length = 4, .file_length = 3 };
	memcpy(heap__at(heap, state->text.block), "fieldkey0/ab", 12);
	state->text.checksum = checkpoint_check__sum("fieldkey0/ab", 12);
	waiting__init(&state->waiting);
	for (int i = 0; i < 3; i++)
		waiting__add(&state->waiting, heap, UINT32_MAX, &(struct line){ .text = "waits", .length = 5 }, NULL);
	state->spill = heap__take(heap, sizeof(struct saved_spill));
	if (carries > SAVED_CARRIES)
		out = ((struct saved_spill *)heap__at(heap, state->spill))->carries[state->half];
	for (uint32_t i = 0; i < carries; i++)
		out[i] = (struct saved_carry){ .block = heap__take(heap, 1), .block_size = HEAP_BLOCK_MIN, .length = 9 };
	state->carries_count = carries;
	memset(checkpoint__stage_processes(checkpoint, slot, &state->process_half), 0, sizeof(struct saved_processes));
}

static void make_image(void)
{
	struct checkpoint *checkpoint;
	int fd;

	log_set_level(LOG_LEVEL_ERROR);
	if (!mkdtemp(directory))
		abort();
	snprintf(path, sizeof(path), "%s/checkpoint", directory);
	checkpoint = open_it();
	for (uint64_t i = 1; i <= 2; i++) {
		stage(checkpoint, 0, 2);
		stage(checkpoint, 1, 9);
		checkpoint__commit(checkpoint, &(struct checkpoint_position){ .ring = i });
	}
	checkpoint__free(checkpoint);
	fd = open(path, O_RDONLY);
	if (pread(fd, image, IMAGE_SIZE, 0) != IMAGE_SIZE)
		abort();
	close(fd);
}

static void write_damaged(const uint8_t *data, size_t size)
{
	static char damaged[IMAGE_SIZE];
	int fd = open(path, O_WRONLY | O_TRUNC);
	size_t length = HEAP_OFFSET + HEAP_STEP;

	memcpy(damaged, image, IMAGE_SIZE);
	/* Where, what. One in 256 is a cut. */
	for (; size >= 4; data += 4, size -= 4) {
		uint32_t at = (data[0] | data[1] << 8 | data[2] << 16) % IMAGE_SIZE;

		if (data[2] == 0xff)
			length = at;
		else
			damaged[at] = data[3];
	}
	if (pwrite(fd, damaged, length < IMAGE_SIZE ? length : IMAGE_SIZE, 0) < 0 || ftruncate(fd, length))
		abort();
	close(fd);
}

/* Reads all of it that anybody would. */
static void look(const struct checkpoint *checkpoint, uint32_t slot)
{
	const struct saved_stream *saved = checkpoint__saved(checkpoint, slot);
	const struct saved_carry *carries;
	struct heap *heap = checkpoint__heap(checkpoint);
	struct waiting waiting;
	struct process process;
	struct line line;
	bool known;

	if (!saved)
		return;
	for (waiting = saved->waiting; waiting__first(&waiting, heap, &line, &process, &known);
	     waiting__remove_first(&waiting, heap))
		for (size_t c = 0; c < line.length; c++)
			sum += line.text[c];
	carries = saved->carries;
	if (saved->carries_count > SAVED_CARRIES)
		carries = ((struct saved_spill *)heap__at(heap, saved->spill))->carries[saved->half];
	for (uint32_t i = 0; i < saved->carries_count; i++)
		for (uint32_t c = 0; c < carries[i].length; c++)
			sum += ((char *)heap__at(heap, carries[i].block))[carries[i].start + c];
	for (int way = 0; way < SLOT_WRITERS; way++)
		sum += strlen(checkpoint__saved_processes(checkpoint, slot)->way[way][0].name);
	heap__give(heap, saved->text.block);
	for (uint32_t i = 0; i < saved->carries_count; i++)
		heap__give(heap, carries[i].block);
	heap__give(heap, saved->spill);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct checkpoint_position position = { 0 };
	struct checkpoint *checkpoint;

	if (!*path)
		make_image();
	write_damaged(data, size);
	checkpoint = open_it();
	checkpoint__position(checkpoint, &position);
	for (uint32_t slot = 0; slot < checkpoint__streams(checkpoint); slot++)
		look(checkpoint, slot);
	/* All of it was given back, once. */
	heap__reclaim(checkpoint__heap(checkpoint));
	if (heap__used(checkpoint__heap(checkpoint)))
		abort();
	if (!checkpoint__same_epoch(checkpoint) && checkpoint__restart(checkpoint))
		abort();
	stage(checkpoint, 2, 1);
	checkpoint__commit(checkpoint, &position);
	checkpoint__free(checkpoint);
	return 0;
}
