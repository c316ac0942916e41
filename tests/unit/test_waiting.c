#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "../../user/stream/waiting.h"
#include "heap_memory.h"

#define HEAP_LIMIT (8u << 20)
#define NO_LIMIT UINT32_MAX

struct fixture {
	struct heap_memory memory;
	struct heap *heap;
	struct waiting waiting;
};

static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	heap_memory__open(&fixture->memory, HEAP_LIMIT);
	fixture->heap = fixture->memory.heap;
	waiting__init(&fixture->waiting);
	*state = fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	heap_memory__close(&fixture->memory);
	free(fixture);
	return 0;
}

/* The n-th of an endless row of lines, of many lengths. */
static const char *text_of(unsigned int n, size_t *length)
{
	static char text[100000];

	*length = n % 97 == 96 ? 70000 + n % 1000 : n * 37 % 4001;
	memset(text, 'a' + n % 26, *length);
	return text;
}

static int add(struct fixture *fixture, unsigned int n, uint64_t limit)
{
	struct process process = { .tag = n, .tgid = n, .uid = n, .name = "writer" };
	struct line line = { .position = n, .offset = n + 1, .time = n + 2, .partial = n % 6, .writer = { .tid = n } };

	line.text = text_of(n, &line.length);
	return waiting__add(&fixture->waiting, fixture->heap, limit, &line, n % 3 ? &process : NULL);
}

static void check_first(struct fixture *fixture, unsigned int n)
{
	struct process process;
	struct line line;
	size_t length;
	const char *text = text_of(n, &length);
	bool known;

	assert_true(waiting__first(&fixture->waiting, fixture->heap, &line, &process, &known));
	assert_int_equal(line.length, length);
	assert_memory_equal(line.text, text, length);
	assert_int_equal(line.position, n);
	assert_int_equal(line.offset, n + 1);
	assert_int_equal(line.time, n + 2);
	assert_int_equal(line.partial, n % 6);
	assert_int_equal(line.writer.tid, n);
	assert_int_equal(known, n % 3 != 0);
	assert_int_equal(process.tag, known ? n : 0);
	waiting__remove_first(&fixture->waiting, fixture->heap);
}

static void nothing_is_left(struct fixture *fixture)
{
	struct process process;
	struct line line;
	bool known;

	assert_false(waiting__first(&fixture->waiting, fixture->heap, &line, &process, &known));
	assert_int_equal(fixture->waiting.bytes, 0);
	heap__reclaim(fixture->heap);
	assert_int_equal(heap__used(fixture->heap), 0);
}

/* What the next process sees: the file, and the state that was saved. */
static int adopt(struct fixture *fixture)
{
	struct heap_options options = {
		.fd = fixture->memory.fd,
		.base = fixture->memory.base,
		.limit = HEAP_LIMIT,
		.size = HEAP_LIMIT,
	};

	heap__free(fixture->heap);
	assert_int_equal(posix_fallocate(fixture->memory.fd, 0, HEAP_LIMIT), 0);
	assert_int_equal(heap__new(&options, &fixture->heap), 0);
	fixture->memory.heap = fixture->heap;
	return waiting__adopt(&fixture->waiting, fixture->heap);
}

static void lines_come_out_as_they_went_in(void **state)
{
	struct fixture *fixture = *state;
	unsigned int in = 0, out = 0;

	for (int round = 0; round < 300; round++) {
		for (int i = 0; i < round % 7; i++)
			assert_int_equal(add(fixture, in++, NO_LIMIT), 0);
		while (out < in && (in + round) % 5)
			check_first(fixture, out++);
		heap__reclaim(fixture->heap);
	}
	while (out < in)
		check_first(fixture, out++);
	nothing_is_left(fixture);
}

static void the_next_process_finds_them(void **state)
{
	struct fixture *fixture = *state;
	unsigned int out = 0;

	for (unsigned int n = 0; n < 200; n++)
		assert_int_equal(add(fixture, n, NO_LIMIT), 0);
	for (; out < 50; out++)
		check_first(fixture, out);
	for (; out < 200; out++) {
		if (out % 20 == 0)
			assert_int_equal(adopt(fixture), 0);
		check_first(fixture, out);
	}
	assert_int_equal(adopt(fixture), 0);
	nothing_is_left(fixture);
}

/* The state before is the valid one: what is added and removed after it must not harm it. */
static void a_saved_state_holds_until_the_next(void **state)
{
	struct fixture *fixture = *state;
	struct waiting saved;
	unsigned int n;

	for (n = 0; n < 30; n++)
		assert_int_equal(add(fixture, n, NO_LIMIT), 0);
	heap__reclaim(fixture->heap);
	saved = fixture->waiting;
	for (; n < 60; n++)
		assert_int_equal(add(fixture, n, NO_LIMIT), 0);
	for (n = 0; n < 60; n++)
		check_first(fixture, n);
	for (; n < 120; n++)
		assert_int_equal(add(fixture, n, NO_LIMIT), 0);
	fixture->waiting = saved;
	assert_int_equal(adopt(fixture), 0);
	for (n = 0; n < 30; n++)
		check_first(fixture, n);
	nothing_is_left(fixture);
}

static void the_bound_holds_and_changes_nothing(void **state)
{
	struct fixture *fixture = *state;
	unsigned int n = 0;

	while (!add(fixture, n, 64 << 10))
		n++;
	assert_true(n > 5);
	assert_true(fixture->waiting.bytes <= 64 << 10);
	assert_int_equal(add(fixture, n, 64 << 10), -ENOSPC);
	for (unsigned int i = 0; i < n; i++)
		check_first(fixture, i);
	nothing_is_left(fixture);
}

static void a_full_heap_is_told(void **state)
{
	struct fixture *fixture = *state;
	unsigned int n = 0;

	while (!add(fixture, n, NO_LIMIT))
		n++;
	assert_true(fixture->waiting.bytes > HEAP_LIMIT / 2);
	waiting__clear(&fixture->waiting, fixture->heap);
	nothing_is_left(fixture);
}

static void nonsense_is_not_adopted(void **state)
{
	struct fixture *fixture = *state;
	struct waiting good;
	char *bytes = fixture->memory.base;

	for (unsigned int n = 1; n < 20; n++)
		assert_int_equal(add(fixture, n, NO_LIMIT), 0);
	good = fixture->waiting;
	assert_int_equal(adopt(fixture), 0);
	fixture->waiting.bytes++;
	assert_int_equal(adopt(fixture), -EINVAL);
	fixture->waiting = good;
	fixture->waiting.start += 8;
	assert_int_equal(adopt(fixture), -EINVAL);
	fixture->waiting = good;
	fixture->waiting.end -= 8;
	assert_int_equal(adopt(fixture), -EINVAL);
	fixture->waiting = good;
	fixture->waiting.first = HEAP_LIMIT;
	assert_int_equal(adopt(fixture), -EINVAL);
	/* A chain that bites its own tail. */
	fixture->waiting = good;
	memcpy(bytes + good.first, &good.first, sizeof(good.first));
	assert_int_equal(adopt(fixture), -EINVAL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(lines_come_out_as_they_went_in),
		TEST(the_next_process_finds_them),
		TEST(a_saved_state_holds_until_the_next),
		TEST(the_bound_holds_and_changes_nothing),
		TEST(a_full_heap_is_told),
		TEST(nonsense_is_not_adopted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
