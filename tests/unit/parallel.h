/*
 * Runs the tests of a program each in a process of its own, some at once: for those that mostly
 * wait. The output is as of one cmocka group, in the order of the list.
 */
#ifndef LOGTAP_PARALLEL_H
#define LOGTAP_PARALLEL_H

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define PARALLEL_AT_ONCE 6
#define PARALLEL_PATIENCE_S 300

struct parallel_test {
	pid_t pid;
	FILE *output;
	int status;
};

static inline void parallel__start(struct parallel_test *run, const struct CMUnitTest *test)
{
	run->output = tmpfile();
	fflush(stdout);
	run->pid = fork();
	if (run->pid)
		return;
	alarm(PARALLEL_PATIENCE_S);
	dup2(fileno(run->output), STDOUT_FILENO);
	dup2(fileno(run->output), STDERR_FILENO);
	exit(_cmocka_run_group_tests(test->name, test, 1, NULL, NULL));
}

/* Prints the test's own lines and what it said; the group's are summed up for all. One that was ended has no word of its own on that. */
static inline void parallel__show(const char *name, struct parallel_test *run, bool *skipped)
{
	char line[4096];

	rewind(run->output);
	while (fgets(line, sizeof(line), run->output)) {
		bool sum = strstr(line, " test(s)");

		*skipped |= sum && !strncmp(line, "[  SKIPPED", 10);
		if (!sum)
			fputs(line, stdout);
	}
	fclose(run->output);
	if (WIFSIGNALED(run->status))
		printf("[  FAILED  ] %s: ended by signal %d%s\n", name, WTERMSIG(run->status),
		       WTERMSIG(run->status) == SIGALRM ? ", out of patience" : "");
}

static inline int parallel__wait(struct parallel_test *runs, size_t count)
{
	int status;
	pid_t pid = wait(&status);

	for (size_t i = 0; i < count; i++)
		if (runs[i].pid == pid)
			runs[i].status = status;
	return pid;
}

struct parallel_group {
	const struct CMUnitTest *tests;
	size_t count;
	size_t at_once;
};

struct parallel_sum {
	size_t passed;
	size_t failed;
	size_t skipped;
};

static inline void run_group(const struct parallel_group *group, const char *only,
			     struct parallel_sum *sum)
{
	struct parallel_test *runs = calloc(group->count, sizeof(*runs));
	size_t running = 0;

	for (size_t i = 0; i < group->count; i++) {
		if (only && strcmp(only, group->tests[i].name))
			continue;
		if (running == group->at_once && parallel__wait(runs, group->count) > 0)
			running--;
		parallel__start(&runs[i], &group->tests[i]);
		running++;
	}
	while (running && parallel__wait(runs, group->count) > 0)
		running--;
	for (size_t i = 0; i < group->count; i++) {
		bool skipped = false;

		if (!runs[i].pid)
			continue;
		parallel__show(group->tests[i].name, &runs[i], &skipped);
		if (runs[i].status)
			sum->failed++;
		else if (skipped)
			sum->skipped++;
		else
			sum->passed++;
	}
	free(runs);
}

/* The groups one after the other; with `only` just the test of that name. Returns how many failed. */
static inline int run_groups(const struct parallel_group *groups, size_t count, const char *only)
{
	struct parallel_sum sum = { 0, 0, 0 };

	for (size_t i = 0; i < count; i++)
		run_group(&groups[i], only, &sum);
	printf("[  PASSED  ] %zu test(s).\n", sum.passed);
	if (sum.skipped)
		printf("[  SKIPPED ] %zu test(s).\n", sum.skipped);
	if (sum.failed)
		printf("[  FAILED  ] %zu test(s).\n", sum.failed);
	return sum.failed;
}

static inline int run_in_parallel(const struct CMUnitTest *tests, size_t count, const char *only)
{
	const struct parallel_group group = { tests, count, PARALLEL_AT_ONCE };

	return run_groups(&group, 1, only);
}

/* How many lines with the text this process has written to stderr, which its own file keeps. */
static inline int said(const char *text)
{
	FILE *output = fopen("/proc/self/fd/2", "r");
	char line[4096];
	int count = 0;

	assert_non_null(output);
	while (fgets(line, sizeof(line), output))
		count += strncmp(line, "logtap: ", 8) == 0 && strstr(line, text);
	fclose(output);
	return count;
}

#endif
