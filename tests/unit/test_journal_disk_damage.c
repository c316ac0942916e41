#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>

#include "journal_disk_fixture.h"

/* 300 records, saved; then `size` bytes at `off` of the first file are overwritten. */
static void damage(struct fixture *fixture, uint64_t off, const void *bytes, size_t size)
{
	char path[128];
	int fd;

	open_journal(fixture);
	append_many(fixture, 300);
	journal__save(fixture->journal, 60000);
	journal__close(fixture->journal);
	fixture->journal = NULL;
	remove_files(fixture->directory);
	segment_path(path, fixture->disk, first_segment(fixture->disk));
	fd = open(path, O_WRONLY);
	assert_true(fd >= 0);
	if (bytes)
		assert_int_equal(pwrite(fd, bytes, size, off), size);
	else
		assert_int_equal(ftruncate(fd, off), 0);
	close(fd);
	open_journal(fixture);
}

static uint64_t offset_of(uint64_t number)
{
	uint64_t off = sizeof(struct segment_header);

	for (uint64_t i = 0; i < number; i++)
		off += segment__entry_size(meta_of(i).key_len + meta_of(i).value_len);
	return off;
}

static void a_flipped_byte_costs_one_record(void **state)
{
	struct fixture *fixture = *state;

	damage(fixture, offset_of(6) - 9, "?", 1);
	drain(fixture, 5, 1);
	assert_int_equal(counter(fixture, COUNTER_journal_damaged_bytes), offset_of(6) - offset_of(5));
}

/* On disk the state is vouched for too: "acknowledged" would be a loss in silence. */
static void a_flipped_state_is_damage(void **state)
{
	static const uint32_t acknowledged = SEGMENT_ACKNOWLEDGED;
	struct fixture *fixture = *state;

	damage(fixture, offset_of(3) + offsetof(struct segment_entry, state), &acknowledged, 4);
	drain(fixture, 3, 1);
	assert_true(counter(fixture, COUNTER_journal_damaged_bytes) > 0);
}

static void a_hole_costs_what_was_in_it(void **state)
{
	static const char zeroes[4096];
	struct fixture *fixture = *state;
	uint64_t first = 0, after;

	while (offset_of(first + 1) <= 8192)
		first++;
	for (after = first; offset_of(after) < 8192 + sizeof(zeroes);)
		after++;
	damage(fixture, 8192, zeroes, sizeof(zeroes));
	drain(fixture, first, after - first);
}

static void a_torn_file_costs_what_is_torn_off(void **state)
{
	struct fixture *fixture = *state;

	damage(fixture, offset_of(20) + 90, NULL, 0);
	while (fixture->read < 20) {
		struct journal_record record;

		if (!journal__next(fixture->journal, &record)) {
			assert_true(wait_for(fixture->options.data_fd, WAIT_MS));
			continue;
		}
		check_record(&record, fixture->read++);
		journal__ack(fixture->journal, record.handle);
	}
	/* All of the first segment behind record 20 is gone, the second is whole. */
	assert_true(counter(fixture, COUNTER_journal_damaged_bytes) > 0);
	drain(fixture, 20, first_of_segment(1) - 20);
}

static void a_file_that_is_gone_is_given_up(void **state)
{
	struct fixture *fixture = *state;
	uint64_t number = 10;
	uint64_t first;
	char path[128];

	open_journal(fixture);
	first = first_segment(fixture->directory);
	append_many(fixture, 4000);
	/* Far behind what has been brought back already. */
	do
		segment_path(path, fixture->disk, first + ++number);
	while (access(path, F_OK));
	assert_int_equal(unlink(path), 0);
	drain(fixture, first_of_segment(number),
	      first_of_segment(number + 1) - first_of_segment(number));
	assert_true(counter(fixture, COUNTER_journal_disk_errors) > 0);
}

/* Of records that a gap tells only those can be told that are whole; the others are not waited for either. */
static void damage_in_what_expires_is_counted(void **state)
{
	struct fixture *fixture = *state;
	uint64_t end = clock__ms() + WAIT_MS;
	char path[128];
	int fd;

	open_journal(fixture);
	append_many(fixture, 2000);
	journal__save(fixture->journal, 60000);
	journal__close(fixture->journal);
	fixture->journal = NULL;
	remove_files(fixture->directory);
	/* The first two are brought back before they expire. */
	segment_path(path, fixture->disk, first_segment(fixture->disk) + 3);
	fd = open(path, O_WRONLY);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, "?", 1, SEGMENT / 2), 1);
	close(fd);
	fixture->options.disk.max_age_ms = 1;
	open_journal(fixture);
	while (!access(path, F_OK)) {
		assert_true(clock__ms() < end);
		usleep(1000);
	}
	while (journal__pending(fixture->journal)) {
		struct journal_record record;

		assert_true(clock__ms() < end);
		if (journal__next(fixture->journal, &record))
			journal__ack(fixture->journal, record.handle);
		else
			usleep(1000);
	}
	assert_true(counter(fixture, COUNTER_journal_dropped_lines) > 0);
	assert_true(counter(fixture, COUNTER_journal_damaged_bytes) > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_flipped_byte_costs_one_record),
		TEST(a_flipped_state_is_damage),
		TEST(a_hole_costs_what_was_in_it),
		TEST(a_torn_file_costs_what_is_torn_off),
		TEST(a_file_that_is_gone_is_given_up),
		TEST(damage_in_what_expires_is_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
