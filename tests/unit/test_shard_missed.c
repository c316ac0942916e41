/* Writes that hooks missed: the node's gap tells them, once, whoever of its agents does. */
#include "shard_fixture.h"

static void expect_gap(struct fixture *fixture, size_t index, unsigned int writes, const char *id)
{
	const json_t *gap = json_array_get(fixture->records, index);
	const json_t *lost = json_object_get(gap, "lost");

	assert_int_equal(json_integer_value(json_object_get(lost, "writes")), writes);
	assert_int_equal(json_integer_value(json_object_get(lost, "bytes")), 0);
	assert_string_equal(text_of(lost, "reason"), "hooks_missed");
	assert_string_equal(text_of(gap, "id"), id);
	assert_string_equal(text_of(gap, "host"), "n");
	assert_null(json_object_get(gap, "stream"));
	assert_null(json_object_get(gap, "source_type"));
}

static void runs_to_the_end(struct fixture *fixture, size_t records)
{
	agent_starts(fixture);
	agent_ends(fixture, FLUSHES);
	read_output(fixture);
	assert_int_equal(json_array_size(fixture->records), records);
}

static void what_hooks_missed_is_told_once(void **state)
{
	struct fixture *fixture = *state;

	need_ring(fixture);
	runs_to_the_end(fixture, 0);
	fixture->kernel->missed = 7;
	runs_to_the_end(fixture, 1);
	expect_gap(fixture, 0, 7, "a.b.0.1.gap.ffffffff.0.7");
	runs_to_the_end(fixture, 1);
	fixture->kernel->missed = 9;
	runs_to_the_end(fixture, 2);
	expect_gap(fixture, 1, 2, "a.b.0.1.gap.ffffffff.0.9");
	/* It turns out that there were fewer. */
	fixture->kernel->missed = 8;
	runs_to_the_end(fixture, 2);
	assert_int_equal(fixture->kernel->missed_told.told, 9);
}

static void an_agent_that_goes_on_tells_what_two_looks_find(void **state)
{
	struct fixture *fixture = *state;

	need_ring(fixture);
	fixture->kernel->missed = 1000;
	agent_starts(fixture);
	/* After the first look. */
	while (!*(volatile uint32_t *)&fixture->kernel->missed_looks)
		usleep(1000);
	fixture->kernel->missed = 3;
	await_records(fixture, 1);
	expect_gap(fixture, 0, 3, "a.b.0.1.gap.ffffffff.0.3");
	agent_ends(fixture, LEAVES);
}

static void killed_before_or_behind_its_commit_it_is_told_once(void **state)
{
	struct fixture *fixture = *state;

	need_ring(fixture);
	fixture->kernel->missed = 7;
	agent_starts(fixture);
	agent_dies(fixture, DIES_BEHIND_COMMIT);
	fixture->kernel->missed = 9;
	runs_to_the_end(fixture, 2);
	expect_gap(fixture, 0, 7, "a.b.0.1.gap.ffffffff.0.7");
	expect_gap(fixture, 1, 2, "a.b.0.1.gap.ffffffff.0.9");
	fixture->kernel->missed = 12;
	agent_starts(fixture);
	agent_dies(fixture, DIES_BEFORE_COMMIT);
	fixture->kernel->missed = 13;
	runs_to_the_end(fixture, 3);
	expect_gap(fixture, 2, 4, "a.b.0.1.gap.ffffffff.0.d");
}

/* Records, of which the latest find no room: the journal is full up to the end. */
static void fill_journal(struct fixture *fixture)
{
	char text[1001];

	fixture->config.journal.when_full = WHEN_FULL_DROP_NEWEST;
	fixture->kernel->sink_waits = true;
	open_slot(fixture, 1);
	agent_starts(fixture);
	memset(text, 'x', sizeof(text));
	strcpy(text + sizeof(text) - 2, "\n");
	for (unsigned int i = 0; i < 4000; i++)
		send_text(fixture, 1, 7, text);
}

static void at_the_end_room_is_waited_for(void **state)
{
	struct fixture *fixture = *state;

	need_ring(fixture);
	fill_journal(fixture);
	fixture->kernel->missed = 7;
	fixture->kernel->ending = FLUSHES;
	usleep(100000);
	fixture->kernel->sink_waits = false;
	agent_ends(fixture, FLUSHES);
	read_output(fixture);
	assert_int_equal(fixture->kernel->missed_told.told, 7);
	expect_gap(fixture, json_array_size(fixture->records) - 1, 7, "a.b.0.1.gap.ffffffff.0.7");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_hooks_missed_is_told_once),
		TEST(killed_before_or_behind_its_commit_it_is_told_once),
		TEST(an_agent_that_goes_on_tells_what_two_looks_find),
		TEST(at_the_end_room_is_waited_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
