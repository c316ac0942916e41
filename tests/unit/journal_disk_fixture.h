/* A journal with a disk, for the journal's tests. */
#ifndef JOURNAL_DISK_FIXTURE_H
#define JOURNAL_DISK_FIXTURE_H

#include <poll.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "../../user/base/clock.h"
#include "../../user/base/counters.h"
#include "../../user/journal/journal_disk.h"
#include "../../user/journal/journal_internal.h"
#include "journal_records.h"

#define WAIT_MS 60000

struct fixture {
	char directory[64];
	char disk[64];
	struct journal_options options;
	struct counters counters;
	struct journal *journal;
	uint64_t appended;
	uint64_t read;
};

static inline int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	strcpy(fixture->directory, "/dev/shm/logtap-disk-XXXXXX");
	strcpy(fixture->disk, "/var/tmp/logtap-disk-XXXXXX");
	if (!mkdtemp(fixture->directory) || !mkdtemp(fixture->disk))
		return -1;
	fixture->options = (struct journal_options){
		.directory = fixture->directory,
		.max_size = 6 * SEGMENT,
		.segment_size = SEGMENT,
		.data_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC),
		.space_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC),
		.disk = { .directory = fixture->disk, .max_size = 1 << 30, .fsync = DISK_FSYNC_SEGMENT },
		.counters = &fixture->counters,
	};
	*state = fixture;
	return 0;
}

static inline int teardown(void **state)
{
	struct fixture *fixture = *state;

	journal__close(fixture->journal);
	/* Fails where nothing was mounted. */
	umount2(fixture->directory, MNT_DETACH);
	umount2(fixture->disk, MNT_DETACH);
	remove_files(fixture->directory);
	remove_files(fixture->disk);
	rmdir(fixture->directory);
	rmdir(fixture->disk);
	close(fixture->options.data_fd);
	close(fixture->options.space_fd);
	free(fixture);
	return 0;
}

/* A file system of its own, that can be full or read-only. False where that is not permitted. */
static inline bool mount_tmpfs(const char *directory, const char *size)
{
	return !mount("tmpfs", directory, "tmpfs", 0, size);
}

static inline void open_journal(struct fixture *fixture)
{
	assert_int_equal(journal__open(&fixture->options, NULL, &fixture->journal), 0);
}

static inline bool wait_for(int fd, int ms)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	uint64_t count;

	return poll(&poll_fd, 1, ms) == 1 && read(fd, &count, sizeof(count)) == sizeof(count);
}

static inline void append_many(struct fixture *fixture, unsigned int count)
{
	while (count) {
		if (append(fixture->journal, fixture->appended)) {
			fixture->appended++;
			count--;
			continue;
		}
		journal__publish(fixture->journal);
		assert_true(wait_for(fixture->options.space_fd, WAIT_MS));
	}
}

/* Until neither memory nor disk has room, and nothing is under way that could make some. */
static inline void append_until_full(struct fixture *fixture)
{
	for (;;) {
		while (append(fixture->journal, fixture->appended))
			fixture->appended++;
		journal__publish(fixture->journal);
		if (!journal__full(fixture->journal))
			wait_for(fixture->options.space_fd, 10);
		else if (!append(fixture->journal, fixture->appended))
			return;
		else
			fixture->appended++;
	}
}

/* Reads and acknowledges all there is; records from `missing` on, `missing_count` of them, do not come. */
static inline void drain(struct fixture *fixture, uint64_t missing, uint64_t missing_count)
{
	struct journal_record record;

	while (journal__pending(fixture->journal)) {
		if (!journal__next(fixture->journal, &record)) {
			/* What is missing may have been all that there was. */
			if (!wait_for(fixture->options.data_fd, WAIT_MS))
				assert_int_equal(journal__pending(fixture->journal), 0);
			continue;
		}
		if (fixture->read == missing)
			fixture->read += missing_count;
		check_record(&record, fixture->read++);
		journal__ack(fixture->journal, record.handle);
	}
	assert_int_equal(fixture->read + (fixture->read == missing ? missing_count : 0),
			 fixture->appended);
	assert_int_equal(journal__next(fixture->journal, &record), 0);
}

#define NONE UINT64_MAX

static inline void await_no_files(const struct fixture *fixture)
{
	for (int i = 0; i < WAIT_MS && count_segments(fixture->disk); i++)
		usleep(1000);
	assert_int_equal(count_segments(fixture->disk), 0);
}

static inline uint64_t counter(const struct fixture *fixture, enum counter which)
{
	return counters__get(&fixture->counters, which);
}

/* The first record of the segment with this number, when all are of one size. */
static inline uint64_t first_of_segment(uint64_t number)
{
	uint64_t off = sizeof(struct segment_header);
	uint64_t record;

	for (record = 0; number; record++) {
		uint64_t size = segment__entry_size(meta_of(record).key_len + meta_of(record).value_len);

		if (off + size + sizeof(struct segment_entry) > SEGMENT) {
			off = sizeof(struct segment_header);
			if (!--number)
				break;
		}
		off += size;
	}
	return record;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
