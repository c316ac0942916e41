#include "capture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "capture.skel.h"
#include "clock.h"
#include "config.h"
#include "hooks.h"
#include "log.h"
#include "path_glob.h"

/*
 * Cgroups remembered for each stream there may be: pods have pause containers, and containers
 * without output.
 */
#define CGROUPS_PER_STREAM 4

struct capture {
	const struct config *config;
	struct capture_bpf *bpf;
	uint64_t epoch;
	bool adopted;
	unsigned int shard_count;
	int ring_fds[SHARDS_MAX];
	uint64_t ring_sizes[SHARDS_MAX];
	struct stream_slot *slots;
	size_t slot_size;            /* bytes from one to the next */
	struct shard_state *shards;
	uint64_t unregistered;       /* at the latest census */
	struct bpf_link **links;     /* one a hook of the table, NULL where not attached */
};

/*
 * libbpf's own words, the verifier's log among them, are for who debugs logtap; users get doctor's.
 */
static int print_libbpf(enum libbpf_print_level level, const char *format, va_list args)
{
	if (level == LIBBPF_DEBUG || !log_enabled(LOG_LEVEL_DEBUG))
		return 0;
	return vfprintf(stderr, format, args);
}

static bool hook_wanted(const struct capture *capture, const struct hook *hook)
{
	switch (hook->group) {
	case HOOK_FILE_OPEN:
	case HOOK_FILE_CLOSE:
	case HOOK_FILE_WRITE:
		return capture->config->capture.files_count;
	case HOOK_EXEC:
	case HOOK_PIPE_WRITE:
	case HOOK_PIPE_CLOSE:
		return capture->config->capture.containers;
	default:
		return true;
	}
}

/*
 * Only what this kernel has and this configuration needs is loaded. The first function of the pipe
 * group that exists serves.
 */
static int choose_programs(struct capture *capture)
{
	unsigned int count;
	const struct hook *table = hooks__table(&count);
	bool have_pipe_write = false;

	for (unsigned int i = 0; i < count; i++) {
		const struct hook *hook = &table[i];
		struct bpf_program *program =
			bpf_object__find_program_by_name(capture->bpf->obj, hook->program);
		int present = hook_wanted(capture, hook) ? hooks__present(hook) : 0;

		if (present < 0)
			return present;
		if (hook->group == HOOK_PIPE_WRITE) {
			present = present && !have_pipe_write;
			have_pipe_write |= present;
		}
		bpf_program__set_autoload(program, present);
	}
	hooks__release();
	return 0;
}

/* The configuration allows no more globs than there is room for. */
static void set_globs(struct capture *capture)
{
	const struct capture_config *config = &capture->config->capture;

	for (unsigned int i = 0; i < config->files_count; i++) {
		struct name_pattern pattern = path_glob__name_pattern(config->files[i]);

		memcpy((void *)&capture->bpf->rodata->name_patterns[i], &pattern, sizeof(pattern));
	}
	capture->bpf->rodata->name_pattern_count = config->files_count;
}

static int set_sizes(struct capture *capture)
{
	struct capture_bpf *bpf = capture->bpf;
	unsigned int streams = capture->config->capture.max_streams;
	unsigned int cgroups = CGROUPS_PER_STREAM * streams;
	int err = 0;

	capture->bpf->rodata->shard_count = capture->config->capture.shards;
	err = err ? err : bpf_map__set_max_entries(bpf->maps.streams, streams);
	err = err ? err : bpf_map__set_max_entries(bpf->maps.slots, streams);
	err = err ? err : bpf_map__set_max_entries(bpf->maps.free_slots, streams);
	err = err ? err : bpf_map__set_max_entries(bpf->maps.entered_cgroups, cgroups);
	err = err ? err : bpf_map__set_max_entries(bpf->maps.oldest_tasks, cgroups);
	return err;
}

static int make_rings(struct capture *capture)
{
	for (uint32_t i = 0; i < capture->config->capture.shards; i++) {
		int fd = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "logtap_ring", 0, 0,
					capture->config->capture.ring_size, NULL);

		if (fd < 0)
			return -errno;
		capture->ring_fds[i] = fd;
		capture->ring_sizes[i] = capture->config->capture.ring_size;
		capture->shard_count = i + 1;
		if (bpf_map_update_elem(bpf_map__fd(capture->bpf->maps.rings), &i, &fd, BPF_ANY))
			return -errno;
	}
	return 0;
}

static int map_array(const struct bpf_map *map, void **out)
{
	size_t size = (size_t)bpf_map__value_size(map) * bpf_map__max_entries(map);
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);

	if (memory == MAP_FAILED)
		return -errno;
	*out = memory;
	return 0;
}

static void unmap_array(const struct bpf_map *map, void *memory)
{
	if (memory)
		munmap(memory, (size_t)bpf_map__value_size(map) * bpf_map__max_entries(map));
}

static int free_all_slots(struct capture *capture)
{
	int fd = bpf_map__fd(capture->bpf->maps.free_slots);

	for (uint32_t i = 0; i < capture->config->capture.max_streams; i++)
		if (bpf_map_update_elem(fd, NULL, &i, BPF_ANY))
			return -errno;
	return 0;
}

int capture__open(const struct config *config, struct capture **out)
{
	struct capture *capture = calloc(1, sizeof(*capture));
	unsigned int hooks;
	int err = -ENOMEM;

	if (!capture)
		return err;
	capture->config = config;
	memset(capture->ring_fds, -1, sizeof(capture->ring_fds));
	libbpf_set_print(print_libbpf);
	hooks__table(&hooks);
	capture->links = calloc(hooks, sizeof(*capture->links));
	if (!capture->links)
		goto fail;
	capture->bpf = capture_bpf__open();
	if (!capture->bpf) {
		err = -errno;
		goto fail;
	}
	set_globs(capture);
	err = choose_programs(capture);
	err = err ? err : set_sizes(capture);
	err = err ? err : capture_bpf__load(capture->bpf);
	err = err ? err : make_rings(capture);
	capture->slot_size = (sizeof(struct stream_slot) + 7) & ~7UL;
	capture->epoch = clock__ns(CLOCK_BOOTTIME);
	err = err ? err : map_array(capture->bpf->maps.slots, (void **)&capture->slots);
	err = err ? err : map_array(capture->bpf->maps.shards, (void **)&capture->shards);
	err = err ? err : free_all_slots(capture);
	if (err)
		goto fail;
	*out = capture;
	return 0;
fail:
	capture__close(capture);
	return err;
}

static int attach_hook(struct capture *capture, unsigned int index, const struct hook *hook)
{
	struct bpf_program *program =
		bpf_object__find_program_by_name(capture->bpf->obj, hook->program);

	if (!bpf_program__autoload(program))
		return 0;
	capture->links[index] = bpf_program__attach(program);
	return capture->links[index] ? 0 : -errno;
}

static int attach_group(struct capture *capture, enum hook_group group)
{
	unsigned int count;
	const struct hook *table = hooks__table(&count);
	int err = 0;

	for (unsigned int i = 0; !err && i < count; i++)
		if (table[i].group == group)
			err = attach_hook(capture, i, &table[i]);
	return err;
}

static void detach_group(struct capture *capture, enum hook_group group)
{
	unsigned int count;
	const struct hook *table = hooks__table(&count);

	for (unsigned int i = 0; i < count; i++) {
		if (table[i].group != group)
			continue;
		bpf_link__destroy(capture->links[i]);
		capture->links[i] = NULL;
	}
}

/* Reads an iterator to its end: its program does the work. */
static int iterate(struct bpf_program *program)
{
	struct bpf_link *link = bpf_program__attach_iter(program, NULL);
	char byte;
	int err = 0;
	int fd;

	if (!link)
		return -errno;
	fd = bpf_iter_create(bpf_link__fd(link));
	if (fd < 0) {
		err = -errno;
	} else {
		ssize_t n;

		do
			n = read(fd, &byte, sizeof(byte));
		/* EAGAIN: after a million objects it wants to be asked again. */
		while (n > 0 || (n < 0 && (errno == EINTR || errno == EAGAIN)));
		err = n < 0 ? -errno : 0;
		close(fd);
	}
	bpf_link__destroy(link);
	return err;
}

static int take_census(struct capture *capture)
{
	int err = iterate(capture->bpf->progs.census_tasks);

	capture->unregistered = capture__unregistered(capture);
	return err ? err : iterate(capture->bpf->progs.census_files);
}

int capture__attach(struct capture *capture)
{
	/* Tasks first: the open hooks need to know init's mount namespace. */
	int err = iterate(capture->bpf->progs.census_tasks);

	if (!err && !capture->bpf->bss->init_mount_namespace) {
		log_error("the host's processes cannot be seen from this pid namespace: run logtap in the host's (in Kubernetes: hostPID: true)");
		err = -ESRCH;
	}
	err = err ? err : attach_group(capture, HOOK_PIPE_CLOSE);
	err = err ? err : attach_group(capture, HOOK_FILE_CLOSE);
	err = err ? err : attach_group(capture, HOOK_INODE_FREE);
	err = err ? err : attach_group(capture, HOOK_CGROUP);
	err = err ? err : attach_group(capture, HOOK_EXEC);
	err = err ? err : attach_group(capture, HOOK_FILE_OPEN);
	err = err ? err : take_census(capture);
	err = err ? err : attach_group(capture, HOOK_PIPE_WRITE);
	err = err ? err : attach_group(capture, HOOK_FILE_WRITE);
	if (err)
		return err;
	__atomic_store_n(&capture->bpf->bss->capturing, 1, __ATOMIC_RELEASE);
	return 0;
}

void capture__detach(struct capture *capture)
{
	for (int group = 0; capture->links && group < HOOK_GROUPS; group++)
		detach_group(capture, group);
}

void capture__close(struct capture *capture)
{
	if (!capture)
		return;
	capture__detach(capture);
	if (capture->bpf) {
		unmap_array(capture->bpf->maps.slots, capture->slots);
		unmap_array(capture->bpf->maps.shards, capture->shards);
	}
	for (int i = 0; i < SHARDS_MAX; i++)
		if (capture->ring_fds[i] >= 0)
			close(capture->ring_fds[i]);
	capture_bpf__destroy(capture->bpf);
	free(capture->links);
	free(capture);
}

uint64_t capture__unregistered(const struct capture *capture)
{
	return __atomic_load_n(&capture->bpf->bss->unregistered, __ATOMIC_RELAXED);
}

uint64_t capture__missed(const struct capture *capture)
{
	struct bpf_program *program;
	uint64_t missed = 0;

	bpf_object__for_each_program(program, capture->bpf->obj) {
		struct bpf_prog_info info = { 0 };
		uint32_t size = sizeof(info);
		int fd = bpf_program__fd(program);

		if (fd >= 0 && !bpf_obj_get_info_by_fd(fd, &info, &size))
			missed += info.recursion_misses;
	}
	return missed;
}

void capture__retry_census(struct capture *capture)
{
	if (capture__unregistered(capture) == capture->unregistered)
		return;
	if (take_census(capture))
		log_warn("streams that found no room are still not captured: the census failed; it will be tried again");
}

int capture__ring_fd(const struct capture *capture, unsigned int shard)
{
	return capture->ring_fds[shard];
}

struct shard_state *capture__shard_state(const struct capture *capture, unsigned int shard)
{
	return &capture->shards[shard];
}

struct stream_slot *capture__slot(const struct capture *capture, uint32_t slot)
{
	return (struct stream_slot *)((char *)capture->slots + (size_t)slot * capture->slot_size);
}

uint64_t capture__epoch(const struct capture *capture)
{
	return capture->epoch;
}

bool capture__adopted(const struct capture *capture)
{
	return capture->adopted;
}

unsigned int capture__shards(const struct capture *capture)
{
	return capture->shard_count;
}

uint64_t capture__ring_size(const struct capture *capture, unsigned int shard)
{
	return capture->ring_sizes[shard];
}

unsigned int capture__max_streams(const struct capture *capture)
{
	return bpf_map__max_entries(capture->bpf->maps.slots);
}

bool capture__covers(const struct capture *capture, uint64_t magic)
{
	unsigned int count;
	const struct hook *table = hooks__table(&count);

	/* Loaded is enough: streams are found before the write hooks are attached. */
	for (unsigned int i = 0; i < count; i++)
		for (int m = 0; m < HOOK_MAGICS; m++)
			if (table[i].magics[m] == magic &&
			    bpf_program__autoload(bpf_object__find_program_by_name(capture->bpf->obj,
										   table[i].program)))
				return true;
	return false;
}

void capture__withdraw(struct capture *capture, uint32_t slot)
{
	const struct stream_slot *s = capture__slot(capture, slot);
	struct stream_key key = { .inode = s->inode };
	struct stream_value value;
	int fd = bpf_map__fd(capture->bpf->maps.streams);

	/* It may have been closed and opened anew under another slot meanwhile. */
	if (bpf_map_lookup_elem(fd, &key, &value) || value.generation != s->generation ||
	    value.slot != slot)
		return;
	if (!bpf_map_delete_elem(fd, &key))
		__atomic_fetch_sub(&capture->bpf->bss->filter[filter_index(s->ino)], 1, __ATOMIC_SEQ_CST);
}

void capture__free_slot(struct capture *capture, uint32_t slot)
{
	struct stream_slot *s = capture__slot(capture, slot);

	s->lost_bytes = 0;
	s->lost_writes = 0;
	memset(s->lost_bytes_by, 0, sizeof(s->lost_bytes_by));
	memset(s->lost_writes_by, 0, sizeof(s->lost_writes_by));
	memset(s->writers, 0, sizeof(s->writers));
	s->inode = 0;
	s->ino = 0;
	__atomic_store_n(&s->state, SLOT_FREE, __ATOMIC_RELEASE);
	/* The queue holds as many as there are slots. */
	if (bpf_map_update_elem(bpf_map__fd(capture->bpf->maps.free_slots), NULL, &slot, BPF_ANY))
		log_error("stream slot %u could not be given back: %s", slot, strerror(errno));
}
