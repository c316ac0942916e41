#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../user/base/log.h"

/* A packet pipe keeps what each write(2) brought apart. */
struct fixture {
	int out;
	int stderr_copy;
	char text[8192];
};

static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	int fds[2];

	if (pipe2(fds, O_DIRECT | O_CLOEXEC | O_NONBLOCK))
		return -1;
	fixture->stderr_copy = dup(STDERR_FILENO);
	fixture->out = fds[0];
	dup2(fds[1], STDERR_FILENO);
	close(fds[1]);
	*state = fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	dup2(fixture->stderr_copy, STDERR_FILENO);
	close(fixture->stderr_copy);
	close(fixture->out);
	log_set_level(LOG_LEVEL_INFO);
	free(fixture);
	return 0;
}

/* What one write brought, "" when there was none. */
static const char *one_write(struct fixture *fixture)
{
	ssize_t n = read(fixture->out, fixture->text, sizeof(fixture->text) - 1);

	fixture->text[n < 0 ? 0 : n] = 0;
	return fixture->text;
}

static void each_level_has_its_word_in_one_write(void **state)
{
	struct fixture *fixture = *state;

	log_set_level(LOG_LEVEL_DEBUG);
	log_error("a %d", 1);
	log_warn("b");
	log_info("c");
	log_debug("d %s", "x");
	assert_string_equal(one_write(fixture), "logtap: error: a 1\n");
	assert_string_equal(one_write(fixture), "logtap: warning: b\n");
	assert_string_equal(one_write(fixture), "logtap: c\n");
	assert_string_equal(one_write(fixture), "logtap: debug: d x\n");
	assert_string_equal(one_write(fixture), "");
}

static void what_is_above_the_level_is_not_printed(void **state)
{
	struct fixture *fixture = *state;

	assert_false(log_enabled(LOG_LEVEL_DEBUG));
	log_debug("no");
	log_set_level(LOG_LEVEL_ERROR);
	log_warn("no");
	log_error("yes");
	assert_string_equal(one_write(fixture), "logtap: error: yes\n");
	assert_string_equal(one_write(fixture), "");
}

static void a_long_message_is_cut_and_still_ends(void **state)
{
	struct fixture *fixture = *state;
	char *text = malloc(5001);

	memset(text, 'x', 5000);
	text[5000] = 0;
	log_error("%s", text);
	one_write(fixture);
	assert_int_equal(strlen(fixture->text), 2048);
	assert_string_equal(fixture->text + 2046, "x\n");
	free(text);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static void what_others_wrote_makes_no_line_of_its_own(void **state)
{
	struct fixture *fixture = *state;

	log_warn("%s", "a\nlogtap: b\x1b[2J\x7f\xc3\xa9");
	assert_string_equal(one_write(fixture), "logtap: warning: a?logtap: b?[2J?\xc3\xa9\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_level_has_its_word_in_one_write),
		TEST(what_others_wrote_makes_no_line_of_its_own),
		TEST(what_is_above_the_level_is_not_printed),
		TEST(a_long_message_is_cut_and_still_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
