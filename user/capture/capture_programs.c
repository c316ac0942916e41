#include "capture_programs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/config.h"
#include "base/path_glob.h"
#include "capture.skel.h"
#include "capture_maps.h"
#include "capture_pin.h"
#include "dispatch.skel.h"

#define NAME_SIZE 128

/* The maps that are shared have one section each. */
_Static_assert(sizeof(((struct capture_bpf *)0)->bss->filter) ==
		       sizeof(*((struct capture_bpf *)0)->bss),
	       "the filter is alone in .bss");

/* One a hook of the table. */
struct place {
	struct bpf_program *program; /* ours; NULL: this kernel has no such hook */
	struct bpf_program *dispatcher; /* ours; NULL: one is pinned, or there is no such hook */
	struct bpf_link *link;       /* of our dispatcher, when attached */
	int next_fd;                 /* array of the dispatcher, -1: none */
	int dispatcher_fd;           /* the pinned one's, -1 */
};

struct capture_programs {
	const struct capture_maps *maps;
	const struct capture_pin *pin;
	struct dispatch_bpf *dispatch; /* NULL: all that is needed is pinned */
	struct capture_bpf *bpf;
	const struct hook *hooks;
	struct place *places;
	unsigned int count;
};

static void pin_name(const char *what, const struct hook *hook, char name[NAME_SIZE])
{
	snprintf(name, NAME_SIZE, "%s-%s", what, hook->program);
}

static int get_pinned(const struct capture_pin *pin, const char *what, const struct hook *hook)
{
	char name[NAME_SIZE];

	if (!pin)
		return -ENOENT;
	pin_name(what, hook, name);
	return capture_pin__get(pin, name);
}

static int put_pinned(const struct capture_pin *pin, const char *what, const struct hook *hook, int fd)
{
	char name[NAME_SIZE];

	pin_name(what, hook, name);
	return capture_pin__put(pin, name, fd);
}

/* The link is pinned last: without it the rest is a leftover. */
static int find_pinned(struct capture_programs *programs, unsigned int index)
{
	const struct hook *hook = &programs->hooks[index];
	struct place *place = &programs->places[index];
	int link = get_pinned(programs->pin, "link", hook);

	if (link < 0)
		return link == -ENOENT ? 0 : link;
	close(link);
	place->next_fd = get_pinned(programs->pin, "next", hook);
	place->dispatcher_fd = get_pinned(programs->pin, "prog", hook);
	return place->next_fd < 0 ? place->next_fd : 0;
}

/*
 * All that this kernel has is loaded, whether the configuration wants it now or not. The first
 * function of the pipe group that exists serves.
 */
static int choose_program(struct capture_programs *programs, unsigned int index, bool taken[HOOK_GROUPS])
{
	const struct hook *hook = &programs->hooks[index];
	struct place *place = &programs->places[index];
	struct bpf_program *program =
		bpf_object__find_program_by_name(programs->bpf->obj, hook->program);
	int present = hooks__present(hook);

	if (present < 0)
		return present;
	if (hook_group_is_rescue(hook->group))
		present = present && programs->maps->about.rescue;
	if (hook->group == HOOK_PIPE_WRITE || hook->group == HOOK_PIPE_RESCUE) {
		present = present && !taken[hook->group];
		taken[hook->group] |= present;
	}
	bpf_program__set_autoload(program, present);
	place->program = present ? program : NULL;
	return present && hook->kind != HOOK_ITERATOR ? find_pinned(programs, index) : 0;
}

static int choose_programs(struct capture_programs *programs)
{
	bool taken[HOOK_GROUPS] = { false };
	int err = 0;

	for (unsigned int i = 0; !err && i < programs->count; i++)
		err = choose_program(programs, i, taken);
	hooks__release();
	return err;
}

static bool needs_dispatcher(const struct capture_programs *programs, unsigned int index)
{
	const struct place *place = &programs->places[index];

	return place->program && place->next_fd < 0 &&
	       programs->hooks[index].kind != HOOK_ITERATOR;
}

static struct bpf_map *next_map(const struct capture_programs *programs, unsigned int index)
{
	char name[NAME_SIZE];

	snprintf(name, sizeof(name), "next_%s", programs->hooks[index].program);
	return bpf_object__find_map_by_name(programs->dispatch->obj, name);
}

static void choose_dispatchers(struct capture_programs *programs)
{
	for (unsigned int i = 0; i < programs->count; i++) {
		bool needed = needs_dispatcher(programs, i);
		struct bpf_program *program = bpf_object__find_program_by_name(
			programs->dispatch->obj, programs->hooks[i].program);

		if (!program)
			continue;
		bpf_program__set_autoload(program, needed);
		bpf_map__set_autocreate(next_map(programs, i), needed);
		programs->places[i].dispatcher = needed ? program : NULL;
	}
}

static int load_dispatchers(struct capture_programs *programs)
{
	bool any = false;
	int err;

	for (unsigned int i = 0; i < programs->count; i++)
		any |= needs_dispatcher(programs, i);
	if (!any)
		return 0;
	programs->dispatch = dispatch_bpf__open();
	if (!programs->dispatch)
		return -errno;
	choose_dispatchers(programs);
	err = bpf_map__reuse_fd(programs->dispatch->maps.bss, programs->maps->fds[MAP_FILTER]);
	err = err ? err : dispatch_bpf__load(programs->dispatch);
	for (unsigned int i = 0; !err && i < programs->count; i++)
		if (programs->places[i].dispatcher)
			programs->places[i].next_fd = dup(bpf_map__fd(next_map(programs, i)));
	return err;
}

static int use_maps(struct capture_programs *programs)
{
	const struct capture_maps *maps = programs->maps;
	struct capture_bpf *bpf = programs->bpf;
	struct bpf_map *const shared[MAP_COUNT] = {
		[MAP_FILTER] = bpf->maps.bss,
		[MAP_STATE] = bpf->maps.data_state,
		[MAP_STREAMS] = bpf->maps.streams,
		[MAP_SLOTS] = bpf->maps.slots,
		[MAP_FREE_SLOTS] = bpf->maps.free_slots,
		[MAP_RINGS] = bpf->maps.rings,
		[MAP_SHARDS] = bpf->maps.shards,
		[MAP_ENTERED_CGROUPS] = bpf->maps.entered_cgroups,
		[MAP_MARKS] = bpf->maps.marks,
	};
	uint64_t smallest = maps->about.ring_sizes[0];
	int err = 0;

	for (unsigned int i = 1; i < maps->about.shards; i++)
		if (maps->about.ring_sizes[i] < smallest)
			smallest = maps->about.ring_sizes[i];
	bpf->rodata->share_floor = smallest / SHARE_FLOOR_DIVISOR;
	bpf->rodata->rescue = maps->about.rescue;
	for (int i = 0; !err && i < MAP_COUNT; i++)
		err = capture_maps__has(maps, i) ? bpf_map__reuse_fd(shared[i], maps->fds[i]) :
						   bpf_map__set_autocreate(shared[i], false);
	bpf->rodata->shard_count = maps->shards_served;
	return err ? err : bpf_map__set_max_entries(bpf->maps.oldest_tasks,
						    CGROUPS_PER_STREAM * maps->about.max_streams);
}

static int new_programs(struct capture_programs **out)
{
	struct capture_programs *programs = calloc(1, sizeof(*programs));

	if (!programs)
		return -ENOMEM;
	programs->hooks = hooks__table(&programs->count);
	programs->places = calloc(programs->count, sizeof(*programs->places));
	if (!programs->places) {
		free(programs);
		return -ENOMEM;
	}
	for (unsigned int i = 0; i < programs->count; i++) {
		programs->places[i].next_fd = -1;
		programs->places[i].dispatcher_fd = -1;
	}
	*out = programs;
	return 0;
}

/* The program of the hook's name before, into our array. */
static int lead_back(struct capture_programs *programs, unsigned int index)
{
	const struct hook *hook = &programs->hooks[index];
	char name[NAME_SIZE];
	struct bpf_map *map;
	uint32_t zero = 0;
	int err = 0;
	int fd;

	snprintf(name, sizeof(name), "before_%s", hook->program);
	map = bpf_object__find_map_by_name(programs->bpf->obj, name);
	if (!map || !programs->places[index].program)
		return 0;
	fd = get_pinned(programs->pin, "old", hook);
	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	if (bpf_map_update_elem(bpf_map__fd(map), &zero, &fd, BPF_ANY))
		err = -errno;
	close(fd);
	return err;
}

static int use_before(struct capture_programs *programs, const struct capture_maps *before)
{
	struct capture_bpf *bpf = programs->bpf;
	int err = bpf_map__reuse_fd(bpf->maps.streams_before, before->fds[MAP_STREAMS]);

	bpf->rodata->moving = 1;
	err = err ? err : bpf_map__reuse_fd(bpf->maps.free_slots_before, before->fds[MAP_FREE_SLOTS]);
	return err ? err : bpf_map__reuse_fd(bpf->maps.entered_before, before->fds[MAP_ENTERED_CGROUPS]);
}

static int load(const struct capture_maps *maps, const struct capture_maps *before,
		const struct capture_pin *pin, struct capture_programs **out)
{
	struct capture_programs *programs = NULL;
	int err = new_programs(&programs);

	if (err)
		return err;
	programs->maps = maps;
	programs->pin = pin;
	programs->bpf = capture_bpf__open();
	err = programs->bpf ? choose_programs(programs) : -errno;
	err = err ? err : load_dispatchers(programs);
	err = err ? err : use_maps(programs);
	if (!err && before)
		err = use_before(programs, before);
	err = err ? err : capture_bpf__load(programs->bpf);
	for (unsigned int i = 0; !err && before && i < programs->count; i++)
		err = lead_back(programs, i);
	if (err) {
		capture_programs__free(programs);
		return err;
	}
	*out = programs;
	return 0;
}

int capture_programs__load(const struct capture_maps *maps, const struct capture_pin *pin,
			   struct capture_programs **out)
{
	return load(maps, NULL, pin, out);
}

int capture_programs__load_bridge(const struct capture_maps *maps, const struct capture_maps *before,
				  const struct capture_pin *pin, struct capture_programs **out)
{
	return load(maps, before, pin, out);
}

static int pin_served(const struct capture_pin *pin, const struct hook *hook)
{
	uint32_t zero = 0, id;
	int next = get_pinned(pin, "next", hook);
	int fd, err;

	if (next < 0)
		return next == -ENOENT ? 0 : next;
	err = bpf_map_lookup_elem(next, &zero, &id) ? -errno : 0;
	close(next);
	if (err)
		return err == -ENOENT ? 0 : err;
	fd = bpf_prog_get_fd_by_id(id);
	if (fd < 0)
		return -errno;
	err = put_pinned(pin, "old", hook, fd);
	close(fd);
	return err;
}

int capture_programs__pin_served(const struct capture_pin *pin)
{
	unsigned int count;
	const struct hook *hooks = hooks__table(&count);
	int err = 0;

	for (unsigned int i = 0; !err && i < count; i++)
		err = pin_served(pin, &hooks[i]);
	return err;
}

int capture_programs__unpin_served(const struct capture_pin *pin)
{
	unsigned int count;
	const struct hook *hooks = hooks__table(&count);
	char name[NAME_SIZE];
	int err = 0;

	for (unsigned int i = 0; !err && i < count; i++) {
		pin_name("old", &hooks[i], name);
		err = capture_pin__remove(pin, name);
	}
	return err;
}

void capture_programs__free(struct capture_programs *programs)
{
	if (!programs)
		return;
	for (unsigned int i = 0; i < programs->count; i++) {
		struct place *place = &programs->places[i];

		bpf_link__destroy(place->link);
		if (place->next_fd >= 0)
			close(place->next_fd);
		if (place->dispatcher_fd >= 0)
			close(place->dispatcher_fd);
	}
	dispatch_bpf__destroy(programs->dispatch);
	capture_bpf__destroy(programs->bpf);
	free(programs->places);
	free(programs);
}

struct capture_settings *capture_programs__settings(const struct capture_programs *programs)
{
	return &programs->bpf->data_settings->settings;
}

void capture_programs__set_globs(const struct capture_programs *programs, const struct capture_config *config)
{
	struct capture_settings *settings = capture_programs__settings(programs);
	uint32_t other = !settings->patterns_now;
	struct name_patterns *patterns = &settings->patterns[other];

	for (unsigned int i = 0; i < config->files_count; i++)
		patterns->pattern[i] = path_glob__name_pattern(config->files[i]);
	patterns->count = config->files_count;
	__atomic_store_n(&settings->patterns_now, other, __ATOMIC_RELEASE);
}

struct capture_state *capture_programs__state(const struct capture_programs *programs)
{
	return &programs->bpf->data_state->state;
}

uint32_t *capture_programs__filter(const struct capture_programs *programs)
{
	return programs->bpf->bss->filter;
}

static bool is_attached(const struct place *place)
{
	return place->link || (place->next_fd >= 0 && !place->dispatcher);
}

static bool is_served(const struct place *place)
{
	uint32_t zero = 0, id;

	return is_attached(place) && !bpf_map_lookup_elem(place->next_fd, &zero, &id);
}

bool capture_programs__is_off(const struct capture_programs *programs, enum hook_group group)
{
	for (unsigned int i = 0; i < programs->count; i++)
		if (programs->hooks[i].group == group && programs->places[i].program &&
		    !is_served(&programs->places[i]))
			return true;
	return false;
}

static int attach(struct capture_programs *programs, unsigned int index)
{
	const struct capture_pin *pin = programs->pin;
	const struct hook *hook = &programs->hooks[index];
	struct place *place = &programs->places[index];
	int err;

	place->link = bpf_program__attach(place->dispatcher);
	if (!place->link)
		return -errno;
	if (!pin)
		return 0;
	err = put_pinned(pin, "next", hook, place->next_fd);
	err = err ? err : put_pinned(pin, "prog", hook, bpf_program__fd(place->dispatcher));
	return err ? err : put_pinned(pin, "link", hook, bpf_link__fd(place->link));
}

static int serve(struct capture_programs *programs, unsigned int index)
{
	const struct place *place = &programs->places[index];
	int fd = bpf_program__fd(place->program);
	uint32_t zero = 0;

	if (bpf_map_update_elem(place->next_fd, &zero, &fd, BPF_ANY))
		return -errno;
	return is_attached(place) ? 0 : attach(programs, index);
}

int capture_programs__switch_on(struct capture_programs *programs, enum hook_group group)
{
	int err = 0;

	for (unsigned int i = 0; !err && i < programs->count; i++)
		if (programs->hooks[i].group == group && programs->places[i].program)
			err = serve(programs, i);
	return err;
}

static bool finds_streams(enum hook_group group)
{
	return group == HOOK_EXEC || group == HOOK_FILE_OPEN;
}

int capture_programs__switch_over(struct capture_programs *programs)
{
	int err = 0;

	for (int opens = 0; opens < 2; opens++)
		for (unsigned int i = 0; !err && i < programs->count; i++)
			if (programs->places[i].program && is_served(&programs->places[i]) &&
			    finds_streams(programs->hooks[i].group) == opens)
				err = serve(programs, i);
	return err;
}

void capture_programs__switch_off(struct capture_programs *programs, enum hook_group group)
{
	uint32_t zero = 0;

	for (unsigned int i = 0; i < programs->count; i++)
		if (programs->hooks[i].group == group && programs->places[i].next_fd >= 0)
			bpf_map_delete_elem(programs->places[i].next_fd, &zero);
}

void capture_programs__switch_off_pinned(const struct capture_pin *pin)
{
	unsigned int count;
	const struct hook *hooks = hooks__table(&count);
	uint32_t zero = 0;

	for (unsigned int i = 0; i < count; i++) {
		int fd = get_pinned(pin, "next", &hooks[i]);

		if (fd < 0)
			continue;
		bpf_map_delete_elem(fd, &zero);
		close(fd);
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

int capture_programs__census_tasks(struct capture_programs *programs)
{
	return iterate(programs->bpf->progs.census_tasks);
}

int capture_programs__census_files(struct capture_programs *programs)
{
	return iterate(programs->bpf->progs.census_files);
}

int capture_programs__withdraw(const struct capture_programs *programs, uint64_t inode, uint32_t slot,
			       uint32_t generation)
{
	const uint64_t arguments[] = { inode, slot, generation };
	LIBBPF_OPTS(bpf_test_run_opts, options, .ctx_in = arguments, .ctx_size_in = sizeof(arguments));

	return bpf_prog_test_run_opts(bpf_program__fd(programs->bpf->progs.withdraw_stream), &options);
}

bool capture_programs__covers(const struct capture_programs *programs, uint64_t magic)
{
	/* Loaded is enough: streams are found before the write hooks are attached. */
	for (unsigned int i = 0; i < programs->count; i++)
		for (int m = 0; m < HOOK_MAGICS; m++)
			if (programs->hooks[i].magics[m] == magic && programs->places[i].program)
				return true;
	return false;
}

static uint64_t skipped(const struct place *place)
{
	struct bpf_prog_info info = { 0 };
	uint32_t size = sizeof(info);
	int fd = place->dispatcher ? bpf_program__fd(place->dispatcher) : place->dispatcher_fd;

	return fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &size) ? 0 : info.recursion_misses;
}

/* A write's; NULL: there is none. */
static const struct place *rescue_of(const struct capture_programs *programs, const struct hook *hook)
{
	if (!(HOOK_WRITES >> hook->group & 1))
		return NULL;
	for (unsigned int i = 0; i < programs->count; i++)
		if (hook_group_is_rescue(programs->hooks[i].group) && programs->places[i].program &&
		    strcmp(programs->hooks[i].function, hook->function) == 0)
			return &programs->places[i];
	return NULL;
}

/*
 * What both programs of a write were skipped for, at most: that a rescue was skipped does not matter
 * where the first program was not.
 */
static uint64_t missed_rescued(const struct capture_programs *programs)
{
	const struct capture_state *state = capture_programs__state(programs);
	uint64_t seconds = 0, both = __atomic_load_n(&state->left, __ATOMIC_RELAXED);
	uint64_t needless = __atomic_load_n(&state->needless, __ATOMIC_RELAXED);

	for (unsigned int i = 0; i < programs->count; i++) {
		const struct place *rescue = rescue_of(programs, &programs->hooks[i]);
		uint64_t first, second;

		if (!rescue)
			continue;
		first = skipped(&programs->places[i]);
		second = skipped(rescue);
		both += first < second ? first : second;
		seconds += second;
	}
	seconds -= needless < seconds ? needless : seconds;
	return both < seconds ? both : seconds;
}

uint64_t capture_programs__missed(const struct capture_programs *programs, uint32_t groups)
{
	uint64_t sum = groups & HOOK_WRITES ? missed_rescued(programs) : 0;

	for (unsigned int i = 0; i < programs->count; i++)
		if ((groups >> programs->hooks[i].group & 1) && !hook_group_is_rescue(programs->hooks[i].group) &&
		    !rescue_of(programs, &programs->hooks[i]))
			sum += skipped(&programs->places[i]);
	return sum;
}
