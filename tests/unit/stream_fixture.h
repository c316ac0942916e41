/*
 * One stream on a real journal and checkpoint, with SLOTS slots that the test fills in place of the kernel half. Included once
 * in a program: it defines what capture.h declares.
 */
#ifndef LOGTAP_STREAM_FIXTURE_H
#define LOGTAP_STREAM_FIXTURE_H

#include <fcntl.h>
#include <ftw.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "../../user/base/config.h"
#include "../../user/base/counters.h"
#include "../../user/base/log.h"
#include "../../user/capture/capture.h"
#include "../../user/identity/identity.h"
#include "../../user/journal/journal.h"
#include "../../user/lines/carry_budget.h"
#include "../../user/selection/selection.h"
#include "../../user/stream/checkpoint.h"
#include "../../user/stream/stream.h"

#define SEGMENT 1048576u
#define TIMEOUT 5000
#define COVERED 0xef53
#define RECORDS_MAX 4096
#define COMMITS_MAX 16
#ifndef SLOTS
#define SLOTS 2
#endif

/* Stands in for the kernel half: slots that the test fills, file systems of which one is seen. */
struct capture {
	struct stream_slot slots[SLOTS];
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
	char *every[1];
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

static inline void open_stream(struct fixture *fixture)
{
	fixture->context.changed = NULL;
	stream__free(fixture->stream);
	assert_int_equal(stream__open(&fixture->context, 1, &fixture->stream), 0);
}

/* As the shard does it: see shard_fields.h. */
static inline void commit(void *owner)
{
	struct fixture *fixture = owner;
	struct checkpoint_position position = { .ring = fixture->consumed };
	uint64_t pending = journal__pending(fixture->journal);
	struct journal_mark mark;

	if (fixture->context.cancelled || (!fixture->context.changed && pending == fixture->pending))
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

static inline void open_parts(struct fixture *fixture)
{
	struct stream_context *context = &fixture->context;
	struct checkpoint_position position;
	struct journal_mark end = { 0, 0 };

	assert_int_equal(checkpoint__open(&fixture->checkpoint_options, &fixture->checkpoint), 0);
	if (checkpoint__position(fixture->checkpoint, &position)) {
		end = (struct journal_mark){ position.journal_number, position.journal_offset };
		fixture->consumed = position.ring;
	}
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
								 .id_prefix = "",
								 .layout = { "n", &fixture->config.record, NULL } },
				      &context->encoder),
			 0);
	encoder__restore_clock(context->encoder, 1000000000000);
	assert_int_equal(selection__new(&fixture->config, fixture->directory, &context->selection), 0);
	assert_int_equal(identity_cache__new(fixture->directory, 8, &context->identities), 0);
}

static inline void close_parts(struct fixture *fixture)
{
	stream__free(fixture->stream);
	fixture->stream = NULL;
	identity_cache__free(fixture->context.identities);
	selection__free(fixture->context.selection);
	encoder__free(fixture->context.encoder);
	journal__close(fixture->journal);
	checkpoint__free(fixture->checkpoint);
}

static inline int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	strcpy(fixture->directory, "/dev/shm/logtap-stream-XXXXXX");
	if (!mkdtemp(fixture->directory))
		return -1;
	fixture->files[0] = (char *)"/app/*";
	fixture->config.capture.files = fixture->files;
	fixture->config.capture.files_count = 1;
	fixture->config.capture.containers = true;
	fixture->every[0] = (char *)"*";
	fixture->config.record.fields = (struct globs_config){ .allow = fixture->every, .allow_count = 1 };
	fixture->config.record.pod_labels = fixture->config.record.fields;
	fixture->config.record.labels_max = 65536;
	fixture->journal_options = (struct journal_options){
		.directory = fixture->directory,
		.max_size = 4 * SEGMENT,
		.segment_size = SEGMENT,
		.data_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC),
		.space_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC),
	};
	fixture->checkpoint_options = (struct checkpoint_options){
		.directory = fixture->directory,
		.streams = SLOTS,
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

static inline int remove_entry(const char *path, const struct stat *about, int type, struct FTW *place)
{
	(void)about;
	(void)type;
	(void)place;
	return remove(path);
}

static inline int teardown(void **state)
{
	struct fixture *fixture = *state;

	for (unsigned int i = 0; i < fixture->count; i++)
		json_decref(fixture->seen[i]);
	close_parts(fixture);
	nftw(fixture->directory, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
	close(fixture->journal_options.data_fd);
	close(fixture->journal_options.space_fd);
	free(fixture);
	return 0;
}

static inline void read_journal(struct fixture *fixture)
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

static inline json_t *next_record(struct fixture *fixture)
{
	commit(fixture);
	read_journal(fixture);
	assert_true(fixture->checked < fixture->count);
	return fixture->seen[fixture->checked++];
}

static inline void no_more(struct fixture *fixture)
{
	commit(fixture);
	read_journal(fixture);
	assert_int_equal(fixture->count - fixture->checked, 0);
}

/* The next record must be this line; `partial` NULL: a whole one. */
static inline json_t *next_line(struct fixture *fixture, const char *message, const char *partial)
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

static inline void next_gap(struct fixture *fixture, uint64_t bytes, uint64_t writes, const char *reason)
{
	json_t *lost = json_object_get(next_record(fixture), "lost");

	if (!lost)
		fail_msg("a line, not a gap of %lu bytes", (unsigned long)bytes);
	assert_int_equal(json_integer_value(json_object_get(lost, "bytes")), bytes);
	assert_int_equal(json_integer_value(json_object_get(lost, "writes")), writes);
	assert_string_equal(json_string_value(json_object_get(lost, "reason")), reason);
}

static inline struct record *new_record(struct fixture *fixture, uint8_t type, const void *payload, size_t length)
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

static inline void send_record(struct fixture *fixture, struct record *record)
{
	stream__record(fixture->stream, record, fixture->position += 4096);
	fixture->consumed = fixture->position;
	free(record);
}

/* A write that knew of these losses. */
static inline void data(struct fixture *fixture, const char *text, uint64_t lost_bytes, uint32_t lost_writes)
{
	struct record *record = new_record(fixture, RECORD_DATA, text, strlen(text));

	record->lost_bytes = lost_bytes;
	record->lost_writes = lost_writes;
	send_record(fixture, record);
}

/* Killed here: what was not committed never happened. What the sink had is read, and acknowledged. */
static inline void crash(struct fixture *fixture)
{
	read_journal(fixture);
	fixture->context.changed = NULL;
	close_parts(fixture);
	open_parts(fixture);
}

static inline void restore(struct fixture *fixture, bool slot_lives)
{
	const struct saved_stream *saved = checkpoint__saved(fixture->checkpoint, 1);

	assert_non_null(saved);
	assert_int_equal(stream__restore(&fixture->context, 1, slot_lives, saved,
					 checkpoint__saved_processes(fixture->checkpoint, 1), &fixture->stream),
			 0);
}

static inline void restart(struct fixture *fixture)
{
	crash(fixture);
	restore(fixture, true);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
