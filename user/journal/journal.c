#include "journal_internal.h"

#include "base/log.h"
#include "journal_disk.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MIN_SEGMENTS 2
#define MAX_SEGMENTS 16384 /* well below the 65,530 mappings of a process */

void journal__wake(_Atomic bool *flag, int fd)
{
	const uint64_t one = 1;

	/* A full eventfd is a readable one. */
	if (atomic_load(flag) && atomic_exchange(flag, false) && write(fd, &one, sizeof(one)) < 0)
		return;
}

void journal__count(struct journal *journal, enum counter counter, uint64_t n)
{
	if (journal->options.counters)
		counters__add(journal->options.counters, counter, n);
}

static int check_sizes(const struct journal_options *options)
{
	uint64_t least = MIN_SEGMENTS + (options->disk.directory ? JOURNAL_LOADS : 0);
	uint64_t segments = options->segment_size ? options->max_size / options->segment_size : 0;

	if (options->segment_size < SEGMENT_SIZE_MIN || options->segment_size > SEGMENT_SIZE_MAX) {
		log_error("journal: a segment of %" PRIu64 " bytes is not possible: %u to %u are",
			  options->segment_size, SEGMENT_SIZE_MIN, SEGMENT_SIZE_MAX);
		return -EINVAL;
	}
	if (segments < least || segments > MAX_SEGMENTS) {
		log_error("journal: %" PRIu64 " bytes are %" PRIu64 " segments of %" PRIu64
			  " bytes: %" PRIu64 " to %u are possible",
			  options->max_size, segments, options->segment_size, least, MAX_SEGMENTS);
		return -EINVAL;
	}
	return 0;
}

static void close_files(struct journal *journal)
{
	if (journal->dir_fd >= 0)
		close(journal->dir_fd);
	journal->dir_fd = -1;
	journal_disk__free(journal->disk);
	journal->disk = NULL;
}

void journal__free(struct journal *journal)
{
	struct segment *segment;

	if (!journal)
		return;
	while ((segment = TAILQ_FIRST(&journal->segments))) {
		TAILQ_REMOVE(&journal->segments, segment, link);
		free(segment);
	}
	free(journal->spare);
	if (journal->base)
		munmap(journal->base, journal->slots_count * journal->stride);
	close_files(journal);
	pthread_mutex_destroy(&journal->lock);
	pthread_cond_destroy(&journal->work);
	free(journal->slots);
	free((char *)journal->options.directory);
	free(journal);
}

static struct journal *journal__new(const struct journal_options *options)
{
	struct journal *journal = aligned_alloc(JOURNAL_CACHE_LINE, sizeof(*journal));
	uint64_t page = sysconf(_SC_PAGESIZE);

	if (!journal)
		return NULL;
	memset(journal, 0, sizeof(*journal));
	journal->options = *options;
	journal->options.directory = strdup(options->directory);
	journal->options.disk.directory = NULL;
	journal->segment_size = options->segment_size / page * page;
	journal->dir_fd = -1;
	TAILQ_INIT(&journal->segments);
	pthread_mutex_init(&journal->lock, NULL);
	pthread_cond_init(&journal->work, NULL);
	if (!journal->options.directory) {
		journal__free(journal);
		return NULL;
	}
	return journal;
}

/* Appender: the slot and the memory of a new segment, or the spare one. NULL: there are none. */
static struct segment *take_segment(struct journal *journal)
{
	struct segment *segment = journal->spare;

	journal->spare = NULL;
	if (segment)
		return segment;
	if (!journal_memory__has_room(journal))
		return NULL;
	segment = calloc(1, sizeof(*segment));
	if (!segment || !journal_memory__take_slot(journal, segment)) {
		free(segment);
		return NULL;
	}
	segment->memory = journal->segment_size;
	journal->memory_used += segment->memory;
	return segment;
}

static void give_back(struct journal *journal, struct segment *segment, bool recycled)
{
	if (recycled) {
		journal->spare = segment;
		return;
	}
	journal->memory_used -= segment->memory;
	journal_memory__give_slot(journal, segment);
	free(segment);
}

static void use_segment(struct journal *journal, struct segment *segment, uint64_t number)
{
	*segment = (struct segment){
		.number = number,
		.through = number,
		.memory = segment->memory,
		.slot = segment->slot,
		.limit = UINT64_MAX,
	};
	TAILQ_INSERT_TAIL(&journal->segments, segment, link);
	journal->appender.segment = segment;
	journal->appender.address = segment_address(journal, segment);
	journal->appender.off = sizeof(struct segment_header);
	journal->appender.next = number + 1;
}

/* -EAGAIN: full. The appender counts as waiting after any failure. */
static int open_segment(struct journal *journal)
{
	uint64_t number = journal->appender.next;
	struct segment *segment;
	bool recycled;
	int err = -EAGAIN;

	pthread_mutex_lock(&journal->lock);
	atomic_store(&journal->waiting, true);
	recycled = journal->spare;
	segment = take_segment(journal);
	journal->make_failed = !segment && journal_memory__has_room(journal);
	if (segment) {
		char *address = segment_address(journal, segment);

		/* The slot is the appender's: no other thread looks at it. */
		pthread_mutex_unlock(&journal->lock);
		err = recycled ? segment__recycle(journal->dir_fd, segment->number, number, address)
			       : segment__create(journal->dir_fd, number, address,
						 journal->segment_size);
		pthread_mutex_lock(&journal->lock);
		journal->make_failed = err;
		if (err) {
			give_back(journal, segment, recycled);
		} else {
			use_segment(journal, segment, number);
			atomic_store(&journal->waiting, false);
		}
	}
	journal_worker__wake(journal);
	pthread_mutex_unlock(&journal->lock);
	return err;
}

/* All that was found has been committed. */
static void publish_found(struct journal *journal)
{
	struct journal_mark end;

	journal__mark(journal, &end);
	journal->appender.published = journal_position(end.number, end.off);
	atomic_store(&journal->committed, journal->appender.published);
	atomic_store(&journal->published, journal->appender.published);
}

int journal__open(const struct journal_options *options, const struct journal_mark *end,
		  struct journal **out)
{
	struct journal *journal;
	int err = check_sizes(options);

	if (err)
		return err;
	journal = journal__new(options);
	if (!journal)
		return -ENOMEM;
	err = journal_disk__open_directory(options->directory, &journal->dir_fd);
	if (!err && options->disk.directory)
		err = journal_disk__new(options, &journal->disk);
	err = err ? err : journal__recover(journal, end);
	if (err)
		goto failed;
	if (!journal->appender.segment && !options->orphan)
		err = open_segment(journal);
	if (err && err != -EAGAIN) {
		log_error("journal: cannot make a segment of %" PRIu64 " bytes in %s: %s",
			  journal->segment_size, options->directory, strerror(-err));
		goto failed;
	}
	publish_found(journal);
	err = journal->disk ? journal_worker__start(journal) : 0;
	if (err)
		goto failed;
	*out = journal;
	return 0;
failed:
	journal__free(journal);
	return err;
}

static bool has_records(const struct journal *journal, const struct segment *segment)
{
	struct segment_reader reader;
	struct segment_entry *entry;

	if (!segment->memory)
		return !segment->done;
	segment_reader__init(&reader, segment_address(journal, segment), segment->memory,
			     segment->number, false, UINT64_MAX);
	while ((entry = segment_reader__next(&reader)))
		if (atomic_load(&entry->state) == SEGMENT_COMMITTED)
			return true;
	return false;
}

/* What it held is told by gaps of its number, which are to be delivered: its file on disk may be theirs by now, if they were saved. */
static bool is_replaced(const struct journal *journal, const struct segment *segment)
{
	const struct segment *gaps = TAILQ_PREV(segment, segment_list, link);

	return gaps && gaps->number == segment->number && has_records(journal, gaps);
}

/* An orphan's directories, only when nothing is left in them. */
static void remove_directories(const struct journal *journal)
{
	if (!journal->options.orphan)
		return;
	rmdir(journal->options.directory);
	if (journal->disk)
		rmdir(journal->disk->directory);
}

void journal__shut(struct journal *journal)
{
	struct segment *segment;

	if (!journal || journal->shut)
		return;
	journal->shut = true;
	journal_worker__stop(journal);
	if (journal->spare)
		segment__unlink(journal->dir_fd, SEGMENT_PREFIX, journal->spare->number);
	TAILQ_FOREACH(segment, &journal->segments, link) {
		if (has_records(journal, segment) || is_replaced(journal, segment))
			continue;
		if (segment->disk && journal_disk__unlink(journal->disk, segment->number))
			continue;
		segment__unlink(journal->dir_fd, SEGMENT_PREFIX, segment->number);
	}
	remove_directories(journal);
	close_files(journal);
}

void journal__close(struct journal *journal)
{
	journal__shut(journal);
	journal__free(journal);
}

size_t journal__max_record(const struct journal *journal)
{
	/* Behind the record there is always room for the header that ends the segment. */
	return journal->segment_size - sizeof(struct segment_header) -
	       2 * sizeof(struct segment_entry);
}

static void seal(struct journal *journal)
{
	struct segment *segment = journal->appender.segment;

	segment__seal((struct segment_entry *)(journal->appender.address + journal->appender.off),
		      segment->number);
	pthread_mutex_lock(&journal->lock);
	segment->sealed = true;
	pthread_mutex_unlock(&journal->lock);
	journal->appender.segment = NULL;
}

/* False when the appender must wait. */
static bool go_on_in_next_segment(struct journal *journal)
{
	bool dropped;
	int err;

	do {
		err = open_segment(journal);
		if (!err)
			return true;
		/* With a disk its thread drops, as it knows what else can be done. */
		pthread_mutex_lock(&journal->lock);
		dropped = journal->options.when_full == WHEN_FULL_DROP_OLDEST && !journal->disk &&
			  journal__drop_oldest(journal, false);
		pthread_mutex_unlock(&journal->lock);
	} while (dropped);
	if (err != -EAGAIN && !journal->appender.failure_told) {
		log_warn("journal: cannot make a segment of %" PRIu64
			 " bytes: %s; going on with those that there are",
			 journal->segment_size, strerror(-err));
		journal->appender.failure_told = true;
	}
	return false;
}

char *journal__reserve(struct journal *journal, size_t len)
{
	uint64_t need = segment__entry_size(len) + sizeof(struct segment_entry);
	struct segment_entry *entry;

	if (len > journal__max_record(journal))
		return NULL;
	if (journal->appender.segment &&
	    journal->appender.off + need > journal->appender.segment->memory)
		seal(journal);
	if (!journal->appender.segment && !go_on_in_next_segment(journal))
		return NULL;
	journal->appender.reserved = len;
	entry = (struct segment_entry *)(journal->appender.address + journal->appender.off);
	return entry->bytes;
}

void journal__append(struct journal *journal, const struct journal_meta *meta)
{
	struct segment_entry *entry =
		(struct segment_entry *)(journal->appender.address + journal->appender.off);
	uint64_t len = (uint64_t)meta->key_len + meta->value_len;
	struct segment_entry *next;

	assert(len <= journal->appender.reserved);
	entry->size = segment__entry_size(len);
	entry->tag = segment__tag(journal->appender.segment->number);
	entry->meta = *meta;
	/* What lies there may be of the segment's earlier life: the end comes first. */
	next = (struct segment_entry *)((char *)entry + entry->size);
	atomic_store_explicit(&next->state, SEGMENT_EMPTY, memory_order_relaxed);
	journal->appender.off += entry->size;
	/* Counted first: an acknowledgement never comes before what it acknowledges. */
	atomic_store_explicit(&journal->appended,
			      atomic_load_explicit(&journal->appended, memory_order_relaxed) + 1,
			      memory_order_relaxed);
	atomic_store_explicit(&entry->state, SEGMENT_COMMITTED, memory_order_release);
}

bool journal__full(struct journal *journal)
{
	bool full;

	pthread_mutex_lock(&journal->lock);
	full = !journal->disk || journal_worker__stuck(journal);
	pthread_mutex_unlock(&journal->lock);
	return full;
}

void journal__mark(const struct journal *journal, struct journal_mark *out)
{
	/* Behind a sealed segment the next one begins, which is not open yet. */
	*out = journal->appender.segment
		       ? (struct journal_mark){ journal->appender.segment->number,
						journal->appender.off }
		       : (struct journal_mark){ journal->appender.next,
						sizeof(struct segment_header) };
}

static uint64_t here(const struct journal *journal)
{
	struct journal_mark end;

	journal__mark(journal, &end);
	return journal_position(end.number, end.off);
}

static void show_up_to(struct journal *journal, uint64_t position)
{
	journal->appender.published = position;
	atomic_store(&journal->published, position);
	journal__wake(&journal->sleeping, journal->options.data_fd);
	if (journal->appender.segment)
		return;
	/* It found the journal full: what is published now can be moved or dropped. */
	pthread_mutex_lock(&journal->lock);
	journal_worker__wake(journal);
	if (journal->options.when_full == WHEN_FULL_DROP_OLDEST)
		journal_memory__wake_appender(journal);
	pthread_mutex_unlock(&journal->lock);
}

void journal__publish(struct journal *journal)
{
	uint64_t position = here(journal);

	if (position == atomic_load_explicit(&journal->committed, memory_order_relaxed))
		return;
	atomic_store(&journal->committed, position);
	show_up_to(journal, position);
}

void journal__show(struct journal *journal)
{
	uint64_t position = here(journal);
	bool needed;

	pthread_mutex_lock(&journal->lock);
	needed = journal->options.when_full != WHEN_FULL_DROP_OLDEST ||
		 !journal__room_comes(journal);
	pthread_mutex_unlock(&journal->lock);
	if (needed && position != journal->appender.published)
		show_up_to(journal, position);
}

bool journal__is_due(const struct journal *journal)
{
	uint64_t committed = atomic_load_explicit(&journal->committed, memory_order_relaxed);

	return journal_number(here(journal)) > journal_number(committed);
}

uint64_t journal__pending(const struct journal *journal)
{
	uint64_t acknowledged = atomic_load_explicit(&journal->acknowledged, memory_order_acquire);
	uint64_t gone = atomic_load_explicit(&journal->gone, memory_order_acquire);

	return atomic_load_explicit(&journal->appended, memory_order_relaxed) - acknowledged - gone;
}
