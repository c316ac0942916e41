#include "journal_gap.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "journal_record.h"

static const char *const reason[] = {
	[JOURNAL_LOSS_FULL] = "journal_full",
	[JOURNAL_LOSS_EXPIRED] = "expired",
	[JOURNAL_LOSS_REFUSED] = "refused",
};

int journal_gap__make(const struct journal_meta *meta, const char *value, uint64_t bytes,
		      uint64_t lines, enum journal_loss why, char *out, struct journal_meta *gap)
{
	const struct layout *layout = layout__get(journal_names(meta));
	/* What the node's own gaps tell is not lost with them. */
	bool node = meta->stream == JOURNAL_NODE;
	const struct layout_loss loss = {
		.id_suffix = ".lost",
		.bytes = bytes,
		.unit = node ? "writes" : "lines",
		.count = lines,
		.reason = node ? "hooks_missed" : reason[why],
	};

	if (!meta->head_len)
		return -EINVAL;
	memcpy(out, value, meta->head_len);
	*gap = (struct journal_meta){
		.key_len = meta->key_len,
		.head_len = meta->head_len,
		.flags = meta->flags | JOURNAL_GAP,
		.raw_len = bytes,
		.lines = lines,
		.stream = meta->stream,
	};
	gap->value_len = meta->head_len + layout->loss(out + meta->head_len, JOURNAL_GAP_TAIL, &loss);
	return 0;
}
