#include "journal_gap.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "journal.h"

static const char *const reason[] = {
	[JOURNAL_LOSS_FULL] = "journal_full",
	[JOURNAL_LOSS_EXPIRED] = "expired",
	[JOURNAL_LOSS_REFUSED] = "refused",
};

int journal_gap__make(const struct journal_meta *meta, const char *value, uint64_t bytes,
		      uint64_t lines, enum journal_loss why, char *out, struct journal_meta *gap)
{
	if (!meta->head_len)
		return -EINVAL;
	memcpy(out, value, meta->head_len);
	*gap = (struct journal_meta){
		.key_len = meta->key_len,
		.head_len = meta->head_len,
		.flags = JOURNAL_GAP,
		.raw_len = bytes,
		.lines = lines,
		.stream = meta->stream,
	};
	gap->value_len = meta->head_len +
			 snprintf(out + meta->head_len, JOURNAL_GAP_TAIL,
				  ".lost\",\"lost\":{\"bytes\":%" PRIu64 ",\"lines\":%" PRIu64
				  ",\"reason\":\"%s\"}}",
				  bytes, lines, reason[why]);
	return 0;
}
