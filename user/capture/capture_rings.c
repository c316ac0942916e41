#include "capture_rings.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "base/config.h"
#include "capture_maps.h"
#include "capture_pin.h"
#include "ring.h"

/*
 * A ring follows another in these steps, after each of which a kill may come:
 *  1. the new one is pinned as ring-N-new, the present one also as ring-N-old;
 *  2. the map of rings gets the new one; the kernel waits until no program writes to the old one;
 *  3. `about` tells where its positions start: it knows by its id which ring that is said of;
 *  4. it is pinned as ring-N.
 * What the map of rings holds says how far that came.
 */
#define NEW "-new"
#define OLD "-old"

void capture_rings__name(unsigned int shard, const char *suffix, char name[32])
{
	snprintf(name, 32, "ring-%u%s", shard, suffix);
}

static int get_pinned(const struct capture_pin *pin, unsigned int shard, const char *suffix)
{
	char name[32];

	capture_rings__name(shard, suffix, name);
	return capture_pin__get(pin, name);
}

static int put_pinned(const struct capture_pin *pin, unsigned int shard, const char *suffix, int fd)
{
	char name[32];

	capture_rings__name(shard, suffix, name);
	return capture_pin__put(pin, name, fd);
}

static int remove_pinned(const struct capture_pin *pin, unsigned int shard, const char *suffix)
{
	char name[32];

	capture_rings__name(shard, suffix, name);
	return capture_pin__remove(pin, name);
}

static int ring_info(int fd, struct bpf_map_info *info)
{
	uint32_t size = sizeof(*info);

	memset(info, 0, size);
	return bpf_obj_get_info_by_fd(fd, info, &size) ? -errno : 0;
}

static bool has_id(int fd, uint32_t id)
{
	struct bpf_map_info info;

	return fd >= 0 && !ring_info(fd, &info) && info.id == id;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

int capture_rings__make(uint64_t size)
{
	int fd = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "logtap_ring", 0, 0, size, NULL);

	return fd < 0 ? -errno : fd;
}

/* Bytes that were ever written to it, or still wait in it. 0 or -errno. */
static int look(int fd, uint64_t *produced, uint64_t *waiting)
{
	struct bpf_map_info info;
	struct ring *ring;
	int err = ring_info(fd, &info);

	err = err ? err : ring__open(fd, info.max_entries, &ring);
	if (err)
		return err;
	*produced = ring__produced(ring);
	*waiting = ring__waiting(ring);
	ring__free(ring);
	return 0;
}

/* Step 3. */
static int tell_base(struct capture_maps *maps, unsigned int shard)
{
	struct capture_about *about = &maps->about;
	struct bpf_map_info info;
	uint64_t produced = 0, waiting;
	int err = ring_info(maps->rings[shard], &info);

	if (!err && maps->old_rings[shard] >= 0)
		err = look(maps->old_rings[shard], &produced, &waiting);
	if (err)
		return err;
	about->ring_bases[shard] += produced;
	about->ring_sizes[shard] = info.max_entries;
	about->ring_ids[shard] = info.id;
	return capture_maps__write_about(maps);
}

/* Step 4. */
static int settle(struct capture_maps *maps, const struct capture_pin *pin, unsigned int shard)
{
	int err = put_pinned(pin, shard, "", maps->rings[shard]);

	return err ? err : remove_pinned(pin, shard, NEW);
}

static int adopt_ring(struct capture_maps *maps, const struct capture_pin *pin, unsigned int shard)
{
	int *fd = &maps->rings[shard], *old = &maps->old_rings[shard];
	bool settled = true;
	uint32_t id;
	int err = 0;

	if (bpf_map_lookup_elem(maps->fds[MAP_RINGS], &shard, &id))
		return -errno;
	*fd = get_pinned(pin, shard, "");
	if (!has_id(*fd, id)) {
		close_fd(fd);
		*fd = get_pinned(pin, shard, NEW);
		settled = false;
	}
	if (*fd < 0)
		return *fd == -ENOENT ? -EIO : *fd;
	*old = get_pinned(pin, shard, OLD);
	if (has_id(*old, id)) {
		close_fd(old);
		err = remove_pinned(pin, shard, OLD);
	}
	if (!err && maps->about.ring_ids[shard] != id)
		err = tell_base(maps, shard);
	if (err)
		return err;
	return settled ? remove_pinned(pin, shard, NEW) : settle(maps, pin, shard);
}

int capture_rings__adopt(struct capture_maps *maps, const struct capture_pin *pin)
{
	int err = 0;

	for (unsigned int i = 0; !err && i < maps->about.shards; i++)
		err = adopt_ring(maps, pin, i);
	if (!err)
		capture_rings__forget_drained(maps, pin);
	return err;
}

static int replace(struct capture_maps *maps, const struct capture_pin *pin, unsigned int shard, uint64_t size)
{
	int old = maps->rings[shard];
	int fd = capture_rings__make(size);
	int err;

	if (fd < 0)
		return fd;
	err = put_pinned(pin, shard, NEW, fd);
	err = err ? err : put_pinned(pin, shard, OLD, old);
	if (!err && bpf_map_update_elem(maps->fds[MAP_RINGS], &shard, &fd, BPF_ANY))
		err = -errno;
	if (err) {
		close(fd);
		return err;
	}
	maps->old_rings[shard] = old;
	maps->rings[shard] = fd;
	err = tell_base(maps, shard);
	return err ? err : settle(maps, pin, shard);
}

/* No program knows it before it is in `about`. */
static int add(struct capture_maps *maps, const struct capture_pin *pin, uint64_t size)
{
	unsigned int shard = maps->about.shards;
	int fd = capture_rings__make(size);
	int err;

	if (fd < 0)
		return fd;
	maps->rings[shard] = fd;
	err = put_pinned(pin, shard, "", fd);
	if (!err && bpf_map_update_elem(maps->fds[MAP_RINGS], &shard, &fd, BPF_ANY))
		err = -errno;
	if (err) {
		close_fd(&maps->rings[shard]);
		return err;
	}
	maps->about.shards++;
	return tell_base(maps, shard);
}

static bool is_used(const struct capture_maps *maps, const char *slots, unsigned int shard)
{
	for (uint32_t i = 0; i < maps->about.max_streams; i++) {
		const struct stream_slot *slot = capture_maps__slot(maps, slots, i);

		if (__atomic_load_n(&slot->state, __ATOMIC_ACQUIRE) != SLOT_FREE && slot->shard == shard)
			return true;
	}
	return false;
}

/* The last ring, when no stream can come to it any more and all of it is read. 0, -EBUSY or -errno. */
static int drop(struct capture_maps *maps, const struct capture_pin *pin, const char *slots)
{
	unsigned int shard = maps->about.shards - 1;
	uint64_t produced, waiting;
	int err;

	if (shard < maps->about.shards_served || maps->old_rings[shard] >= 0 || is_used(maps, slots, shard))
		return -EBUSY;
	if (bpf_map_delete_elem(maps->fds[MAP_RINGS], &shard) && errno != ENOENT)
		return -errno;
	err = capture_maps__wait(maps);
	err = err ? err : look(maps->rings[shard], &produced, &waiting);
	if (err)
		return err;
	if (waiting) {
		if (bpf_map_update_elem(maps->fds[MAP_RINGS], &shard, &maps->rings[shard], BPF_ANY))
			return -errno;
		return -EBUSY;
	}
	/* Whenever there is such a shard again, its positions go on here. */
	maps->about.ring_bases[shard] += produced;
	maps->about.ring_ids[shard] = 0;
	maps->about.shards--;
	err = capture_maps__write_about(maps);
	close_fd(&maps->rings[shard]);
	return err ? err : remove_pinned(pin, shard, "");
}

int capture_rings__follow(struct capture_maps *maps, const struct capture_pin *pin,
			  const struct capture_config *config, const char *slots)
{
	int err = 0;

	while (!err && maps->about.shards > config->shards)
		err = drop(maps, pin, slots);
	err = err == -EBUSY ? 0 : err;
	while (!err && maps->about.shards < config->shards)
		err = add(maps, pin, config->ring_size);
	for (unsigned int i = 0; !err && i < maps->about.shards; i++)
		if (maps->about.ring_sizes[i] != config->ring_size && maps->old_rings[i] < 0)
			err = replace(maps, pin, i, config->ring_size);
	maps->shards_served = config->shards;
	return err;
}

void capture_rings__forget_drained(struct capture_maps *maps, const struct capture_pin *pin)
{
	uint64_t produced, waiting;

	for (unsigned int i = 0; i < maps->about.shards; i++) {
		if (maps->old_rings[i] < 0 || look(maps->old_rings[i], &produced, &waiting) || waiting)
			continue;
		if (!remove_pinned(pin, i, OLD))
			close_fd(&maps->old_rings[i]);
	}
}

int capture_rings__open(const struct capture_maps *maps, unsigned int shard, struct ring **out)
{
	int old = maps->old_rings[shard];
	struct bpf_map_info info = { 0 };
	struct ring *ring;
	int err = ring__open(maps->rings[shard], maps->about.ring_sizes[shard], &ring);

	if (err)
		return err;
	if (old >= 0)
		err = ring_info(old, &info);
	err = err ? err : ring__follow(ring, maps->about.ring_bases[shard], old, info.max_entries);
	if (err) {
		ring__free(ring);
		return err;
	}
	*out = ring;
	return 0;
}
