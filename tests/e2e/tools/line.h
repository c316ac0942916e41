/*
 * The numbered lines of the end-to-end tests: what loglines writes and logcheck expects. A line is
 *     WRITER SEQ LENGTH CHECKSUM/PAYLOAD
 * LENGTH is the whole line's without its newline, CHECKSUM the payload's FNV-1a in hexadecimal
 * digits. Everything follows from the source and the number, so that a reader needs to keep nothing
 * of what was written.
 */
#ifndef E2E_LINE_H
#define E2E_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of the longest line without its newline. */
#define LINE_LENGTH_MAX 65535
#define LINE_WRITER_MAX 24

enum line_sizes {
	SIZES_MIX,               /* 90 % up to 1 KiB, 9 % up to 8 KiB, 1 % 64 KiB */
	SIZES_SHORT,             /* 64 to 200 bytes */
	SIZES_PLAIN,             /* as short, and printable ASCII only */
};

struct line_source {
	char writer[LINE_WRITER_MAX + 1];
	uint64_t seed;
	enum line_sizes sizes;
	bool binary;             /* some bytes are not UTF-8 */
};

/* Both return -EINVAL for what is not known or too long; the source is then as it was. */
int line__set_writer(struct line_source *source, const char *name);
int line__set_sizes(struct line_source *source, const char *name);

/*
 * Writes line `seq` without its newline to `out`, which has room for LINE_LENGTH_MAX bytes. Returns
 * its length.
 */
size_t line__make(const struct line_source *source, uint64_t seq, char *out);

/* Reads who wrote `text` and its number. 0, or -EINVAL when it does not begin as a line does. */
int line__parse(const char *text, size_t length, char writer[LINE_WRITER_MAX + 1], uint64_t *seq);

#endif
