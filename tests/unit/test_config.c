#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>
#include <unistd.h>

#include <cmocka.h>
#include <cyaml/cyaml.h>
#include <yaml.h>

#include "base/config.h"
#include "config/config_load.h"
#include "config/config_memory.h"
#include "config/config_schema.h"
#include "config/config_source.h"
#include "kubernetes/pods.h"
#include "record.h"

#define KIB (1ULL << 10)
#define MIB (1ULL << 20)

#define SHIPPED_FILE "conf/logtap.yaml"

static const cyaml_config_t settings = { .mem_fn = cyaml_mem };

/* Parses `text`; the caller frees *errors. */
static int parse(const char *text, struct config **config, char **errors)
{
	size_t len;
	FILE *stream = open_memstream(errors, &len);
	int err;

	assert_non_null(stream);
	err = config__parse("c.yaml", text, strlen(text), stream, config);
	fclose(stream);
	return err;
}

static struct config *accept(const char *text)
{
	struct config *config = NULL;
	char *errors;

	if (parse(text, &config, &errors))
		fail_msg("refused: %s", errors);
	assert_string_equal(errors, "");
	free(errors);
	return config;
}

static void refuse(const char *text, const char *expected)
{
	struct config *untouched = (struct config *)text;
	struct config *config = untouched;
	char *errors;

	assert_int_equal(parse(text, &config, &errors), -EINVAL);
	assert_string_equal(errors, expected);
	assert_ptr_equal(config, untouched);
	free(errors);
}

static void no_file_gives_the_defaults(void **state)
{
	char host[256];
	struct config *config = NULL;

	(void)state;
	assert_int_equal(gethostname(host, sizeof(host)), 0);
	assert_int_equal(config__load(NULL, stderr, &config), 0);
	assert_string_equal(config->node, host);
	assert_true(config->capture.containers);
	assert_int_equal(config->capture.files_count, 0);
	assert_int_equal(config->capture.exclude_files_count, 0);
	assert_in_range(config->capture.shards, 1, 4);
	assert_int_equal(config->capture.ring_size, 16 * MIB);
	assert_int_equal(config->capture.max_streams, 4096);
	assert_int_equal(config->selection.include_count, 0);
	assert_int_equal(config->selection.exclude_count, 0);
	assert_true(config->selection.annotations);
	assert_false(config->selection.annotated_only);
	assert_int_equal(config->selection.unknown, UNKNOWN_INCLUDE);
	assert_int_equal(config->lines.assembly, ASSEMBLY_AUTO);
	assert_int_equal(config->lines.max_line, 256 * KIB);
	assert_int_equal(config->lines.memory, 64 * MIB);
	assert_int_equal(config->lines.timeout_ms, 5000);
	assert_int_equal(config->lines.invalid_utf8, INVALID_UTF8_REPLACE);
	assert_string_equal(config->journal.directory, "/run/logtap");
	assert_int_equal(config->journal.max_size, 256 * MIB);
	assert_int_equal(config->journal.segment_size, 8 * MIB);
	assert_int_equal(config->journal.when_full, WHEN_FULL_WAIT);
	assert_int_equal(config->journal.replay, REPLAY_IN_ORDER);
	assert_string_equal(config->journal.disk.directory, "");
	assert_int_equal(config->journal.disk.max_size, 8192 * MIB);
	assert_int_equal(config->journal.disk.max_age_ms, 0);
	assert_int_equal(config->journal.disk.fsync, DISK_FSYNC_SEGMENT);
	assert_int_equal(config->record.names, NAMES_DEFAULT);
	assert_int_equal(config->record.fields.allow_count, 1);
	assert_string_equal(config->record.fields.allow[0], "*");
	assert_int_equal(config->record.fields.deny_count, 0);
	assert_int_equal(config->record.pod_labels.allow_count, 1);
	assert_string_equal(config->record.pod_labels.allow[0], "*");
	assert_int_equal(config->record.pod_annotations.allow_count, 0);
	assert_int_equal(config->record.namespace_labels.allow_count, 0);
	assert_int_equal(config->record.node_labels.allow_count, 0);
	assert_int_equal(config->record.container_labels.allow_count, 1);
	assert_int_equal(config->record.labels_max, 8 * KIB);
	assert_false(config->record.dedot);
	assert_int_equal(config->record.host_count, 0);
	assert_string_equal(config->cloud.instance_id, "");
	assert_int_equal(config->sink, SINK_STDOUT);
	assert_int_equal(config->kafka.brokers_count, 0);
	assert_string_equal(config->kafka.topic, "logs");
	assert_int_equal(config->kafka.key, KAFKA_KEY_STREAM);
	assert_string_equal(config->kafka.compression, "lz4");
	assert_int_equal(config->kafka.aside_size, 32 * MIB);
	assert_int_equal(config->kafka.headers_count, 0);
	assert_int_equal(config->kafka.rdkafka_count, 0);
	config__free(config);
}

/* Every field that the schema knows, as text. */
static char *dump(const struct config *config, size_t *len)
{
	char *text = NULL;

	assert_int_equal(cyaml_save_data(&text, len, &settings, &config_schema, config, 0),
			 CYAML_OK);
	return text;
}

static void shipped_file_gives_the_defaults(void **state)
{
	struct config *defaults = NULL, *shipped = NULL;
	size_t defaults_len, shipped_len;
	char *defaults_text, *shipped_text;

	(void)state;
	assert_int_equal(config__load(NULL, stderr, &defaults), 0);
	assert_int_equal(config__load(SHIPPED_FILE, stderr, &shipped), 0);
	defaults_text = dump(defaults, &defaults_len);
	shipped_text = dump(shipped, &shipped_len);
	assert_int_equal(shipped_len, defaults_len);
	assert_memory_equal(shipped_text, defaults_text, defaults_len);
	free(defaults_text);
	free(shipped_text);
	config__free(defaults);
	config__free(shipped);
}

static yaml_node_t *value_of(yaml_document_t *document, yaml_node_t *mapping, const char *key)
{
	for (yaml_node_pair_t *pair = mapping->data.mapping.pairs.start;
	     pair < mapping->data.mapping.pairs.top; pair++)
		if (strcmp((const char *)yaml_document_get_node(document, pair->key)
				   ->data.scalar.value,
			   key) == 0)
			return yaml_document_get_node(document, pair->value);
	fail_msg("%s does not mention %s", SHIPPED_FILE, key);
	return NULL;
}

static void has_every_key(yaml_document_t *document, yaml_node_t *mapping,
			  const cyaml_schema_field_t *field)
{
	for (; field->key; field++) {
		yaml_node_t *value = value_of(document, mapping, field->key);

		if (field->value.type == CYAML_MAPPING)
			has_every_key(document, value, field->value.mapping.fields);
	}
}

static void shipped_file_has_every_key(void **state)
{
	FILE *file = fopen(SHIPPED_FILE, "r");
	yaml_document_t document;
	yaml_parser_t parser;

	(void)state;
	assert_non_null(file);
	assert_true(yaml_parser_initialize(&parser));
	yaml_parser_set_input_file(&parser, file);
	assert_true(yaml_parser_load(&parser, &document));
	has_every_key(&document, yaml_document_get_root_node(&document),
		      config_schema.mapping.fields);
	yaml_document_delete(&document);
	yaml_parser_delete(&parser);
	fclose(file);
}

/* Counts the keys with one value below `section`; each must have its rule. */
static unsigned int count_ruled(const char *section, const cyaml_schema_field_t *field)
{
	unsigned int count = 0;

	for (; field->key; field++) {
		char key[128];

		snprintf(key, sizeof(key), "%s%s%s", section, *section ? "." : "", field->key);
		if (field->value.type == CYAML_MAPPING) {
			count += count_ruled(key, field->value.mapping.fields);
		} else if (config_schema__rule(key)) {
			count++;
		} else if (field->value.type != CYAML_SEQUENCE) {
			fail_msg("%s has no rule", key);
		}
	}
	return count;
}

static void keys_and_rules_match(void **state)
{
	unsigned int count;

	(void)state;
	config_schema__rules(&count);
	assert_int_equal(count_ruled("", config_schema.mapping.fields), count);
}

static void every_value_is_taken(void **state)
{
	struct config *config = accept(
		"node: n1\n"
		"capture: {containers: no, files: [/a/*.log, /b], exclude_files: [/c], shards: "
		"3, ring_size: 64KiB,\n"
		"          max_streams: 17}\n"
		"selection:\n"
		"  include:\n"
		"    - {namespaces: [shop, team-*], pods: [web-*], containers: [nginx], images: ['*/web:*'],\n"
		"       labels: [app=web, 'env in (a, b)'], streams: [stdout, stderr, file]}\n"
		"    - streams: [stderr]\n"
		"  exclude: [{labels: ['!app']}]\n"
		"  annotations: on\n"
		"  annotated_only: yes\n"
		"  unknown: exclude\n"
		"lines: {assembly: process, max_line: 64kB, memory: 2MiB, timeout: 1m, invalid_utf8: base64}\n"
		"journal: {directory: /j, max_size: 1GiB, segment_size: 2097152, when_full: drop_oldest, "
		"replay: interleaved, disk: {directory: /d, max_size: 1GiB, max_age: 24h, fsync: none}}\n"
		"sink: kafka\n"
		"kafka:\n"
		"  brokers: ['b1:9092', 'SSL://b2', '[::1]:9093']\n"
		"  topic: t\n"
		"  key: none\n"
		"  compression: gzip\n"
		"  headers: {h1: v1, h2: ''}\n"
		"  rdkafka: {linger.ms: 7, acks: -1, enable.idempotence: true}\n"
		"kubernetes: {source: kubelet, kubeconfig: /k, kubelet: 'https://n:1', kubelet_insecure: yes, wait: 0s}\n");

	(void)state;
	assert_string_equal(config->node, "n1");
	assert_false(config->capture.containers);
	assert_int_equal(config->capture.files_count, 2);
	assert_string_equal(config->capture.files[0], "/a/*.log");
	assert_string_equal(config->capture.files[1], "/b");
	assert_int_equal(config->capture.exclude_files_count, 1);
	assert_string_equal(config->capture.exclude_files[0], "/c");
	assert_int_equal(config->capture.shards, 3);
	assert_int_equal(config->capture.ring_size, 65536);
	assert_int_equal(config->capture.max_streams, 17);
	assert_int_equal(config->selection.include_count, 2);
	assert_int_equal(config->selection.include[0].namespaces_count, 2);
	assert_string_equal(config->selection.include[0].namespaces[1], "team-*");
	assert_string_equal(config->selection.include[0].pods[0], "web-*");
	assert_string_equal(config->selection.include[0].containers[0], "nginx");
	assert_string_equal(config->selection.include[0].images[0], "*/web:*");
	assert_string_equal(config->selection.include[0].labels[1], "env in (a, b)");
	assert_int_equal(config->selection.include[0].streams_count, 3);
	assert_int_equal(config->selection.include[0].streams[0], STREAM_STDOUT);
	assert_int_equal(config->selection.include[0].streams[2], STREAM_FILE);
	assert_int_equal(config->selection.include[1].namespaces_count, 0);
	assert_int_equal(config->selection.include[1].streams[0], STREAM_STDERR);
	assert_int_equal(config->selection.exclude_count, 1);
	assert_string_equal(config->selection.exclude[0].labels[0], "!app");
	assert_true(config->selection.annotated_only);
	assert_int_equal(config->selection.unknown, UNKNOWN_EXCLUDE);
	assert_int_equal(config->lines.assembly, ASSEMBLY_PROCESS);
	assert_int_equal(config->lines.max_line, 64000);
	assert_int_equal(config->lines.memory, 2 * MIB);
	assert_int_equal(config->lines.timeout_ms, 60000);
	assert_int_equal(config->lines.invalid_utf8, INVALID_UTF8_BASE64);
	assert_string_equal(config->journal.directory, "/j");
	assert_int_equal(config->journal.max_size, 1024 * MIB);
	assert_int_equal(config->journal.segment_size, 2 * MIB);
	assert_int_equal(config->journal.when_full, WHEN_FULL_DROP_OLDEST);
	assert_int_equal(config->journal.replay, REPLAY_INTERLEAVED);
	assert_string_equal(config->journal.disk.directory, "/d");
	assert_int_equal(config->journal.disk.max_size, 1024 * MIB);
	assert_int_equal(config->journal.disk.max_age_ms, 24 * 3600 * 1000);
	assert_int_equal(config->journal.disk.fsync, DISK_FSYNC_NONE);
	assert_int_equal(config->sink, SINK_KAFKA);
	assert_int_equal(config->kafka.brokers_count, 3);
	assert_string_equal(config->kafka.brokers[2], "[::1]:9093");
	assert_string_equal(config->kafka.topic, "t");
	assert_int_equal(config->kafka.key, KAFKA_KEY_NONE);
	assert_string_equal(config->kafka.compression, "gzip");
	assert_int_equal(config->kafka.headers_count, 2);
	assert_string_equal(config->kafka.headers[0].name, "h1");
	assert_string_equal(config->kafka.headers[0].value, "v1");
	assert_string_equal(config->kafka.headers[1].value, "");
	assert_int_equal(config->kafka.rdkafka_count, 3);
	assert_string_equal(config->kafka.rdkafka[0].name, "linger.ms");
	assert_string_equal(config->kafka.rdkafka[0].value, "7");
	assert_int_equal(config->kubernetes.source, KUBERNETES_KUBELET);
	assert_string_equal(config->kubernetes.kubeconfig, "/k");
	assert_string_equal(config->kubernetes.kubelet, "https://n:1");
	assert_true(config->kubernetes.kubelet_insecure);
	assert_int_equal(config->kubernetes.wait_ms, 0);
	config__free(config);
}

static void a_record_is_configured(void **state)
{
	struct config *config = accept("record: {names: otel, pod_labels: {allow: [], deny: [a*]}, labels_max: 1KiB, "
				       "dedot: true, host: [boot_id, cloud]}\n"
				       "cloud: {provider: aws, instance_id: i-1, region: r, zone: z, account: '7'}\n");

	(void)state;
	assert_int_equal(config->record.names, NAMES_OTEL);
	assert_int_equal(config->record.pod_labels.allow_count, 0);
	assert_int_equal(config->record.pod_labels.deny_count, 1);
	assert_string_equal(config->record.pod_labels.deny[0], "a*");
	assert_int_equal(config->record.container_labels.allow_count, 1);
	assert_int_equal(config->record.labels_max, 1024);
	assert_true(config->record.dedot);
	assert_int_equal(config->record.host_count, 2);
	assert_int_equal(config->record.host[0], HOST_FACT_BOOT_ID);
	assert_int_equal(config->record.host[1], HOST_FACT_CLOUD);
	assert_string_equal(config->cloud.account, "7");
	config__free(config);
}

static void mistakes_in_a_record_are_told(void **state)
{
	(void)state;
	refuse("record: {names: gelf}\n",
	       "c.yaml:1: record.names: \"gelf\" is not allowed; use default, fluentbit, ecs or otel\n");
	refuse("record:\n  pod_labels: [app]\n",
	       "c.yaml:2: record.pod_labels: must be a mapping: lines of \"KEY: VALUE\"\n");
	refuse("record:\n  host: [serial]\n",
	       "c.yaml:2: record.host: \"serial\" is not allowed; use machine_id, boot_id, cloud or os\n");
	refuse("record:\n  labels_max: 1MiB\n",
	       "c.yaml:2: record.labels_max: 1MiB is out of range; use 0B to 256KiB\n");
}

#define NO_FIELD " is no field of records with these record.names; "
#define IN_README "README.md has those that there are\n"

static void fields_that_no_record_has_are_told(void **state)
{
	(void)state;
	config__free(accept("record: {fields: {allow: [], deny: ['*', '*s', kubernetes, kubernetes.pod_labels, container.labels.*]}}\n"));
	config__free(accept("record: {fields: {allow: [message, id, host], deny: [process.uid]}}\n"));
	config__free(accept("record: {names: otel, fields: {deny: [k8s.pod.labels.*, k8s.pod, process]}}\n"));
	refuse("record:\n  fields:\n    allow:\n      - '*'\n      - kubernets\n    deny: [kubernetes.pod.ip,\n      x*]\n",
	       "c.yaml:5: record.fields.allow: \"kubernets\"" NO_FIELD "did you mean \"kubernetes\"?\n"
	       "c.yaml:6: record.fields.deny: \"kubernetes.pod.ip\"" NO_FIELD "did you mean \"kubernetes.pod_ip\"?\n"
	       "c.yaml:7: record.fields.deny: \"x*\"" NO_FIELD IN_README);
	refuse("record: {names: ecs, fields: {deny: [kubernetes.pod_labels.app, _SYSTEMD_UNIT]}}\n",
	       "c.yaml:1: record.fields.deny: \"kubernetes.pod_labels.app\"" NO_FIELD "did you mean \"kubernetes.node.labels.*\"?\n"
	       "c.yaml:1: record.fields.deny: \"_SYSTEMD_UNIT\"" NO_FIELD IN_README);
	/* One mistake is enough. */
	refuse("record: {names: gelf, fields: {deny: [_SYSTEMD_UNIT]}}\n",
	       "c.yaml:1: record.names: \"gelf\" is not allowed; use default, fluentbit, ecs or otel\n");
	refuse("record:\n  fields:\n    deny:\n      - ''\n      - nothing\n",
	       "c.yaml:3: record.fields.deny: \"nothing\"" NO_FIELD IN_README
	       "c.yaml:4: record.fields.deny: must not be empty\n");
}

static void what_is_told_in_any_case_cannot_be_denied(void **state)
{
	static const char *const always[][2] = {
		{ "default", "timestamp" }, { "default", "message" }, { "default", "encoding" }, { "default", "lost.b*" },
		{ "fluentbit", "log" }, { "fluentbit", "_p" }, { "fluentbit", "logtap.id" },
		{ "ecs", "@metadata.beat" }, { "ecs", "ecs" }, { "ecs", "logtap.partial" },
		{ "otel", "body" }, { "otel", "timeUnixNano" }, { "otel", "logtap.lost" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(always) / sizeof(always[0]); i++) {
		char text[128], expected[128];

		snprintf(text, sizeof(text), "record: {names: %s, fields: {deny: ['%s']}}\n", always[i][0], always[i][1]);
		snprintf(expected, sizeof(expected), "c.yaml:1: record.fields.deny: \"%s\" is told in any case; remove the entry\n",
			 always[i][1]);
		refuse(text, expected);
	}
}

static void empty_sections_stand_for_the_defaults(void **state)
{
	struct config *config = accept(
		"capture:\nlines: ~\nkafka:\n  brokers:\n  headers:\n  rdkafka: null\n");

	(void)state;
	assert_true(config->capture.containers);
	assert_int_equal(config->lines.max_line, 256 * KIB);
	assert_int_equal(config->kafka.brokers_count, 0);
	config__free(config);
}

static void an_alias_stands_for_its_value(void **state)
{
	struct config *config = accept("node: &n name\nkafka: {topic: *n}\n");

	(void)state;
	assert_string_equal(config->kafka.topic, "name");
	config__free(config);
}

static void every_mistake_is_reported_in_the_order_of_the_file(void **state)
{
	(void)state;
	refuse("node: ${LOGTAP_TEST_UNSET}\n"
	       "capture:\n"
	       "  containers: maybe\n"
	       "  ringsize: 4MiB\n"
	       "  ring_size: 3MiB\n"
	       "  files: /var/log/x\n"
	       "  exclude_files: [a, /b]\n"
	       "  shards: 17\n"
	       "  max_streams: 1e3\n"
	       "lines: {assembly: foo, timeout: 5, max_line: 2KiB, max_line: 3KiB}\n"
	       "journal: [x]\n"
	       "sink: [kafka]\n"
	       "kafka:\n"
	       "  topic:\n"
	       "  compression: zip\n"
	       "zzz: 1\n",
	       "c.yaml:1: node: the environment variable LOGTAP_TEST_UNSET is not set; set it, "
	       "or write ${LOGTAP_TEST_UNSET:-default}\n"
	       "c.yaml:3: capture.containers: \"maybe\" is neither true nor false\n"
	       "c.yaml:4: capture.ringsize: unknown key; did you mean \"ring_size\"? Allowed "
	       "here: containers, files, exclude_files, shards, ring_size, max_streams, pin\n"
	       "c.yaml:5: capture.ring_size: 3MiB is not a power of two; use 2MiB or 4MiB\n"
	       "c.yaml:6: capture.files: must be a list: one line \"- VALUE\" for each, or "
	       "[VALUE, ...]\n"
	       "c.yaml:7: capture.exclude_files: \"a\" must be an absolute path: begin it with "
	       "/\n"
	       "c.yaml:8: capture.shards: 17 is out of range; use 0 to 16\n"
	       "c.yaml:9: capture.max_streams: \"1e3\" is not a whole number\n"
	       "c.yaml:10: lines.assembly: \"foo\" is not allowed; use auto, process or stream\n"
	       "c.yaml:10: lines.timeout: \"5\" is not a duration such as 500ms, 5s, 1m or 1h\n"
	       "c.yaml:10: lines.max_line: given twice; it is on line 10 already\n"
	       "c.yaml:11: journal: must be a mapping: lines of \"KEY: VALUE\"\n"
	       "c.yaml:12: sink: the value must be plain text, not a list\n"
	       "c.yaml:14: kafka.topic: has no value; give it one, or remove the key\n"
	       "c.yaml:15: kafka.compression: librdkafka refuses it: Invalid value \"zip\" for "
	       "configuration property \"compression.codec\"; use none, gzip, snappy, lz4 or "
	       "zstd\n"
	       "c.yaml:16: zzz: unknown key. Allowed here: node, capture, selection, lines, record, cloud, journal, sink, "
	       "kafka, kubernetes\n");
}

static void numbers_out_of_range_are_refused(void **state)
{
	(void)state;
	refuse("capture: {ring_size: 32KiB}",
	       "c.yaml:1: capture.ring_size: 32KiB is out of range; use 64KiB to 1GiB\n");
	refuse("capture: {ring_size: 2GiB}",
	       "c.yaml:1: capture.ring_size: 2GiB is out of range; use 64KiB to 1GiB\n");
	refuse("lines: {max_line: 99999999999999999999}",
	       "c.yaml:1: lines.max_line: 99999999999999999999 is out of range; use 1KiB to "
	       "1MiB\n");
	refuse("lines: {timeout: 18446744073709551615h}",
	       "c.yaml:1: lines.timeout: 18446744073709551615h is out of range; use 100ms to 1h\n");
	refuse("capture: {max_streams: -1}",
	       "c.yaml:1: capture.max_streams: \"-1\" is not a whole number\n");
}

static void kubernetes_is_asked_over_tls_at_an_absolute_path(void **state)
{
	(void)state;
	refuse("kubernetes:\n  kubeconfig: k\n  kubelet_ca: c\n  kubelet: http://n:10250\n  source: yes\n  wait: 2m\n",
	       "c.yaml:2: kubernetes.kubeconfig: \"k\" must be an absolute path: begin it with /, or leave it empty\n"
	       "c.yaml:3: kubernetes.kubelet_ca: \"c\" must be an absolute path: begin it with /, or leave it empty\n"
	       "c.yaml:4: kubernetes.kubelet: \"http://n:10250\" is no kubelet's address; use https://HOST:PORT\n"
	       "c.yaml:5: kubernetes.source: \"yes\" is not allowed; use auto, api, kubelet or none\n"
	       "c.yaml:6: kubernetes.wait: 2m is out of range; use 0ms to 1m\n");
	refuse("kubernetes: {kubelet_ca: /c, kubelet_insecure: true}",
	       "c.yaml:1: kubernetes.kubelet_ca: has no effect with kubelet_insecure: true; leave one of them out\n");
}

static void the_pin_is_an_absolute_path_or_empty(void **state)
{
	static const char text[] = "capture: {pin: \"\"}";
	struct config *config = NULL;

	(void)state;
	refuse("capture: {pin: bpf/logtap}",
	       "c.yaml:1: capture.pin: \"bpf/logtap\" must be an absolute path: begin it with /, or "
	       "leave it empty\n");
	assert_int_equal(config__parse("c.yaml", text, strlen(text), stderr, &config), 0);
	assert_string_equal(config->capture.pin, "");
	config__free(config);
}

static void a_segment_holds_the_largest_record(void **state)
{
	(void)state;
	/* 6 * 512 KiB + 8 KiB + 64 KiB = 3144 KiB */
	config__free(accept("lines: {max_line: 512KiB}\njournal: {segment_size: 3219456}\n"));
	refuse("lines: {max_line: 512KiB}\njournal:\n  segment_size: 3219455\n",
	       "c.yaml:3: journal.segment_size: 3219455B cannot hold the largest record, 3144KiB: "
	       "lines.max_line six times, as escaping may lengthen it, record.labels_max and 64KiB; use at least that, or a smaller lines.max_line\n");
	/* Told where the cause is when the key is not in the file. */
	refuse("node: a\nlines:\n  max_line: 1MiB\njournal: {segment_size: 1MiB}\n",
	       "c.yaml:4: journal.segment_size: 1MiB cannot hold the largest record, 6216KiB: "
	       "lines.max_line six times, as escaping may lengthen it, record.labels_max and 64KiB; use at least that, or a smaller lines.max_line\n");
}

static void a_journal_holds_two_segments_a_shard(void **state)
{
	(void)state;
	config__free(accept("capture: {shards: 3}\njournal: {max_size: 48MiB}\n"));
	refuse("capture: {shards: 3}\njournal:\n  max_size: 47MiB\n",
	       "c.yaml:3: journal.max_size: 47MiB is too small; use at least 48MiB: two segments "
	       "(journal.segment_size) for each of 3 shards\n");
	config__free(accept("capture: {shards: 3}\njournal: {max_size: 96MiB, disk: {directory: /d}}\n"));
	refuse("capture: {shards: 3}\njournal:\n  max_size: 95MiB\n  disk: {directory: /d}\n",
	       "c.yaml:3: journal.max_size: 95MiB is too small; use at least 96MiB: four segments "
	       "(journal.segment_size) for each of 3 shards, as with journal.disk two of them are for what "
	       "comes back\n");
}

static void a_disk_is_another_absolute_directory_with_room(void **state)
{
	(void)state;
	refuse("journal:\n  disk:\n    directory: d\n",
	       "c.yaml:3: journal.disk.directory: \"d\" must be an absolute path: begin it with /\n");
	refuse("journal:\n  directory: /d\n  disk:\n    directory: /d\n",
	       "c.yaml:4: journal.disk.directory: must be another directory than journal.directory, on a "
	       "disk\n");
	refuse("journal:\n  directory: /d/e\n  disk:\n    directory: /d//e/\n",
	       "c.yaml:4: journal.disk.directory: must be another directory than journal.directory, on a "
	       "disk\n");
	config__free(accept("journal: {directory: /d/e, disk: {directory: /de}}"));
	refuse("capture: {shards: 2}\njournal:\n  disk:\n    directory: /d\n    max_size: 31MiB\n",
	       "c.yaml:5: journal.disk.max_size: 31MiB is too small; use at least 32MiB: two segments "
	       "(journal.segment_size) for each of 2 shards\n");
	refuse("journal:\n  when_full: drop\n  disk: {fsync: yes, max_age: 3}\n",
	       "c.yaml:2: journal.when_full: \"drop\" is not allowed; use wait, drop_oldest or drop_newest\n"
	       "c.yaml:3: journal.disk.fsync: \"yes\" is not allowed; use none or segment\n"
	       "c.yaml:3: journal.disk.max_age: \"3\" is not a duration such as 500ms, 5s, 1m or 1h\n");
}

static void there_must_be_something_to_capture(void **state)
{
	(void)state;
	config__free(accept("capture: {containers: false, files: [/a]}"));
	refuse("capture:\n  containers: false\n",
	       "c.yaml:2: capture.containers: nothing to capture: set it to true, or list files "
	       "in capture.files\n");
}

static void kafka_needs_brokers(void **state)
{
	(void)state;
	refuse("\nsink: kafka\n", "c.yaml:2: kafka.brokers: \"sink: kafka\" needs it: list "
				  "HOST:PORT of at least one\n");
	refuse("kafka:\n  brokers: ['a:0', 'a:65536', 'a:b', 'a b:1', ':1', '[::1', 'ok:1', '']\n",
	       "c.yaml:2: kafka.brokers: must not be empty\n"
	       "c.yaml:2: kafka.brokers: \"a:0\" is no broker's address; use HOST:PORT\n"
	       "c.yaml:2: kafka.brokers: \"a:65536\" is no broker's address; use HOST:PORT\n"
	       "c.yaml:2: kafka.brokers: \"a:b\" is no broker's address; use HOST:PORT\n"
	       "c.yaml:2: kafka.brokers: \"a b:1\" is no broker's address; use HOST:PORT\n"
	       "c.yaml:2: kafka.brokers: \":1\" is no broker's address; use HOST:PORT\n"
	       "c.yaml:2: kafka.brokers: \"[::1\" is no broker's address; use HOST:PORT\n");
	refuse("kafka: {topic: 'a/b'}",
	       "c.yaml:1: kafka.topic: \"a/b\" is no topic name; use letters, digits, \".\", "
	       "\"_\" and \"-\"\n");
}

static void a_directory_is_no_glob_of_files(void **state)
{
	(void)state;
	refuse("capture:\n  files: [/var/log/, /a/**]\n",
	       "c.yaml:2: capture.files: \"/var/log/\" matches no file; for all that is below it write \"/var/log/**\"\n");
}

static void an_entry_is_told_at_its_own_line(void **state)
{
	(void)state;
	refuse("capture:\n"
	       "  files:\n"
	       "    - /a\n"
	       "    - b\n"
	       "  exclude_files:\n"
	       "    - c\n"
	       "kafka:\n"
	       "  brokers:\n"
	       "    - a:1\n"
	       "    - a:b\n",
	       "c.yaml:4: capture.files: \"b\" must be an absolute path: begin it with /\n"
	       "c.yaml:6: capture.exclude_files: \"c\" must be an absolute path: begin it with /\n"
	       "c.yaml:10: kafka.brokers: \"a:b\" is no broker's address; use HOST:PORT\n");
}

static void a_header_has_a_name(void **state)
{
	char text[2048];
	char expected[2048];

	(void)state;
	refuse("kafka:\n  headers: {a: x}\n  rdkafka:\n    \"\": x\n  topic: 'a/b'\n",
	       "c.yaml:4: kafka.rdkafka.: a name has 1 to 1024 bytes, not 0\n"
	       "c.yaml:5: kafka.topic: \"a/b\" is no topic name; use letters, digits, \".\", \"_\" and \"-\"\n");
	snprintf(text, sizeof(text), "kafka: {headers: {? %01025d : x}}", 0);
	snprintf(expected, sizeof(expected), "c.yaml:1: kafka.headers.%0*d: a name has 1 to 1024 bytes, not 1025\n",
		 CONFIG_KEY_MAX - 1 - (int)strlen("kafka.headers."), 0);
	refuse(text, expected);
}

static void every_mistake_in_a_rule_is_reported_with_its_line(void **state)
{
	static const char empty[] = "an empty rule would match everything; give it one of namespaces, pods, "
				    "containers, images, labels, streams, or remove it\n";
	char expected[4096];

	(void)state;
	snprintf(expected, sizeof(expected),
		 "c.yaml:4: selection.include[1]: %s"
		 "c.yaml:5: selection.include[2]: %s"
		 "c.yaml:7: selection.include[3].labels: \"in\" and \"notin\" want values in parentheses, as in "
		 "\"env in (a, b)\"\n"
		 "c.yaml:8: selection.include[3].labels: \"web*\" is no label's value; use up to 63 letters, digits, "
		 "\"-\", \"_\" and \".\" (globs are not for labels)\n"
		 "c.yaml:9: selection.include[4].namespace: unknown key; did you mean \"namespaces\"? Allowed here: "
		 "namespaces, pods, containers, images, labels, streams\n"
		 "c.yaml:10: selection.include[5].streams: \"stdin\" is not allowed; use stdout, stderr or file\n"
		 "c.yaml:11: selection.include[6]: must be a mapping: lines of \"KEY: VALUE\"\n"
		 "c.yaml:12: selection.include[7].labels: YAML takes !app for a tag; quote it: \"!app\"\n"
		 "c.yaml:13: selection.include[8].pods: given twice; it is on line 13 already\n"
		 "c.yaml:14: selection.exclude: must be a list: one line \"- VALUE\" for each, or [VALUE, ...]\n"
		 "c.yaml:15: selection.annotated_only: nothing could ask to be captured: it needs \"annotations: true\"\n"
		 "c.yaml:17: selection.unknown: \"wait\" is not allowed; use include or exclude\n",
		 empty, empty);
	refuse("selection:\n"
	       "  include:\n"
	       "    - {namespaces: [shop]}\n"
	       "    -\n"
	       "    - {pods: []}\n"
	       "    - labels:\n"
	       "      - tier in x\n"
	       "      - app=web*\n"
	       "    - {namespace: [shop]}\n"
	       "    - {streams: [stdin]}\n"
	       "    - shop\n"
	       "    - {labels: [!app , b]}\n"
	       "    - {pods: [a], pods: [b]}\n"
	       "  exclude: {pods: [a]}\n"
	       "  annotated_only: true\n"
	       "  annotations: false\n"
	       "  unknown: wait\n",
	       expected);
}

static void an_alias_cannot_make_rules_without_end(void **state)
{
	char text[8192] = "selection: {include: [&r {pods: [a]}";

	(void)state;
	for (int i = 0; i < 64; i++)
		strcat(text, ", *r");
	strcat(text, "]}\n");
	refuse(text, "c.yaml:1: selection.include: more than 64 entries\n");
}

static bool alike(const char *one, const char *other)
{
	struct config *a = accept(one), *b = accept(other);
	bool is = config__selects_alike(a, b);

	config__free(a);
	config__free(b);
	return is;
}

static void selections_are_compared(void **state)
{
	static const char rules[] = "selection: {include: [{pods: [a], labels: [b]}, {streams: [stdout]}]}";

	(void)state;
	assert_true(alike("", "node: n\n"));
	assert_true(alike(rules, rules));
	assert_false(alike(rules, ""));
	assert_false(alike(rules, "selection: {exclude: [{pods: [a], labels: [b]}, {streams: [stdout]}]}"));
	assert_false(alike(rules, "selection: {include: [{pods: [a], labels: [b]}, {streams: [stderr]}]}"));
	assert_false(alike(rules, "selection: {include: [{pods: [a, b], labels: [b]}, {streams: [stdout]}]}"));
	assert_false(alike("", "selection: {unknown: exclude}"));
	assert_false(alike("", "selection: {annotated_only: true}"));
}

static void librdkafka_has_the_word_on_its_properties(void **state)
{
	(void)state;
	refuse("kafka:\n"
	       "  rdkafka:\n"
	       "    no.such: 1\n"
	       "    linger.ms: abc\n"
	       "    acks: 1\n"
	       "    enable.idempotence: false\n"
	       "    bootstrap.servers: x\n"
	       "    max.in.flight: 6\n"
	       "    client.id: fine\n"
	       "    dr_msg_cb: x\n"
	       "    log_level: 9\n",
	       "c.yaml:3: kafka.rdkafka.no.such: librdkafka refuses it: No such configuration "
	       "property: \"no.such\"\n"
	       "c.yaml:4: kafka.rdkafka.linger.ms: librdkafka refuses it: Invalid value for "
	       "configuration property \"queue.buffering.max.ms\"\n"
	       "c.yaml:5: kafka.rdkafka.acks: must be all: a line counts as delivered when all "
	       "replicas in sync have it\n"
	       "c.yaml:6: kafka.rdkafka.enable.idempotence: must be true: else a retry could "
	       "double or reorder lines\n"
	       "c.yaml:7: kafka.rdkafka.bootstrap.servers: cannot be set here; use "
	       "kafka.brokers\n"
	       "c.yaml:8: kafka.rdkafka.max.in.flight: must be 1 to 5: the idempotent producer's "
	       "order rests on it\n"
	       "c.yaml:10: kafka.rdkafka.dr_msg_cb: librdkafka refuses it: Property "
	       "\"dr_msg_cb\" must be set through dedicated .._set_..() function\n"
	       "c.yaml:11: kafka.rdkafka.log_level: librdkafka refuses it: Configuration property \"log_level\" value "
	       "9 is outside allowed range 0..7\n");
}

static void the_environment_is_data_not_yaml(void **state)
{
	static const char password[] = "a: b #c\n- \"d\" ${NO} $$ {e}";
	struct config *config;

	(void)state;
	setenv("LOGTAP_TEST_PASSWORD", password, 1);
	config = accept("kafka: {rdkafka: {sasl.password: \"${LOGTAP_TEST_PASSWORD}\"}}");
	unsetenv("LOGTAP_TEST_PASSWORD");
	assert_string_equal(config->kafka.rdkafka[0].value, password);
	config__free(config);
}

static void the_environment_fills_in_any_value(void **state)
{
	struct config *config;

	(void)state;
	setenv("LOGTAP_TEST_A", "8", 1);
	setenv("LOGTAP_TEST_EMPTY", "", 1);
	config = accept("node: '$${x} costs $5 ${LOGTAP_TEST_UNSET:-a: "
			"b}${LOGTAP_TEST_EMPTY}${LOGTAP_TEST_EMPTY:-!}'\n"
			"capture: {ring_size: \"${LOGTAP_TEST_A}MiB\", containers: "
			"\"${LOGTAP_TEST_UNSET:-on}\"}\n"
			"kafka: {brokers: [\"h:${LOGTAP_TEST_A}\"]}\n");
	assert_string_equal(config->node, "${x} costs $5 a: b!");
	assert_int_equal(config->capture.ring_size, 8 * MIB);
	assert_string_equal(config->kafka.brokers[0], "h:8");
	config__free(config);
	refuse("\nlines: {max_line: \"${LOGTAP_TEST_A}\", timeout: \"${LOGTAP_TEST_EMPTY}\"}\n",
	       "c.yaml:2: lines.max_line: 8 is out of range; use 1KiB to 1MiB\n"
	       "c.yaml:2: lines.timeout: \"\" is not a duration such as 500ms, 5s, 1m or 1h\n");
	unsetenv("LOGTAP_TEST_A");
	unsetenv("LOGTAP_TEST_EMPTY");
}

static void bad_references_to_the_environment_are_refused(void **state)
{
	(void)state;
	refuse("node: ${A\n",
	       "c.yaml:1: node: \"${\" without its \"}\"; write $$ for a dollar sign\n");
	refuse("node: ${1}\n",
	       "c.yaml:1: node: \"${1}\" names no environment variable; write ${NAME} or "
	       "${NAME:-default}, and $$ for a dollar sign\n");
	refuse("node: ${A-b}\n",
	       "c.yaml:1: node: \"${A-b}\" names no environment variable; write ${NAME} or "
	       "${NAME:-default}, and $$ for a dollar sign\n");
	setenv("LOGTAP_TEST_LATIN", "caf\xe9", 1);
	refuse("node: ${LOGTAP_TEST_LATIN}\n", "c.yaml:1: node: is not UTF-8\n");
	unsetenv("LOGTAP_TEST_LATIN");
}

static void the_node_is_named_by_the_environment(void **state)
{
	struct config *config = NULL;

	(void)state;
	setenv("NODE_NAME", "worker-7", 1);
	assert_int_equal(config__load(NULL, stderr, &config), 0);
	unsetenv("NODE_NAME");
	assert_string_equal(config->node, "worker-7");
	config__free(config);
}

static void an_unset_key_may_have_a_bad_environment(void **state)
{
	(void)state;
	setenv("NODE_NAME", "caf\xe9", 1);
	refuse("sink: stdout\nkafka: {topic: 'a/b'}\n",
	       "c.yaml: node: ${NODE_NAME:-}: is not UTF-8\n"
	       "c.yaml:2: kafka.topic: \"a/b\" is no topic name; use letters, digits, \".\", \"_\" and \"-\"\n");
	unsetenv("NODE_NAME");
}

static void broken_yaml_is_told_with_line_and_column(void **state)
{
	(void)state;
	refuse("node: a\ncapture:\n\tfiles: []\n",
	       "c.yaml:3: not valid YAML at column 1: found character that cannot start any "
	       "token while scanning for the next token; indent with spaces and quote text that "
	       "has special characters\n");
	refuse("node: a\n---\nnode: b\n",
	       "c.yaml:3: a second YAML document; put everything into one, without \"---\"\n");
	refuse("- a\n", "c.yaml:1: must be a mapping: lines of \"KEY: VALUE\"\n");
	refuse("node: \"a\\0b\"\n", "c.yaml:1: node: the value holds a NUL byte\n");
	refuse("sink: stdout\ncaf\xe9: 1\n",
	       "c.yaml:2: not UTF-8 text at byte 17 of the file: invalid trailing UTF-8 octet; remove that byte, or save the file "
	       "as UTF-8\n");
}

static void escapes_for_the_terminal_are_not_printed(void **state)
{
	(void)state;
	refuse("\"\\e[2J\": 1\n", "c.yaml:1: ?[2J: unknown key. Allowed here: node, capture, selection, "
				  "lines, record, cloud, journal, sink, kafka, kubernetes\n");
}

static void an_unreadable_file_is_told(void **state)
{
	struct config *config = NULL;
	char *errors = NULL;
	size_t len;
	FILE *stream = open_memstream(&errors, &len);

	(void)state;
	assert_int_equal(config__load("/nonexistent/c.yaml", stream, &config), -ENOENT);
	assert_int_equal(config__load("/", stream, &config), -EISDIR);
	assert_int_equal(config__load("/dev/zero", stream, &config), -EFBIG);
	fclose(stream);
	assert_string_equal(errors,
			    "/nonexistent/c.yaml: cannot be read: No such file or directory\n"
			    "/: cannot be read: Is a directory\n"
			    "/dev/zero: longer than 64 KiB; is it a configuration?\n");
	assert_null(config);
	free(errors);
}

static void memory_adds_up(void **state)
{
	struct config *config = accept("capture: {shards: 2, ring_size: 1MiB, max_streams: 100}\n"
				       "lines: {max_line: 1KiB, memory: 3MiB}\njournal: {max_size: 64MiB}\n");
	struct config_memory small, disk, kafka;

	(void)state;
	config__memory(config, &small);
	assert_in_range(small.rings, 2 * MIB, 2 * MIB + 2 * 3 * 65536);
	assert_in_range(small.maps, 100 * sizeof(struct stream_slot),
			100 * sizeof(struct stream_slot) + MIB);
	assert_int_equal(small.journal, 64 * MIB);
	/* And a quarter more for lines that wait. */
	assert_int_equal(small.lines, 3 * MIB + 3 * MIB / 4);
	/* An entry of 2 KiB for each shard and slot, a text of 2 + 8 KiB for each stream; a page and a step of the heap for each shard. */
	assert_in_range(small.checkpoint, 2 * 100 * 2048 + 100 * 10240 + 2 * MIB,
			2 * 100 * 2048 + 100 * 10240 + 2 * MIB + 2 * 2 * 4096);
	/* In a cluster, unless it is not asked. */
	assert_int_equal(small.pods, PODS_BYTES_MAX);
	assert_int_equal(small.total, small.rings + small.maps + small.journal + small.checkpoint +
					      small.lines + small.sink + small.pods);
	assert_int_equal(small.disk, 0);
	config__free(config);
	config = accept("capture: {shards: 2}\njournal: {segment_size: 2MiB, disk: {directory: /d, "
			"max_size: 1GiB}}\nkubernetes: {source: none}\n");
	config__memory(config, &disk);
	assert_int_equal(disk.pods, 0);
	assert_int_equal(disk.spill, 4 * MIB);
	assert_int_equal(disk.disk, 1024 * MIB);
	assert_int_equal(disk.total, disk.rings + disk.maps + disk.journal + disk.spill +
					     disk.checkpoint + disk.lines + disk.sink);
	config__free(config);

	config = accept("sink: kafka\nkafka: {brokers: [b], rdkafka: "
			"{queue.buffering.max.messages: 1000000}}\n");
	config__memory(config, &kafka);
	assert_true(kafka.sink > 1000000 * sizeof(void *));
	config__free(config);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_file_gives_the_defaults),
		cmocka_unit_test(shipped_file_gives_the_defaults),
		cmocka_unit_test(shipped_file_has_every_key),
		cmocka_unit_test(keys_and_rules_match),
		cmocka_unit_test(every_value_is_taken),
		cmocka_unit_test(a_record_is_configured),
		cmocka_unit_test(mistakes_in_a_record_are_told),
		cmocka_unit_test(fields_that_no_record_has_are_told),
		cmocka_unit_test(what_is_told_in_any_case_cannot_be_denied),
		cmocka_unit_test(empty_sections_stand_for_the_defaults),
		cmocka_unit_test(an_alias_stands_for_its_value),
		cmocka_unit_test(every_mistake_is_reported_in_the_order_of_the_file),
		cmocka_unit_test(numbers_out_of_range_are_refused),
		cmocka_unit_test(kubernetes_is_asked_over_tls_at_an_absolute_path),
		cmocka_unit_test(the_pin_is_an_absolute_path_or_empty),
		cmocka_unit_test(a_segment_holds_the_largest_record),
		cmocka_unit_test(a_journal_holds_two_segments_a_shard),
		cmocka_unit_test(a_disk_is_another_absolute_directory_with_room),
		cmocka_unit_test(there_must_be_something_to_capture),
		cmocka_unit_test(kafka_needs_brokers),
		cmocka_unit_test(a_directory_is_no_glob_of_files),
		cmocka_unit_test(an_entry_is_told_at_its_own_line),
		cmocka_unit_test(a_header_has_a_name),
		cmocka_unit_test(every_mistake_in_a_rule_is_reported_with_its_line),
		cmocka_unit_test(an_alias_cannot_make_rules_without_end),
		cmocka_unit_test(selections_are_compared),
		cmocka_unit_test(librdkafka_has_the_word_on_its_properties),
		cmocka_unit_test(the_environment_is_data_not_yaml),
		cmocka_unit_test(the_environment_fills_in_any_value),
		cmocka_unit_test(bad_references_to_the_environment_are_refused),
		cmocka_unit_test(the_node_is_named_by_the_environment),
		cmocka_unit_test(an_unset_key_may_have_a_bad_environment),
		cmocka_unit_test(broken_yaml_is_told_with_line_and_column),
		cmocka_unit_test(escapes_for_the_terminal_are_not_printed),
		cmocka_unit_test(an_unreadable_file_is_told),
		cmocka_unit_test(memory_adds_up),
	};

	/* What the tests expect does not depend on where they run. */
	unsetenv("NODE_NAME");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
