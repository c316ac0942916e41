#include "journal.h"

#include "directory.h"
#include "journal_segment.h"
#include "log.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * Segments live in slots: a slot is a place in one reserved range of addresses, so that an entry's
 * address says its slot. The n-th segment's slot is order[n % slots]; a segment that is not read
 * yet holds its slot, so a place in `order` is read before it is written again.
 *
 * Two flags put a side to sleep, each with the same handshake: the sleeper sets its flag and looks
 * again, the other side acts and then looks at the flag. Every one of these four accesses is
 * sequentially consistent. Anything weaker lets the processor do the look before the act is
 * visible, on both sides, and a wake-up is lost.
 */
#define MIN_SEGMENTS 2
#define MAX_SEGMENTS 16384     /* well below the 65,530 mappings of a process */
#define MIN_SEGMENT_SIZE 65536 /* a page, on any machine */
#define MAX_SEGMENT_SIZE (1u << 31)
#define CACHE_LINE 64
#define NO_SLOT UINT32_MAX
#define ENTRY_ALIGN 8
#define OFF_BITS 28 /* MAX_SEGMENT_SIZE / ENTRY_ALIGN, and an entry begins before that */

struct slot {
	_Atomic bool used; /* has a file; set by the appender, cleared by the follower */
	uint64_t number;   /* of its segment: written by the appender before it is published */
	/* The follower's: */
	uint32_t outstanding; /* read and not acknowledged */
	bool passed;          /* sealed and read to the end */
};

struct journal {
	char *base; /* of slot 0 */
	uint64_t segment_size;
	uint32_t slots_count;
	struct slot *slots;
	uint32_t *order;
	int dir_fd; /* locked as long as the journal is open */
	int data_fd;
	int space_fd;

	struct {
		uint64_t opened; /* segments so far */
		char *segment;   /* the one appended to; NULL when it is sealed */
		uint64_t off;    /* of the next entry */
		uint64_t reserved;
		uint64_t published;
		bool failure_told;
		bool rename_told;
	} appender __attribute__((aligned(CACHE_LINE)));

	struct {
		uint64_t number; /* of the segment it reads */
		uint64_t off;
		uint64_t end; /* what it knows to be published */
	} follower __attribute__((aligned(CACHE_LINE)));

	/* Written by the appender. */
	_Atomic uint64_t published __attribute__((aligned(CACHE_LINE))); /* a position */
	_Atomic uint64_t appended;

	/* Written by the follower. */
	_Atomic uint64_t acknowledged __attribute__((aligned(CACHE_LINE)));
	_Atomic bool sleeping; /* the follower; cleared by whoever wakes it */

	/* Written by both, once a segment. */
	_Atomic bool waiting __attribute__((aligned(CACHE_LINE))); /* the appender */
	_Atomic uint32_t spare; /* a slot whose file can be used again, or NO_SLOT */
};

static uint64_t entry_size(size_t len)
{
	return (sizeof(struct segment_entry) + len + 7) & ~7ull;
}

/* A place in the journal as one word, so that the follower reads it whole. Later is greater. */
static uint64_t position(uint64_t number, uint64_t off)
{
	return number << OFF_BITS | off / ENTRY_ALIGN;
}

static char *slot_address(const struct journal *journal, uint32_t slot)
{
	return journal->base + slot * journal->segment_size;
}

static void wake(_Atomic bool *flag, int fd)
{
	const uint64_t one = 1;

	/* A full eventfd is a readable one. */
	if (atomic_load(flag) && atomic_exchange(flag, false) && write(fd, &one, sizeof(one)) < 0)
		return;
}

static int open_directory(const char *path, int *out)
{
	int err = directory__make(path);
	int fd;

	if (err) {
		log_error("journal: cannot make the directory %s: %s", path, strerror(-err));
		return err;
	}
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		err = -errno;
		log_error("journal: cannot open the directory %s: %s", path, strerror(-err));
		return err;
	}
	if (flock(fd, LOCK_EX | LOCK_NB)) {
		err = -errno;
		log_error("journal: %s is in use: is another logtap running? Give each its own "
			  "journal.directory",
			  path);
		close(fd);
		return err;
	}
	*out = fd;
	return 0;
}

/* Until an agent can go on from them, old segments are removed; never in silence. */
static int remove_leftovers(int dir_fd, const char *path)
{
	unsigned int files = 0;
	uint64_t records = 0;
	int err = segment__remove_all(dir_fd, &files, &records);

	if (err)
		log_error("journal: cannot remove the old segments in %s: %s", path,
			  strerror(-err));
	else if (files)
		log_warn("journal: removed %u old segment files in %s; %" PRIu64
			 " records in them were never delivered",
			 files, path, records);
	return err;
}

static int check_sizes(const struct journal_options *options)
{
	uint64_t segments = options->segment_size ? options->max_size / options->segment_size : 0;

	if (options->segment_size < MIN_SEGMENT_SIZE || options->segment_size > MAX_SEGMENT_SIZE) {
		log_error("journal: a segment of %" PRIu64 " bytes is not possible: %u to %u are",
			  options->segment_size, MIN_SEGMENT_SIZE, MAX_SEGMENT_SIZE);
		return -EINVAL;
	}
	if (segments < MIN_SEGMENTS || segments > MAX_SEGMENTS) {
		log_error("journal: %" PRIu64 " bytes are %" PRIu64 " segments of %" PRIu64
			  " bytes: %u to %u are possible",
			  options->max_size, segments, options->segment_size, MIN_SEGMENTS,
			  MAX_SEGMENTS);
		return -EINVAL;
	}
	return 0;
}

static int reserve_addresses(struct journal *journal)
{
	void *base = mmap(NULL, journal->slots_count * journal->segment_size, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (base == MAP_FAILED)
		return -errno;
	journal->base = base;
	return 0;
}

/* Appender: a slot with an empty segment in it. */
static int fill_slot(struct journal *journal, uint64_t number, uint32_t *out)
{
	uint32_t slot = atomic_exchange(&journal->spare, NO_SLOT);
	int err;

	if (slot != NO_SLOT) {
		char *address = slot_address(journal, slot);

		err = segment__recycle(journal->dir_fd, journal->slots[slot].number, number,
				       address);
		/*
		 * Its memory serves whatever has become of the file; it only would not survive a
		 * crash.
		 */
		if (err && !journal->appender.rename_told)
			log_warn("journal: a segment cannot be renamed: %s; it is used all the same, but would "
				 "not survive a crash",
				 strerror(-err));
		journal->appender.rename_told |= err != 0;
		goto filled;
	}
	for (slot = 0; slot < journal->slots_count && atomic_load(&journal->slots[slot].used);
	     slot++)
		;
	if (slot == journal->slots_count)
		return -EAGAIN;
	err = segment__create(journal->dir_fd, number, slot_address(journal, slot),
			      journal->segment_size);
	if (err)
		return err;
	atomic_store(&journal->slots[slot].used, true);
filled:
	journal->slots[slot].number = number;
	journal->slots[slot].outstanding = 0;
	journal->slots[slot].passed = false;
	*out = slot;
	return 0;
}

/* Appender: -EAGAIN when max_size is reached. */
static int open_segment(struct journal *journal)
{
	uint64_t number = journal->appender.opened;
	uint32_t slot;
	int err;

	err = fill_slot(journal, number, &slot);
	if (err)
		return err;
	journal->order[number % journal->slots_count] = slot;
	journal->appender.segment = slot_address(journal, slot);
	journal->appender.off = sizeof(struct segment_header);
	journal->appender.opened = number + 1;
	return 0;
}

static void journal__free(struct journal *journal)
{
	if (!journal)
		return;
	if (journal->base)
		munmap(journal->base, journal->slots_count * journal->segment_size);
	if (journal->dir_fd >= 0)
		close(journal->dir_fd);
	free(journal->order);
	free(journal->slots);
	free(journal);
}

static struct journal *journal__new(const struct journal_options *options)
{
	struct journal *journal = aligned_alloc(CACHE_LINE, sizeof(*journal));
	uint64_t page = sysconf(_SC_PAGESIZE);

	if (!journal)
		return NULL;
	memset(journal, 0, sizeof(*journal));
	journal->segment_size = options->segment_size / page * page;
	journal->slots_count = options->max_size / options->segment_size;
	journal->dir_fd = -1;
	journal->data_fd = options->data_fd;
	journal->space_fd = options->space_fd;
	journal->follower.off = sizeof(struct segment_header);
	journal->follower.end = position(0, journal->follower.off);
	journal->appender.published = journal->follower.end;
	atomic_store(&journal->published, journal->follower.end);
	atomic_store(&journal->spare, NO_SLOT);
	journal->slots = calloc(journal->slots_count, sizeof(*journal->slots));
	journal->order = calloc(journal->slots_count, sizeof(*journal->order));
	if (!journal->slots || !journal->order) {
		journal__free(journal);
		return NULL;
	}
	return journal;
}

int journal__open(const struct journal_options *options, const struct journal_mark *end,
		  struct journal **out)
{
	struct journal *journal;
	int err = check_sizes(options);

	(void)end;
	if (err)
		return err;
	journal = journal__new(options);
	if (!journal)
		return -ENOMEM;
	err = open_directory(options->directory, &journal->dir_fd);
	if (err)
		goto failed;
	err = remove_leftovers(journal->dir_fd, options->directory);
	if (err)
		goto failed;
	err = reserve_addresses(journal);
	if (!err)
		err = open_segment(journal);
	if (err) {
		log_error("journal: cannot make a segment of %" PRIu64 " bytes in %s: %s",
			  journal->segment_size, options->directory, strerror(-err));
		goto failed;
	}
	*out = journal;
	return 0;
failed:
	journal__free(journal);
	return err;
}

void journal__close(struct journal *journal)
{
	if (!journal)
		return;
	for (uint32_t slot = 0; slot < journal->slots_count; slot++) {
		char name[SEGMENT_NAME_SIZE];
		uint64_t count = 0;

		if (!atomic_load(&journal->slots[slot].used))
			continue;
		segment__name(name, journal->slots[slot].number);
		if (!segment__unacknowledged(journal->dir_fd, name, &count) && !count)
			unlinkat(journal->dir_fd, name, 0);
	}
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
	struct segment_entry *end =
		(struct segment_entry *)(journal->appender.segment + journal->appender.off);

	end->size = sizeof(*end);
	journal->appender.segment = NULL;
	atomic_store(&end->state, SEGMENT_SEALED);
}

/* False when the appender must wait; it counts as waiting then. */
static bool go_on_in_next_segment(struct journal *journal)
{
	int err;

	atomic_store(&journal->waiting, true);
	err = open_segment(journal);
	if (!err) {
		atomic_store(&journal->waiting, false);
		return true;
	}
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
	uint64_t need = entry_size(len) + sizeof(struct segment_entry);
	struct segment_entry *entry;

	if (len > journal__max_record(journal))
		return NULL;
	if (journal->appender.segment && journal->appender.off + need > journal->segment_size)
		seal(journal);
	if (!journal->appender.segment && !go_on_in_next_segment(journal))
		return NULL;
	journal->appender.reserved = len;
	entry = (struct segment_entry *)(journal->appender.segment + journal->appender.off);
	return entry->bytes;
}

void journal__append(struct journal *journal, const struct journal_meta *meta)
{
	struct segment_entry *entry =
		(struct segment_entry *)(journal->appender.segment + journal->appender.off);
	uint64_t len = (uint64_t)meta->key_len + meta->value_len;
	struct segment_entry *next;

	assert(len <= journal->appender.reserved);
	entry->size = entry_size(len);
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

void journal__mark(const struct journal *journal, struct journal_mark *out)
{
	/* Behind a sealed segment the next one begins, which is not open yet. */
	*out = journal->appender.segment
		       ? (struct journal_mark){ journal->appender.opened - 1,
						journal->appender.off }
		       : (struct journal_mark){ journal->appender.opened,
						sizeof(struct segment_header) };
}

void journal__publish(struct journal *journal)
{
	struct journal_mark end;
	uint64_t now;

	journal__mark(journal, &end);
	now = position(end.number, end.off);
	if (now == journal->appender.published)
		return;
	journal->appender.published = now;
	atomic_store(&journal->published, now);
	wake(&journal->sleeping, journal->data_fd);
}

/* Follower: nothing in the slot is needed. One file stays mapped for the appender. */
static void free_slot(struct journal *journal, uint32_t slot)
{
	uint32_t none = NO_SLOT;

	if (!atomic_compare_exchange_strong(&journal->spare, &none, slot)) {
		segment__drop(journal->dir_fd, journal->slots[slot].number,
			      slot_address(journal, slot), journal->segment_size);
		atomic_store(&journal->slots[slot].used, false);
	}
	wake(&journal->waiting, journal->space_fd);
}

static void pass_segment(struct journal *journal, uint32_t slot)
{
	journal->follower.number++;
	journal->follower.off = sizeof(struct segment_header);
	journal->slots[slot].passed = true;
	if (!journal->slots[slot].outstanding)
		free_slot(journal, slot);
}

static struct segment_entry *next_entry(struct journal *journal, uint32_t *slot)
{
	for (;;) {
		struct segment_entry *entry;

		if (position(journal->follower.number, journal->follower.off) ==
		    journal->follower.end) {
			uint64_t end = atomic_load(&journal->published);

			if (end == journal->follower.end)
				return NULL;
			journal->follower.end = end;
		}

		*slot = journal->order[journal->follower.number % journal->slots_count];
		entry = (struct segment_entry *)(slot_address(journal, *slot) +
						 journal->follower.off);
		if (atomic_load_explicit(&entry->state, memory_order_relaxed) == SEGMENT_COMMITTED)
			return entry;
		pass_segment(journal, *slot);
	}
}

int journal__next(struct journal *journal, struct journal_record *out)
{
	uint32_t slot;
	struct segment_entry *entry = next_entry(journal, &slot);

	if (!entry) {
		atomic_store(&journal->sleeping, true);
		entry = next_entry(journal, &slot);
		if (!entry)
			return 0;
	}
	if (atomic_load_explicit(&journal->sleeping, memory_order_relaxed))
		atomic_store_explicit(&journal->sleeping, false, memory_order_relaxed);
	journal->follower.off += entry->size;
	journal->slots[slot].outstanding++;
	*out = (struct journal_record){
		.meta = entry->meta,
		.key = entry->bytes,
		.value = entry->bytes + entry->meta.key_len,
		.handle = entry,
	};
	return 1;
}

void journal__ack(struct journal *journal, void *handle)
{
	struct segment_entry *entry = handle;
	uint32_t number = ((char *)handle - journal->base) / journal->segment_size;
	struct slot *slot = &journal->slots[number];

	atomic_store_explicit(&entry->state, SEGMENT_ACKNOWLEDGED, memory_order_release);
	atomic_store_explicit(&journal->acknowledged,
			      atomic_load_explicit(&journal->acknowledged, memory_order_relaxed) +
				      1,
			      memory_order_release);
	slot->outstanding--;
	if (slot->passed && !slot->outstanding)
		free_slot(journal, number);
}

uint64_t journal__pending(const struct journal *journal)
{
	uint64_t acknowledged = atomic_load_explicit(&journal->acknowledged, memory_order_acquire);

	return atomic_load_explicit(&journal->appended, memory_order_relaxed) - acknowledged;
}
