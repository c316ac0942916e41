#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "capture/preemption.h"

static void the_version_tells_what_the_kernel_was_built_for(void **state)
{
	(void)state;
	assert_int_equal(preemption__built("#1 SMP PREEMPT_DYNAMIC Debian 6.18.15-1~bpo13+1 (2026-03-12)"),
			 PREEMPTION_CHOSEN);
	assert_int_equal(preemption__built("#1 SMP PREEMPT Debian"), PREEMPTION_YES);
	assert_int_equal(preemption__built("#1 SMP PREEMPT_RT Debian"), PREEMPTION_YES);
	assert_int_equal(preemption__built("#1 SMP PREEMPT_LAZY Debian"), PREEMPTION_YES);
	assert_int_equal(preemption__built("#1 SMP Debian 5.10.223-1"), PREEMPTION_NO);
	assert_int_equal(preemption__built(""), PREEMPTION_NO);
}

static unsigned long long find(const char *symbols, const char *name)
{
	FILE *file = fmemopen((void *)symbols, strlen(symbols), "r");
	unsigned long long address;

	assert_non_null(file);
	address = preemption__symbol(file, name);
	fclose(file);
	return address;
}

static void a_symbol_is_found_by_its_whole_name(void **state)
{
	static const char symbols[] = "ffffffff81000000 T _text\n"
				      "\n"
				      "nonsense\n"
				      "ffffffff82000000 d mode_name\n"
				      "ffffffff82000008 d mode\t[module]\n"
				      "ffffffff82000010 d mode\n";

	(void)state;
	assert_int_equal(find(symbols, "mode"), 0xffffffff82000008ULL);
	assert_int_equal(find(symbols, "mode_name"), 0xffffffff82000000ULL);
	assert_int_equal(find(symbols, "mode_"), 0);
}

static void a_hidden_symbol_has_no_address(void **state)
{
	(void)state;
	assert_int_equal(find("0000000000000000 d mode\n", "mode"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_version_tells_what_the_kernel_was_built_for),
		cmocka_unit_test(a_symbol_is_found_by_its_whole_name),
		cmocka_unit_test(a_hidden_symbol_has_no_address),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
