#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "stream_fixture.h"

/* As the kernel half counts: by reason first. */
static void lose(struct fixture *fixture, enum loss reason, uint64_t bytes, uint64_t writes)
{
	fixture->slot->lost_bytes_by[reason] += bytes;
	fixture->slot->lost_writes_by[reason] += writes;
	fixture->slot->lost_bytes += bytes;
	fixture->slot->lost_writes += writes;
}

static void a_rise_of_the_losses_is_a_gap_just_before(void **state)
{
	struct fixture *fixture = *state;

	data(fixture, "one\n", 0, 0);
	lose(fixture, LOSS_RING_FULL, 10, 2);
	data(fixture, "two\nthree\n", 10, 2);
	next_line(fixture, "one", NULL);
	next_gap(fixture, 10, 2, "ring_full");
	next_line(fixture, "two", "start");
	next_line(fixture, "three", NULL);
	no_more(fixture);
}

/* What a tick sees is told by the next one. */
static void tick(struct fixture *fixture, uint64_t now)
{
	stream__tick(fixture->stream, true, now);
	stream__tick(fixture->stream, true, now);
}

static void a_loss_is_told_once(void **state)
{
	struct fixture *fixture = *state;

	lose(fixture, LOSS_FAULT, 10, 1);
	data(fixture, "one\n", 10, 1);
	data(fixture, "two\n", 10, 1);
	tick(fixture, fixture->time);
	stream__finish(fixture->stream, PARTIAL_EOF, fixture->time);
	next_gap(fixture, 10, 1, "fault");
	next_line(fixture, "one", "start");
	next_line(fixture, "two", NULL);
	no_more(fixture);
}

static void what_no_record_tells_is_told_by_the_timer(void **state)
{
	struct fixture *fixture = *state;

	lose(fixture, LOSS_UNSUPPORTED, 4, 3);
	tick(fixture, fixture->time);
	next_gap(fixture, 4, 3, "unsupported");
	/* A record from before the loss comes late, when the next one has been counted. */
	lose(fixture, LOSS_UNSUPPORTED, 2, 1);
	data(fixture, "one\n", 0, 1);
	next_line(fixture, "one", "start");
	no_more(fixture);
	tick(fixture, fixture->time);
	next_gap(fixture, 2, 1, "unsupported");
	no_more(fixture);
}

static void what_no_timer_tells_is_told_at_the_end(void **state)
{
	struct fixture *fixture = *state;

	data(fixture, "half", 0, 0);
	lose(fixture, LOSS_RING_FULL, 5, 1);
	stream__finish(fixture->stream, PARTIAL_EOF, fixture->time);
	next_line(fixture, "half", "lost");
	next_gap(fixture, 5, 1, "ring_full");
	no_more(fixture);
}

static void losses_of_several_reasons_are_told_apart(void **state)
{
	struct fixture *fixture = *state;

	lose(fixture, LOSS_RING_FULL, 5, 1);
	lose(fixture, LOSS_FAULT, 7, 2);
	data(fixture, "one\n", 12, 3);
	next_gap(fixture, 5, 1, "ring_full");
	next_gap(fixture, 7, 2, "fault");
	next_line(fixture, "one", "start");
	no_more(fixture);
}

static void a_half_line_does_not_span_a_loss(void **state)
{
	struct fixture *fixture = *state;

	data(fixture, "half", 0, 0);
	lose(fixture, LOSS_RING_FULL, 1, 1);
	data(fixture, " rest\n", 1, 1);
	next_line(fixture, "half", "lost");
	next_gap(fixture, 1, 1, "ring_full");
	next_line(fixture, " rest", "start");
	no_more(fixture);
}

/* Sums of what all gap records told; their ids must differ, or a consumer takes one for another's copy. */
static void sum_gaps(struct fixture *fixture, uint64_t bytes[LOSS_COUNT], uint64_t writes[LOSS_COUNT])
{
	static const char *const reasons[] = { "ring_full", "unsupported", "fault" };
	json_t *ids = json_object();

	commit(fixture);
	read_journal(fixture);
	for (; fixture->checked < fixture->count; fixture->checked++) {
		const json_t *json = fixture->seen[fixture->checked];
		const json_t *lost = json_object_get(json, "lost");
		const char *id = json_string_value(json_object_get(json, "id"));
		const char *reason;

		if (!lost)
			continue;
		if (json_object_get(ids, id))
			fail_msg("two gaps have the id %s", id);
		json_object_set_new(ids, id, json_true());
		reason = json_string_value(json_object_get(lost, "reason"));
		for (int i = 0; i < LOSS_COUNT; i++) {
			if (strcmp(reason, reasons[i]))
				continue;
			bytes[i] += json_integer_value(json_object_get(lost, "bytes"));
			writes[i] += json_integer_value(json_object_get(lost, "writes"));
		}
	}
	json_decref(ids);
}

static void assert_all_told(struct fixture *fixture)
{
	static const enum counter bytes_counter[] = { COUNTER_bytes_lost_ring_full, COUNTER_bytes_lost_unsupported,
						      COUNTER_bytes_lost_fault };
	static const enum counter writes_counter[] = { COUNTER_writes_lost_ring_full,
						       COUNTER_writes_lost_unsupported,
						       COUNTER_writes_lost_fault };
	uint64_t bytes[LOSS_COUNT] = { 0 }, writes[LOSS_COUNT] = { 0 };

	sum_gaps(fixture, bytes, writes);
	for (int i = 0; i < LOSS_COUNT; i++) {
		assert_int_equal(bytes[i], fixture->slot->lost_bytes_by[i]);
		assert_int_equal(writes[i], fixture->slot->lost_writes_by[i]);
		assert_int_equal(counters__get(&fixture->counters, bytes_counter[i]), bytes[i]);
		assert_int_equal(counters__get(&fixture->counters, writes_counter[i]), writes[i]);
	}
}

static void a_slot_ahead_of_the_record_is_told_in_time(void **state)
{
	struct fixture *fixture = *state;

	/* The record knew of the fault only; the ring became full since. */
	lose(fixture, LOSS_FAULT, 7, 1);
	lose(fixture, LOSS_RING_FULL, 5, 1);
	data(fixture, "one\n", 7, 1);
	read_journal(fixture);
	assert_int_equal(counters__get(&fixture->counters, COUNTER_bytes_lost_ring_full) +
				 counters__get(&fixture->counters, COUNTER_bytes_lost_fault),
			 7);
	data(fixture, "two\n", 12, 2);
	stream__finish(fixture->stream, PARTIAL_EOF, fixture->time);
	assert_all_told(fixture);
}

static void totals_that_rise_one_after_the_other_add_up(void **state)
{
	struct fixture *fixture = *state;

	fixture->slot->lost_bytes_by[LOSS_FAULT] = 9;
	fixture->slot->lost_bytes = 9;
	data(fixture, "one\n", 9, 0);
	fixture->slot->lost_writes_by[LOSS_FAULT] = 1;
	fixture->slot->lost_writes = 1;
	data(fixture, "two\n", 9, 1);
	assert_all_told(fixture);
}

static void whatever_the_order_all_is_told_once(void **state)
{
	struct fixture *fixture = *state;
	uint32_t random = 7;

	for (int i = 0; i < 400; i++) {
		static uint64_t known_bytes, known_writes;

		random = random * 1664525 + 1013904223;
		if (!i || random >> 31) {
			/* Records know the totals of some moment, and never go back by much. */
			known_bytes = fixture->slot->lost_bytes;
			known_writes = fixture->slot->lost_writes;
		}
		if (random >> 24 & 1)
			lose(fixture, (random >> 16 & 0xff) % LOSS_COUNT, random >> 8 & 15, random >> 12 & 3);
		if (random >> 25 & 1)
			data(fixture, "x\n", known_bytes, known_writes);
		if ((random >> 26 & 7) == 0)
			tick(fixture, fixture->time);
		commit(fixture);
		read_journal(fixture);
	}
	stream__finish(fixture->stream, PARTIAL_EOF, fixture->time);
	assert_true(fixture->slot->lost_bytes > 100);
	assert_all_told(fixture);
}

static void send_process(struct fixture *fixture, uint8_t way, uint32_t tag, const char *name, uint32_t uid)
{
	struct process_payload payload = { .uid = uid };
	struct record *record;

	memcpy(payload.name, name, strlen(name));
	record = new_record(fixture, RECORD_PROCESS, &payload, sizeof(payload));
	record->way = way;
	record->writer = tag;
	send_record(fixture, record);
}

static void send_by(struct fixture *fixture, uint8_t way, uint32_t tag)
{
	struct record *record = new_record(fixture, RECORD_DATA, "x\n", 2);

	record->way = way;
	record->writer = tag;
	send_record(fixture, record);
}

static void assert_writer(struct fixture *fixture, const char *name)
{
	const json_t *process = json_object_get(next_line(fixture, "x", NULL), "process");
	const char *is = json_string_value(json_object_get(process, "name"));

	assert_int_equal(json_integer_value(json_object_get(process, "pid")), 41);
	assert_string_equal(is ? is : "nobody", name);
}

static void a_process_is_told_once_for_all_its_writes(void **state)
{
	struct fixture *fixture = *state;

	send_by(fixture, 2, 9);
	assert_writer(fixture, "nobody");
	send_process(fixture, 2, 9, "sixteen-bytes-xx", 0);
	send_by(fixture, 2, 9);
	send_by(fixture, 2, 9);
	assert_writer(fixture, "sixteen-bytes-xx");
	assert_writer(fixture, "sixteen-bytes-xx");
	/* Another tag is another process, or the same after an exec. */
	send_by(fixture, 2, 10);
	assert_writer(fixture, "nobody");
	no_more(fixture);
}

static void a_process_overtaken_on_its_way_is_still_known(void **state)
{
	struct fixture *fixture = *state;

	send_process(fixture, 0, 9, "first", 0);
	send_process(fixture, 0, 10, "second", 0);
	send_by(fixture, 0, 9);
	send_by(fixture, 0, 10);
	assert_writer(fixture, "first");
	assert_writer(fixture, "second");
}

static void records_that_are_too_short_or_out_of_range_do_no_harm(void **state)
{
	struct fixture *fixture = *state;
	struct record *record = new_record(fixture, RECORD_DATA, "", 0);

	record->length = sizeof(*record) - 1;
	send_record(fixture, record);
	record = new_record(fixture, RECORD_PROCESS, "short", 5);
	record->way = 255;
	send_record(fixture, record);
	send_process(fixture, 255, 9, "wide", 0);
	send_by(fixture, 255, 9);
	assert_writer(fixture, "wide");
	no_more(fixture);
}

static void eof_and_the_end_tell_half_lines(void **state)
{
	struct fixture *fixture = *state;

	data(fixture, "one", 0, 0);
	stream__eof(fixture->stream);
	next_line(fixture, "one", "eof");
	data(fixture, "two", 0, 0);
	stream__finish(fixture->stream, PARTIAL_TIMEOUT, fixture->time);
	next_line(fixture, "two", "timeout");
	no_more(fixture);
}

/* What is lost behind the last record may be the line's other half, whose gap comes at the end. */
static void eof_behind_a_loss_is_no_end_of_a_line(void **state)
{
	struct fixture *fixture = *state;

	data(fixture, "one", 0, 0);
	lose(fixture, LOSS_RING_FULL, 5, 1);
	stream__eof(fixture->stream);
	no_more(fixture);
	stream__finish(fixture->stream, PARTIAL_EOF, fixture->time);
	next_line(fixture, "one", "lost");
	next_gap(fixture, 5, 1, "ring_full");
	no_more(fixture);
}

static void a_loss_behind_a_half_line_comes_before_its_timeout(void **state)
{
	uint64_t late = 2 * TIMEOUT;
	struct fixture *fixture = *state;

	data(fixture, "one", 0, 0);
	lose(fixture, LOSS_RING_FULL, 5, 1);
	/* What waits in the ring may lie before the loss. */
	stream__tick(fixture->stream, false, fixture->time + late);
	no_more(fixture);
	tick(fixture, fixture->time + late);
	next_line(fixture, "one", "lost");
	next_gap(fixture, 5, 1, "ring_full");
	data(fixture, "two", 5, 1);
	tick(fixture, fixture->time + late + TIMEOUT + 1);
	next_line(fixture, "two", "timeout");
}

static void the_timer_tells_half_lines_that_are_too_old(void **state)
{
	struct fixture *fixture = *state;

	data(fixture, "old", 0, 0);
	tick(fixture, fixture->time + TIMEOUT);
	no_more(fixture);
	tick(fixture, fixture->time + TIMEOUT + 1);
	next_line(fixture, "old", "timeout");
}

static void a_stream_found_in_mid_line_says_so(void **state)
{
	struct fixture *fixture = *state;

	fixture->slot->flags = SLOT_CENSUS | SLOT_MID_LINE;
	open_stream(fixture);
	data(fixture, "one\ntwo\n", 0, 0);
	next_line(fixture, "one", "start");
	next_line(fixture, "two", NULL);
}

static void an_unwanted_stream_is_counted_and_silent(void **state)
{
	struct fixture *fixture = *state;

	strcpy(fixture->slot->path, "/elsewhere");
	open_stream(fixture);
	assert_false(stream__wanted(fixture->stream));
	lose(fixture, LOSS_RING_FULL, 5, 1);
	data(fixture, "one\ntwo", 5, 1);
	tick(fixture, fixture->time);
	stream__eof(fixture->stream);
	stream__finish(fixture->stream, PARTIAL_EOF, fixture->time);
	no_more(fixture);
	assert_int_equal(counters__get(&fixture->counters, COUNTER_bytes_discarded), 7);
	assert_int_equal(counters__get(&fixture->counters, COUNTER_streams_rejected), 1);
}

static void crash(struct fixture *fixture);
static void restart(struct fixture *fixture);

/* --- a container's stdout or file, as the slot of the fixture */

#define CONTAINER "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define BUNDLE "run/containerd/io.containerd.runtime.v2.task/k8s.io/" CONTAINER

/* What open_container opens: its stdout, or a file of its. */
static enum stream_kind container_kind = STREAM_STDOUT;

static int setup_file(void **state)
{
	container_kind = STREAM_FILE;
	return setup(state);
}

static int teardown_file(void **state)
{
	container_kind = STREAM_STDOUT;
	return teardown(state);
}

#define FILE_TEST(name) { #name "_also_of_a_file", name, setup_file, teardown_file, NULL }

/* Of the pod web in the namespace shop. */
static void open_container(struct fixture *fixture)
{
	char text[512];
	FILE *file;

	snprintf(text, sizeof(text), "mkdir -p %s/" BUNDLE, fixture->directory);
	assert_int_equal(system(text), 0);
	snprintf(text, sizeof(text), "%s/" BUNDLE "/config.json", fixture->directory);
	file = fopen(text, "w");
	assert_non_null(file);
	fputs("{\"annotations\":{\"io.kubernetes.cri.container-type\":\"container\","
	      "\"io.kubernetes.cri.container-name\":\"main\",\"io.kubernetes.cri.sandbox-id\":\"s\","
	      "\"io.kubernetes.cri.sandbox-name\":\"web\",\"io.kubernetes.cri.sandbox-namespace\":\"shop\"}}",
	      file);
	assert_int_equal(fclose(file), 0);
	fixture->slot->kind = container_kind;
	strcpy(fixture->slot->cgroup[0], "cri-containerd-" CONTAINER ".scope");
	open_stream(fixture);
}

static void forget_container(const struct fixture *fixture)
{
	char text[256];

	snprintf(text, sizeof(text), "rm -r %s/run", fixture->directory);
	assert_int_equal(system(text), 0);
}

/* The next selection leaves this out. */
static void leave_out(struct fixture *fixture, struct selection_rule *rule)
{
	fixture->config.selection.exclude = rule;
	fixture->config.selection.exclude_count = 1;
}

static char *shop[] = { "shop" }, *app[] = { "app" };

static struct selection_rule in_shop = { .namespaces = shop, .namespaces_count = 1 };
static struct selection_rule with_app = { .labels = app, .labels_count = 1 };

static void a_container_that_is_not_selected_is_counted_and_silent(void **state)
{
	struct fixture *fixture = *state;

	leave_out(fixture, &in_shop);
	crash(fixture);
	open_container(fixture);
	assert_false(stream__wanted(fixture->stream));
	data(fixture, "one\n", 0, 0);
	no_more(fixture);
	assert_int_equal(counters__get(&fixture->counters, COUNTER_streams_deselected), 1);
	assert_int_equal(counters__get(&fixture->counters, COUNTER_streams_rejected), 0);
}

static void what_cannot_be_known_is_selected_or_not_as_configured(void **state)
{
	struct fixture *fixture = *state;

	leave_out(fixture, &with_app);
	crash(fixture);
	open_container(fixture);
	assert_true(stream__wanted(fixture->stream));
	fixture->config.selection.unknown = UNKNOWN_EXCLUDE;
	open_stream(fixture);
	assert_false(stream__wanted(fixture->stream));
	assert_int_equal(counters__get(&fixture->counters, COUNTER_streams_deselected), 1);
}

static void a_container_ends_where_it_is_no_longer_selected(void **state)
{
	struct fixture *fixture = *state;

	open_container(fixture);
	data(fixture, "one\ntw", 0, 0);
	next_line(fixture, "one", NULL);
	commit(fixture);
	leave_out(fixture, &in_shop);
	restart(fixture);
	assert_true(stream__wanted(fixture->stream));
	assert_true(stream__unwanted_now(fixture->stream));
	assert_int_equal(counters__get(&fixture->counters, COUNTER_streams_deselected), 1);
	data(fixture, "o\nthr", 0, 0);
	stream__finish(fixture->stream, PARTIAL_EOF, fixture->time);
	next_line(fixture, "two", NULL);
	next_line(fixture, "thr", "eof");
	no_more(fixture);
}

static void a_container_stays_selected_while_it_is_not_known_better(void **state)
{
	struct fixture *fixture = *state;

	open_container(fixture);
	data(fixture, "one\n", 0, 0);
	next_line(fixture, "one", NULL);
	commit(fixture);
	leave_out(fixture, &with_app);
	fixture->config.selection.unknown = UNKNOWN_EXCLUDE;
	restart(fixture);
	assert_false(stream__unwanted_now(fixture->stream));
	/* Without its files it looks like no pod's. */
	forget_container(fixture);
	fixture->config.selection = (struct selection_config){ .include = &in_shop, .include_count = 1 };
	restart(fixture);
	assert_false(stream__unwanted_now(fixture->stream));
	data(fixture, "two\n", 0, 0);
	next_line(fixture, "two", NULL);
	assert_int_equal(counters__get(&fixture->counters, COUNTER_streams_deselected), 0);
}

static void a_file_that_no_container_writes_is_chosen_by_its_path_alone(void **state)
{
	static int file = STREAM_FILE;
	static struct selection_rule of_files = { .streams = &file, .streams_count = 1 };
	struct fixture *fixture = *state;

	fixture->config.selection = (struct selection_config){ .include = &in_shop, .include_count = 1, .exclude = &of_files,
							       .exclude_count = 1, .annotated_only = true };
	crash(fixture);
	strcpy(fixture->slot->cgroup[0], "nginx.service");
	strcpy(fixture->slot->cgroup[1], "system.slice");
	open_stream(fixture);
	data(fixture, "one\n", 0, 0);
	next_line(fixture, "one", NULL);
	commit(fixture);
	restart(fixture);
	assert_false(stream__unwanted_now(fixture->stream));
}

static void streams_of_a_rule_may_be_files(void **state)
{
	static struct selection_rule rule = { .namespaces = shop, .namespaces_count = 1, .streams_count = 1 };
	struct fixture *fixture = *state;

	leave_out(fixture, &rule);
	for (int kind = STREAM_STDOUT; kind <= STREAM_FILE; kind++) {
		rule.streams = &kind;
		crash(fixture);
		open_container(fixture);
		if (stream__wanted(fixture->stream) != (kind != (int)container_kind))
			fail_msg("kind %d, by a rule for %d", container_kind, kind);
	}
}

static void a_file_system_whose_writes_are_not_seen_is_refused(void **state)
{
	struct fixture *fixture = *state;

	fixture->slot->magic = COVERED + 1;
	open_stream(fixture);
	assert_false(stream__wanted(fixture->stream));
}

static void writes_and_bytes_are_counted(void **state)
{
	struct fixture *fixture = *state;
	struct record *record = new_record(fixture, RECORD_DATA, "rest\n", 5);

	data(fixture, "one", 0, 0);
	record->write_length = 8;
	record->write_offset = 3;
	send_record(fixture, record);
	assert_int_equal(counters__get(&fixture->counters, COUNTER_writes_captured), 1);
	assert_int_equal(counters__get(&fixture->counters, COUNTER_bytes_captured), 8);
}

static void a_half_line_goes_on_after_a_crash(void **state)
{
	struct fixture *fixture = *state;
	json_t *line;

	data(fixture, "begun", 0, 0);
	commit(fixture);
	/* What was not committed is read again. */
	data(fixture, " twice", 0, 0);
	restart(fixture);
	data(fixture, " and ended\n", 0, 0);
	line = next_line(fixture, "begun and ended", NULL);
	assert_string_equal(json_string_value(json_object_get(line, "id")), "1000.0");
	assert_string_equal(json_string_value(json_object_get(line, "file")), "/app/a.log");
	no_more(fixture);
}

static void what_a_stream_is_called_is_not_asked_again(void **state)
{
	struct fixture *fixture = *state;

	data(fixture, "one\n", 0, 0);
	next_line(fixture, "one", NULL);
	strcpy(fixture->slot->path, "/elsewhere");
	restart(fixture);
	data(fixture, "two\n", 0, 0);
	assert_string_equal(json_string_value(json_object_get(next_line(fixture, "two", NULL), "file")), "/app/a.log");
	assert_true(stream__wanted(fixture->stream));
}

static void a_file_says_which_service_writes_it(void **state)
{
	struct fixture *fixture = *state;
	json_t *systemd;

	strcpy(fixture->slot->cgroup[0], "nginx.service");
	strcpy(fixture->slot->cgroup[1], "system.slice");
	fixture->slot->cgroup_level = 2;
	open_stream(fixture);
	data(fixture, "one\n", 0, 0);
	systemd = json_object_get(next_line(fixture, "one", NULL), "systemd");
	assert_string_equal(json_string_value(json_object_get(systemd, "unit")), "nginx.service");
	assert_string_equal(json_string_value(json_object_get(systemd, "slice")), "system.slice");
}

/* Whatever the configuration says by then: the agent before may have published it. */
static void a_line_that_is_made_again_keeps_its_names(void **state)
{
	struct fixture *fixture = *state;

	data(fixture, "before\n", 0, 0);
	next_line(fixture, "before", NULL);
	fixture->config.record.names = NAMES_ECS;
	restart(fixture);
	data(fixture, "one\n", 0, 0);
	assert_non_null(json_object_get(next_line(fixture, "one", NULL), "ecs"));
	fixture->config.record.names = NAMES_OTEL;
	restart(fixture);
	fixture->context.replayed = UINT64_MAX;
	data(fixture, "two\n", 0, 0);
	assert_non_null(json_object_get(next_line(fixture, "two", NULL), "ecs"));
	fixture->context.replayed = 0;
	data(fixture, "three\n", 0, 0);
	assert_non_null(json_object_get(next_record(fixture), "resourceLogs"));
	no_more(fixture);
}

static void next_has_process(struct fixture *fixture, const char *text, bool told)
{
	assert_int_equal(!!json_object_get(next_line(fixture, text, NULL), "process"), told);
}

/* As its names; here what is the same in all its lines is the same before and after. */
static void a_line_that_is_made_again_keeps_its_fields(void **state)
{
	static char *denied[] = { (char *)"process" };
	struct fixture *fixture = *state;

	data(fixture, "before\n", 0, 0);
	next_has_process(fixture, "before", true);
	fixture->config.record.fields.deny = denied;
	fixture->config.record.fields.deny_count = 1;
	restart(fixture);
	fixture->context.replayed = UINT64_MAX;
	data(fixture, "one\n", 0, 0);
	next_has_process(fixture, "one", true);
	fixture->context.replayed = 0;
	data(fixture, "two\n", 0, 0);
	next_has_process(fixture, "two", false);
	fixture->config.record.fields.deny_count = 0;
	restart(fixture);
	fixture->context.replayed = UINT64_MAX;
	data(fixture, "three\n", 0, 0);
	next_has_process(fixture, "three", false);
	fixture->context.replayed = 0;
	data(fixture, "four\n", 0, 0);
	next_has_process(fixture, "four", true);
	no_more(fixture);
}

/* Its first line may be published and made again: it must say the same then. */
static void a_stream_is_named_before_its_first_line(void **state)
{
	struct fixture *fixture = *state;

	fixture->commits = 0;
	data(fixture, "one\n", 0, 0);
	assert_int_equal(fixture->commits, 1);
	assert_int_equal(fixture->appended[0], 0);
	strcpy(fixture->slot->path, "/elsewhere");
	restart(fixture);
	data(fixture, "one\n", 0, 0);
	assert_string_equal(json_string_value(json_object_get(next_line(fixture, "one", NULL), "file")), "/app/a.log");
	no_more(fixture);
}

/* Its path is saved with its first line, which is written before the configuration changes and made by the agent after that. */
static void a_file_that_is_left_out_before_its_first_line_keeps_its_path(void **state)
{
	struct fixture *fixture = *state;

	commit(fixture);
	fixture->config.capture.exclude_files = fixture->config.capture.files;
	fixture->config.capture.exclude_files_count = fixture->config.capture.files_count;
	for (int agents = 0; agents < 2; agents++) {
		restart(fixture);
		assert_true(stream__unwanted_now(fixture->stream));
		commit(fixture);
	}
	data(fixture, "one\n", 0, 0);
	assert_string_equal(json_string_value(json_object_get(next_line(fixture, "one", NULL), "file")), "/app/a.log");
}

static void what_is_refused_stays_refused(void **state)
{
	struct fixture *fixture = *state;

	strcpy(fixture->slot->path, "/elsewhere");
	open_stream(fixture);
	commit(fixture);
	strcpy(fixture->slot->path, "/app/a.log");
	restart(fixture);
	assert_false(stream__wanted(fixture->stream));
	assert_int_equal(stream__generation(fixture->stream), 3);
}

static void a_loss_that_was_told_is_not_told_again(void **state)
{
	struct fixture *fixture = *state;

	lose(fixture, LOSS_RING_FULL, 10, 2);
	lose(fixture, LOSS_FAULT, 5, 1);
	data(fixture, "one\n", 15, 3);
	restart(fixture);
	/* The gaps were transactions of their own; the line was not committed. */
	data(fixture, "one\n", 15, 3);
	tick(fixture, fixture->time);
	next_gap(fixture, 10, 2, "ring_full");
	next_gap(fixture, 5, 1, "fault");
	next_line(fixture, "one", "start");
	no_more(fixture);
}

static void what_is_not_in_the_ring_is_told_alone(void **state)
{
	static const uint64_t appended[] = { 2, 1, 0, 1, 1, 1, 1 };
	struct fixture *fixture = *state;

	data(fixture, "zero\n", 0, 0);
	next_line(fixture, "zero", NULL);
	fixture->commits = 0;
	data(fixture, "one\n", 0, 0);
	data(fixture, "two\nhalf", 0, 0);
	lose(fixture, LOSS_RING_FULL, 10, 2);
	lose(fixture, LOSS_FAULT, 5, 1);
	/* Two lines; the half line; that the next may lack its start; two gaps; a line; what was too old. */
	data(fixture, "three\n", 15, 3);
	data(fixture, "old", 15, 3);
	tick(fixture, fixture->time + TIMEOUT + 1);
	assert_int_equal(fixture->commits, 7);
	assert_memory_equal(fixture->appended, appended, sizeof(appended));
}

static void nothing_new_is_not_committed(void **state)
{
	struct fixture *fixture = *state;

	data(fixture, "one\n", 0, 0);
	commit(fixture);
	fixture->commits = 0;
	for (int i = 0; i < 3; i++) {
		tick(fixture, fixture->time);
		stream__eof(fixture->stream);
		commit(fixture);
	}
	assert_int_equal(fixture->commits, 0);
	/* A whole line changes nothing that is saved. */
	data(fixture, "two\n", 0, 0);
	assert_null(fixture->context.changed);
	data(fixture, "half", 0, 0);
	assert_ptr_equal(fixture->context.changed, fixture->stream);
}

static void a_process_is_known_after_a_crash(void **state)
{
	struct fixture *fixture = *state;

	send_process(fixture, 2, 9, "first", 0);
	send_process(fixture, 2, 10, "second", 0);
	commit(fixture);
	/* Not committed: it comes once more. */
	send_process(fixture, 2, 11, "third", 0);
	restart(fixture);
	send_by(fixture, 2, 9);
	send_process(fixture, 2, 11, "third", 0);
	send_by(fixture, 2, 10);
	send_by(fixture, 2, 11);
	assert_writer(fixture, "first");
	assert_writer(fixture, "second");
	assert_writer(fixture, "third");
}

static void many_half_lines_are_there_after_a_crash(void **state)
{
	struct fixture *fixture = *state;
	char text[32];

	fixture->assembly.mode = ASSEMBLY_PROCESS;
	for (uint32_t round = 0; round < 3; round++) {
		for (uint32_t pid = 1; pid <= 100; pid++) {
			struct record *record;

			sprintf(text, round < 2 ? "%u.%u " : "%u.%u\n", round, pid);
			record = new_record(fixture, RECORD_DATA, text, strlen(text));
			record->tgid = record->tid = pid;
			send_record(fixture, record);
			if (pid % 7 == 0)
				commit(fixture);
		}
		commit(fixture);
		restart(fixture);
		fixture->assembly.mode = ASSEMBLY_PROCESS;
	}
	for (uint32_t pid = 1; pid <= 100; pid++) {
		sprintf(text, "0.%u 1.%u 2.%u", pid, pid, pid);
		next_line(fixture, text, NULL);
	}
	no_more(fixture);
}

/* Processes 1 to `count` begin a line, or end it. */
static void write_by(struct fixture *fixture, const char *text, uint32_t count)
{
	for (uint32_t pid = 1; pid <= count; pid++) {
		struct record *record = new_record(fixture, RECORD_DATA, text, strlen(text));

		record->tgid = record->tid = pid;
		send_record(fixture, record);
	}
	commit(fixture);
}

/* Where they are saved is of the half lines' memory, as they are. */
static void many_half_lines_are_within_the_budget(void **state)
{
	struct fixture *fixture = *state;

	fixture->assembly.mode = ASSEMBLY_PROCESS;
	write_by(fixture, "half ", 5);
	assert_true(fixture->budget.used > sizeof(struct saved_spill));
	restart(fixture);
	fixture->assembly.mode = ASSEMBLY_PROCESS;
	assert_true(fixture->budget.used > sizeof(struct saved_spill));
	write_by(fixture, "line\n", 5);
	/* Given back with the first record behind them. */
	write_by(fixture, "whole\n", 1);
	assert_int_equal(fixture->budget.used, 0);
	for (int i = 0; i < 5; i++)
		next_line(fixture, "half line", NULL);
	next_line(fixture, "whole", NULL);
	/* Without room for it the oldest gives way. */
	fixture->budget.limit = 60000;
	write_by(fixture, "half ", 5);
	assert_int_equal(fixture->budget.used, SAVED_CARRIES * HEAP_BLOCK_MIN);
	next_line(fixture, "half ", "timeout");
	no_more(fixture);
	/* A smaller configuration than what was restored bounds what comes. */
	restart(fixture);
	fixture->assembly.mode = ASSEMBLY_PROCESS;
	fixture->budget.limit = HEAP_BLOCK_MIN;
	write_by(fixture, "new ", 1);
	next_line(fixture, "new ", "max_size");
}

static void a_half_line_without_a_slot_is_lost_with_its_id(void **state)
{
	struct fixture *fixture = *state;

	data(fixture, "begun", 0, 0);
	commit(fixture);
	crash(fixture);
	restore(fixture, false);
	stream__abandon(fixture->stream);
	stream__retire(fixture->stream);
	assert_string_equal(json_string_value(json_object_get(next_line(fixture, "begun", "lost"), "id")), "1000.0");
	crash(fixture);
	/* Only the slot is left, and no block is. */
	assert_int_equal(checkpoint__saved(fixture->checkpoint, 1)->finished, 1);
	assert_int_equal(heap__used(checkpoint__heap(fixture->checkpoint)), 0);
	no_more(fixture);
}

/* Lines that fill the journal: exactly what found no room is told, before what found some again. */
static void what_is_dropped_is_told_before_the_next_line(void **state)
{
	struct fixture *fixture = *state;
	uint64_t told_lines = 0, told_bytes = 0;
	unsigned int sent = 0, seen = 0;
	char text[4000];

	fixture->drop_newest = true;
	crash(fixture);
	open_stream(fixture);
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = 0;
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 1500; i++, sent++) {
			sprintf(text, "%u", sent);
			text[strlen(text)] = 'x';
			text[sizeof(text) - 2] = '\n';
			data(fixture, text, 0, 0);
		}
		commit(fixture);
		if (round == 1)
			restart(fixture);
		read_journal(fixture);
	}
	sprintf(text, "end\n");
	data(fixture, text, 0, 0);
	commit(fixture);
	read_journal(fixture);
	for (; fixture->checked < fixture->count; fixture->checked++) {
		const json_t *json = fixture->seen[fixture->checked];
		const json_t *lost = json_object_get(json, "lost");
		const char *message = json_string_value(json_object_get(json, "message"));

		if (lost) {
			assert_string_equal(json_string_value(json_object_get(lost, "reason")), "journal_full");
			told_lines += json_integer_value(json_object_get(lost, "lines"));
			told_bytes += json_integer_value(json_object_get(lost, "bytes"));
			seen += json_integer_value(json_object_get(lost, "lines"));
		} else if (strcmp(message, "end")) {
			/* Each line is seen or told, in its place. */
			assert_int_equal(strtoul(message, NULL, 10), seen++);
		}
	}
	assert_int_equal(seen, sent);
	assert_true(told_lines > 0 && told_lines < sent);
	assert_int_equal(told_bytes, told_lines * (sizeof(text) - 1));
	assert_int_equal(counters__get(&fixture->counters, COUNTER_lines_lost_journal_full), told_lines);
}

/* Until a line is dropped, in one transaction. Returns how many were sent. */
static unsigned int fill(struct fixture *fixture, unsigned int number)
{
	uint64_t dropped = counters__get(&fixture->counters, COUNTER_lines_lost_journal_full);
	unsigned int sent = 0;
	char text[4000];

	while (counters__get(&fixture->counters, COUNTER_lines_lost_journal_full) == dropped) {
		memset(text, 'x', sizeof(text));
		text[sprintf(text, "%u", number + sent)] = 'x';
		strcpy(text + sizeof(text) - 2, "\n");
		data(fixture, text, 0, 0);
		sent++;
	}
	return sent;
}

/* Killed when the sink has seen what was not committed: what is told as lost does not come, nor is what came told as lost. */
static void what_is_told_as_dropped_never_comes(void **state)
{
	struct fixture *fixture = *state;
	struct checkpoint_position position;
	bool came[4096] = { false }, told[4096] = { false };
	unsigned int sent = 0;

	fixture->drop_newest = true;
	crash(fixture);
	open_stream(fixture);
	data(fixture, "begin\n", 0, 0);
	next_line(fixture, "begin", NULL);
	sent = fill(fixture, 0);
	read_journal(fixture);
	sent += fill(fixture, sent);
	read_journal(fixture);
	assert_true(checkpoint__position(fixture->checkpoint, &position));
	restart(fixture);
	/* Its ring is read again. */
	fixture->position = position.ring;
	for (unsigned int i = (position.ring - 4096) / 4096; i < sent; i++) {
		char text[4000];

		memset(text, 'x', sizeof(text));
		text[sprintf(text, "%u", i)] = 'x';
		strcpy(text + sizeof(text) - 2, "\n");
		data(fixture, text, 0, 0);
		commit(fixture);
		read_journal(fixture);
	}
	data(fixture, "end\n", 0, 0);
	commit(fixture);
	read_journal(fixture);
	for (unsigned int i = 1, at = 0; i < fixture->count; i++) {
		const json_t *lost = json_object_get(fixture->seen[i], "lost");
		const char *message = json_string_value(json_object_get(fixture->seen[i], "message"));

		if (!lost && !strcmp(message, "end"))
			continue;
		if (!lost)
			at = strtoul(message, NULL, 10);
		for (int n = lost ? json_integer_value(json_object_get(lost, "lines")) : 1; n--; at++)
			(lost ? told : came)[at] = true;
	}
	for (unsigned int i = 0; i < sent; i++)
		if (came[i] == told[i])
			fail_msg("line %u of %u %s", i, sent, came[i] ? "came and is told as lost" : "is missing");
}

/* Else its shard would never begin: see let_go in shard_resume.c. */
static void what_nobody_can_tell_holds_up_nobody(void **state)
{
	struct fixture *fixture = *state;
	struct saved_stream *saved;

	fixture->drop_newest = true;
	crash(fixture);
	open_stream(fixture);
	fill(fixture, 0);
	commit(fixture);
	crash(fixture);
	/* There was no memory to save what it is called. */
	saved = (struct saved_stream *)checkpoint__saved(fixture->checkpoint, 1);
	assert_true(saved->dropped.bytes);
	saved->text.block = HEAP_NONE;
	restore(fixture, false);
	stream__abandon(fixture->stream);
	assert_int_equal(stream__untold(fixture->stream)->bytes, 0);
	assert_true(counters__get(&fixture->counters, COUNTER_bytes_abandoned) > 0);
	fixture->context.changed = NULL;
}

/* Records as a ring has them: a killed process reads on from what was committed. */

#define SCRIPT 120

struct step {
	char text[80];
	uint32_t pid;
	uint32_t process;            /* a process record with this tag comes first */
	uint64_t lost_bytes;
	uint32_t lost_writes;
};

static uint32_t pick(uint32_t *random, uint32_t n)
{
	*random = *random * 1664525 + 1013904223;
	return (*random >> 8) % n;
}

static void make_script(struct step *script, uint32_t *random)
{
	uint64_t bytes = 0;
	uint32_t writes = 0;

	for (int i = 0; i < SCRIPT; i++) {
		struct step *step = &script[i];
		uint32_t length = 1 + pick(random, 40);

		*step = (struct step){ .pid = 1 + pick(random, 7) };
		for (uint32_t c = 0; c < length; c++)
			step->text[c] = pick(random, 12) ? 'a' + pick(random, 26) : '\n';
		step->process = pick(random, 5) ? 0 : i + 1;
		if (!pick(random, 25)) {
			bytes += 1 + pick(random, 99);
			writes++;
		}
		step->lost_bytes = bytes;
		step->lost_writes = writes;
	}
}

static void play(struct fixture *fixture, const struct step *script, int i)
{
	const struct step *step = &script[i];
	struct record *record;

	fixture->position = 4096 * i;
	fixture->time = 1000 * i;
	if (step->process) {
		char name[16];

		sprintf(name, "p%u", step->process);
		send_process(fixture, step->pid % SLOT_WRITERS, step->pid, name, step->process);
		fixture->position = fixture->consumed = 4096 * i;
	}
	record = new_record(fixture, RECORD_DATA, step->text, strlen(step->text));
	record->tgid = record->tid = record->writer = step->pid;
	record->way = step->pid % SLOT_WRITERS;
	record->lost_bytes = step->lost_bytes;
	record->lost_writes = step->lost_writes;
	send_record(fixture, record);
}

/* Everything that came out, one text. */
static char *outcome(struct fixture *fixture)
{
	json_t *all = json_array();
	char *text;

	commit(fixture);
	read_journal(fixture);
	for (; fixture->checked < fixture->count; fixture->checked++)
		json_array_append(all, fixture->seen[fixture->checked]);
	text = json_dumps(all, JSON_INDENT(0));
	json_decref(all);
	return text;
}

/* Killed with the probability 1/n after each record, and committed after each with 1/4. */
static char *run_script(struct fixture *fixture, const struct step *script, uint32_t *random, uint32_t n)
{
	/* The totals by reason are those of the end: a record only knows of its past. */
	fixture->slot->lost_bytes_by[LOSS_RING_FULL] = script[SCRIPT - 1].lost_bytes;
	fixture->slot->lost_writes_by[LOSS_RING_FULL] = script[SCRIPT - 1].lost_writes;
	fixture->assembly.mode = ASSEMBLY_PROCESS;
	commit(fixture);
	for (int i = 0; i < SCRIPT; i++) {
		struct checkpoint_position position;

		play(fixture, script, i);
		if (!pick(random, 4))
			commit(fixture);
		if (!n || pick(random, n))
			continue;
		restart(fixture);
		fixture->assembly.mode = ASSEMBLY_PROCESS;
		checkpoint__position(fixture->checkpoint, &position);
		i = (int)(position.ring / 4096) - 1;
	}
	return outcome(fixture);
}

static void crashes_change_nothing_that_comes_out(void **state)
{
	static struct step script[SCRIPT];

	for (uint32_t seed = 1; seed <= 12; seed++) {
		uint32_t random = seed;
		char *undisturbed, *disturbed;

		make_script(script, &random);
		undisturbed = run_script(*state, script, &random, 0);
		teardown(state);
		setup(state);
		disturbed = run_script(*state, script, &random, 6);
		teardown(state);
		setup(state);
		if (strcmp(undisturbed, disturbed))
			fail_msg("seed %u:\n%s\n%s", seed, undisturbed, disturbed);
		free(undisturbed);
		free(disturbed);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_rise_of_the_losses_is_a_gap_just_before),
		TEST(a_loss_is_told_once),
		TEST(what_no_record_tells_is_told_by_the_timer),
		TEST(what_no_timer_tells_is_told_at_the_end),
		TEST(losses_of_several_reasons_are_told_apart),
		TEST(a_half_line_does_not_span_a_loss),
		TEST(a_slot_ahead_of_the_record_is_told_in_time),
		TEST(totals_that_rise_one_after_the_other_add_up),
		TEST(whatever_the_order_all_is_told_once),
		TEST(a_process_is_told_once_for_all_its_writes),
		TEST(a_process_overtaken_on_its_way_is_still_known),
		TEST(records_that_are_too_short_or_out_of_range_do_no_harm),
		TEST(eof_and_the_end_tell_half_lines),
		TEST(eof_behind_a_loss_is_no_end_of_a_line),
		TEST(a_loss_behind_a_half_line_comes_before_its_timeout),
		TEST(the_timer_tells_half_lines_that_are_too_old),
		TEST(a_stream_found_in_mid_line_says_so),
		TEST(an_unwanted_stream_is_counted_and_silent),
		TEST(a_container_that_is_not_selected_is_counted_and_silent),
		FILE_TEST(a_container_that_is_not_selected_is_counted_and_silent),
		TEST(what_cannot_be_known_is_selected_or_not_as_configured),
		FILE_TEST(what_cannot_be_known_is_selected_or_not_as_configured),
		TEST(a_container_ends_where_it_is_no_longer_selected),
		FILE_TEST(a_container_ends_where_it_is_no_longer_selected),
		TEST(a_container_stays_selected_while_it_is_not_known_better),
		FILE_TEST(a_container_stays_selected_while_it_is_not_known_better),
		TEST(a_file_that_no_container_writes_is_chosen_by_its_path_alone),
		TEST(streams_of_a_rule_may_be_files),
		FILE_TEST(streams_of_a_rule_may_be_files),
		TEST(a_file_system_whose_writes_are_not_seen_is_refused),
		TEST(writes_and_bytes_are_counted),
		TEST(a_half_line_goes_on_after_a_crash),
		TEST(what_a_stream_is_called_is_not_asked_again),
		TEST(a_file_says_which_service_writes_it),
		TEST(a_line_that_is_made_again_keeps_its_names),
		TEST(a_line_that_is_made_again_keeps_its_fields),
		TEST(a_stream_is_named_before_its_first_line),
		TEST(a_file_that_is_left_out_before_its_first_line_keeps_its_path),
		TEST(what_is_refused_stays_refused),
		TEST(a_loss_that_was_told_is_not_told_again),
		TEST(what_is_not_in_the_ring_is_told_alone),
		TEST(nothing_new_is_not_committed),
		TEST(a_process_is_known_after_a_crash),
		TEST(many_half_lines_are_there_after_a_crash),
		TEST(many_half_lines_are_within_the_budget),
		TEST(a_half_line_without_a_slot_is_lost_with_its_id),
		TEST(what_is_dropped_is_told_before_the_next_line),
		TEST(what_is_told_as_dropped_never_comes),
		TEST(what_nobody_can_tell_holds_up_nobody),
		TEST(crashes_change_nothing_that_comes_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
