#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "../../user/base/counters.h"

#define THREADS 4
#define ADDS 100000

static void printed_line_has_every_counter_with_its_value(void **state)
{
	struct counters counters = { 0 };
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	json_t *root;

	(void)state;
	for (int i = 0; i < COUNTER_COUNT; i++)
		counters__add(&counters, i, i ? 1000 + i : INT64_MAX);
	counters__print(&counters, out);
	fclose(out);
	assert_ptr_equal(strchr(text, '\n'), text + len - 1);
	root = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(root);
	assert_int_equal(json_object_size(json_object_get(root, "counters")), COUNTER_COUNT);
#define X(name)                                                                                    \
	assert_int_equal(                                                                          \
		json_integer_value(json_object_get(json_object_get(root, "counters"), #name)),     \
		counters__get(&counters, COUNTER_##name));
	COUNTERS(X)
#undef X
	json_decref(root);
	free(text);
}

static void *add_many(void *counters)
{
	for (int i = 0; i < ADDS; i++)
		counters__add(counters, COUNTER_lines, 3);
	return NULL;
}

static void adds_of_several_threads_are_all_counted(void **state)
{
	struct counters counters = { 0 };
	pthread_t thread[THREADS];

	(void)state;
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, add_many, &counters), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	assert_int_equal(counters__get(&counters, COUNTER_lines), 3ull * THREADS * ADDS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(printed_line_has_every_counter_with_its_value),
		cmocka_unit_test(adds_of_several_threads_are_all_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
