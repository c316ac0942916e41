/* What another agent left in a checkpoint is not trusted: it may be damaged, or not ours. */
#ifndef LOGTAP_CHECKPOINT_CHECK_H
#define LOGTAP_CHECKPOINT_CHECK_H

#include "checkpoint_file.h"

/* 0 or -EINVAL. */
int checkpoint_check__header(const struct checkpoint_header *header, uint64_t file_size);
/* The state in that half; adopts the blocks that it refers to. 0 or -EINVAL. */
int checkpoint_check__entry(const struct checkpoint_entry *entry, int half, struct heap *heap);
/* Of a stream's text, as in struct saved_text. */
uint32_t checkpoint_check__sum(const char *text, uint64_t length);

#endif
