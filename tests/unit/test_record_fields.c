/* Which fields go into records, by record.fields: for every preset alike, and for every field that it has. */
#include "layout_fixture.h"

#include "record/field_filter.h"
#include "record/journal_gap.h"
#include "record/layout.h"
#include "record/layout_sample.h"

#define ENTRIES 8
static char *entries[2][ENTRIES];

static int setup(void **state)
{
	*state = open_fixture(NAMES_DEFAULT);
	tell_the_host(*state);
	return 0;
}

static struct globs_config make_fields(const char *allow, const char *deny)
{
	const char *texts[] = { allow, deny };
	unsigned int counts[2] = { 0 };

	for (int i = 0; i < 2; i++) {
		static char copies[2][1024];

		snprintf(copies[i], sizeof(copies[i]), "%s", texts[i]);
		for (char *entry = strtok(copies[i], " "); entry; entry = strtok(NULL, " "))
			entries[i][counts[i]++] = entry;
	}
	return (struct globs_config){ entries[0], counts[0], entries[1], counts[1] };
}

/* Lists are words with spaces between. */
static void use(struct fixture *fixture, enum record_names names, const char *allow, const char *deny)
{
	fixture->record.names = names;
	fixture->record.fields = make_fields(allow, deny);
	start_encoder(fixture);
}

static void add_fields(json_t *paths, const char *value, size_t length)
{
	json_t *record = parse(value, length);

	assert_int_equal(layout_sample__paths(record, false, paths), 0);
	json_decref(record);
}

/* A line of each kind, one of which is cut, and gaps: as they come and in a line's place. */
static void add_records(struct fixture *fixture, const struct stream_source *source, json_t *paths)
{
	const struct journal_record *record = encode_line(fixture, source, "\xff", 1, PARTIAL_NONE, &process);
	struct journal_meta gap;
	char value[8192];

	add_fields(paths, record->value, record->meta.value_len);
	fixture->options.invalid_utf8 = INVALID_UTF8_BASE64;
	start_encoder(fixture);
	record = encode_line(fixture, source, "\xff", 1, PARTIAL_START, NULL);
	add_fields(paths, record->value, record->meta.value_len);
	fixture->options.invalid_utf8 = INVALID_UTF8_REPLACE;
	start_encoder(fixture);
	record = encode_line(fixture, source, "1234", 4, PARTIAL_LOST, &process);
	add_fields(paths, value, layout__cut(&record->meta, record->value, 2, value));
	assert_int_equal(journal_gap__make(&record->meta, record->value, 1, 1, JOURNAL_LOSS_FULL, value, &gap), 0);
	add_fields(paths, value, gap.value_len);
	record = encode_gap(fixture, source);
	add_fields(paths, record->value, record->meta.value_len);
}

/* Labels are told one by one: of their names the path says no more. */
static void shorten_labels(const struct layout *layout, json_t *paths)
{
	const char *path;
	json_t *value;
	void *next;

	json_object_foreach_safe(paths, next, path, value) {
		for (int i = 0; i < LAYOUT_LABELS; i++) {
			size_t length = strlen(layout->labels[i]) - 1;

			if (strncmp(path, layout->labels[i], length))
				continue;
			json_object_set_new(paths, layout->labels[i], json_false());
			json_object_del(paths, path);
			break;
		}
	}
}

/* Of all records that the fixture can have, as an object. */
static json_t *all_fields(struct fixture *fixture)
{
	const struct stream_source sources[] = {
		{ .kind = STREAM_STDOUT, .identity = &identity, .pod = fixture->pod, .enrichment = true },
		{ .kind = STREAM_STDERR, .identity = &identity, .enrichment = true },
		{ .kind = STREAM_STDOUT, .identity = &lone, .enrichment = true },
		{ .kind = STREAM_FILE, .file = "/a.log", .service = &service },
		{ .kind = STREAM_NONE },
	};
	json_t *paths = json_object();

	for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++)
		add_records(fixture, &sources[i], paths);
	shorten_labels(layout__get(fixture->record.names), paths);
	return paths;
}

/* Fluent Bit's tells a namespace's name beside its labels. */
static bool goes_with(const char *path, const char *denied)
{
	return field_filter__matches(denied, "kubernetes_namespace.labels.*") && !strcmp(path, "kubernetes_namespace.name");
}

static void assert_left_out(json_t *before, json_t *after, json_t *sample, const char *denied)
{
	const char *path;
	json_t *value;

	json_object_foreach(after, path, value)
		assert_non_null(json_object_get(before, path));
	json_object_foreach(before, path, value) {
		bool gone = field_filter__matches(denied, path) && !json_is_true(json_object_get(sample, path));

		if (!json_object_get(after, path) != (gone || goes_with(path, denied)))
			fail_msg("without %s: %s is %s", denied, path, gone ? "told" : "missing");
	}
}

/* The names of objects, too: all of it goes. */
static void every_field_can_be_left_out_and_takes_no_other_with_it(void **state)
{
	struct fixture *fixture = *state;
	unsigned int count = 0;

	for (enum record_names names = 0; names < NAMES_COUNT; names++) {
		json_t *sample = layout_sample__fields(names), *before, *always;
		const char *path;

		use(fixture, names, "*", "");
		before = all_fields(fixture);
		json_object_foreach(sample, path, always) {
			char denied[FIELD_PATH_MAX];

			snprintf(denied, sizeof(denied), "%s", path);
			for (char *dot = denied; dot; dot = strrchr(denied, '.')) {
				json_t *after;

				if (dot != denied)
					*dot = 0;
				use(fixture, names, "*", denied);
				after = all_fields(fixture);
				assert_left_out(before, after, sample, denied);
				json_decref(after);
				count++;
			}
		}
		json_decref(before);
		json_decref(sample);
	}
	assert_true(count > 4 * 50);
}

static void the_sample_has_every_field_that_records_have(void **state)
{
	struct fixture *fixture = *state;

	for (enum record_names names = 0; names < NAMES_COUNT; names++) {
		json_t *sample = layout_sample__fields(names), *fields, *value;
		const char *path;

		use(fixture, names, "*", "");
		fields = all_fields(fixture);
		json_object_foreach(fields, path, value)
			if (!json_object_get(sample, path))
				fail_msg("%s is not in the sample", path);
		json_decref(fields);
		json_decref(sample);
	}
}

#define LOST(object) object "lost.bytes " object "lost.lines " object "lost.reason " object "lost.writes "
static const char *const always_told[] = {
	" timestamp message encoding partial id " LOST(""),
	" @timestamp time log _p logtap.encoding logtap.partial logtap.id " LOST("logtap."),
	" @timestamp @metadata.beat @metadata.type @metadata.version ecs.version message logtap.encoding logtap.partial logtap.id "
	LOST("logtap."),
	" timeUnixNano observedTimeUnixNano body.stringValue body.bytesValue logtap.partial logtap.id " LOST("logtap."),
};

static void what_is_always_told_makes_whole_records(void **state)
{
	struct fixture *fixture = *state;

	for (enum record_names names = 0; names < NAMES_COUNT; names++) {
		json_t *sample = layout_sample__fields(names), *fields, *always;
		const char *path;

		use(fixture, names, "", "");
		fields = all_fields(fixture);
		json_object_foreach(sample, path, always) {
			char word[FIELD_PATH_MAX];

			snprintf(word, sizeof(word), " %s ", path);
			if (json_is_true(always) != !!strstr(always_told[names], word))
				fail_msg("%s is %s told", path, json_is_true(always) ? "always" : "not always");
			assert_int_equal(json_is_true(always), !!json_object_get(fields, path));
		}
		json_decref(fields);
		json_decref(sample);
	}
}

static void assert_line(struct fixture *fixture, const char *expected)
{
	struct stream_source source = { .kind = STREAM_STDOUT, .identity = &identity, .pod = fixture->pod };

	assert_value(encode_line(fixture, &source, "x", 1, PARTIAL_EOF, &process), expected);
}

static void a_record_has_what_is_allowed_and_no_more(void **state)
{
	static const struct {
		enum record_names names;
		const char *allow, *line;
	} wanted[] = {
		{ NAMES_DEFAULT, "kubernetes.pod_name process.u*",
		  "{\"timestamp\":\"2023-11-14T22:13:20.123456789Z\",\"kubernetes\":{\"pod_name\":\"web-7d4b9c6f5-x2x9p\"},"
		  "\"id\":\"be5cdbf3.a924f201.0.1bd3.780.10\",\"process\":{\"uid\":1000},\"message\":\"x\",\"partial\":\"eof\"}" },
		{ NAMES_FLUENTBIT, "kubernetes.pod_name logtap.process.name",
		  "{\"@timestamp\":1700000000.123457,\"time\":\"2023-11-14T22:13:20.123456789Z\","
		  "\"kubernetes\":{\"pod_name\":\"web-7d4b9c6f5-x2x9p\"},\"logtap\":{\"id\":\"be5cdbf3.a924f201.0.1bd3.780.10\","
		  "\"partial\":\"eof\",\"process\":{\"name\":\"nginx\"}},\"log\":\"x\",\"_p\":\"F\"}" },
		{ NAMES_ECS, "kubernetes.pod.name user",
		  "{\"@timestamp\":\"2023-11-14T22:13:20.123Z\",\"@metadata\":{\"beat\":\"filebeat\",\"type\":\"_doc\","
		  "\"version\":\"8.7.1\"},\"ecs\":{\"version\":\"8.0.0\"},\"kubernetes\":{\"pod\":{\"name\":\"web-7d4b9c6f5-x2x9p\"}},"
		  "\"logtap\":{\"id\":\"be5cdbf3.a924f201.0.1bd3.780.10\",\"partial\":\"eof\"},\"user\":{\"id\":\"1000\"},"
		  "\"message\":\"x\"}" },
		{ NAMES_OTEL, "k8s.pod.name logtap.tid",
		  "{\"resourceLogs\":[{\"resource\":{\"attributes\":[{\"key\":\"k8s.pod.name\",\"value\":{\"stringValue\":"
		  "\"web-7d4b9c6f5-x2x9p\"}}]},\"scopeLogs\":[{\"scope\":{},\"logRecords\":[{\"timeUnixNano\":\"1700000000123456789\","
		  "\"observedTimeUnixNano\":\"1700000000123456789\",\"attributes\":[{\"key\":\"logtap.id\",\"value\":{\"stringValue\":"
		  "\"be5cdbf3.a924f201.0.1bd3.780.10\"}},{\"key\":\"logtap.partial\",\"value\":{\"stringValue\":\"eof\"}},"
		  "{\"key\":\"logtap.tid\",\"value\":{\"intValue\":\"42\"}}],\"body\":{\"stringValue\":\"x\"}}]}]}]}" },
	};
	struct fixture *fixture = *state;

	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		use(fixture, wanted[i].names, wanted[i].allow, "");
		assert_line(fixture, wanted[i].line);
	}
	/* Whatever else allows it. */
	use(fixture, NAMES_DEFAULT, "* kubernetes.pod_name process.*", "k* p* c* s* file *_id");
	assert_line(fixture,
		    "{\"timestamp\":\"2023-11-14T22:13:20.123456789Z\",\"host\":\"node-1\","
		    "\"id\":\"be5cdbf3.a924f201.0.1bd3.780.10\",\"message\":\"x\",\"partial\":\"eof\"}");
}

/* Nor are they counted as left out. */
static void labels_that_are_not_told_take_no_room(void **state)
{
	static const char *const denied[] = { "kubernetes.pod_labels", "kubernetes.labels", "kubernetes.labels", "k8s.pod.labels" };
	struct fixture *fixture = *state;
	struct stream_source source = { .kind = STREAM_STDOUT, .identity = &identity, .pod = fixture->pod };

	fixture->record.labels_max = 80;
	for (enum record_names names = 0; names < NAMES_COUNT; names++) {
		uint64_t before;
		const struct journal_record *record;

		use(fixture, names, "*", "");
		encode_line(fixture, &source, "x", 1, PARTIAL_NONE, NULL);
		before = counters__get(&fixture->counters, COUNTER_labels_left_out);
		assert_true(before);
		use(fixture, names, "*", denied[names]);
		fixture->record.pod_annotations.allow_count = fixture->record.node_labels.allow_count = 0;
		start_encoder(fixture);
		record = encode_line(fixture, &source, "x", 1, PARTIAL_NONE, NULL);
		assert_non_null(memmem(record->value, record->meta.value_len, "cart", 4));
		assert_null(memmem(record->value, record->meta.value_len, "canary", 6));
		assert_int_equal(counters__get(&fixture->counters, COUNTER_labels_left_out), before);
		fixture->record.pod_annotations.allow_count = fixture->record.node_labels.allow_count = 1;
		fixture->counters.value[COUNTER_labels_left_out] = 0;
	}
}

static void a_text_keeps_its_fields(void **state)
{
	struct fixture *fixture = *state;
	struct stream_source source = { .kind = STREAM_STDOUT, .identity = &identity, .pod = fixture->pod };

	for (enum record_names names = 0; names < NAMES_COUNT; names++) {
		struct stream_text *text;
		struct text_parts parts;
		struct journal_record record;

		use(fixture, names, "*", "*pid *name");
		text = text_of(fixture, &source);
		record = encode_text(fixture, text, &process);
		stream_text__parts(text, &parts);
		assert_int_equal(parts.untold, 1 << PROCESS_PID | 1 << PROCESS_NAME);
		use(fixture, names, "*", "");
		assert_restored(fixture, text, &process, &record);
		stream_text__free(text);
	}
}

static void a_cut_record_is_that_of_a_shorter_line(void **state)
{
	struct fixture *fixture = *state;
	struct stream_source source = { .kind = STREAM_STDOUT, .identity = &identity, .pod = fixture->pod };

	for (enum record_names names = 0; names < NAMES_COUNT; names++) {
		use(fixture, names, "", "");
		for (enum partial partial = PARTIAL_NONE; partial <= PARTIAL_LOST; partial++) {
			struct journal_record whole = *encode_line(fixture, &source, "12345678", 8, partial, &process);
			struct journal_record shorter =
				*encode_line(fixture, &source, "12345", 5, PARTIAL_MAX_SIZE, &process);
			char cut[8192];
			size_t length = layout__cut(&whole.meta, whole.value, 5, cut);

			assert_int_equal(length, shorter.meta.value_len);
			assert_memory_equal(cut, shorter.value, length);
		}
	}
}

static void a_glob_is_of_a_field_or_an_object_that_it_is_in(void **state)
{
	(void)state;
	assert_true(field_filter__matches("a.b.c", "a.b.c"));
	assert_true(field_filter__matches("a.b", "a.b.c"));
	assert_true(field_filter__matches("a", "a.b.c"));
	assert_true(field_filter__matches("*.c", "a.b.c"));
	assert_true(field_filter__matches("a.*", "a.b.c"));
	assert_true(field_filter__matches("*", "a"));
	assert_true(field_filter__matches("?.[bx]", "a.b.c"));
	assert_true(field_filter__matches("a.labels.*", "a.labels.*"));
	assert_true(field_filter__matches("a.labels", "a.labels.*"));
	assert_false(field_filter__matches("b", "a.b.c"));
	assert_false(field_filter__matches("a.b.c.d", "a.b.c"));
	assert_false(field_filter__matches("a.b.", "a.b.c"));
	assert_false(field_filter__matches("a.bc", "a.b.c"));
	assert_false(field_filter__matches("a.labels.app", "a.labels.*"));
	assert_false(field_filter__matches("", "a"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_glob_is_of_a_field_or_an_object_that_it_is_in),
		cmocka_unit_test_setup_teardown(every_field_can_be_left_out_and_takes_no_other_with_it, setup, close_fixture),
		cmocka_unit_test_setup_teardown(the_sample_has_every_field_that_records_have, setup, close_fixture),
		cmocka_unit_test_setup_teardown(what_is_always_told_makes_whole_records, setup, close_fixture),
		cmocka_unit_test_setup_teardown(a_record_has_what_is_allowed_and_no_more, setup, close_fixture),
		cmocka_unit_test_setup_teardown(labels_that_are_not_told_take_no_room, setup, close_fixture),
		cmocka_unit_test_setup_teardown(a_text_keeps_its_fields, setup, close_fixture),
		cmocka_unit_test_setup_teardown(a_cut_record_is_that_of_a_shorter_line, setup, close_fixture),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
