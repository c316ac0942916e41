/*
 * write_loop RESULT TARGET SIZE...: writes lines of SIZE bytes and appends a line "TARGET SIZE
 * NANOSECONDS" to RESULT: what one write took, as the median of batches. Where time counts
 * instructions (tests/guest/boot -c) these are instructions. TARGET is `pipe` (one of its own),
 * `stdout` (a pipe, read back here), or a file, written again and again from its start.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* A batch of the longest lines fits the pipe; an odd number of batches has one in the middle. */
enum { BATCH = 64, BATCHES = 101, SIZE_MAX_LINE = 4096, PIPE_SIZE = 1 << 20 };

struct target {
	int out;
	int in;              /* the pipe's other end, -1 for a file */
};

static void die(const char *what)
{
	fprintf(stderr, "write_loop: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000ull + time.tv_nsec;
}

static struct target open_target(const char *name)
{
	struct target target = { .out = STDOUT_FILENO, .in = -1 };

	if (!strcmp(name, "pipe")) {
		int ends[2];

		if (pipe(ends))
			die("pipe");
		target.in = ends[0];
		target.out = ends[1];
	} else if (!strcmp(name, "stdout")) {
		target.in = open("/proc/self/fd/1", O_RDONLY);
		if (target.in < 0)
			die("stdout's other end");
	} else {
		target.out = open(name, O_WRONLY | O_CREAT, 0600);
		if (target.out < 0)
			die(name);
		return target;
	}
	if (fcntl(target.out, F_SETPIPE_SZ, PIPE_SIZE) < 0)
		die("F_SETPIPE_SZ");
	return target;
}

/* Makes the target as it was before the batch. */
static void empty_target(const struct target *target, size_t written)
{
	static char buffer[65536];

	if (target->in < 0) {
		if (lseek(target->out, 0, SEEK_SET))
			die("lseek");
		return;
	}
	while (written) {
		ssize_t n = read(target->in, buffer, sizeof(buffer));

		if (n <= 0)
			die("read");
		written -= n;
	}
}

static uint64_t time_batch(const struct target *target, const char *line, size_t size)
{
	uint64_t start = now();

	for (int i = 0; i < BATCH; i++)
		if (write(target->out, line, size) != (ssize_t)size)
			die("write");
	return now() - start;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* Timer interrupts fall into some batches; the median is not moved by them. */
static uint64_t median_write(const struct target *target, size_t size)
{
	uint64_t batch[BATCHES];
	char line[SIZE_MAX_LINE];

	memset(line, 'x', size - 1);
	line[size - 1] = '\n';
	for (int i = 0; i < BATCHES; i++) {
		batch[i] = time_batch(target, line, size);
		empty_target(target, BATCH * size);
	}
	qsort(batch, BATCHES, sizeof(batch[0]), compare);
	return batch[BATCHES / 2] / BATCH;
}

int main(int argc, char **argv)
{
	struct target target;
	FILE *result;

	if (argc < 4) {
		fprintf(stderr, "usage: write_loop RESULT pipe|stdout|FILE SIZE...\n");
		return 2;
	}
	result = fopen(argv[1], "ae");
	if (!result)
		die(argv[1]);
	target = open_target(argv[2]);
	for (int i = 3; i < argc; i++) {
		size_t size = strtoul(argv[i], NULL, 10);

		if (size < 1 || size > SIZE_MAX_LINE) {
			fprintf(stderr, "write_loop: SIZE is 1 to %d, not %s\n",
				SIZE_MAX_LINE, argv[i]);
			return 2;
		}
		fprintf(result, "%s %zu %llu\n", argv[2], size,
			(unsigned long long)median_write(&target, size));
	}
	if (fclose(result))
		die(argv[1]);
	return 0;
}
