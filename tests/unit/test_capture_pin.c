#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "../../user/capture/capture_pin.h"

#define LINE "3: FLOCK  ADVISORY  WRITE 1234 00:1f:5678 0 EOF\n"

static void the_holder_of_a_lock_is_found_by_device_and_inode(void **state)
{
	(void)state;
	assert_int_equal(capture_pin__lock_holder(LINE, makedev(0, 0x1f), 5678), 1234);
	assert_int_equal(capture_pin__lock_holder(LINE, makedev(0, 0x1e), 5678), 0);
	assert_int_equal(capture_pin__lock_holder(LINE, makedev(1, 0x1f), 5678), 0);
	assert_int_equal(capture_pin__lock_holder(LINE, makedev(0, 0x1f), 5679), 0);
}

static void other_lines_have_no_holder(void **state)
{
	static const char *const lines[] = {
		"", "\n", "3:", "3: POSIX  ADVISORY  WRITE 1234 00:1f:5678 0 EOF\n",
		"3: -> FLOCK  ADVISORY  WRITE 1234 00:1f:5678 0 EOF\n",
		"3: FLOCK  ADVISORY  READ  1234 00:1f:5678 0 EOF\n",
		"3: FLOCK  ADVISORY  WRITE -1 00:1f:5678 0 EOF\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		assert_int_equal(capture_pin__lock_holder(lines[i], makedev(0, 0x1f), 5678), 0);
}

static void a_directory_elsewhere_than_on_a_bpffs_is_refused_and_not_made(void **state)
{
	struct capture_pin *pin = NULL;
	pid_t holder = 1;

	(void)state;
	assert_int_equal(capture_pin__open("/dev/shm/logtap-no-bpffs", true, &holder, &pin), -ENOTSUP);
	assert_null(pin);
	assert_int_equal(holder, 0);
	assert_int_equal(access("/dev/shm/logtap-no-bpffs", F_OK), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_holder_of_a_lock_is_found_by_device_and_inode),
		cmocka_unit_test(other_lines_have_no_holder),
		cmocka_unit_test(a_directory_elsewhere_than_on_a_bpffs_is_refused_and_not_made),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
