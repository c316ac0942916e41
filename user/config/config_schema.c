#include "config_schema.h"

#include <string.h>

#include "base/config.h"
#include "record.h"

#define KIB (1ULL << 10)
#define MIB (1ULL << 20)
#define GIB (1ULL << 30)
#define SECOND 1000ULL
#define MINUTE (60 * SECOND)

#define LIST_MAX 1024
/* Of rules, and of a rule's entries: an alias in the file may stand for much, and all of it is compared. */
#define RULES_MAX 64

static const cyaml_schema_value_t path_schema = {
	CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char *, 1, 4095),
};

/* Names of labels have 253 bytes, a slash and 63 at most. */
static const cyaml_schema_value_t label_glob_schema = {
	CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char *, 1, 1024),
};

static const cyaml_schema_value_t broker_schema = {
	CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char *, 1, 512),
};

static const cyaml_schema_field_t name_value_fields[] = {
	CYAML_FIELD_STRING_PTR("name", CYAML_FLAG_POINTER, struct name_value, name, 1, 1024),
	CYAML_FIELD_STRING_PTR("value", CYAML_FLAG_POINTER, struct name_value, value, 0, 65536),
	CYAML_FIELD_END
};

static const cyaml_schema_value_t name_value_schema = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct name_value, name_value_fields),
};

static const cyaml_schema_value_t glob_schema = {
	CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char *, 1, 512),
};

static const cyaml_schema_value_t selector_schema = {
	CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char *, 1, 4096),
};

static const cyaml_strval_t assembly_names[] = {
	{ "auto", ASSEMBLY_AUTO },
	{ "process", ASSEMBLY_PROCESS },
	{ "stream", ASSEMBLY_STREAM },
};

static const cyaml_strval_t invalid_utf8_names[] = {
	{ "replace", INVALID_UTF8_REPLACE },
	{ "base64", INVALID_UTF8_BASE64 },
};

static const cyaml_strval_t sink_names[] = {
	{ "stdout", SINK_STDOUT },
	{ "kafka", SINK_KAFKA },
};

static const cyaml_strval_t when_full_names[] = {
	{ "wait", WHEN_FULL_WAIT },
	{ "drop_oldest", WHEN_FULL_DROP_OLDEST },
	{ "drop_newest", WHEN_FULL_DROP_NEWEST },
};

static const cyaml_strval_t replay_names[] = {
	{ "in_order", REPLAY_IN_ORDER },
	{ "interleaved", REPLAY_INTERLEAVED },
};

static const cyaml_strval_t record_names[] = {
	{ "default", NAMES_DEFAULT },
	{ "fluentbit", NAMES_FLUENTBIT },
	{ "ecs", NAMES_ECS },
	{ "otel", NAMES_OTEL },
};

static const cyaml_strval_t host_facts[] = {
	{ "machine_id", HOST_FACT_MACHINE_ID },
	{ "boot_id", HOST_FACT_BOOT_ID },
	{ "cloud", HOST_FACT_CLOUD },
	{ "os", HOST_FACT_OS },
};

static const cyaml_schema_value_t host_fact_schema = {
	CYAML_VALUE_ENUM(CYAML_FLAG_STRICT, enum host_fact, host_facts, CYAML_ARRAY_LEN(host_facts)),
};

static const cyaml_strval_t disk_fsync_names[] = {
	{ "none", DISK_FSYNC_NONE },
	{ "segment", DISK_FSYNC_SEGMENT },
};

static const cyaml_strval_t kafka_key_names[] = {
	{ "stream", KAFKA_KEY_STREAM },
	{ "container", KAFKA_KEY_CONTAINER },
	{ "pod", KAFKA_KEY_POD },
	{ "none", KAFKA_KEY_NONE },
};

static const cyaml_strval_t stream_names[] = {
	{ "stdout", STREAM_STDOUT },
	{ "stderr", STREAM_STDERR },
	{ "file", STREAM_FILE },
};

static const cyaml_schema_value_t stream_schema = {
	CYAML_VALUE_ENUM(CYAML_FLAG_STRICT, int, stream_names, CYAML_ARRAY_LEN(stream_names)),
};

static const cyaml_strval_t unknown_names[] = {
	{ "include", UNKNOWN_INCLUDE },
	{ "exclude", UNKNOWN_EXCLUDE },
};

static const cyaml_strval_t kubernetes_source_names[] = {
	{ "auto", KUBERNETES_AUTO },
	{ "api", KUBERNETES_API },
	{ "kubelet", KUBERNETES_KUBELET },
	{ "none", KUBERNETES_NONE },
};

#define FIELD_ENUM(key, type, member, names) \
	CYAML_FIELD_ENUM(key, CYAML_FLAG_STRICT, type, member, names, CYAML_ARRAY_LEN(names))
/* An empty list is a null pointer. */
#define FIELD_LIST(key, type, member, entry, max) \
	CYAML_FIELD_SEQUENCE(key, CYAML_FLAG_POINTER_NULL, type, member, entry, 0, max)

static const cyaml_schema_field_t capture_fields[] = {
	CYAML_FIELD_BOOL("containers", CYAML_FLAG_DEFAULT, struct capture_config, containers),
	FIELD_LIST("files", struct capture_config, files, &path_schema, NAME_PATTERNS_MAX),
	FIELD_LIST("exclude_files", struct capture_config, exclude_files, &path_schema, LIST_MAX),
	CYAML_FIELD_UINT("shards", CYAML_FLAG_DEFAULT, struct capture_config, shards),
	CYAML_FIELD_UINT("ring_size", CYAML_FLAG_DEFAULT, struct capture_config, ring_size),
	CYAML_FIELD_UINT("max_streams", CYAML_FLAG_DEFAULT, struct capture_config, max_streams),
	CYAML_FIELD_STRING_PTR("pin", CYAML_FLAG_POINTER, struct capture_config, pin, 0, 2048),
	CYAML_FIELD_END
};

static const cyaml_schema_field_t selection_rule_fields[] = {
	FIELD_LIST("namespaces", struct selection_rule, namespaces, &glob_schema, RULES_MAX),
	FIELD_LIST("pods", struct selection_rule, pods, &glob_schema, RULES_MAX),
	FIELD_LIST("containers", struct selection_rule, containers, &glob_schema, RULES_MAX),
	FIELD_LIST("images", struct selection_rule, images, &glob_schema, RULES_MAX),
	FIELD_LIST("labels", struct selection_rule, labels, &selector_schema, RULES_MAX),
	FIELD_LIST("streams", struct selection_rule, streams, &stream_schema, RULES_MAX),
	CYAML_FIELD_END
};

static const cyaml_schema_value_t selection_rule_schema = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct selection_rule, selection_rule_fields),
};

static const cyaml_schema_field_t selection_fields[] = {
	FIELD_LIST("include", struct selection_config, include, &selection_rule_schema, RULES_MAX),
	FIELD_LIST("exclude", struct selection_config, exclude, &selection_rule_schema, RULES_MAX),
	CYAML_FIELD_BOOL("annotations", CYAML_FLAG_DEFAULT, struct selection_config, annotations),
	CYAML_FIELD_BOOL("annotated_only", CYAML_FLAG_DEFAULT, struct selection_config, annotated_only),
	FIELD_ENUM("unknown", struct selection_config, unknown, unknown_names),
	CYAML_FIELD_END
};

static const cyaml_schema_field_t lines_fields[] = {
	FIELD_ENUM("assembly", struct lines_config, assembly, assembly_names),
	CYAML_FIELD_UINT("max_line", CYAML_FLAG_DEFAULT, struct lines_config, max_line),
	CYAML_FIELD_UINT("memory", CYAML_FLAG_DEFAULT, struct lines_config, memory),
	CYAML_FIELD_UINT("timeout", CYAML_FLAG_DEFAULT, struct lines_config, timeout_ms),
	FIELD_ENUM("invalid_utf8", struct lines_config, invalid_utf8, invalid_utf8_names),
	CYAML_FIELD_END
};

static const cyaml_schema_field_t globs_fields[] = {
	FIELD_LIST("allow", struct globs_config, allow, &label_glob_schema, LIST_MAX),
	FIELD_LIST("deny", struct globs_config, deny, &label_glob_schema, LIST_MAX),
	CYAML_FIELD_END
};

#define FIELD_GLOBS(key, member) \
	CYAML_FIELD_MAPPING(key, CYAML_FLAG_DEFAULT, struct record_config, member, globs_fields)

static const cyaml_schema_field_t record_fields[] = {
	FIELD_ENUM("names", struct record_config, names, record_names),
	FIELD_GLOBS("fields", fields),
	FIELD_GLOBS("pod_labels", pod_labels),
	FIELD_GLOBS("pod_annotations", pod_annotations),
	FIELD_GLOBS("namespace_labels", namespace_labels),
	FIELD_GLOBS("node_labels", node_labels),
	FIELD_GLOBS("container_labels", container_labels),
	CYAML_FIELD_UINT("labels_max", CYAML_FLAG_DEFAULT, struct record_config, labels_max),
	CYAML_FIELD_BOOL("dedot", CYAML_FLAG_DEFAULT, struct record_config, dedot),
	FIELD_LIST("host", struct record_config, host, &host_fact_schema, CYAML_ARRAY_LEN(host_facts)),
	CYAML_FIELD_END
};

#define FIELD_CLOUD(key, member) \
	CYAML_FIELD_STRING_PTR(key, CYAML_FLAG_POINTER, struct cloud_config, member, 0, 253)

static const cyaml_schema_field_t cloud_fields[] = {
	FIELD_CLOUD("provider", provider),
	FIELD_CLOUD("instance_id", instance_id),
	FIELD_CLOUD("region", region),
	FIELD_CLOUD("zone", zone),
	FIELD_CLOUD("account", account),
	CYAML_FIELD_END
};

static const cyaml_schema_field_t disk_fields[] = {
	CYAML_FIELD_STRING_PTR("directory", CYAML_FLAG_POINTER, struct disk_config, directory, 0,
			       2048),
	CYAML_FIELD_UINT("max_size", CYAML_FLAG_DEFAULT, struct disk_config, max_size),
	CYAML_FIELD_UINT("max_age", CYAML_FLAG_DEFAULT, struct disk_config, max_age_ms),
	FIELD_ENUM("fsync", struct disk_config, fsync, disk_fsync_names),
	CYAML_FIELD_END
};

static const cyaml_schema_field_t journal_fields[] = {
	CYAML_FIELD_STRING_PTR("directory", CYAML_FLAG_POINTER, struct journal_config, directory, 1,
			       2048),
	CYAML_FIELD_UINT("max_size", CYAML_FLAG_DEFAULT, struct journal_config, max_size),
	CYAML_FIELD_UINT("segment_size", CYAML_FLAG_DEFAULT, struct journal_config, segment_size),
	FIELD_ENUM("when_full", struct journal_config, when_full, when_full_names),
	FIELD_ENUM("replay", struct journal_config, replay, replay_names),
	CYAML_FIELD_MAPPING("disk", CYAML_FLAG_DEFAULT, struct journal_config, disk, disk_fields),
	CYAML_FIELD_END
};

static const cyaml_schema_field_t kafka_fields[] = {
	FIELD_LIST("brokers", struct kafka_config, brokers, &broker_schema, LIST_MAX),
	CYAML_FIELD_STRING_PTR("topic", CYAML_FLAG_POINTER, struct kafka_config, topic, 1, 249),
	FIELD_ENUM("key", struct kafka_config, key, kafka_key_names),
	CYAML_FIELD_STRING_PTR("compression", CYAML_FLAG_POINTER, struct kafka_config, compression,
			       1, 32),
	FIELD_LIST("headers", struct kafka_config, headers, &name_value_schema, LIST_MAX),
	CYAML_FIELD_UINT("aside_size", CYAML_FLAG_DEFAULT, struct kafka_config, aside_size),
	FIELD_LIST("rdkafka", struct kafka_config, rdkafka, &name_value_schema, LIST_MAX),
	CYAML_FIELD_END
};

static const cyaml_schema_field_t kubernetes_fields[] = {
	FIELD_ENUM("source", struct kubernetes_config, source, kubernetes_source_names),
	CYAML_FIELD_STRING_PTR("kubeconfig", CYAML_FLAG_POINTER, struct kubernetes_config, kubeconfig, 0, 4095),
	CYAML_FIELD_STRING_PTR("kubelet", CYAML_FLAG_POINTER, struct kubernetes_config, kubelet, 1, 1024),
	CYAML_FIELD_STRING_PTR("kubelet_ca", CYAML_FLAG_POINTER, struct kubernetes_config, kubelet_ca, 0, 4095),
	CYAML_FIELD_BOOL("kubelet_insecure", CYAML_FLAG_DEFAULT, struct kubernetes_config, kubelet_insecure),
	CYAML_FIELD_UINT("wait", CYAML_FLAG_DEFAULT, struct kubernetes_config, wait_ms),
	CYAML_FIELD_END
};

static const cyaml_schema_field_t config_fields[] = {
	CYAML_FIELD_STRING_PTR("node", CYAML_FLAG_POINTER, struct config, node, 0, 253),
	CYAML_FIELD_MAPPING("capture", CYAML_FLAG_DEFAULT, struct config, capture, capture_fields),
	CYAML_FIELD_MAPPING("selection", CYAML_FLAG_DEFAULT, struct config, selection, selection_fields),
	CYAML_FIELD_MAPPING("lines", CYAML_FLAG_DEFAULT, struct config, lines, lines_fields),
	CYAML_FIELD_MAPPING("record", CYAML_FLAG_DEFAULT, struct config, record, record_fields),
	CYAML_FIELD_MAPPING("cloud", CYAML_FLAG_DEFAULT, struct config, cloud, cloud_fields),
	CYAML_FIELD_MAPPING("journal", CYAML_FLAG_DEFAULT, struct config, journal, journal_fields),
	FIELD_ENUM("sink", struct config, sink, sink_names),
	CYAML_FIELD_MAPPING("kafka", CYAML_FLAG_DEFAULT, struct config, kafka, kafka_fields),
	CYAML_FIELD_MAPPING("kubernetes", CYAML_FLAG_DEFAULT, struct config, kubernetes, kubernetes_fields),
	CYAML_FIELD_END
};

const cyaml_schema_value_t config_selection_schema = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct selection_config, selection_fields),
};

#define FITS(fields) (CYAML_ARRAY_LEN(fields) - 1 <= CONFIG_FIELDS_MAX)
_Static_assert(FITS(config_fields) && FITS(capture_fields) && FITS(selection_fields) &&
		       FITS(selection_rule_fields) && FITS(lines_fields) && FITS(record_fields) &&
		       FITS(globs_fields) && FITS(cloud_fields) && FITS(journal_fields) &&
		       FITS(disk_fields) && FITS(kafka_fields) && FITS(kubernetes_fields),
	       "CONFIG_FIELDS_MAX");

const cyaml_schema_value_t config_schema = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct config, config_fields),
};

static const struct config_rule rules[] = {
	/* Empty stands for the host's name. */
	{ .key = "node", .preset = "${NODE_NAME:-}" },
	{ .key = "capture.containers", .preset = "true" },
	/* 0 stands for as many as the machine's size suggests. */
	{ "capture.shards", "0", 0, SHARDS_MAX, QUANTITY_COUNT, false },
	/*
	 * What the kernel asks of a BPF ring buffer; a power of two from here on is whole pages, 64
	 * KiB ones too.
	 */
	{ "capture.ring_size", "16MiB", 64 * KIB, GIB, QUANTITY_SIZE, true },
	{ "capture.max_streams", "4096", 16, 262144, QUANTITY_COUNT, false },
	{ .key = "capture.pin", .preset = "/sys/fs/bpf/logtap" },
	{ .key = "selection.annotations", .preset = "true" },
	{ .key = "selection.annotated_only", .preset = "false" },
	{ .key = "selection.unknown", .preset = "include" },
	{ .key = "lines.assembly", .preset = "auto" },
	{ "lines.max_line", "256KiB", KIB, MIB, QUANTITY_SIZE, false },
	{ "lines.memory", "64MiB", MIB, 64 * GIB, QUANTITY_SIZE, false },
	{ "lines.timeout", "5s", 100, 60 * MINUTE, QUANTITY_DURATION, false },
	{ .key = "lines.invalid_utf8", .preset = "replace" },
	{ .key = "record.names", .preset = "default" },
	{ .key = "record.fields.allow", .preset = "*" },
	{ .key = "record.pod_labels.allow", .preset = "*" },
	{ .key = "record.container_labels.allow", .preset = "*" },
	{ "record.labels_max", "8KiB", 0, MIB / 4, QUANTITY_SIZE, false },
	{ .key = "record.dedot", .preset = "false" },
	{ .key = "cloud.provider", .preset = "${CLOUD_PROVIDER:-}" },
	{ .key = "cloud.instance_id", .preset = "${CLOUD_INSTANCE_ID:-}" },
	{ .key = "cloud.region", .preset = "${CLOUD_REGION:-}" },
	{ .key = "cloud.zone", .preset = "${CLOUD_ZONE:-}" },
	{ .key = "cloud.account", .preset = "${CLOUD_ACCOUNT:-}" },
	{ .key = "journal.directory", .preset = "/run/logtap" },
	{ "journal.max_size", "256MiB", 2 * MIB, 1024 * GIB, QUANTITY_SIZE, false },
	{ "journal.segment_size", "8MiB", MIB, GIB, QUANTITY_SIZE, false },
	{ .key = "journal.when_full", .preset = "wait" },
	{ .key = "journal.replay", .preset = "in_order" },
	/* Empty stands for none. */
	{ .key = "journal.disk.directory", .preset = "" },
	{ "journal.disk.max_size", "8GiB", 16 * MIB, 1024 * 1024 * GIB, QUANTITY_SIZE, false },
	/* 0 stands for no bound. */
	{ "journal.disk.max_age", "0s", 0, 365 * 24 * 60 * MINUTE, QUANTITY_DURATION, false },
	{ .key = "journal.disk.fsync", .preset = "segment" },
	{ .key = "sink", .preset = "stdout" },
	{ .key = "kafka.topic", .preset = "logs" },
	{ .key = "kafka.key", .preset = "stream" },
	{ .key = "kafka.compression", .preset = "lz4" },
	{ "kafka.aside_size", "32MiB", 0, 64 * GIB, QUANTITY_SIZE, false },
	{ .key = "kubernetes.source", .preset = "auto" },
	/* Empty stands for the service account of the pod that logtap runs in. */
	{ .key = "kubernetes.kubeconfig", .preset = "" },
	{ .key = "kubernetes.kubelet", .preset = "https://127.0.0.1:10250" },
	/* Empty stands for the service account's. */
	{ .key = "kubernetes.kubelet_ca", .preset = "" },
	{ .key = "kubernetes.kubelet_insecure", .preset = "false" },
	/* 0 stands for not at all. */
	{ "kubernetes.wait", "2s", 0, MINUTE, QUANTITY_DURATION, false },
};

bool config_schema__is_pairs(const cyaml_schema_value_t *schema)
{
	return schema->type == CYAML_SEQUENCE && schema->sequence.entry == &name_value_schema;
}

const struct config_rule *config_schema__rule(const char *key)
{
	for (size_t i = 0; i < CYAML_ARRAY_LEN(rules); i++)
		if (strcmp(rules[i].key, key) == 0)
			return &rules[i];
	return NULL;
}

const struct config_rule *config_schema__rules(unsigned int *count)
{
	*count = CYAML_ARRAY_LEN(rules);
	return rules;
}
