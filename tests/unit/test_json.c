#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../fuzz/json_oracle.h"

/* The way without SSE2, beside the one that the agent was built with. */
#define JSON_PORTABLE
#define json__measure portable__measure
#define json__escape portable__escape
#define json__put portable__put
#define json__base64_len portable__base64_len
#define json__base64 portable__base64
#define json__cut portable__cut
struct json_shape json__measure(const char *text, size_t len);
char *json__escape(char *out, const char *text, size_t len, struct json_shape shape);
char *json__put(char *out, const char *text);
size_t json__base64_len(size_t len);
char *json__base64(char *out, const char *data, size_t len);
size_t json__cut(const char *escaped, size_t len, size_t max);
#include "../../user/base/json.c"
#undef json__measure
#undef json__escape
#undef json__put
#undef json__base64_len
#undef json__base64
#undef json__cut

static void check(const char *text, size_t len)
{
	char *exact = malloc(len + !len);
	const char *wrong;

	memcpy(exact, text, len);
	wrong = json_oracle__check(json__measure, json__escape, exact, len);
	if (!wrong)
		wrong = json_oracle__check(portable__measure, portable__escape, exact, len);
	free(exact);
	if (!wrong)
		return;
	print_error("%s:", wrong);
	for (size_t i = 0; i < len && i < 64; i++)
		print_error(" %02x", (unsigned char)text[i]);
	print_error("\n");
	fail();
}

static void assert_escaped(const char *text, size_t len, const char *expected)
{
	struct json_shape shape = json__measure(text, len);
	char out[256];

	assert_int_equal(shape.len, strlen(expected));
	assert_ptr_equal(json__escape(out, text, len, shape), out + shape.len);
	assert_memory_equal(out, expected, shape.len);
}

static void escapes_take_the_short_forms(void **state)
{
	(void)state;
	assert_escaped("", 0, "");
	assert_escaped("plain / text \x7f", 14, "plain / text \x7f");
	assert_escaped("\b\t\n\f\r\"\\", 7, "\\b\\t\\n\\f\\r\\\"\\\\");
	assert_escaped("\0\x01\x1f\x0b", 4, "\\u0000\\u0001\\u001f\\u000b");
	assert_escaped("\xc3\xa9", 2, "\xc3\xa9");
}

static void assert_replaced(const char *text, const char *expected)
{
	assert_escaped(text, strlen(text), expected);
}

/* The examples of the Unicode standard, chapter 3.9 (U+FFFD substitution of maximal subparts). */
static void each_maximal_subpart_becomes_one_replacement(void **state)
{
	(void)state;
#define R "\xef\xbf\xbd"
	assert_replaced("a\xf1\x80\x80\xe1\x80\xc2"
			"b\x80"
			"c\x80\xbf"
			"d",
			"a" R R R "b" R "c" R R "d");
	assert_replaced("\xc0\xaf\xe0\x80\xbf\xf0\x81\x82"
			"A",
			R R R R R R R R "A");
	assert_replaced("\xed\xa0\x80\xed\xbf\xbf\xed\xaf"
			"A",
			R R R R R R R R "A");
	assert_replaced("\xf4\x91\x92\x93\xff"
			"A\x80\xbf"
			"B",
			R R R R R "A" R R "B");
	assert_replaced("\xe1\x80\xe2\xf0\x91\x92\xf1\xbf"
			"A",
			R R R R "A");
#undef R
}

static void every_byte_and_pair_survives_at_every_place(void **state)
{
	char text[40];

	(void)state;
	for (unsigned int pair = 0; pair < 0x10000; pair++) {
		size_t at = pair % 37;

		memset(text, 'x', sizeof(text));
		text[at] = pair >> 8;
		text[at + 1] = pair;
		check(text + at, 1);
		check(text + at, 2);
		check(text, sizeof(text));
		check(text, at + 2);
	}
}

static void every_lead_with_border_continuations_survives(void **state)
{
	static const unsigned char border[] = { 0x00, 0x22, 0x7f, 0x80, 0x8f, 0x90,
						0x9f, 0xa0, 0xbf, 0xc0, 0xf4, 0xff };
	const unsigned int n = sizeof(border);

	(void)state;
	for (unsigned int lead = 0x80; lead <= 0xff; lead++) {
		for (unsigned int i = 0; i < n * n * n; i++) {
			char text[] = { lead, border[i % n], border[i / n % n], border[i / n / n] };

			check(text, 3 + i % 2);
		}
	}
}

static void truncated_character_at_the_end_is_replaced(void **state)
{
	static const char *const whole[] = { "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80" };
	char text[80];

	(void)state;
	for (size_t before = 0; before < 64; before++) {
		for (size_t i = 0; i < 3; i++) {
			memset(text, 'y', before);
			for (size_t len = 0; len <= strlen(whole[i]); len++) {
				memcpy(text + before, whole[i], len);
				check(text, before + len);
			}
		}
	}
}

/* Bytes that need work are as likely as the rest, in places that differ each time. */
static void random_bytes_survive(void **state)
{
	static const char mix[] =
		"aaaaaaaa\"\\\n\t\x01\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\xff\xed\xa0";
	char text[300];

	(void)state;
	srand(7);
	for (int round = 0; round < 20000; round++) {
		size_t len = rand() % sizeof(text);
		int kind = rand() % 3;

		for (size_t i = 0; i < len; i++)
			text[i] = kind == 0   ? rand()
				  : kind == 1 ? mix[rand() % (sizeof(mix) - 1)]
					      : 'a' + rand() % 20;
		check(text, len);
	}
}

static void cut_never_tears_an_escape_or_a_character(void **state)
{
	static const char text[] =
		"ab\"\\\\\n\x01u\\u00\x02\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\\\\\\n\\";
	size_t len = sizeof(text) - 1;
	struct json_shape shape = json__measure(text, len);
	char escaped[256];
	size_t previous = 0;

	(void)state;
	json__escape(escaped, text, len, shape);
	for (size_t max = 0; max <= shape.len + 1; max++) {
		size_t cut = json__cut(escaped, shape.len, max);
		char quoted[258];
		json_t *value;

		assert_true(cut <= max && cut >= previous && max - cut < 6);
		snprintf(quoted, sizeof(quoted), "\"%.*s\"", (int)cut, escaped);
		value = json_loads(quoted, JSON_DECODE_ANY, NULL);
		assert_non_null(value);
		/*
		 * The longest one: what it decodes to is a prefix, and the next character would not
		 * fit.
		 */
		assert_memory_equal(json_string_value(value), text, json_string_length(value));
		json_decref(value);
		previous = cut;
	}
	assert_int_equal(previous, shape.len);
}

/* Each place where a character ends is a cut: so no cut is shorter than it must be. */
static void cut_keeps_all_that_fits(void **state)
{
	static const char *const part[] = { "a",        "\\\\", "\\u0001",          "\\n",
					    "\xc3\xa9", "\\\"", "\xe2\x82\xac",     "u",
					    "\\\\",     "\\\\", "\xf0\x9f\x98\x80", "\\u001f",
					    "0" };
	char escaped[128] = "";
	size_t end = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(part) / sizeof(part[0]); i++)
		strcat(escaped, part[i]);
	for (size_t i = 0; i < sizeof(part) / sizeof(part[0]); i++) {
		for (size_t max = end; max < end + strlen(part[i]); max++)
			assert_int_equal(json__cut(escaped, strlen(escaped), max), end);
		end += strlen(part[i]);
	}
	assert_int_equal(json__cut(escaped, strlen(escaped), end), end);
}

static void base64_is_that_of_rfc_4648(void **state)
{
	static const char *const example[][2] = { { "", "" },
						  { "f", "Zg==" },
						  { "fo", "Zm8=" },
						  { "foo", "Zm9v" },
						  { "foob", "Zm9vYg==" },
						  { "fooba", "Zm9vYmE=" },
						  { "foobar", "Zm9vYmFy" },
						  { "\xff\xfe\xfb\xf0", "//778A==" } };
	char out[16];

	(void)state;
	for (size_t i = 0; i < sizeof(example) / sizeof(example[0]); i++) {
		size_t len = strlen(example[i][0]);

		assert_int_equal(json__base64_len(len), strlen(example[i][1]));
		assert_ptr_equal(json__base64(out, example[i][0], len),
				 out + json__base64_len(len));
		assert_memory_equal(out, example[i][1], json__base64_len(len));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(escapes_take_the_short_forms),
		cmocka_unit_test(each_maximal_subpart_becomes_one_replacement),
		cmocka_unit_test(every_byte_and_pair_survives_at_every_place),
		cmocka_unit_test(every_lead_with_border_continuations_survives),
		cmocka_unit_test(truncated_character_at_the_end_is_replaced),
		cmocka_unit_test(random_bytes_survive),
		cmocka_unit_test(cut_never_tears_an_escape_or_a_character),
		cmocka_unit_test(cut_keeps_all_that_fits),
		cmocka_unit_test(base64_is_that_of_rfc_4648),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
