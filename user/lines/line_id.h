/*
 * The first part of line ids: node, boot, shard and the epoch of its ring. With a position in that
 * ring behind it, an id is never given twice. Any thread.
 */
#ifndef LOGTAP_LINE_ID_H
#define LOGTAP_LINE_ID_H

#include <stdint.h>

#define LINE_ID_PREFIX_SIZE 64

/* `epoch`: boot time in ns at which the ring was made. */
void line_id__prefix(char prefix[LINE_ID_PREFIX_SIZE], const char *node, unsigned int shard,
		     uint64_t epoch);

#endif
