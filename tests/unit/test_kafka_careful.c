#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "kafka/kafka_careful.h"
#include "kafka/kafka_window.h"

#define MANY 10000

static struct kafka_record records[MANY];

static void refuse(struct kafka_careful *careful, int first, int count)
{
	for (int i = first; i < first + count; i++)
		kafka_careful__refuse(careful, &records[i]);
}

static void next(struct kafka_careful *careful)
{
	for (int i = 0; i < MANY; i++)
		records[i].refused = false;
	kafka_careful__next(careful);
}

/* All but the poisoned one are delivered. */
static void three_rounds_find_one_among_ten_thousand(void **state)
{
	struct kafka_careful careful = { 0 };

	(void)state;
	memset(records, 0, sizeof(records));
	refuse(&careful, 0, MANY);
	assert_false(kafka_careful__found(&careful));
	next(&careful);
	assert_in_range(careful.batch, 100, 400);
	refuse(&careful, 5000, careful.batch);
	next(&careful);
	assert_in_range(careful.batch, 2, 20);
	refuse(&careful, 5000, careful.batch);
	next(&careful);
	assert_int_equal(careful.batch, 1);
	refuse(&careful, 5000, 1);
	assert_true(kafka_careful__found(&careful));
	kafka_careful__give_up(&careful, &records[5000]);
	assert_int_equal(careful.suspects, MANY - 1);
	for (int i = 0; i < MANY; i++)
		if (i != 5000)
			kafka_careful__forget(&careful, &records[i], true);
	assert_true(kafka_careful__over(&careful));
	next(&careful);
	assert_int_equal(careful.batch, 0);
	assert_false(kafka_careful__over(&careful));
}

static void one_that_was_alone_in_its_batch_is_found_at_once(void **state)
{
	struct kafka_careful careful = { 0 };

	(void)state;
	memset(records, 0, sizeof(records));
	refuse(&careful, 0, 1);
	assert_true(kafka_careful__found(&careful));
}

static void many_in_a_row_raise_doubts_until_one_is_delivered(void **state)
{
	struct kafka_careful careful = { 0 };

	(void)state;
	memset(records, 0, sizeof(records));
	for (int i = 0; i < 16; i++) {
		assert_false(kafka_careful__doubts(&careful));
		refuse(&careful, i, 1);
		kafka_careful__give_up(&careful, &records[i]);
	}
	assert_true(kafka_careful__doubts(&careful));
	/* A gap that is taken is no proof. */
	records[0].record.meta.flags = JOURNAL_GAP;
	kafka_careful__forget(&careful, &records[0], true);
	assert_true(kafka_careful__doubts(&careful));
	kafka_careful__forget(&careful, &records[20], true);
	assert_false(kafka_careful__doubts(&careful));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(three_rounds_find_one_among_ten_thousand),
		cmocka_unit_test(one_that_was_alone_in_its_batch_is_found_at_once),
		cmocka_unit_test(many_in_a_row_raise_doubts_until_one_is_delivered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
