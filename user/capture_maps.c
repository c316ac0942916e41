#include "capture_maps.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "capture_pin.h"
#include "clock.h"
#include "config.h"
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
};

void capture_maps__clear(struct capture_maps *maps)
{
	memset(maps, 0, sizeof(*maps));
	maps->about_fd = -1;
	memset(maps->fds, -1, sizeof(maps->fds));
	memset(maps->rings, -1, sizeof(maps->rings));
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
	default:
		return 1;
	}
}

static int make_ring(struct capture_maps *maps, unsigned int shard, uint64_t size)
{
	int fd = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "logtap_ring", 0, 0, size, NULL);

	if (fd < 0)
		return -errno;
	maps->rings[shard] = fd;
	maps->about.ring_sizes[shard] = size;
	maps->about.shards = shard + 1;
	return 0;
}

static int make_map(struct capture_maps *maps, enum capture_map map)
{
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = shapes[map].flags);
	int fd;

	if (map == MAP_RINGS)
		options.inner_map_fd = maps->rings[0];
	fd = bpf_map_create(shapes[map].type, shapes[map].name, shapes[map].key_size,
			    shapes[map].value_size, entries(map, maps->about.max_streams), &options);
	if (fd < 0)
		return -errno;
	maps->fds[map] = fd;
	return 0;
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

static int write_about(const struct capture_maps *maps)
{
	__u32 zero = 0;

	return bpf_map_update_elem(maps->about_fd, &zero, &maps->about, BPF_ANY) ? -errno : 0;
}

int capture_maps__make(const struct capture_config *config, struct capture_maps *maps)
{
	int err = 0;

	maps->about.layout = CAPTURE_LAYOUT;
	maps->about.epoch = clock__ns(CLOCK_BOOTTIME);
	maps->about.max_streams = config->max_streams;
	maps->about.slot_size = sizeof(struct stream_slot);
	maps->about.filter_size = FILTER_SIZE * sizeof(__u32);
	maps->about.state_size = sizeof(struct capture_state);
	for (unsigned int i = 0; !err && i < config->shards; i++)
		err = make_ring(maps, i, config->ring_size);
	for (int i = 0; !err && i < MAP_COUNT; i++)
		err = make_map(maps, i);
	if (err)
		return err;
	maps->about_fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "about", 4, sizeof(maps->about), 1, NULL);
	if (maps->about_fd < 0)
		return -errno;
	err = write_about(maps);
	return err ? err : fill_maps(maps);
}

static void ring_name(unsigned int shard, char name[32])
{
	snprintf(name, 32, "ring-%u", shard);
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

/* Slots and state may be longer than ours: a later build has appended what we do not know. */
static bool is_ours(const struct capture_about *about)
{
	return about->layout == CAPTURE_LAYOUT && about->shards >= 1 &&
	       about->shards <= SHARDS_MAX && about->max_streams >= 1 &&
	       about->slot_size >= sizeof(struct stream_slot) &&
	       about->filter_size == FILTER_SIZE * sizeof(__u32) &&
	       about->state_size >= sizeof(struct capture_state);
}

static int adopt_maps(const struct capture_pin *pin, struct capture_maps *maps)
{
	char name[32];

	for (int i = 0; i < MAP_COUNT; i++) {
		maps->fds[i] = capture_pin__get(pin, shapes[i].name);
		if (maps->fds[i] < 0)
			return maps->fds[i];
	}
	for (unsigned int i = 0; i < maps->about.shards; i++) {
		ring_name(i, name);
		maps->rings[i] = capture_pin__get(pin, name);
		if (maps->rings[i] < 0)
			return maps->rings[i];
	}
	return 0;
}

int capture_maps__adopt(const struct capture_pin *pin, struct capture_maps *maps)
{
	int err = read_about(pin, maps);

	if (err)
		return err;
	if (maps->about.magic != CAPTURE_MAGIC)
		return -ENOENT;
	return is_ours(&maps->about) ? adopt_maps(pin, maps) : -EPROTO;
}

int capture_maps__pin(const struct capture_maps *maps, const struct capture_pin *pin)
{
	int err = capture_pin__put(pin, "about", maps->about_fd);
	char name[32];

	for (int i = 0; !err && i < MAP_COUNT; i++)
		err = capture_pin__put(pin, shapes[i].name, maps->fds[i]);
	for (unsigned int i = 0; !err && i < maps->about.shards; i++) {
		ring_name(i, name);
		err = capture_pin__put(pin, name, maps->rings[i]);
	}
	return err;
}

int capture_maps__finish(struct capture_maps *maps)
{
	maps->about.magic = CAPTURE_MAGIC;
	memset(maps->about.version, 0, sizeof(maps->about.version));
	snprintf(maps->about.version, sizeof(maps->about.version), "%s", LOGTAP_VERSION);
	return write_about(maps);
}

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

void capture_maps__close(struct capture_maps *maps)
{
	close_fd(maps->about_fd);
	for (int i = 0; i < MAP_COUNT; i++)
		close_fd(maps->fds[i]);
	for (int i = 0; i < SHARDS_MAX; i++)
		close_fd(maps->rings[i]);
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
	int err = ring__open(maps->rings[shard], maps->about.ring_sizes[shard], &ring);

	if (err)
		return err;
	*bytes = ring__waiting(ring);
	ring__free(ring);
	return 0;
}
