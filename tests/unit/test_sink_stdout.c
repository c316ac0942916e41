#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../user/base/config.h"
#include "../../user/base/counters.h"
#include "../../user/journal/journal.h"
#include "../../user/sink/sink.h"

#define JOURNALS 3
#define WAIT_MS 20000

struct fixture {
	char directory[64];
	struct config config;
	struct counters counters;
	struct journal *journals[JOURNALS];
	struct sink_context context;
	struct sink *sink;
	int space_fd;
	int real_stdout;
};

static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	signal(SIGPIPE, SIG_IGN);
	strcpy(fixture->directory, "/dev/shm/logtap-test-XXXXXX");
	if (!mkdtemp(fixture->directory))
		return -1;
	fflush(stdout);
	fixture->real_stdout = dup(STDOUT_FILENO);
	fixture->space_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	fixture->config.sink = SINK_STDOUT;
	fixture->context = (struct sink_context){
		.config = &fixture->config,
		.journals = fixture->journals,
		.journals_count = JOURNALS,
		.data_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC),
		.counters = &fixture->counters,
	};
	for (int i = 0; i < JOURNALS; i++) {
		char path[80];
		struct journal_options options = {
			.directory = path,
			.max_size = 8 << 20,
			.segment_size = 1 << 20,
			.data_fd = fixture->context.data_fd,
			.space_fd = fixture->space_fd,
		};

		snprintf(path, sizeof(path), "%s/%d", fixture->directory, i);
		if (journal__open(&options, NULL, &fixture->journals[i]))
			return -1;
	}
	*state = fixture;
	return 0;
}

static void remove_directory(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		unlinkat(dirfd(dir), entry->d_name, 0);
	if (dir)
		closedir(dir);
	rmdir(path);
}

static void restore_stdout(struct fixture *fixture)
{
	dup2(fixture->real_stdout, STDOUT_FILENO);
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	restore_stdout(fixture);
	for (int i = 0; i < JOURNALS; i++) {
		char path[80];

		journal__close(fixture->journals[i]);
		snprintf(path, sizeof(path), "%s/%d", fixture->directory, i);
		remove_directory(path);
	}
	rmdir(fixture->directory);
	close(fixture->context.output);
	close(fixture->real_stdout);
	close(fixture->space_fd);
	close(fixture->context.data_fd);
	free(fixture);
	return 0;
}

/* Starts the sink on `fd`, which is taken over, and gives the test its own standard output back. */
static void start_on(struct fixture *fixture, int fd)
{
	dup2(fd, STDOUT_FILENO);
	close(fd);
	fixture->context.output = sink_stdout__output();
	assert_int_equal(sink__start(&fixture->context, &fixture->sink), 0);
}

static int stop_sink(struct sink *sink, unsigned int deadline_ms)
{
	int status = sink__end(sink, deadline_ms);

	assert_true(sink__free(sink, 0));
	return status;
}

static void append(struct fixture *fixture, unsigned int journal, unsigned int number, size_t pad)
{
	struct journal_meta meta = { .key_len = 3 };
	char *out = journal__reserve(fixture->journals[journal], 3 + 32 + pad);
	int len;

	assert_non_null(out);
	memcpy(out, "key", 3);
	len = snprintf(out + 3, 32, "%u %u ", journal, number);
	memset(out + 3 + len, 'p', pad);
	meta.value_len = len + pad;
	journal__append(fixture->journals[journal], &meta);
	journal__publish(fixture->journals[journal]);
}

static uint64_t pending(const struct fixture *fixture)
{
	uint64_t sum = 0;

	for (int i = 0; i < JOURNALS; i++)
		sum += journal__pending(fixture->journals[i]);
	return sum;
}

/*
 * Reads lines from `fd` and checks that each journal's come in order and whole, until `count` are
 * read.
 */
static void expect_lines(int fd, unsigned int count, size_t pad)
{
	unsigned int next[JOURNALS] = { 0 };
	FILE *in = fdopen(dup(fd), "r");
	char *line = NULL;
	size_t size = 0;

	for (unsigned int i = 0; i < count; i++) {
		ssize_t len = getline(&line, &size, in);
		unsigned int journal, number;
		int start;

		assert_true(len > 0);
		assert_int_equal(sscanf(line, "%u %u %n", &journal, &number, &start), 2);
		assert_true(journal < JOURNALS);
		assert_int_equal(number, next[journal]++);
		assert_int_equal(len, start + pad + 1);
		assert_int_equal(strspn(line + start, "p"), pad);
	}
	free(line);
	fclose(in);
}

static void all_journals_are_written_line_by_line(void **state)
{
	struct fixture *fixture = *state;
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	start_on(fixture, fds[1]);
	for (unsigned int i = 0; i < 3000; i++)
		append(fixture, i % JOURNALS, i / JOURNALS, 300);
	expect_lines(fds[0], 3000, 300);
	assert_int_equal(stop_sink(fixture->sink, WAIT_MS), 0);
	assert_int_equal(pending(fixture), 0);
	assert_int_equal(counters__get(&fixture->counters, COUNTER_sink_records_delivered), 3000);
	close(fds[0]);
}

/* Larger than a pipe, so that each is written in parts; the other pipe end is slow to begin. */
static void records_larger_than_the_pipe_come_whole(void **state)
{
	struct fixture *fixture = *state;
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	start_on(fixture, fds[1]);
	for (unsigned int i = 0; i < 9; i++)
		append(fixture, i % JOURNALS, i / JOURNALS, 500000);
	expect_lines(fds[0], 9, 500000);
	assert_int_equal(stop_sink(fixture->sink, WAIT_MS), 0);
	assert_int_equal(pending(fixture), 0);
	close(fds[0]);
}

static void socket_gets_every_line(void **state)
{
	struct fixture *fixture = *state;
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	start_on(fixture, fds[1]);
	for (unsigned int i = 0; i < 3000; i++)
		append(fixture, i % JOURNALS, i / JOURNALS, 1000);
	expect_lines(fds[0], 3000, 1000);
	assert_int_equal(stop_sink(fixture->sink, WAIT_MS), 0);
	close(fds[0]);
}

static void stop_drains_what_was_appended_before(void **state)
{
	struct fixture *fixture = *state;
	int file = memfd_create("out", MFD_CLOEXEC);

	start_on(fixture, dup(file));
	for (unsigned int i = 0; i < 6000; i++)
		append(fixture, i % JOURNALS, i / JOURNALS, 200);
	assert_int_equal(stop_sink(fixture->sink, WAIT_MS), 0);
	assert_int_equal(pending(fixture), 0);
	assert_int_equal(lseek(file, 0, SEEK_END),
			 counters__get(&fixture->counters, COUNTER_sink_bytes_delivered));
	lseek(file, 0, SEEK_SET);
	expect_lines(file, 6000, 200);
	close(file);
}

/* Nobody reads: only what the pipe took may be acknowledged, and the deadline ends the wait. */
static void stop_with_a_stuck_reader_acknowledges_only_what_was_written(void **state)
{
	struct fixture *fixture = *state;
	uint64_t delivered;
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	start_on(fixture, fds[1]);
	for (unsigned int i = 0; i < 300; i++)
		append(fixture, i % JOURNALS, i / JOURNALS, 1000);
	while (!counters__get(&fixture->counters, COUNTER_sink_records_delivered))
		sched_yield();
	assert_int_equal(stop_sink(fixture->sink, 50), 0);
	delivered = counters__get(&fixture->counters, COUNTER_sink_records_delivered);
	assert_in_range(delivered, 1, 299);
	assert_int_equal(pending(fixture), 300 - delivered);
	expect_lines(fds[0], delivered, 1000);
	close(fds[0]);
}

static void reader_that_goes_away_fails_the_sink(void **state)
{
	struct fixture *fixture = *state;
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	start_on(fixture, fds[1]);
	assert_false(sink__failed(fixture->sink));
	close(fds[0]);
	append(fixture, 0, 0, 10);
	while (!sink__failed(fixture->sink))
		sched_yield();
	assert_int_equal(stop_sink(fixture->sink, WAIT_MS), -EPIPE);
	assert_int_equal(pending(fixture), 1);
}

/* /dev/full: each write is ENOSPC. */
static void full_disk_keeps_the_records_and_tries_again(void **state)
{
	struct fixture *fixture = *state;

	start_on(fixture, open("/dev/full", O_WRONLY));
	append(fixture, 0, 0, 10);
	while (counters__get(&fixture->counters, COUNTER_sink_errors) < 2)
		sched_yield();
	assert_false(sink__failed(fixture->sink));
	assert_int_equal(stop_sink(fixture->sink, 0), 0);
	assert_int_equal(pending(fixture), 1);
	assert_int_equal(counters__get(&fixture->counters, COUNTER_sink_records_delivered), 0);
}

static void closed_standard_output_is_refused_at_start(void **state)
{
	struct fixture *fixture = *state;

	close(STDOUT_FILENO);
	fixture->context.output = sink_stdout__output();
	assert_int_equal(sink__start(&fixture->context, &fixture->sink), -EINVAL);
	assert_null(fixture->sink);
}

static void standard_output_of_others_stays_blocking(void **state)
{
	struct fixture *fixture = *state;
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	start_on(fixture, fds[1]);
	assert_int_equal(fcntl(STDOUT_FILENO, F_GETFL) & O_NONBLOCK, 0);
	assert_int_equal(stop_sink(fixture->sink, WAIT_MS), 0);
	close(fds[0]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(all_journals_are_written_line_by_line),
		TEST(records_larger_than_the_pipe_come_whole),
		TEST(socket_gets_every_line),
		TEST(stop_drains_what_was_appended_before),
		TEST(stop_with_a_stuck_reader_acknowledges_only_what_was_written),
		TEST(reader_that_goes_away_fails_the_sink),
		TEST(full_disk_keeps_the_records_and_tries_again),
		TEST(closed_standard_output_is_refused_at_start),
		TEST(standard_output_of_others_stays_blocking),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
