#include "capture_maps.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "base/clock.h"
#include "base/config.h"
#include "capture_pin.h"
#include "capture_rings.h"
#include "ring.h"

#ifndef LOGTAP_VERSION
#error "LOGTAP_VERSION comes from the Makefile"
#endif

/* What the kernel half's sections and maps ask for; it may be loaded with these and no others. */
static const struct {
	const char *name;
	enum bpf_map_type type;
	unsigned int key_size;
	unsigned int value_size;
	unsigned int flags;
} shapes[MAP_COUNT] = {
	[MAP_FILTER] = { "filter", BPF_MAP_TYPE_ARRAY, 4, FILTER_SIZE * sizeof(__u32),
			 BPF_F_MMAPABLE },
	[MAP_STATE] = { "state", BPF_MAP_TYPE_ARRAY, 4, sizeof(struct capture_state),
			BPF_F_MMAPABLE },
	[MAP_STREAMS] = { "streams", BPF_MAP_TYPE_HASH, sizeof(struct stream_key),
			  sizeof(struct stream_value), 0 },
	[MAP_SLOTS] = { "slots", BPF_MAP_TYPE_ARRAY, 4, sizeof(struct stream_slot),
			BPF_F_MMAPABLE },
	[MAP_FREE_SLOTS] = { "free_slots", BPF_MAP_TYPE_QUEUE, 0, sizeof(__u32), 0 },
	[MAP_RINGS] = { "rings", BPF_MAP_TYPE_ARRAY_OF_MAPS, 4, 4, 0 },
	[MAP_SHARDS] = { "shards", BPF_MAP_TYPE_ARRAY, 4, sizeof(struct shard_state),
			 BPF_F_MMAPABLE },
	[MAP_ENTERED_CGROUPS] = { "entered_cgroups", BPF_MAP_TYPE_HASH, sizeof(__u64),
				  sizeof(__u8), 0 },
	[MAP_MARKS] = { "marks", BPF_MAP_TYPE_ARRAY, 4, sizeof(__u64), BPF_F_MMAPABLE },
};

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

void capture_maps__clear(struct capture_maps *maps)
{
	memset(maps, 0, sizeof(*maps));
	maps->about_fd = -1;
	memset(maps->fds, -1, sizeof(maps->fds));
	memset(maps->rings, -1, sizeof(maps->rings));
	memset(maps->old_rings, -1, sizeof(maps->old_rings));
}

bool capture_maps__has(const struct capture_maps *maps, enum capture_map map)
{
	return map != MAP_MARKS || maps->about.rescue;
}

static unsigned int entries(enum capture_map map, unsigned int streams)
{
	switch (map) {
	case MAP_STREAMS:
	case MAP_SLOTS:
	case MAP_FREE_SLOTS:
		return streams;
	case MAP_ENTERED_CGROUPS:
		return CGROUPS_PER_STREAM * streams;
	case MAP_RINGS:
	case MAP_SHARDS:
		return SHARDS_MAX;
	case MAP_MARKS:
		return MARKS;
	default:
		return 1;
	}
}

static int make_ring(struct capture_maps *maps, unsigned int shard, uint64_t size)
{
	struct bpf_map_info info = { 0 };
	__u32 info_size = sizeof(info);
	int fd = capture_rings__make(size);

	if (fd < 0)
		return fd;
	maps->rings[shard] = fd;
	if (bpf_obj_get_info_by_fd(fd, &info, &info_size))
		return -errno;
	maps->about.ring_sizes[shard] = size;
	maps->about.ring_ids[shard] = info.id;
	maps->about.shards = shard + 1;
	return 0;
}

/* Which map of slots it is, and of what size. */
static int note_slots(struct capture_maps *maps)
{
	struct bpf_map_info info = { 0 };
	__u32 size = sizeof(info);

	if (bpf_obj_get_info_by_fd(maps->fds[MAP_SLOTS], &info, &size))
		return -errno;
	maps->about.slots_id = info.id;
	maps->about.slot_size = info.value_size;
	maps->about.max_streams = info.max_entries;
	return 0;
}

static unsigned int value_size(const struct capture_maps *maps, enum capture_map map)
{
	return map == MAP_SLOTS ? maps->about.slot_size : shapes[map].value_size;
}

static int make_map(struct capture_maps *maps, enum capture_map map)
{
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = shapes[map].flags);
	int fd;

	if (map == MAP_RINGS)
		options.inner_map_fd = maps->rings[0];
	fd = bpf_map_create(shapes[map].type, shapes[map].name, shapes[map].key_size,
			    value_size(maps, map), entries(map, maps->about.max_streams), &options);
	if (fd < 0)
		return -errno;
	maps->fds[map] = fd;
	return map == MAP_SLOTS ? note_slots(maps) : 0;
}

static int fill_maps(const struct capture_maps *maps)
{
	for (__u32 i = 0; i < maps->about.shards; i++)
		if (bpf_map_update_elem(maps->fds[MAP_RINGS], &i, &maps->rings[i], BPF_ANY))
			return -errno;
	for (__u32 i = 0; i < maps->about.max_streams; i++)
		if (bpf_map_update_elem(maps->fds[MAP_FREE_SLOTS], NULL, &i, BPF_ANY))
			return -errno;
	return 0;
}

int capture_maps__write_about(const struct capture_maps *maps)
{
	__u32 zero = 0;

	return bpf_map_update_elem(maps->about_fd, &zero, &maps->about, BPF_ANY) ? -errno : 0;
}

int capture_maps__make(const struct capture_config *config, bool rescue, struct capture_maps *maps)
{
	int err = 0;

	maps->about.layout = rescue ? CAPTURE_LAYOUT_RESCUE : CAPTURE_LAYOUT;
	maps->about.rescue = rescue;
	maps->about.epoch = clock__ns(CLOCK_BOOTTIME);
	maps->about.max_streams = config->max_streams;
	maps->about.slot_size = sizeof(struct stream_slot);
	maps->about.filter_size = FILTER_SIZE * sizeof(__u32);
	maps->about.state_size = sizeof(struct capture_state);
	for (unsigned int i = 0; !err && i < config->shards; i++)
		err = make_ring(maps, i, config->ring_size);
	for (int i = 0; !err && i < MAP_COUNT; i++)
		err = capture_maps__has(maps, i) ? make_map(maps, i) : 0;
	if (err)
		return err;
	maps->about_fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "about", 4, sizeof(maps->about), 1, NULL);
	if (maps->about_fd < 0)
		return -errno;
	maps->shards_served = config->shards;
	err = capture_maps__write_about(maps);
	return err ? err : fill_maps(maps);
}

/* As far as it has them: an older build's may be shorter. */
static int read_about(const struct capture_pin *pin, struct capture_maps *maps)
{
	struct bpf_map_info info = { 0 };
	__u32 size = sizeof(info), zero = 0;
	char value[4096] = "";

	maps->about_fd = capture_pin__get(pin, "about");
	if (maps->about_fd < 0)
		return maps->about_fd;
	if (bpf_obj_get_info_by_fd(maps->about_fd, &info, &size))
		return -errno;
	if (info.value_size < sizeof(maps->about) || info.value_size > sizeof(value))
		return -EPROTO;
	if (bpf_map_lookup_elem(maps->about_fd, &zero, value))
		return -errno;
	memcpy(&maps->about, value, sizeof(maps->about));
	maps->about.version[sizeof(maps->about.version) - 1] = 0;
	return 0;
}

/*
 * Slots and state may be longer than ours: a later build has appended what we do not know. Shorter
 * slots are an earlier build's: streams move into longer ones.
 */
static bool is_ours(const struct capture_about *about)
{
	return about->layout == (about->rescue ? CAPTURE_LAYOUT_RESCUE : CAPTURE_LAYOUT) && about->shards >= 1 &&
	       about->shards <= SHARDS_MAX && about->max_streams >= 1 &&
	       about->slot_size >= SLOT_SIZE_MIN &&
	       about->filter_size == FILTER_SIZE * sizeof(__u32) &&
	       about->state_size >= sizeof(struct capture_state);
}

static int adopt_maps(const struct capture_pin *pin, struct capture_maps *maps)
{
	for (int i = 0; i < MAP_COUNT; i++) {
		if (!capture_maps__has(maps, i))
			continue;
		maps->fds[i] = capture_pin__get(pin, shapes[i].name);
		if (maps->fds[i] < 0)
			return maps->fds[i];
	}
	maps->shards_served = maps->about.shards_served;
	return capture_rings__adopt(maps, pin);
}

/* The slots last: with them there, all are. */
static const enum capture_map moving[] = { MAP_STREAMS, MAP_FREE_SLOTS, MAP_ENTERED_CGROUPS, MAP_SLOTS };

#define MOVING (sizeof(moving) / sizeof(moving[0]))

static void next_name(enum capture_map map, char name[32])
{
	snprintf(name, 32, "%s-next", shapes[map].name);
}

static int duplicate(int fd, int *out)
{
	*out = fd < 0 ? -1 : dup(fd);
	return fd >= 0 && *out < 0 ? -errno : 0;
}

/* What does not move; they are closed apart. */
static int share_maps(const struct capture_maps *now, struct capture_maps *next)
{
	int err;

	capture_maps__clear(next);
	next->about = now->about;
	next->shards_served = now->shards_served;
	err = duplicate(now->about_fd, &next->about_fd);
	for (int i = 0; !err && i < MAP_COUNT; i++)
		err = duplicate(now->fds[i], &next->fds[i]);
	for (int i = 0; !err && i < SHARDS_MAX; i++) {
		err = duplicate(now->rings[i], &next->rings[i]);
		err = err ? err : duplicate(now->old_rings[i], &next->old_rings[i]);
	}
	for (size_t i = 0; i < MOVING; i++) {
		close_fd(next->fds[moving[i]]);
		next->fds[moving[i]] = -1;
	}
	return err;
}

/* What later versions have appended is kept, though it means nothing to us. */
int capture_maps__make_next(const struct capture_maps *now, unsigned int streams, struct capture_maps *next)
{
	int err = share_maps(now, next);

	if (next->about.slot_size < sizeof(struct stream_slot))
		next->about.slot_size = sizeof(struct stream_slot);
	next->about.max_streams = streams;
	for (size_t i = 0; !err && i < MOVING; i++)
		err = make_map(next, moving[i]);
	return err;
}

int capture_maps__adopt_next(const struct capture_maps *now, const struct capture_pin *pin,
			     struct capture_maps *next)
{
	char name[32];
	int err = share_maps(now, next);

	for (size_t i = MOVING; !err && i-- > 0;) {
		next_name(moving[i], name);
		next->fds[moving[i]] = capture_pin__get(pin, name);
		if (next->fds[moving[i]] < 0)
			return next->fds[moving[i]];
	}
	return err ? err : note_slots(next);
}

int capture_maps__pin_next(const struct capture_maps *next, const struct capture_pin *pin)
{
	char name[32];
	int err = 0;

	for (size_t i = 0; !err && i < MOVING; i++) {
		next_name(moving[i], name);
		err = capture_pin__put(pin, name, next->fds[moving[i]]);
	}
	return err;
}

int capture_maps__unpin_next(const struct capture_pin *pin)
{
	char name[32];
	int err = 0;

	for (size_t i = MOVING; !err && i-- > 0;) {
		next_name(moving[i], name);
		err = capture_pin__remove(pin, name);
	}
	return err;
}

static int settle_map(const struct capture_pin *pin, enum capture_map map)
{
	char name[32];
	int fd, err;

	next_name(map, name);
	fd = capture_pin__get(pin, name);
	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	err = capture_pin__put(pin, shapes[map].name, fd);
	close(fd);
	return err ? err : capture_pin__remove(pin, name);
}

/* `about` says that the next ones are in charge. The slots' name goes last. */
static int settle_maps(const struct capture_pin *pin)
{
	int err = 0;

	for (size_t i = 0; !err && i < MOVING; i++)
		err = settle_map(pin, moving[i]);
	return err;
}

int capture_maps__settle_next(struct capture_maps *next, const struct capture_pin *pin)
{
	int err = capture_maps__write_about(next);

	return err ? err : settle_maps(pin);
}

/* A logtap may have been killed between the two steps of the above. */
static int end_settling(const struct capture_pin *pin, const struct capture_maps *maps)
{
	struct bpf_map_info info = { 0 };
	__u32 size = sizeof(info);
	int fd = capture_pin__get(pin, "slots-next");
	int err;

	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	err = bpf_obj_get_info_by_fd(fd, &info, &size) ? -errno : 0;
	close(fd);
	return !err && info.id == maps->about.slots_id ? settle_maps(pin) : err;
}

int capture_maps__adopt(const struct capture_pin *pin, struct capture_maps *maps)
{
	int err = read_about(pin, maps);

	if (err)
		return err;
	if (maps->about.magic != CAPTURE_MAGIC)
		return -ENOENT;
	if (!is_ours(&maps->about))
		return -EPROTO;
	err = end_settling(pin, maps);
	err = err ? err : adopt_maps(pin, maps);
	return err == -ENOENT ? -ENODATA : err;
}

int capture_maps__pin(const struct capture_maps *maps, const struct capture_pin *pin)
{
	int err = capture_pin__put(pin, "about", maps->about_fd);
	char name[32];

	for (int i = 0; !err && i < MAP_COUNT; i++)
		if (capture_maps__has(maps, i))
			err = capture_pin__put(pin, shapes[i].name, maps->fds[i]);
	for (unsigned int i = 0; !err && i < maps->about.shards; i++) {
		capture_rings__name(i, "", name);
		err = capture_pin__put(pin, name, maps->rings[i]);
	}
	return err;
}

int capture_maps__finish(struct capture_maps *maps)
{
	maps->about.magic = CAPTURE_MAGIC;
	maps->about.shards_served = maps->shards_served;
	memset(maps->about.version, 0, sizeof(maps->about.version));
	snprintf(maps->about.version, sizeof(maps->about.version), "%s", LOGTAP_VERSION);
	return capture_maps__write_about(maps);
}

struct stream_slot *capture_maps__slot(const struct capture_maps *maps, const char *slots, __u32 slot)
{
	return (struct stream_slot *)(slots + (size_t)slot * ((maps->about.slot_size + 7) & ~7UL));
}

void capture_maps__close(struct capture_maps *maps)
{
	close_fd(maps->about_fd);
	for (int i = 0; i < MAP_COUNT; i++)
		close_fd(maps->fds[i]);
	for (int i = 0; i < SHARDS_MAX; i++) {
		close_fd(maps->rings[i]);
		close_fd(maps->old_rings[i]);
	}
	capture_maps__clear(maps);
}

int capture_maps__view(int fd, size_t size, void **out)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (memory == MAP_FAILED)
		return -errno;
	*out = memory;
	return 0;
}

int capture_maps__wait(const struct capture_maps *maps)
{
	__u32 zero = 0;

	return bpf_map_update_elem(maps->fds[MAP_RINGS], &zero, &maps->rings[0], BPF_ANY) ? -errno : 0;
}

int capture_maps__unread(const struct capture_maps *maps, unsigned int shard, __u64 *bytes)
{
	struct ring *ring;
	int err = capture_rings__open(maps, shard, &ring);

	if (err)
		return err;
	*bytes = ring__waiting(ring);
	ring__free(ring);
	return 0;
}
