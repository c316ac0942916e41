#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/quantity.h"

static uint64_t parsed(enum quantity kind, const char *text)
{
	uint64_t value = 0;

	assert_int_equal(quantity__parse(kind, text, &value), 0);
	return value;
}

static void refuses(enum quantity kind, const char *text, int err)
{
	uint64_t value = 77;

	assert_int_equal(quantity__parse(kind, text, &value), err);
	assert_int_equal(value, 77);
}

static void sizes_are_bytes(void **state)
{
	(void)state;
	assert_int_equal(parsed(QUANTITY_SIZE, "0"), 0);
	assert_int_equal(parsed(QUANTITY_SIZE, "65536"), 65536);
	assert_int_equal(parsed(QUANTITY_SIZE, "12B"), 12);
	assert_int_equal(parsed(QUANTITY_SIZE, "64kB"), 64000);
	assert_int_equal(parsed(QUANTITY_SIZE, "64 KiB"), 65536);
	assert_int_equal(parsed(QUANTITY_SIZE, "2MB"), 2000000);
	assert_int_equal(parsed(QUANTITY_SIZE, "2mib"), 2097152);
	assert_int_equal(parsed(QUANTITY_SIZE, "3GB"), 3000000000);
	assert_int_equal(parsed(QUANTITY_SIZE, "3GiB"), 3221225472);
}

static void durations_are_milliseconds_and_need_a_unit(void **state)
{
	(void)state;
	assert_int_equal(parsed(QUANTITY_DURATION, "500ms"), 500);
	assert_int_equal(parsed(QUANTITY_DURATION, "5s"), 5000);
	assert_int_equal(parsed(QUANTITY_DURATION, "2m"), 120000);
	assert_int_equal(parsed(QUANTITY_DURATION, "1h"), 3600000);
	refuses(QUANTITY_DURATION, "5", -EINVAL);
}

static void anything_else_is_refused(void **state)
{
	static const char *const wrong[] = { "",     "MiB",   "-1",    "+1",    " 1",   "1.5MiB",
					     "1Mi",  "1M",    "0x10",  "1MiBx", "1e3",  "one" };

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		refuses(QUANTITY_SIZE, wrong[i], -EINVAL);
	refuses(QUANTITY_COUNT, "1KiB", -EINVAL);
	refuses(QUANTITY_SIZE, "18446744073709551616", -ERANGE);
	refuses(QUANTITY_SIZE, "17179869184GiB", -ERANGE);
	assert_int_equal(parsed(QUANTITY_SIZE, "18446744073709551615"), UINT64_MAX);
}

static void what_is_formatted_is_exact(void **state)
{
	static const uint64_t values[] = { 0,       1,       1000,    1023,      1024,
					   3211263, 3211264, 1 << 20, UINT64_MAX };
	char text[QUANTITY_TEXT];

	(void)state;
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		quantity__format(QUANTITY_SIZE, values[i], text);
		assert_int_equal(parsed(QUANTITY_SIZE, text), values[i]);
	}
	assert_string_equal(quantity__format(QUANTITY_SIZE, 3211264, text), "3136KiB");
	assert_string_equal(quantity__format(QUANTITY_SIZE, 16 << 20, text), "16MiB");
	assert_string_equal(quantity__format(QUANTITY_DURATION, 100, text), "100ms");
	assert_string_equal(quantity__format(QUANTITY_DURATION, 60000, text), "1m");
	assert_string_equal(quantity__format(QUANTITY_COUNT, 4096, text), "4096");
}

static void what_is_rounded_is_short(void **state)
{
	char text[QUANTITY_TEXT];

	(void)state;
	assert_string_equal(quantity__round(QUANTITY_SIZE, 3211264, text), "3.1MiB");
	assert_string_equal(quantity__round(QUANTITY_SIZE, (16 << 20) + 12288, text), "16.0MiB");
	assert_string_equal(quantity__round(QUANTITY_SIZE, 5, text), "5.0B");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_are_bytes),
		cmocka_unit_test(durations_are_milliseconds_and_need_a_unit),
		cmocka_unit_test(anything_else_is_refused),
		cmocka_unit_test(what_is_formatted_is_exact),
		cmocka_unit_test(what_is_rounded_is_short),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
