#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../user/identity/sqlite.h"
#include "sqlite_fixture.h"

#define MAX 100

/* From a file of its own, as the bytes may be changed. */
static int get_from(const char *bytes, size_t len, const char *table, const char *id, char **out)
{
	char *copy = malloc(len + 1);
	size_t length;
	int err;

	memcpy(copy, bytes, len);
	err = sqlite__text(copy, len, table, "JSON", id, MAX, out, &length);
	free(copy);
	if (!err)
		assert_int_equal(strlen(*out), length);
	return err;
}

static void assert_error(const char *statements, const char *table, int err)
{
	size_t len;
	char *bytes = sqlite_file_of(statements, &len), *text = NULL;

	assert_int_equal(get_from(bytes, len, table, "c1", &text), err);
	assert_null(text);
	sqlite3_free(bytes);
}

static void row_is_found_by_its_id(void **state)
{
	size_t len;
	char *bytes = sqlite_podmans("c1", "{\"a\":\"\xc3\xa9\"}", "{}", &len), *text;

	(void)state;
	assert_int_equal(get_from(bytes, len, "ContainerConfig", "c1", &text), 0);
	assert_string_equal(text, "{\"a\":\"\xc3\xa9\"}");
	free(text);
	assert_int_equal(get_from(bytes, len, "ContainerConfig", "c2", &text), -ENOENT);
	assert_int_equal(get_from(bytes, len, "ContainerConfig", "c1' OR '1", &text), -ENOENT);
	sqlite3_free(bytes);
}

static void what_is_too_long_is_left(void **state)
{
	(void)state;
	assert_error("CREATE TABLE t(ID, JSON); INSERT INTO t VALUES('c1', printf('%.*c', 101, 'x'))", "t", -EFBIG);
	assert_error("CREATE TABLE t(ID, JSON); INSERT INTO t VALUES('c1', zeroblob(1000000))", "t", -EFBIG);
	assert_error("CREATE TABLE t(ID, JSON); INSERT INTO t VALUES('c1', NULL)", "t", -ENOENT);
}

/* It would run for ever, or take all memory. */
static void schema_is_not_trusted(void **state)
{
	(void)state;
	assert_error("CREATE TABLE other(ID, JSON)", "t", -EBADMSG);
	assert_error("CREATE VIEW t(ID, JSON) AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
		     "SELECT 'c1', i FROM n WHERE i < 0", "t", -EBADMSG);
	assert_error("CREATE TABLE t(ID, JSON AS (zeroblob(900000000))); INSERT INTO t VALUES('c1')", "t", -EFBIG);
	/* No index, as Podman has: a million rows are read through. */
	assert_error("CREATE TABLE t(ID, JSON); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 1000000) "
		     "INSERT INTO t SELECT i, 'x' FROM n", "t", -EBADMSG);
}

static void what_is_no_database_is_damaged(void **state)
{
	char *text = NULL;

	(void)state;
	assert_int_equal(get_from("", 0, "t", "c1", &text), -EBADMSG);
	assert_int_equal(get_from("SQLite format 3", 16, "t", "c1", &text), -EBADMSG);
	assert_null(text);
}

/* Each byte in turn is another: nothing crashes, and what comes ends where it says. */
static void damage_is_no_crash(void **state)
{
	size_t len;
	char *bytes = sqlite_podmans("c1", "{\"labels\":{}}", "{}", &len);

	(void)state;
	for (size_t at = 0; at < len; at += at < 100 ? 1 : 37) {
		char kept = bytes[at], *text;

		for (unsigned int value = 0; value < 256; value += 51) {
			bytes[at] = (char)value;
			if (!get_from(bytes, len, "ContainerConfig", "c1", &text))
				free(text);
		}
		bytes[at] = kept;
	}
	for (size_t short_len = 0; short_len < len; short_len += 509) {
		char *text;

		if (!get_from(bytes, short_len, "ContainerConfig", "c1", &text))
			free(text);
	}
	sqlite3_free(bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(row_is_found_by_its_id),
		cmocka_unit_test(what_is_too_long_is_left),
		cmocka_unit_test(schema_is_not_trusted),
		cmocka_unit_test(what_is_no_database_is_damaged),
		cmocka_unit_test(damage_is_no_crash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
