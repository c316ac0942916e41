/*
 * The checkpoint's file: a page with the header, an entry a slot, the heap. Another build may read it: sizes are asserted
 * and any change of the layout is a new version.
 */
#ifndef LOGTAP_CHECKPOINT_FILE_H
#define LOGTAP_CHECKPOINT_FILE_H

#include "checkpoint.h"

#define CHECKPOINT_MAGIC 0x74706b6370617467ULL
#define CHECKPOINT_VERSION 2
#define CHECKPOINT_PAGE 4096u
#define CHECKPOINT_STREAMS_MAX (1u << 20)

struct checkpoint_commit {
	uint64_t transaction;
	struct checkpoint_position position;
};

struct checkpoint_header {
	uint64_t magic;
	uint32_t version;
	uint32_t entry_size;
	uint32_t streams;
	uint32_t reserved;
	uint64_t epoch;
	uint64_t boot_to_wall;
	char id_prefix[LINE_ID_PREFIX_SIZE];
	struct checkpoint_commit commits[2]; /* by transaction & 1 */
	uint64_t committed;          /* the latest transaction; 0: none */
};

struct checkpoint_entry {
	struct saved_stream states[2];
	struct saved_processes processes[2];
	char reserved[2048 - 2 * sizeof(struct saved_stream) - 2 * sizeof(struct saved_processes)];
};

_Static_assert(sizeof(struct checkpoint_header) <= CHECKPOINT_PAGE, "header in its page");
_Static_assert(sizeof(struct checkpoint_entry) == 2048, "entries do not cross pages");
_Static_assert(sizeof(struct saved_stream) == 496, "state layout");
_Static_assert(sizeof(struct saved_carry) == 72, "half line layout");
_Static_assert(sizeof(struct saved_processes) == 512, "process layout");

/* The file, mapped. */
struct checkpoint_file {
	char *base;
	struct checkpoint_header *header;
	struct checkpoint_entry *entries;
	uint32_t streams;
	uint64_t heap_offset;
	uint64_t heap_size;      /* that the file had when it was opened */
	uint64_t heap_limit;
};

static inline uint64_t checkpoint_file__heap_offset(uint32_t streams)
{
	uint64_t end = CHECKPOINT_PAGE + (uint64_t)streams * sizeof(struct checkpoint_entry);

	return (end + CHECKPOINT_PAGE - 1) / CHECKPOINT_PAGE * CHECKPOINT_PAGE;
}

#endif
