#include "capture_slots.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include <bpf/bpf.h>

#include "capture_maps.h"

/* What was seen of a slot. */
struct sight {
	bool queued;
	bool suspect;
	uint32_t generation;
};

/*
 * Each slot in the queue goes once from its head to its end, so that at no time more than one is
 * missing from it. Killed in between, that one is found by the next agent.
 */
static int see_queue(const struct capture_maps *maps, struct sight *sights)
{
	int fd = maps->fds[MAP_FREE_SLOTS];
	bool again = false;

	while (!again) {
		uint32_t slot;

		if (bpf_map_lookup_and_delete_elem(fd, NULL, &slot))
			return errno == ENOENT ? 0 : -errno;
		if (bpf_map_update_elem(fd, NULL, &slot, BPF_ANY))
			return -errno;
		if (slot >= maps->about.max_streams)
			return -EINVAL;
		again = sights[slot].queued;
		sights[slot].queued = true;
	}
	return 0;
}

static bool is_free(const struct stream_slot *slot)
{
	return __atomic_load_n(&slot->state, __ATOMIC_ACQUIRE) == SLOT_FREE;
}

/*
 * A slot may also be free and not queued because a program has just taken it. Such a program has
 * ended when the wait has, and leaves it in another state.
 */
static int give_back(const struct capture_maps *maps, const char *slots, struct sight *sights)
{
	int given = 0;
	int err;

	for (uint32_t i = 0; i < maps->about.max_streams; i++) {
		const struct stream_slot *slot = capture_maps__slot(maps, slots, i);

		sights[i].suspect = !sights[i].queued && is_free(slot);
		sights[i].generation = slot->generation;
	}
	err = capture_maps__wait(maps);
	if (err)
		return err;
	for (uint32_t i = 0; i < maps->about.max_streams; i++) {
		const struct stream_slot *slot = capture_maps__slot(maps, slots, i);

		if (!sights[i].suspect || !is_free(slot) || slot->generation != sights[i].generation)
			continue;
		if (bpf_map_update_elem(maps->fds[MAP_FREE_SLOTS], NULL, &i, BPF_ANY))
			return -errno;
		given++;
	}
	return given;
}

int capture_slots__repair(const struct capture_maps *maps, const char *slots)
{
	struct sight *sights = calloc(maps->about.max_streams, sizeof(*sights));
	int err;

	if (!sights)
		return -ENOMEM;
	err = see_queue(maps, sights);
	err = err ? err : give_back(maps, slots, sights);
	free(sights);
	return err;
}
