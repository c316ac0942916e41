/* Lets a checkpoint's file have room for more or fewer streams, and this version's entries. Owner: the checkpoint. */
#ifndef LOGTAP_CHECKPOINT_RESIZE_H
#define LOGTAP_CHECKPOINT_RESIZE_H

#include <stdint.h>

/*
 * A copy of the file `fd` at `path`, with entries for `streams` slots: those of slots that are no
 * more must say nothing that is still to be told. Version 1's entries become this version's. The copy takes the file's place once it is whole;
 * its descriptor, locked, is returned, and `fd` stays the caller's. -errno: nothing has changed.
 */
int checkpoint_resize__copy(int fd, const char *path, uint32_t streams);

#endif
