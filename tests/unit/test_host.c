#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <linux/capability.h>

#include "identity/host.h"

static void the_bracketed_word_is_the_lockdown_in_force(void **state)
{
	(void)state;
	assert_int_equal(host__parse_lockdown("[none] integrity confidentiality\n"), LOCKDOWN_NONE);
	assert_int_equal(host__parse_lockdown("none [integrity] confidentiality\n"),
			 LOCKDOWN_INTEGRITY);
	assert_int_equal(host__parse_lockdown("none integrity [confidentiality]\n"),
			 LOCKDOWN_CONFIDENTIALITY);
	assert_int_equal(host__parse_lockdown("none integrity confidentiality\n"),
			 LOCKDOWN_UNKNOWN);
	assert_int_equal(host__parse_lockdown(""), LOCKDOWN_UNKNOWN);
}

static void versions_compare_as_numbers(void **state)
{
	(void)state;
	assert_int_equal(host__parse_version("6.1.0-56-amd64"), HOST_VERSION(6, 1, 0));
	assert_int_equal(host__parse_version("5.10.28"), HOST_VERSION(5, 10, 28));
	assert_int_equal(host__parse_version("6.18-rc1"), HOST_VERSION(6, 18, 0));
	assert_int_equal(host__parse_version("6.12.43+deb12-cloud-amd64"), HOST_VERSION(6, 12, 43));
	assert_true(host__parse_version("5.9.16") < HOST_VERSION(5, 10, 0));
	assert_true(host__parse_version("4.19.999") < HOST_VERSION(5, 0, 0));
	assert_int_equal(host__parse_version("unknown"), 0);
}

static void effective_capabilities_are_read(void **state)
{
	uint64_t mask = 7;

	(void)state;
	assert_true(host__parse_capabilities(
		"Name:\tx\nCapPrm:\t0000000000000001\nCapEff:\t0000008000000004\n"
		"CapBnd:\t000001ffffffffff\n",
		&mask));
	assert_int_equal(mask, 1ULL << 39 | 1ULL << CAP_DAC_READ_SEARCH);
	mask = 7;
	assert_false(host__parse_capabilities("Name:\tCapEff: 1\n", &mask));
	assert_int_equal(mask, 7);
}

static void a_symbol_is_the_whole_name(void **state)
{
	(void)state;
	assert_true(host__line_has_symbol("ffffffff81234560 T __bpf_tramp_enter\n",
					  "__bpf_tramp_enter"));
	assert_true(host__line_has_symbol("0000000000000000 t f\t[mod]\n", "f"));
	assert_false(host__line_has_symbol("ffffffff81234560 T __bpf_tramp_enter_x\n",
					   "__bpf_tramp_enter"));
	assert_false(host__line_has_symbol("ffffffff81234560 T x__bpf_tramp_enter\n",
					   "__bpf_tramp_enter"));
	assert_false(host__line_has_symbol("garbage\n", "garbage"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_bracketed_word_is_the_lockdown_in_force),
		cmocka_unit_test(versions_compare_as_numbers),
		cmocka_unit_test(effective_capabilities_are_read),
		cmocka_unit_test(a_symbol_is_the_whole_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
