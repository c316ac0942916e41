#include "journal_internal.h"

#include "base/clock.h"
#include "base/log.h"
#include "journal_disk.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RETRY_MS 5000       /* after a failure of the disk */
#define LOOK_MS 1000        /* between looks while something is wrong, or may get too old */
#define LOAD_ATTEMPTS 30    /* then a segment that cannot be read is given up */
#define SHORT_OF_MEMORY 4   /* less than a quarter of it is left */

static uint64_t wall_ms(void)
{
	return clock__ns(CLOCK_REALTIME) / NS_PER_MS;
}

void journal_worker__wake(struct journal *journal)
{
	if (journal->disk)
		pthread_cond_signal(&journal->work);
}

static void wake_follower(struct journal *journal)
{
	journal__wake(&journal->sleeping, journal->options.data_fd);
}

/* Said once, and once when it works again. */
static void disk_failed(struct journal *journal, bool removing, int err)
{
	struct journal_disk *disk = journal->disk;

	journal__count(journal, COUNTER_journal_disk_errors, 1);
	if (!disk->failing)
		log_warn("journal: %s: cannot %s a segment: %s; going on in memory, and trying again every %d s",
			 disk->directory, removing ? "remove" : "write", strerror(-err),
			 RETRY_MS / 1000);
	disk->failing = true;
	disk->remove_failed = removing;
	disk->retry_ms = clock__ms() + RETRY_MS;
}

static void disk_works(struct journal *journal)
{
	if (journal->disk->failing)
		log_info("journal: %s: writing works again", journal->disk->directory);
	journal->disk->failing = false;
	journal->disk->remove_failed = false;
}

static bool must_rest(const struct journal *journal)
{
	return journal->disk->failing && clock__ms() < journal->disk->retry_ms;
}

static bool is_committed(const struct journal *journal, const struct segment *segment)
{
	return journal_begin(segment->number + 1) <= atomic_load(&journal->committed);
}

/* --- from memory to disk */

static bool can_spill(const struct journal *journal, const struct segment *segment)
{
	return segment->memory && segment->sealed && !segment->reached && !segment->busy &&
	       !segment->gaps && !segment->loaded &&
	       (journal->options.when_full == WHEN_FULL_DROP_OLDEST ||
		journal_begin(segment->number + 1) <= atomic_load(&journal->published));
}

/*
 * What will be read last, so that it is moved only once. Interleaved, the newest is read soon: then
 * the oldest goes.
 */
static struct segment *spill_candidate(const struct journal *journal)
{
	struct segment *segment;

	if (journal->options.replay == REPLAY_INTERLEAVED) {
		TAILQ_FOREACH(segment, &journal->segments, link)
			if (can_spill(journal, segment))
				return segment;
		return NULL;
	}
	TAILQ_FOREACH_REVERSE(segment, &journal->segments, segment_list, link)
		if (can_spill(journal, segment))
			return segment;
	return NULL;
}

static bool has_room(const struct journal *journal)
{
	return journal->disk->used + journal->segment_size <= journal->disk->max_size;
}

static bool short_of_memory(const struct journal *journal)
{
	uint64_t limit = journal_memory__limit(journal);
	uint64_t spare = journal->spare ? journal->spare->memory : 0;
	uint64_t used = journal->memory_used - spare;

	if (atomic_load(&journal->waiting))
		return true;
	return limit < used + journal->segment_size || limit - used < limit / SHORT_OF_MEMORY;
}

bool journal_worker__stuck(const struct journal *journal)
{
	const struct segment *segment;

	if (journal->disk->failing || !has_room(journal))
		return true;
	TAILQ_FOREACH(segment, &journal->segments, link)
		if (segment->busy)
			return false;
	return !spill_candidate(journal);
}

/* Gives up the lock while it writes. The segment must be busy. */
static int write_segment(struct journal *journal, struct segment *segment, uint64_t end)
{
	uint64_t before = segment->disk;
	uint64_t size = before;
	int err;

	if (!segment->gaps)
		((struct segment_header *)segment_address(journal, segment))->uncommitted =
			is_committed(journal, segment) ? 0 : journal_era(journal);
	pthread_mutex_unlock(&journal->lock);
	err = journal_disk__write(journal->disk, segment->number, segment_address(journal, segment),
				  end, &size);
	pthread_mutex_lock(&journal->lock);
	journal->disk->used += size - before;
	segment->disk = size;
	if (err) {
		disk_failed(journal, false, err);
		return err;
	}
	disk_works(journal);
	segment->stale = false;
	segment->disk_ms = wall_ms();
	journal__count(journal, COUNTER_journal_spilled_segments, 1);
	journal__count(journal, COUNTER_journal_spilled_bytes, size);
	return 0;
}

static uint64_t end_of(const struct journal *journal, const struct segment *segment,
		       uint64_t *records)
{
	struct segment_reader reader;
	struct segment_entry *entry;

	segment_reader__init(&reader, segment_address(journal, segment), segment->memory,
			     segment->number, false, UINT64_MAX);
	*records = 0;
	while ((entry = segment_reader__next(&reader)))
		*records += atomic_load(&entry->state) == SEGMENT_COMMITTED;
	return reader.off;
}

static bool spill_one(struct journal *journal)
{
	struct segment *segment;

	if (must_rest(journal) || !short_of_memory(journal) || !has_room(journal))
		return false;
	segment = spill_candidate(journal);
	if (!segment)
		return false;
	segment->busy = true;
	if (!write_segment(journal, segment, end_of(journal, segment, &segment->records))) {
		segment->limit = UINT64_MAX;
		journal_memory__drop(journal, segment);
	}
	segment->busy = false;
	wake_follower(journal);
	return true;
}

/* --- from disk to memory */

/* A segment that the follower will ask for soon; it is one of the next two. */
static struct segment *load_candidate(const struct journal *journal)
{
	uint64_t from[] = { 0, journal->follower.fresh_from };
	struct segment *segment;

	for (unsigned int i = 0; i < 2; i++) {
		unsigned int ahead = 0;

		TAILQ_FOREACH(segment, &journal->segments, link) {
			if (segment->entered || segment->number < from[i])
				continue;
			if (!segment->memory && !segment->busy)
				return segment;
			if (++ahead == JOURNAL_LOADS)
				break;
		}
	}
	return NULL;
}

int journal_worker__load(struct journal *journal, struct segment *segment,
			 struct segment_reader *reader, bool *unreadable)
{
	uint64_t page = sysconf(_SC_PAGESIZE);
	/* The reader leaves room for an end, whether or not there is one. */
	uint64_t size = (segment->disk + page - 1) / page * page;
	char *address = segment_address(journal, segment);
	struct segment_header *header = (struct segment_header *)address;
	int err = segment__create_new(journal->dir_fd, segment->number, address, size);

	if (err)
		return err;
	err = journal_disk__read(journal->disk, segment->number, address, segment->disk);
	*unreadable = err;
	if (!err) {
		segment_reader__repair(reader, address, segment->disk, segment->number, true,
				       segment->limit);
		if (!reader->sealed && segment->limit >= segment->disk)
			segment_reader__tear(reader, segment->disk);
		memset(address + reader->off, 0, sizeof(struct segment_entry));
		segment__seal((struct segment_entry *)(address + reader->off), segment->number);
		segment__fill_header(header, segment->number, size);
		header->through = segment->through;
		header->gaps = segment->gaps;
		segment__sign_header(header);
		header->reached = segment->reached;
		err = segment__publish(journal->dir_fd, segment->number);
	}
	if (err)
		segment__unlink(journal->dir_fd, SEGMENT_NEW_PREFIX, segment->number);
	else
		segment->memory = size;
	return err;
}

static void loaded(struct journal *journal, struct segment *segment,
		   const struct segment_reader *reader)
{
	segment->loaded = true;
	atomic_fetch_add(&journal->gone, segment->records - reader->records);
	segment->records = reader->records;
	journal__tell_damage(journal->disk->directory, segment->number, reader);
	journal__count(journal, COUNTER_journal_loaded_segments, 1);
	journal__count(journal, COUNTER_journal_damaged_bytes, reader->damaged);
}

void journal_worker__tell_unreadable(struct journal *journal, const struct segment *segment, int err)
{
	log_error("journal: %s/" SEGMENT_PREFIX "%016" PRIx64 " cannot be read: %s; its %" PRIu64
		  " records are left out",
		  journal->disk->directory, segment->number, strerror(-err), segment->records);
	journal__count(journal, COUNTER_journal_damaged_bytes, segment->disk);
}

static void give_up(struct journal *journal, struct segment *segment, int err)
{
	journal_worker__tell_unreadable(journal, segment, err);
	atomic_fetch_add(&journal->gone, segment->records);
	segment->entered = true;
	segment->done = true;
}

/* Some file systems have errors of their own for what they find damaged. */
bool journal_worker__is_damage(int err)
{
	return err == -EIO || err == -EBADMSG || err == -EUCLEAN;
}

/* Only what the file itself is to blame for counts: anything else may be over later. */
static void not_loaded(struct journal *journal, struct segment *segment, int err, bool unreadable)
{
	journal_memory__give_slot(journal, segment);
	journal->loads--;
	journal__count(journal, COUNTER_journal_disk_errors, 1);
	if (unreadable &&
	    (err == -ENOENT || (journal_worker__is_damage(err) && ++segment->attempts == LOAD_ATTEMPTS))) {
		give_up(journal, segment, err);
		return;
	}
	if (!segment->retry_ms)
		log_warn("journal: %s/" SEGMENT_PREFIX "%016" PRIx64
			 " cannot be brought back to %s: %s; trying again every %d s",
			 journal->disk->directory, segment->number, journal->options.directory,
			 strerror(-err), LOOK_MS / 1000);
	segment->retry_ms = clock__ms() + LOOK_MS;
}

static bool load_one(struct journal *journal)
{
	struct segment *segment = load_candidate(journal);
	struct segment_reader reader = { 0 };
	bool unreadable = false;
	int err;

	if (!segment || journal->loads >= JOURNAL_LOADS || clock__ms() < segment->retry_ms ||
	    !journal_memory__take_slot(journal, segment))
		return false;
	journal->loads++;
	segment->busy = true;
	pthread_mutex_unlock(&journal->lock);
	err = journal_worker__load(journal, segment, &reader, &unreadable);
	pthread_mutex_lock(&journal->lock);
	segment->busy = false;
	if (err)
		not_loaded(journal, segment, err, unreadable);
	else
		loaded(journal, segment, &reader);
	wake_follower(journal);
	return true;
}

/* --- what nobody needs */

static bool remove_one(struct journal *journal)
{
	struct segment *segment;
	int err;

	TAILQ_FOREACH(segment, &journal->segments, link)
		if (segment->done && !segment->busy && (segment->memory || !must_rest(journal)))
			break;
	if (!segment)
		return false;
	segment->busy = true;
	pthread_mutex_unlock(&journal->lock);
	err = journal_disk__unlink(journal->disk, segment->number);
	pthread_mutex_lock(&journal->lock);
	segment->busy = false;
	if (segment->memory)
		journal_memory__drop(journal, segment);
	if (err) {
		disk_failed(journal, true, err);
		return true;
	}
	journal->disk->used -= segment->disk;
	if (journal->disk->remove_failed)
		disk_works(journal);
	/* If it was full, it has room now. */
	journal->disk->retry_ms = 0;
	TAILQ_REMOVE(&journal->segments, segment, link);
	free(segment);
	return true;
}

static bool expire_one(struct journal *journal)
{
	struct journal_disk *disk = journal->disk;
	struct segment *segment;

	if (!disk->max_age_ms || must_rest(journal))
		return false;
	TAILQ_FOREACH(segment, &journal->segments, link)
		if (segment->disk && !segment->memory && !segment->reached && !segment->busy &&
		    !segment->done && is_committed(journal, segment) && segment->disk_ms + disk->max_age_ms < wall_ms())
			return journal__drop_segment(journal, segment, JOURNAL_LOSS_EXPIRED);
	return false;
}

/* The appender waits, and nothing can be moved: the oldest goes, if that is the policy. */
static bool drop_one(struct journal *journal)
{
	if (journal->options.when_full != WHEN_FULL_DROP_OLDEST ||
	    !atomic_load(&journal->waiting) || (!must_rest(journal) && has_room(journal)))
		return false;
	return journal__drop_oldest(journal, !must_rest(journal));
}

static void wait_for_work(struct journal *journal)
{
	struct timespec until;
	const struct segment *segment = load_candidate(journal);

	if (!journal->disk->failing && !journal->disk->max_age_ms &&
	    !(segment && segment->retry_ms)) {
		pthread_cond_wait(&journal->work, &journal->lock);
		return;
	}
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += LOOK_MS / 1000;
	pthread_cond_clockwait(&journal->work, &journal->lock, CLOCK_MONOTONIC, &until);
}

static void *run(void *argument)
{
	struct journal *journal = argument;

	pthread_mutex_lock(&journal->lock);
	while (!journal->stop) {
		if (!load_one(journal) && !remove_one(journal) && !expire_one(journal) &&
		    !spill_one(journal) && !drop_one(journal))
			wait_for_work(journal);
	}
	pthread_mutex_unlock(&journal->lock);
	return NULL;
}

int journal_worker__start(struct journal *journal)
{
	int err = pthread_create(&journal->worker, NULL, run, journal);

	journal->worker_runs = !err;
	return -err;
}

void journal_worker__stop(struct journal *journal)
{
	if (!journal->worker_runs)
		return;
	pthread_mutex_lock(&journal->lock);
	journal->stop = true;
	pthread_cond_signal(&journal->work);
	pthread_mutex_unlock(&journal->lock);
	pthread_join(journal->worker, NULL);
	journal->worker_runs = false;
}

/* --- the end */

/* Not when all of it is on disk already, as it is, and nothing of it was acknowledged since. */
static bool needs_saving(const struct journal *journal, const struct segment *segment)
{
	return segment->memory && !segment->done &&
	       (!segment->disk || segment->stale || segment->reached || segment == journal->appender.segment);
}

/* False: something in it should have been saved. */
static bool save_segment(struct journal *journal, struct segment *segment, bool in_time)
{
	uint64_t records;
	uint64_t end;

	if (!needs_saving(journal, segment))
		return true;
	end = end_of(journal, segment, &records);
	if (!records)
		return true;
	if (!in_time || journal->disk->used + end > journal->disk->max_size + segment->disk)
		return false;
	return !write_segment(journal, segment, end);
}

void journal__save(struct journal *journal, unsigned int deadline_ms)
{
	uint64_t deadline = clock__ms() + deadline_ms;
	struct segment *segment;
	unsigned int left = 0;

	if (!journal->disk)
		return;
	journal_worker__stop(journal);
	pthread_mutex_lock(&journal->lock);
	TAILQ_FOREACH(segment, &journal->segments, link)
		left += !save_segment(journal, segment, clock__ms() < deadline);
	pthread_mutex_unlock(&journal->lock);
	if (left)
		log_warn("journal: %u segments in %s could not be saved to %s: they outlive logtap, but not a reboot",
			 left, journal->options.directory, journal->disk->directory);
}
