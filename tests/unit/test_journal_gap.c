#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "../../user/journal/journal.h"
#include "../../user/record/journal_gap.h"

#define HEAD "{\"timestamp\":\"t\",\"id\":\"n.b.0.1.2"
#define VALUE HEAD "\",\"process\":{\"pid\":1,\"tid\":1},\"message\":\"x\"}"

static const struct journal_meta record = {
	.key_len = 3,
	.value_len = sizeof(VALUE) - 1,
	.head_len = sizeof(HEAD) - 1,
	.message_off = sizeof(VALUE) - 4,
	.message_len = 1,
	.raw_len = 2,
	.lines = 1,
	.stream = 77,
};

static void assert_gap(const char *value, const struct journal_meta *meta, uint64_t bytes,
		       uint64_t lines, const char *reason)
{
	json_t *json = json_loadb(value, meta->value_len, JSON_REJECT_DUPLICATES, NULL);
	json_t *lost = json_object_get(json, "lost");

	assert_non_null(json);
	assert_string_equal(json_string_value(json_object_get(json, "timestamp")), "t");
	assert_string_equal(json_string_value(json_object_get(json, "id")), "n.b.0.1.2.lost");
	assert_int_equal(json_object_size(json), 3);
	assert_int_equal(json_integer_value(json_object_get(lost, "bytes")), bytes);
	assert_int_equal(json_integer_value(json_object_get(lost, "lines")), lines);
	assert_string_equal(json_string_value(json_object_get(lost, "reason")), reason);
	assert_int_equal(json_object_size(lost), 3);
	assert_int_equal(meta->flags, JOURNAL_GAP);
	assert_int_equal(meta->key_len, record.key_len);
	assert_int_equal(meta->stream, record.stream);
	assert_int_equal(meta->raw_len, bytes);
	assert_int_equal(meta->lines, lines);
	assert_int_equal(meta->message_off, 0);
	json_decref(json);
}

static void a_gap_is_what_its_record_was_up_to_the_id(void **state)
{
	static const char *const reasons[] = { "journal_full", "expired", "refused" };
	char value[sizeof(HEAD) + JOURNAL_GAP_TAIL];
	struct journal_meta gap;

	(void)state;
	for (enum journal_loss why = JOURNAL_LOSS_FULL; why <= JOURNAL_LOSS_REFUSED; why++) {
		assert_int_equal(journal_gap__make(&record, VALUE, 1ull << 40, 7, why, value, &gap), 0);
		assert_gap(value, &gap, 1ull << 40, 7, reasons[why]);
	}
}

static void a_gap_of_a_gap_has_the_same_id(void **state)
{
	char first[sizeof(HEAD) + JOURNAL_GAP_TAIL], second[sizeof(first)];
	struct journal_meta gap, again;

	(void)state;
	assert_int_equal(journal_gap__make(&record, VALUE, 2, 1, JOURNAL_LOSS_FULL, first, &gap), 0);
	assert_int_equal(journal_gap__make(&gap, first, 9, 3, JOURNAL_LOSS_FULL, second, &again), 0);
	assert_gap(second, &again, 9, 3, "journal_full");
}

/* Merged with others, it tells as much as they did together. */
static void a_gap_of_the_nodes_stays_what_it_tells(void **state)
{
	char value[sizeof(HEAD) + JOURNAL_GAP_TAIL];
	struct journal_meta node = record;
	struct journal_meta gap;

	(void)state;
	node.stream = JOURNAL_NODE;
	assert_int_equal(journal_gap__make(&node, VALUE, 0, 7, JOURNAL_LOSS_FULL, value, &gap), 0);
	assert_int_equal(gap.lines, 7);
	assert_int_equal(gap.stream, JOURNAL_NODE);
	value[gap.value_len] = 0;
	assert_string_equal(strstr(value, "\"lost\""), "\"lost\":{\"bytes\":0,\"writes\":7,\"reason\":\"hooks_missed\"}}");
}

static void the_largest_numbers_fit(void **state)
{
	char value[sizeof(HEAD) + JOURNAL_GAP_TAIL];
	struct journal_meta gap;

	(void)state;
	assert_int_equal(journal_gap__make(&record, VALUE, UINT64_MAX, UINT64_MAX, JOURNAL_LOSS_FULL,
					   value, &gap),
			 0);
	assert_in_range(gap.value_len, gap.head_len + 1, gap.head_len + JOURNAL_GAP_TAIL - 1);
	assert_int_equal(value[gap.value_len - 1], '}');
}

static void a_record_without_a_head_has_no_gap(void **state)
{
	struct journal_meta headless = record;
	struct journal_meta gap;
	char value[512];

	(void)state;
	headless.head_len = 0;
	assert_int_equal(journal_gap__make(&headless, VALUE, 1, 1, JOURNAL_LOSS_FULL, value, &gap),
			 -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_gap_is_what_its_record_was_up_to_the_id),
		cmocka_unit_test(a_gap_of_a_gap_has_the_same_id),
		cmocka_unit_test(a_gap_of_the_nodes_stays_what_it_tells),
		cmocka_unit_test(the_largest_numbers_fit),
		cmocka_unit_test(a_record_without_a_head_has_no_gap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
