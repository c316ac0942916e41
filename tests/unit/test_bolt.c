#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../user/identity/bolt.h"
#include "bolt_fixture.h"

static struct bolt_image image;

static const char *const in_root[] = { NULL };
static const char *const in_bucket[] = { "bucket", NULL };

static int get(const char *const bucket[], const char *key, char **out)
{
	int fd = memfd_create("bolt", MFD_CLOEXEC);
	size_t length;
	int err;

	assert_int_equal(write(fd, image.bytes, sizeof(image.bytes)), sizeof(image.bytes));
	err = bolt__get(fd, bucket, key, 100, out, &length);
	if (!err)
		assert_int_equal(strlen(*out), length);
	close(fd);
	return err;
}

static void assert_value(const char *const bucket[], const char *key, const char *value)
{
	char *text = NULL;

	assert_int_equal(get(bucket, key, &text), 0);
	assert_string_equal(text, value);
	free(text);
}

static void assert_error(const char *const bucket[], const char *key, int err)
{
	char *text = NULL;

	assert_int_equal(get(bucket, key, &text), err);
	assert_null(text);
}

static unsigned char *page(unsigned int id)
{
	return image.bytes + id * BOLT_PAGE;
}

/* Two leaves below a branch; an inline bucket in the second. */
static int setup(void **state)
{
	static const char huge[200];
	unsigned char bucket[512] = { 0 };
	const struct bolt_item inner[] = { { .key = "key", .value = "inner", .length = 5 } };
	const struct bolt_item first[] = {
		{ .key = "a", .value = "1", .length = 1 },
		{ .key = "abc", .value = "2", .length = 1 },
	};
	struct bolt_item second[] = {
		{ .key = "bucket", .value = bucket, .bucket = true },
		{ .key = "huge", .value = huge, .length = sizeof(huge) },
		{ .key = "z", .value = "", .length = 0 },
	};
	const struct bolt_item root[] = { { .key = "a", .page = 4 }, { .key = "bucket", .page = 5 } };

	(void)state;
	memset(&image, 0, sizeof(image));
	second[0].length = 16 + bolt_write(bucket + 16, 0, BOLT_LEAF, inner, 1);
	bolt_write(page(3), 3, BOLT_BRANCH, root, 2);
	bolt_write(page(4), 4, BOLT_LEAF, first, 2);
	bolt_write(page(5), 5, BOLT_LEAF, second, 3);
	bolt_meta(&image, 3, 8);
	return 0;
}

static void keys_are_found_in_every_leaf(void **state)
{
	(void)state;
	assert_value(in_root, "a", "1");
	assert_value(in_root, "abc", "2");
	assert_value(in_root, "z", "");
	assert_error(in_root, "", -ENOENT);
	assert_error(in_root, "ab", -ENOENT);
	assert_error(in_root, "abcd", -ENOENT);
	assert_error(in_root, "zz", -ENOENT);
}

static void a_bucket_may_lie_in_its_element(void **state)
{
	static const char *const too_deep[] = { "bucket", "key", NULL };

	(void)state;
	assert_value(in_bucket, "key", "inner");
	assert_error(in_bucket, "a", -ENOENT);
	assert_error(too_deep, "key", -ENOENT);
	assert_error(in_root, "bucket", -ENOENT);
}

static void a_bucket_may_have_pages_of_its_own(void **state)
{
	static const char *const container[] = { "ctr", "c1", NULL };

	(void)state;
	bolt_podmans(&image, "c1", "{}", "{\"restartCount\":2}");
	assert_value(container, "state", "{\"restartCount\":2}");
	assert_error(container, "netns", -ENOENT);
}

static void what_is_too_long_is_refused(void **state)
{
	(void)state;
	assert_error(in_root, "huge", -EFBIG);
}

/* The latest transaction counts; of one that is being written the checksum is wrong. */
static void the_latest_valid_state_counts(void **state)
{
	const struct bolt_item other[] = { { .key = "a", .value = "new", .length = 3 } };

	(void)state;
	bolt_write(page(6), 6, BOLT_LEAF, other, 1);
	bolt_meta(&image, 6, 9);
	assert_value(in_root, "a", "new");
	page(1)[16 + 48]++;
	assert_value(in_root, "a", "1");
	bolt_meta(&image, 6, 7);
	assert_value(in_root, "a", "1");
	page(0)[16]++;
	assert_value(in_root, "a", "new");
	page(1)[16]++;
	assert_error(in_root, "a", -EBADMSG);
}

/* What lies where files of larger pages have their second one: whoever fills the database may have written it. */
static void what_values_say_is_no_state(void **state)
{
	const struct bolt_item other[] = { { .key = "a", .value = "forged", .length = 6 } };
	const uint32_t size = 2 * BOLT_PAGE;
	uint64_t hash = 14695981039346656037ull;

	(void)state;
	bolt_write(page(6), 6, BOLT_LEAF, other, 1);
	bolt_meta(&image, 3, 7);
	memcpy(page(2), page(1), 16 + 64);
	memcpy(page(2) + 16 + 8, &size, 4);
	memcpy(page(2) + 16 + 16, &(uint64_t){ 3 }, 8);
	memcpy(page(2) + 16 + 48, &(uint64_t){ 99 }, 8);
	for (int i = 0; i < 56; i++)
		hash = (hash ^ page(2)[16 + i]) * 1099511628211ull;
	memcpy(page(2) + 16 + 56, &hash, 8);
	assert_value(in_root, "a", "1");
}

static void damage_is_told(void **state)
{
	const struct bolt_item round[] = { { .key = "a", .page = 3 } };
	const struct bolt_item away[] = { { .key = "a", .page = UINT64_MAX } };
	const struct bolt_item meta[] = { { .key = "a", .page = 1 } };
	const uint32_t beyond = UINT32_MAX;

	bolt_write(page(3), 3, BOLT_BRANCH, round, 1);
	assert_error(in_root, "a", -EBADMSG);
	bolt_write(page(3), 3, BOLT_BRANCH, away, 1);
	assert_error(in_root, "a", -EBADMSG);
	bolt_write(page(3), 3, BOLT_BRANCH, meta, 1);
	assert_error(in_root, "a", -EBADMSG);
	page(3)[8] = 0x10;
	assert_error(in_root, "a", -EBADMSG);
	setup(state);
	memcpy(page(4) + 16 + 4, &beyond, 4);
	assert_error(in_root, "a", -EBADMSG);
	setup(state);
	memcpy(page(3) + 10, "\xff\xff", 2);
	assert_error(in_root, "zz", -EBADMSG);
}

/* The file ends within the value that an element tells of. */
static void a_file_that_is_cut_is_told(void **state)
{
	const struct bolt_item last[] = { { .key = "a", .value = "1234567890", .length = 10 } };
	char *text = NULL;
	size_t length;
	int fd = memfd_create("bolt", MFD_CLOEXEC);

	(void)state;
	bolt_write(page(6), 6, BOLT_LEAF, last, 1);
	bolt_meta(&image, 6, 9);
	assert_int_equal(write(fd, image.bytes, 6 * BOLT_PAGE + 16 + 16 + 5), 6 * BOLT_PAGE + 37);
	assert_int_equal(bolt__get(fd, in_root, "a", 100, &text, &length), -EBADMSG);
	assert_int_equal(ftruncate(fd, 10), 0);
	assert_int_equal(bolt__get(fd, in_root, "a", 100, &text, &length), -EBADMSG);
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(bolt__get(fd, in_root, "a", 100, &text, &length), -EBADMSG);
	assert_null(text);
	close(fd);
}

#define TEST(test) cmocka_unit_test_setup(test, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(keys_are_found_in_every_leaf),
		TEST(a_bucket_may_lie_in_its_element),
		TEST(a_bucket_may_have_pages_of_its_own),
		TEST(what_is_too_long_is_refused),
		TEST(the_latest_valid_state_counts),
		TEST(what_values_say_is_no_state),
		TEST(damage_is_told),
		TEST(a_file_that_is_cut_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
