#include "config_schema.h"

#include <string.h>

#include "config.h"
#include "record.h"

#define KIB (1ULL << 10)
#define MIB (1ULL << 20)
#define GIB (1ULL << 30)
#define SECOND 1000ULL
#define MINUTE (60 * SECOND)

#define LIST_MAX 1024

static const cyaml_schema_value_t path_schema = {
	CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char *, 1, 4095),
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

static const cyaml_schema_field_t lines_fields[] = {
	FIELD_ENUM("assembly", struct lines_config, assembly, assembly_names),
	CYAML_FIELD_UINT("max_line", CYAML_FLAG_DEFAULT, struct lines_config, max_line),
	CYAML_FIELD_UINT("memory", CYAML_FLAG_DEFAULT, struct lines_config, memory),
	CYAML_FIELD_UINT("timeout", CYAML_FLAG_DEFAULT, struct lines_config, timeout_ms),
	FIELD_ENUM("invalid_utf8", struct lines_config, invalid_utf8, invalid_utf8_names),
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
	CYAML_FIELD_MAPPING("lines", CYAML_FLAG_DEFAULT, struct config, lines, lines_fields),
	CYAML_FIELD_MAPPING("journal", CYAML_FLAG_DEFAULT, struct config, journal, journal_fields),
	FIELD_ENUM("sink", struct config, sink, sink_names),
	CYAML_FIELD_MAPPING("kafka", CYAML_FLAG_DEFAULT, struct config, kafka, kafka_fields),
	CYAML_FIELD_MAPPING("kubernetes", CYAML_FLAG_DEFAULT, struct config, kubernetes, kubernetes_fields),
	CYAML_FIELD_END
};

#define FITS(fields) (CYAML_ARRAY_LEN(fields) - 1 <= CONFIG_FIELDS_MAX)
_Static_assert(FITS(config_fields) && FITS(capture_fields) && FITS(lines_fields) &&
		       FITS(journal_fields) && FITS(disk_fields) && FITS(kafka_fields) &&
		       FITS(kubernetes_fields),
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
	{ .key = "lines.assembly", .preset = "auto" },
	{ "lines.max_line", "256KiB", KIB, MIB, QUANTITY_SIZE, false },
	{ "lines.memory", "64MiB", MIB, 64 * GIB, QUANTITY_SIZE, false },
	{ "lines.timeout", "5s", 100, 60 * MINUTE, QUANTITY_DURATION, false },
	{ .key = "lines.invalid_utf8", .preset = "replace" },
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
