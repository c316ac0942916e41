#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>

#include "identity/labels.h"
#include "kubernetes/pod.h"

static void names_are_kept_in_order_and_found(void **state)
{
	static const char *const name[] = { "tier", "app", "zone", "app.kubernetes.io/name" };
	struct labels labels = { 0 };

	(void)state;
	for (int i = 0; i < 4; i++)
		assert_int_equal(labels__set(&labels, name[i], name[i]), 0);
	for (int i = 0; i < 4; i++)
		assert_string_equal(labels__get(&labels, name[i]), name[i]);
	for (unsigned int i = 1; i < labels.count; i++)
		assert_true(strcmp(labels.label[i - 1].name, labels.label[i].name) < 0);
	assert_null(labels__get(&labels, "ap"));
	labels__free(&labels);
	assert_null(labels__get(&labels, "app"));
}

static void a_name_that_is_there_gets_the_new_value(void **state)
{
	struct labels labels = { 0 };

	(void)state;
	assert_int_equal(labels__set(&labels, "app", "shop"), 0);
	assert_int_equal(labels__set(&labels, "app", "x"), 0);
	assert_int_equal(labels.count, 1);
	assert_string_equal(labels__get(&labels, "app"), "x");
	assert_int_equal(labels.bytes, strlen("app") + strlen("x"));
	labels__free(&labels);
}

static void what_is_too_large_is_refused_and_changes_nothing(void **state)
{
	struct labels labels = { 0 };
	char *huge = malloc(LABELS_BYTES_MAX + 1);

	(void)state;
	memset(huge, 'x', LABELS_BYTES_MAX);
	huge[LABELS_BYTES_MAX] = 0;
	assert_int_equal(labels__set(&labels, "a", "b"), 0);
	assert_int_equal(labels__set(&labels, "a", huge), -E2BIG);
	assert_int_equal(labels__set(&labels, huge, ""), -E2BIG);
	assert_string_equal(labels__get(&labels, "a"), "b");
	huge[LABELS_BYTES_MAX - 1] = 0;
	assert_int_equal(labels__set(&labels, "a", huge), 0);
	free(huge);
	labels__free(&labels);
}

static void only_strings_of_an_object_are_taken(void **state)
{
	json_t *object = json_pack("{s:s, s:i, s:n, s:o}", "app", "shop", "number", 1, "nothing", "nul",
				   json_stringn("a\0b", 3));
	struct labels labels = { 0 };

	(void)state;
	assert_int_equal(labels__set_all(&labels, object), 0);
	assert_int_equal(labels.count, 1);
	assert_string_equal(labels__get(&labels, "app"), "shop");
	assert_int_equal(labels__set_all(&labels, NULL), 0);
	json_decref(object);
	labels__free(&labels);
}

static void a_pod_lives_until_its_last_reference_goes(void **state)
{
	struct pod *pod = pod__new();

	(void)state;
	pod->name = strdup("web");
	assert_int_equal(labels__set(&pod->labels, "app", "web"), 0);
	assert_ptr_equal(pod__get(pod), pod);
	pod__put(pod);
	assert_string_equal(pod->name, "web");
	assert_null(pod__container(pod, "main"));
	pod__put(pod);
	pod__put(NULL);
}

static void too_many_are_refused(void **state)
{
	struct labels labels = { 0 };
	char name[16];

	(void)state;
	for (unsigned int i = LABELS_COUNT_MAX; i-- > 0;) {
		snprintf(name, sizeof(name), "%06u", i);
		assert_int_equal(labels__set(&labels, name, ""), 0);
	}
	assert_int_equal(labels__set(&labels, "more", ""), -E2BIG);
	assert_int_equal(labels__set(&labels, name, "new"), 0);
	assert_string_equal(labels__get(&labels, name), "new");
	labels__free(&labels);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(too_many_are_refused),
		cmocka_unit_test(names_are_kept_in_order_and_found),
		cmocka_unit_test(a_name_that_is_there_gets_the_new_value),
		cmocka_unit_test(what_is_too_large_is_refused_and_changes_nothing),
		cmocka_unit_test(only_strings_of_an_object_are_taken),
		cmocka_unit_test(a_pod_lives_until_its_last_reference_goes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
