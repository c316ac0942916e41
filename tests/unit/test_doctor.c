#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "doctor.h"

/* What a doctor's function writes; *status gets what it returns. The caller frees. */
static char *output_of(int (*function)(FILE *), int *status)
{
	char *text = NULL;
	size_t len;
	FILE *stream = open_memstream(&text, &len);

	assert_non_null(stream);
	*status = function(stream);
	fclose(stream);
	return text;
}

static unsigned int lines_beginning(const char *text, const char *word)
{
	unsigned int count = 0;

	for (const char *line = text; line && *line;
	     line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
		count += strncmp(line, word, strlen(word)) == 0;
	return count;
}

static void the_exit_status_says_whether_a_check_failed(void **state)
{
	int status;
	char *text = output_of(doctor__run, &status);

	(void)state;
	assert_int_equal(status, lines_beginning(text, "no  ") > 0);
	assert_non_null(strstr(text, status ? "logtap cannot capture on this host"
					    : "logtap can capture on this host"));
	free(text);
}

static void every_line_is_a_verdict(void **state)
{
	int status;
	char *text = output_of(doctor__run, &status);

	(void)state;
	/* But for the last, which sums up. */
	assert_int_equal(lines_beginning(text, ""), lines_beginning(text, "ok  ") +
							    lines_beginning(text, "no  ") +
							    lines_beginning(text, "--  ") + 1);
	assert_true(lines_beginning(text, "ok  kernel ") + lines_beginning(text, "no  kernel ") ==
		    1);
	free(text);
}

static void explaining_tells_the_failures_alone(void **state)
{
	int status;
	char *text = output_of(doctor__explain, &status);

	(void)state;
	assert_int_equal(status, *text != '\0');
	assert_int_equal(lines_beginning(text, ""), lines_beginning(text, "logtap: "));
	assert_null(strstr(text, "libbpf"));
	free(text);
}

/* In a process of a new pid namespace: 0 when the doctor says so, 77 when this user may not make one. */
static int examine_elsewhere(void)
{
	char *text;
	pid_t child;
	int status;

	if (unshare(CLONE_NEWPID))
		return 77;
	child = fork();
	if (child) {
		waitpid(child, &status, 0);
		return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
	}
	text = output_of(doctor__run, &status);
	return status != 1 || !strstr(text, "\nno  processes: this pid namespace is not the host's");
}

static void another_pid_namespace_than_the_hosts_is_a_failure(void **state)
{
	pid_t child = fork();
	int status;

	(void)state;
	if (!child)
		_exit(examine_elsewhere());
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_exit_status_says_whether_a_check_failed),
		cmocka_unit_test(every_line_is_a_verdict),
		cmocka_unit_test(explaining_tells_the_failures_alone),
		cmocka_unit_test(another_pid_namespace_than_the_hosts_is_a_failure),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
