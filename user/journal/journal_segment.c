#include "journal_segment.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

#define NUMBER_DIGITS 16

void segment__name(char name[SEGMENT_NAME_SIZE], const char *prefix, uint64_t number)
{
	snprintf(name, SEGMENT_NAME_SIZE, "%s%0*" PRIx64, prefix, NUMBER_DIGITS, number);
}

bool segment__parse_name(const char *name, uint64_t *number)
{
	size_t prefix = strlen(SEGMENT_PREFIX);

	if (strncmp(name, SEGMENT_PREFIX, prefix) || strlen(name) != prefix + NUMBER_DIGITS)
		return false;
	for (const char *digit = name + prefix; *digit; digit++)
		if (!isxdigit((unsigned char)*digit) || isupper((unsigned char)*digit))
			return false;
	*number = strtoull(name + prefix, NULL, 16);
	return *number <= SEGMENT_NUMBER_MAX;
}

void segment__sign_header(struct segment_header *header)
{
	header->crc = crc32(0, (const void *)header, offsetof(struct segment_header, crc));
}

void segment__fill_header(struct segment_header *header, uint64_t number, uint64_t size)
{
	*header = (struct segment_header){
		.magic = SEGMENT_MAGIC,
		.version = SEGMENT_VERSION,
		.entries_off = sizeof(*header),
		.number = number,
		.through = number,
		.size = size,
	};
	segment__sign_header(header);
}

int segment__check_header(const struct segment_header *header, uint64_t number)
{
	if (header->magic == SEGMENT_MAGIC && header->version != SEGMENT_VERSION)
		return -EPROTO;
	if (header->magic != SEGMENT_MAGIC || header->number != number ||
	    header->entries_off != sizeof(*header) || header->through < number ||
	    header->crc != crc32(0, (const void *)header, offsetof(struct segment_header, crc)))
		return -EBADMSG;
	return 0;
}

void segment__seal(struct segment_entry *entry, uint64_t number)
{
	entry->size = sizeof(*entry);
	entry->tag = segment__tag(number);
	atomic_store_explicit(&entry->state, SEGMENT_SEALED, memory_order_release);
}

uint32_t segment__crc(const struct segment_entry *entry)
{
	static const unsigned char none[sizeof(entry->crc)];
	const size_t before = offsetof(struct segment_entry, crc);
	uint32_t crc = crc32(0, (const void *)entry, before);

	crc = crc32(crc, none, sizeof(none));
	return crc32(crc, (const unsigned char *)entry + before + sizeof(none),
		     entry->size - before - sizeof(none));
}

void segment_reader__init(struct segment_reader *reader, const char *bytes, uint64_t size,
			  uint64_t number, bool checksums, uint64_t limit)
{
	*reader = (struct segment_reader){
		.bytes = bytes,
		.size = size & ~(SEGMENT_ALIGN - 1ull),
		.limit = limit,
		.off = sizeof(struct segment_header),
		.tag = segment__tag(number),
		.checksums = checksums,
	};
}

static bool lengths_fit(const struct segment_entry *entry)
{
	const struct journal_meta *meta = &entry->meta;

	return segment__entry_size((uint64_t)meta->key_len + meta->value_len) == entry->size &&
	       meta->head_len <= meta->value_len &&
	       (uint64_t)meta->message_off + meta->message_len <= meta->value_len;
}

/* There is room at `off` for a header, before the limit. */
static bool may_begin(const struct segment_reader *reader, uint64_t off)
{
	return off + sizeof(struct segment_entry) <= reader->size && off < reader->limit;
}

static bool size_fits(const struct segment_reader *reader, uint64_t off, uint32_t size)
{
	return size >= sizeof(struct segment_entry) && size % SEGMENT_ALIGN == 0 &&
	       off + size + sizeof(struct segment_entry) <= reader->size &&
	       off + size <= reader->limit;
}

/* What lies at `off`, if it is whole. */
static struct segment_entry *entry_at(const struct segment_reader *reader, uint64_t off)
{
	struct segment_entry *entry = (struct segment_entry *)(reader->bytes + off);

	if (!may_begin(reader, off) || entry->tag != reader->tag)
		return NULL;
	switch (atomic_load_explicit(&entry->state, memory_order_relaxed)) {
	case SEGMENT_COMMITTED:
	case SEGMENT_ACKNOWLEDGED:
		if (!size_fits(reader, off, entry->size) || !lengths_fit(entry))
			return NULL;
		break;
	case SEGMENT_DAMAGED:
		if (!size_fits(reader, off, entry->size))
			return NULL;
		break;
	case SEGMENT_SEALED:
		if (entry->size != sizeof(*entry))
			return NULL;
		break;
	default:
		return NULL;
	}
	return reader->checksums && entry->crc != segment__crc(entry) ? NULL : entry;
}

static void account_damage(struct segment_reader *reader, uint64_t from, uint64_t to)
{
	if (!reader->damages++)
		reader->first_damage = from;
	reader->damaged += to - from;
}

struct segment_entry *segment_reader__next(struct segment_reader *reader)
{
	struct segment_entry *entry = NULL;
	uint64_t off = reader->off;

	reader->skipped_off = 0;
	if (reader->sealed)
		return NULL;
	entry = entry_at(reader, off);
	if (!entry) {
		/* No entry is smaller than its header. */
		off += sizeof(*entry);
		while (may_begin(reader, off) && !(entry = entry_at(reader, off)))
			off += SEGMENT_ALIGN;
		if (!entry)
			return NULL;
		reader->skipped_off = reader->off;
		account_damage(reader, reader->off, off);
		reader->off = off;
	}
	if (atomic_load_explicit(&entry->state, memory_order_relaxed) == SEGMENT_SEALED) {
		reader->sealed = true;
		return NULL;
	}
	reader->off = off + entry->size;
	return entry;
}

void segment_reader__tear(struct segment_reader *reader, uint64_t end)
{
	if (reader->off < end)
		account_damage(reader, reader->off, end);
}

static void mark_damage(char *bytes, uint64_t from, uint64_t to, uint32_t tag)
{
	struct segment_entry *entry = (struct segment_entry *)(bytes + from);

	memset(entry, 0, sizeof(*entry));
	entry->size = to - from;
	entry->tag = tag;
	atomic_store(&entry->state, SEGMENT_DAMAGED);
}

void segment_reader__repair(struct segment_reader *reader, char *bytes, uint64_t size,
			    uint64_t number, bool checksums, uint64_t limit)
{
	struct segment_entry *entry;

	segment_reader__init(reader, bytes, size, number, checksums, limit);
	while ((entry = segment_reader__next(reader))) {
		if (reader->skipped_off)
			mark_damage(bytes, reader->skipped_off, (char *)entry - bytes, reader->tag);
		reader->records += atomic_load(&entry->state) == SEGMENT_COMMITTED;
	}
	/* Between the last entry and the end as it was written. */
	if (reader->skipped_off)
		mark_damage(bytes, reader->skipped_off, reader->off, reader->tag);
	if (!reader->sealed && limit < size)
		segment_reader__tear(reader, limit);
}

/*
 * Takes the blocks now: a mapped page that finds no memory later would be a SIGBUS. A file system
 * without fallocate gets zeroes from glibc.
 */
static int allocate(int fd, uint64_t size)
{
	int err;

	do
		err = posix_fallocate(fd, 0, size);
	while (err == EINTR);
	return -err;
}

static int map(int fd, char *address, uint64_t size)
{
	int err = allocate(fd, size);

	if (!err && mmap(address, size, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_FIXED | MAP_POPULATE, fd, 0) == MAP_FAILED)
		err = -errno;
	return err;
}

int segment__create_new(int dir_fd, uint64_t number, char *address, uint64_t size)
{
	char name[SEGMENT_NAME_SIZE];
	int err;
	int fd;

	segment__name(name, SEGMENT_NEW_PREFIX, number);
	fd = openat(dir_fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	err = map(fd, address, size);
	if (err)
		unlinkat(dir_fd, name, 0);
	else
		segment__fill_header((struct segment_header *)address, number, size);
	close(fd);
	return err;
}

int segment__publish(int dir_fd, uint64_t number)
{
	char new_name[SEGMENT_NAME_SIZE], name[SEGMENT_NAME_SIZE];

	segment__name(new_name, SEGMENT_NEW_PREFIX, number);
	segment__name(name, SEGMENT_PREFIX, number);
	return renameat(dir_fd, new_name, dir_fd, name) ? -errno : 0;
}

int segment__create(int dir_fd, uint64_t number, char *address, uint64_t size)
{
	int err = segment__create_new(dir_fd, number, address, size);

	if (err)
		return err;
	err = segment__publish(dir_fd, number);
	if (err) {
		segment__unlink(dir_fd, SEGMENT_NEW_PREFIX, number);
		segment__unmap(address, size);
	}
	return err;
}

int segment__recycle(int dir_fd, uint64_t from, uint64_t number, char *address)
{
	struct segment_header *header = (struct segment_header *)address;
	struct segment_entry *first = (struct segment_entry *)(header + 1);
	char from_name[SEGMENT_NAME_SIZE], name[SEGMENT_NAME_SIZE];

	segment__name(from_name, SEGMENT_PREFIX, from);
	segment__name(name, SEGMENT_PREFIX, number);
	/* From here on its old entries are nobody's: their tags are not the new number's. */
	if (renameat(dir_fd, from_name, dir_fd, name))
		return -errno;
	atomic_store(&first->state, SEGMENT_EMPTY);
	segment__fill_header(header, number, header->size);
	return 0;
}

int segment__map(int dir_fd, uint64_t number, char *address, uint64_t size)
{
	char name[SEGMENT_NAME_SIZE];
	int err;
	int fd;

	segment__name(name, SEGMENT_PREFIX, number);
	fd = openat(dir_fd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	err = map(fd, address, size);
	close(fd);
	return err;
}

void segment__unmap(char *address, uint64_t size)
{
	/* Should the kernel have no memory for it: the slot's next file is mapped over all. */
	mmap(address, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1,
	     0);
}

int segment__unlink(int dir_fd, const char *prefix, uint64_t number)
{
	char name[SEGMENT_NAME_SIZE];

	segment__name(name, prefix, number);
	return unlinkat(dir_fd, name, 0) ? -errno : 0;
}
