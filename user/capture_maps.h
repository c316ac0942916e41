/*
 * The maps that all versions of the kernel half which follow each other share: made by the first
 * agent, adopted by those that come after it. Owner: the capture; one thread.
 */
#ifndef LOGTAP_CAPTURE_MAPS_H
#define LOGTAP_CAPTURE_MAPS_H

#include <stddef.h>

#include "record.h"

struct capture_config;
struct capture_pin;

enum capture_map {
	MAP_FILTER,
	MAP_STATE,
	MAP_STREAMS,
	MAP_SLOTS,
	MAP_FREE_SLOTS,
	MAP_RINGS,
	MAP_SHARDS,
	MAP_ENTERED_CGROUPS,
	MAP_COUNT
};

struct capture_maps {
	struct capture_about about;
	int about_fd;
	int fds[MAP_COUNT];          /* -1: not there; so are rings */
	int rings[SHARDS_MAX];
};

/*
 * Cgroups remembered for each stream there may be: pods have pause containers, and containers
 * without output.
 */
#define CGROUPS_PER_STREAM 4

/* No maps: before anything else. */
void capture_maps__clear(struct capture_maps *maps);
/* Empty maps of the configuration's sizes. 0 or -errno; both leave what capture_maps__close takes. */
int capture_maps__make(const struct capture_config *config, struct capture_maps *maps);
/*
 * What is pinned. 0; -ENOENT when nothing whole is pinned there; -EPROTO when it is not for this
 * build, as `about` tells; -errno.
 */
int capture_maps__adopt(const struct capture_pin *pin, struct capture_maps *maps);
/* Pins them, `about` as unfinished. 0 or -errno. */
int capture_maps__pin(const struct capture_maps *maps, const struct capture_pin *pin);
/* Everything is pinned and attached, by this build. 0 or -errno. */
int capture_maps__finish(struct capture_maps *maps);
void capture_maps__close(struct capture_maps *maps);

/* Maps an mmapable array into memory, for reading and writing. 0 or -errno. */
int capture_maps__view(int fd, size_t size, void **out);
/*
 * Returns when every program that ran at the call has ended. 0 or -errno. The kernel waits for them
 * when a map in a map is replaced, here one by itself: 1ae80cf31938 ("bpf: wait for running BPF
 * programs when updating map-in-map").
 */
int capture_maps__wait(const struct capture_maps *maps);
/* Bytes in the ring that nobody has given back. 0 or -errno. */
int capture_maps__unread(const struct capture_maps *maps, unsigned int shard, __u64 *bytes);

#endif
