#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../user/journal/journal.h"
#include "journal_records.h"

#define WAIT_MS 20000 /* a wake-up that comes later than this never comes */

struct fixture {
	char directory[64];
	struct journal_options options;
	struct journal *journal;
};

static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	strcpy(fixture->directory, "/dev/shm/logtap-test-XXXXXX");
	if (!mkdtemp(fixture->directory))
		return -1;
	fixture->options = (struct journal_options){
		.directory = fixture->directory,
		.max_size = 4 * SEGMENT,
		.segment_size = SEGMENT,
		.data_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC),
		.space_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC),
	};
	*state = fixture;
	return journal__open(&fixture->options, NULL, &fixture->journal);
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	journal__close(fixture->journal);
	remove_files(fixture->directory);
	rmdir(fixture->directory);
	close(fixture->options.data_fd);
	close(fixture->options.space_fd);
	free(fixture);
	return 0;
}

static unsigned int count_files(const struct fixture *fixture)
{
	return count_segments(fixture->directory);
}

static bool signalled(int fd)
{
	uint64_t count;

	return read(fd, &count, sizeof(count)) == sizeof(count);
}

static void await(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

	assert_int_equal(poll(&poll_fd, 1, WAIT_MS), 1);
	signalled(fd);
}

/* Appends from `number` on until the journal is full. Returns the first number that did not fit. */
static uint64_t append_until_full(struct journal *journal, uint64_t number)
{
	while (append(journal, number))
		number++;
	journal__publish(journal); /* as one does who waits for space */
	return number;
}

static void records_come_in_the_order_they_were_appended(void **state)
{
	struct fixture *fixture = *state;
	uint64_t read = 0;

	for (uint64_t number = 0; number < 5000;) {
		struct journal_record record;

		for (int i = 0; i < 7; i++)
			assert_true(append(fixture->journal, number++));
		while (journal__next(fixture->journal, &record)) {
			check_record(&record, read++);
			journal__ack(fixture->journal, record.handle);
		}
		assert_int_equal(read, number);
		assert_int_equal(journal__pending(fixture->journal), 0);
	}
}

/* Reads all there is and keeps the handles. */
static unsigned int read_all(struct fixture *fixture, void **handles)
{
	struct journal_record record;
	unsigned int n = 0;

	while (journal__next(fixture->journal, &record)) {
		check_record(&record, n);
		handles[n++] = record.handle;
	}
	return n;
}

static void acks_in_any_order_free_the_segments(void **state)
{
	struct fixture *fixture = *state;
	uint64_t appended = append_until_full(fixture->journal, 0);
	void **handles = calloc(appended, sizeof(*handles));

	assert_int_equal(count_files(fixture), 4);
	assert_int_equal(read_all(fixture, handles), appended);
	assert_int_equal(journal__pending(fixture->journal), appended);
	/*
	 * 7 and the odd number of records have no common divisor: each is acknowledged once, far
	 * from order.
	 */
	if (appended % 7 == 0)
		journal__ack(fixture->journal, handles[--appended]);
	for (uint64_t i = 0; i < appended; i++)
		journal__ack(fixture->journal, handles[i * 7 % appended]);
	assert_int_equal(journal__pending(fixture->journal), 0);
	assert_int_equal(count_files(fixture), 1);
	free(handles);
}

static void one_record_holds_only_its_own_segment(void **state)
{
	struct fixture *fixture = *state;
	uint64_t appended = append_until_full(fixture->journal, 0);
	void **handles = calloc(appended, sizeof(*handles));

	read_all(fixture, handles);
	for (uint64_t i = 1; i < appended; i++)
		journal__ack(fixture->journal, handles[i]);
	/* Its own and the one that is kept to be used again. */
	assert_int_equal(count_files(fixture), 2);
	/* Many times the journal's size goes by, while the first record stays. */
	for (uint64_t number = appended; number < appended + 5000; number++) {
		struct journal_record record;

		assert_true(append(fixture->journal, number));
		assert_int_equal(journal__next(fixture->journal, &record), 1);
		check_record(&record, number);
		journal__ack(fixture->journal, record.handle);
	}
	assert_int_equal(journal__pending(fixture->journal), 1);
	journal__ack(fixture->journal, handles[0]);
	free(handles);
}

static void full_journal_refuses_then_signals_space_and_recovers(void **state)
{
	struct fixture *fixture = *state;
	uint64_t number = append_until_full(fixture->journal, 0);
	uint64_t full_at = number;
	uint64_t read = 0;
	struct journal_record record;

	assert_false(append(fixture->journal, number));
	assert_false(signalled(fixture->options.space_fd));
	while (!signalled(fixture->options.space_fd)) {
		assert_int_equal(journal__next(fixture->journal, &record), 1);
		check_record(&record, read++);
		journal__ack(fixture->journal, record.handle);
	}
	assert_in_range(read, 1, full_at);
	assert_true(append(fixture->journal, number++));
	while (journal__next(fixture->journal, &record)) {
		check_record(&record, read++);
		journal__ack(fixture->journal, record.handle);
	}
	assert_int_equal(read, number);
}

static void largest_record_fits_and_a_larger_one_never(void **state)
{
	struct fixture *fixture = *state;
	size_t max = journal__max_record(fixture->journal);
	struct journal_meta meta = { .value_len = max };
	struct journal_record record;

	assert_in_range(max, SEGMENT - 256, SEGMENT);
	assert_null(journal__reserve(fixture->journal, max + 1));
	for (int i = 0; i < 10; i++) {
		char *out = journal__reserve(fixture->journal, max);

		assert_non_null(out);
		memset(out, i, max);
		journal__append(fixture->journal, &meta);
		journal__publish(fixture->journal);
		assert_int_equal(journal__next(fixture->journal, &record), 1);
		assert_int_equal(record.meta.value_len, max);
		assert_int_equal(record.value[max - 1], i);
		journal__ack(fixture->journal, record.handle);
	}
}

static void publish_wakes_only_a_sleeping_follower(void **state)
{
	struct fixture *fixture = *state;
	struct journal_record record;

	assert_true(append(fixture->journal, 0));
	assert_false(signalled(fixture->options.data_fd));
	assert_int_equal(journal__next(fixture->journal, &record), 1);
	assert_int_equal(journal__next(fixture->journal, &record), 0);
	assert_true(append(fixture->journal, 1));
	assert_true(signalled(fixture->options.data_fd));
	journal__publish(fixture->journal);
	assert_false(signalled(fixture->options.data_fd));
	assert_true(append(fixture->journal, 2));
	assert_false(signalled(fixture->options.data_fd));
}

/* Without it a full journal whose records were all read would stay full for ever. */
static void publishing_a_seal_wakes_a_sleeping_follower(void **state)
{
	struct fixture *fixture = *state;
	struct journal_meta meta = { .value_len = journal__max_record(fixture->journal) };
	struct journal_record record;

	for (int i = 0; i < 4; i++) {
		assert_non_null(journal__reserve(fixture->journal, meta.value_len));
		journal__append(fixture->journal, &meta);
		journal__publish(fixture->journal);
	}
	while (journal__next(fixture->journal, &record))
		journal__ack(fixture->journal, record.handle);
	signalled(fixture->options.data_fd);
	assert_non_null(journal__reserve(fixture->journal, 1));
	assert_false(signalled(fixture->options.data_fd));
	journal__publish(fixture->journal);
	assert_true(signalled(fixture->options.data_fd));
}

static void what_is_appended_is_staged_until_it_is_published(void **state)
{
	struct fixture *fixture = *state;
	uint64_t staged = 0, read = 0;
	struct journal_record record;

	assert_int_equal(journal__next(fixture->journal, &record), 0);
	/* Batches that are now and then longer than a segment: sealing shows nothing either. */
	for (uint64_t batch = 1; batch < 300; batch += 37) {
		for (uint64_t i = 0; i < batch; i++) {
			assert_true(stage(fixture->journal, staged++));
			assert_int_equal(journal__next(fixture->journal, &record), 0);
		}
		assert_false(signalled(fixture->options.data_fd));
		assert_int_equal(journal__pending(fixture->journal), batch);
		journal__publish(fixture->journal);
		assert_true(signalled(fixture->options.data_fd));
		while (journal__next(fixture->journal, &record)) {
			check_record(&record, read++);
			journal__ack(fixture->journal, record.handle);
		}
		assert_int_equal(read, staged);
	}
}

static void a_mark_is_the_end_of_what_is_appended(void **state)
{
	struct fixture *fixture = *state;
	struct journal_mark first, second, third;
	uint64_t number = 0;

	journal__mark(fixture->journal, &first);
	assert_true(stage(fixture->journal, number++));
	journal__mark(fixture->journal, &second);
	journal__publish(fixture->journal);
	journal__mark(fixture->journal, &third);
	assert_int_equal(second.number, first.number);
	assert_true(second.off > first.off);
	assert_memory_equal(&second, &third, sizeof(second));
	append_until_full(fixture->journal, number);
	journal__mark(fixture->journal, &third);
	assert_int_equal(third.number, first.number + 4);
}

struct hammer {
	struct fixture *fixture;
	uint64_t records;
	uint64_t empty_after; /* the follower gets to sleep after each so many records */
};

static void *hammer_append(void *arg)
{
	struct hammer *hammer = arg;

	for (uint64_t number = 0; number < hammer->records; number++) {
		while (!append(hammer->fixture->journal, number))
			await(hammer->fixture->options.space_fd);
		while (hammer->empty_after && number % hammer->empty_after == 0 &&
		       journal__pending(hammer->fixture->journal))
			sched_yield();
	}
	return NULL;
}

/* Reads everything; acknowledges a few records late and out of order. */
static void hammer_follow(struct hammer *hammer)
{
	void *held[5] = { NULL };
	pthread_t appender;

	assert_int_equal(pthread_create(&appender, NULL, hammer_append, hammer), 0);
	for (uint64_t number = 0; number < hammer->records; number++) {
		struct journal_record record;
		void **place = &held[number * 3 % 5];

		while (!journal__next(hammer->fixture->journal, &record))
			await(hammer->fixture->options.data_fd);
		check_record(&record, number);
		if (hammer->empty_after) {
			journal__ack(hammer->fixture->journal, record.handle);
			continue;
		}
		if (*place)
			journal__ack(hammer->fixture->journal, *place);
		*place = record.handle;
	}
	for (int i = 0; i < 5; i++) {
		if (held[i])
			journal__ack(hammer->fixture->journal, held[i]);
	}
	pthread_join(appender, NULL);
	assert_int_equal(journal__pending(hammer->fixture->journal), 0);
}

static void two_threads_lose_and_change_nothing(void **state)
{
	struct hammer hammer = { .fixture = *state, .records = 200000 };

	hammer_follow(&hammer);
}

static void follower_that_sleeps_is_always_woken(void **state)
{
	struct hammer hammer = { .fixture = *state, .records = 50000, .empty_after = 1 };

	hammer_follow(&hammer);
}

static void file_says_what_is_acknowledged(void **state)
{
	struct fixture *fixture = *state;
	struct journal_record record;
	char bytes[4096];
	struct segment_header *header = (struct segment_header *)bytes;
	struct segment_entry *entry = (struct segment_entry *)(header + 1);
	char path[128];
	int fd;

	for (uint64_t number = 0; number < 3; number++)
		assert_true(append(fixture->journal, number));
	assert_int_equal(journal__next(fixture->journal, &record), 1);
	assert_int_equal(journal__next(fixture->journal, &record), 1);
	journal__ack(fixture->journal, record.handle);

	segment_path(path, fixture->directory, first_segment(fixture->directory));
	fd = open(path, O_RDONLY);
	assert_true(fd >= 0);
	assert_int_equal(read(fd, bytes, sizeof(bytes)), sizeof(bytes));
	close(fd);
	assert_int_equal(header->magic, SEGMENT_MAGIC);
	assert_int_equal(header->version, SEGMENT_VERSION);
	assert_int_equal(header->entries_off, sizeof(*header));
	assert_int_equal(header->size, SEGMENT);
	for (uint64_t number = 0; number < 3; number++) {
		struct journal_record in_file = {
			.meta = entry->meta,
			.key = entry->bytes,
			.value = entry->bytes + entry->meta.key_len,
		};

		check_record(&in_file, number);
		assert_int_equal(entry->state,
				 number == 1 ? SEGMENT_ACKNOWLEDGED : SEGMENT_COMMITTED);
		assert_int_equal(entry->size % 8, 0);
		entry = (struct segment_entry *)((char *)entry + entry->size);
	}
	assert_int_equal(entry->state, SEGMENT_EMPTY);
}

static void close_leaves_only_what_is_unacknowledged(void **state)
{
	struct fixture *fixture = *state;
	struct journal_record record;

	assert_true(append(fixture->journal, 0));
	assert_true(append(fixture->journal, 1));
	for (int left = 1; left >= 0; left--) {
		assert_int_equal(journal__next(fixture->journal, &record), 1);
		check_record(&record, 1 - left);
		journal__ack(fixture->journal, record.handle);
		journal__close(fixture->journal);
		fixture->journal = NULL;
		assert_int_equal(count_files(fixture), left);
		assert_int_equal(journal__open(&fixture->options, NULL, &fixture->journal), 0);
		assert_int_equal(journal__pending(fixture->journal), left);
	}
}

static void directory_in_use_is_refused(void **state)
{
	struct fixture *fixture = *state;
	struct journal *second = NULL;

	assert_int_equal(journal__open(&fixture->options, NULL, &second), -EWOULDBLOCK);
	assert_null(second);
	assert_true(append(fixture->journal, 0));
}

static void senseless_sizes_are_refused(void **state)
{
	struct fixture *fixture = *state;
	static const uint64_t size[][2] = {
		{ 4 * SEGMENT, 0 },      { 4 * SEGMENT, 100 },       { SEGMENT, SEGMENT },
		{ 1ull << 50, SEGMENT }, { 1ull << 40, 1ull << 33 },
	};

	for (size_t i = 0; i < sizeof(size) / sizeof(size[0]); i++) {
		struct journal_options options = fixture->options;
		struct journal *journal = NULL;

		options.max_size = size[i][0];
		options.segment_size = size[i][1];
		assert_int_equal(journal__open(&options, NULL, &journal), -EINVAL);
		assert_null(journal);
	}
}

/* The file system has room for two segments and a bit, the journal may have four. */
static void full_tmpfs_is_a_full_journal(void **state)
{
	struct fixture *fixture = *state;
	struct journal_options options = fixture->options;
	struct journal *journal = NULL;
	struct journal_record record;
	char path[80];
	uint64_t number, read = 0;

	snprintf(path, sizeof(path), "%s/small", fixture->directory);
	assert_int_equal(mkdir(path, 0700), 0);
	if (mount("tmpfs", path, "tmpfs", 0, "size=160k")) {
		rmdir(path);
		skip();
	}
	options.directory = path;
	assert_int_equal(journal__open(&options, NULL, &journal), 0);
	number = append_until_full(journal, 0);
	for (int round = 0; round < 20; round++) {
		while (!signalled(options.space_fd)) {
			assert_int_equal(journal__next(journal, &record), 1);
			check_record(&record, read++);
			journal__ack(journal, record.handle);
		}
		number = append_until_full(journal, number);
	}
	while (journal__next(journal, &record)) {
		check_record(&record, read++);
		journal__ack(journal, record.handle);
	}
	assert_int_equal(read, number);
	journal__close(journal);
	assert_int_equal(umount(path), 0);
	rmdir(path);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(records_come_in_the_order_they_were_appended),
		TEST(acks_in_any_order_free_the_segments),
		TEST(one_record_holds_only_its_own_segment),
		TEST(full_journal_refuses_then_signals_space_and_recovers),
		TEST(largest_record_fits_and_a_larger_one_never),
		TEST(publish_wakes_only_a_sleeping_follower),
		TEST(what_is_appended_is_staged_until_it_is_published),
		TEST(a_mark_is_the_end_of_what_is_appended),
		TEST(publishing_a_seal_wakes_a_sleeping_follower),
		TEST(two_threads_lose_and_change_nothing),
		TEST(follower_that_sleeps_is_always_woken),
		TEST(file_says_what_is_acknowledged),
		TEST(close_leaves_only_what_is_unacknowledged),
		TEST(directory_in_use_is_refused),
		TEST(senseless_sizes_are_refused),
		TEST(full_tmpfs_is_a_full_journal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
