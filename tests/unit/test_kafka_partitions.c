#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kafka/kafka_partitions.h"

static bool nobody(const void *opaque, int32_t partition)
{
	(void)opaque, (void)partition;
	return false;
}

static bool partition_two(const void *opaque, int32_t partition)
{
	(void)opaque;
	return partition == 2;
}

static int32_t stuck(struct kafka_partitions *partitions, uint64_t now_ms)
{
	return kafka_partitions__stuck(partitions, now_ms, nobody, NULL);
}

static void one_that_stands_still_while_others_flow_is_stuck(void **state)
{
	struct kafka_partitions partitions = { 0 };

	(void)state;
	assert_true(kafka_partitions__add(&partitions, 2, 1000));
	assert_false(kafka_partitions__add(&partitions, 2, 1000));
	kafka_partitions__add(&partitions, 0, 1000);
	kafka_partitions__delivered(&partitions, 0, 3900);
	assert_int_equal(stuck(&partitions, 3999), KAFKA_PARTITION_ANY);
	assert_int_equal(stuck(&partitions, 4000), 2);
	assert_int_equal(kafka_partitions__stuck(&partitions, 4000, partition_two, NULL),
			 KAFKA_PARTITION_ANY);
	kafka_partitions__delivered(&partitions, 2, 4000);
	assert_int_equal(stuck(&partitions, 4000), KAFKA_PARTITION_ANY);
	kafka_partitions__free(&partitions);
}

static void outage_of_all_is_no_ones_own(void **state)
{
	struct kafka_partitions partitions = { 0 };

	(void)state;
	kafka_partitions__add(&partitions, 0, 1000);
	kafka_partitions__add(&partitions, 1, 1000);
	kafka_partitions__delivered(&partitions, 0, 1100);
	assert_int_equal(stuck(&partitions, 9000), KAFKA_PARTITION_ANY);
	/* It is over: one comes back before the other. */
	kafka_partitions__delivered(&partitions, 0, 9500);
	assert_int_equal(stuck(&partitions, 9501), KAFKA_PARTITION_ANY);
	kafka_partitions__delivered(&partitions, 0, 11999);
	assert_int_equal(stuck(&partitions, 11999), KAFKA_PARTITION_ANY);
	assert_int_equal(stuck(&partitions, 12000), 1);
	kafka_partitions__outage(&partitions, 12001);
	assert_int_equal(stuck(&partitions, 12002), KAFKA_PARTITION_ANY);
	kafka_partitions__free(&partitions);
}

/* The stuck one's records fill the window, so that nothing more comes for the others. */
static void the_only_one_that_waits_is_stuck_when_others_were_served_since(void **state)
{
	struct kafka_partitions partitions = { 0 };

	(void)state;
	kafka_partitions__add(&partitions, 0, 1000);
	kafka_partitions__add(&partitions, 1, 1000);
	kafka_partitions__remove(&partitions, 0);
	assert_int_equal(stuck(&partitions, 9000), KAFKA_PARTITION_ANY);
	kafka_partitions__delivered(&partitions, 0, 1100);
	assert_int_equal(stuck(&partitions, 9000), 1);
	kafka_partitions__restart(&partitions, 9000);
	assert_int_equal(stuck(&partitions, 9001), KAFKA_PARTITION_ANY);
	kafka_partitions__free(&partitions);
}

static void no_partition_is_not_counted(void **state)
{
	struct kafka_partitions partitions = { 0 };

	(void)state;
	assert_false(kafka_partitions__add(&partitions, KAFKA_PARTITION_ANY, 1));
	kafka_partitions__remove(&partitions, KAFKA_PARTITION_ANY);
	kafka_partitions__remove(&partitions, 7);
	assert_int_equal(kafka_partitions__waiting(&partitions, 7), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_that_stands_still_while_others_flow_is_stuck),
		cmocka_unit_test(outage_of_all_is_no_ones_own),
		cmocka_unit_test(the_only_one_that_waits_is_stuck_when_others_were_served_since),
		cmocka_unit_test(no_partition_is_not_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
