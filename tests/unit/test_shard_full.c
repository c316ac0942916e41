/* A journal that is full: who waits, what is dropped, what is told of it and by whom. */
#include "shard_fixture.h"

/* Numbered lines: both segments full, and then some of the ring. Returns their number. */
static unsigned int fill_journal(struct fixture *fixture)
{
	unsigned int sent = 0;
	char text[1100];

	memset(text, 'x', sizeof(text));
	strcpy(text + sizeof(text) - 2, "\n");
	open_slot(fixture, 1);
	fixture->kernel->sink_waits = true;
	agent_starts(fixture);
	for (; sent < 2 * SEGMENT / 1340 + 10; sent++) {
		char number[16];

		/* In two: a half line that is completed when there is no space stays one. */
		sprintf(number, "%06u", sent);
		send_text(fixture, 1, 7, number);
		send_text(fixture, 1, 7, text + strlen(number));
	}
	/* Long enough for a tick to be due when it leaves. */
	usleep(1200000);
	return sent;
}

static void expect_numbers(struct fixture *fixture, unsigned int count)
{
	read_output(fixture);
	assert_int_equal(json_array_size(fixture->records), count);
	for (unsigned int i = 0; i < count; i++)
		assert_int_equal(strtoul(text_of(json_array_get(fixture->records, i), "message"), NULL, 10), i);
}

static void a_full_journal_does_not_keep_an_agent_from_leaving(void **state)
{
	struct fixture *fixture = *state;
	unsigned int sent;

	need_ring(fixture);
	sent = fill_journal(fixture);
	agent_ends(fixture, LEAVES);
	fixture->kernel->sink_waits = false;
	agent_starts(fixture);
	await_records(fixture, sent);
	agent_ends(fixture, FLUSHES);
	expect_numbers(fixture, sent);
}

/* The ring's, as its agents leave it. */
static uint64_t waiting_in(const struct fixture *fixture)
{
	struct ring *ring;
	uint64_t waiting;

	assert_int_equal(ring__open(fixture->capture.ring.ring_fd, RING_SIZE, &ring), 0);
	waiting = ring__waiting(ring);
	ring__free(ring);
	return waiting;
}

/* The journal is full, so that what waits in the ring stays there. */
static void what_an_agent_before_has_miscounted_is_settled(void **state)
{
	struct fixture *fixture = *state;
	struct stream_slot *slot;
	uint64_t waiting;

	need_ring(fixture);
	fill_journal(fixture);
	agent_is_killed(fixture);
	slot = &fixture->kernel->slots[1];
	slot->sent = 1 << 20;
	slot->consumed = 12345;
	waiting = waiting_in(fixture);
	assert_true(waiting > 1000);
	fixture->kernel->sink_waits = true;
	agent_starts(fixture);
	for (int i = 0; __atomic_load_n(&slot->consumed, __ATOMIC_ACQUIRE) != (1 << 20) - waiting; i++) {
		assert_true(i < 30000);
		usleep(1000);
	}
	fixture->kernel->sink_waits = false;
	agent_is_killed(fixture);
}

/* Else some of its lines would come again, under the same ids, but cut in another way. */
static void a_pause_lets_a_batch_end(void **state)
{
	struct fixture *fixture = *state;
	unsigned int sent;

	need_ring(fixture);
	sent = fill_journal(fixture);
	fixture->kernel->ending = PAUSES;
	usleep(300000);
	fixture->kernel->sink_waits = false;
	agent_ends(fixture, PAUSES);
	read_output(fixture);
	/* All that was read; the rest comes with the new limit. */
	assert_int_equal(fixture->copies, 0);
	fixture->config.lines.max_line = 600;
	agent_starts(fixture);
	agent_ends(fixture, FLUSHES);
	read_output(fixture);
	assert_true(json_array_size(fixture->records) >= sent);
	assert_int_equal(fixture->copies, 0);
}

static void only_what_found_no_space_is_said_to_be_abandoned(void **state)
{
	struct fixture *fixture = *state;
	unsigned int sent = 0;
	char text[32];

	need_ring(fixture);
	fixture->patience = 0;
	fixture->kernel->nap = 100000;
	fixture->kernel->sink_waits = true;
	open_slot(fixture, 1);
	agent_starts(fixture);
	for (; sent < 200; sent++) {
		sprintf(text, "%06u\n", sent);
		send_text(fixture, 1, 7, text);
	}
	agent_ends(fixture, FLUSHES);
	fixture->kernel->nap = 0;
	assert_false(was_said(fixture, "abandoned"));
	fixture->kernel->sink_waits = false;
	agent_starts(fixture);
	await_records(fixture, sent);
	agent_ends(fixture, LEAVES);
	expect_numbers(fixture, sent);
}

static void what_found_no_space_is_said_to_be_abandoned(void **state)
{
	struct fixture *fixture = *state;

	need_ring(fixture);
	fixture->patience = 0;
	fill_journal(fixture);
	agent_ends(fixture, FLUSHES);
	assert_true(was_said(fixture, "bytes of lines are abandoned"));
}

/* Lines of which the latest find no room; the writer is never held up. */
static unsigned int overfill_journal(struct fixture *fixture)
{
	unsigned int sent = 0;
	char text[1001];

	fixture->config.journal.when_full = WHEN_FULL_DROP_NEWEST;
	fixture->kernel->sink_waits = true;
	open_slot(fixture, 1);
	agent_starts(fixture);
	memset(text, 'x', sizeof(text));
	strcpy(text + sizeof(text) - 2, "\n");
	for (; sent < 4000; sent++) {
		memcpy(text, (char[]){ '0' + sent / 1000 % 10, '0' + sent / 100 % 10, '0' + sent / 10 % 10, '0' + sent % 10 }, 4);
		send_text(fixture, 1, 7, text);
	}
	return sent;
}

static unsigned int count_numbers(const struct fixture *fixture)
{
	unsigned int next = 0;
	size_t i;
	json_t *json;

	json_array_foreach(fixture->records, i, json) {
		const json_t *lost = json_object_get(json, "lost");

		if (!lost)
			assert_int_equal(strtoul(text_of(json, "message"), NULL, 10), next);
		next += lost ? json_integer_value(json_object_get(lost, "lines")) : 1;
	}
	return next;
}

/* Each line came or is told as lost, in its place. */
static void expect_numbers_or_gaps(struct fixture *fixture, unsigned int count)
{
	for (int i = 0; i < 300; i++) {
		read_output(fixture);
		if (count_numbers(fixture) == count)
			return;
		usleep(10000);
	}
	assert_int_equal(count_numbers(fixture), count);
}

/* The stream has ended when it is told. */
static void what_was_dropped_the_next_agent_tells(void **state)
{
	struct fixture *fixture = *state;
	unsigned int sent;

	need_ring(fixture);
	sent = overfill_journal(fixture);
	close_slot(fixture, 1);
	agent_ends(fixture, LEAVES);
	assert_int_equal(fixture->kernel->freed[1], 0);
	fixture->kernel->sink_waits = false;
	agent_starts(fixture);
	expect_numbers_or_gaps(fixture, sent);
	while (!fixture->kernel->freed[1])
		usleep(1000);
	agent_ends(fixture, LEAVES);
}

/* Another stream's, which loses what it writes in the ring, and ends. */
static void lose_in_the_ring(struct fixture *fixture)
{
	struct stream_slot *slot = &fixture->kernel->slots[2];

	open_slot(fixture, 2);
	send_text(fixture, 2, 8, "");
	slot->lost_bytes_by[LOSS_RING_FULL] = slot->lost_bytes = 500;
	slot->lost_writes_by[LOSS_RING_FULL] = slot->lost_writes = 2;
}

static unsigned int count_ring_gaps(struct fixture *fixture)
{
	unsigned int count = 0;
	json_t *json;
	size_t i;

	read_output(fixture);
	json_array_foreach(fixture->records, i, json) {
		const json_t *lost = json_object_get(json, "lost");

		count += lost && !strcmp(text_of(lost, "reason"), "ring_full") &&
			 json_integer_value(json_object_get(lost, "bytes")) == 500;
	}
	return count;
}

static void a_ring_loss_that_finds_no_room_keeps_its_slot(void **state)
{
	struct fixture *fixture = *state;

	need_ring(fixture);
	overfill_journal(fixture);
	lose_in_the_ring(fixture);
	close_slot(fixture, 2);
	usleep(1500000);
	assert_int_equal(fixture->kernel->freed[2], 0);
	fixture->kernel->sink_waits = false;
	for (int i = 0; i < 1000 && !fixture->kernel->freed[2]; i++)
		usleep(10000);
	assert_int_equal(fixture->kernel->freed[2], 1);
	agent_ends(fixture, LEAVES);
	assert_int_equal(count_ring_gaps(fixture), 1);
}

static void at_the_end_a_ring_loss_is_told_when_there_is_room(void **state)
{
	struct fixture *fixture = *state;

	need_ring(fixture);
	overfill_journal(fixture);
	lose_in_the_ring(fixture);
	fixture->kernel->ending = FLUSHES;
	usleep(100000);
	fixture->kernel->sink_waits = false;
	agent_ends(fixture, FLUSHES);
	assert_int_equal(count_ring_gaps(fixture), 1);
}

static void at_the_end_what_was_dropped_is_told_when_there_is_room(void **state)
{
	struct fixture *fixture = *state;
	unsigned int sent;

	need_ring(fixture);
	log_set_level(LOG_LEVEL_WARN);
	sent = overfill_journal(fixture);
	fixture->kernel->ending = FLUSHES;
	fixture->kernel->sink_waits = false;
	agent_ends(fixture, FLUSHES);
	expect_numbers_or_gaps(fixture, sent);
	assert_false(was_said(fixture, "not told in their logs yet"));
}

/* Capture is made anew meanwhile. */
static void else_it_is_said_and_told_by_the_next_agent(void **state)
{
	struct fixture *fixture = *state;
	unsigned int sent;

	need_ring(fixture);
	fixture->patience = 0;
	log_set_level(LOG_LEVEL_WARN);
	sent = overfill_journal(fixture);
	close_slot(fixture, 1);
	agent_ends(fixture, FLUSHES);
	assert_true(was_said(fixture, "not told in their logs yet"));
	real_ring__close(&fixture->capture.ring);
	assert_true(real_ring__open(&fixture->capture.ring, RING_SIZE));
	fixture->capture.epoch = 2;
	memset(fixture->kernel->slots, 0, sizeof(fixture->kernel->slots));
	fixture->kernel->sink_waits = false;
	agent_starts(fixture);
	expect_numbers_or_gaps(fixture, sent);
	agent_ends(fixture, LEAVES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_full_journal_does_not_keep_an_agent_from_leaving),
		TEST(what_an_agent_before_has_miscounted_is_settled),
		TEST(a_pause_lets_a_batch_end),
		TEST(only_what_found_no_space_is_said_to_be_abandoned),
		TEST(what_found_no_space_is_said_to_be_abandoned),
		TEST(what_was_dropped_the_next_agent_tells),
		TEST(a_ring_loss_that_finds_no_room_keeps_its_slot),
		TEST(at_the_end_a_ring_loss_is_told_when_there_is_room),
		TEST(at_the_end_what_was_dropped_is_told_when_there_is_room),
		TEST(else_it_is_said_and_told_by_the_next_agent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
