#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sched.h>
#include <sys/mount.h>
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

/* Whether the doctor says in a new pid namespace, whose first process has prepared it: 0, or 77 when this user may not make one. */
static int examine_elsewhere(bool (*prepare)(void), const char *words)
{
	char *text;
	pid_t child;
	int status;

	if (unshare(CLONE_NEWPID | CLONE_NEWNS))
		return 77;
	child = fork();
	if (child) {
		waitpid(child, &status, 0);
		return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
	}
	if (prepare && !prepare())
		return 77;
	text = output_of(doctor__run, &status);
	return !strstr(text, words);
}

static void assert_said_elsewhere(bool (*prepare)(void), const char *words)
{
	pid_t child = fork();
	int status;

	if (!child)
		_exit(examine_elsewhere(prepare, words));
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void another_pid_namespace_than_the_hosts_is_a_failure(void **state)
{
	(void)state;
	assert_said_elsewhere(NULL, "\nno  processes: this pid namespace is not the host's");
}

static bool is_called(pid_t pid, const char *name)
{
	char path[32], comm[32] = "";
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	file = fopen(path, "r");
	if (!file)
		return false;
	if (!fgets(comm, sizeof(comm), file))
		comm[0] = '\0';
	fclose(file);
	comm[strcspn(comm, "\n")] = '\0';
	return strcmp(comm, name) == 0;
}

/* A program that is called containerd runs; it ends with the namespace. */
static bool run_containerd(void)
{
	pid_t child;

	if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) || mount("proc", "/proc", "proc", 0, NULL) ||
	    mount("tmpfs", "/mnt", "tmpfs", 0, NULL) || system("cp /bin/sleep /mnt/containerd"))
		return false;
	child = fork();
	if (!child) {
		execl("/mnt/containerd", "containerd", "100", NULL);
		_exit(1);
	}
	while (!is_called(child, "containerd") && waitpid(child, NULL, WNOHANG) == 0)
		;
	return is_called(child, "containerd");
}

static void a_node_that_is_a_container_has_a_runtime(void **state)
{
	(void)state;
	assert_said_elsewhere(run_containerd, "\nok  processes: those of a node that is a container itself");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_exit_status_says_whether_a_check_failed),
		cmocka_unit_test(every_line_is_a_verdict),
		cmocka_unit_test(explaining_tells_the_failures_alone),
		cmocka_unit_test(another_pid_namespace_than_the_hosts_is_a_failure),
		cmocka_unit_test(a_node_that_is_a_container_has_a_runtime),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
