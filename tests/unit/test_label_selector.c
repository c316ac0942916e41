#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "identity/labels.h"
#include "selection/label_selector.h"

static bool matches(const char *text, const struct labels *labels)
{
	struct label_selector *selector = NULL;
	char problem[512] = "";
	bool matched;

	if (label_selector__parse(text, &selector, problem, sizeof(problem)))
		fail_msg("%s: %s", text, problem);
	matched = label_selector__matches(selector, labels);
	label_selector__free(selector);
	return matched;
}

static void the_syntax_is_kubernetes(void **state)
{
	/* Against app=web, tier=front, empty=, example.org/team=a.b-c_d, in=notin */
	static const struct {
		const char *selector;
		bool matches;
	} table[] = {
		{ "app=web", true },
		{ "app==web", true },
		{ "app = web", true },
		{ "  app\t==  web ", true },
		{ "app=api", false },
		{ "app=we", false },
		{ "app=webs", false },
		{ "app=WEB", false },
		{ "app!=web", false },
		{ "app != api", true },
		{ "nothing=x", false },
		{ "nothing!=x", true },
		{ "app", true },
		{ "ap", false },
		{ "nothing", false },
		{ "!app", false },
		{ "! nothing", true },
		{ "empty=", true },
		{ "empty", true },
		{ "app=", false },
		{ "empty!=", false },
		{ "app!=", true },
		{ "nothing=", false },
		{ "app in (web)", true },
		{ "app in (api, web)", true },
		{ "app in(api,web)", true },
		{ "app in (api,cron)", false },
		{ "nothing in (api)", false },
		{ "empty in (a,)", true },
		{ "empty in (,a)", true },
		{ "app in (,a)", false },
		{ "app notin (web)", false },
		{ "app notin (api, cron)", true },
		{ "nothing notin (api)", true },
		{ "empty notin (a,)", false },
		{ "example.org/team=a.b-c_d", true },
		{ "example.org/team in (x, a.b-c_d)", true },
		{ "team=a.b-c_d", false },
		{ "in=notin", true },
		{ "in", true },
		{ "in in (notin)", true },
		{ "in notin (notin)", false },
		{ "notin", false },
		{ "app=web,tier=front", true },
		{ "app=web,tier=back", false },
		{ "app=api,tier=front", false },
		{ "app=web , !nothing,tier in (front,back),empty=", true },
		{ "app=web,!tier", false },
		{ "app,app!=web", false },
		{ "empty=,app", true },
	};
	struct labels labels = { 0 };

	(void)state;
	labels__set(&labels, "app", "web");
	labels__set(&labels, "tier", "front");
	labels__set(&labels, "empty", "");
	labels__set(&labels, "example.org/team", "a.b-c_d");
	labels__set(&labels, "in", "notin");
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (matches(table[i].selector, &labels) != table[i].matches)
			fail_msg("%s: not %d", table[i].selector, table[i].matches);
	labels__free(&labels);
}

static void what_is_wrong_is_said(void **state)
{
	static const char name[] = "is no label's name; use up to 63 letters, digits, \"-\", \"_\" and \".\", "
				   "after a prefix and \"/\" where it has one";
	static const char value[] = "is no label's value; use up to 63 letters, digits, \"-\", \"_\" and \".\" "
				    "(globs are not for labels)";
	static const char relation[] = "comes one of =, ==, !=, in, notin; not";
	static const char parenthesis[] = "a \")\" is missing; quote the whole selector, as YAML ends it at the comma: "
					  "\"env in (a, b)\"";
	static const struct {
		const char *selector;
		const char *problem; /* part of it */
	} table[] = {
		{ "", "a label's name is missing before \"the end\"" },
		{ "  ", "a label's name is missing before \"the end\"" },
		{ "=a", "a label's name is missing before \"=a\"" },
		{ "!", "a label's name is missing before \"the end\"" },
		{ "!!a", "a label's name is missing before \"!a\"" },
		{ "a=b,", "a label's name is missing before \"the end\"" },
		{ ",a", "a label's name is missing before \",a\"" },
		{ "a,,b", "a label's name is missing before \",b\"" },
		{ "a*", name },
		{ "-a", name },
		{ "a-", name },
		{ "/a", name },
		{ "a/", name },
		{ "a/b/c", name },
		{ "A.org/b", name },
		{ "-a/b", name },
		{ "a b", relation },
		{ "a>1", relation },
		{ "a inn (b)", relation },
		{ "a (b)", relation },
		{ "a=b c", "\"c\" is too much; a comma joins two requirements" },
		{ "a=b=c", "\"=c\" is too much" },
		{ "!a=b", "\"=b\" is too much" },
		{ "a=(b)", "\"(b)\" is too much" },
		{ "a in (b))", "\")\" is too much" },
		{ "a=web*", value },
		{ "a=x/y", value },
		{ "a in (b, *)", value },
		{ "a=\xc3\xa4", value },
		{ "a in", "\"in\" and \"notin\" want values in parentheses" },
		{ "a notin b", "\"in\" and \"notin\" want values in parentheses" },
		{ "a in ()", "no value between the parentheses" },
		{ "a in (b", parenthesis },
		{ "a in (b c)", parenthesis },
		{ "a in (b,(c))", parenthesis },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct label_selector *selector = NULL;
		char problem[512] = "";

		if (label_selector__parse(table[i].selector, &selector, problem, sizeof(problem)) != -EINVAL)
			fail_msg("%s: not refused", table[i].selector);
		assert_null(selector);
		if (!strstr(problem, table[i].problem))
			fail_msg("%s: %s", table[i].selector, problem);
	}
}

static int parse(const char *text)
{
	struct label_selector *selector = NULL;
	char problem[512];
	int err = label_selector__parse(text, &selector, problem, sizeof(problem));

	label_selector__free(selector);
	return err;
}

static void what_is_too_long_is_refused(void **state)
{
	char text[1024] = "";

	(void)state;
	memset(text, 'a', 63);
	assert_int_equal(parse(text), 0);
	text[63] = 'a';
	assert_int_equal(parse(text), -EINVAL);
	memset(text, 'a', 255);
	text[253] = '/';
	assert_int_equal(parse(text), 0);
	text[253] = 'a';
	text[254] = '/';
	text[255] = 'a';
	assert_int_equal(parse(text), -EINVAL);
	/* 64 requirements, then one more. */
	memset(text, 0, sizeof(text));
	for (int i = 0; i < 64; i++)
		strcat(text, i ? ",a" : "a");
	assert_int_equal(parse(text), 0);
	strcat(text, ",a");
	assert_int_equal(parse(text), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_syntax_is_kubernetes),
		cmocka_unit_test(what_is_wrong_is_said),
		cmocka_unit_test(what_is_too_long_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
