#include "capture_move.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <bpf/bpf.h>

#include "base/config.h"
#include "base/log.h"
#include "capture_maps.h"
#include "capture_pin.h"
#include "capture_programs.h"

/*
 * How it goes. Programs of ours, the bridge, are put in the place of those before. A stream that is in the
 * new maps is the bridge's; what it does not find there it leaves to the program before. So each
 * write is seen by exactly one of the two, whichever map its stream is in. Streams move into the new map
 * first, and out of the old one when nobody is between the two looks any more. New streams open in the new maps, except
 * those that are in the old ones. Each map's entry counts for itself in the filter. Slots that are
 * free before stay where the programs before find them until those have ended; the bridge takes them
 * from there, too, so that both find one as long as there is one.
 */
struct move {
	const struct capture_pin *pin;
	const struct config *config;
	struct capture_maps *from;
	struct capture_maps to;
	bool resumed;                /* it was begun by a logtap that was killed */
	char *from_slots;
	char *to_slots;
	struct stream_slot *copied;  /* by slot: as they were when they were copied; generation 0: were not */
	bool *added;                 /* by slot: it is on its way from one map of streams to the other */
	struct capture_programs *bridge;
};

static struct stream_slot *from_slot(const struct move *move, uint32_t i)
{
	return capture_maps__slot(move->from, move->from_slots, i);
}

static struct stream_slot *to_slot(const struct move *move, uint32_t i)
{
	return capture_maps__slot(&move->to, move->to_slots, i);
}

static uint32_t state_of(const struct stream_slot *slot)
{
	return __atomic_load_n(&slot->state, __ATOMIC_ACQUIRE);
}

static size_t slots_bytes(const struct capture_maps *maps)
{
	return (size_t)maps->about.max_streams * ((maps->about.slot_size + 7) & ~7UL);
}

static int view(const struct capture_maps *maps, char **slots)
{
	return capture_maps__view(maps->fds[MAP_SLOTS], slots_bytes(maps), (void **)slots);
}

static uint32_t common_slots(const struct move *move)
{
	uint32_t from = move->from->about.max_streams, to = move->to.about.max_streams;

	return from < to ? from : to;
}

/*
 * The generations of free slots go on, whoever takes them. The bridge may have taken one already,
 * after a kill: then it is ahead.
 */
static void carry_generations(struct move *move)
{
	for (uint32_t i = 0; i < common_slots(move); i++) {
		struct stream_slot *to = to_slot(move, i);
		uint32_t generation = from_slot(move, i)->generation;

		if (state_of(to) == SLOT_FREE && to->generation < generation)
			to->generation = generation;
	}
}

/*
 * All free slots, when the programs before take none any more. Whoever looks into both queues meanwhile
 * misses one at most, which is between them. Those that are no more there stay behind.
 */
static int hand_slots(struct move *move)
{
	uint32_t slot;

	for (uint32_t i = 0; i < move->from->about.max_streams; i++) {
		if (bpf_map_lookup_and_delete_elem(move->from->fds[MAP_FREE_SLOTS], NULL, &slot))
			return errno == ENOENT ? 0 : -errno;
		if (slot >= move->from->about.max_streams || slot >= move->to.about.max_streams)
			continue;
		if (bpf_map_update_elem(move->to.fds[MAP_FREE_SLOTS], NULL, &slot, BPF_ANY))
			return -errno;
	}
	return 0;
}

/*
 * Slots that go may come again, in other maps: no stream in them may look like one that was, for the
 * checkpoints still know those.
 */
static void note_generations(struct move *move)
{
	uint32_t *base = &move->to.about.generation_base;

	for (uint32_t i = 0; i < move->from->about.max_streams; i++)
		if (from_slot(move, i)->generation > *base)
			*base = from_slot(move, i)->generation;
}

/*
 * Slots that only the new maps have. Whatever of them a kill leaves out of the queue is found by
 * capture_slots__repair.
 */
static int add_slots(struct move *move)
{
	for (uint32_t i = move->from->about.max_streams; i < move->to.about.max_streams; i++) {
		to_slot(move, i)->generation = move->to.about.generation_base;
		if (bpf_map_update_elem(move->to.fds[MAP_FREE_SLOTS], NULL, &i, BPF_ANY))
			return -errno;
	}
	return 0;
}

static int give_all(const struct move *move, const uint32_t *slots, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (bpf_map_update_elem(move->from->fds[MAP_FREE_SLOTS], NULL, &slots[i], BPF_ANY))
			return -errno;
	return 0;
}

/* Takes the free slots from `streams` on out of the queue. Their number or -errno. */
static int take_upper(const struct move *move, uint32_t streams, uint32_t *taken)
{
	int fd = move->from->fds[MAP_FREE_SLOTS];
	uint32_t count = 0, slot;

	for (uint32_t i = 0; i < move->from->about.max_streams; i++) {
		if (bpf_map_lookup_and_delete_elem(fd, NULL, &slot))
			return errno == ENOENT ? (int)count : -errno;
		if (slot >= streams)
			taken[count++] = slot;
		else if (bpf_map_update_elem(fd, NULL, &slot, BPF_ANY))
			return -errno;
	}
	return count;
}

/* 0 when no stream is in, or comes to, the slots from `streams` on; -EBUSY or -errno. */
static int clear_upper(const struct move *move, uint32_t streams)
{
	uint32_t *taken = calloc(move->from->about.max_streams, sizeof(*taken));
	int count = taken ? take_upper(move, streams, taken) : -ENOMEM;
	int err = count < 0 ? count : capture_maps__wait(move->from);

	for (uint32_t i = streams; !err && i < move->from->about.max_streams; i++)
		if (state_of(from_slot(move, i)) != SLOT_FREE)
			err = -EBUSY;
	if (err && count > 0)
		give_all(move, taken, count);
	free(taken);
	return err;
}

/* How many slots there are to be. 0 or -errno. */
static int choose_streams(const struct move *move, uint32_t *streams)
{
	uint32_t present = move->from->about.max_streams;
	int err;

	*streams = move->config->capture.max_streams;
	if (*streams >= present)
		return 0;
	err = clear_upper(move, *streams);
	if (err == -EBUSY)
		*streams = present;
	return err == -EBUSY ? 0 : err;
}

static bool fits(const struct move *move, uint32_t streams)
{
	return move->from->about.slot_size >= sizeof(struct stream_slot) &&
	       move->from->about.max_streams == streams;
}

/* Goes on with what a killed logtap has begun. 1, -ENOENT when there is nothing, or -errno. */
static int resume(struct move *move)
{
	int err = capture_maps__adopt_next(move->from, move->pin, &move->to);

	if (err)
		return err;
	if (move->to.about.slot_size < sizeof(struct stream_slot))
		return -EPROTO;
	move->resumed = true;
	note_generations(move);
	err = view(&move->to, &move->to_slots);
	return err ? err : 1;
}

static int make_next(struct move *move, uint32_t streams)
{
	int err = capture_maps__make_next(move->from, streams, &move->to);

	err = err ? err : view(&move->to, &move->to_slots);
	if (err)
		return err;
	note_generations(move);
	err = add_slots(move);
	err = err ? err : capture_programs__pin_served(move->pin);
	err = err ? err : capture_maps__pin_next(&move->to, move->pin);
	return err ? err : 1;
}

/* What a move leaves when it is killed before it begins, or behind its end. */
static int clean(const struct move *move)
{
	int err = capture_maps__unpin_next(move->pin);

	return err ? err : capture_programs__unpin_served(move->pin);
}

/* 1 when there is something to move, else 0 or -errno. */
static int begin(struct move *move)
{
	uint32_t streams = move->config->capture.max_streams;
	int err = resume(move);

	if (err != -ENOENT)
		return err;
	capture_maps__close(&move->to);
	err = clean(move);
	if (err || fits(move, streams))
		return err;
	err = choose_streams(move, &streams);
	if (err || fits(move, streams))
		return err;
	return make_next(move, streams);
}

/* 0 also where the slot was copied before a kill. */
static void copy_slot(struct move *move, uint32_t i)
{
	uint32_t from_size = move->from->about.slot_size, to_size = move->to.about.slot_size;
	const struct stream_slot *from = from_slot(move, i);
	struct stream_slot *to = to_slot(move, i);
	uint32_t state = state_of(from);

	if (state_of(to) != SLOT_FREE && to->generation == from->generation)
		return;
	memcpy(&move->copied[i], from, SLOT_SIZE_MIN);
	memcpy(to, from, from_size < to_size ? from_size : to_size);
	__atomic_store_n(&to->state, state, __ATOMIC_RELEASE);
}

static void uncount(const struct move *move, uint64_t ino)
{
	__atomic_fetch_sub(&capture_programs__filter(move->bridge)[filter_index(ino)], 1, __ATOMIC_SEQ_CST);
}

/* Out of one of the two maps, unless a program was faster. */
static void remove_stream(const struct move *move, const struct capture_maps *maps, const struct stream_slot *slot)
{
	struct stream_key key = { .inode = slot->inode };

	if (!bpf_map_delete_elem(maps->fds[MAP_STREAMS], &key))
		uncount(move, slot->ino);
}

static bool holds(const struct capture_maps *maps, const struct stream_slot *slot, uint32_t i)
{
	struct stream_key key = { .inode = slot->inode };
	struct stream_value value;

	return !bpf_map_lookup_elem(maps->fds[MAP_STREAMS], &key, &value) && value.slot == i &&
	       value.generation == slot->generation;
}

/* A stream that is in the old map of streams, into the new one: what is not is withdrawn or closed. */
static int add_stream(struct move *move, uint32_t i)
{
	struct stream_slot *slot = to_slot(move, i);
	struct stream_value value = { .slot = i, .generation = slot->generation };
	struct stream_key key = { .inode = slot->inode };
	uint32_t *filter = capture_programs__filter(move->bridge);

	if (!holds(move->from, slot, i))
		return 0;
	move->added[i] = true;
	__atomic_fetch_add(&filter[filter_index(slot->ino)], 1, __ATOMIC_SEQ_CST);
	if (!bpf_map_update_elem(move->to.fds[MAP_STREAMS], &key, &value, BPF_NOEXIST))
		return 0;
	uncount(move, slot->ino);
	if (errno != EEXIST)
		return -errno;
	/* It was opened in both worlds at the same moment: the new one has it. */
	if (!holds(&move->to, slot, i))
		__atomic_store_n(&slot->state, SLOT_CLOSED, __ATOMIC_RELEASE);
	return 0;
}

static int add_streams(struct move *move)
{
	int err = 0;

	for (uint32_t i = 0; !err && i < common_slots(move); i++) {
		if (state_of(from_slot(move, i)) == SLOT_FREE)
			continue;
		copy_slot(move, i);
		err = add_stream(move, i);
	}
	return err;
}

/* Out of the old map, and out of the new one where a program before has closed it meanwhile. */
static void leave_old(struct move *move, uint32_t i)
{
	struct stream_slot *slot = to_slot(move, i);

	if (!move->added[i])
		return;
	remove_stream(move, move->from, slot);
	if (state_of(from_slot(move, i)) != SLOT_CLOSED || !holds(&move->to, slot, i))
		return;
	remove_stream(move, &move->to, slot);
	__atomic_store_n(&slot->state, SLOT_CLOSED, __ATOMIC_RELEASE);
}

static void add(__u64 *to, __u64 now, __u64 then)
{
	if (now != then)
		__atomic_fetch_add(to, now - then, __ATOMIC_SEQ_CST);
}

/* What the programs before have still told of a stream while it moved; none of them runs any more. */
static void bring_rest(struct move *move, uint32_t i)
{
	const struct stream_slot *from = from_slot(move, i), *then = &move->copied[i];
	struct stream_slot *to = to_slot(move, i);

	if (!then->generation || to->generation != from->generation)
		return;
	for (int reason = 0; reason < LOSS_COUNT; reason++) {
		add(&to->lost_bytes_by[reason], from->lost_bytes_by[reason], then->lost_bytes_by[reason]);
		add(&to->lost_writes_by[reason], from->lost_writes_by[reason], then->lost_writes_by[reason]);
	}
	add(&to->lost_bytes, from->lost_bytes, then->lost_bytes);
	add(&to->lost_writes, from->lost_writes, then->lost_writes);
	add(&to->sent, from->sent, then->sent);
	if (from->eof)
		to->eof = 1;
	if (state_of(from) == SLOT_CLOSED)
		__atomic_store_n(&to->state, SLOT_CLOSED, __ATOMIC_RELEASE);
}

/* Cgroups that have been entered: as many as there is room for. */
static void copy_cgroups(struct move *move)
{
	int from = move->from->fds[MAP_ENTERED_CGROUPS], to = move->to.fds[MAP_ENTERED_CGROUPS];
	uint64_t id, *before = NULL;
	uint8_t entered = 1;

	while (!bpf_map_get_next_key(from, before, &id)) {
		bpf_map_update_elem(to, &id, &entered, BPF_NOEXIST);
		before = &id;
	}
}

static int cross(struct move *move)
{
	int err;

	carry_generations(move);
	err = capture_programs__switch_over(move->bridge);
	/* From here on no stream opens in the old maps. */
	err = err ? err : capture_maps__wait(move->from);
	err = err ? err : hand_slots(move);
	err = err ? err : add_streams(move);
	copy_cgroups(move);
	/* From here on no write goes there. */
	err = err ? err : capture_maps__wait(move->from);
	for (uint32_t i = 0; !err && i < common_slots(move); i++) {
		leave_old(move, i);
		bring_rest(move, i);
	}
	return err;
}

static int load_bridge(struct move *move)
{
	int err;

	if (view(move->from, &move->from_slots))
		return -errno;
	move->copied = calloc(move->from->about.max_streams, sizeof(*move->copied));
	move->added = calloc(move->from->about.max_streams, sizeof(*move->added));
	if (!move->copied || !move->added)
		return -ENOMEM;
	err = begin(move);
	if (err <= 0)
		return err;
	err = capture_programs__load_bridge(&move->to, move->from, move->pin, &move->bridge);
	if (err)
		return err;
	capture_programs__set_globs(move->bridge, &move->config->capture);
	return 0;
}

static void free_move(struct move *move)
{
	capture_programs__free(move->bridge);
	if (move->from_slots)
		munmap(move->from_slots, slots_bytes(move->from));
	if (move->to_slots)
		munmap(move->to_slots, slots_bytes(&move->to));
	free(move->copied);
	free(move->added);
}

static void say_failure(const struct move *move, int err)
{
	if (err == -EPROTO)
		log_error("an earlier version of logtap was killed while it moved streams into other maps, which this version cannot end: start that version once more, or `logtap detach` gives up what is pinned");
	else
		log_error("streams cannot move into maps with room for %u: %s; try again, or `logtap detach` gives up what is pinned",
			  move->config->capture.max_streams, strerror(-err));
}

/* Nothing has happened yet, and we can do with what is there. */
static bool may_stay(const struct move *move, int err)
{
	return err == -EPERM && !move->bridge && !move->resumed &&
	       move->from->about.slot_size >= sizeof(struct stream_slot);
}

int capture_move__follow(struct capture_maps *maps, const struct capture_pin *pin, const struct config *config)
{
	struct move move = { .pin = pin, .config = config, .from = maps };
	bool moved;
	int err;

	capture_maps__clear(&move.to);
	err = load_bridge(&move);
	if (may_stay(&move, err)) {
		log_warn("streams cannot move into maps with room for %u: it takes CAP_SYS_ADMIN",
			 config->capture.max_streams);
		err = 0;
	}
	if (!err && move.bridge) {
		err = cross(&move);
		err = err ? err : capture_maps__settle_next(&move.to, pin);
		err = err ? err : capture_programs__unpin_served(pin);
		if (!err)
			log_info("streams have moved into maps with room for %u, slots of %u bytes (before: %u, %u)%s",
				 move.to.about.max_streams, move.to.about.slot_size, maps->about.max_streams,
				 maps->about.slot_size, move.resumed ? ": a killed logtap had begun it" : "");
	}
	if (err)
		say_failure(&move, err);
	moved = !err && move.bridge;
	free_move(&move);
	if (!moved) {
		capture_maps__close(&move.to);
		return err ? -EALREADY : 0;
	}
	capture_maps__close(maps);
	*maps = move.to;
	return 0;
}
