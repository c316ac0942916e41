/* Entries of a checkpoint's version 1, where no lines waited. Owner: checkpoint_resize. */
#ifndef LOGTAP_CHECKPOINT_V1_H
#define LOGTAP_CHECKPOINT_V1_H

#define CHECKPOINT_V1 1

struct checkpoint_entry;

/* What version 1 wrote becomes what this version would have written of the same. */
void checkpoint_v1__convert(struct checkpoint_entry *entry);

#endif
