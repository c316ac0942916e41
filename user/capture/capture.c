#include "capture.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/config.h"
#include "base/log.h"
#include "capture_maps.h"
#include "capture_marks.h"
#include "capture_move.h"
#include "capture_pin.h"
#include "capture_programs.h"
#include "capture_rings.h"
#include "capture_slots.h"
#include "identity/processes.h"
#include "preemption.h"

struct capture {
	const struct config *config;
	struct capture_pin *pin;     /* NULL: capture ends with this process */
	bool adopted;
	bool unfinished;             /* what is pinned is ours and not yet whole */
	struct capture_maps maps;
	struct capture_programs *programs;
	char *slots;
	size_t slot_size;            /* bytes from one to the next */
	struct shard_state *shards;
	uint64_t *marks;             /* NULL: writes have no rescues */
	uint64_t unregistered;       /* at the latest census */
	struct capture_missed missed_before; /* told by agents before */
	uint64_t missed_opens;       /* at the latest census */
	uint64_t withdrawn;          /* streams; by their shards */
	uint64_t graced;             /* of these, those whose last writes are over */
};

/* In the order in which they are attached; writes last, behind their rescues. */
static const enum hook_group groups[] = {
	HOOK_PIPE_CLOSE, HOOK_FILE_CLOSE, HOOK_INODE_FREE, HOOK_CGROUP,
	HOOK_EXEC,	 HOOK_FILE_OPEN,  HOOK_PIPE_RESCUE, HOOK_FILE_RESCUE,
	HOOK_PIPE_WRITE, HOOK_FILE_WRITE,
};

#define GROUPS (sizeof(groups) / sizeof(groups[0]))

/*
 * libbpf's own words, the verifier's log among them, are for who debugs logtap; users get doctor's.
 */
static int print_libbpf(enum libbpf_print_level level, const char *format, va_list args)
{
	if (level == LIBBPF_DEBUG || !log_enabled(LOG_LEVEL_DEBUG))
		return 0;
	return vfprintf(stderr, format, args);
}

static bool is_write(enum hook_group group)
{
	return group == HOOK_PIPE_WRITE || group == HOOK_FILE_WRITE || hook_group_is_rescue(group);
}

static bool is_wanted(const struct config *config, enum hook_group group)
{
	switch (group) {
	case HOOK_FILE_OPEN:
	case HOOK_FILE_CLOSE:
	case HOOK_FILE_WRITE:
	case HOOK_FILE_RESCUE:
		return config->capture.files_count;
	case HOOK_EXEC:
	case HOOK_PIPE_WRITE:
	case HOOK_PIPE_RESCUE:
	case HOOK_PIPE_CLOSE:
		return config->capture.containers;
	default:
		return true;
	}
}

static int say_busy(const char *directory, pid_t holder)
{
	char who[64] = "another process";

	if (holder)
		snprintf(who, sizeof(who), "process %d", (int)holder);
	log_error("another logtap runs: %s holds %s (capture.pin); stop it first",
		  who, directory);
	return -EALREADY;
}

/* Where pinning cannot be had, capture works without. */
static int open_pin(struct capture *capture)
{
	const char *directory = capture->config->capture.pin;
	pid_t holder;
	int err;

	if (!directory[0])
		return 0;
	err = capture_pin__open(directory, true, &holder, &capture->pin);
	if (err == -EBUSY)
		return say_busy(directory, holder);
	if (err == -ENOTSUP)
		log_warn("%s (capture.pin) is not on a bpffs: capture ends when logtap ends, and what is written until it runs again is not seen; mount -t bpf bpf /sys/fs/bpf, or set capture.pin to \"\"",
			 directory);
	else if (err)
		log_warn("%s (capture.pin) cannot be used: %s: capture ends when logtap ends", directory,
			 strerror(-err));
	return 0;
}

static int say_foreign(const struct capture *capture)
{
	const struct capture_about *about = &capture->maps.about;

	log_error("%s was pinned by logtap %s in a way that this logtap does not know (layout %u, slots of %u bytes; known: %d and %d, %zu): run that version, or let it drain and then `logtap detach`",
		  capture->config->capture.pin, about->version[0] ? about->version : "of another version",
		  about->layout, about->slot_size, CAPTURE_LAYOUT, CAPTURE_LAYOUT_RESCUE,
		  sizeof(struct stream_slot));
	return -EALREADY;
}

/* What is kept although the configuration says otherwise. */
static void say_kept(const struct capture *capture)
{
	const struct capture_about *about = &capture->maps.about;
	const struct capture_config *config = &capture->config->capture;

	if (about->shards != config->shards)
		log_warn("capture has %u rings, not yet capture.shards %u: when the streams on the others have ended, a restart of logtap changes it",
			 about->shards, config->shards);
	for (unsigned int i = 0; i < about->shards; i++)
		if (about->ring_sizes[i] != config->ring_size)
			log_warn("ring %u has %" PRIu64 " bytes, not yet capture.ring_size %" PRIu64 ": a restart of logtap changes it",
				 i, (uint64_t)about->ring_sizes[i], config->ring_size);
	if (about->max_streams != config->max_streams)
		log_warn("capture has room for %u streams, not yet capture.max_streams %u: a restart of logtap changes it, unless streams are in the slots that would go",
			 about->max_streams, config->max_streams);
	if (!about->rescue && preemption__possible())
		log_warn("an earlier version of logtap has pinned capture: writes have no rescue, and this kernel, which preempts itself, may skip some (hooks_missed_writes); `logtap detach` and a start bring it, without what is written in between");
}

static int make_maps(struct capture *capture)
{
	int err = capture_maps__make(&capture->config->capture, preemption__possible(), &capture->maps);

	if (err || !capture->pin)
		return err;
	/* What is there is of an attach that did not end. */
	capture->unfinished = true;
	err = capture_pin__clear(capture->pin);
	return err ? err : capture_maps__pin(&capture->maps, capture->pin);
}

static int open_maps(struct capture *capture)
{
	int err = capture->pin ? capture_maps__adopt(capture->pin, &capture->maps) : -ENOENT;

	if (err == -EPROTO)
		return say_foreign(capture);
	if (!err) {
		capture->adopted = true;
		return capture_move__follow(&capture->maps, capture->pin, capture->config);
	}
	if (err == -ENODATA)
		log_warn("%s is damaged, something in it was removed: what its rings held is lost, and capture is made anew",
			 capture->config->capture.pin);
	else if (err != -ENOENT)
		return err;
	capture_maps__close(&capture->maps);
	return make_maps(capture);
}

static int view_maps(struct capture *capture)
{
	const struct capture_maps *maps = &capture->maps;
	int err;

	capture->slot_size = (maps->about.slot_size + 7) & ~7UL;
	err = capture_maps__view(maps->fds[MAP_SLOTS], capture->slot_size * maps->about.max_streams,
				 (void **)&capture->slots);
	if (!err && capture_maps__has(maps, MAP_MARKS))
		err = capture_maps__view(maps->fds[MAP_MARKS], MARKS * sizeof(*capture->marks),
					 (void **)&capture->marks);
	return err ? err : capture_maps__view(maps->fds[MAP_SHARDS],
					      SHARDS_MAX * sizeof(struct shard_state),
					      (void **)&capture->shards);
}

static int repair_slots(struct capture *capture)
{
	int given = capture->adopted ? capture_slots__repair(&capture->maps, capture->slots) : 0;

	if (given > 0)
		log_info("%d stream slots that a killed logtap held are free again", given);
	return given < 0 ? given : 0;
}

static int follow_sizes(struct capture *capture)
{
	int err;

	if (!capture->adopted)
		return 0;
	err = capture_rings__follow(&capture->maps, capture->pin, &capture->config->capture, capture->slots);
	if (!err)
		say_kept(capture);
	return err;
}

int capture__open(const struct config *config, struct capture **out)
{
	struct capture *capture = calloc(1, sizeof(*capture));
	int err;

	if (!capture)
		return -ENOMEM;
	capture->config = config;
	capture_maps__clear(&capture->maps);
	libbpf_set_print(print_libbpf);
	err = open_pin(capture);
	err = err ? err : open_maps(capture);
	err = err ? err : view_maps(capture);
	err = err ? err : repair_slots(capture);
	err = err ? err : follow_sizes(capture);
	err = err ? err : capture_programs__load(&capture->maps, capture->pin, &capture->programs);
	if (err) {
		capture__close(capture);
		return err;
	}
	capture_programs__set_globs(capture->programs, &capture->config->capture);
	capture->missed_before = (struct capture_missed){
		.hooks = capture_programs__state(capture->programs)->missed,
		.writes = capture_programs__state(capture->programs)->missed_writes,
		.rescued = capture_programs__state(capture->programs)->rescued,
	};
	*out = capture;
	return 0;
}

static uint64_t missed_opens(const struct capture *capture)
{
	return capture_programs__missed(capture->programs, 1 << HOOK_FILE_OPEN);
}

static int take_census(struct capture *capture, enum census_containers containers)
{
	int err;

	capture_programs__settings(capture->programs)->census_containers = containers;
	err = capture_programs__census_tasks(capture->programs);
	/* Only a census of all there is deals with what was refused, also while no agent ran. */
	if (containers == CENSUS_ALL || !capture->config->capture.containers)
		capture->unregistered = capture__unregistered(capture);
	capture->missed_opens = missed_opens(capture);
	return err ? err : capture_programs__census_files(capture->programs);
}

/* True when hooks are to be attached that were not: streams may have been opened unseen. */
static bool is_widened(const struct capture *capture)
{
	for (size_t i = 0; i < GROUPS; i++)
		if (is_wanted(capture->config, groups[i]) &&
		    capture_programs__is_off(capture->programs, groups[i]))
			return true;
	return false;
}

static int switch_groups(struct capture *capture, bool writes)
{
	int err = 0;

	for (size_t i = 0; !err && i < GROUPS; i++) {
		if (is_write(groups[i]) != writes)
			continue;
		if (is_wanted(capture->config, groups[i]))
			err = capture_programs__switch_on(capture->programs, groups[i]);
		else
			capture_programs__switch_off(capture->programs, groups[i]);
	}
	return err;
}

/*
 * Where the hooks are not new, the pipes are known of all containers that have begun, but for those that were withdrawn.
 * Looking for others would only find those of containers that have not begun, and mark them as found in mid-line.
 */
static enum census_containers which_containers(const struct capture *capture, bool withdrawn)
{
	if (!capture->config->capture.containers)
		return CENSUS_NONE;
	if (capture_programs__is_off(capture->programs, HOOK_EXEC) ||
	    capture_programs__is_off(capture->programs, HOOK_PIPE_WRITE))
		return CENSUS_ALL;
	return withdrawn ? CENSUS_BEGUN : CENSUS_NONE;
}

/*
 * Where hooks are new, streams are marked as found in mid-line until all of them are there.
 * `withdrawn`: streams that were withdrawn may be wanted now.
 */
static int attach(struct capture *capture, bool withdrawn)
{
	struct capture_state *state = capture_programs__state(capture->programs);
	enum census_containers containers = which_containers(capture, withdrawn);
	int err;

	if (is_widened(capture))
		__atomic_store_n(&state->capturing, 0, __ATOMIC_RELEASE);
	/* Tasks first: the open hooks need to know init's mount namespace. */
	capture_programs__settings(capture->programs)->census_containers = containers;
	err = capture_programs__census_tasks(capture->programs);
	if (!err && state->pid_namespace && !processes__have_runtime()) {
		log_error("the host's processes cannot be seen from this pid namespace, and no container runtime runs in it: "
			  "run logtap in the host's (in Kubernetes: hostPID: true)");
		err = -ESRCH;
	}
	err = err ? err : switch_groups(capture, false);
	err = err ? err : take_census(capture, containers);
	err = err ? err : switch_groups(capture, true);
	if (err)
		return err;
	__atomic_store_n(&state->capturing, 1, __ATOMIC_RELEASE);
	err = capture->pin ? capture_maps__finish(&capture->maps) : 0;
	capture->unfinished &= err != 0;
	return err;
}

/* What the agent before has withdrawn, by a selection of its own, may be wanted by ours. */
int capture__attach(struct capture *capture)
{
	return attach(capture, true);
}

int capture__reload(struct capture *capture, const struct config *config, bool selects_anew)
{
	capture->config = config;
	capture_programs__set_globs(capture->programs, &capture->config->capture);
	say_kept(capture);
	return attach(capture, selects_anew);
}

int capture__find_withdrawn(struct capture *capture)
{
	return take_census(capture, CENSUS_BEGUN);
}

/*
 * Rescues go after their writes. What follows the ends of streams stays until what is pinned goes: killed before that, the next
 * agent would find streams whose inodes have gone, and miss the new ones that have their memory.
 */
void capture__stop(struct capture *capture)
{
	int err;

	if (!capture->programs)
		return;
	for (size_t i = GROUPS; i-- > 0;)
		if (is_write(groups[i]) || groups[i] == HOOK_EXEC || groups[i] == HOOK_FILE_OPEN)
			capture_programs__switch_off(capture->programs, groups[i]);
	err = capture_maps__wait(&capture->maps);
	if (err)
		log_error("capture may not quite have ended: %s", strerror(-err));
}

void capture__detach(struct capture *capture)
{
	int err = capture->pin ? capture_pin__destroy(capture->pin) : 0;

	capture->unfinished = false;
	if (err)
		log_error("%s is not quite removed: %s", capture->config->capture.pin, strerror(-err));
}

static void leave_state(struct capture *capture)
{
	struct capture_state *state = capture_programs__state(capture->programs);

	state->missed = capture_programs__missed(capture->programs, UINT32_MAX);
	state->missed_writes = capture__missed_writes(capture);
	__atomic_store_n(&state->agent_tgid, 0, __ATOMIC_RELEASE);
}

void capture__close(struct capture *capture)
{
	if (!capture)
		return;
	if (capture->unfinished) {
		capture__stop(capture);
		capture__detach(capture);
	}
	if (capture->programs)
		leave_state(capture);
	capture_programs__free(capture->programs);
	if (capture->slots)
		munmap(capture->slots, capture->slot_size * capture->maps.about.max_streams);
	if (capture->marks)
		munmap(capture->marks, MARKS * sizeof(*capture->marks));
	if (capture->shards)
		munmap(capture->shards, SHARDS_MAX * sizeof(struct shard_state));
	capture_maps__close(&capture->maps);
	capture_pin__close(capture->pin);
	free(capture);
}

bool capture__pinned(const struct capture *capture)
{
	return capture->pin;
}

uint64_t capture__unregistered(const struct capture *capture)
{
	return __atomic_load_n(&capture_programs__state(capture->programs)->unregistered,
			       __ATOMIC_RELAXED);
}

static uint64_t beyond(uint64_t now, uint64_t before)
{
	return now > before ? now - before : 0;
}

uint64_t capture__tell_unregistered(struct capture *capture)
{
	struct capture_state *state = capture_programs__state(capture->programs);
	uint64_t now = capture__unregistered(capture), told = state->unregistered_told;

	state->unregistered_told = now;
	return beyond(now, told);
}

struct capture_missed capture__missed(const struct capture *capture)
{
	const struct capture_missed *before = &capture->missed_before;
	const struct capture_state *state = capture_programs__state(capture->programs);

	return (struct capture_missed){
		.hooks = beyond(capture_programs__missed(capture->programs, UINT32_MAX), before->hooks),
		.writes = beyond(capture__missed_writes(capture), before->writes),
		.rescued = __atomic_load_n(&state->rescued, __ATOMIC_RELAXED) - before->rescued,
	};
}

uint64_t capture__missed_writes(const struct capture *capture)
{
	return capture_programs__missed(capture->programs, HOOK_WRITES);
}

struct missed_told *capture__missed_told(const struct capture *capture)
{
	return &capture_programs__state(capture->programs)->missed_told;
}

static void sweep_marks(struct capture *capture)
{
	struct capture_state *state = capture_programs__state(capture->programs);

	if (capture->marks)
		__atomic_fetch_add(&state->needless, capture_marks__sweep(capture->marks), __ATOMIC_RELAXED);
}

void capture__retry_census(struct capture *capture)
{
	sweep_marks(capture);
	if (capture__unregistered(capture) == capture->unregistered &&
	    missed_opens(capture) == capture->missed_opens)
		return;
	if (take_census(capture, capture->config->capture.containers ? CENSUS_ALL : CENSUS_NONE))
		log_warn("streams that found no room, or whose open was not seen, are still not captured: the census failed; it will be tried again");
}

int capture__ring_fd(const struct capture *capture, unsigned int shard)
{
	return capture->maps.rings[shard];
}

struct shard_state *capture__shard_state(const struct capture *capture, unsigned int shard)
{
	return &capture->shards[shard];
}

struct stream_slot *capture__slot(const struct capture *capture, uint32_t slot)
{
	return capture_maps__slot(&capture->maps, capture->slots, slot);
}

int capture__open_ring(const struct capture *capture, unsigned int shard, struct ring **out)
{
	return capture_rings__open(&capture->maps, shard, out);
}

void capture__forget_drained(struct capture *capture)
{
	if (capture->pin)
		capture_rings__forget_drained(&capture->maps, capture->pin);
}

uint64_t capture__epoch(const struct capture *capture)
{
	return capture->maps.about.epoch;
}

bool capture__adopted(const struct capture *capture)
{
	return capture->adopted;
}

unsigned int capture__shards(const struct capture *capture)
{
	return capture->maps.about.shards;
}

uint64_t capture__ring_size(const struct capture *capture, unsigned int shard)
{
	return capture->maps.about.ring_sizes[shard];
}

unsigned int capture__max_streams(const struct capture *capture)
{
	return capture->maps.about.max_streams;
}

bool capture__covers(const struct capture *capture, uint64_t magic)
{
	return capture_programs__covers(capture->programs, magic);
}

uint64_t capture__withdraw(struct capture *capture, uint32_t slot)
{
	const struct stream_slot *s = capture__slot(capture, slot);
	int err = capture_programs__withdraw(capture->programs, s->inode, slot, s->generation);

	if (err)
		log_error("stream slot %u cannot be withdrawn: %s", slot, strerror(-err));
	return __atomic_add_fetch(&capture->withdrawn, 1, __ATOMIC_SEQ_CST);
}

bool capture__grace_is_over(const struct capture *capture, uint64_t grace)
{
	return __atomic_load_n(&capture->graced, __ATOMIC_ACQUIRE) >= grace;
}

void capture__wait_withdrawn(struct capture *capture)
{
	uint64_t withdrawn = __atomic_load_n(&capture->withdrawn, __ATOMIC_SEQ_CST);

	if (withdrawn != capture->graced && !capture_maps__wait(&capture->maps))
		__atomic_store_n(&capture->graced, withdrawn, __ATOMIC_RELEASE);
}

/*
 * Whenever it is killed in here, the slot is at most once in the queue: it gets there last, and what
 * is free already is not given back again. Killed before the last step it is free, but nobody's: the
 * next agent's capture_slots__repair finds it.
 */
void capture__free_slot(struct capture *capture, uint32_t slot)
{
	struct stream_slot *s = capture__slot(capture, slot);

	if (s->state == SLOT_FREE)
		return;
	s->lost_bytes = 0;
	s->lost_writes = 0;
	memset(s->lost_bytes_by, 0, sizeof(s->lost_bytes_by));
	memset(s->lost_writes_by, 0, sizeof(s->lost_writes_by));
	memset(s->writers, 0, sizeof(s->writers));
	s->inode = 0;
	s->ino = 0;
	__atomic_store_n(&s->state, SLOT_FREE, __ATOMIC_RELEASE);
	/* The queue holds as many as there are slots. */
	if (bpf_map_update_elem(capture->maps.fds[MAP_FREE_SLOTS], NULL, &slot, BPF_ANY))
		log_error("stream slot %u could not be given back: %s", slot, strerror(errno));
}
