#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "journal/journal.h"
#include "kafka/kafka_limit.h"

#define HEAD "{\"stream\":\"stdout\",\"message\":\""
#define MARK "\",\"partial\":\"max_size\"}"

static struct journal_record make_record(char *value, size_t size, const char *message,
					 const char *tail)
{
	snprintf(value, size, HEAD "%s%s", message, tail);
	return (struct journal_record){
		.meta = {
			.key_len = 3,
			.value_len = strlen(value),
			.message_off = strlen(HEAD),
			.message_len = strlen(message),
		},
		.key = "key",
		.value = value,
	};
}

/* The limit at which `kept` bytes of the message remain. */
static size_t limit_for(const struct journal_record *record, size_t kept)
{
	return kafka_limit__encoded(record, strlen(HEAD) + kept + strlen(MARK), 0);
}

static void assert_cut(const char *message, const char *tail, size_t room, const char *expected)
{
	char value[512];
	struct journal_record record = make_record(value, sizeof(value), message, tail);
	size_t limit = limit_for(&record, room);
	char whole[512];
	size_t len;
	char *cut;

	assert_int_equal(kafka_limit__cut(&record, 0, limit, &cut, &len), 0);
	snprintf(whole, sizeof(whole), HEAD "%s" MARK, expected);
	assert_int_equal(len, strlen(whole));
	assert_memory_equal(cut, whole, len);
	assert_true(kafka_limit__encoded(&record, len, 0) <= limit);
	free(cut);
}

static void message_is_cut_and_marked(void **state)
{
	(void)state;
	assert_cut("one two three", "\"}", 7, "one two");
}

static void earlier_mark_is_replaced(void **state)
{
	(void)state;
	assert_cut("one two three", "\",\"partial\":\"timeout\"}", 7, "one two");
}

static void escape_is_not_split(void **state)
{
	(void)state;
	assert_cut("a \\u0000 b", "\"}", 5, "a ");
}

static void base64_is_cut_between_groups(void **state)
{
	(void)state;
	assert_cut("AAECAwQFBgcICQ==", "\"}", 7, "AAEC");
}

static void all_of_a_message_may_go(void **state)
{
	(void)state;
	assert_cut("one two three", "\"}", 0, "");
}

static void record_too_large_without_message_is_refused(void **state)
{
	char value[512];
	struct journal_record record = make_record(value, sizeof(value), "one", "\"}");
	size_t len;
	char *cut;

	(void)state;
	assert_int_equal(kafka_limit__cut(&record, 0, limit_for(&record, 0) - 1, &cut, &len),
			 -EMSGSIZE);
}

static void record_without_message_is_refused(void **state)
{
	char value[512];
	struct journal_record record = make_record(value, sizeof(value), "one", "\"}");
	size_t len;
	char *cut;

	(void)state;
	record.meta.message_off = 0;
	assert_int_equal(kafka_limit__cut(&record, 0, 10000, &cut, &len), -EMSGSIZE);
}

static void headers_and_key_count(void **state)
{
	char value[512];
	struct journal_record record = make_record(value, sizeof(value), "one", "\"}");
	size_t bare = kafka_limit__encoded(&record, 50, 0);

	(void)state;
	assert_int_equal(kafka_limit__encoded(&record, 50, 20), bare + 20);
	record.meta.key_len += 5;
	assert_int_equal(kafka_limit__encoded(&record, 50, 0), bare + 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(message_is_cut_and_marked),
		cmocka_unit_test(earlier_mark_is_replaced),
		cmocka_unit_test(escape_is_not_split),
		cmocka_unit_test(base64_is_cut_between_groups),
		cmocka_unit_test(all_of_a_message_may_go),
		cmocka_unit_test(record_too_large_without_message_is_refused),
		cmocka_unit_test(record_without_message_is_refused),
		cmocka_unit_test(headers_and_key_count),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
