#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kafka/kafka_ceiling.h"

#define MOST 1000000
#define MINUTE 60000
#define SOON (9 * MINUTE)
#define LATER (10 * MINUTE)

static struct kafka_ceiling fresh(void)
{
	struct kafka_ceiling ceiling;

	kafka_ceiling__init(&ceiling, MOST);
	assert_int_equal(kafka_ceiling__limit(&ceiling), MOST);
	return ceiling;
}

static void what_brokers_say_after_a_refusal_holds(void **state)
{
	struct kafka_ceiling ceiling = fresh();

	(void)state;
	assert_true(kafka_ceiling__refused(&ceiling, 300000, 0));
	assert_int_equal(kafka_ceiling__limit(&ceiling), 300000);
	/* It is their word: nothing longer is tried. */
	assert_false(kafka_ceiling__answered(&ceiling, 300000, LATER));
	assert_false(kafka_ceiling__answered(&ceiling, 0, LATER));
}

static void limit_that_is_raised_is_taken_from_the_next_answer(void **state)
{
	struct kafka_ceiling ceiling = fresh();

	(void)state;
	kafka_ceiling__refused(&ceiling, 300000, 0);
	assert_true(kafka_ceiling__answered(&ceiling, 400000, MINUTE));
	kafka_ceiling__move(&ceiling, "t");
	assert_int_equal(kafka_ceiling__limit(&ceiling), 400000);
	assert_false(kafka_ceiling__answered(&ceiling, 400000, 2 * MINUTE));
	assert_true(kafka_ceiling__answered(&ceiling, 2 * MOST, 3 * MINUTE));
	kafka_ceiling__move(&ceiling, "t");
	assert_int_equal(kafka_ceiling__limit(&ceiling), MOST);
	assert_int_equal(ceiling.bytes, 0);
}

static void limit_that_is_lowered_is_taken_too(void **state)
{
	struct kafka_ceiling ceiling = fresh();

	(void)state;
	kafka_ceiling__refused(&ceiling, 300000, 0);
	assert_true(kafka_ceiling__answered(&ceiling, 200000, MINUTE));
	kafka_ceiling__move(&ceiling, "t");
	assert_int_equal(kafka_ceiling__limit(&ceiling), 200000);
}

static struct kafka_ceiling tried(void)
{
	struct kafka_ceiling ceiling = fresh();
	uint64_t start = ceiling.set_ms;

	kafka_ceiling__refused(&ceiling, 0, start);
	assert_int_equal(kafka_ceiling__limit(&ceiling), MOST / 2);
	assert_false(kafka_ceiling__answered(&ceiling, 0, start + SOON));
	assert_true(kafka_ceiling__answered(&ceiling, 0, start + LATER));
	kafka_ceiling__move(&ceiling, "t");
	assert_int_equal(kafka_ceiling__limit(&ceiling), MOST);
	return ceiling;
}

static void where_brokers_do_not_say_a_longer_one_is_tried(void **state)
{
	struct kafka_ceiling ceiling = tried();

	(void)state;
	assert_false(kafka_ceiling__taken(&ceiling, MOST / 2));
	assert_true(kafka_ceiling__taken(&ceiling, MOST / 2 + 1));
	assert_false(kafka_ceiling__taken(&ceiling, MOST));
	assert_int_equal(kafka_ceiling__limit(&ceiling), MOST);
}

static void what_was_tried_in_vain_is_no_news_and_tried_again(void **state)
{
	struct kafka_ceiling ceiling = tried();
	uint64_t refused = ceiling.set_ms;

	(void)state;
	assert_false(kafka_ceiling__refused(&ceiling, 0, refused));
	assert_int_equal(kafka_ceiling__limit(&ceiling), MOST / 2);
	assert_false(kafka_ceiling__answered(&ceiling, 0, refused + SOON));
	assert_true(kafka_ceiling__answered(&ceiling, 0, refused + LATER));
}

/* As behind a proxy with a limit of its own. */
static void refusal_below_what_brokers_say_halves_it(void **state)
{
	struct kafka_ceiling ceiling = fresh();

	(void)state;
	kafka_ceiling__refused(&ceiling, 2 * MOST, 0);
	assert_int_equal(kafka_ceiling__limit(&ceiling), MOST / 2);
	/* What they said before does not raise it, something else would. */
	assert_false(kafka_ceiling__answered(&ceiling, 2 * MOST, SOON));
	assert_true(kafka_ceiling__answered(&ceiling, 2 * MOST, LATER));
	assert_int_equal(ceiling.next, 0);
}

static void it_is_never_halved_below_1000_bytes(void **state)
{
	struct kafka_ceiling ceiling = fresh();

	(void)state;
	for (int i = 0; i < 20; i++) {
		assert_true(kafka_ceiling__limit(&ceiling) >= 1000);
		kafka_ceiling__refused(&ceiling, 0, 0);
	}
	assert_int_equal(kafka_ceiling__limit(&ceiling), 1000);
	assert_true(kafka_ceiling__lowest(&ceiling));
	/* Not even by brokers that say less, and refuse that. */
	kafka_ceiling__refused(&ceiling, 600, 0);
	assert_int_equal(kafka_ceiling__limit(&ceiling), 600);
	kafka_ceiling__refused(&ceiling, 600, 0);
	assert_int_equal(kafka_ceiling__limit(&ceiling), 600);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_brokers_say_after_a_refusal_holds),
		cmocka_unit_test(limit_that_is_raised_is_taken_from_the_next_answer),
		cmocka_unit_test(limit_that_is_lowered_is_taken_too),
		cmocka_unit_test(where_brokers_do_not_say_a_longer_one_is_tried),
		cmocka_unit_test(what_was_tried_in_vain_is_no_news_and_tried_again),
		cmocka_unit_test(refusal_below_what_brokers_say_halves_it),
		cmocka_unit_test(it_is_never_halved_below_1000_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
