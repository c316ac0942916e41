/*
 * One file of a journal: a header, then entries one after the other, each a multiple of 8 bytes, in
 * the machine's byte order. The layout is a format: another run of the agent reads it. On disk it
 * is the same, with a checksum in each entry.
 *
 * An entry's tag follows from its segment's number: what a file holds of an earlier life, or
 * behind damage, is told apart by it. No text can look like an entry: a state has zero bytes.
 */
#ifndef LOGTAP_JOURNAL_SEGMENT_H
#define LOGTAP_JOURNAL_SEGMENT_H

#include "journal.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SEGMENT_MAGIC 0x6c6a706174676f6cull /* "logtapjl" */
#define SEGMENT_VERSION 3
#define SEGMENT_PREFIX "seg-"
#define SEGMENT_NEW_PREFIX "new-" /* a file that is not whole yet */
#define SEGMENT_NAME_SIZE 24
#define SEGMENT_ALIGN 8
#define SEGMENT_NUMBER_MAX ((1ull << 36) - 2) /* see journal_position */
#define SEGMENT_SIZE_MIN 65536                /* a page, on any machine */
#define SEGMENT_SIZE_MAX (1u << 31)

struct segment_header {
	uint64_t magic;
	uint32_t version;
	uint32_t entries_off; /* of the first entry */
	uint64_t number;      /* reading order; also in the file's name */
	uint64_t through;     /* a segment of gaps: the last one whose place it takes; else number */
	uint64_t size;        /* of the file */
	uint64_t records;     /* on disk: how many are to be delivered */
	uint32_t gaps;        /* enum journal_loss + 1 of a segment of gaps, else 0 */
	uint32_t crc;         /* of all before */
	uint32_t reached;     /* the follower has been in it: what it holds may be on its way */
	/*
	 * Of gaps: offset, from where on they tell what was not committed then. Of others, on disk:
	 * the era in which it was written before it was all committed. 0: committed.
	 */
	uint32_t uncommitted;
};

/* An entry is there when its state says so; what lies behind it is unknown until then. */
enum segment_state {
	SEGMENT_EMPTY, /* the end, for now */
	SEGMENT_COMMITTED,
	SEGMENT_ACKNOWLEDGED,
	SEGMENT_SEALED,  /* the end, for good: go on in the next segment */
	SEGMENT_DAMAGED, /* was skipped: the next entry is behind `size` */
};

struct segment_entry {
	uint32_t size;          /* of the entry with this header and the padding */
	_Atomic uint32_t state; /* enum segment_state */
	uint32_t tag;
	uint32_t crc; /* on disk: of the entry with 0 here */
	struct journal_meta meta;
	char bytes[]; /* key, value */
};

_Static_assert(sizeof(struct segment_header) == 64, "segment header");
_Static_assert(sizeof(struct segment_entry) == 64, "segment entry");
_Static_assert(offsetof(struct segment_entry, meta) == 16, "segment entry's meta");

static inline uint64_t segment__entry_size(uint64_t len)
{
	return (sizeof(struct segment_entry) + len + SEGMENT_ALIGN - 1) & ~(SEGMENT_ALIGN - 1ull);
}

static inline uint32_t segment__tag(uint64_t number)
{
	return (uint32_t)number * 0x9e3779b1u ^ 0x6c6f6774u;
}

void segment__name(char name[SEGMENT_NAME_SIZE], const char *prefix, uint64_t number);
/* Reads the number back; false for a name that is no segment's. */
bool segment__parse_name(const char *name, uint64_t *number);
void segment__fill_header(struct segment_header *header, uint64_t number, uint64_t size);
/* After any change but of what lies behind the checksum. */
void segment__sign_header(struct segment_header *header);
/*
 * 0; -EBADMSG: damaged, and its values mean nothing; -EPROTO: whole, but of another version.
 */
int segment__check_header(const struct segment_header *header, uint64_t number);
/* Ends the entries at `entry`. */
void segment__seal(struct segment_entry *entry, uint64_t number);
uint32_t segment__crc(const struct segment_entry *entry);

/*
 * Reads entries out of bytes that nobody vouches for. What is damaged is skipped up to the next
 * entry that is whole, and accounted.
 */
struct segment_reader {
	const char *bytes;
	uint64_t size;  /* of the file: behind each entry there is room for the end */
	uint64_t limit; /* what lies behind is not looked at */
	uint64_t off;  /* of what comes next; at the end: behind the last whole entry */
	uint32_t tag;
	bool checksums;
	/* Results: */
	bool sealed;          /* the end was met as it was written */
	uint64_t skipped_off; /* of damage right before the entry that was returned; 0: none */
	uint64_t first_damage; /* offset; valid with damages */
	uint64_t damaged;     /* bytes */
	unsigned int damages; /* places */
	uint64_t records;     /* committed ones; by segment_reader__repair */
};

void segment_reader__init(struct segment_reader *reader, const char *bytes, uint64_t size,
			  uint64_t number, bool checksums, uint64_t limit);
/* An entry that is committed, acknowledged or was skipped before; NULL at the end. */
struct segment_entry *segment_reader__next(struct segment_reader *reader);
/* What was to come before `end` is not there: it counts as damaged. */
void segment_reader__tear(struct segment_reader *reader, uint64_t end);
/*
 * Reads all that lies before `limit` and makes it fit to be followed: damage is marked, so that it
 * is passed over. reader->off is where the segment ends, and `sealed` whether it says so there.
 */
void segment_reader__repair(struct segment_reader *reader, char *bytes, uint64_t size,
			    uint64_t number, bool checksums, uint64_t limit);

/* `dir_fd` is the journal's directory in all of these; functions return 0 or -errno. */

/* Makes an empty file with all its blocks, mapped at `address`. On failure there is no file. */
int segment__create(int dir_fd, uint64_t number, char *address, uint64_t size);
/* The same under its temporary name; segment__publish gives it the real one. */
int segment__create_new(int dir_fd, uint64_t number, char *address, uint64_t size);
int segment__publish(int dir_fd, uint64_t number);
/* Makes the empty segment `number` of the mapped segment `from`, that nobody needs any more. */
int segment__recycle(int dir_fd, uint64_t from, uint64_t number, char *address);
/* Maps what is there, with all blocks allocated. */
int segment__map(int dir_fd, uint64_t number, char *address, uint64_t size);
/* Leaves `address` reserved, without memory. */
void segment__unmap(char *address, uint64_t size);
int segment__unlink(int dir_fd, const char *prefix, uint64_t number);

#endif
