/*
 * A gap record made later, in the place of a record that was dropped or refused: who read the
 * record's stream learns how much is missing there. Pure functions, any thread.
 */
#ifndef LOGTAP_JOURNAL_GAP_H
#define LOGTAP_JOURNAL_GAP_H

#include <stdint.h>

#include "layout.h"

struct journal_meta;

enum journal_loss {
	JOURNAL_LOSS_FULL,    /* journal_full: the policy of a full journal */
	JOURNAL_LOSS_EXPIRED, /* expired: older than journal.disk.max_age */
	JOURNAL_LOSS_REFUSED, /* refused: the sink's other side never takes it */
};

/* Bytes that a gap's value is longer than its head, at most. */
#define JOURNAL_GAP_TAIL LAYOUT_LOSS_SIZE

/*
 * Writes the gap's value to `out` (meta->head_len + JOURNAL_GAP_TAIL bytes) and makes *gap its
 * meta. `value` and `meta` are the record's, whose key the gap shares; a gap's own will do. 0, or
 * -EINVAL: the record has no head.
 */
int journal_gap__make(const struct journal_meta *meta, const char *value, uint64_t bytes,
		      uint64_t lines, enum journal_loss why, char *out, struct journal_meta *gap);

#endif
