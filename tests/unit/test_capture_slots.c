#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <bpf/bpf.h>
#include <linux/bpf.h>

#include "capture/capture_maps.h"
#include "capture/capture_slots.h"

#define SLOTS 6u

static struct stream_slot slots[SLOTS];

/* The two maps that the repair needs, of the kernel's own; skips where it does not permit them. */
static void make_maps(struct capture_maps *maps)
{
	LIBBPF_OPTS(bpf_map_create_opts, outer);

	capture_maps__clear(maps);
	maps->about.max_streams = SLOTS;
	maps->about.slot_size = sizeof(struct stream_slot);
	maps->rings[0] = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "ring", 0, 0, (uint32_t)sysconf(_SC_PAGESIZE), NULL);
	if (maps->rings[0] < 0)
		skip();
	outer.inner_map_fd = maps->rings[0];
	maps->fds[MAP_RINGS] = bpf_map_create(BPF_MAP_TYPE_ARRAY_OF_MAPS, "rings", 4, 4, 1, &outer);
	maps->fds[MAP_FREE_SLOTS] = bpf_map_create(BPF_MAP_TYPE_QUEUE, "free", 0, 4, SLOTS, NULL);
	assert_true(maps->fds[MAP_RINGS] >= 0 && maps->fds[MAP_FREE_SLOTS] >= 0);
	memset(slots, 0, sizeof(slots));
}

static void queue(const struct capture_maps *maps, uint32_t slot)
{
	assert_int_equal(bpf_map_update_elem(maps->fds[MAP_FREE_SLOTS], NULL, &slot, BPF_ANY), 0);
}

/* These, each once, in whatever order are in the queue; it is empty then. */
static void expect_queued(const struct capture_maps *maps, uint32_t wanted)
{
	uint32_t seen = 0, slot;

	while (!bpf_map_lookup_and_delete_elem(maps->fds[MAP_FREE_SLOTS], NULL, &slot)) {
		assert_in_range(slot, 0, SLOTS - 1);
		assert_false(seen >> slot & 1);
		seen |= 1u << slot;
	}
	assert_int_equal(seen, wanted);
}

static void what_is_free_and_not_queued_is_given_back(void **state)
{
	struct capture_maps maps;

	(void)state;
	make_maps(&maps);
	slots[2].state = SLOT_OPEN;
	slots[3].state = SLOT_CLOSED;
	queue(&maps, 4);
	queue(&maps, 1);
	assert_int_equal(capture_slots__repair(&maps, (const char *)slots), 2);
	assert_int_equal(capture_slots__repair(&maps, (const char *)slots), 0);
	expect_queued(&maps, 1 << 4 | 1 << 1 | 1 << 0 | 1 << 5);
	capture_maps__close(&maps);
}

static void a_queue_that_is_whole_stays_as_it_is(void **state)
{
	struct capture_maps maps;

	(void)state;
	make_maps(&maps);
	for (uint32_t i = SLOTS; i-- > 0;)
		queue(&maps, i);
	assert_int_equal(capture_slots__repair(&maps, (const char *)slots), 0);
	expect_queued(&maps, (1 << SLOTS) - 1);
	capture_maps__close(&maps);
}

static void an_empty_queue_of_used_slots_stays_empty(void **state)
{
	struct capture_maps maps;

	(void)state;
	make_maps(&maps);
	for (uint32_t i = 0; i < SLOTS; i++)
		slots[i].state = SLOT_OPEN;
	assert_int_equal(capture_slots__repair(&maps, (const char *)slots), 0);
	expect_queued(&maps, 0);
	capture_maps__close(&maps);
}

static void a_slot_that_cannot_be_is_refused(void **state)
{
	struct capture_maps maps;

	(void)state;
	make_maps(&maps);
	queue(&maps, SLOTS);
	assert_true(capture_slots__repair(&maps, (const char *)slots) < 0);
	capture_maps__close(&maps);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_free_and_not_queued_is_given_back),
		cmocka_unit_test(a_queue_that_is_whole_stays_as_it_is),
		cmocka_unit_test(an_empty_queue_of_used_slots_stays_empty),
		cmocka_unit_test(a_slot_that_cannot_be_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
