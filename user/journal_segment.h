/*
 * One file of a journal: a header, then entries one after the other, each a multiple of 8 bytes, in
 * the machine's byte order. The layout is a format: another run of the agent reads it.
 */
#ifndef LOGTAP_JOURNAL_SEGMENT_H
#define LOGTAP_JOURNAL_SEGMENT_H

#include "journal.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define SEGMENT_MAGIC 0x6c6a706174676f6cull /* "logtapjl" */
#define SEGMENT_VERSION 2
#define SEGMENT_PREFIX "seg-"
#define SEGMENT_NAME_SIZE 24

struct segment_header {
	uint64_t magic;
	uint32_t version;
	uint32_t entries_off; /* of the first entry */
	uint64_t number;      /* reading order; also in the file's name */
	uint64_t size;        /* of the file */
};

/* An entry is there when its state says so; what lies behind it is unknown until then. */
enum segment_state {
	SEGMENT_EMPTY, /* the end, for now */
	SEGMENT_COMMITTED,
	SEGMENT_ACKNOWLEDGED,
	SEGMENT_SEALED, /* the end, for good: go on in the next segment */
};

struct segment_entry {
	uint32_t size;          /* of the entry with this header and the padding */
	_Atomic uint32_t state; /* enum segment_state */
	struct journal_meta meta;
	char bytes[]; /* key, value */
};

_Static_assert(sizeof(struct segment_header) == 32, "segment header");
_Static_assert(sizeof(struct segment_entry) == 56, "segment entry");
_Static_assert(offsetof(struct segment_entry, meta) == 8, "segment entry's meta");

/* `dir_fd` is the journal's directory in all of these; functions return 0 or -errno. */
void segment__name(char name[SEGMENT_NAME_SIZE], uint64_t number);
/* Makes an empty file with all its blocks, mapped at `address`. On failure there is no file. */
int segment__create(int dir_fd, uint64_t number, char *address, uint64_t size);
/* Makes the empty segment `number` of the mapped segment `from`, that nobody needs any more. */
int segment__recycle(int dir_fd, uint64_t from, uint64_t number, char *address);
/* Unlinks the file and leaves `address` reserved, without memory. */
void segment__drop(int dir_fd, uint64_t number, char *address, uint64_t size);
/* Counts the records that nobody acknowledged; a damaged file ends at the damage. */
int segment__unacknowledged(int dir_fd, const char *name, uint64_t *count);
/* Removes all segments; says how many there were and how many records were lost with them. */
int segment__remove_all(int dir_fd, unsigned int *files, uint64_t *records);

#endif
