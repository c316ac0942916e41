#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../user/lines/heap.h"

#define OFFSET 4096u
#define LIMIT (8u * HEAP_STEP)
#define UNITS (LIMIT / HEAP_BLOCK_MIN)
#define BLOCKS 400

struct fixture {
	int fd;
	char *map;
	struct heap *heap;
};

static void open_heap(struct fixture *fixture, uint64_t size)
{
	struct heap_options options = {
		.fd = fixture->fd,
		.offset = OFFSET,
		.base = fixture->map + OFFSET,
		.size = size,
		.limit = LIMIT,
	};

	heap__free(fixture->heap);
	assert_int_equal(heap__new(&options, &fixture->heap), 0);
}

static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	fixture->fd = memfd_create("heap", MFD_CLOEXEC);
	fixture->map = mmap(NULL, OFFSET + LIMIT, PROT_READ | PROT_WRITE, MAP_SHARED, fixture->fd, 0);
	assert_true(fixture->map != MAP_FAILED);
	open_heap(fixture, 0);
	*state = fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	heap__free(fixture->heap);
	munmap(fixture->map, OFFSET + LIMIT);
	close(fixture->fd);
	free(fixture);
	return 0;
}

static uint64_t file_size(const struct fixture *fixture)
{
	struct stat status;

	assert_int_equal(fstat(fixture->fd, &status), 0);
	return status.st_size;
}

static void blocks_are_powers_of_two_at_multiples_of_their_size(void **state)
{
	static const struct {
		size_t wanted, got;
	} sizes[] = { { 0, 256 }, { 1, 256 }, { 256, 256 }, { 257, 512 }, { 5000, 8192 }, { 1 << 20, 1 << 20 },
		      { (1 << 20) + 1, 2 << 20 } };
	struct fixture *fixture = *state;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		uint64_t block = heap__take(fixture->heap, sizes[i].wanted);

		assert_true(block != HEAP_NONE);
		assert_int_equal(heap__size(fixture->heap, block), sizes[i].got);
		assert_int_equal(block % sizes[i].got, 0);
		/* All of it is there to be written. */
		memset(heap__at(fixture->heap, block), 'x', sizes[i].got);
		assert_true(file_size(fixture) >= OFFSET + block + sizes[i].got);
	}
	assert_int_equal(heap__take(fixture->heap, HEAP_BLOCK_MAX + 1), HEAP_NONE);
}

static void the_file_grows_in_steps_and_up_to_the_limit(void **state)
{
	struct fixture *fixture = *state;
	unsigned int taken = 0;

	assert_int_equal(file_size(fixture), 0);
	heap__take(fixture->heap, 1);
	assert_int_equal(file_size(fixture), OFFSET + HEAP_STEP);
	while (heap__take(fixture->heap, 65536) != HEAP_NONE)
		taken++;
	assert_int_equal(taken, LIMIT / 65536 - 1);
	assert_int_equal(file_size(fixture), OFFSET + LIMIT);
	/* What is smaller still finds room. */
	assert_true(heap__take(fixture->heap, 256) != HEAP_NONE);
}

static void a_full_file_system_is_no_block(void **state)
{
	struct fixture *fixture = *state;
	struct rlimit old, small = { OFFSET + HEAP_STEP, OFFSET + HEAP_STEP };

	/* A file that may not grow answers as a full file system does. */
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small.rlim_max = old.rlim_max;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	assert_true(heap__take(fixture->heap, HEAP_STEP) != HEAP_NONE);
	assert_int_equal(heap__take(fixture->heap, 1), HEAP_NONE);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_true(heap__take(fixture->heap, 1) != HEAP_NONE);
}

static void what_a_state_may_refer_to_is_free_after_the_reclaim(void **state)
{
	struct fixture *fixture = *state;
	uint64_t old = heap__take(fixture->heap, 256), fresh;

	heap__reclaim(fixture->heap);
	heap__give(fixture->heap, old);
	for (int i = 0; i < 10; i++)
		assert_int_not_equal(heap__take(fixture->heap, 256), old);
	/* What was made since then is free at once. */
	fresh = heap__take(fixture->heap, 256);
	heap__give(fixture->heap, fresh);
	assert_int_equal(heap__take(fixture->heap, 256), fresh);
	assert_int_equal(heap__used(fixture->heap), 12 * 256);
	heap__reclaim(fixture->heap);
	assert_int_equal(heap__used(fixture->heap), 11 * 256);
	assert_int_equal(heap__take(fixture->heap, 256), old);
}

static void nonsense_is_not_adopted(void **state)
{
	static const struct {
		uint64_t block, size;
	} wrong[] = { { 0, 0 }, { 0, 255 }, { 0, 300 }, { 256, 512 }, { 100, 256 }, { HEAP_STEP, 256 },
		      { HEAP_NONE - 255, 256 }, { HEAP_NONE, 1 }, { 0, HEAP_STEP * 2 }, { 0, UINT64_MAX },
		      { HEAP_STEP - 256, 512 }, { 0, 2ull * HEAP_BLOCK_MAX } };
	struct fixture *fixture = *state;

	open_heap(fixture, HEAP_STEP);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(heap__adopt(fixture->heap, wrong[i].block, wrong[i].size), -EINVAL);
	assert_int_equal(heap__used(fixture->heap), 0);
	assert_int_equal(heap__adopt(fixture->heap, 4096, 1024), 0);
	/* The same, a part of it, all around it. */
	assert_int_equal(heap__adopt(fixture->heap, 4096, 1024), -EINVAL);
	assert_int_equal(heap__adopt(fixture->heap, 4096 + 256, 256), -EINVAL);
	assert_int_equal(heap__adopt(fixture->heap, 4096, 4096), -EINVAL);
	assert_int_equal(heap__adopt(fixture->heap, 0, 8192), -EINVAL);
	assert_int_equal(heap__adopt(fixture->heap, 4096 + 1024, 1024), 0);
	assert_int_equal(heap__used(fixture->heap), 2048);
	/* An adopted block is in the valid state. */
	heap__give(fixture->heap, 4096);
	assert_int_equal(heap__used(fixture->heap), 2048);
	heap__reclaim(fixture->heap);
	assert_int_equal(heap__used(fixture->heap), 1024);
}

/* The model: every unit has an owner; a block's bytes are its owner's until it is given back. */
struct model {
	struct {
		uint64_t block;
		size_t size;
		enum { NOT_THERE, FRESH, OLD, DEFERRED } life;
	} blocks[BLOCKS];
	uint16_t owner[UNITS];
	uint64_t used;
};

static unsigned char byte_of(unsigned int which)
{
	return which * 37 + 11;
}

static void model_own(struct model *model, unsigned int which, uint16_t from, uint16_t to)
{
	for (size_t i = 0; i < model->blocks[which].size / HEAP_BLOCK_MIN; i++) {
		uint16_t *owner = &model->owner[model->blocks[which].block / HEAP_BLOCK_MIN + i];

		assert_int_equal(*owner, from);
		*owner = to;
	}
	model->used += to ? model->blocks[which].size : -model->blocks[which].size;
}

static void model_take(struct fixture *fixture, struct model *model, unsigned int which, uint32_t random)
{
	size_t wanted = 1 + random % (HEAP_BLOCK_MIN << random / 7 % 10);
	uint64_t block = heap__take(fixture->heap, wanted);

	if (block == HEAP_NONE)
		return;
	model->blocks[which].block = block;
	model->blocks[which].size = heap__size(fixture->heap, block);
	model->blocks[which].life = FRESH;
	assert_true(model->blocks[which].size >= wanted);
	model_own(model, which, 0, which + 1);
	memset(heap__at(fixture->heap, block), byte_of(which), model->blocks[which].size);
}

static void model_give(struct fixture *fixture, struct model *model, unsigned int which)
{
	const unsigned char *bytes = heap__at(fixture->heap, model->blocks[which].block);

	for (size_t i = 0; i < model->blocks[which].size; i += 64)
		assert_int_equal(bytes[i], byte_of(which));
	heap__give(fixture->heap, model->blocks[which].block);
	if (model->blocks[which].life == OLD) {
		model->blocks[which].life = DEFERRED;
		return;
	}
	model_own(model, which, which + 1, 0);
	model->blocks[which].life = NOT_THERE;
}

static void model_reclaim(struct fixture *fixture, struct model *model)
{
	heap__reclaim(fixture->heap);
	for (unsigned int i = 0; i < BLOCKS; i++) {
		if (model->blocks[i].life == FRESH)
			model->blocks[i].life = OLD;
		if (model->blocks[i].life != DEFERRED)
			continue;
		model_own(model, i, i + 1, 0);
		model->blocks[i].life = NOT_THERE;
	}
}

/* A new process: it knows the blocks that the last reclaim left valid. */
static void model_restart(struct fixture *fixture, struct model *model)
{
	open_heap(fixture, (file_size(fixture) - OFFSET) / HEAP_STEP * HEAP_STEP);
	for (unsigned int i = 0; i < BLOCKS; i++) {
		if (model->blocks[i].life == FRESH) {
			model_own(model, i, i + 1, 0);
			model->blocks[i].life = NOT_THERE;
		}
		if (model->blocks[i].life == NOT_THERE)
			continue;
		assert_int_equal(heap__adopt(fixture->heap, model->blocks[i].block, model->blocks[i].size), 0);
		model->blocks[i].life = OLD;
	}
}

static void no_block_is_given_to_two(void **state)
{
	struct fixture *fixture = *state;
	struct model *model = calloc(1, sizeof(*model));
	uint32_t random = 12345;

	for (int i = 0; i < 60000; i++) {
		unsigned int which = (random = random * 1664525 + 1013904223) >> 8 & 0xffff;

		which %= BLOCKS;
		if (random >> 24 == 0)
			model_reclaim(fixture, model);
		else if (i % 5000 == 4999)
			model_restart(fixture, model);
		else if (model->blocks[which].life == NOT_THERE)
			model_take(fixture, model, which, random >> 3);
		else if (model->blocks[which].life != DEFERRED)
			model_give(fixture, model, which);
		assert_int_equal(heap__used(fixture->heap), model->used);
	}
	for (unsigned int i = 0; i < BLOCKS; i++)
		if (model->blocks[i].life == FRESH || model->blocks[i].life == OLD)
			model_give(fixture, model, i);
	model_reclaim(fixture, model);
	assert_int_equal(heap__used(fixture->heap), 0);
	/* Nothing is left in pieces. */
	assert_true(heap__take(fixture->heap, HEAP_BLOCK_MAX) != HEAP_NONE);
	assert_true(heap__take(fixture->heap, HEAP_BLOCK_MAX) != HEAP_NONE);
	free(model);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(blocks_are_powers_of_two_at_multiples_of_their_size),
		TEST(the_file_grows_in_steps_and_up_to_the_limit),
		TEST(a_full_file_system_is_no_block),
		TEST(what_a_state_may_refer_to_is_free_after_the_reclaim),
		TEST(nonsense_is_not_adopted),
		TEST(no_block_is_given_to_two),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
