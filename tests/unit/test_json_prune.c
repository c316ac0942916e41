#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../user/kubernetes/json_prune.h"

static const struct json_wanted inner[] = { { "x", NULL }, { NULL, NULL } };
static const struct json_wanted wanted[] = { { "a", NULL }, { "list", inner }, { "o", inner }, { NULL, NULL } };

static char kept[4096];
static size_t item_bytes_max;
static unsigned int item_values_max;

static int take(void *owner, const char *text, size_t len)
{
	(void)owner;
	snprintf(kept + strlen(kept), sizeof(kept) - strlen(kept), "%.*s|", text ? (int)len : 8, text ?: "TOO MUCH");
	return 0;
}

static int feed(const char *text, size_t step)
{
	struct json_prune_options options = { wanted, 64, 20, take, NULL, item_bytes_max, item_values_max };
	struct json_prune *prune;
	int err = json_prune__new(&options, &prune);

	*kept = '\0';
	for (size_t at = 0, len = strlen(text); !err && at < len; at += step)
		err = json_prune__feed(prune, text + at, len - at < step ? len - at : step);
	if (!err && json_prune__open(prune))
		err = 1;
	json_prune__free(prune);
	return err;
}

static void assert_kept(const char *text, const char *expected)
{
	assert_int_equal(feed(text, 1), 0);
	assert_string_equal(kept, expected);
	assert_int_equal(feed(text, 1000), 0);
	assert_string_equal(kept, expected);
}

static void only_what_is_wanted_is_kept(void **state)
{
	(void)state;
	assert_kept("{}", "{}|");
	assert_kept("{\"a\":1}", "{\"a\":1}|");
	assert_kept("{\"b\":1}", "{}|");
	assert_kept("{ \"b\" : [1,{\"a\":2}] , \"a\" : true, \"c\":{}, \"o\" : {\"y\":1,\"x\":\"s\",\"z\":2} }",
		    "{\"a\":true,\"o\":{\"x\":\"s\"}}|");
	assert_kept("{\"aa\":1,\"\":2,\"a\":3}", "{\"a\":3}|");
}

static void objects_of_a_list_are_pruned(void **state)
{
	(void)state;
	assert_kept("{\"list\":[{\"x\":1,\"y\":2},{\"y\":3},{\"y\":[],\"x\":4}]}", "{\"list\":[{\"x\":1},{},{\"x\":4}]}|");
	assert_kept("{\"list\":null}", "{\"list\":null}|");
	assert_kept("{\"list\":[]}", "{\"list\":[]}|");
}

static void of_a_map_the_scalars_are_kept(void **state)
{
	(void)state;
	assert_kept("{\"a\":{\"k\":\"v\",\"list\":{\"x\":1},\"l\":[1],\"n\":null}}", "{\"a\":{\"k\":\"v\",\"n\":null}}|");
	assert_kept("{\"a\":[1,[2],{\"x\":3},4]}", "{\"a\":[1,4]}|");
}

static void strings_are_no_structure(void **state)
{
	(void)state;
	assert_kept("{\"b\":\"}{][\\\"\\\\\",\"a\":\"}\\\\\\\"{\"}", "{\"a\":\"}\\\\\\\"{\"}|");
	assert_kept("{\"b\":{\"c\":\"}]\\\\\"},\"a\":1}", "{\"a\":1}|");
}

static void objects_follow_each_other(void **state)
{
	(void)state;
	assert_kept("{\"a\":1}\n{\"a\":2}{\"b\":3}\n\n", "{\"a\":1}|{\"a\":2}|{}|");
}

static void too_much_is_told_and_the_next_one_kept(void **state)
{
	char text[8192] = "{\"a\":\"";

	(void)state;
	memset(text + 6, 'x', 6000);
	strcpy(text + 6006, "\"}{\"a\":1}");
	/* The buffer grows by steps: at first to 4 KiB. */
	assert_kept(text, "TOO MUCH|{\"a\":1}|");
	assert_kept("{\"a\":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20]}{\"a\":1}", "TOO MUCH|{\"a\":1}|");
}

static void what_follows_too_much_is_passed_over(void **state)
{
	static const char *const rest[] = {
		"},{\"x\":{\"x\":[{}]}}],\"o\":{\"x\":{}}}", "}],\"o\":{\"x\":[{\"x\":{}}],\"y\":{}},\"list\":[{\"x\":[]}]}",
	};
	char text[8192];

	(void)state;
	for (size_t i = 0; i < sizeof(rest) / sizeof(rest[0]); i++) {
		memset(text, 'x', sizeof(text));
		memcpy(text, "{\"list\":[{\"x\":\"", 15);
		strcpy(text + 6000, "\"");
		strcat(text, rest[i]);
		strcat(text, "{\"a\":1}");
		assert_kept(text, "TOO MUCH|{\"a\":1}|");
		strcpy(text, "{\"a\":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20],\"list\":[{\"x\":1");
		strcat(text, rest[i]);
		strcat(text, "{\"a\":1}");
		assert_kept(text, "TOO MUCH|{\"a\":1}|");
	}
}

/* Wherever in it the bound is passed. */
static void item_that_is_too_large_is_left_out(void **state)
{
	(void)state;
	item_values_max = 4;
	assert_kept("{\"list\":[{\"x\":1},{\"x\":[1,2,3,4,{\"x\":\"]}\"}],\"y\":[]},{\"x\":2}]}", "{\"list\":[{\"x\":1},{\"x\":2}]}|");
	assert_kept("{\"list\":[{\"x\":[1,2,3,4]}],\"a\":1}", "{\"list\":[],\"a\":1}|");
	assert_kept("{\"list\":[{\"x\":[1,2]},{\"x\":[1,2,\"}\\\"]\"]},{\"x\":[1,2]}]}", "{\"list\":[{\"x\":[1,2]},{\"x\":[1,2]}]}|");
	/* It costs no room. */
	assert_kept("{\"list\":[{\"x\":[1,2,3]},{\"x\":[1,2,3]},{\"x\":[1,2,3]},{\"x\":[1,2,3]},{\"x\":[1,2,3]},{\"x\":[1,2]}]}",
		    "{\"list\":[{\"x\":[1,2]}]}|");
	/* What is right in the value is no item. */
	assert_kept("{\"o\":{\"x\":[1,2,3,4,5]},\"a\":[1,2,3,4,5]}", "{\"o\":{\"x\":[1,2,3,4,5]},\"a\":[1,2,3,4,5]}|");
	item_values_max = 0;
	item_bytes_max = 12;
	assert_kept("{\"list\":[{\"x\":\"1234567}\\\"]\"},{\"x\":12345678901},{\"x\":1}]}", "{\"list\":[{\"x\":1}]}|");
	item_bytes_max = 0;
}

static void what_is_left_out_costs_no_room(void **state)
{
	char text[8192] = "{\"b\":\"";

	(void)state;
	memset(text + 6, 'x', 6000);
	strcpy(text + 6006, "\",\"a\":1}");
	assert_kept(text, "{\"a\":1}|");
	memset(text, '[', 4000);
	memcpy(text, "{\"b\":", 5);
	memset(text + 4000, ']', 3995);
	strcpy(text + 7995, ",\"a\":1}");
	assert_kept(text, "{\"a\":1}|");
}

static void what_is_no_sequence_of_objects_is_told(void **state)
{
	static const char *const bad[] = { "[", "1", "\"", "}", "x", "{]", "{\"a\":[}", "{a", "{\"a\"1}", "{\"a\":,}",
					   "{\"a\":1 2}", "{\"a\":}", "{\"a\":1}}", "{1", "{\"list\":[:]}" };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (feed(bad[i], 1) != -EBADMSG)
			fail_msg("%s is taken", bad[i]);
	assert_int_equal(feed("{\"a\":[1", 1), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_what_is_wanted_is_kept),
		cmocka_unit_test(objects_of_a_list_are_pruned),
		cmocka_unit_test(of_a_map_the_scalars_are_kept),
		cmocka_unit_test(strings_are_no_structure),
		cmocka_unit_test(objects_follow_each_other),
		cmocka_unit_test(too_much_is_told_and_the_next_one_kept),
		cmocka_unit_test(what_follows_too_much_is_passed_over),
		cmocka_unit_test(item_that_is_too_large_is_left_out),
		cmocka_unit_test(what_is_left_out_costs_no_room),
		cmocka_unit_test(what_is_no_sequence_of_objects_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
