#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/eventfd.h>

#include "../../user/base/clock.h"
#include "../../user/base/counters.h"
#include "../../user/base/log.h"
#include "../../user/journal/journal_internal.h"
#include "journal_records.h"

#define STREAMS 7
#define RECORDS 40000u
#define HEAD_LEN 20

/* Per stream: what was appended, delivered, and told as lost. Bytes and lines of its own. */
struct tally {
	uint64_t bytes;
	uint64_t lines;
};

struct fixture {
	char directory[64];
	char disk[64];
	struct journal_options options;
	struct counters counters;
	struct journal *journal;
	struct tally appended[STREAMS];
	struct tally delivered[STREAMS];
	struct tally told[STREAMS];
	uint64_t last[STREAMS]; /* number of the stream's last record or gap, + 1 */
	unsigned int gaps;
	void *held[RECORDS];
	unsigned int held_count;
};

static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	strcpy(fixture->directory, "/dev/shm/logtap-drop-XXXXXX");
	strcpy(fixture->disk, "/var/tmp/logtap-drop-XXXXXX");
	if (!mkdtemp(fixture->directory) || !mkdtemp(fixture->disk))
		return -1;
	fixture->options = (struct journal_options){
		.directory = fixture->directory,
		.max_size = 5 * SEGMENT,
		.segment_size = SEGMENT,
		.data_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC),
		.space_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC),
		.when_full = WHEN_FULL_DROP_OLDEST,
		.counters = &fixture->counters,
	};
	*state = fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	journal__close(fixture->journal);
	remove_files(fixture->directory);
	remove_files(fixture->disk);
	rmdir(fixture->directory);
	rmdir(fixture->disk);
	close(fixture->options.data_fd);
	close(fixture->options.space_fd);
	free(fixture);
	return 0;
}

static void open_journal(struct fixture *fixture)
{
	assert_int_equal(journal__open(&fixture->options, NULL, &fixture->journal), 0);
}

static void await(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	uint64_t count;

	assert_int_equal(poll(&poll_fd, 1, 20000), 1);
	assert_int_equal(read(fd, &count, sizeof(count)), sizeof(count));
}

/* Each 50th record is a gap of the kernel's: it stands for bytes, but for no line. */
static bool stage_one(struct fixture *fixture, uint64_t number)
{
	struct journal_meta meta = {
		.key_len = 4,
		.value_len = 200 + number % 300,
		.head_len = HEAD_LEN,
		.flags = number % 50 ? 0 : JOURNAL_GAP,
		.raw_len = 1 + number % 97,
		.lines = number % 50 ? 1 : 0,
		.stream = number * 31 % STREAMS,
	};
	char *out = journal__reserve(fixture->journal, 4 + meta.value_len);

	if (!out)
		return false;
	memset(out, 'x', 4 + meta.value_len);
	snprintf(out + 4, HEAD_LEN + 1, "%0*lu", HEAD_LEN, (unsigned long)number);
	journal__append(fixture->journal, &meta);
	fixture->appended[meta.stream].bytes += meta.raw_len;
	fixture->appended[meta.stream].lines += meta.lines;
	return true;
}

static void append_one(struct fixture *fixture, uint64_t number)
{
	while (!stage_one(fixture, number)) {
		journal__publish(fixture->journal);
		await(fixture->options.space_fd);
	}
	journal__publish(fixture->journal);
}

static void take(struct fixture *fixture, const struct journal_record *record)
{
	const struct journal_meta *meta = &record->meta;
	bool made = memmem(record->value, meta->value_len, "\"lost\"", 6);
	struct tally *tally = made ? &fixture->told[meta->stream] : &fixture->delivered[meta->stream];
	uint64_t number;

	assert_in_range(meta->stream, 0, STREAMS - 1);
	/* Order within the stream, and a gap stands where its first record stood. */
	assert_int_equal(sscanf(record->value, "%20lu", &number), 1);
	if (number < fixture->last[meta->stream])
		fail_msg("stream %lu: %lu came after %lu", meta->stream, number,
			 fixture->last[meta->stream] - 1);
	fixture->last[meta->stream] = number + 1;
	tally->bytes += meta->raw_len;
	tally->lines += meta->lines;
	fixture->gaps += made;
}

/* Reads all there is. */
static void drain(struct fixture *fixture)
{
	struct journal_record record;

	while (journal__pending(fixture->journal)) {
		if (!journal__next(fixture->journal, &record)) {
			await(fixture->options.data_fd);
			continue;
		}
		take(fixture, &record);
		journal__ack(fixture->journal, record.handle);
	}
	assert_int_equal(journal__next(fixture->journal, &record), 0);
}

/* To the byte: what was appended is delivered or told as lost, once. */
static void assert_exact(const struct fixture *fixture)
{
	uint64_t bytes = 0, lines = 0;

	for (int i = 0; i < STREAMS; i++) {
		assert_int_equal(fixture->appended[i].bytes,
				 fixture->delivered[i].bytes + fixture->told[i].bytes);
		assert_int_equal(fixture->appended[i].lines,
				 fixture->delivered[i].lines + fixture->told[i].lines);
		bytes += fixture->told[i].bytes;
		lines += fixture->told[i].lines;
	}
	assert_true(bytes > 0);
	assert_int_equal(counters__get(&fixture->counters, COUNTER_journal_dropped_bytes), bytes);
	assert_int_equal(counters__get(&fixture->counters, COUNTER_journal_dropped_lines), lines);
}

static void the_oldest_goes_and_is_told_to_the_byte(void **state)
{
	struct fixture *fixture = *state;

	open_journal(fixture);
	for (uint64_t number = 0; number < RECORDS; number++)
		append_one(fixture, number);
	drain(fixture);
	assert_exact(fixture);
	/* Dropped one after the other: one gap a stream. */
	assert_int_equal(fixture->gaps, STREAMS);
}

/* What tells of the dropped must not take the room that dropping makes. */
static void two_segments_are_enough_to_drop(void **state)
{
	struct fixture *fixture = *state;
	const struct segment *segment;
	uint64_t number = 0;
	uint64_t memory = 0;

	fixture->options.max_size = 2 * SEGMENT;
	open_journal(fixture);
	while (number < 2000)
		append_one(fixture, number++);
	journal__free(fixture->journal);
	open_journal(fixture);
	while (number < 4000)
		append_one(fixture, number++);
	drain(fixture);
	/* Nor does what is gone leave more room than there is. */
	TAILQ_FOREACH(segment, &fixture->journal->segments, link)
		memory += segment->memory;
	memory += fixture->journal->spare ? fixture->journal->spare->memory : 0;
	assert_int_equal(fixture->journal->memory_used, memory);
	assert_exact(fixture);
	assert_int_equal(fixture->gaps, STREAMS);
}

static void what_the_sink_has_taken_is_never_dropped(void **state)
{
	struct fixture *fixture = *state;
	struct journal_record record;
	uint64_t number = 0;

	open_journal(fixture);
	for (int round = 0; round < 20; round++) {
		for (int i = 0; i < 1500; i++)
			append_one(fixture, number++);
		/* Some are read and acknowledged late, all over the round. */
		for (int i = 0; i < 200 && journal__next(fixture->journal, &record); i++) {
			take(fixture, &record);
			fixture->held[fixture->held_count++] = record.handle;
		}
		if (round % 3 == 2)
			while (fixture->held_count)
				journal__ack(fixture->journal, fixture->held[--fixture->held_count]);
	}
	while (fixture->held_count)
		journal__ack(fixture->journal, fixture->held[--fixture->held_count]);
	drain(fixture);
	assert_exact(fixture);
	assert_true(fixture->gaps > STREAMS);
}

/* It is not known whether the first follower delivered it. */
/* The sink has been in both segments, and has all of the first. It acknowledges that after there was no room. */
static void room_that_has_come_meanwhile_shows_nothing(void **state)
{
	struct fixture *fixture = *state;
	struct journal_record record;
	void *held[1000];
	unsigned int count = 0;
	uint64_t number = 0;
	uint64_t first;

	fixture->options.max_size = 2 * SEGMENT;
	open_journal(fixture);
	first = fixture->journal->appender.segment->number;
	while (fixture->journal->appender.segment->number == first)
		append_one(fixture, number++);
	while (journal__next(fixture->journal, &record)) {
		take(fixture, &record);
		held[count++] = record.handle;
	}
	while (stage_one(fixture, number))
		number++;
	for (unsigned int i = 0; i < count; i++)
		journal__ack(fixture->journal, held[i]);
	journal__show(fixture->journal);
	assert_int_equal(journal__next(fixture->journal, &record), 0);
	await(fixture->options.space_fd);
	append_one(fixture, number);
	drain(fixture);
}

static void nor_after_a_crash_what_it_had_taken(void **state)
{
	struct fixture *fixture = *state;
	struct journal_record record;
	uint64_t number = 0;

	open_journal(fixture);
	while (number < 300)
		append_one(fixture, number++);
	assert_int_equal(journal__next(fixture->journal, &record), 1);
	journal__free(fixture->journal);
	open_journal(fixture);
	while (number < RECORDS)
		append_one(fixture, number++);
	assert_int_equal(journal__next(fixture->journal, &record), 1);
	assert_memory_equal(record.value, "00000000000000000000", HEAD_LEN);
	/* Itself, not a gap in its place. */
	assert_null(memmem(record.value, record.meta.value_len, "\"lost\"", 6));
	take(fixture, &record);
	journal__ack(fixture->journal, record.handle);
	drain(fixture);
	assert_exact(fixture);
}

static void gaps_outlive_crashes_and_grow_on(void **state)
{
	struct fixture *fixture = *state;
	uint64_t number = 0;

	open_journal(fixture);
	for (int round = 0; round < 10; round++) {
		for (int i = 0; i < 1000; i++)
			append_one(fixture, number++);
		journal__free(fixture->journal);
		open_journal(fixture);
	}
	drain(fixture);
	assert_exact(fixture);
	assert_int_equal(fixture->gaps, STREAMS);
}

/* A crash after the gaps took the first one's name, before the file behind them was removed. */
static void a_place_that_gaps_have_taken_is_not_read_again(void **state)
{
	struct fixture *fixture = *state;
	char victim[128], saved[128];
	uint64_t number = 0;

	open_journal(fixture);
	segment_path(victim, fixture->directory, first_segment(fixture->directory) + 2);
	/* Until the first is gone, and gaps have its place. */
	while (!counters__get(&fixture->counters, COUNTER_journal_dropped_bytes))
		append_one(fixture, number++);
	snprintf(saved, sizeof(saved), "%s/saved", fixture->directory);
	assert_int_equal(link(victim, saved), 0);
	while (!access(victim, F_OK))
		append_one(fixture, number++);
	journal__free(fixture->journal);
	assert_int_equal(rename(saved, victim), 0);
	open_journal(fixture);
	assert_int_equal(access(victim, F_OK), -1);
	drain(fixture);
	assert_exact(fixture);
}

/* It lies between, and is none of the dropped. */
static void another_versions_segment_is_not_taken_for_dropped(void **state)
{
	struct fixture *fixture = *state;
	uint32_t version = SEGMENT_VERSION + 1;
	uint64_t number = 0;
	char others[128];
	int fd;

	open_journal(fixture);
	segment_path(others, fixture->directory, first_segment(fixture->directory) + 1);
	while (!counters__get(&fixture->counters, COUNTER_journal_dropped_bytes))
		append_one(fixture, number++);
	journal__free(fixture->journal);
	fd = open(others, O_WRONLY);
	assert_int_equal(pwrite(fd, &version, sizeof(version),
				offsetof(struct segment_header, version)),
			 sizeof(version));
	close(fd);
	open_journal(fixture);
	for (int i = 0; i < 2000; i++)
		append_one(fixture, number++);
	journal__free(fixture->journal);
	open_journal(fixture);
	assert_int_equal(access(others, F_OK), 0);
	drain(fixture);
	/* Before it and behind it. */
	assert_int_equal(fixture->gaps, 2 * STREAMS);
}

/* The journal is smaller than what is appended between two commits, and the crash comes then. */
static void a_mark_in_what_was_dropped_cuts_no_gap(void **state)
{
	struct fixture *fixture = *state;
	struct journal_mark mark;
	uint64_t number = 0;

	open_journal(fixture);
	while (number < 2)
		append_one(fixture, number++);
	journal__mark(fixture->journal, &mark);
	while (!counters__get(&fixture->counters, COUNTER_journal_dropped_bytes))
		append_one(fixture, number++);
	journal__free(fixture->journal);
	assert_int_equal(journal__open(&fixture->options, &mark, &fixture->journal), 0);
	drain(fixture);
	assert_int_equal(fixture->gaps, STREAMS);
	assert_int_equal(counters__get(&fixture->counters, COUNTER_journal_damaged_bytes), 0);
}

static void with_a_full_disk_too_the_oldest_goes(void **state)
{
	struct fixture *fixture = *state;

	fixture->options.disk.directory = fixture->disk;
	fixture->options.disk.max_size = 6 * SEGMENT;
	open_journal(fixture);
	for (uint64_t number = 0; number < RECORDS; number++)
		append_one(fixture, number);
	assert_true(counters__get(&fixture->counters, COUNTER_journal_spilled_segments) > 0);
	drain(fixture);
	assert_exact(fixture);
}

/* What the disk says of each segment that is to be read from it. */
static _Atomic int read_failure;

int __real_journal_disk__read(struct journal_disk *disk, uint64_t number, char *bytes, uint64_t size);
int __wrap_journal_disk__read(struct journal_disk *disk, uint64_t number, char *bytes, uint64_t size);

int __wrap_journal_disk__read(struct journal_disk *disk, uint64_t number, char *bytes, uint64_t size)
{
	return read_failure ? read_failure : __real_journal_disk__read(disk, number, bytes, size);
}

/* It cannot be told whose it was: it is damage, and nothing waits for it. */
static void what_cannot_be_read_goes_too(void **state)
{
	struct fixture *fixture = *state;
	const struct counters *counters = &fixture->counters;
	uint64_t number = 0, dropped;

	fixture->options.disk.directory = fixture->disk;
	fixture->options.disk.max_size = 6 * SEGMENT;
	open_journal(fixture);
	while (!counters__get(counters, COUNTER_journal_dropped_lines))
		append_one(fixture, number++);
	read_failure = -EIO;
	for (int i = 0; i < 20000; i++)
		append_one(fixture, number++);
	read_failure = 0;
	assert_true(counters__get(counters, COUNTER_journal_damaged_bytes) > 0);
	dropped = counters__get(counters, COUNTER_journal_dropped_lines);
	while (counters__get(counters, COUNTER_journal_dropped_lines) == dropped)
		append_one(fixture, number++);
	/* All that can be is delivered or told, in order, also by the next agent. */
	journal__close(fixture->journal);
	open_journal(fixture);
	drain(fixture);
}

static void what_is_too_old_on_disk_is_told_as_expired(void **state)
{
	struct fixture *fixture = *state;
	uint64_t number = 0;

	fixture->options.disk.directory = fixture->disk;
	fixture->options.disk.max_size = 1 << 30;
	fixture->options.disk.max_age_ms = 1;
	open_journal(fixture);
	while (!counters__get(&fixture->counters, COUNTER_journal_dropped_lines) && number < RECORDS)
		append_one(fixture, number++);
	for (int i = 0; i < 5000; i++)
		append_one(fixture, number++);
	drain(fixture);
	assert_exact(fixture);
}

/* The file of what was dropped on disk has not gone yet. */
static void stop_right_after_a_drop(struct fixture *fixture)
{
	struct segment *segment;
	uint64_t number = 0;

	fixture->options.disk.directory = fixture->disk;
	fixture->options.disk.max_size = 1 << 30;
	open_journal(fixture);
	while (counters__get(&fixture->counters, COUNTER_journal_spilled_segments) < 3)
		append_one(fixture, number++);
	journal_worker__stop(fixture->journal);
	pthread_mutex_lock(&fixture->journal->lock);
	TAILQ_FOREACH(segment, &fixture->journal->segments, link)
		if (segment->disk && !segment->memory)
			break;
	assert_true(segment && journal__drop_segment(fixture->journal, segment, JOURNAL_LOSS_FULL));
	pthread_mutex_unlock(&fixture->journal->lock);
	journal__save(fixture->journal, 60000);
	journal__close(fixture->journal);
	fixture->journal = NULL;
}

static void a_clean_stop_keeps_gaps_whose_segment_is_still_on_disk(void **state)
{
	struct fixture *fixture = *state;

	stop_right_after_a_drop(fixture);
	open_journal(fixture);
	drain(fixture);
	assert_exact(fixture);
}

static void so_does_a_reboot_after_it(void **state)
{
	struct fixture *fixture = *state;

	stop_right_after_a_drop(fixture);
	remove_files(fixture->directory);
	open_journal(fixture);
	drain(fixture);
	assert_exact(fixture);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_oldest_goes_and_is_told_to_the_byte),
		TEST(two_segments_are_enough_to_drop),
		TEST(what_the_sink_has_taken_is_never_dropped),
		TEST(room_that_has_come_meanwhile_shows_nothing),
		TEST(nor_after_a_crash_what_it_had_taken),
		TEST(gaps_outlive_crashes_and_grow_on),
		TEST(a_place_that_gaps_have_taken_is_not_read_again),
		TEST(another_versions_segment_is_not_taken_for_dropped),
		TEST(a_mark_in_what_was_dropped_cuts_no_gap),
		TEST(with_a_full_disk_too_the_oldest_goes),
		TEST(what_cannot_be_read_goes_too),
		TEST(what_is_too_old_on_disk_is_told_as_expired),
		TEST(a_clean_stop_keeps_gaps_whose_segment_is_still_on_disk),
		TEST(so_does_a_reboot_after_it),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
