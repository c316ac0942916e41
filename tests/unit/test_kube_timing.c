#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../user/kubernetes/kube_timing.h"

#define TRIES 1000

static const struct kube_timing timing = { .retry_ms = 1000, .retry_max_ms = 60000 };

/* After so many failures in a row. So many tries that both ends of the range are seen, nearly. */
static void assert_pauses(unsigned int in_a_row, uint64_t most)
{
	uint64_t shortest = UINT64_MAX, longest = 0;

	for (int i = 0; i < TRIES; i++) {
		unsigned int failures = 0;
		uint64_t pause = 0;

		for (unsigned int j = 0; j < in_a_row; j++)
			pause = kube_timing__pause_ms(&timing, &failures);

		assert_in_range(pause, most / 2, most);
		shortest = pause < shortest ? pause : shortest;
		longest = pause > longest ? pause : longest;
	}
	assert_true(shortest < most / 2 + most / 10);
	assert_true(longest > most - most / 10);
}

static void pauses_double_and_no_two_agents_come_at_once(void **state)
{
	(void)state;
	assert_pauses(1, 2000);
	assert_pauses(2, 4000);
	assert_pauses(4, 16000);
	assert_pauses(5, 32000);
}

static void pauses_end_at_their_bound(void **state)
{
	(void)state;
	assert_pauses(6, 60000);
	assert_pauses(21, 60000);
	assert_pauses(1000, 60000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pauses_double_and_no_two_agents_come_at_once),
		cmocka_unit_test(pauses_end_at_their_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
