#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "../../user/base/log.h"
#include "journal_disk_fixture.h"

static _Atomic bool fsync_fails;

/* In the place of the C library's. The agent syncs nothing but directories with it. */
int fsync(int fd)
{
	if (!fsync_fails)
		return syscall(SYS_fsync, fd);
	errno = EIO;
	return -1;
}

static void many_times_the_memory_comes_back_in_order(void **state)
{
	struct fixture *fixture = *state;

	open_journal(fixture);
	for (int round = 0; round < 3; round++) {
		append_many(fixture, 5000);
		assert_true(count_segments(fixture->disk) > 20);
		assert_in_range(count_segments(fixture->directory), 1, 6);
		drain(fixture, NONE, 0);
		await_no_files(fixture);
	}
	assert_int_equal(counter(fixture, COUNTER_journal_spilled_segments),
			 counter(fixture, COUNTER_journal_loaded_segments));
}

/* Record 999 fills one to its end. Else what is found after a crash may leave no room for another. */
static void what_comes_back_takes_no_more_than_it_had(void **state)
{
	struct fixture *fixture = *state;
	uint64_t end = clock__ms() + WAIT_MS;
	struct journal_record record;
	const struct segment *segment;
	uint64_t largest = 0;

	open_journal(fixture);
	append_many(fixture, 4000);
	while (fixture->read < 3000) {
		assert_true(clock__ms() < end);
		if (!journal__next(fixture->journal, &record)) {
			wait_for(fixture->options.data_fd, 10);
			continue;
		}
		check_record(&record, fixture->read++);
		pthread_mutex_lock(&fixture->journal->lock);
		TAILQ_FOREACH(segment, &fixture->journal->segments, link)
			largest = segment->memory > largest ? segment->memory : largest;
		pthread_mutex_unlock(&fixture->journal->lock);
		journal__ack(fixture->journal, record.handle);
	}
	assert_int_equal(largest, SEGMENT);
	drain(fixture, NONE, 0);
}

static void a_full_disk_is_a_full_journal_and_no_more(void **state)
{
	struct fixture *fixture = *state;

	if (!mount_tmpfs(fixture->disk, "size=1m"))
		skip();
	open_journal(fixture);
	append_until_full(fixture);
	assert_true(counter(fixture, COUNTER_journal_spilled_segments) > 10);
	assert_true(counter(fixture, COUNTER_journal_disk_errors) > 0);
	drain(fixture, NONE, 0);
	/* There is room again, and the next overflow is taken. */
	await_no_files(fixture);
	append_many(fixture, 1500);
	drain(fixture, NONE, 0);
}

static void the_disks_bound_is_kept(void **state)
{
	struct fixture *fixture = *state;

	fixture->options.disk.max_size = 5 * SEGMENT;
	open_journal(fixture);
	append_until_full(fixture);
	assert_in_range(count_segments(fixture->disk), 4, 5);
	assert_int_equal(counter(fixture, COUNTER_journal_disk_errors), 0);
	drain(fixture, NONE, 0);
}

/* Refused as long as a segment is being written. */
static void make_read_only(const struct fixture *fixture)
{
	uint64_t end = clock__ms() + WAIT_MS;

	while (mount(NULL, fixture->disk, NULL, MS_REMOUNT | MS_RDONLY, "size=64m")) {
		assert_int_equal(errno, EBUSY);
		assert_true(clock__ms() < end);
		usleep(1000);
	}
}

/* What was sealed before is tried once it is needed. */
static void await_disk_errors(struct fixture *fixture)
{
	uint64_t end = clock__ms() + WAIT_MS;

	do {
		assert_true(clock__ms() < end);
		append_until_full(fixture);
	} while (!counter(fixture, COUNTER_journal_disk_errors));
}

static void a_read_only_disk_is_done_without_until_it_can_be_written(void **state)
{
	struct fixture *fixture = *state;
	unsigned int spilled;

	if (!mount_tmpfs(fixture->disk, "size=64m"))
		skip();
	open_journal(fixture);
	append_many(fixture, 2000);
	spilled = count_segments(fixture->disk);
	assert_true(spilled > 0);
	make_read_only(fixture);
	await_disk_errors(fixture);
	/* What is there is read all the same; its files go when that is possible again. */
	drain(fixture, NONE, 0);
	append_until_full(fixture);
	assert_int_equal(mount(NULL, fixture->disk, NULL, MS_REMOUNT, "size=64m"), 0);
	append_many(fixture, 2000);
	drain(fixture, NONE, 0);
	await_no_files(fixture);
}

/* Else it would be found at the next start, long after it was delivered from memory. */
static void a_file_whose_name_is_not_durable_is_taken_back(void **state)
{
	struct fixture *fixture = *state;

	open_journal(fixture);
	fsync_fails = true;
	await_disk_errors(fixture);
	journal_worker__stop(fixture->journal);
	fsync_fails = false;
	assert_int_equal(count_segments(fixture->disk), 0);
	assert_int_equal(fixture->journal->disk->used, 0);
	journal__free(fixture->journal);
	open_journal(fixture);
	drain(fixture, NONE, 0);
}

static void a_directory_that_cannot_be_had_is_done_without(void **state)
{
	struct fixture *fixture = *state;

	fixture->options.disk.directory = "/proc/logtap/disk";
	open_journal(fixture);
	append_until_full(fixture);
	drain(fixture, NONE, 0);
}

/* As after a reboot: what was in memory has gone. */
static void lose_memory(struct fixture *fixture)
{
	journal__close(fixture->journal);
	fixture->journal = NULL;
	remove_files(fixture->directory);
	wait_for(fixture->options.data_fd, 0);
	open_journal(fixture);
}

static void what_was_saved_outlives_a_reboot(void **state)
{
	struct fixture *fixture = *state;

	open_journal(fixture);
	append_many(fixture, 2000);
	journal__save(fixture->journal, 60000);
	lose_memory(fixture);
	assert_int_equal(journal__pending(fixture->journal), 2000);
	append_many(fixture, 500);
	drain(fixture, NONE, 0);
	await_no_files(fixture);
}

static void what_was_acknowledged_is_not_saved(void **state)
{
	struct fixture *fixture = *state;
	struct journal_record record;

	open_journal(fixture);
	append_many(fixture, 50);
	for (int i = 0; i < 30; i++) {
		assert_int_equal(journal__next(fixture->journal, &record), 1);
		check_record(&record, fixture->read++);
		journal__ack(fixture->journal, record.handle);
	}
	journal__save(fixture->journal, 60000);
	lose_memory(fixture);
	assert_int_equal(journal__pending(fixture->journal), 20);
	drain(fixture, NONE, 0);
}

static void no_time_to_save_is_said_and_loses_nothing_before_a_reboot(void **state)
{
	struct fixture *fixture = *state;

	open_journal(fixture);
	append_many(fixture, 50);
	journal__save(fixture->journal, 0);
	assert_int_equal(count_segments(fixture->disk), 0);
	journal__close(fixture->journal);
	open_journal(fixture);
	drain(fixture, NONE, 0);
}

/* What is written to stderr goes into a file, up to heard(). */
struct listening {
	int to;
	int before;
};

static struct listening listen_to_stderr(void)
{
	struct listening listening = { memfd_create("stderr", MFD_CLOEXEC), dup(STDERR_FILENO) };

	assert_true(listening.to >= 0 && listening.before >= 0);
	dup2(listening.to, STDERR_FILENO);
	return listening;
}

/* How many bytes it was. */
static ssize_t heard(const struct listening *listening)
{
	struct stat said;

	dup2(listening->before, STDERR_FILENO);
	assert_int_equal(fstat(listening->to, &said), 0);
	close(listening->before);
	close(listening->to);
	return said.st_size;
}

/* Saves without any time, and returns how many bytes were said meanwhile. */
static ssize_t save_and_listen(struct fixture *fixture)
{
	struct listening listening = listen_to_stderr();

	journal__save(fixture->journal, 0);
	return heard(&listening);
}

static void no_time_to_save_what_is_all_acknowledged_is_not_said(void **state)
{
	struct fixture *fixture = *state;

	open_journal(fixture);
	append_many(fixture, 50);
	drain(fixture, NONE, 0);
	assert_int_equal(save_and_listen(fixture), 0);
	append_many(fixture, 1);
	assert_true(save_and_listen(fixture) > 0);
}

static void crash(struct fixture *fixture, const struct journal_mark *end)
{
	journal_worker__stop(fixture->journal);
	journal__free(fixture->journal);
	wait_for(fixture->options.data_fd, 0);
	assert_int_equal(journal__open(&fixture->options, end, &fixture->journal), 0);
}

/*
 * A clean stop, and a start whose disk is read-only: the file of the segment that goes on cannot be removed. More is appended
 * than that holds.
 */
static void go_on_beside_a_file_that_stays(struct fixture *fixture)
{
	struct journal_mark mark;

	open_journal(fixture);
	append_many(fixture, 50);
	journal__mark(fixture->journal, &mark);
	journal__save(fixture->journal, 60000);
	journal__close(fixture->journal);
	make_read_only(fixture);
	assert_int_equal(journal__open(&fixture->options, &mark, &fixture->journal), 0);
	assert_int_equal(count_segments(fixture->disk), 1);
	append_many(fixture, 400);
	assert_true(count_segments(fixture->directory) > 1);
}

static void save_over_a_reboot(struct fixture *fixture)
{
	assert_int_equal(mount(NULL, fixture->disk, NULL, MS_REMOUNT, "size=64m"), 0);
	journal__save(fixture->journal, 60000);
	lose_memory(fixture);
	assert_int_equal(journal__pending(fixture->journal), 450);
	drain(fixture, NONE, 0);
	await_no_files(fixture);
}

static void what_a_file_on_disk_lacks_is_saved(void **state)
{
	struct fixture *fixture = *state;

	if (!mount_tmpfs(fixture->disk, "size=64m"))
		skip();
	go_on_beside_a_file_that_stays(fixture);
	save_over_a_reboot(fixture);
}

static void what_a_file_on_disk_lacks_is_saved_by_a_later_process(void **state)
{
	struct fixture *fixture = *state;
	struct journal_mark mark;

	if (!mount_tmpfs(fixture->disk, "size=64m"))
		skip();
	go_on_beside_a_file_that_stays(fixture);
	journal__publish(fixture->journal);
	journal__mark(fixture->journal, &mark);
	crash(fixture, &mark);
	save_over_a_reboot(fixture);
}

static void a_start_writes_nothing_that_is_on_disk_as_it_was_committed(void **state)
{
	struct fixture *fixture = *state;
	struct listening listening;
	struct journal_mark mark;
	ssize_t said;

	if (!mount_tmpfs(fixture->disk, "size=64m"))
		skip();
	open_journal(fixture);
	append_many(fixture, 50);
	journal__mark(fixture->journal, &mark);
	journal__save(fixture->journal, 60000);
	journal__close(fixture->journal);
	make_read_only(fixture);
	log_set_level(LOG_LEVEL_WARN);
	listening = listen_to_stderr();
	assert_int_equal(journal__open(&fixture->options, &mark, &fixture->journal), 0);
	said = heard(&listening);
	log_set_level(LOG_LEVEL_INFO);
	assert_int_equal(said, 0);
	drain(fixture, NONE, 0);
}

/*
 * It was shown because the journal was full, moved, and then the crash came before the commit, of 2,050 records. What
 * is on disk alone comes all the same: it could be of an earlier boot. The committed one is cut. Returns the first number
 * in the next segment.
 */
static uint64_t cut_in_mid_segment(struct fixture *fixture)
{
	struct journal_mark mark;
	uint64_t before, next;
	char path[128];

	open_journal(fixture);
	before = first_segment(fixture->directory);
	append_many(fixture, 2050); /* in the middle of a segment */
	journal__mark(fixture->journal, &mark);
	append_many(fixture, 1000);
	segment_path(path, fixture->directory, mark.number);
	for (int i = 0; i < WAIT_MS && !access(path, F_OK); i++)
		usleep(1000);
	assert_int_equal(access(path, F_OK), -1);
	next = first_of_segment(mark.number + 1 - before);
	fixture->appended = 2050;
	crash(fixture, &mark);
	assert_in_range(journal__pending(fixture->journal), 2051, 3050 - (next - 2050));
	return next;
}

/* All that is pending: those that were committed, then some from `next` on. */
static void expect_cut(struct fixture *fixture, uint64_t next)
{
	struct journal_record record;

	while (journal__pending(fixture->journal)) {
		if (!journal__next(fixture->journal, &record)) {
			assert_true(wait_for(fixture->options.data_fd, WAIT_MS));
			continue;
		}
		if (fixture->read < 2050) {
			check_record(&record, fixture->read++);
		} else {
			assert_in_range(record.meta.raw_len, next, 3049);
			next = record.meta.raw_len;
			check_record(&record, next++);
		}
		journal__ack(fixture->journal, record.handle);
	}
}

static void what_was_not_committed_is_cut_on_disk_too(void **state)
{
	struct fixture *fixture = *state;
	uint64_t next = cut_in_mid_segment(fixture);

	/* Nor does what was cut come back with the next crash. */
	crash(fixture, NULL);
	expect_cut(fixture, next);
	append_many(fixture, 100);
	drain(fixture, NONE, 0);
}

static void what_was_cut_on_disk_does_not_outlive_memory(void **state)
{
	struct fixture *fixture = *state;
	uint64_t next = cut_in_mid_segment(fixture);

	journal__save(fixture->journal, 60000);
	lose_memory(fixture);
	expect_cut(fixture, next);
	assert_int_equal(fixture->read, 2050);
}

/* The disk was away for a start, and that had a number and a mark of its own. */
static void what_an_earlier_boot_left_on_disk_is_kept(void **state)
{
	struct fixture *fixture = *state;
	struct journal_mark mark;
	uint64_t second;

	open_journal(fixture);
	second = clock__ns(CLOCK_REALTIME) / NS_PER_SECOND;
	append_many(fixture, 300);
	journal__save(fixture->journal, 60000);
	/* Lives that begin in the same second are no two boots. */
	while (clock__ns(CLOCK_REALTIME) / NS_PER_SECOND <= second + 1)
		usleep(10000);
	fixture->options.disk.directory = NULL;
	lose_memory(fixture);
	assert_int_equal(journal__pending(fixture->journal), 0);
	append_many(fixture, 50);
	journal__mark(fixture->journal, &mark);
	fixture->options.disk.directory = fixture->disk;
	crash(fixture, &mark);
	assert_int_equal(journal__pending(fixture->journal), 350);
	append_many(fixture, 50);
	drain(fixture, NONE, 0);
}

/* As where there is no memory: no file grows beyond `size`. */
static void limit_files(rlim_t size)
{
	struct rlimit limit;

	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = size < limit.rlim_max ? size : limit.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* It is no fault of the disk's, and over once there is room. */
static void no_memory_to_bring_it_back_to_is_waited_for(void **state)
{
	static void *held[4000];
	struct fixture *fixture = *state;
	struct journal_record record;
	uint64_t end = clock__ms() + WAIT_MS;
	unsigned int held_count = 0;

	open_journal(fixture);
	append_many(fixture, 4000);
	limit_files(4096);
	/* Until all that is in memory has been read: the rest is on disk. */
	for (bool any = true; any || !counter(fixture, COUNTER_journal_disk_errors);) {
		assert_true(clock__ms() < end);
		any = journal__next(fixture->journal, &record) == 1;
		if (!any) {
			usleep(1000);
			continue;
		}
		check_record(&record, fixture->read++);
		held[held_count++] = record.handle;
	}
	limit_files(RLIM_INFINITY);
	assert_in_range(fixture->read, 1, 3999);
	while (held_count)
		journal__ack(fixture->journal, held[--held_count]);
	drain(fixture, NONE, 0);
	await_no_files(fixture);
}

static void what_is_on_disk_outlives_the_directory_in_memory(void **state)
{
	struct fixture *fixture = *state;
	struct journal_record record;
	uint64_t end = clock__ms() + WAIT_MS;

	open_journal(fixture);
	append_many(fixture, 4000);
	/* What can still be read from memory ends at the first that must be brought back. */
	remove_files(fixture->directory);
	assert_int_equal(rmdir(fixture->directory), 0);
	while (!counter(fixture, COUNTER_journal_disk_errors)) {
		assert_true(clock__ms() < end);
		if (journal__next(fixture->journal, &record))
			check_record(&record, fixture->read++);
		else
			usleep(1000);
	}
	journal_worker__stop(fixture->journal);
	assert_int_equal(journal__pending(fixture->journal), fixture->appended);
	assert_int_equal(counter(fixture, COUNTER_journal_spilled_segments),
			 count_segments(fixture->disk));
	assert_int_equal(mkdir(fixture->directory, 0700), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(many_times_the_memory_comes_back_in_order),
		TEST(what_comes_back_takes_no_more_than_it_had),
		TEST(a_full_disk_is_a_full_journal_and_no_more),
		TEST(the_disks_bound_is_kept),
		TEST(a_read_only_disk_is_done_without_until_it_can_be_written),
		TEST(a_file_whose_name_is_not_durable_is_taken_back),
		TEST(a_directory_that_cannot_be_had_is_done_without),
		TEST(what_was_saved_outlives_a_reboot),
		TEST(what_was_acknowledged_is_not_saved),
		TEST(no_time_to_save_is_said_and_loses_nothing_before_a_reboot),
		TEST(no_time_to_save_what_is_all_acknowledged_is_not_said),
		TEST(what_was_not_committed_is_cut_on_disk_too),
		TEST(what_was_cut_on_disk_does_not_outlive_memory),
		TEST(what_a_file_on_disk_lacks_is_saved),
		TEST(what_a_file_on_disk_lacks_is_saved_by_a_later_process),
		TEST(a_start_writes_nothing_that_is_on_disk_as_it_was_committed),
		TEST(what_an_earlier_boot_left_on_disk_is_kept),
		TEST(no_memory_to_bring_it_back_to_is_waited_for),
		TEST(what_is_on_disk_outlives_the_directory_in_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
