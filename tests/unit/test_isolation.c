#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../user/identity/isolation.h"

/* What is said on stderr of these; valid until the next call. */
static const char *said(const char *runtime, const char *again)
{
	static char text[1024];
	FILE *file = tmpfile();
	int before = dup(STDERR_FILENO);
	size_t len;

	assert_non_null(file);
	fflush(stderr);
	assert_true(dup2(fileno(file), STDERR_FILENO) >= 0);
	isolation__tell(runtime, "c1");
	isolation__tell(again, "c2");
	fflush(stderr);
	assert_true(dup2(before, STDERR_FILENO) >= 0);
	close(before);
	rewind(file);
	len = fread(text, 1, sizeof(text) - 1, file);
	text[len] = '\0';
	fclose(file);
	return text;
}

static void each_is_told_once_by_its_name(void **state)
{
	const char *text;

	(void)state;
	text = said("/usr/local/bin/containerd-shim-runsc-v1", "runsc");
	assert_non_null(strstr(text, "container c1 runs in gVisor"));
	assert_null(strstr(text, "c2"));
	text = said("/opt/kata/bin/containerd-shim-kata-v2", "io.containerd.kata.v2");
	assert_non_null(strstr(text, "container c1 runs in Kata"));
	assert_null(strstr(text, "c2"));
}

static void ordinary_runtimes_are_not_told(void **state)
{
	(void)state;
	assert_string_equal(said("/usr/bin/containerd-shim-runc-v2", "crun"), "");
	assert_string_equal(said(NULL, ""), "");
	assert_string_equal(said("/opt/katana/bin/runc", NULL), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ordinary_runtimes_are_not_told),
		cmocka_unit_test(each_is_told_once_by_its_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
