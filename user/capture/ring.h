/*
 * The reader of one BPF ring buffer, in place: records are looked at in the mapping and given back
 * in order. Owner: the shard's thread. Format: the kernel's Documentation/bpf/ringbuf.rst and
 * kernel/bpf/ringbuf.c.
 */
#ifndef LOGTAP_RING_H
#define LOGTAP_RING_H

#include <stddef.h>
#include <stdint.h>

#include "record.h"

struct ring;

/*
 * Maps the ring of `map_fd` (not owned; must outlive the reader), `size` bytes, to be read from
 * behind what was released. 0 or -errno.
 */
int ring__open(int map_fd, size_t size, struct ring **out);
/*
 * For a ring that has followed another: its positions start at `base`, and `before_fd` (-1: it is no
 * more), whose positions end there, is read first. Before anything else. 0 or -errno.
 */
int ring__follow(struct ring *ring, uint64_t base, int before_fd, size_t before_size);
void ring__free(struct ring *ring);

/*
 * The next whole record, or NULL when the ring is empty or its next record is still being written.
 * *position is the record's place since the shard's first ring was made, in bytes: it never repeats. Valid until
 * ring__release.
 */
const struct record *ring__next(struct ring *ring, uint64_t *position);
/*
 * Goes on from a position behind a record, as ring__consumed told it, in whichever process. -ERANGE
 * when it does not lie in what the ring holds.
 */
int ring__seek(struct ring *ring, uint64_t position);
/* Gives back everything up to a position that ring__consumed told. */
void ring__release(struct ring *ring, uint64_t position);
/*
 * Positions: behind the last record reserved by the kernel, and behind the last one that ring__next
 * has passed.
 */
uint64_t ring__produced(const struct ring *ring);
uint64_t ring__consumed(const struct ring *ring);
/* Bytes that wait, those of ring__next's records that were not released included. */
uint64_t ring__waiting(const struct ring *ring);

#endif
