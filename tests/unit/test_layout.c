/* What holds for every preset alike. */
#include "identity/runtime_file.h"
#include "kubernetes/pod_json.h"
#include "layout_fixture.h"

#include "record/journal_gap.h"
#include "record/layout.h"

static const char *const preset[] = { "default", "fluentbit", "ecs", "otel" };

/* Names and values as nobody would give them. */
static const struct identity hostile = {
	.container_id = "c\"\\",
	.container_name = "\",\"id\":\"",
	.image = "\xff\xfe:\x01@\"",
	.runtime = "\n",
	.pod_name = "{\"timeUnixNano\":\"",
	.pod_namespace = "\xed\xa0\x80",
	.pod_uid = "\x7f\t",
};
static const struct service hostile_service = { "\"", "\\", "\x02", "\xc0" };
static const struct process hostile_process = { .tag = 9, .tgid = 41, .uid = 7, .name = "\"},\"\xff\n" };

static int setup(void **state)
{
	*state = open_fixture(NAMES_DEFAULT);
	return 0;
}

static void use(struct fixture *fixture, enum record_names names)
{
	fixture->record.names = names;
	start_encoder(fixture);
}

static void a_cut_record_is_that_of_a_shorter_line(void **state)
{
	struct fixture *fixture = *state;
	struct stream_source source = { .kind = STREAM_STDOUT, .identity = &identity, .pod = fixture->pod };

	for (enum record_names names = 0; names < NAMES_COUNT; names++) {
		use(fixture, names);
		for (enum partial partial = PARTIAL_NONE; partial <= PARTIAL_LOST; partial++) {
			struct journal_record whole = *encode_line(fixture, &source, "12345678", 8, partial, &process);
			struct journal_record shorter =
				*encode_line(fixture, &source, "12345", 5, PARTIAL_MAX_SIZE, &process);
			char cut[8192];
			size_t length = layout__cut(&whole.meta, whole.value, 5, cut);

			assert_int_equal(length, shorter.meta.value_len);
			assert_int_equal(length, layout__cut(&whole.meta, whole.value, 5, NULL));
			assert_memory_equal(cut, shorter.value, length);
		}
	}
}

/* The configuration may be another by the time that a record is cut. */
static void a_record_is_cut_by_its_own_names(void **state)
{
	struct fixture *fixture = *state;
	struct stream_source source = { .kind = STREAM_FILE, .file = "/a" };

	for (enum record_names names = 0; names < NAMES_COUNT; names++) {
		struct journal_record record;
		char cut[8192];

		use(fixture, names);
		record = *encode_line(fixture, &source, "12345678", 8, PARTIAL_NONE, NULL);
		assert_int_equal(journal_names(&record.meta), names);
		use(fixture, NAMES_DEFAULT);
		json_decref(parse(cut, layout__cut(&record.meta, record.value, 3, cut)));
	}
}

static unsigned int count(const char *text, const char *word)
{
	unsigned int found = 0;

	while ((text = strstr(text, word))) {
		text += strlen(word);
		found++;
	}
	return found;
}

static void a_pod_in_a_container_has_that_for_its_node(void **state)
{
	struct fixture *fixture = *state;
	struct identity inside = identity;
	struct stream_source source = { .kind = STREAM_STDOUT, .identity = &inside };

	inside.node_name = (char *)"kind-worker";
	for (enum record_names names = 0; names < NAMES_COUNT; names++) {
		const struct journal_record *record;
		char text[8192];

		use(fixture, names);
		record = encode_line(fixture, &source, "x", 1, PARTIAL_NONE, NULL);
		snprintf(text, sizeof(text), "%.*s", (int)record->meta.value_len, (const char *)record->value);
		assert_int_equal(count(text, "\"kind-worker\""), 1);
		assert_true(count(text, "\"node-1\"") > 0);
	}
}

static void a_text_keeps_its_names(void **state)
{
	struct fixture *fixture = *state;
	struct stream_source source = { .kind = STREAM_STDOUT, .identity = &identity, .pod = fixture->pod };

	for (enum record_names names = 0; names < NAMES_COUNT; names++) {
		struct stream_text *text;
		struct journal_record record;

		use(fixture, names);
		text = text_of(fixture, &source);
		record = encode_text(fixture, text, NULL);
		use(fixture, (names + 1) % NAMES_COUNT);
		assert_restored(fixture, text, NULL, &record);
		stream_text__free(text);
	}
}

static void assert_contains(const char *value, size_t length, const char *part)
{
	if (!memmem(value, length, part, strlen(part)))
		fail_msg("no %s in %.*s", part, (int)length, value);
}

/* What is said of the node: no stream, no kind of one, no pod. */
static void a_gap_of_the_node_names_no_stream(void **state)
{
	static const char *const streams[] = { "stream", "source_type", "input", "iostream", "logtag", "container", "k8s." };
	struct fixture *fixture = *state;
	const struct stream_source source = { .kind = STREAM_NONE };
	const struct gap gap = { .writes = 3, .reason = LOSS_MISSED, .slot = GAP_OF_NODE, .total = 18 };

	for (enum record_names names = 0; names < NAMES_COUNT; names++) {
		struct stream_text *text;
		struct journal_record record;

		use(fixture, names);
		text = text_of(fixture, &source);
		assert_int_equal(encoder__gap(fixture->encoder, text, &gap), 0);
		record = *next_record(fixture);
		stream_text__free(text);
		json_decref(parse(record.value, record.meta.value_len));
		assert_contains(record.value, record.meta.value_len, "gap.ffffffff.0.12");
		assert_contains(record.value, record.meta.value_len, "\"hooks_missed\"");
		for (size_t i = 0; i < sizeof(streams) / sizeof(streams[0]); i++)
			assert_null(memmem(record.value, record.meta.value_len, streams[i], strlen(streams[i])));
	}
}

static void a_gap_takes_any_records_place(void **state)
{
	static const char told[] =
		"\"lost\":{\"bytes\":9223372036854775807,\"lines\":9223372036854775807,\"reason\":\"journal_full\"}";
	static const char told_otel[] =
		"{\"key\":\"logtap.lost.lines\",\"value\":{\"intValue\":\"9223372036854775807\"}},"
		"{\"key\":\"logtap.lost.reason\",\"value\":{\"stringValue\":\"journal_full\"}}";
	struct fixture *fixture = *state;
	struct stream_source source = { .kind = STREAM_STDOUT, .identity = &identity, .pod = fixture->pod };

	for (enum record_names names = 0; names < NAMES_COUNT; names++) {
		struct journal_record record;
		struct journal_meta gap, again;
		char value[8192], second[8192];

		use(fixture, names);
		record = *encode_line(fixture, &source, "gone", 4, PARTIAL_TIMEOUT, &process);
		assert_int_equal(journal_gap__make(&record.meta, record.value, INT64_MAX, INT64_MAX, JOURNAL_LOSS_FULL,
						   value, &gap),
				 0);
		assert_in_range(gap.value_len, gap.head_len, gap.head_len + JOURNAL_GAP_TAIL - 1);
		json_decref(parse(value, gap.value_len));
		assert_contains(value, gap.value_len, names == NAMES_OTEL ? told_otel : told);
		assert_contains(value, gap.value_len, "\"be5cdbf3.a924f201.0.1bd3.780.10.lost\"");
		assert_null(memmem(value, gap.value_len, "gone", 4));
		assert_int_equal(journal_gap__make(&gap, value, INT64_MAX, INT64_MAX, JOURNAL_LOSS_FULL, second, &again), 0);
		assert_int_equal(again.value_len, gap.value_len);
		assert_memory_equal(second, value, gap.value_len);
	}
}

static void what_was_dropped_is_told(void **state)
{
	struct fixture *fixture = *state;
	struct stream_source source = { .kind = STREAM_FILE, .file = "/a" };
	const struct dropped dropped = { .bytes = 9, .lines = 2, .position = 0x780, .offset = 16, .time = 1 };

	for (enum record_names names = 0; names < NAMES_COUNT; names++) {
		struct stream_text *text;
		const struct journal_record *record;

		use(fixture, names);
		text = text_of(fixture, &source);
		assert_int_equal(encoder__dropped(fixture->encoder, text, &dropped), 0);
		stream_text__free(text);
		record = next_record(fixture);
		json_decref(parse(record->value, record->meta.value_len));
		assert_contains(record->value, record->meta.value_len, "780.10.lost\"");
		assert_contains(record->value, record->meta.value_len, "journal_full");
	}
}

static void make_hostile(struct pod *pod)
{
	char **texts[] = {
		&pod->api_uid, &pod->owner_uid, &pod->workload_uid, &pod->created, &pod->hostname, &pod->namespace_uid,
		&pod->node_uid, &pod->node_hostname, &pod->cluster_uid, &pod->containers[0].image,
		&pod->containers[0].asked_image, &pod->containers[0].image_id,
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		free(*texts[i]);
		*texts[i] = strdup("a\"/\\\xff:\n@\x01");
	}
	labels__set(&pod->labels, "app.kubernetes.io/instance", "\"\xfe");
	labels__set(&pod->annotations, "resource.opentelemetry.io/service.version", "\"\xfd");
}

static void hostile_names_make_no_other_json(void **state)
{
	struct fixture *fixture = *state;
	struct stream_source source = {
		.kind = STREAM_STDOUT, .identity = &hostile, .pod = fixture->pod, .service = &hostile_service,
	};

	labels__set(&fixture->pod->labels, "\",\"a\":{\"", "\"}\x01");
	labels__set(&fixture->pod->labels, "bad\xff", "x");
	labels__set(&fixture->pod->labels, "bad\xfe", "x");
	labels__set(&fixture->pod->labels, "utf8", "\xc3\x28");
	free(fixture->pod->containers[0].name);
	fixture->pod->containers[0].name = strdup(hostile.container_name);
	make_hostile(fixture->pod);
	free(fixture->pod->containers[0].id);
	fixture->pod->containers[0].id = strdup(hostile.container_id);
	tell_the_host(fixture);
	fixture->facts.has_os = true;
	memset(fixture->facts.os.name, '"', HOST_OS_TEXT - 1);
	memset(fixture->facts.os.architecture, '\\', HOST_OS_TEXT - 1);
	strcpy(fixture->facts.os.version, "\xff\n");
	fixture->options.layout.node = "\"\xff";
	for (enum record_names names = 0; names < NAMES_COUNT; names++) {
		const struct journal_record *record;
		char cut[16384];

		use(fixture, names);
		for (enum stream_kind kind = STREAM_STDOUT; kind <= STREAM_FILE; kind++) {
			source.kind = kind;
			source.file = "/\"\xff\n/\x03";
			record = encode_line(fixture, &source, "\"},{\xff\0", 6, PARTIAL_LOST, &hostile_process);
			json_decref(parse(record->value, record->meta.value_len));
			assert_contains(record->value, record->meta.value_len, preset[names][0] == 'o' ? "UnixNano\":\"1700" : "2023");
			json_decref(parse(cut, layout__cut(&record->meta, record->value, 2, cut)));
		}
	}
}

static bool tells(struct fixture *fixture, const struct identity *of, const char *part)
{
	struct stream_source source = { .kind = STREAM_STDOUT, .identity = of, .pod = fixture->pod };
	const struct journal_record *record = encode_line(fixture, &source, "x", 1, PARTIAL_NONE, NULL);

	return memmem(record->value, record->meta.value_len, part, strlen(part));
}

/* Around a restart the API may speak of the container before this one, of the one after it, or of none yet. */
static void the_apis_word_of_another_container_is_not_told(void **state)
{
	static const char other[] = "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210";
	struct fixture *fixture = *state;
	struct pod_container *container = &fixture->pod->containers[0];
	struct identity unnumbered = identity;

	unnumbered.restart_count = (char *)"";
	for (enum record_names names = 0; names < NAMES_COUNT; names++) {
		use(fixture, names);
		assert_true(tells(fixture, &identity, "sha256:ab12"));
		assert_true(tells(fixture, &unnumbered, "restart_count"));
		for (int none = 0; none < 2; none++) {
			char *own = container->id;

			container->id = none ? NULL : (char *)other;
			assert_false(tells(fixture, &identity, "sha256:ab12"));
			assert_true(tells(fixture, &identity, "restart_count"));
			assert_false(tells(fixture, &unnumbered, "restart_count"));
			container->id = own;
		}
	}
}

static json_t *labels_of(struct fixture *fixture)
{
	struct stream_source source = { .kind = STREAM_STDOUT, .identity = &identity, .pod = fixture->pod };
	const struct journal_record *record = encode_line(fixture, &source, "x", 1, PARTIAL_NONE, NULL);
	json_t *json = parse(record->value, record->meta.value_len);
	json_t *labels = json_incref(json_object_get(json_object_get(json, "kubernetes"), "pod_labels"));

	json_decref(json);
	return labels;
}

static void globs_choose_labels(void **state)
{
	struct fixture *fixture = *state;
	char *allow[] = { (char *)"app.*", (char *)"c*" }, *deny[] = { (char *)"*ary" };
	json_t *labels;

	labels__set(&fixture->pod->labels, "cost", "1");
	fixture->record.pod_labels = (struct globs_config){ allow, 2, deny, 1 };
	start_encoder(fixture);
	labels = labels_of(fixture);
	assert_int_equal(json_object_size(labels), 2);
	assert_non_null(json_object_get(labels, "app.kubernetes.io/name"));
	assert_non_null(json_object_get(labels, "cost"));
	assert_int_equal(counters__get(&fixture->counters, COUNTER_labels_left_out), 0);
	json_decref(labels);
}

static void dots_become_underscores(void **state)
{
	struct fixture *fixture = *state;
	json_t *labels;

	labels__set(&fixture->pod->labels, "a.b", "dots");
	labels__set(&fixture->pod->labels, "a_b", "its own");
	fixture->record.dedot = true;
	start_encoder(fixture);
	labels = labels_of(fixture);
	assert_non_null(json_object_get(labels, "app_kubernetes_io/name"));
	assert_string_equal(json_string_value(json_object_get(labels, "a_b")), "its own");
	assert_int_equal(json_object_size(labels), 3);
	json_decref(labels);
}

static void fill(char **text, size_t length)
{
	free(*text);
	*text = malloc(length + 1);
	memset(*text, 1, length);
	(*text)[length] = '\0';
}

/* Of a journal's segment, 64 KiB are for all that is not the message: see config_check.c. */
static void the_longest_objects_leave_room(void **state)
{
	struct fixture *fixture = *state;
	struct stream_source source = { .kind = STREAM_STDOUT, .identity = &identity, .pod = fixture->pod };
	struct pod *pod = fixture->pod;
	char **texts[] = {
		&pod->service_account, &pod->first_owner, &pod->owner_name, &pod->workload_name, &pod->node_hostname,
	};
	char **images[] = {
		&pod->containers[0].image, &pod->containers[0].asked_image, &pod->containers[0].image_id,
	};
	char **shorts[] = {
		&pod->ip, &pod->ips[0], &pod->ips[1], &pod->ips[2], &pod->ips[3], &pod->qos_class,
		&pod->api_uid, &pod->owner_uid, &pod->workload_uid, &pod->created, &pod->hostname, &pod->namespace_uid,
		&pod->node_uid, &pod->cluster_uid,
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		fill(texts[i], POD_JSON_TEXT_MAX);
	for (size_t i = 0; i < sizeof(shorts) / sizeof(shorts[0]); i++)
		fill(shorts[i], POD_JSON_SHORT_MAX);
	for (size_t i = 0; i < sizeof(images) / sizeof(images[0]); i++)
		fill(images[i], POD_JSON_IMAGE_MAX);
	for (enum record_names names = 0; names < NAMES_COUNT; names++) {
		use(fixture, names);
		assert_in_range(encode_line(fixture, &source, "x", 1, PARTIAL_NONE, &process)->meta.value_len, 1, 48 << 10);
	}
}

/* Of a user's own runtime, whose files say what he likes. */
static void the_longest_identity_leaves_room(void **state)
{
	struct fixture *fixture = *state;
	struct identity longest = {
		.container_id = (char *)C, .runtime = (char *)"docker", .restart_count = (char *)"1", .node_name = (char *)"",
	};
	struct stream_source source = { .kind = STREAM_STDOUT, .identity = &longest };
	char **names[] = { &longest.container_name, &longest.pod_name, &longest.pod_namespace, &longest.pod_uid };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		fill(names[i], RUNTIME_NAME_MAX);
	fill(&longest.image, RUNTIME_IMAGE_MAX);
	fill(&longest.log_path, IDENTITY_LOG_PATH_MAX);
	for (enum record_names preset = 0; preset < NAMES_COUNT; preset++) {
		use(fixture, preset);
		assert_in_range(encode_line(fixture, &source, "x", 1, PARTIAL_NONE, &process)->meta.value_len, 1, 48 << 10);
	}
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		free(*names[i]);
	free(longest.image);
	free(longest.log_path);
}

static void the_operating_system_is_told(void **state)
{
	struct fixture *fixture = *state;
	struct stream_source source = { .kind = STREAM_FILE, .file = "/a" };

	fixture->facts.has_os = true;
	strcpy(fixture->facts.os.architecture, "x86_64");
	strcpy(fixture->facts.os.name, "Debian GNU/Linux");
	for (enum record_names names = 0; names < NAMES_COUNT; names++) {
		const struct journal_record *record;

		use(fixture, names);
		record = encode_line(fixture, &source, "x", 1, PARTIAL_NONE, NULL);
		assert_contains(record->value, record->meta.value_len, "\"Debian GNU/Linux\"");
		assert_contains(record->value, record->meta.value_len, names == NAMES_OTEL ? "\"amd64\"" : "\"x86_64\"");
	}
}

/* More than half a megabyte of them: what has no room is left out, and the line is whole. */
static void labels_beyond_the_bound_are_left_out(void **state)
{
	struct fixture *fixture = *state;
	struct stream_source source = { .kind = STREAM_STDOUT, .identity = &identity, .pod = fixture->pod };
	char name[32], *value = malloc(4096);
	unsigned int count = 0;

	memset(value, 1, 4095);
	value[4095] = 0;
	for (int err = 0; !err; count++) {
		snprintf(name, sizeof(name), "z%08u", count);
		err = labels__set(&fixture->pod->labels, name, value);
	}
	free(value);
	for (enum record_names names = 0; names < NAMES_COUNT; names++) {
		uint64_t before = counters__get(&fixture->counters, COUNTER_labels_left_out);
		const struct journal_record *record;

		fixture->record.labels_max = 30000;
		use(fixture, names);
		record = encode_line(fixture, &source, "whole", 5, PARTIAL_NONE, NULL);
		json_decref(parse(record->value, record->meta.value_len));
		assert_in_range(record->meta.value_len, 20000, 36000);
		assert_contains(record->value, record->meta.value_len, "z00000000\"");
		assert_int_equal(counters__get(&fixture->counters, COUNTER_labels_left_out), before + count - 2);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_cut_record_is_that_of_a_shorter_line, setup, close_fixture),
		cmocka_unit_test_setup_teardown(a_record_is_cut_by_its_own_names, setup, close_fixture),
		cmocka_unit_test_setup_teardown(a_pod_in_a_container_has_that_for_its_node, setup, close_fixture),
		cmocka_unit_test_setup_teardown(a_text_keeps_its_names, setup, close_fixture),
		cmocka_unit_test_setup_teardown(a_gap_of_the_node_names_no_stream, setup, close_fixture),
		cmocka_unit_test_setup_teardown(a_gap_takes_any_records_place, setup, close_fixture),
		cmocka_unit_test_setup_teardown(what_was_dropped_is_told, setup, close_fixture),
		cmocka_unit_test_setup_teardown(hostile_names_make_no_other_json, setup, close_fixture),
		cmocka_unit_test_setup_teardown(the_apis_word_of_another_container_is_not_told, setup, close_fixture),
		cmocka_unit_test_setup_teardown(globs_choose_labels, setup, close_fixture),
		cmocka_unit_test_setup_teardown(dots_become_underscores, setup, close_fixture),
		cmocka_unit_test_setup_teardown(the_longest_objects_leave_room, setup, close_fixture),
		cmocka_unit_test_setup_teardown(the_longest_identity_leaves_room, setup, close_fixture),
		cmocka_unit_test_setup_teardown(the_operating_system_is_told, setup, close_fixture),
		cmocka_unit_test_setup_teardown(labels_beyond_the_bound_are_left_out, setup, close_fixture),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
