#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "identity/labels.h"
#include "selection/pod_annotations.h"

#define NOTHING ASKED_NOTHING
#define INCLUDE ASKED_INCLUDE
#define EXCLUDE ASKED_EXCLUDE

#define PAIRS 3

/* What a pod has, and what that asks for stdout, stderr and files of its container `web`. */
struct row {
	const char *pairs[PAIRS][2];
	enum asked out, err, file;
};

static enum asked ask(const struct labels *annotations, const char *container, enum stream_kind kind, char *unclear)
{
	const struct pod_words words = { .annotations = annotations, .container = container, .kind = kind };

	return pod_annotations__ask(&words, unclear);
}

static void check_rows(const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct labels annotations = { 0 };
		char unclear[ANNOTATION_NAME_SIZE];
		enum asked out, err, file;

		for (int j = 0; j < PAIRS && rows[i].pairs[j][0]; j++)
			assert_int_equal(labels__set(&annotations, rows[i].pairs[j][0], rows[i].pairs[j][1]), 0);
		out = ask(&annotations, "web", STREAM_STDOUT, unclear);
		err = ask(&annotations, "web", STREAM_STDERR, unclear);
		file = ask(&annotations, "web", STREAM_FILE, unclear);
		if (out != rows[i].out || err != rows[i].err || file != rows[i].file)
			fail_msg("%s=%s ...: %d %d %d, not %d %d %d", rows[i].pairs[0][0], rows[i].pairs[0][1], out, err, file,
				 rows[i].out, rows[i].err, rows[i].file);
		assert_string_equal(unclear, "");
		labels__free(&annotations);
	}
}

#define CHECK(rows) check_rows(rows, sizeof(rows) / sizeof((rows)[0]))

static void logtap_has_its_own(void **state)
{
	static const struct row rows[] = {
		{ { { "logtap.io/exclude", "true" } }, EXCLUDE, EXCLUDE, EXCLUDE },
		{ { { "logtap.io/exclude", "Yes" } }, EXCLUDE, EXCLUDE, EXCLUDE },
		{ { { "logtap.io/exclude", "1" } }, EXCLUDE, EXCLUDE, EXCLUDE },
		{ { { "logtap.io/exclude", "false" } }, NOTHING, NOTHING, NOTHING },
		{ { { "logtap.io/include", "true" } }, INCLUDE, INCLUDE, INCLUDE },
		{ { { "logtap.io/include", "off" } }, EXCLUDE, EXCLUDE, EXCLUDE },
		{ { { "logtap.io/include", "true" }, { "logtap.io/exclude", "true" } }, EXCLUDE, EXCLUDE, EXCLUDE },
		{ { { "logtap.io/include", "true" }, { "logtap.io/exclude", "false" } }, INCLUDE, INCLUDE, INCLUDE },
		{ { { "logtap.io/exclude-containers", "web" } }, EXCLUDE, EXCLUDE, EXCLUDE },
		{ { { "logtap.io/exclude-containers", "a, web ,b" } }, EXCLUDE, EXCLUDE, EXCLUDE },
		{ { { "logtap.io/exclude-containers", "webs,we,,a web" } }, NOTHING, NOTHING, NOTHING },
		{ { { "logtap.io/exclude-containers", "web" }, { "logtap.io/include", "true" } }, EXCLUDE, EXCLUDE, EXCLUDE },
		{ { { "logtap.io/exclude-containers", "api" }, { "logtap.io/include", "true" } }, INCLUDE, INCLUDE, INCLUDE },
		{ { { "logtap.io/streams", "stdout" } }, NOTHING, EXCLUDE, EXCLUDE },
		{ { { "logtap.io/streams", "stderr" } }, EXCLUDE, NOTHING, EXCLUDE },
		{ { { "logtap.io/streams", "stderr, stdout" } }, NOTHING, NOTHING, EXCLUDE },
		{ { { "logtap.io/streams", "file" } }, EXCLUDE, EXCLUDE, NOTHING },
		{ { { "logtap.io/streams", "stderr,file" } }, EXCLUDE, NOTHING, NOTHING },
		{ { { "logtap.io/streams", "" } }, NOTHING, NOTHING, NOTHING },
		{ { { "logtap.io/streams", "stdout" }, { "logtap.io/include", "true" } }, INCLUDE, EXCLUDE, EXCLUDE },
	};

	(void)state;
	CHECK(rows);
}

static void other_agents_annotations_count(void **state)
{
	static const struct row rows[] = {
		{ { { "fluentbit.io/exclude", "true" } }, EXCLUDE, EXCLUDE, EXCLUDE },
		{ { { "fluentbit.io/exclude", "ON" } }, EXCLUDE, EXCLUDE, EXCLUDE },
		{ { { "fluentbit.io/exclude", "no" } }, NOTHING, NOTHING, NOTHING },
		{ { { "fluentbit.io/exclude_stdout", "true" } }, EXCLUDE, NOTHING, NOTHING },
		{ { { "fluentbit.io/exclude_stderr", "true" } }, NOTHING, EXCLUDE, NOTHING },
		{ { { "fluentbit.io/exclude_file", "true" } }, NOTHING, NOTHING, NOTHING },
		{ { { "fluentbit.io/exclude-web", "true" } }, EXCLUDE, EXCLUDE, EXCLUDE },
		{ { { "fluentbit.io/exclude-we", "true" } }, NOTHING, NOTHING, NOTHING },
		{ { { "fluentbit.io/exclude_stderr-web", "true" } }, NOTHING, EXCLUDE, NOTHING },
		{ { { "co.elastic.logs/enabled", "false" } }, EXCLUDE, EXCLUDE, EXCLUDE },
		{ { { "co.elastic.logs/enabled", "0" } }, EXCLUDE, EXCLUDE, EXCLUDE },
		{ { { "co.elastic.logs/enabled", "true" } }, INCLUDE, INCLUDE, INCLUDE },
		{ { { "co.elastic.logs/enabled", "T" } }, INCLUDE, INCLUDE, INCLUDE },
		{ { { "co.elastic.logs.web/enabled", "False" } }, EXCLUDE, EXCLUDE, EXCLUDE },
		{ { { "co.elastic.logs.api/enabled", "false" } }, NOTHING, NOTHING, NOTHING },
		{ { { "vector.dev/exclude-containers", "api, web" } }, EXCLUDE, EXCLUDE, EXCLUDE },
		{ { { "vector.dev/exclude-containers", "api" } }, NOTHING, NOTHING, NOTHING },
		/* A label, where it means something. */
		{ { { "vector.dev/exclude", "true" } }, NOTHING, NOTHING, NOTHING },
		{ { { "ad.datadoghq.com/logs_exclude", "true" } }, EXCLUDE, EXCLUDE, EXCLUDE },
		{ { { "ad.datadoghq.com/exclude", "1" } }, EXCLUDE, EXCLUDE, EXCLUDE },
		{ { { "ad.datadoghq.com/web.logs_exclude", "true" } }, EXCLUDE, EXCLUDE, EXCLUDE },
		{ { { "ad.datadoghq.com/web.exclude", "TRUE" } }, EXCLUDE, EXCLUDE, EXCLUDE },
		{ { { "ad.datadoghq.com/api.exclude", "true" } }, NOTHING, NOTHING, NOTHING },
		{ { { "ad.datadoghq.com/exclude", "true" }, { "ad.datadoghq.com/logs_exclude", "false" } }, EXCLUDE, EXCLUDE, EXCLUDE },
		{ { { "splunk.com/exclude", "true" } }, EXCLUDE, EXCLUDE, EXCLUDE },
		{ { { "splunk.com/exclude", "false" } }, NOTHING, NOTHING, NOTHING },
		{ { { "io.opentelemetry.discovery.logs/enabled", "true" } }, INCLUDE, INCLUDE, INCLUDE },
		{ { { "io.opentelemetry.discovery.logs/enabled", "false" } }, EXCLUDE, EXCLUDE, EXCLUDE },
		{ { { "io.opentelemetry.discovery.logs.web/enabled", "false" } }, EXCLUDE, EXCLUDE, EXCLUDE },
		{ { { "prometheus.io/scrape", "true" } }, NOTHING, NOTHING, NOTHING },
	};

	(void)state;
	CHECK(rows);
}

static void a_containers_word_comes_before_its_pods(void **state)
{
	static const struct row rows[] = {
		{ { { "fluentbit.io/exclude", "true" }, { "fluentbit.io/exclude-web", "false" } }, NOTHING, NOTHING, NOTHING },
		{ { { "fluentbit.io/exclude", "false" }, { "fluentbit.io/exclude-web", "true" } }, EXCLUDE, EXCLUDE, EXCLUDE },
		{ { { "fluentbit.io/exclude_stderr", "true" }, { "fluentbit.io/exclude-web", "false" } }, NOTHING, NOTHING, NOTHING },
		{ { { "fluentbit.io/exclude-web", "true" }, { "fluentbit.io/exclude_stdout-web", "false" } }, NOTHING, EXCLUDE, EXCLUDE },
		{ { { "fluentbit.io/exclude", "true" }, { "fluentbit.io/exclude_stdout", "no" } }, NOTHING, EXCLUDE, EXCLUDE },
		{ { { "co.elastic.logs/enabled", "false" }, { "co.elastic.logs.web/enabled", "true" } }, INCLUDE, INCLUDE, INCLUDE },
		{ { { "co.elastic.logs/enabled", "true" }, { "co.elastic.logs.web/enabled", "false" } }, EXCLUDE, EXCLUDE, EXCLUDE },
		{ { { "ad.datadoghq.com/exclude", "true" }, { "ad.datadoghq.com/web.exclude", "false" } }, NOTHING, NOTHING, NOTHING },
		{ { { "io.opentelemetry.discovery.logs/enabled", "false" },
		    { "io.opentelemetry.discovery.logs.web/enabled", "true" } }, INCLUDE, INCLUDE, INCLUDE },
	};

	(void)state;
	CHECK(rows);
}

static void logtaps_own_win_over_others(void **state)
{
	static const struct row rows[] = {
		{ { { "logtap.io/exclude", "false" }, { "fluentbit.io/exclude", "true" } }, NOTHING, NOTHING, NOTHING },
		{ { { "logtap.io/exclude", "false" }, { "vector.dev/exclude-containers", "web" } }, NOTHING, NOTHING, NOTHING },
		{ { { "logtap.io/exclude", "false" }, { "splunk.com/exclude", "true" }, { "co.elastic.logs/enabled", "true" } },
		  INCLUDE, INCLUDE, INCLUDE },
		{ { { "logtap.io/include", "true" }, { "fluentbit.io/exclude-web", "true" } }, INCLUDE, INCLUDE, INCLUDE },
		{ { { "logtap.io/exclude", "true" }, { "co.elastic.logs.web/enabled", "true" } }, EXCLUDE, EXCLUDE, EXCLUDE },
		{ { { "logtap.io/include", "false" }, { "co.elastic.logs/enabled", "true" } }, EXCLUDE, EXCLUDE, EXCLUDE },
		/* Of others, who leaves it out wins. */
		{ { { "fluentbit.io/exclude", "true" }, { "co.elastic.logs/enabled", "true" } }, EXCLUDE, EXCLUDE, EXCLUDE },
		{ { { "co.elastic.logs/enabled", "true" }, { "splunk.com/exclude", "true" } }, EXCLUDE, EXCLUDE, EXCLUDE },
	};

	(void)state;
	CHECK(rows);
}

static void vectors_label_counts_on_pods_and_namespaces(void **state)
{
	char unclear[ANNOTATION_NAME_SIZE];
	struct pod_words words = { .container = "web", .kind = STREAM_STDOUT };
	struct labels labels = { 0 };

	(void)state;
	labels__set(&labels, "vector.dev/exclude", "true");
	words.labels = &labels;
	assert_int_equal(pod_annotations__ask(&words, unclear), EXCLUDE);
	words.labels = NULL;
	assert_int_equal(pod_annotations__ask(&words, unclear), NOTHING);
	words.namespace_labels = &labels;
	assert_int_equal(pod_annotations__ask(&words, unclear), EXCLUDE);
	labels__set(&labels, "vector.dev/exclude", "false");
	assert_int_equal(pod_annotations__ask(&words, unclear), NOTHING);
	assert_string_equal(unclear, "");
	labels__set(&labels, "vector.dev/exclude", "True");
	assert_int_equal(pod_annotations__ask(&words, unclear), NOTHING);
	assert_string_equal(unclear, "vector.dev/exclude");
	labels__free(&labels);
}

static void what_means_nothing_is_named_and_ignored(void **state)
{
	static const char *const rows[][2] = {
		{ "logtap.io/exclude", "maybe" },
		{ "logtap.io/include", "" },
		{ "logtap.io/streams", "stdin" },
		{ "fluentbit.io/exclude", "1" },
		{ "fluentbit.io/exclude_stdout-web", "wahr" },
		{ "co.elastic.logs/enabled", "yes" },
		{ "co.elastic.logs.web/enabled", "tRUE" },
		{ "ad.datadoghq.com/logs_exclude", " true" },
		{ "splunk.com/exclude", "TRUE" },
		{ "io.opentelemetry.discovery.logs.web/enabled", "t" },
	};
	char unclear[ANNOTATION_NAME_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct labels annotations = { 0 };

		labels__set(&annotations, rows[i][0], rows[i][1]);
		if (ask(&annotations, "web", STREAM_STDOUT, unclear) != ASKED_NOTHING)
			fail_msg("%s: %s is not ignored", rows[i][0], rows[i][1]);
		assert_string_equal(unclear, rows[i][0]);
		labels__free(&annotations);
	}
}

static void what_means_nothing_gives_way_to_the_pods(void **state)
{
	struct labels annotations = { 0 };
	char unclear[ANNOTATION_NAME_SIZE];

	(void)state;
	labels__set(&annotations, "fluentbit.io/exclude-web", "?");
	labels__set(&annotations, "fluentbit.io/exclude", "true");
	labels__set(&annotations, "logtap.io/streams", "stdout, x");
	assert_int_equal(ask(&annotations, "web", STREAM_STDOUT, unclear), EXCLUDE);
	assert_string_equal(unclear, "fluentbit.io/exclude-web");
	assert_int_equal(ask(&annotations, "web", STREAM_STDERR, unclear), EXCLUDE);
	assert_string_equal(unclear, "logtap.io/streams");
	labels__free(&annotations);
}

static void without_a_name_only_the_pods_words_count(void **state)
{
	struct labels annotations = { 0 };
	char unclear[ANNOTATION_NAME_SIZE];

	(void)state;
	labels__set(&annotations, "fluentbit.io/exclude-", "true");
	labels__set(&annotations, "co.elastic.logs./enabled", "false");
	labels__set(&annotations, "logtap.io/exclude-containers", ",");
	assert_int_equal(ask(&annotations, "", STREAM_STDOUT, unclear), NOTHING);
	labels__set(&annotations, "fluentbit.io/exclude", "true");
	assert_int_equal(ask(&annotations, "", STREAM_STDOUT, unclear), EXCLUDE);
	labels__free(&annotations);
}

static void names_and_values_may_be_of_any_length(void **state)
{
	static char name[100000], list[300000];
	struct labels annotations = { 0 };
	char unclear[ANNOTATION_NAME_SIZE];

	(void)state;
	memset(name, 'n', sizeof(name) - 1);
	memset(list, ',', sizeof(list) - 1);
	labels__set(&annotations, "fluentbit.io/exclude-web", name);
	labels__set(&annotations, "vector.dev/exclude-containers", list);
	assert_int_equal(ask(&annotations, name, STREAM_STDOUT, unclear), NOTHING);
	assert_int_equal(ask(&annotations, "web", STREAM_STDOUT, unclear), NOTHING);
	assert_string_equal(unclear, "fluentbit.io/exclude-web");
	memset(list, ' ', sizeof(list) - 1);
	memcpy(list + sizeof(list) - 4, "web", 3);
	labels__set(&annotations, "vector.dev/exclude-containers", list);
	assert_int_equal(ask(&annotations, "web", STREAM_STDOUT, unclear), EXCLUDE);
	labels__free(&annotations);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(logtap_has_its_own),
		cmocka_unit_test(other_agents_annotations_count),
		cmocka_unit_test(a_containers_word_comes_before_its_pods),
		cmocka_unit_test(logtaps_own_win_over_others),
		cmocka_unit_test(vectors_label_counts_on_pods_and_namespaces),
		cmocka_unit_test(what_means_nothing_is_named_and_ignored),
		cmocka_unit_test(what_means_nothing_gives_way_to_the_pods),
		cmocka_unit_test(without_a_name_only_the_pods_words_count),
		cmocka_unit_test(names_and_values_may_be_of_any_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
