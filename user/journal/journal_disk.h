/*
 * A journal's directory on disk: whole segments are written, read back and removed there. Owner:
 * the journal; used before its thread starts, by that thread, and after it has ended. Functions
 * return 0 or -errno.
 */
#ifndef LOGTAP_JOURNAL_DISK_H
#define LOGTAP_JOURNAL_DISK_H

#include <stdbool.h>
#include <stdint.h>

struct journal_options;
struct segment_header;

struct journal_disk {
	char *directory;
	int dir_fd;            /* locked as long as it is open */
	uint64_t max_size;
	uint64_t max_age_ms;
	bool sync;
	uint64_t used;         /* bytes of segments; under the journal's lock */
	bool failing;          /* under the journal's lock: nothing is written before retry_ms */
	uint64_t retry_ms;
	bool remove_failed;    /* that is what failed last: a full disk can do it, a read-only one cannot */
};

/* Makes `path` and what is above it, opens and locks it. Failures are told. */
int journal_disk__open_directory(const char *path, int *out);
/*
 * 0 and NULL when the directory cannot be had: told, and the journal does without. -EWOULDBLOCK:
 * another logtap has it.
 */
int journal_disk__new(const struct journal_options *options, struct journal_disk **out);
void journal_disk__free(struct journal_disk *disk);

/*
 * Writes the segment in `bytes`, whose entries end at `end`, with checksums, and as durable as the
 * policy says. *size is the file's before and after, 0 when there is none: it is true after a
 * failure, too.
 */
int journal_disk__write(struct journal_disk *disk, uint64_t number, const char *bytes, uint64_t end,
			uint64_t *size);
/* The first `size` bytes of the file. What cannot be read is zeroes, unless nothing can be. */
int journal_disk__read(struct journal_disk *disk, uint64_t number, char *bytes, uint64_t size);
int journal_disk__unlink(struct journal_disk *disk, uint64_t number);

#endif
