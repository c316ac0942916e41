#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "capture/capture_marks.h"
#include "record.h"

static uint64_t marks[MARKS];

static uint64_t mark_of(pid_t pid)
{
	return (uint64_t)pid << 32 | 0x1234;
}

static pid_t ended(void)
{
	pid_t pid = fork();

	if (!pid)
		_exit(0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	return pid;
}

static void only_marks_of_the_dead_are_taken_away(void **state)
{
	pid_t gone = ended(), other = ended();

	(void)state;
	memset(marks, 0, sizeof(marks));
	marks[0] = mark_of(getpid());
	marks[1] = mark_of(1);
	marks[2] = mark_of(gone);
	marks[MARKS - 1] = mark_of(other);
	assert_int_equal(capture_marks__sweep(marks), 2);
	assert_int_equal(marks[0], mark_of(getpid()));
	assert_int_equal(marks[1], mark_of(1));
	assert_int_equal(marks[2], 0);
	assert_int_equal(marks[MARKS - 1], 0);
	assert_int_equal(capture_marks__sweep(marks), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_marks_of_the_dead_are_taken_away),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
