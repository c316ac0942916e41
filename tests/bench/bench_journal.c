/*
 * Records of 400 B through a journal: appender -> follower -> acknowledgement, two threads of one
 * process. Published in batches, as a shard does.
 */
#include "../../user/journal/journal.h"

#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define RECORD_LEN 400
#define RECORDS 10000000u
#define BATCH 256

static const struct journal_meta meta = { .value_len = RECORD_LEN };

static double now(clockid_t clock)
{
	struct timespec time;

	clock_gettime(clock, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

static void await(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	uint64_t count;

	if (poll(&poll_fd, 1, -1) == 1 && read(fd, &count, sizeof(count)) < 0)
		abort();
}

struct bench {
	struct journal *journal;
	struct journal_options options;
	double follower_seconds; /* of CPU */
};

static void *follow(void *arg)
{
	struct bench *bench = arg;
	struct journal_record record;
	uint64_t sum = 0;

	for (uint32_t i = 0; i < RECORDS; i++) {
		while (!journal__next(bench->journal, &record))
			await(bench->options.data_fd);
		sum += record.value[RECORD_LEN - 1];
		journal__ack(bench->journal, record.handle);
	}
	bench->follower_seconds = now(CLOCK_THREAD_CPUTIME_ID);
	return (void *)(uintptr_t)sum;
}

static void append(struct bench *bench)
{
	char line[RECORD_LEN];

	memset(line, 'x', sizeof(line));
	for (uint32_t i = 0; i < RECORDS; i++) {
		char *out;

		while (!(out = journal__reserve(bench->journal, RECORD_LEN))) {
			journal__publish(bench->journal);
			await(bench->options.space_fd);
		}
		memcpy(out, line, sizeof(line));
		journal__append(bench->journal, &meta);
		if (i % BATCH == BATCH - 1)
			journal__publish(bench->journal);
	}
	journal__publish(bench->journal);
}

int main(int argc, char **argv)
{
	struct bench bench = {
		.options = {
			.directory = argc > 1 ? argv[1] : "/dev/shm/logtap-bench-journal",
			.max_size = 64 << 20,
			.segment_size = 8 << 20,
			.data_fd = eventfd(0, EFD_CLOEXEC),
			.space_fd = eventfd(0, EFD_CLOEXEC),
		},
	};
	pthread_t follower;
	double start, cpu, seconds;

	if (journal__open(&bench.options, NULL, &bench.journal))
		return 1;
	start = now(CLOCK_MONOTONIC);
	cpu = now(CLOCK_THREAD_CPUTIME_ID);
	if (pthread_create(&follower, NULL, follow, &bench))
		return 1;
	append(&bench);
	cpu = now(CLOCK_THREAD_CPUTIME_ID) - cpu;
	pthread_join(follower, NULL);
	seconds = now(CLOCK_MONOTONIC) - start;
	printf("journal %u B records: %.2f M/s; CPU per record: appender %.0f ns, follower %.0f "
	       "ns\n",
	       RECORD_LEN, RECORDS / seconds / 1e6, cpu * 1e9 / RECORDS,
	       bench.follower_seconds * 1e9 / RECORDS);
	journal__close(bench.journal);
	rmdir(bench.options.directory);
	return 0;
}
