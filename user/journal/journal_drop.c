#include "journal_internal.h"

#include "base/log.h"
#include "journal_disk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * A segment of gaps stands for one or more segments that were dropped: one record a stream, that
 * says how much of it is missing at this place. One right behind another of the same reason becomes
 * one with it. It is whole before it takes the first one's name, and its header says whose place
 * it takes: so a crash at any moment finds either all of them, or the gaps.
 *
 * Also what is not committed yet can be dropped: what was appended since the last commit may be more
 * than the journal holds. After a crash it is appended again, so it has gaps of its own, behind the
 * others, and the header says where: they are left out then. Once it is committed that is all one.
 */

#define BUCKETS 1024

struct loss {
	size_t next;             /* in its bucket: index + 1, or 0 */
	uint64_t stream;
	bool uncommitted;
	uint64_t bytes;
	uint64_t lines;
	const struct segment_entry *first; /* whose head and key the gap gets */
};

struct losses {
	struct loss *list;
	size_t count;
	size_t capacity;
	size_t buckets[BUCKETS];
	uint64_t records; /* not acknowledged */
	uint64_t lines;
	uint64_t bytes;
	bool any_uncommitted;
	struct segment_reader reader; /* of what was read last */
};

static struct loss *find_loss(struct losses *losses, const struct segment_entry *entry,
			      bool uncommitted)
{
	uint64_t stream = entry->meta.stream;
	size_t *bucket = &losses->buckets[(stream * 0x9e3779b97f4a7c15ull) >> 54];
	struct loss *list = losses->list;

	for (size_t i = *bucket; i; i = list[i - 1].next)
		if (list[i - 1].stream == stream && list[i - 1].uncommitted == uncommitted)
			return &list[i - 1];
	if (losses->count == losses->capacity) {
		losses->capacity = 2 * losses->capacity + 64;
		list = realloc(list, losses->capacity * sizeof(*list));
		if (!list)
			return NULL;
		losses->list = list;
	}
	list[losses->count] = (struct loss){
		.next = *bucket,
		.stream = stream,
		.uncommitted = uncommitted,
		.first = entry,
	};
	losses->any_uncommitted |= uncommitted;
	*bucket = losses->count + 1;
	return &list[losses->count++];
}

/* `uncommitted`: the offset from where on nothing is committed. */
static int add_losses(struct losses *losses, const struct segment *segment, const char *bytes,
		      uint64_t size, bool checksums, uint64_t uncommitted)
{
	struct segment_reader *reader = &losses->reader;
	const struct segment_entry *entry;

	segment_reader__init(reader, bytes, size, segment->number, checksums, segment->limit);
	while ((entry = segment_reader__next(reader))) {
		struct loss *loss;

		if (atomic_load(&entry->state) != SEGMENT_COMMITTED)
			continue;
		loss = find_loss(losses, entry,
				 (uint64_t)((const char *)entry - bytes) >= uncommitted);
		if (!loss)
			return -ENOMEM;
		loss->bytes += entry->meta.raw_len;
		loss->lines += entry->meta.lines;
		losses->records++;
		losses->lines += entry->meta.stream == JOURNAL_NODE ? 0 : entry->meta.lines;
		losses->bytes += entry->meta.raw_len;
	}
	return 0;
}

static uint64_t gap_size(const struct loss *loss)
{
	return segment__entry_size((uint64_t)loss->first->meta.key_len +
				   loss->first->meta.head_len + JOURNAL_GAP_TAIL);
}

static uint64_t gaps_size(const struct losses *losses)
{
	uint64_t page = sysconf(_SC_PAGESIZE);
	uint64_t size = sizeof(struct segment_header) + 2 * sizeof(struct segment_entry);

	for (size_t i = 0; i < losses->count; i++)
		size += gap_size(&losses->list[i]);
	return (size + page - 1) / page * page;
}

/* The gaps of what is committed, or of what is not. Returns where the next entry would lie. */
static struct segment_entry *write_gaps_of(const struct losses *losses, bool uncommitted,
					   struct segment *segment, struct segment_entry *entry)
{
	for (size_t i = 0; i < losses->count; i++) {
		const struct loss *loss = &losses->list[i];
		const struct journal_meta *meta = &loss->first->meta;

		if (loss->uncommitted != uncommitted ||
		    journal_gap__make(meta, loss->first->bytes + meta->key_len, loss->bytes,
				      loss->lines, segment->gaps - 1, entry->bytes + meta->key_len,
				      &entry->meta))
			continue;
		memcpy(entry->bytes, loss->first->bytes, meta->key_len);
		entry->size = segment__entry_size((uint64_t)meta->key_len + entry->meta.value_len);
		entry->tag = segment__tag(segment->number);
		atomic_store(&entry->state, SEGMENT_COMMITTED);
		entry = (struct segment_entry *)((char *)entry + entry->size);
		segment->records++;
	}
	return entry;
}

static void write_gaps(const struct losses *losses, struct segment *segment, char *address)
{
	struct segment_header *header = (struct segment_header *)address;
	struct segment_entry *entry = (struct segment_entry *)(header + 1);

	entry = write_gaps_of(losses, false, segment, entry);
	header->uncommitted = losses->any_uncommitted ? (char *)entry - address : 0;
	entry = write_gaps_of(losses, true, segment, entry);
	segment__seal(entry, segment->number);
	header->through = segment->through;
	header->gaps = segment->gaps;
	segment__sign_header(header);
}

struct drop {
	struct segment *victim;
	struct segment *before; /* gaps that become one with it, or NULL */
	struct segment *gaps;   /* what takes their place */
	char *copy;             /* of the victim, when it is on disk; then also: */
	uint64_t damaged;       /* records that no gap tells, as they cannot be read */
	int unreadable;         /* -errno: none of them can */
	uint64_t committed;     /* position */
	struct losses losses;
};

/* The offset in `victim` from where on nothing is committed. */
static uint64_t uncommitted_in(const struct segment *victim, uint64_t committed)
{
	if (journal_begin(victim->number + 1) <= committed)
		return UINT64_MAX;
	return journal_number(committed) < victim->number ? 0 : journal_offset(committed);
}

/* The same in gaps that were made before: what they stand for is committed by now, or as it was. */
static uint64_t uncommitted_in_gaps(const struct journal *journal, const struct segment *gaps,
				    uint64_t committed)
{
	const struct segment_header *header =
		(const struct segment_header *)segment_address(journal, gaps);

	return header->uncommitted && journal_begin(gaps->through + 1) > committed
		       ? header->uncommitted
		       : UINT64_MAX;
}

static int read_victim(struct journal *journal, struct drop *drop)
{
	uint64_t uncommitted = uncommitted_in(drop->victim, drop->committed);
	uint64_t before = drop->losses.records;
	struct segment *victim = drop->victim;
	int err;

	if (victim->memory)
		return add_losses(&drop->losses, victim, segment_address(journal, victim),
				  victim->memory, false, uncommitted);
	drop->copy = malloc(victim->disk);
	if (!drop->copy)
		return -ENOMEM;
	err = journal_disk__read(journal->disk, victim->number, drop->copy, victim->disk);
	/* The gaps stand for it all the same: those before and behind it stay one. */
	if (err == -ENOENT || journal_worker__is_damage(err)) {
		drop->unreadable = err;
		drop->damaged = victim->records;
		return 0;
	}
	err = err ? err : add_losses(&drop->losses, victim, drop->copy, victim->disk, true, uncommitted);
	if (!err && !drop->losses.reader.sealed && victim->limit >= victim->disk)
		segment_reader__tear(&drop->losses.reader, victim->disk);
	drop->damaged = victim->records - (drop->losses.records - before);
	return err;
}

/* Without the lock: its segments are busy. */
static int make_gaps(struct journal *journal, struct drop *drop)
{
	const struct segment *before = drop->before;
	struct segment *gaps = drop->gaps;
	char *address = segment_address(journal, gaps);
	int err = 0;

	if (before)
		err = add_losses(&drop->losses, before, segment_address(journal, before),
				 before->memory, false,
				 uncommitted_in_gaps(journal, before, drop->committed));
	/* That was counted when it was dropped. */
	drop->losses.lines = drop->losses.bytes = 0;
	err = err ? err : read_victim(journal, drop);
	if (err)
		return err;
	gaps->memory = gaps_size(&drop->losses);
	if (gaps->memory > journal->stride)
		return -EFBIG;
	err = segment__create_new(journal->dir_fd, gaps->number, address, gaps->memory);
	if (err)
		return err;
	write_gaps(&drop->losses, gaps, address);
	/* The crash that comes before it finds the victims, the one that comes after finds gaps. */
	err = segment__publish(journal->dir_fd, gaps->number);
	if (err)
		segment__unlink(journal->dir_fd, SEGMENT_NEW_PREFIX, gaps->number);
	return err;
}

/* The file in memory has gone or has another's name now. */
static void forget_memory(struct journal *journal, struct segment *segment, bool renamed_over)
{
	if (!segment->memory)
		return;
	if (!renamed_over)
		segment__unlink(journal->dir_fd, SEGMENT_PREFIX, segment->number);
	journal_memory__give_slot(journal, segment);
	if (!segment->gaps)
		journal->memory_used -= segment->memory;
}

static void replace(struct journal *journal, struct drop *drop)
{
	struct segment *victim = drop->victim;
	struct segment *before = drop->before;

	TAILQ_INSERT_BEFORE(before ? before : victim, drop->gaps, link);
	if (before) {
		forget_memory(journal, before, true);
		TAILQ_REMOVE(&journal->segments, before, link);
		free(before);
	}
	forget_memory(journal, victim, !before);
	victim->memory = 0;
	if (victim->disk) {
		/* Its file on disk goes when the thread gets to it. */
		victim->entered = true;
		victim->done = true;
		victim->busy = false;
		return;
	}
	TAILQ_REMOVE(&journal->segments, victim, link);
	free(victim);
}

/* Nobody comes by it later. */
static void tell_damage(struct journal *journal, const struct drop *drop)
{
	if (drop->unreadable)
		journal_worker__tell_unreadable(journal, drop->victim, drop->unreadable);
	if (!drop->copy || drop->unreadable)
		return;
	journal__tell_damage(journal->disk->directory, drop->victim->number, &drop->losses.reader);
	journal__count(journal, COUNTER_journal_damaged_bytes, drop->losses.reader.damaged);
}

static void count_drop(struct journal *journal, const struct losses *losses, enum journal_loss why)
{
	journal__count(journal, COUNTER_journal_dropped_lines, losses->lines);
	journal__count(journal, COUNTER_journal_dropped_bytes, losses->bytes);
	if (journal->drop_told & 1u << why)
		return;
	journal->drop_told |= 1u << why;
	log_warn("journal: %s: %s: the oldest lines are dropped, told in their streams, and counted in "
		 "journal_dropped_lines",
		 journal->options.directory,
		 why == JOURNAL_LOSS_EXPIRED ? "older than journal.disk.max_age" : "full");
}

/*
 * Gaps that end where the victim begins, but for what is done. Between others there may be a file
 * that is no segment of ours: another version's, which must not be taken for dropped.
 */
static struct segment *gaps_before(const struct segment *victim, uint32_t gaps)
{
	struct segment *before = TAILQ_PREV(victim, segment_list, link);
	uint64_t begin = victim->number;

	for (; before && before->done; before = TAILQ_PREV(before, segment_list, link))
		if (before->through + 1 >= begin)
			begin = before->number;
	return before && before->through + 1 >= begin && before->gaps == gaps &&
			       !before->reached && !before->busy &&
			       before->memory && !before->disk && !before->loaded
		       ? before
		       : NULL;
}

bool journal__drop_segment(struct journal *journal, struct segment *victim, enum journal_loss why)
{
	struct drop drop = {
		.victim = victim,
		.before = gaps_before(victim, why + 1),
		.gaps = calloc(1, sizeof(*drop.gaps)),
		.committed = atomic_load(&journal->committed),
	};
	int err;

	if (!drop.gaps || !journal_memory__take_slot(journal, drop.gaps)) {
		journal->drop_failed = true;
		free(drop.gaps);
		return false;
	}
	drop.gaps->number = drop.before ? drop.before->number : victim->number;
	drop.gaps->through = victim->through;
	drop.gaps->limit = UINT64_MAX;
	drop.gaps->gaps = why + 1;
	drop.gaps->sealed = true;
	victim->busy = true;
	if (drop.before)
		drop.before->busy = true;
	pthread_mutex_unlock(&journal->lock);
	err = make_gaps(journal, &drop);
	pthread_mutex_lock(&journal->lock);
	journal->drop_failed = err;
	if (err) {
		journal_memory__give_slot(journal, drop.gaps);
		free(drop.gaps);
		victim->busy = false;
		if (drop.before)
			drop.before->busy = false;
	} else {
		atomic_fetch_add(&journal->gone, drop.losses.records + drop.damaged - drop.gaps->records);
		count_drop(journal, &drop.losses, why);
		tell_damage(journal, &drop);
		replace(journal, &drop);
		journal_memory__wake_appender(journal);
	}
	journal__wake(&journal->sleeping, journal->options.data_fd);
	free(drop.copy);
	free(drop.losses.list);
	return !err;
}

static bool may_drop(const struct segment *segment)
{
	return segment->sealed && !segment->reached && !segment->gaps && !segment->done &&
	       !segment->loaded;
}

bool journal__drop_oldest(struct journal *journal, bool from_disk)
{
	struct segment *segment;

	TAILQ_FOREACH(segment, &journal->segments, link)
		if (may_drop(segment) && !segment->busy && (segment->memory || from_disk))
			return journal__drop_segment(journal, segment, JOURNAL_LOSS_FULL);
	return false;
}

bool journal__room_comes(const struct journal *journal)
{
	const struct segment *segment;

	if (journal_memory__has_room(journal) && !journal->make_failed)
		return true;
	TAILQ_FOREACH(segment, &journal->segments, link) {
		if (!segment->memory || segment->gaps)
			continue;
		/* When all in it is acknowledged, or by dropping it. */
		if (segment->reached &&
		    journal_begin(segment->number + 1) <= atomic_load(&journal->published))
			return true;
		if (may_drop(segment) && !journal->drop_failed)
			return true;
	}
	return false;
}
