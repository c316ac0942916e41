/*
 * The maps that all versions of the kernel half which follow each other share: made by the first
 * agent, adopted by those that come after it. Owner: the capture; one thread.
 */
#ifndef LOGTAP_CAPTURE_MAPS_H
#define LOGTAP_CAPTURE_MAPS_H

#include <stdbool.h>
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
	MAP_MARKS,           /* only with rescues */
	MAP_COUNT
};

struct capture_maps {
	struct capture_about about;
	int about_fd;
	int fds[MAP_COUNT];          /* -1: not there; so are rings */
	int rings[SHARDS_MAX];
	int old_rings[SHARDS_MAX];   /* what the ring has followed, until all of it is read */
	unsigned int shards_served;  /* for `about`, once our programs are in charge */
};

/*
 * Cgroups remembered for each stream there may be: pods have pause containers, and containers
 * without output.
 */
#define CGROUPS_PER_STREAM 4

/* No maps: before anything else. */
void capture_maps__clear(struct capture_maps *maps);
/* Empty maps of the configuration's sizes; `rescue`: writes are to have rescues. 0 or -errno; both leave what capture_maps__close takes. */
int capture_maps__make(const struct capture_config *config, bool rescue, struct capture_maps *maps);
/*
 * What is pinned. 0; -ENOENT when nothing whole is pinned there; -ENODATA when something
 * of it was removed; -EPROTO when it is not for this
 * build, as `about` tells; -errno.
 */
int capture_maps__adopt(const struct capture_pin *pin, struct capture_maps *maps);
/* Maps of `now`'s streams and slots anew, with room for `streams`; all else is shared. 0 or -errno. */
int capture_maps__make_next(const struct capture_maps *now, unsigned int streams, struct capture_maps *next);
/* The maps that a killed logtap made so. 0, -ENOENT when there are none, or -errno. */
int capture_maps__adopt_next(const struct capture_maps *now, const struct capture_pin *pin,
			     struct capture_maps *next);
/* From here on they are found by capture_maps__adopt_next. 0 or -errno. */
int capture_maps__pin_next(const struct capture_maps *next, const struct capture_pin *pin);
/* They are not, any more. 0 or -errno. */
int capture_maps__unpin_next(const struct capture_pin *pin);
/* They are in charge. 0 or -errno. */
int capture_maps__settle_next(struct capture_maps *next, const struct capture_pin *pin);
/* Pins them, `about` as unfinished. 0 or -errno. */
int capture_maps__pin(const struct capture_maps *maps, const struct capture_pin *pin);
/* 0 or -errno. */
int capture_maps__write_about(const struct capture_maps *maps);
/* False: there is no such map, as these have no rescues. */
bool capture_maps__has(const struct capture_maps *maps, enum capture_map map);
/* In the slots' map in memory, whose stride is its own. */
struct stream_slot *capture_maps__slot(const struct capture_maps *maps, const char *slots, __u32 slot);
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
/* Bytes in the shard's rings that nobody has given back. 0 or -errno. */
int capture_maps__unread(const struct capture_maps *maps, unsigned int shard, __u64 *bytes);

#endif
