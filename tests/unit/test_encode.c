#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "../../user/base/counters.h"
#include "../../user/identity/identity.h"
#include "../../user/journal/journal.h"
#include "../../user/stream/encode.h"

#define SEGMENT 65536u
#define C "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define POD "8a3bf2b1-0c4d-4e5f-9a6b-7c8d9e0f1a2b"

struct fixture {
	char directory[64];
	struct journal_options journal_options;
	struct journal *journal;
	struct counters counters;
	bool abandon;
	struct encoder_options options;
	struct encoder *encoder;
	struct journal_record record; /* the last that was read */
	json_t *json;                 /* the same, decoded */
};

static const struct writer writer = { .tgid = 41, .tid = 42, .tag = 9 };
static const struct process process = { .tag = 9, .tgid = 41, .uid = 1000, .name = "nginx" };
static const struct identity identity = {
	.container_id = C,
	.container_name = "web",
	.image = "shop/web:1",
	.runtime = "containerd",
	.pod_name = "web-0",
	.pod_namespace = "shop",
	.pod_uid = POD,
};
static const struct identity nameless = {
	.container_id = C,
	.container_name = "",
	.image = "",
	.runtime = "",
	.pod_name = "",
	.pod_namespace = "",
	.pod_uid = "",
};
static const struct stream_source container_source = { .kind = STREAM_STDOUT, .identity = &identity };
static const struct stream_source file_source = { .kind = STREAM_FILE, .file = "/var/log/a.log" };

static void start_encoder(struct fixture *fixture)
{
	encoder__free(fixture->encoder);
	assert_int_equal(encoder__new(&fixture->options, &fixture->encoder), 0);
}

static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	strcpy(fixture->directory, "/dev/shm/logtap-encode-XXXXXX");
	if (!mkdtemp(fixture->directory))
		return -1;
	fixture->journal_options = (struct journal_options){
		.directory = fixture->directory,
		.max_size = 4 * SEGMENT,
		.segment_size = SEGMENT,
		.data_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC),
		.space_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC),
	};
	assert_int_equal(journal__open(&fixture->journal_options, NULL, &fixture->journal), 0);
	fixture->options = (struct encoder_options){
		.journal = fixture->journal,
		.space_fd = fixture->journal_options.space_fd,
		.wake_fd = -1,
		.abandon = &fixture->abandon,
		.counters = &fixture->counters,
		.id_prefix = "node-1.boot.0.",
		.layout.node = "node-1",
	};
	start_encoder(fixture);
	*state = fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;
	struct dirent *entry;
	DIR *dir;

	json_decref(fixture->json);
	encoder__free(fixture->encoder);
	journal__close(fixture->journal);
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

/* Reads the next record back. jansson refuses what is no JSON and names that come twice. */
static json_t *read_back(struct fixture *fixture)
{
	json_error_t error;

	journal__publish(fixture->journal);
	assert_int_equal(journal__next(fixture->journal, &fixture->record), 1);
	json_decref(fixture->json);
	fixture->json = json_loadb(fixture->record.value, fixture->record.meta.value_len,
				   JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
	if (!fixture->json)
		fail_msg("%s in %.*s", error.text, (int)fixture->record.meta.value_len, fixture->record.value);
	return fixture->json;
}

static struct line line_of(const char *text, size_t length)
{
	return (struct line){ .text = text, .length = length, .position = 0xabc, .offset = 16, .writer = writer };
}

static json_t *encode_bytes(struct fixture *fixture, const struct stream_source *source, const char *text,
			    size_t length, enum partial partial)
{
	struct line line = line_of(text, length);
	struct stream_text *common;

	line.partial = partial;
	assert_int_equal(stream_text__new(fixture->encoder, source, &common), 0);
	assert_int_equal(encoder__line(fixture->encoder, common, &line, &process), 0);
	stream_text__free(common);
	return read_back(fixture);
}

static json_t *encode(struct fixture *fixture, const struct stream_source *source, const char *text)
{
	return encode_bytes(fixture, source, text, strlen(text), PARTIAL_NONE);
}

static void assert_text(const json_t *object, const char *name, const char *expected)
{
	const json_t *value = json_object_get(object, name);

	if (!json_is_string(value))
		fail_msg("%s is missing", name);
	assert_string_equal(json_string_value(value), expected);
}

/* What a gap in this record's place begins with: all up to the id's closing quote. */
static void assert_head_ends_the_id(const struct fixture *fixture)
{
	const struct journal_record *record = &fixture->record;
	const char *id = json_string_value(json_object_get(fixture->json, "id"));
	char quoted[128];
	size_t length = snprintf(quoted, sizeof(quoted), "\"id\":\"%s\"", id);

	assert_in_range(record->meta.head_len, length, record->meta.value_len);
	assert_memory_equal(record->value + record->meta.head_len + 1 - length, quoted, length);
}

/* The names, in order, with a space after each. */
static void assert_names(json_t *object, const char *expected)
{
	char names[512] = "";
	const char *name;
	json_t *value;

	json_object_foreach(object, name, value) {
		strcat(names, name);
		strcat(names, " ");
	}
	assert_string_equal(names, expected);
}

static void a_containers_line_has_the_promised_names(void **state)
{
	json_t *json = encode(*state, &container_source, "hello"), *part;

	assert_names(json, "timestamp stream source_type host container kubernetes id process message ");
	assert_text(json, "stream", "stdout");
	assert_text(json, "source_type", "kubernetes_logs");
	assert_text(json, "host", "node-1");
	assert_text(json, "id", "node-1.boot.0.abc.10");
	assert_text(json, "message", "hello");
	part = json_object_get(json, "container");
	assert_names(part, "id name image runtime ");
	assert_text(part, "id", C);
	assert_text(part, "name", "web");
	assert_text(part, "image", "shop/web:1");
	assert_text(part, "runtime", "containerd");
	part = json_object_get(json, "kubernetes");
	assert_names(part, "pod_name pod_namespace pod_uid pod_node_name container_name container_id "
			   "container_image ");
	assert_text(part, "pod_name", "web-0");
	assert_text(part, "pod_namespace", "shop");
	assert_text(part, "pod_uid", POD);
	assert_text(part, "pod_node_name", "node-1");
	assert_text(part, "container_name", "web");
	assert_text(part, "container_id", "containerd://" C);
	assert_text(part, "container_image", "shop/web:1");
}

static void the_writer_is_told(void **state)
{
	json_t *part = json_object_get(encode(*state, &container_source, "x"), "process");

	assert_names(part, "pid tid name uid ");
	assert_int_equal(json_integer_value(json_object_get(part, "pid")), 41);
	assert_int_equal(json_integer_value(json_object_get(part, "tid")), 42);
	assert_int_equal(json_integer_value(json_object_get(part, "uid")), 1000);
	assert_text(part, "name", "nginx");
}

static void a_writer_without_its_record_has_pid_and_tid(void **state)
{
	struct fixture *fixture = *state;
	struct line line = line_of("x", 1);
	struct stream_text *common;

	assert_int_equal(stream_text__new(fixture->encoder, &container_source, &common), 0);
	assert_int_equal(encoder__line(fixture->encoder, common, &line, NULL), 0);
	stream_text__free(common);
	assert_names(json_object_get(read_back(fixture), "process"), "pid tid ");
}

static void a_files_line_has_its_path_and_no_stream(void **state)
{
	json_t *json = encode(*state, &file_source, "x");

	assert_names(json, "timestamp source_type host file id process message ");
	assert_text(json, "source_type", "file");
	assert_text(json, "file", "/var/log/a.log");
}

static void what_is_not_known_is_left_out(void **state)
{
	const struct stream_source source = { .kind = STREAM_STDERR, .identity = &nameless };
	json_t *json = encode(*state, &source, "x");

	assert_names(json, "timestamp stream source_type host container id process message ");
	assert_text(json, "stream", "stderr");
	assert_names(json_object_get(json, "container"), "id ");
}

static void a_cut_line_says_why(void **state)
{
	static const char *const names[] = { NULL, "start", "max_size", "timeout", "eof", "lost" };
	struct fixture *fixture = *state;

	assert_null(json_object_get(encode(fixture, &file_source, "x"), "partial"));
	for (int partial = PARTIAL_START; partial <= PARTIAL_LOST; partial++) {
		json_t *json = encode_bytes(fixture, &file_source, "x", 1, partial);

		assert_text(json, "partial", names[partial]);
		assert_names(json, "timestamp source_type host file id process message partial ");
	}
	assert_int_equal(counters__get(&fixture->counters, COUNTER_lines), 6);
	assert_int_equal(counters__get(&fixture->counters, COUNTER_lines_partial_start), 1);
	assert_int_equal(counters__get(&fixture->counters, COUNTER_lines_partial_max_size), 1);
	assert_int_equal(counters__get(&fixture->counters, COUNTER_lines_partial_timeout), 1);
	assert_int_equal(counters__get(&fixture->counters, COUNTER_lines_partial_eof), 1);
	assert_int_equal(counters__get(&fixture->counters, COUNTER_lines_partial_lost), 1);
}

static void a_gap_tells_what_was_lost_and_has_no_message(void **state)
{
	static const char *const reasons[] = { "ring_full", "unsupported", "fault" };
	struct fixture *fixture = *state;
	struct stream_text *common;

	assert_int_equal(stream_text__new(fixture->encoder, &container_source, &common), 0);
	for (int reason = 0; reason < LOSS_COUNT; reason++) {
		const struct gap gap = { .bytes = 1ULL << 40, .writes = 7, .reason = reason, .slot = 3, .generation = 4 };
		json_t *json, *lost;

		assert_int_equal(encoder__gap(fixture->encoder, common, &gap), 0);
		json = read_back(fixture);
		assert_names(json, "timestamp stream source_type host container kubernetes id lost ");
		lost = json_object_get(json, "lost");
		assert_names(lost, "bytes writes reason ");
		assert_int_equal(json_integer_value(json_object_get(lost, "bytes")), 1ULL << 40);
		assert_int_equal(json_integer_value(json_object_get(lost, "writes")), 7);
		assert_text(lost, "reason", reasons[reason]);
		assert_int_equal(fixture->record.meta.message_off, 0);
		assert_int_equal(fixture->record.meta.flags, JOURNAL_GAP);
		assert_int_equal(fixture->record.meta.raw_len, 1ULL << 40);
		assert_int_equal(fixture->record.meta.lines, 0);
		assert_head_ends_the_id(fixture);
	}
	stream_text__free(common);
	assert_int_equal(counters__get(&fixture->counters, COUNTER_gaps), LOSS_COUNT);
}

static void the_timestamp_is_utc_with_nanoseconds(void **state)
{
	struct fixture *fixture = *state;
	struct timespec wall, boot;
	struct stream_text *common;
	struct line line = line_of("x", 1);
	struct tm tm = { 0 };
	const char *text, *rest;

	clock_gettime(CLOCK_REALTIME, &wall);
	clock_gettime(CLOCK_BOOTTIME, &boot);
	encoder__set_clock(fixture->encoder);
	line.time = boot.tv_sec * 1000000000ULL + boot.tv_nsec;
	assert_int_equal(stream_text__new(fixture->encoder, &file_source, &common), 0);
	for (int i = 0; i < 2; i++, line.time += 3600 * 1000000000ULL, wall.tv_sec += 3600) {
		assert_int_equal(encoder__line(fixture->encoder, common, &line, NULL), 0);
		text = json_string_value(json_object_get(read_back(fixture), "timestamp"));
		assert_int_equal(strlen(text), strlen("2026-11-21T06:31:22.123456789Z"));
		rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
		assert_non_null(rest);
		assert_int_equal(*rest, '.');
		assert_int_equal(strspn(rest + 1, "0123456789"), 9);
		assert_string_equal(rest + 10, "Z");
		/* The two clocks were not read at one moment. */
		assert_in_range(timegm(&tm), wall.tv_sec - 2, wall.tv_sec + 2);
	}
	stream_text__free(common);
}

static void nanoseconds_keep_their_zeros(void **state)
{
	struct fixture *fixture = *state;
	struct stream_text *common;
	struct line line = line_of("x", 1);
	unsigned long long first, second;

	assert_int_equal(stream_text__new(fixture->encoder, &file_source, &common), 0);
	line.time = 5000000000ULL;
	assert_int_equal(encoder__line(fixture->encoder, common, &line, NULL), 0);
	line.time += 999999999;
	assert_int_equal(encoder__line(fixture->encoder, common, &line, NULL), 0);
	stream_text__free(common);
	first = strtoull(json_string_value(json_object_get(read_back(fixture), "timestamp")) + 20, NULL, 10);
	second = strtoull(json_string_value(json_object_get(read_back(fixture), "timestamp")) + 20, NULL, 10);
	assert_int_equal((first + 999999999) % 1000000000, second);
}

static void any_byte_comes_back(void **state)
{
	struct fixture *fixture = *state;
	char text[128];
	const json_t *message;

	for (int i = 0; i < 128; i++)
		text[i] = i;
	message = json_object_get(encode_bytes(fixture, &file_source, text, 128, PARTIAL_NONE), "message");
	assert_int_equal(json_string_length(message), 128);
	assert_memory_equal(json_string_value(message), text, 128);
	assert_int_equal(counters__get(&fixture->counters, COUNTER_lines_invalid_utf8), 0);
}

static void bytes_that_are_not_utf8_are_replaced(void **state)
{
	struct fixture *fixture = *state;
	json_t *json = encode(fixture, &file_source, "a\xff" "b");

	assert_text(json, "message", "a\xef\xbf\xbd" "b");
	assert_null(json_object_get(json, "encoding"));
	assert_int_equal(counters__get(&fixture->counters, COUNTER_lines_invalid_utf8), 1);
}

static void or_the_whole_message_is_base64_and_says_so(void **state)
{
	struct fixture *fixture = *state;
	json_t *json;

	fixture->options.invalid_utf8 = INVALID_UTF8_BASE64;
	start_encoder(fixture);
	json = encode_bytes(fixture, &file_source, "a\xff" "b", 3, PARTIAL_EOF);
	assert_text(json, "message", "Yf9i");
	assert_text(json, "encoding", "base64");
	assert_text(json, "partial", "eof");
	assert_int_equal(counters__get(&fixture->counters, COUNTER_lines_invalid_utf8), 1);
	json = encode(fixture, &file_source, "\xc3\xa9");
	assert_text(json, "message", "\xc3\xa9");
	assert_null(json_object_get(json, "encoding"));
}

#define HOSTILE "\"},\n\"x\":{\\\x01\xff<"
#define HOSTILE_DECODED "\"},\n\"x\":{\\\x01\xef\xbf\xbd<"

static void hostile_names_stay_text(void **state)
{
	/* A name that is not UTF-8 is left out: see test_layout.c. */
	struct label label = { "\"\\\n", HOSTILE };
	char *all = "*";
	const struct globs_config everything = { .allow = &all, .allow_count = 1 };
	const struct record_config record = { .fields = everything, .container_labels = everything, .labels_max = 1024 };
	struct identity hostile = { .container_id = HOSTILE, .container_name = HOSTILE, .image = HOSTILE,
				    .runtime = HOSTILE, .pod_name = HOSTILE, .pod_namespace = HOSTILE,
				    .pod_uid = HOSTILE, .complete = true, .labels = { &label, 1, 0 } };
	const struct stream_source source = { .kind = STREAM_FILE, .file = HOSTILE, .identity = &hostile };
	struct process named = process;
	struct fixture *fixture = *state;
	struct line line = line_of(HOSTILE, strlen(HOSTILE));
	struct stream_text *common;
	json_t *json, *value;
	const char *name;

	fixture->options.layout.node = HOSTILE;
	fixture->options.layout.record = &record;
	start_encoder(fixture);
	memcpy(named.name, HOSTILE, strlen(HOSTILE));
	assert_int_equal(stream_text__new(fixture->encoder, &source, &common), 0);
	assert_int_equal(encoder__line(fixture->encoder, common, &line, &named), 0);
	stream_text__free(common);
	json = read_back(fixture);
	assert_text(json, "host", HOSTILE_DECODED);
	assert_text(json, "file", HOSTILE_DECODED);
	assert_text(json, "message", HOSTILE_DECODED);
	assert_text(json_object_get(json, "process"), "name", HOSTILE_DECODED);
	assert_int_equal(json_object_size(json_object_get(json, "container")), 5);
	assert_text(json_object_get(json_object_get(json, "container"), "labels"), label.name, HOSTILE_DECODED);
	json_object_del(json_object_get(json, "container"), "labels");
	json_object_foreach(json_object_get(json, "container"), name, value)
		assert_string_equal(json_string_value(value), HOSTILE_DECODED);
	assert_int_equal(json_object_size(json_object_get(json, "kubernetes")), 7);
	json_object_foreach(json_object_get(json, "kubernetes"), name, value)
		assert_string_equal(json_string_value(value), HOSTILE_DECODED);
}

/* The longest of everything must fit in what was asked of the journal: its commit asserts that, and so would the sanitizer. */
static void the_longest_numbers_and_names_fit(void **state)
{
	struct fixture *fixture = *state;
	struct line line = {
		.text = "x", .length = 1, .partial = PARTIAL_MAX_SIZE, .position = UINT64_MAX, .offset = UINT64_MAX,
		.time = 1, .writer = { .tgid = UINT32_MAX, .tid = UINT32_MAX },
	};
	struct process longest = { .uid = UINT32_MAX };
	struct stream_text *common;

	memset(longest.name, 1, PROCESS_NAME_SIZE);
	assert_int_equal(stream_text__new(fixture->encoder, &file_source, &common), 0);
	assert_int_equal(encoder__line(fixture->encoder, common, &line, &longest), 0);
	stream_text__free(common);
	read_back(fixture);
	/* Well below LAYOUT_LINE_OVERHEAD, which is reserved beside the stream's own text and the message. */
	assert_true(fixture->record.meta.value_len < 512);
}

static void the_sink_knows_where_the_message_is(void **state)
{
	static const char escaped[] = "a\\nb\\u0001\xc3\xa9\"";
	struct fixture *fixture = *state;

	encode_bytes(fixture, &container_source, "a\nb\x01\xc3\xa9", 6, PARTIAL_MAX_SIZE);
	assert_int_equal(fixture->record.meta.message_len, strlen(escaped) - 1);
	assert_int_equal(fixture->record.meta.raw_len, 6); /* no newline */
	assert_memory_equal(fixture->record.value + fixture->record.meta.message_off, escaped, strlen(escaped));
	/* What follows is only the reason, so that the message can be cut without knowing the rest. */
	assert_memory_equal(fixture->record.value + fixture->record.meta.message_off +
				    fixture->record.meta.message_len,
			    "\",\"partial\":\"max_size\"}", 23);
	encode(fixture, &container_source, "");
	assert_int_equal(fixture->record.meta.message_len, 0);
	assert_memory_equal(fixture->record.value + fixture->record.meta.message_off, "\"}", 2);
}

static void the_journal_knows_what_a_record_stands_for(void **state)
{
	struct fixture *fixture = *state;
	struct stream_source source = container_source;

	source.stream = 7ULL << 32 | 9;
	for (int partial = PARTIAL_NONE; partial <= PARTIAL_LOST; partial++) {
		encode_bytes(fixture, &source, "a\nb", 3, partial);
		/* After start the newline was there. */
		assert_int_equal(fixture->record.meta.raw_len, partial <= PARTIAL_START ? 4 : 3);
		assert_int_equal(fixture->record.meta.lines, 1);
		assert_int_equal(fixture->record.meta.flags, 0);
		assert_int_equal(fixture->record.meta.stream, source.stream);
		assert_head_ends_the_id(fixture);
	}
}

static void what_is_encoded_is_staged_until_it_is_published(void **state)
{
	struct fixture *fixture = *state;
	struct line line = line_of("x", 1);
	struct stream_text *common;

	assert_int_equal(stream_text__new(fixture->encoder, &file_source, &common), 0);
	assert_int_equal(encoder__line(fixture->encoder, common, &line, NULL), 0);
	assert_int_equal(journal__next(fixture->journal, &fixture->record), 0);
	stream_text__free(common);
	read_back(fixture);
}

static void assert_key(struct fixture *fixture, struct stream_source source, enum kafka_key key,
		       const char *expected)
{
	source.key = key;
	encode(fixture, &source, "x");
	if (fixture->record.meta.key_len != strlen(expected) ||
	    memcmp(fixture->record.key, expected, strlen(expected)))
		fail_msg("the key is %.*s, not %s", (int)fixture->record.meta.key_len, fixture->record.key,
			 expected);
}

static void the_key_is_what_was_asked_for(void **state)
{
	const struct stream_source errors = { .kind = STREAM_STDERR, .identity = &nameless };
	struct stream_source inside = file_source;
	struct fixture *fixture = *state;

	inside.identity = &identity;
	assert_key(fixture, container_source, KAFKA_KEY_STREAM, C "/stdout");
	assert_key(fixture, errors, KAFKA_KEY_STREAM, C "/stderr");
	assert_key(fixture, file_source, KAFKA_KEY_STREAM, "node-1::/var/log/a.log");
	assert_key(fixture, inside, KAFKA_KEY_STREAM, "node-1:" C ":/var/log/a.log");
	assert_key(fixture, container_source, KAFKA_KEY_CONTAINER, C);
	assert_key(fixture, file_source, KAFKA_KEY_CONTAINER, "node-1::/var/log/a.log");
	assert_key(fixture, container_source, KAFKA_KEY_POD, POD);
	assert_key(fixture, errors, KAFKA_KEY_POD, C);
	assert_key(fixture, container_source, KAFKA_KEY_NONE, "");
}

/* --- a journal that is full */

struct attempt {
	struct fixture *fixture;
	struct stream_text *common;
	unsigned int records;
	int result;
};

/* Appends until it was told to stop or enough are in. */
static void *append_many(void *argument)
{
	static char text[8192];
	struct attempt *attempt = argument;
	struct line line = line_of(text, sizeof(text));

	memset(text, 'x', sizeof(text));
	for (unsigned int i = 0; i < attempt->records && !attempt->result; i++) {
		line.position = i;
		attempt->result = encoder__line(attempt->fixture->encoder, attempt->common, &line, NULL);
	}
	journal__publish(attempt->fixture->journal);
	return NULL;
}

static bool waits(const struct fixture *fixture)
{
	return counters__get(&fixture->counters, COUNTER_journal_full) > 0;
}

static pthread_t start_appending(struct attempt *attempt)
{
	pthread_t thread;

	assert_int_equal(stream_text__new(attempt->fixture->encoder, &file_source, &attempt->common), 0);
	assert_int_equal(pthread_create(&thread, NULL, append_many, attempt), 0);
	while (!waits(attempt->fixture))
		sched_yield();
	return thread;
}

static void a_full_journal_is_waited_for_and_nothing_is_lost(void **state)
{
	struct fixture *fixture = *state;
	struct attempt attempt = { .fixture = fixture, .records = 100 };
	pthread_t thread = start_appending(&attempt);

	for (unsigned int i = 0; i < attempt.records;) {
		char id[64];

		if (!journal__next(fixture->journal, &fixture->record)) {
			sched_yield();
			continue;
		}
		json_decref(fixture->json);
		fixture->json = json_loadb(fixture->record.value, fixture->record.meta.value_len, 0, NULL);
		snprintf(id, sizeof(id), "node-1.boot.0.%x.10", i++);
		assert_text(fixture->json, "id", id);
		journal__ack(fixture->journal, fixture->record.handle);
	}
	pthread_join(thread, NULL);
	assert_int_equal(attempt.result, 0);
	stream_text__free(attempt.common);
	assert_int_equal(counters__get(&fixture->counters, COUNTER_journal_records), attempt.records);
}

static void abandon_ends_the_wait(void **state)
{
	struct fixture *fixture = *state;
	struct attempt attempt = { .fixture = fixture, .records = 100 };
	pthread_t thread = start_appending(&attempt);
	uint64_t appended;

	__atomic_store_n(&fixture->abandon, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	assert_int_equal(attempt.result, -ECANCELED);
	appended = counters__get(&fixture->counters, COUNTER_journal_records);
	assert_true(appended > 0 && appended < attempt.records);
	/* What was not appended is not counted as a line either. */
	assert_int_equal(counters__get(&fixture->counters, COUNTER_lines), appended);
	stream_text__free(attempt.common);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static void what_fits_in_no_segment_is_refused(void **state)
{
	struct fixture *fixture = *state;
	struct stream_text *text;
	size_t length = journal__max_record(fixture->journal) + 1;
	char *bytes = calloc(1, length);
	const struct stream_source source = { .kind = STREAM_FILE, .file = "/a" };
	const struct line line = { .text = bytes, .length = length };

	assert_non_null(bytes);
	assert_int_equal(stream_text__new(fixture->encoder, &source, &text), 0);
	assert_int_equal(encoder__line(fixture->encoder, text, &line, NULL), -EMSGSIZE);
	stream_text__free(text);
	free(bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_containers_line_has_the_promised_names),
		TEST(the_writer_is_told),
		TEST(a_writer_without_its_record_has_pid_and_tid),
		TEST(a_files_line_has_its_path_and_no_stream),
		TEST(what_is_not_known_is_left_out),
		TEST(a_cut_line_says_why),
		TEST(a_gap_tells_what_was_lost_and_has_no_message),
		TEST(the_timestamp_is_utc_with_nanoseconds),
		TEST(nanoseconds_keep_their_zeros),
		TEST(any_byte_comes_back),
		TEST(bytes_that_are_not_utf8_are_replaced),
		TEST(or_the_whole_message_is_base64_and_says_so),
		TEST(hostile_names_stay_text),
		TEST(the_longest_numbers_and_names_fit),
		TEST(the_sink_knows_where_the_message_is),
		TEST(the_journal_knows_what_a_record_stands_for),
		TEST(what_is_encoded_is_staged_until_it_is_published),
		TEST(the_key_is_what_was_asked_for),
		TEST(a_full_journal_is_waited_for_and_nothing_is_lost),
		TEST(abandon_ends_the_wait),
		TEST(what_fits_in_no_segment_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
