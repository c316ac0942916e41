#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "../../user/base/complaints.h"

static void a_cause_is_new_once(void **state)
{
	(void)state;
	assert_true(complaints__is_new("a", 1));
	assert_false(complaints__is_new("a", 1));
	assert_true(complaints__is_new("b", 1));
	assert_true(complaints__is_new("a", 2));
	assert_false(complaints__is_new("a", 2));
	assert_false(complaints__is_new("b", 1));
}

static void what_was_in_order_meanwhile_is_new(void **state)
{
	(void)state;
	assert_true(complaints__is_new("c", 1));
	complaints__settle("none of them");
	assert_false(complaints__is_new("c", 1));
	complaints__settle("c");
	assert_true(complaints__is_new("c", 1));
}

static void the_oldest_goes_first(void **state)
{
	char subject[32];

	(void)state;
	for (unsigned int i = 0; i <= COMPLAINTS_MAX; i++) {
		snprintf(subject, sizeof(subject), "subject %u", i);
		assert_true(complaints__is_new(subject, 1));
	}
	for (unsigned int i = 1; i <= COMPLAINTS_MAX; i++) {
		snprintf(subject, sizeof(subject), "subject %u", i);
		assert_false(complaints__is_new(subject, 1));
	}
	assert_true(complaints__is_new("subject 0", 1));
	for (unsigned int i = 0; i <= COMPLAINTS_MAX; i++) {
		snprintf(subject, sizeof(subject), "subject %u", i);
		complaints__settle(subject);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_cause_is_new_once),
		cmocka_unit_test(what_was_in_order_meanwhile_is_new),
		cmocka_unit_test(the_oldest_goes_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
