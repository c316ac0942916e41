#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../user/base/mounts.h"

#define DEV(major, minor) ((major) << 20 | (minor))

struct fixture {
	char directory[64];
	char mountinfo[80];
	struct mounts *mounts;
};

static void write_mountinfo(const struct fixture *fixture, const char *text)
{
	FILE *file = fopen(fixture->mountinfo, "w");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	strcpy(fixture->directory, "/tmp/logtap-mounts-XXXXXX");
	if (!mkdtemp(fixture->directory))
		return -1;
	snprintf(fixture->mountinfo, sizeof(fixture->mountinfo), "%s/mountinfo", fixture->directory);
	write_mountinfo(fixture,
			"22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
			"30 22 8:17 / /data rw - ext4 /dev/sdb1 rw\n"
			"31 22 0:35 / /run rw,nosuid shared:5 - tmpfs tmpfs rw\n");
	*state = fixture;
	return mounts__new(fixture->mountinfo, &fixture->mounts);
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	mounts__free(fixture->mounts);
	unlink(fixture->mountinfo);
	rmdir(fixture->directory);
	free(fixture);
	return 0;
}

static void assert_path(struct fixture *fixture, uint32_t dev, const char *path, const char *expected)
{
	char out[256] = "untouched";

	assert_int_equal(mounts__host_path(fixture->mounts, dev, path, out, sizeof(out)), 0);
	assert_string_equal(out, expected);
}

static void assert_none(struct fixture *fixture, uint32_t dev, const char *path)
{
	char out[256];

	assert_int_equal(mounts__host_path(fixture->mounts, dev, path, out, sizeof(out)), -ENOENT);
}

static void a_path_lies_below_its_file_systems_mount(void **state)
{
	struct fixture *fixture = *state;

	assert_path(fixture, DEV(8, 1), "/var/log/a.log", "/var/log/a.log");
	assert_path(fixture, DEV(8, 17), "/a.log", "/data/a.log");
	assert_path(fixture, DEV(0, 35), "/app/x", "/run/app/x");
}

static void the_kernels_device_number_is_meant(void **state)
{
	struct fixture *fixture = *state;

	write_mountinfo(fixture, "1 1 259:300 / /nvme rw - ext4 x rw\n");
	assert_path(fixture, 259u << 20 | 300, "/a", "/nvme/a");
	assert_none(fixture, 259u << 8 | 300, "/a");
}

static void of_several_mounts_the_one_of_most_is_named(void **state)
{
	struct fixture *fixture = *state;

	write_mountinfo(fixture,
			"1 1 8:1 /srv/logs /var/log/bound rw - ext4 /dev/sda1 rw\n"
			"2 1 8:1 /srv /srv2 rw - ext4 /dev/sda1 rw\n"
			"3 1 8:1 / /host rw - ext4 /dev/sda1 rw\n"
			"4 1 8:1 / /again rw - ext4 /dev/sda1 rw\n");
	assert_path(fixture, DEV(8, 1), "/srv/logs/a", "/host/srv/logs/a");
}

static void a_bind_mount_of_a_part_holds_that_part_only(void **state)
{
	struct fixture *fixture = *state;

	write_mountinfo(fixture, "1 1 8:1 /srv/logs /mnt rw - ext4 /dev/sda1 rw\n");
	assert_path(fixture, DEV(8, 1), "/srv/logs/x/a", "/mnt/x/a");
	/* A single file may be mounted. */
	assert_path(fixture, DEV(8, 1), "/srv/logs", "/mnt");
	assert_none(fixture, DEV(8, 1), "/srv/logs2/a");
	assert_none(fixture, DEV(8, 1), "/srv/log");
	assert_none(fixture, DEV(8, 1), "/elsewhere");
}

static void escapes_are_undone(void **state)
{
	struct fixture *fixture = *state;

	write_mountinfo(fixture,
			"1 1 8:1 /a\\040root /my\\040disk\\011x rw - ext4 /dev/sda1 rw\n"
			"2 1 8:2 / /back\\134040slash rw - ext4 /dev/sda2 rw\n"
			"3 1 8:3 / /not\\4\\08an\\escape\\ rw - ext4 /dev/sda2 rw\n");
	assert_path(fixture, DEV(8, 1), "/a root/f", "/my disk\tx/f");
	assert_path(fixture, DEV(8, 2), "/f", "/back\\040slash/f");
	assert_path(fixture, DEV(8, 3), "/f", "/not\\4\\08an\\escape\\/f");
}

static void an_unknown_device_makes_it_look_again(void **state)
{
	struct fixture *fixture = *state;

	assert_none(fixture, DEV(7, 7), "/a");
	write_mountinfo(fixture, "1 1 7:7 / /new rw - ext4 x rw\n");
	assert_path(fixture, DEV(7, 7), "/a", "/new/a");
	/* What was there before has been forgotten with the old text. */
	assert_none(fixture, DEV(8, 17), "/a");
}

static void a_known_device_is_not_read_again(void **state)
{
	struct fixture *fixture = *state;

	assert_path(fixture, DEV(8, 17), "/a", "/data/a");
	unlink(fixture->mountinfo);
	assert_path(fixture, DEV(8, 17), "/b", "/data/b");
}

static void without_mountinfo_the_error_is_the_files(void **state)
{
	struct fixture *fixture = *state;
	char out[256] = "untouched";

	unlink(fixture->mountinfo);
	assert_int_equal(mounts__host_path(fixture->mounts, DEV(8, 1), "/a", out, sizeof(out)), -ENOENT);
	assert_string_equal(out, "untouched");
}

static void lines_that_make_no_sense_are_passed_over(void **state)
{
	struct fixture *fixture = *state;

	write_mountinfo(fixture, "\nx\n1 1 8:1\n1 1 8:1 /root\n1 1 81 / /no rw\n5 1 8:1 / /yes rw - a b c\n1 1 8:1 /");
	assert_path(fixture, DEV(8, 1), "/a", "/yes/a");
}

static void a_path_too_long_is_an_error(void **state)
{
	struct fixture *fixture = *state;
	char out[8];

	/* "/data/a" and its NUL just fit. */
	assert_int_equal(mounts__host_path(fixture->mounts, DEV(8, 17), "/a", out, sizeof(out)), 0);
	assert_string_equal(out, "/data/a");
	assert_int_equal(mounts__host_path(fixture->mounts, DEV(8, 17), "/ab", out, sizeof(out)),
			 -ENAMETOOLONG);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_path_lies_below_its_file_systems_mount),
		TEST(the_kernels_device_number_is_meant),
		TEST(of_several_mounts_the_one_of_most_is_named),
		TEST(a_bind_mount_of_a_part_holds_that_part_only),
		TEST(escapes_are_undone),
		TEST(an_unknown_device_makes_it_look_again),
		TEST(a_known_device_is_not_read_again),
		TEST(without_mountinfo_the_error_is_the_files),
		TEST(lines_that_make_no_sense_are_passed_over),
		TEST(a_path_too_long_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
