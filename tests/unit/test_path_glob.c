#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../user/base/path_glob.h"

static void assert_glob(bool expected, const char *glob, const char *path)
{
	if (path_glob__matches(glob, path) != expected)
		fail_msg("%s %s %s", glob, expected ? "does not match" : "matches", path);
}

static void yes(const char *glob, const char *path)
{
	assert_glob(true, glob, path);
}

static void no(const char *glob, const char *path)
{
	assert_glob(false, glob, path);
}

static void plain_text_matches_itself_only(void **state)
{
	(void)state;
	yes("/var/log/a.log", "/var/log/a.log");
	no("/var/log/a.log", "/var/log/a.log.1");
	no("/var/log/a.log", "/var/log/a.lo");
	no("/var/log/a.log", "/var/log/aXlog");
	no("/var/log/a.log", "");
	no("", "/");
}

static void a_star_stays_within_a_name(void **state)
{
	(void)state;
	yes("/log/*.log", "/log/a.log");
	yes("/log/*.log", "/log/.log");
	yes("/log/a*", "/log/a");
	yes("/*/a", "/log/a");
	yes("/log/*-*.log", "/log/a-b-c.log");
	yes("/log/*a*b*c", "/log/xaxabxbxcc");
	no("/log/*.log", "/log/x/a.log");
	no("/log/*", "/log/x/a");
	no("/*", "/log/a");
	no("/log/*b", "/log/abc");
}

static void a_question_mark_is_one_byte_of_a_name(void **state)
{
	(void)state;
	yes("/a?c", "/abc");
	no("/a?c", "/ac");
	no("/a?c", "/a/c");
	no("/ab?", "/ab");
}

static void two_stars_cross_directories(void **state)
{
	(void)state;
	yes("/var/**/a.log", "/var/x/a.log");
	yes("/var/**/a.log", "/var/x/y/z/a.log");
	yes("/var/**", "/var/x/y");
	yes("/var/**.log", "/var/x/y.log");
	yes("/**/log/**/*.gz", "/var/log/x/y.gz");
	yes("/**/x*/*b", "/x/a/xa/ab");
	no("/var/**/a.log", "/var/x/a.log.1");
	no("/var/**/a.log", "/var/x/ba.log");
	no("/var/**/a.log", "/usr/a.log");
	no("/var/**/x/*.log", "/var/x/y/a.log");
}

static void two_stars_may_be_no_directory(void **state)
{
	(void)state;
	yes("/var/**/a.log", "/var/a.log");
	yes("/**/a", "/a");
	yes("/var/**", "/var/");
	yes("/a/**/**/b", "/a/b");
	no("/var/**", "/var");
	/* Only where they stand between slashes. */
	no("/var/a**/b", "/var/ab");
	yes("/var/a**/b", "/var/a/b");
}

static void sets_hold_ranges_and_their_inverse(void **state)
{
	(void)state;
	yes("/[a-c]x", "/bx");
	no("/[a-c]x", "/dx");
	yes("/[!a-c]x", "/dx");
	no("/[!a-c]x", "/ax");
	yes("/[^a]", "/b");
	yes("/[abx-z]", "/y");
	yes("/[]a]", "/]");
	yes("/[!]a]", "/b");
	no("/[!]a]", "/]");
	yes("/[a-]", "/-");
	yes("/[\x80-\xff]", "/\xc3");
	no("/[a-c]x", "/b");
}

static void a_set_is_never_a_slash(void **state)
{
	(void)state;
	no("/a[!x]b", "/a/b");
	no("/a[+-9]b", "/a/b");
	/* What holds a slash is no set. */
	yes("/a[x/y]b", "/a[x/y]b");
	no("/a[x/y]b", "/axb");
	yes("/a[x-/y]b", "/a[x-/y]b");
}

static void a_set_without_an_end_is_a_bracket(void **state)
{
	(void)state;
	yes("/[ab", "/[ab");
	no("/[ab", "/a");
	yes("/a[", "/a[");
}

static void a_backslash_quotes(void **state)
{
	(void)state;
	yes("/a\\*b", "/a*b");
	no("/a\\*b", "/axb");
	yes("/\\[a]", "/[a]");
	no("/\\[a]", "/a");
	yes("/\\\\", "/\\");
	yes("/a\\", "/a\\");
	yes("/a\\b", "/ab");
}

/* The path is the container's choice, so this must end; the runner's patience is the limit. */
static void many_stars_against_a_long_name_end_soon(void **state)
{
	char path[1024], glob[512];
	size_t length = 0;

	(void)state;
	memset(path, 'a', sizeof(path) - 1);
	path[0] = '/';
	path[sizeof(path) - 1] = 0;
	for (int i = 0; i < 40; i++)
		length += sprintf(glob + length, "*a");
	strcpy(glob + length, "*b");
	glob[0] = '/';
	no(glob, path);
	length = 0;
	for (int i = 0; i < 20; i++)
		length += sprintf(glob + length, "/**/*a*");
	strcpy(glob + length, "b");
	for (size_t i = 2; i < sizeof(path) - 1; i += 2)
		path[i] = '/';
	no(glob, path);
}

/* --- the kernel's superset */

/* What the kernel half compares: the first and the last eight bytes of the name, NUL where there are none. */
static bool kernel_matches(const struct name_pattern *pattern, const char *name)
{
	char padded[8 + 256 + 8] = { 0 };
	size_t length = strlen(name);
	uint64_t head, tail;

	memcpy(padded + 8, name, length);
	memcpy(&head, padded + 8, 8);
	memcpy(&tail, padded + length, 8);
	return length >= pattern->length_min && (head & pattern->head_mask) == pattern->head &&
	       (tail & pattern->tail_mask) == pattern->tail;
}

static bool may_be_named(const char *glob, const char *path)
{
	const struct name_pattern pattern = path_glob__name_pattern(glob);

	return kernel_matches(&pattern, strrchr(path, '/') + 1);
}

static void the_name_pattern_tells_names_apart(void **state)
{
	(void)state;
	assert_true(may_be_named("/var/log/*.log", "/a.log"));
	assert_false(may_be_named("/var/log/*.log", "/a.txt"));
	assert_false(may_be_named("/var/log/*.log", "/log"));
	assert_true(may_be_named("/var/**/app-*", "/app-1"));
	assert_false(may_be_named("/var/**/app-*", "/ap"));
	assert_false(may_be_named("/var/log/app.log", "/bpp.log"));
	assert_false(may_be_named("/var/log/app.log", "/app.log.1"));
	assert_false(may_be_named("/x/very-long-name.log", "/very-lon.log"));
	assert_true(may_be_named("/x/a\\*b", "/a*b"));
	assert_true(may_be_named("/x/**", "/anything"));
}

static void deep_stars_inside_a_name_free_its_head(void **state)
{
	(void)state;
	assert_true(may_be_named("/var/app**.log", "/x.log"));
	assert_false(may_be_named("/var/app**.log", "/x.txt"));
	assert_true(may_be_named("/var/app**", "/x"));
}

static uint32_t random_state = 1;

static uint32_t pick(uint32_t n)
{
	random_state = random_state * 1664525 + 1013904223;
	return (random_state >> 8) % n;
}

static void random_text(char *out, const char *const bits[], unsigned int count)
{
	strcpy(out, "/");
	for (unsigned int n = 1 + pick(9); n > 0; n--)
		strcat(out, bits[pick(count)]);
}

static void what_matches_the_glob_matches_its_name_pattern(void **state)
{
	static const char *const globs[] = { "a", "b", "/", "*", "**", "?", "[ab]", "[!b]", "\\", "\\*", "[a",
					     "]", "log", ".", "[a/b]", "/**/", "a-b-long", "[a-", "-" };
	static const char *const paths[] = { "a", "b", "/", "*", "\\", "[", "]", "log", ".", "a-b-long", "-" };
	unsigned int matched = 0;

	(void)state;
	for (int i = 0; i < 300000; i++) {
		char glob[128], path[128];

		random_text(glob, globs, 19);
		random_text(path, paths, 11);
		if (!path_glob__matches(glob, path))
			continue;
		matched++;
		if (!may_be_named(glob, path))
			fail_msg("%s matches %s, whose name the kernel would pass over", glob, path);
	}
	assert_true(matched > 1000);
}

/* The same language, by plain recursion over all ways to read a star. */
static bool slow_matches(const char *glob, const char *path)
{
	if (!strncmp(glob, "/**/", 4) && *path == '/' && slow_matches(glob + 3, path))
		return true;
	if (!*glob)
		return !*path;
	if (*glob == '*') {
		bool deep = glob[1] == '*';

		for (;; path++) {
			if (slow_matches(glob + 1 + deep, path))
				return true;
			if (!*path || (*path == '/' && !deep))
				return false;
		}
	}
	if (!*path)
		return false;
	if (*glob == '?' ? *path == '/' : *glob != *path)
		return false;
	return slow_matches(glob + 1, path + 1);
}

static void stars_match_what_plain_recursion_matches(void **state)
{
	static const char *const globs[] = { "a", "b", "/", "*", "*", "**", "/**/", "/", "?" };
	static const char *const paths[] = { "a", "b", "/", "a", "/" };
	unsigned int matched = 0;

	(void)state;
	for (int i = 0; i < 300000; i++) {
		char glob[64], path[64];
		bool expected;

		random_text(glob, globs, 9);
		random_text(path, paths, 5);
		expected = slow_matches(glob, path);
		matched += expected;
		assert_glob(expected, glob, path);
	}
	assert_true(matched > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_text_matches_itself_only),
		cmocka_unit_test(a_star_stays_within_a_name),
		cmocka_unit_test(a_question_mark_is_one_byte_of_a_name),
		cmocka_unit_test(two_stars_cross_directories),
		cmocka_unit_test(two_stars_may_be_no_directory),
		cmocka_unit_test(sets_hold_ranges_and_their_inverse),
		cmocka_unit_test(a_set_is_never_a_slash),
		cmocka_unit_test(a_set_without_an_end_is_a_bracket),
		cmocka_unit_test(a_backslash_quotes),
		cmocka_unit_test(many_stars_against_a_long_name_end_soon),
		cmocka_unit_test(the_name_pattern_tells_names_apart),
		cmocka_unit_test(deep_stars_inside_a_name_free_its_head),
		cmocka_unit_test(what_matches_the_glob_matches_its_name_pattern),
		cmocka_unit_test(stars_match_what_plain_recursion_matches),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
