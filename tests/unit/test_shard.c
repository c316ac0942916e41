#include "shard_fixture.h"

static void a_half_line_outlives_its_agent(void **state)
{
	struct fixture *fixture = *state;

	need_ring(fixture);
	open_slot(fixture, 1);
	agent_starts(fixture);
	send_name(fixture, 1, 7, "writer");
	send_text(fixture, 1, 7, "before\nbegun, ");
	await_records(fixture, 1);
	agent_is_killed(fixture);
	agent_starts(fixture);
	agent_ends(fixture, LEAVES);
	/* While no agent runs. */
	send_text(fixture, 1, 7, "goes on, ");
	agent_starts(fixture);
	send_text(fixture, 1, 7, "ended\n");
	await_records(fixture, 2);
	agent_ends(fixture, FLUSHES);
	read_output(fixture);
	assert_int_equal(json_array_size(fixture->records), 2);
	expect_record(fixture, 1, "begun, goes on, ended", "");
	assert_string_equal(text_of(json_object_get(json_array_get(fixture->records, 1), "process"), "name"), "writer");
	assert_int_equal(fixture->copies, 0);
}

static void streams_open_and_close_while_no_agent_runs(void **state)
{
	struct fixture *fixture = *state;

	need_ring(fixture);
	open_slot(fixture, 1);
	agent_starts(fixture);
	send_text(fixture, 1, 7, "first\nhalf");
	await_records(fixture, 1);
	agent_ends(fixture, LEAVES);
	assert_int_equal(fixture->kernel->slots[1].state, SLOT_OPEN);
	close_slot(fixture, 1);
	open_slot(fixture, 2);
	send_text(fixture, 2, 8, "second\n");
	close_slot(fixture, 2);
	open_slot(fixture, 3);
	send_text(fixture, 3, 9, "third\n");
	agent_starts(fixture);
	await_records(fixture, 4);
	while (fixture->kernel->freed[1] + fixture->kernel->freed[2] < 2)
		usleep(1000);
	assert_int_equal(fixture->kernel->slots[3].state, SLOT_OPEN);
	/* The slot's next life. */
	open_slot(fixture, 1);
	send_text(fixture, 1, 7, "fourth\n");
	await_records(fixture, 5);
	agent_ends(fixture, FLUSHES);
	read_output(fixture);
	expect_record(fixture, 0, "first", "");
	expect_record(fixture, 1, "second", "");
	expect_record(fixture, 2, "third", "");
	expect_record(fixture, 3, "half", "eof");
	expect_record(fixture, 4, "fourth", "");
	assert_string_equal(text_of(json_array_get(fixture->records, 4), "file"), "/app/1-2.log");
	assert_int_equal(json_array_size(fixture->records), 5);
}

/* A slot whose stream is told to its end, but that was not given back. */
static void what_is_finished_is_only_given_back(void **state)
{
	struct fixture *fixture = *state;

	need_ring(fixture);
	open_slot(fixture, 1);
	agent_starts(fixture);
	fixture->kernel->slots[1].lost_bytes = fixture->kernel->slots[1].lost_bytes_by[LOSS_FAULT] = 10;
	send_text(fixture, 1, 7, "half");
	close_slot(fixture, 1);
	await_records(fixture, 2);
	while (!fixture->kernel->freed[1])
		usleep(1000);
	agent_is_killed(fixture);
	/* As if killed just before it was. */
	fixture->kernel->slots[1].state = SLOT_CLOSED;
	fixture->kernel->slots[1].lost_bytes = fixture->kernel->slots[1].lost_bytes_by[LOSS_FAULT] = 10;
	agent_starts(fixture);
	while (fixture->kernel->freed[1] < 2)
		usleep(1000);
	agent_ends(fixture, LEAVES);
	read_output(fixture);
	assert_int_equal(json_array_size(fixture->records), 2);
}

static void another_epochs_half_lines_are_lost_under_its_ids(void **state)
{
	struct fixture *fixture = *state;

	need_ring(fixture);
	open_slot(fixture, 1);
	agent_starts(fixture);
	send_text(fixture, 1, 7, "whole\nhalf");
	await_records(fixture, 1);
	agent_ends(fixture, LEAVES);
	real_ring__close(&fixture->capture.ring);
	assert_true(real_ring__open(&fixture->capture.ring, RING_SIZE));
	fixture->capture.epoch = 2;
	memset(fixture->kernel->slots, 0, sizeof(fixture->kernel->slots));
	open_slot(fixture, 1);
	send_text(fixture, 1, 7, "new\n");
	agent_starts(fixture);
	await_records(fixture, 3);
	agent_ends(fixture, FLUSHES);
	read_output(fixture);
	assert_int_equal(json_array_size(fixture->records), 3);
	expect_record(fixture, 1, "half", "lost");
	assert_int_equal(strncmp(text_of(json_array_get(fixture->records, 1), "id"), "a.b.0.1.", 8), 0);
	expect_record(fixture, 2, "new", "");
	assert_int_equal(strncmp(text_of(json_array_get(fixture->records, 2), "id"), "a.b.0.2.", 8), 0);
}

/* Half lines of a shard that is no more: nothing runs, and its journal has them. */
static void a_shard_that_is_no_more_leaves_its_half_lines(void **state)
{
	struct fixture *fixture = *state;
	struct agent agent = { .fixture = fixture };
	struct shard_options options;

	need_ring(fixture);
	open_slot(fixture, 1);
	open_slot(fixture, 2);
	agent_starts(fixture);
	send_text(fixture, 1, 7, "whole\nhalf");
	send_text(fixture, 2, 8, "another whole\nanother half");
	await_records(fixture, 2);
	agent_is_killed(fixture);
	fixture->capture.epoch = 2;
	open_files(&agent, "a.b.0.2.");
	options = shard_options(&agent, "a.b.0.2.");
	assert_int_equal(shard__wind_up(&options), 0);
	while (deliver(&agent))
		;
	journal__close(agent.journal);
	checkpoint__remove(agent.checkpoint);
	close(agent.data_fd);
	close(agent.space_fd);
	close(agent.output);
	read_output(fixture);
	assert_int_equal(json_array_size(fixture->records), 4);
	expect_record(fixture, 2, "half", "lost");
	expect_record(fixture, 3, "another half", "lost");
	assert_int_equal(strncmp(text_of(json_array_get(fixture->records, 3), "id"), "a.b.0.1.", 8), 0);
}

static void exclude(struct fixture *fixture, const char *glob)
{
	fixture->excluded[0] = (char *)glob;
	fixture->config.capture.exclude_files = fixture->excluded;
	fixture->config.capture.exclude_files_count = glob != NULL;
}

static void await_count(const uint32_t *count, uint32_t wanted)
{
	for (int i = 0; *(const volatile uint32_t *)count < wanted; i++) {
		assert_true(i < 30000);
		usleep(1000);
	}
}

static void what_is_no_longer_selected_comes_out_to_its_end_and_goes(void **state)
{
	struct fixture *fixture = *state;

	need_ring(fixture);
	open_slot(fixture, 1);
	open_slot(fixture, 2);
	/* Never read before the change: its path is not saved. */
	open_slot(fixture, 3);
	agent_starts(fixture);
	send_text(fixture, 1, 7, "one\nhalf ");
	send_text(fixture, 2, 8, "two\nhalf ");
	await_records(fixture, 2);
	agent_ends(fixture, PAUSES);
	send_text(fixture, 1, 7, "a line\nlast half");
	send_text(fixture, 3, 9, "three\n");
	exclude(fixture, "/app/[13]-*");
	agent_starts(fixture);
	await_count(&fixture->kernel->withdrawn[1], 1);
	await_count(&fixture->kernel->withdrawn[3], 1);
	await_count(&fixture->kernel->freed[1], 1);
	await_count(&fixture->kernel->freed[3], 1);
	send_text(fixture, 2, 8, "a line\n");
	await_records(fixture, 6);
	agent_ends(fixture, FLUSHES);
	read_output(fixture);
	assert_int_equal(json_array_size(fixture->records), 6);
	expect_record(fixture, 2, "half a line", "");
	expect_record(fixture, 3, "three", "");
	expect_record(fixture, 4, "last half", "eof");
	expect_record(fixture, 5, "half a line", "");
	assert_string_equal(text_of(json_array_get(fixture->records, 3), "file"), "/app/3-1.log");
	assert_int_equal(fixture->kernel->withdrawn[2], 0);
}

/* The kernel half has forgotten it: a file that is selected again is another stream. */
static void what_was_withdrawn_goes_even_when_it_is_selected_again(void **state)
{
	struct fixture *fixture = *state;

	need_ring(fixture);
	open_slot(fixture, 1);
	agent_starts(fixture);
	send_text(fixture, 1, 7, "one\nhalf");
	await_records(fixture, 1);
	agent_ends(fixture, PAUSES);
	exclude(fixture, "/app/*");
	agent_starts(fixture);
	await_count(&fixture->kernel->withdrawn[1], 1);
	agent_is_killed(fixture);
	exclude(fixture, NULL);
	agent_starts(fixture);
	await_count(&fixture->kernel->freed[1], 1);
	agent_ends(fixture, FLUSHES);
	read_output(fixture);
	assert_int_equal(json_array_size(fixture->records), 2);
	expect_record(fixture, 1, "half", "eof");
}

static void what_was_withdrawn_stays_while_writes_to_it_may_be_under_way(void **state)
{
	struct fixture *fixture = *state;

	need_ring(fixture);
	open_slot(fixture, 1);
	open_slot(fixture, 2);
	exclude(fixture, "/app/1-*");
	fixture->kernel->in_grace = true;
	agent_starts(fixture);
	await_count(&fixture->kernel->withdrawn[1], 1);
	/* It has gone round since. */
	send_text(fixture, 2, 7, "one\n");
	await_records(fixture, 1);
	send_text(fixture, 2, 7, "two\n");
	await_records(fixture, 2);
	assert_int_equal(fixture->kernel->freed[1], 0);
	__atomic_store_n(&fixture->kernel->in_grace, false, __ATOMIC_RELEASE);
	await_count(&fixture->kernel->freed[1], 1);
	agent_ends(fixture, FLUSHES);
}

/* An idle tick, once a second, may settle it meanwhile: then it is tried again. */
static void a_record_counts_as_all_that_it_takes_of_the_ring(void **state)
{
	static const char text[] = "13 bytes and\n";
	struct fixture *fixture = *state;
	const uint64_t taken = (sizeof(struct record) + strlen(text) + 8 + 7) & ~7ULL;
	const uint64_t *consumed;
	uint64_t before, now;

	need_ring(fixture);
	open_slot(fixture, 1);
	consumed = (const uint64_t *)&fixture->kernel->slots[1].consumed;
	agent_starts(fixture);
	/* The first brings a record of its writer. */
	send_text(fixture, 1, 7, text);
	await_records(fixture, 1);
	for (unsigned int i = 2;; i++) {
		assert_true(i < 20);
		before = __atomic_load_n(consumed, __ATOMIC_ACQUIRE);
		send_text(fixture, 1, 7, text);
		await_records(fixture, i);
		for (int tries = 0; tries < 200 && (now = __atomic_load_n(consumed, __ATOMIC_ACQUIRE)) == before; tries++)
			usleep(1000);
		if (now - before == taken)
			break;
	}
	agent_ends(fixture, FLUSHES);
}

static void expect_host(const struct fixture *fixture, size_t index, const char *host)
{
	assert_string_equal(text_of(json_array_get(fixture->records, index), "host"), host);
}

static void a_new_name_is_that_of_records_that_no_agent_before_has_read(void **state)
{
	struct fixture *fixture = *state;

	need_ring(fixture);
	open_slot(fixture, 1);
	agent_starts(fixture);
	send_text(fixture, 1, 7, "one\n");
	await_records(fixture, 1);
	agent_ends(fixture, PAUSES);
	/* Another agent may have read this one, and published it: who knows. */
	send_text(fixture, 1, 7, "two\n");
	fixture->config.node = (char *)"m";
	agent_starts(fixture);
	await_records(fixture, 2);
	send_text(fixture, 1, 7, "three\n");
	await_records(fixture, 3);
	agent_is_killed(fixture);
	agent_starts(fixture);
	send_text(fixture, 1, 7, "four\n");
	await_records(fixture, 4);
	agent_ends(fixture, FLUSHES);
	expect_host(fixture, 0, "n");
	expect_host(fixture, 1, "n");
	expect_host(fixture, 2, "m");
	expect_host(fixture, 3, "m");
}

static void a_half_line_over_a_new_limit_comes_in_pieces(void **state)
{
	struct fixture *fixture = *state;
	char half[1001];
	size_t length = 0;

	need_ring(fixture);
	memset(half, 'h', 1000);
	half[1000] = 0;
	open_slot(fixture, 1);
	agent_starts(fixture);
	send_text(fixture, 1, 7, "one\n");
	send_text(fixture, 1, 7, half);
	await_records(fixture, 1);
	agent_ends(fixture, PAUSES);
	fixture->config.lines.max_line = 300;
	agent_starts(fixture);
	agent_ends(fixture, FLUSHES);
	read_output(fixture);
	assert_int_equal(json_array_size(fixture->records), 5);
	for (size_t i = 1; i < 5; i++) {
		assert_string_equal(text_of(json_array_get(fixture->records, i), "partial"), i < 4 ? "max_size" : "timeout");
		length += strlen(text_of(json_array_get(fixture->records, i), "message"));
	}
	assert_int_equal(length, 1000);
}

static void without_its_memory_an_agent_says_what_it_does_not_know(void **state)
{
	struct fixture *fixture = *state;
	char path[96];

	need_ring(fixture);
	open_slot(fixture, 1);
	fixture->kernel->slots[1].lost_bytes = fixture->kernel->slots[1].lost_bytes_by[LOSS_FAULT] = 10;
	agent_starts(fixture);
	send_text(fixture, 1, 7, "whole\nhalf");
	await_records(fixture, 2);
	agent_ends(fixture, LEAVES);
	sprintf(path, "%s/checkpoint", fixture->directory);
	assert_int_equal(truncate(path, 100), 0);
	agent_starts(fixture);
	send_text(fixture, 1, 7, " rest\nnext\n");
	await_records(fixture, 4);
	agent_ends(fixture, FLUSHES);
	read_output(fixture);
	/* The gap is not told twice. */
	assert_int_equal(json_array_size(fixture->records), 4);
	expect_record(fixture, 2, " rest", "start");
	expect_record(fixture, 3, "next", "");
}

/* --- killed at any time */

static uint32_t pick(struct fixture *fixture, uint32_t n)
{
	fixture->random = fixture->random * 1664525 + 1013904223;
	return (fixture->random >> 8) % n;
}

/* A line, whole or in parts; the reader may be another agent for each. */
static void send_line(struct fixture *fixture, uint32_t pid, uint32_t number)
{
	uint32_t slot = 1 + pid % 3;
	char line[600], part[600];
	uint32_t length = sprintf(line, "%u %u ", pid, number), at = 0;
	uint32_t filling = pick(fixture, pick(fixture, 10) ? 60 : 500);

	memset(line + length, 'a' + pid, filling);
	strcpy(line + length + filling, "\n");
	length += filling + 1;
	while (at < length) {
		uint32_t n = pick(fixture, 3) ? length - at : 1 + pick(fixture, length - at);

		memcpy(part, line + at, n);
		part[n] = 0;
		send_text(fixture, slot, pid, part);
		at += n;
	}
}

/* A writer whose writes get lost now and then, just before what it says next. */
#define LOSER WRITERS
#define LOSER_SLOT 4

static void lose(struct fixture *fixture)
{
	struct stream_slot *s = &fixture->kernel->slots[LOSER_SLOT];
	enum loss reason = pick(fixture, LOSS_COUNT);
	uint32_t bytes = 1 + pick(fixture, 100);

	s->lost_bytes_by[reason] += bytes;
	s->lost_writes_by[reason]++;
	s->lost_bytes += bytes;
	s->lost_writes++;
}

static void check_gaps(const struct fixture *fixture)
{
	const struct stream_slot *s = &fixture->kernel->slots[LOSER_SLOT];
	uint64_t bytes = 0, writes = 0;
	size_t i;
	json_t *json;

	json_array_foreach(fixture->records, i, json) {
		const json_t *lost = json_object_get(json, "lost");

		bytes += json_integer_value(json_object_get(lost, "bytes"));
		writes += json_integer_value(json_object_get(lost, "writes"));
	}
	assert_true(writes > 20);
	assert_int_equal(writes, s->lost_writes);
	assert_int_equal(bytes, s->lost_bytes);
}

static void check_lines(struct fixture *fixture, const uint32_t numbers[WRITERS + 1])
{
	uint32_t next[WRITERS + 1] = { 0 };
	size_t i;
	json_t *json;

	read_output(fixture);
	json_array_foreach(fixture->records, i, json) {
		unsigned int pid, number;
		char name[16];

		if (json_object_get(json, "lost"))
			continue;
		if (sscanf(text_of(json, "message"), "%u %u", &pid, &number) != 2 || pid > LOSER)
			fail_msg("what is this: %s", json_dumps(json, 0));
		if (number != next[pid])
			fail_msg("writer %u's line %u, not %u: %s", pid, number, next[pid], json_dumps(json, 0));
		next[pid]++;
		sprintf(name, "writer%u", pid);
		if (strcmp(text_of(json, "partial"), pid == LOSER && *text_of(json, "partial") ? "start" : "") ||
		    strcmp(text_of(json_object_get(json, "process"), "name"), name))
			fail_msg("not whole, or without its name: %s", json_dumps(json, 0));
	}
	for (uint32_t pid = 0; pid <= WRITERS; pid++)
		assert_int_equal(next[pid], numbers[pid]);
}

static void send_number(struct fixture *fixture, uint32_t *number)
{
	char text[32];

	if (!pick(fixture, 3))
		lose(fixture);
	sprintf(text, "%u %u\n", LOSER, (*number)++);
	send_text(fixture, LOSER_SLOT, LOSER, text);
}

static void kills_lose_nothing_and_double_nothing(void **state)
{
	struct fixture *fixture = *state;
	uint32_t numbers[WRITERS + 1] = { 0 }, kills = 0, sum = 0;

	need_ring(fixture);
	fixture->config.lines.assembly = ASSEMBLY_PROCESS;
	fixture->kernel->nap = 1000;
	for (uint32_t slot = 1; slot <= LOSER_SLOT; slot++)
		open_slot(fixture, slot);
	agent_starts(fixture);
	for (uint32_t pid = 0; pid <= WRITERS; pid++) {
		char name[16];

		sprintf(name, "writer%u", pid);
		send_name(fixture, pid == LOSER ? LOSER_SLOT : 1 + pid % 3, pid, name);
	}
	while (kills < 60) {
		uint32_t lines = pick(fixture, 60);

		for (uint32_t i = 0; i < lines; i++) {
			uint32_t pid = pick(fixture, WRITERS);

			send_line(fixture, pid, numbers[pid]++);
			sum++;
			if (pick(fixture, 8))
				continue;
			send_number(fixture, &numbers[LOSER]);
			sum++;
		}
		fixture->kernel->sink_waits = !pick(fixture, 3);
		usleep(pick(fixture, 3) ? 0 : pick(fixture, 3000));
		if (pick(fixture, 6))
			agent_is_killed(fixture);
		else
			agent_ends(fixture, LEAVES);
		kills++;
		agent_starts(fixture);
	}
	fixture->kernel->sink_waits = false;
	fixture->kernel->nap = 0;
	await_records(fixture, sum);
	agent_ends(fixture, FLUSHES);
	check_lines(fixture, numbers);
	check_gaps(fixture);
	print_message("%u lines, %u agents, %u copies\n", sum, kills + 1, fixture->copies);
	/* Of what a killed agent made, only the record can come twice that the sink was just acknowledging. */
	assert_true(fixture->copies <= kills / 10);
}

/* Streams of a pod that nobody knows: their lines wait for as long as the agent does. */
static void open_pod_slot(struct fixture *fixture, uint32_t slot, const char *text)
{
	struct stream_slot *s = &fixture->kernel->slots[slot];

	memset(s->cgroup[0], 'a', 64);
	strcpy(s->cgroup[1], "pod0f0e0d0c-0b0a-0908-0706-050403020100");
	open_slot(fixture, slot);
	send_text(fixture, slot, 7, text);
	close_slot(fixture, slot);
}

static void what_waits_for_its_pod_comes_out_at_the_end(void **state)
{
	struct fixture *fixture = *state;

	need_ring(fixture);
	assert_int_equal(pods__new(&asked_pods), 0);
	agent_starts(fixture);
	open_pod_slot(fixture, 1, "one\n");
	open_pod_slot(fixture, 2, "two\n");
	agent_ends(fixture, FLUSHES);
	read_output(fixture);
	assert_int_equal(json_array_size(fixture->records), 2);
	pods__free(asked_pods);
	asked_pods = NULL;
}

/* However an agent ends while closed streams wait, the next one has their lines. */
static void what_waits_for_its_pod_is_left_to_the_next_agent(void **state)
{
	struct fixture *fixture = *state;
	unsigned int lines = 0;

	need_ring(fixture);
	assert_int_equal(pods__new(&asked_pods), 0);
	fixture->kernel->nap = 2000;
	for (int round = 0; round < 12; round++) {
		agent_starts(fixture);
		for (uint32_t slot = 1; slot < 7; slot++) {
			if (fixture->kernel->slots[slot].state != SLOT_FREE)
				continue;
			open_pod_slot(fixture, slot, "line\n");
			lines++;
		}
		usleep(round * 3000);
		agent_ends(fixture, round % 2 ? LEAVES : PAUSES);
	}
	agent_starts(fixture);
	agent_ends(fixture, FLUSHES);
	read_output(fixture);
	assert_int_equal(json_array_size(fixture->records), lines);
	pods__free(asked_pods);
	asked_pods = NULL;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_half_line_outlives_its_agent),
		TEST(what_waits_for_its_pod_comes_out_at_the_end),
		TEST(what_waits_for_its_pod_is_left_to_the_next_agent),
		TEST(streams_open_and_close_while_no_agent_runs),
		TEST(what_is_finished_is_only_given_back),
		TEST(another_epochs_half_lines_are_lost_under_its_ids),
		TEST(a_shard_that_is_no_more_leaves_its_half_lines),
		TEST(what_is_no_longer_selected_comes_out_to_its_end_and_goes),
		TEST(what_was_withdrawn_goes_even_when_it_is_selected_again),
		TEST(what_was_withdrawn_stays_while_writes_to_it_may_be_under_way),
		TEST(a_record_counts_as_all_that_it_takes_of_the_ring),
		TEST(a_new_name_is_that_of_records_that_no_agent_before_has_read),
		TEST(a_half_line_over_a_new_limit_comes_in_pieces),
		TEST(without_its_memory_an_agent_says_what_it_does_not_know),
		TEST(kills_lose_nothing_and_double_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
