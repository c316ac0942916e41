/*
 * libFuzzer: writers, writes, pieces and losses out of any bytes; the lines must be those of the model that the unit tests use,
 * and every byte must come out once.
 */
#include <stdint.h>
#include <stdio.h>

#include "../unit/assembly_model.h"
#include "../unit/heap_memory.h"

#define WRITE_MAX 2048

struct input {
	const uint8_t *data;
	size_t size;
};

struct job {
	char text[WRITE_MAX];
	size_t length;
	size_t done;
};

struct run {
	struct model model;
	struct assembly *assembly;
	struct job jobs[MODEL_WRITERS];
	uint64_t time;
};

enum op { OP_WRITER = 7, OP_BLOCK = 8, OP_REST = 16, OP_LOSE = 32, OP_BREAK = 64 };

static uint8_t take(struct input *input)
{
	if (!input->size)
		return 0;
	input->size--;
	return *input->data++;
}

static void begin_write(struct job *job, struct input *input, bool block)
{
	size_t length = block ? 1024 : 1 + take(input);

	for (size_t i = 0; i < length; i++)
		job->text[i] = input->size ? take(input) : 'x';
	job->length = length;
	job->done = 0;
}

static void step(struct run *run, struct input *input)
{
	uint8_t op = take(input);
	uint32_t which = op & OP_WRITER;
	struct job *job = &run->jobs[which];
	struct piece piece = {
		/* Two threads a process. */
		.writer = { .tgid = which / 2 + 1, .tid = which + 1, .start_time = 1 },
		.position = 4096 * ++run->time,
		.time = run->time,
	};
	char *exact;

	if (op & OP_BREAK) {
		model__flush(&run->model, PARTIAL_LOST);
		run->model.start_missing = true;
		flush_and_break(run->assembly);
	}
	if (job->done == job->length)
		begin_write(job, input, op & OP_BLOCK);
	piece.write_length = job->length;
	piece.write_offset = job->done;
	piece.length = job->length - job->done;
	if (!(op & OP_REST))
		piece.length = 1 + take(input) % piece.length;
	exact = malloc(piece.length);
	memcpy(exact, job->text + job->done, piece.length);
	piece.bytes = exact;
	job->done = op & OP_LOSE ? job->length : job->done + piece.length;
	model__add(&run->model, &piece);
	assembly__add(run->assembly, &piece);
	free(exact);
}

static void check_line(void *context, const struct line *line)
{
	model__check(&((struct run *)context)->model, line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct assembly_options options = { .timeout = 1, .emit = check_line };
	struct input input = { data, size };
	struct run *run = calloc(1, sizeof(*run));
	static struct heap_memory memory;
	const char *wrong;

	if (!memory.heap)
		heap_memory__open(&memory, 16 * HEAP_STEP);
	options.heap = memory.heap;
	options.mode = take(&input) % 3;
	options.max_line = 4 + take(&input) % 100;
	run->model.mode = options.mode;
	run->model.max_line = options.max_line;
	run->model.start_missing = take(&input) & 1;
	if (assembly__new(&options, run, run->model.start_missing, &run->assembly))
		abort();
	while (input.size)
		step(run, &input);
	model__flush(&run->model, PARTIAL_EOF);
	flush_all(run->assembly, UINT64_MAX, PARTIAL_EOF);
	wrong = model__verdict(&run->model);
	if (wrong) {
		fprintf(stderr, "%s\n", wrong);
		abort();
	}
	assembly__free(run->assembly);
	heap__reclaim(memory.heap);
	if (heap__used(memory.heap))
		abort();
	free(run->model.lines);
	free(run);
	return 0;
}
