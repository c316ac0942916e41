#include "journal_internal.h"

#include "base/clock.h"
#include "base/log.h"
#include "journal_disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Segments of gaps, which come beside those that the bound allows. */
#define GAP_SLOTS 16
/* A segment of gaps may be longer than what it stands for: see journal_drop.c. */
#define STRIDE_FACTOR 2
/* More than a journal fills, over a life of it; numbers last until the year 2106 so. */
#define SEGMENTS_PER_SECOND 16

/* A segment's files. */
struct found {
	uint64_t number;
	uint64_t memory; /* bytes; 0: no such file */
	uint64_t disk;
	uint64_t disk_ms;
};

struct finds {
	struct found *list;
	size_t count;
	size_t capacity;
};

static struct found *add_find(struct finds *finds, uint64_t number)
{
	struct found *list = finds->list;

	if (finds->count == finds->capacity) {
		finds->capacity = 2 * finds->capacity + 64;
		list = realloc(list, finds->capacity * sizeof(*list));
		if (!list)
			return NULL;
		finds->list = list;
	}
	list[finds->count] = (struct found){ .number = number };
	return &list[finds->count++];
}

static bool too_large(const char *directory, const char *name, uint64_t size)
{
	if (size <= STRIDE_FACTOR * (uint64_t)SEGMENT_SIZE_MAX)
		return false;
	log_warn("journal: %s/%s: %" PRIu64 " bytes are too many for a segment: left as it is",
		 directory, name, size);
	return true;
}

static int find(struct finds *finds, int dir_fd, const char *directory, bool disk, const char *name)
{
	struct found *found;
	struct stat stat;
	uint64_t number;

	if (!strncmp(name, SEGMENT_NEW_PREFIX, strlen(SEGMENT_NEW_PREFIX))) {
		/* The crash came before it was whole: what it was made of is still there. */
		unlinkat(dir_fd, name, 0);
		return 0;
	}
	if (!segment__parse_name(name, &number) ||
	    fstatat(dir_fd, name, &stat, AT_SYMLINK_NOFOLLOW) || !S_ISREG(stat.st_mode) ||
	    too_large(directory, name, stat.st_size))
		return 0;
	found = add_find(finds, number);
	if (!found)
		return -ENOMEM;
	/* An empty file counts as one, too. */
	*(disk ? &found->disk : &found->memory) = stat.st_size ? stat.st_size : 1;
	found->disk_ms = stat.st_mtim.tv_sec * 1000ull + stat.st_mtim.tv_nsec / 1000000;
	return 0;
}

static int list_directory(struct finds *finds, int dir_fd, const char *directory, bool disk)
{
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	int err = 0;

	if (!dir) {
		err = -errno;
		if (fd >= 0)
			close(fd);
		log_error("journal: cannot list %s: %s", directory, strerror(-err));
		return err;
	}
	while (!err && (entry = readdir(dir)))
		err = find(finds, dir_fd, directory, disk, entry->d_name);
	closedir(dir);
	return err;
}

static int by_number(const void *a, const void *b)
{
	uint64_t left = ((const struct found *)a)->number;
	uint64_t right = ((const struct found *)b)->number;

	return left < right ? -1 : left > right;
}

/* In the order of numbers, each once. */
static void sort(struct finds *finds)
{
	size_t count = 0;

	if (finds->count)
		qsort(finds->list, finds->count, sizeof(*finds->list), by_number);
	for (size_t i = 0; i < finds->count; i++) {
		struct found *last = count ? &finds->list[count - 1] : NULL;
		struct found *found = &finds->list[i];

		if (!last || last->number != found->number) {
			finds->list[count++] = *found;
			continue;
		}
		if (found->disk)
			last->disk_ms = found->disk_ms;
		last->memory += found->memory;
		last->disk += found->disk;
	}
	finds->count = count;
}

static int reserve_addresses(struct journal *journal, const struct finds *finds)
{
	uint64_t page = sysconf(_SC_PAGESIZE);
	uint64_t largest = journal->segment_size;
	uint32_t slots = journal->options.max_size / journal->segment_size;
	void *base;

	for (size_t i = 0; i < finds->count; i++) {
		const struct found *found = &finds->list[i];

		slots += found->memory != 0;
		largest = found->memory > largest ? found->memory : largest;
		largest = found->disk > largest ? found->disk : largest;
	}
	journal->slots_count = slots + GAP_SLOTS + JOURNAL_LOADS;
	journal->stride = STRIDE_FACTOR * ((largest + 2 * page - 1) / page * page);
	journal->slots = calloc(journal->slots_count, sizeof(*journal->slots));
	if (!journal->slots)
		return -ENOMEM;
	base = mmap(NULL, journal->slots_count * journal->stride, PROT_NONE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (base == MAP_FAILED) {
		log_error("journal: no room for %u addresses of %" PRIu64 " bytes: %s",
			  journal->slots_count, journal->stride, strerror(errno));
		return -ENOMEM;
	}
	journal->base = base;
	return 0;
}

void journal__tell_damage(const char *directory, uint64_t number,
			  const struct segment_reader *reader)
{
	char name[SEGMENT_NAME_SIZE];

	if (!reader->damages)
		return;
	segment__name(name, SEGMENT_PREFIX, number);
	log_warn("journal: %s/%s: %" PRIu64 " bytes are damaged, in %u places, the first at offset "
		 "%" PRIu64 ": they are left out, what is whole before and behind them is delivered",
		 directory, name, reader->damaged, reader->damages, reader->first_damage);
}

static void tell_header(const char *directory, uint64_t number, int err)
{
	char name[SEGMENT_NAME_SIZE];

	segment__name(name, SEGMENT_PREFIX, number);
	if (err == -EPROTO)
		log_warn("journal: %s/%s was written by another version of logtap, and is left as "
			 "it is: start that version to have it delivered, or remove the file",
			 directory, name);
	else
		log_warn("journal: %s/%s: its header is damaged; the records that are whole are "
			 "delivered",
			 directory, name);
}

static void remove_found(struct journal *journal, const struct found *found)
{
	if (found->memory)
		segment__unlink(journal->dir_fd, SEGMENT_PREFIX, found->number);
	if (found->disk && journal_disk__unlink(journal->disk, found->number))
		log_debug("journal: a segment that is not needed stays on disk");
}

/*
 * Where what was committed ends in a segment of gaps: they tell the rest of what they stand for
 * only when all of it was.
 */
static uint64_t limit_gaps(const struct segment_header *header, const struct journal_mark *end)
{
	return end && end->number <= header->through && header->uncommitted ? header->uncommitted
									    : UINT64_MAX;
}

/* What has an end now has it for good. */
static void seal_segment(struct journal *journal, struct segment *segment)
{
	char *address = segment_address(journal, segment);

	memset(address + segment->limit, 0, sizeof(struct segment_entry));
	segment__seal((struct segment_entry *)(address + segment->limit), segment->number);
	segment->sealed = true;
}

/* What lies behind `limit` is on disk. */
static bool is_to_be_cut(const struct segment *segment, uint64_t limit)
{
	return segment->disk > sizeof(struct segment_entry) && limit < segment->disk - sizeof(struct segment_entry);
}

/* Else what was not committed would come after all, should memory be lost. */
static void write_cut(struct journal *journal, struct segment *segment, uint64_t end)
{
	uint64_t size = segment->disk;
	int err = journal_disk__write(journal->disk, segment->number, segment_address(journal, segment), end, &size);

	segment->disk = size;
	segment->stale = err;
	if (err)
		log_warn("journal: %s: cannot write a segment: %s; if the node goes down now, some records come twice, with the same id",
			 journal->disk->directory, strerror(-err));
}

/* What is left of the segment in memory: maps and checks it. */
static int adopt_memory(struct journal *journal, struct segment *segment,
			const struct journal_mark *end, uint64_t limit)
{
	struct segment_reader reader;
	struct segment_header *header;
	bool damaged_header;
	char *address;
	int err;

	if (!journal_memory__take_slot(journal, segment))
		return -ENOMEM;
	address = segment_address(journal, segment);
	err = segment__map(journal->dir_fd, segment->number, address, segment->memory);
	if (err)
		goto failed;
	header = (struct segment_header *)address;
	err = segment__check_header(header, segment->number);
	if (err == -EPROTO)
		goto failed;
	damaged_header = err;
	/* The mark is a place in what they stand for. */
	if (!damaged_header && header->gaps)
		limit = limit_gaps(header, end);
	segment_reader__repair(&reader, address, segment->memory, segment->number, false, limit);
	/* Renamed to be used again, and no more: there is nothing in it, nothing is damaged. */
	if (damaged_header && reader.off > sizeof(*header))
		tell_header(journal->options.directory, segment->number, err);
	if (damaged_header)
		segment__fill_header(header, segment->number, segment->memory);
	segment->through = header->through;
	segment->gaps = header->gaps;
	segment->reached = header->reached;
	segment->records = reader.records;
	segment->limit = reader.off;
	segment->sealed = reader.sealed;
	if (!segment->gaps)
		journal->memory_used += segment->memory;
	else if (limit < segment->memory)
		seal_segment(journal, segment);
	if (is_to_be_cut(segment, limit))
		write_cut(journal, segment, reader.off);
	/* The agent before could not remove it when it went on in the segment. */
	segment->stale |= segment->disk && segment->disk < reader.off + sizeof(struct segment_entry);
	journal__count(journal, COUNTER_journal_damaged_bytes, reader.damaged);
	journal__tell_damage(journal->options.directory, segment->number, &reader);
	return 0;
failed:
	journal_memory__give_slot(journal, segment);
	return err;
}

/*
 * What went to disk before the crash, and was not all committed. The copy in memory that is made of
 * it now has only what was, and it is what counts from here on.
 */
static int cut_on_disk(struct journal *journal, struct segment *segment)
{
	struct segment_reader reader;
	bool unreadable;
	int err;

	if (!journal_memory__take_slot(journal, segment))
		return -ENOMEM;
	err = journal_worker__load(journal, segment, &reader, &unreadable);
	if (err) {
		journal_memory__give_slot(journal, segment);
		return err;
	}
	journal->loads++;
	segment->loaded = true;
	segment->records = reader.records;
	journal__tell_damage(journal->disk->directory, segment->number, &reader);
	write_cut(journal, segment, reader.off);
	return 0;
}

/* What a damaged header does not tell. */
static int count_records(struct journal *journal, struct segment *segment)
{
	const struct segment_entry *entry;
	struct segment_reader reader;
	char *copy = malloc(segment->disk);
	int err = -ENOMEM;

	if (copy)
		err = journal_disk__read(journal->disk, segment->number, copy, segment->disk);
	segment_reader__init(&reader, copy, err ? 0 : segment->disk, segment->number, true,
			     segment->limit);
	while ((entry = segment_reader__next(&reader)))
		segment->records += atomic_load(&entry->state) == SEGMENT_COMMITTED;
	free(copy);
	return err;
}

/* Of a segment that is on disk alone only the header is read now. */
static int adopt_disk(struct journal *journal, struct segment *segment, uint64_t limit)
{
	struct segment_header header = { 0 };
	int err = journal_disk__read(journal->disk, segment->number, (char *)&header,
				     sizeof(header));

	if (!err)
		err = segment__check_header(&header, segment->number);
	if (err == -EPROTO)
		return err;
	segment->sealed = true;
	segment->limit = limit;
	if (err) {
		tell_header(journal->disk->directory, segment->number, err);
		return limit < segment->disk ? cut_on_disk(journal, segment)
					     : count_records(journal, segment);
	}
	segment->through = header.through;
	segment->gaps = header.gaps;
	segment->reached = header.reached;
	/* What the header says is only believed as far as it can be. */
	segment->records = header.records < segment->disk / sizeof(struct segment_entry)
				   ? header.records
				   : segment->disk / sizeof(struct segment_entry);
	return limit < segment->disk ? cut_on_disk(journal, segment) : 0;
}

static int adopt(struct journal *journal, const struct found *found, const struct journal_mark *end)
{
	uint64_t limit = end && found->number == end->number ? end->off : UINT64_MAX;
	struct segment *segment = calloc(1, sizeof(*segment));
	int err = -ENODATA;

	if (!segment)
		return -ENOMEM;
	segment->number = found->number;
	segment->through = found->number;
	segment->memory = found->memory;
	segment->disk = found->disk;
	segment->disk_ms = found->disk_ms;
	if (segment->memory >= sizeof(struct segment_header) + sizeof(struct segment_entry))
		err = adopt_memory(journal, segment, end, limit);
	else if (!segment->memory)
		err = adopt_disk(journal, segment, limit);
	if (err && err != -EPROTO && segment->memory && segment->disk) {
		segment->memory = 0;
		err = adopt_disk(journal, segment, limit);
	}
	if (err) {
		free(segment);
		return err;
	}
	if (journal->disk)
		journal->disk->used += segment->disk;
	TAILQ_INSERT_TAIL(&journal->segments, segment, link);
	return 0;
}

static void tell_unusable(const struct journal *journal, const struct found *found, int err)
{
	char name[SEGMENT_NAME_SIZE];

	segment__name(name, SEGMENT_PREFIX, found->number);
	if (err == -EPROTO)
		tell_header(found->memory ? journal->options.directory : journal->disk->directory,
			    found->number, err);
	else
		log_warn("journal: %s/%s cannot be used (%s) and is left as it is",
			 found->memory ? journal->options.directory : journal->disk->directory,
			 name, strerror(-err));
}

/* On disk alone: it went there in this epoch, and behind the mark it was never committed. */
static bool comes_again(const struct journal *journal, const struct found *found)
{
	struct segment_header header = { 0 };

	return journal_era(journal) &&
	       !journal_disk__read(journal->disk, found->number, (char *)&header, sizeof(header)) &&
	       !segment__check_header(&header, found->number) && !header.gaps &&
	       header.uncommitted == journal_era(journal);
}

static void adopt_all(struct journal *journal, const struct finds *finds,
		      const struct journal_mark *end)
{
	uint64_t through = 0;
	bool any = false;

	/* An earlier life may have left some on a disk that is not there now: it began before. */
	if (!finds->count && !end)
		journal->appender.next =
			clock__ns(CLOCK_REALTIME) / NS_PER_SECOND * SEGMENTS_PER_SECOND;
	for (size_t i = 0; i < finds->count; i++) {
		const struct found *found = &finds->list[i];
		int err;

		journal->appender.next = found->number + 1;
		/*
		 * Never committed, or the place was taken by a segment of gaps before the crash.
		 * What is on disk alone may be of an earlier boot.
		 */
		if ((end && found->number > end->number &&
		     (found->memory || comes_again(journal, found))) ||
		    (any && found->number <= through)) {
			remove_found(journal, found);
			continue;
		}
		err = adopt(journal, found, end);
		if (err) {
			tell_unusable(journal, found, err);
			continue;
		}
		any = true;
		through = TAILQ_LAST(&journal->segments, segment_list)->through;
		if (through >= journal->appender.next)
			journal->appender.next = through + 1;
	}
	if (end && end->number >= journal->appender.next)
		journal->appender.next = end->number + 1;
}

/* The appender goes on where it was. */
static void go_on_in(struct journal *journal, struct segment *segment)
{
	/* What was saved of it would be less than what it will hold. */
	if (segment->disk && !journal_disk__unlink(journal->disk, segment->number)) {
		journal->disk->used -= segment->disk;
		segment->disk = 0;
	}
	segment->stale = segment->disk;
	journal->appender.segment = segment;
	journal->appender.address = segment_address(journal, segment);
	journal->appender.off = segment->limit;
	memset(journal->appender.address + segment->limit, 0, segment->memory - segment->limit);
}

static void tell_torn(const struct journal *journal, const struct segment *segment)
{
	char name[SEGMENT_NAME_SIZE];

	segment__name(name, SEGMENT_PREFIX, segment->number);
	log_warn("journal: %s/%s: its end is damaged, at offset %" PRIu64
		 ": what was whole behind that is lost",
		 journal->options.directory, name, segment->limit);
}

static void finish(struct journal *journal, const struct journal_mark *end)
{
	struct segment *last = TAILQ_LAST(&journal->segments, segment_list);
	struct segment *segment, *next;
	uint64_t records = 0;

	if (last && last->memory && !last->sealed && !journal->options.orphan)
		go_on_in(journal, last);
	for (segment = TAILQ_FIRST(&journal->segments); segment; segment = next) {
		next = TAILQ_NEXT(segment, link);
		records += segment->records;
		if (segment == journal->appender.segment) {
			segment->limit = UINT64_MAX;
			continue;
		}
		if (segment->memory && !segment->sealed && segment != last &&
		    !(end && segment->number == end->number))
			tell_torn(journal, segment);
		if (segment->memory && !segment->sealed)
			seal_segment(journal, segment);
		if (segment->memory)
			segment->limit = UINT64_MAX;
		if (segment->memory && !segment->records) {
			segment->entered = true;
			journal_memory__free_segment(journal, segment);
		}
	}
	atomic_store(&journal->appended, records);
	if (records)
		log_info("journal: %s: going on with %" PRIu64 " records that were not delivered",
			 journal->options.directory, records);
}

int journal__recover(struct journal *journal, const struct journal_mark *end)
{
	struct finds finds = { 0 };
	int err = list_directory(&finds, journal->dir_fd, journal->options.directory, false);

	if (!err && journal->disk)
		err = list_directory(&finds, journal->disk->dir_fd, journal->disk->directory, true);
	sort(&finds);
	err = err ? err : reserve_addresses(journal, &finds);
	if (!err) {
		adopt_all(journal, &finds, end);
		finish(journal, end);
	}
	free(finds.list);
	return err;
}
