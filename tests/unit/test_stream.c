#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "../../user/capture.h"
#include "../../user/carry_budget.h"
#include "../../user/checkpoint.h"
#include "../../user/config.h"
#include "../../user/counters.h"
#include "../../user/identity.h"
#include "../../user/journal.h"
#include "../../user/log.h"
#include "../../user/selection.h"
#include "../../user/stream.h"

#define SEGMENT 1048576u
#define TIMEOUT 5000
#define COVERED 0xef53
#define RECORDS_MAX 4096
#define COMMITS_MAX 16

/* Stands in for the kernel half: slots that the test fills, file systems of which one is seen. */
struct capture {
	struct stream_slot slots[2];
};

struct stream_slot *capture__slot(const struct capture *capture, uint32_t slot)
{
	return (struct stream_slot *)&capture->slots[slot];
}

bool capture__covers(const struct capture *capture, uint64_t magic)
{
	(void)capture;
	return magic == COVERED;
}

struct fixture {
	char directory[64];
	char *files[1];
	struct config config;
	struct journal_options journal_options;
	struct journal *journal;
	struct counters counters;
	bool abandon;
	bool drop_newest;
	struct checkpoint_options checkpoint_options;
	struct checkpoint *checkpoint;
	unsigned int commits;        /* that changed something */
	uint64_t appended[COMMITS_MAX]; /* records of each */
	uint64_t pending;
	struct capture capture;
	struct assembly_options assembly;
	struct carry_budget budget;
	struct stream_context context;
	struct stream_slot *slot;
	struct stream *stream;
	uint64_t position;
	uint64_t consumed;           /* behind the last record that was handled */
	uint64_t time;
	json_t *seen[RECORDS_MAX];
	unsigned int count;
	unsigned int checked;
};

static void open_stream(struct fixture *fixture)
{
	fixture->context.changed = NULL;
	stream__free(fixture->stream);
	assert_int_equal(stream__open(&fixture->context, 1, &fixture->stream), 0);
}

/* As the shard does it: see shard_fields.h. */
static void commit(void *owner)
{
	struct fixture *fixture = owner;
	struct checkpoint_position position = { .ring = fixture->consumed };
	uint64_t pending = journal__pending(fixture->journal);
	struct journal_mark mark;

	if (!fixture->context.changed && pending == fixture->pending)
		return;
	if (fixture->commits < COMMITS_MAX)
		fixture->appended[fixture->commits] = pending - fixture->pending;
	fixture->commits++;
	fixture->pending = pending;
	journal__mark(fixture->journal, &mark);
	position.journal_number = mark.number;
	position.journal_offset = mark.off;
	stream__save_changed(&fixture->context);
	checkpoint__commit(fixture->checkpoint, &position);
	journal__publish(fixture->journal);
	heap__reclaim(checkpoint__heap(fixture->checkpoint));
}

static void open_parts(struct fixture *fixture)
{
	struct stream_context *context = &fixture->context;
	struct checkpoint_position position;
	struct journal_mark end = { 0, 0 };

	assert_int_equal(checkpoint__open(&fixture->checkpoint_options, &fixture->checkpoint), 0);
	if (checkpoint__position(fixture->checkpoint, &position))
		end = (struct journal_mark){ position.journal_number, position.journal_offset };
	assert_int_equal(journal__open(&fixture->journal_options, end.number || end.off ? &end : NULL,
				       &fixture->journal),
			 0);
	fixture->pending = journal__pending(fixture->journal);
	fixture->budget = (struct carry_budget){ .limit = 1 << 20 };
	fixture->assembly = (struct assembly_options){
		.budget = &fixture->budget,
		.max_line = 4096,
		.heap = checkpoint__heap(fixture->checkpoint),
		.timeout = TIMEOUT,
		.emit = stream__emit,
	};
	*context = (struct stream_context){
		.checkpoint = fixture->checkpoint,
		.commit = commit,
		.owner = fixture,
		.capture = &fixture->capture,
		.counters = &fixture->counters,
		.assembly = &fixture->assembly,
	};
	assert_int_equal(encoder__new(&(struct encoder_options){ .journal = fixture->journal,
								 .space_fd = fixture->journal_options.space_fd,
								 .wake_fd = -1,
								 .drop_newest = fixture->drop_newest,
								 .abandon = &fixture->abandon,
								 .counters = &fixture->counters,
								 .node = "n",
								 .id_prefix = "" },
				      &context->encoder),
			 0);
	encoder__restore_clock(context->encoder, 1000000000000);
	assert_int_equal(selection__new(&fixture->config, fixture->directory, &context->selection), 0);
	assert_int_equal(identity_cache__new(fixture->directory, 8, &context->identities), 0);
}

static void close_parts(struct fixture *fixture)
{
	stream__free(fixture->stream);
	fixture->stream = NULL;
	identity_cache__free(fixture->context.identities);
	selection__free(fixture->context.selection);
	encoder__free(fixture->context.encoder);
	journal__close(fixture->journal);
	checkpoint__free(fixture->checkpoint);
}

static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	strcpy(fixture->directory, "/dev/shm/logtap-stream-XXXXXX");
	if (!mkdtemp(fixture->directory))
		return -1;
	fixture->files[0] = (char *)"/app/*";
	fixture->config.capture.files = fixture->files;
	fixture->config.capture.files_count = 1;
	fixture->config.capture.containers = true;
	fixture->journal_options = (struct journal_options){
		.directory = fixture->directory,
		.max_size = 4 * SEGMENT,
		.segment_size = SEGMENT,
		.data_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC),
		.space_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC),
	};
	fixture->checkpoint_options = (struct checkpoint_options){
		.directory = fixture->directory,
		.streams = 2,
		.heap_limit = 4 * HEAP_STEP,
		.epoch = 1,
		.id_prefix = "",
	};
	open_parts(fixture);
	/* What a crash leaves is meant. */
	log_set_level(LOG_LEVEL_ERROR);
	fixture->slot = &fixture->capture.slots[1];
	fixture->slot->generation = 3;
	fixture->slot->kind = STREAM_FILE;
	fixture->slot->magic = COVERED;
	strcpy(fixture->slot->path, "/app/a.log");
	fixture->time = 100000;
	open_stream(fixture);
	*state = fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;
	struct dirent *entry;
	DIR *dir;

	for (unsigned int i = 0; i < fixture->count; i++)
		json_decref(fixture->seen[i]);
	close_parts(fixture);
	dir = opendir(fixture->directory);
	while (dir && (entry = readdir(dir)))
		unlinkat(dirfd(dir), entry->d_name, 0);
	closedir(dir);
	rmdir(fixture->directory);
	close(fixture->journal_options.data_fd);
	close(fixture->journal_options.space_fd);
	free(fixture);
	return 0;
}

static void read_journal(struct fixture *fixture)
{
	struct journal_record record;

	while (journal__next(fixture->journal, &record)) {
		assert_true(fixture->count < RECORDS_MAX);
		fixture->seen[fixture->count] = json_loadb(record.value, record.meta.value_len, 0, NULL);
		if (!fixture->seen[fixture->count++])
			fail_msg("no JSON: %.*s", (int)record.meta.value_len, record.value);
		journal__ack(fixture->journal, record.handle);
		fixture->pending--;
	}
}

static json_t *next_record(struct fixture *fixture)
{
	commit(fixture);
	read_journal(fixture);
	assert_true(fixture->checked < fixture->count);
	return fixture->seen[fixture->checked++];
}

static void no_more(struct fixture *fixture)
{
	commit(fixture);
	read_journal(fixture);
	assert_int_equal(fixture->count - fixture->checked, 0);
}

/* The next record must be this line; `partial` NULL: a whole one. */
static json_t *next_line(struct fixture *fixture, const char *message, const char *partial)
{
	json_t *json = next_record(fixture);
	const char *text = json_string_value(json_object_get(json, "message"));
	const char *why = json_string_value(json_object_get(json, "partial"));

	if (!text)
		fail_msg("a gap, not %s", message);
	assert_string_equal(text, message);
	assert_string_equal(why ? why : "whole", partial ? partial : "whole");
	return json;
}

static void next_gap(struct fixture *fixture, uint64_t bytes, uint64_t writes, const char *reason)
{
	json_t *lost = json_object_get(next_record(fixture), "lost");

	if (!lost)
		fail_msg("a line, not a gap of %lu bytes", (unsigned long)bytes);
	assert_int_equal(json_integer_value(json_object_get(lost, "bytes")), bytes);
	assert_int_equal(json_integer_value(json_object_get(lost, "writes")), writes);
	assert_string_equal(json_string_value(json_object_get(lost, "reason")), reason);
}

static struct record *new_record(struct fixture *fixture, uint8_t type, const void *payload, size_t length)
{
	struct record *record = calloc(1, sizeof(*record) + length);

	*record = (struct record){
		.version = RECORD_VERSION,
		.header_length = sizeof(*record),
		.type = type,
		.length = sizeof(*record) + length,
		.slot = 1,
		.generation = 3,
		.time = fixture->time,
		.tgid = 41,
		.tid = 41,
		.writer = 9,
		.start_time = 1,
		.write_length = length,
	};
	memcpy(record + 1, payload, length);
	return record;
}

static void send_record(struct fixture *fixture, struct record *record)
{
	stream__record(fixture->stream, record, fixture->position += 4096);
	fixture->consumed = fixture->position;
	free(record);
}

/* A write that knew of these losses. */
static void data(struct fixture *fixture, const char *text, uint64_t lost_bytes, uint32_t lost_writes)
{
	struct record *record = new_record(fixture, RECORD_DATA, text, strlen(text));

	record->lost_bytes = lost_bytes;
	record->lost_writes = lost_writes;
	send_record(fixture, record);
}

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

/* Killed here: what was not committed never happened. What the sink had is read, and acknowledged. */
static void crash(struct fixture *fixture)
{
	read_journal(fixture);
	fixture->context.changed = NULL;
	close_parts(fixture);
	open_parts(fixture);
}

static void restore(struct fixture *fixture, bool slot_lives)
{
	const struct saved_stream *saved = checkpoint__saved(fixture->checkpoint, 1);

	assert_non_null(saved);
	assert_int_equal(stream__restore(&fixture->context, 1, slot_lives, saved,
					 checkpoint__saved_processes(fixture->checkpoint, 1), &fixture->stream),
			 0);
}

static void restart(struct fixture *fixture)
{
	crash(fixture);
	restore(fixture, true);
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

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
		TEST(the_timer_tells_half_lines_that_are_too_old),
		TEST(a_stream_found_in_mid_line_says_so),
		TEST(an_unwanted_stream_is_counted_and_silent),
		TEST(a_file_system_whose_writes_are_not_seen_is_refused),
		TEST(writes_and_bytes_are_counted),
		TEST(a_half_line_goes_on_after_a_crash),
		TEST(what_a_stream_is_called_is_not_asked_again),
		TEST(a_stream_is_named_before_its_first_line),
		TEST(what_is_refused_stays_refused),
		TEST(a_loss_that_was_told_is_not_told_again),
		TEST(what_is_not_in_the_ring_is_told_alone),
		TEST(nothing_new_is_not_committed),
		TEST(a_process_is_known_after_a_crash),
		TEST(many_half_lines_are_there_after_a_crash),
		TEST(many_half_lines_are_within_the_budget),
		TEST(a_half_line_without_a_slot_is_lost_with_its_id),
		TEST(what_is_dropped_is_told_before_the_next_line),
		TEST(crashes_change_nothing_that_comes_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
