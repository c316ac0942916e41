#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/stat.h>

#include "../../user/base/counters.h"
#include "../../user/base/log.h"
#include "../../user/journal/journal_internal.h"
#include "journal_records.h"

#define RECORDS 400u /* more than two segments of them */

struct fixture {
	char directory[64];
	struct journal_options options;
	struct counters counters;
	struct journal *journal;
};

static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	strcpy(fixture->directory, "/dev/shm/logtap-recover-XXXXXX");
	if (!mkdtemp(fixture->directory))
		return -1;
	fixture->options = (struct journal_options){
		.directory = fixture->directory,
		.max_size = 8 * SEGMENT,
		.segment_size = SEGMENT,
		.data_fd = -1,
		.space_fd = -1,
		.counters = &fixture->counters,
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
	free(fixture);
	return 0;
}

static void crash(struct fixture *fixture)
{
	journal__free(fixture->journal);
	fixture->journal = NULL;
}

static void reopen(struct fixture *fixture, const struct journal_mark *end)
{
	assert_int_equal(journal__open(&fixture->options, end, &fixture->journal), 0);
}

static void append_some(struct fixture *fixture, uint64_t from, uint64_t to)
{
	for (uint64_t number = from; number < to; number++)
		assert_true(append(fixture->journal, number));
}

/* Records [from, to) but `missing` come, and nothing else. */
static void expect(struct fixture *fixture, uint64_t from, uint64_t to, uint64_t missing)
{
	struct journal_record record;

	assert_int_equal(journal__pending(fixture->journal),
			 to - from - (missing >= from && missing < to));
	for (uint64_t number = from; number < to; number++) {
		if (number == missing)
			continue;
		assert_int_equal(journal__next(fixture->journal, &record), 1);
		check_record(&record, number);
		journal__ack(fixture->journal, record.handle);
	}
	assert_int_equal(journal__next(fixture->journal, &record), 0);
}

#define NONE UINT64_MAX

/* `number` counts from the first that is there. */
static int open_segment_file(const struct fixture *fixture, uint64_t number)
{
	char path[128];
	int fd;

	segment_path(path, fixture->directory, first_segment(fixture->directory) + number);
	fd = open(path, O_RDWR);
	assert_true(fd >= 0);
	return fd;
}

static void overwrite(const struct fixture *fixture, uint64_t number, uint64_t off, const void *bytes,
		      size_t size)
{
	int fd = open_segment_file(fixture, number);

	assert_int_equal(pwrite(fd, bytes, size, off), size);
	close(fd);
}

/* Where record `number`, of the first segment, lies. */
static uint64_t offset_of(uint64_t number)
{
	uint64_t off = sizeof(struct segment_header);

	for (uint64_t i = 0; i < number; i++)
		off += segment__entry_size(meta_of(i).key_len + meta_of(i).value_len);
	return off;
}

static void a_crash_loses_and_doubles_nothing(void **state)
{
	struct fixture *fixture = *state;
	struct journal_record record;

	append_some(fixture, 0, RECORDS);
	for (uint64_t number = 0; number < 250; number++) {
		assert_int_equal(journal__next(fixture->journal, &record), 1);
		journal__ack(fixture->journal, record.handle);
	}
	crash(fixture);
	reopen(fixture, NULL);
	append_some(fixture, RECORDS, RECORDS + 50);
	expect(fixture, 250, RECORDS + 50, NONE);
}

static void what_lies_behind_the_mark_is_removed(void **state)
{
	struct fixture *fixture = *state;
	struct journal_mark mark;

	append_some(fixture, 0, 100);
	journal__mark(fixture->journal, &mark);
	append_some(fixture, 100, RECORDS);
	assert_true(count_segments(fixture->directory) > 2);
	crash(fixture);
	reopen(fixture, &mark);
	assert_int_equal(count_segments(fixture->directory), 1);
	append_some(fixture, 100, 110);
	expect(fixture, 0, 110, NONE);
}

/* What a mark cut off does not come back with the next crash, however that finds its end. */
static void what_was_cut_stays_cut(void **state)
{
	struct fixture *fixture = *state;
	struct journal_mark mark;

	append_some(fixture, 0, 50);
	journal__mark(fixture->journal, &mark);
	append_some(fixture, 50, 120);
	crash(fixture);
	reopen(fixture, &mark);
	append_some(fixture, 50, 60);
	crash(fixture);
	reopen(fixture, NULL);
	expect(fixture, 0, 60, NONE);
	assert_int_equal(counters__get(&fixture->counters, COUNTER_journal_damaged_bytes), 0);
}

static void a_record_that_was_being_written_is_no_record(void **state)
{
	struct fixture *fixture = *state;
	char *out;

	append_some(fixture, 0, 10);
	out = journal__reserve(fixture->journal, 500);
	memset(out, 'x', 500);
	crash(fixture);
	reopen(fixture, NULL);
	append_some(fixture, 10, 20);
	expect(fixture, 0, 20, NONE);
}

static void damage_costs_what_is_damaged(void **state)
{
	static const unsigned char garbage[][8] = {
		{ 0 },
		{ 31 },
		{ 65 },
		{ 0, 0, 0, 0x40 },
		{ 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff },
		{ 0xf8, 0xff, 0xff, 0xff, 1 },
		{ 0x40, 0, 0, 0, 3 }, /* an end, where there is none */
	};
	struct fixture *fixture = *state;

	for (size_t i = 0; i < sizeof(garbage) / sizeof(garbage[0]); i++) {
		char tag[4] = "torn";

		append_some(fixture, 0, RECORDS);
		crash(fixture);
		overwrite(fixture, 0, offset_of(7), garbage[i], 8);
		/* Its tag would still vouch for the end. */
		if (garbage[i][4] == 3)
			overwrite(fixture, 0, offset_of(7) + 8, tag, sizeof(tag));
		memset(&fixture->counters, 0, sizeof(fixture->counters));
		reopen(fixture, NULL);
		assert_int_equal(counters__get(&fixture->counters, COUNTER_journal_damaged_bytes),
				 offset_of(8) - offset_of(7));
		expect(fixture, 0, RECORDS, 7);
		journal__close(fixture->journal);
		remove_files(fixture->directory);
		reopen(fixture, NULL);
	}
}

static void damage_is_passed_over_after_the_next_crash_too(void **state)
{
	struct fixture *fixture = *state;

	append_some(fixture, 0, RECORDS);
	crash(fixture);
	overwrite(fixture, 0, offset_of(9), "damaged!", 8);
	for (int i = 0; i < 3; i++) {
		reopen(fixture, NULL);
		crash(fixture);
	}
	assert_int_equal(counters__get(&fixture->counters, COUNTER_journal_damaged_bytes),
			 offset_of(10) - offset_of(9));
	reopen(fixture, NULL);
	expect(fixture, 0, RECORDS, 9);
}

static void a_damaged_header_costs_no_record(void **state)
{
	struct fixture *fixture = *state;
	char garbage[sizeof(struct segment_header)];

	memset(garbage, 0xa5, sizeof(garbage));
	append_some(fixture, 0, RECORDS);
	crash(fixture);
	overwrite(fixture, 0, 0, garbage, sizeof(garbage));
	/* A version alone is not damaged enough to be another version's. */
	overwrite(fixture, 1, offsetof(struct segment_header, through), garbage, 8);
	reopen(fixture, NULL);
	expect(fixture, 0, RECORDS, NONE);
}

static void another_versions_segment_is_left_alone(void **state)
{
	struct fixture *fixture = *state;
	uint32_t version = SEGMENT_VERSION + 1;

	append_some(fixture, 0, 3);
	crash(fixture);
	overwrite(fixture, 0, offsetof(struct segment_header, version), &version, sizeof(version));
	reopen(fixture, NULL);
	assert_int_equal(journal__pending(fixture->journal), 0);
	append_some(fixture, 5, 8);
	crash(fixture);
	version--;
	overwrite(fixture, 0, offsetof(struct segment_header, version), &version, sizeof(version));
	reopen(fixture, NULL);
	assert_int_equal(journal__pending(fixture->journal), 6);
}

static void a_file_cut_short_costs_what_was_behind(void **state)
{
	struct fixture *fixture = *state;
	int fd;

	append_some(fixture, 0, 20);
	crash(fixture);
	fd = open_segment_file(fixture, 0);
	assert_int_equal(ftruncate(fd, offset_of(10) + sizeof(struct segment_entry) + 8), 0);
	close(fd);
	reopen(fixture, NULL);
	append_some(fixture, 10, 30);
	expect(fixture, 0, 30, NONE);
}

/* With the name of a new one, but still all of the old one's entries: the crash came in between. */
static void a_segment_that_was_to_be_used_again_is_empty(void **state)
{
	struct fixture *fixture = *state;
	struct journal_record record;
	char from[128], to[128];

	append_some(fixture, 0, 20);
	while (journal__next(fixture->journal, &record))
		journal__ack(fixture->journal, record.handle);
	append_some(fixture, 20, 30);
	crash(fixture);
	segment_path(from, fixture->directory, first_segment(fixture->directory));
	segment_path(to, fixture->directory, first_segment(fixture->directory) + 1);
	assert_int_equal(rename(from, to), 0);
	reopen(fixture, NULL);
	assert_int_equal(counters__get(&fixture->counters, COUNTER_journal_damaged_bytes), 0);
	append_some(fixture, 0, 5);
	expect(fixture, 0, 5, NONE);
}

static void files_that_are_not_whole_yet_or_no_segments_do_not_count(void **state)
{
	static const char *const names[] = { "new-0000000000000007", "seg-7", "seg-000000000000000G",
					     "seg-ffffffffffffffff", "seg-0000000000000009" };
	struct fixture *fixture = *state;
	char path[128];

	append_some(fixture, 0, 20);
	crash(fixture);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", fixture->directory, names[i]);
		/* The last has a segment's name, and is a directory. */
		if (i == 4)
			assert_int_equal(mkdir(path, 0700), 0);
		else
			close(open(path, O_CREAT | O_WRONLY, 0600));
	}
	reopen(fixture, NULL);
	append_some(fixture, 20, 40);
	expect(fixture, 0, 40, NONE);
	assert_int_equal(rmdir(path), 0);
	snprintf(path, sizeof(path), "%s/%s", fixture->directory, names[0]);
	assert_int_equal(access(path, F_OK), -1);
}

static void other_sizes_than_before_are_fine(void **state)
{
	struct fixture *fixture = *state;

	append_some(fixture, 0, RECORDS);
	crash(fixture);
	fixture->options.segment_size = 4 * SEGMENT;
	fixture->options.max_size = 8 * SEGMENT;
	reopen(fixture, NULL);
	append_some(fixture, RECORDS, 2 * RECORDS);
	crash(fixture);
	fixture->options.segment_size = SEGMENT;
	fixture->options.max_size = 2 * SEGMENT;
	reopen(fixture, NULL);
	/* What it goes on in may have room yet; then it is full, until enough is delivered. */
	expect(fixture, 0, 2 * RECORDS, NONE);
	append_some(fixture, 2 * RECORDS, 2 * RECORDS + 100);
	expect(fixture, 2 * RECORDS, 2 * RECORDS + 100, NONE);
}

static void an_orphan_is_delivered_and_its_directory_goes(void **state)
{
	struct fixture *fixture = *state;

	append_some(fixture, 0, RECORDS);
	crash(fixture);
	fixture->options.orphan = true;
	reopen(fixture, NULL);
	expect(fixture, 0, RECORDS, NONE);
	journal__close(fixture->journal);
	fixture->journal = NULL;
	assert_int_equal(access(fixture->directory, F_OK), -1);
	fixture->options.orphan = false;
}

static void an_orphan_that_is_not_delivered_stays(void **state)
{
	struct fixture *fixture = *state;

	append_some(fixture, 0, RECORDS);
	crash(fixture);
	fixture->options.orphan = true;
	reopen(fixture, NULL);
	journal__close(fixture->journal);
	fixture->options.orphan = false;
	reopen(fixture, NULL);
	expect(fixture, 0, RECORDS, NONE);
}

/* A sink keeps records of its own so: the same thread on both sides, and no descriptor. */
static void one_thread_on_both_sides_never_waits_for_itself(void **state)
{
	struct fixture *fixture = *state;
	struct journal_record record;
	uint64_t appended = 0, read = 0;

	for (int round = 0; round < 50; round++) {
		while (stage(fixture->journal, appended))
			appended++;
		journal__publish(fixture->journal);
		for (int i = 0; i < 300 && journal__next(fixture->journal, &record); i++) {
			check_record(&record, read++);
			journal__ack(fixture->journal, record.handle);
		}
	}
	expect(fixture, read, appended, NONE);
}

/* The backlog keeps its order, what comes meanwhile too, and both get on. */
static void interleaved_takes_turns(void **state)
{
	struct fixture *fixture = *state;
	struct journal_record record;
	uint64_t old = 0, fresh = 0, first_fresh = 0, turns = 0;
	bool was_fresh = false;

	fixture->options.replay = REPLAY_INTERLEAVED;
	journal__close(fixture->journal);
	reopen(fixture, NULL);
	append_some(fixture, 0, 900);
	/* It enters, and sees how much there is. */
	assert_int_equal(journal__next(fixture->journal, &record), 1);
	check_record(&record, old++);
	journal__ack(fixture->journal, record.handle);
	append_some(fixture, 900, 950);
	while (journal__next(fixture->journal, &record)) {
		bool is_fresh = record.meta.raw_len != old;

		if (is_fresh && !fresh)
			first_fresh = fresh = record.meta.raw_len;
		check_record(&record, is_fresh ? fresh++ : old++);
		turns += is_fresh != was_fresh;
		was_fresh = is_fresh;
		journal__ack(fixture->journal, record.handle);
		if (old == 300 && !is_fresh)
			append_some(fixture, 950, 960);
	}
	assert_int_equal(journal__pending(fixture->journal), 0);
	assert_int_equal(old, first_fresh);
	assert_int_equal(fresh, 960);
	assert_true(turns > 50);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_crash_loses_and_doubles_nothing),
		TEST(what_lies_behind_the_mark_is_removed),
		TEST(what_was_cut_stays_cut),
		TEST(a_record_that_was_being_written_is_no_record),
		TEST(damage_costs_what_is_damaged),
		TEST(damage_is_passed_over_after_the_next_crash_too),
		TEST(a_damaged_header_costs_no_record),
		TEST(another_versions_segment_is_left_alone),
		TEST(a_file_cut_short_costs_what_was_behind),
		TEST(a_segment_that_was_to_be_used_again_is_empty),
		TEST(files_that_are_not_whole_yet_or_no_segments_do_not_count),
		TEST(other_sizes_than_before_are_fine),
		TEST(an_orphan_is_delivered_and_its_directory_goes),
		TEST(an_orphan_that_is_not_delivered_stays),
		TEST(one_thread_on_both_sides_never_waits_for_itself),
		TEST(interleaved_takes_turns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
