/* The presets ecs and otel beside what Filebeat and the OpenTelemetry Collector said: see recorded/filebeat_otel.md. */
#include "recorded.h"

/* --- Filebeat */

static void ecs_place(const json_t *record, const char **container, const char **stream)
{
	const char *path = text(json_object_get(json_object_get(record, "log"), "file"), "path");

	*stream = text(record, "stream");
	*container = text(json_object_get(json_object_get(record, "kubernetes"), "container"), "name");
	/* Where it is not known, its log is. */
	if (!*container && strstr(path, "_debugger-4kz7q-"))
		*container = "debugger-4kz7q";
}

#define ADDED "what the other does not know"
#define ITSELF "of the agent itself"
#define OFFSET "nothing is read from a file"
#define PIECE "of the first piece; ours is that of the last"
#define NOT_YET "a container without an id in its pod's status is not found"
#define NOT_TOLD "the configuration has no key for it"
#define CLUSTER "out of the kubeconfig, or kubeadm's ConfigMap"

#define OF_FILEBEAT                                                                                     \
	{ OURS_ALONE, "logtap", NULL, NULL, ADDED },                                                    \
	{ OURS_ALONE, "process", NULL, NULL, ADDED },                                                   \
	{ OURS_ALONE, "user", NULL, NULL, ADDED },                                                      \
	{ OTHER_VALUE, "@metadata.version", NULL, NULL, ITSELF },                                       \
	{ OTHER_VALUE, "agent.type", NULL, NULL, ITSELF },                                              \
	{ OTHER_VALUE, "agent.version", NULL, NULL, ITSELF },                                           \
	{ THEIRS_ALONE, "agent.id", NULL, NULL, ITSELF },                                               \
	{ THEIRS_ALONE, "agent.ephemeral_id", NULL, NULL, ITSELF },                                     \
	{ THEIRS_ALONE, "host.containerized", NULL, NULL, ITSELF },                                     \
	{ THEIRS_ALONE, "log.offset", NULL, NULL, OFFSET },                                             \
	{ THEIRS_ALONE, "orchestrator", NULL, NULL, CLUSTER },                                          \
	{ THEIRS_ALONE, "cloud.machine", NULL, NULL, NOT_TOLD },                                        \
	{ THEIRS_ALONE, "cloud.image", NULL, NULL, NOT_TOLD },                                          \
	{ THEIRS_ALONE, "cloud.service", NULL, NULL, NOT_TOLD },                                        \
	{ OURS_ALONE, "kubernetes", "debugger-4kz7q", NULL, NOT_YET },                                  \
	{ OURS_ALONE, "container", "debugger-4kz7q", NULL, NOT_YET },                                   \
	{ OTHER_VALUE, "@timestamp", "nginx", "first, ", PIECE },                                       \
	{ OTHER_VALUE, "@timestamp", "file", NULL, "when it was read; ours is the write's time" },      \
	{ OTHER_VALUE, "message", "nginx", "progress", "Filebeat takes away a CR" },                    \
	{ OURS_ALONE, "message", "nginx", "", "Filebeat leaves out what is empty" },                    \
	{ OURS_ALONE, "record", "nginx", "a question", "Filebeat waits for the rest" }

static const struct exception of_filebeat[] = {
	OF_FILEBEAT,
	{ THEIRS_ALONE, "log.file.device_id", "file", NULL, OFFSET },
	{ THEIRS_ALONE, "log.file.inode", "file", NULL, OFFSET },
	{ 0 },
};

static const struct exception of_filestream[] = {
	OF_FILEBEAT,
	{ OTHER_VALUE, "input.type", NULL, NULL, "ours is the older input's, container" },
	{ THEIRS_ALONE, "log.file.device_id", NULL, NULL, OFFSET },
	{ THEIRS_ALONE, "log.file.inode", NULL, NULL, OFFSET },
	{ THEIRS_ALONE, "log.file.fingerprint", NULL, NULL, OFFSET },
	{ OTHER_VALUE, "message", "bare", NULL, "the newline in Docker's files" },
	{ 0 },
};

static const struct agent filestream = {
	.file = RECORDED "filebeat_filestream.jsonl",
	.names = NAMES_ECS,
	.place = ecs_place,
	.more = RECORDED "more.json",
	.host = true,
	.exceptions = of_filestream,
};

static const struct agent filebeat = {
	.file = RECORDED "filebeat.jsonl",
	.names = NAMES_ECS,
	.place = ecs_place,
	.more = RECORDED "more.json",
	.host = true,
	.exceptions = of_filebeat,
};

/* --- the collector: attributes become members of objects, and a message one record */

static void put_attributes(json_t *out, const char *name, const json_t *attributes)
{
	json_t *object = json_object();
	const json_t *attribute;
	size_t i;

	json_array_foreach((json_t *)attributes, i, attribute)
		json_object_set(object, text(attribute, "key"), json_object_get(attribute, "value"));
	json_object_set_new(out, name, object);
}

static json_t *otlp_shape(const json_t *data)
{
	const json_t *of_resource = json_array_get(json_object_get(data, "resourceLogs"), 0);
	const json_t *of_scope = json_array_get(json_object_get(of_resource, "scopeLogs"), 0);
	const json_t *record = json_array_get(json_object_get(of_scope, "logRecords"), 0);
	json_t *out = json_copy((json_t *)record);

	put_attributes(out, "attributes", json_object_get(record, "attributes"));
	put_attributes(out, "resource", json_object_get(json_object_get(of_resource, "resource"), "attributes"));
	json_object_set(out, "scope", json_object_get(of_scope, "scope"));
	return out;
}

/* One record each. */
static void otlp_split(const json_t *data, json_t *all)
{
	const json_t *of_resource, *of_scope, *record;
	size_t i, j, k;

	json_array_foreach(json_object_get(data, "resourceLogs"), i, of_resource)
		json_array_foreach(json_object_get(of_resource, "scopeLogs"), j, of_scope)
			json_array_foreach(json_object_get(of_scope, "logRecords"), k, record)
				json_array_append_new(all, json_pack("{s:[{s:O, s:[{s:O, s:[O]}]}]}", "resourceLogs",
					"resource", json_object_get(of_resource, "resource"), "scopeLogs",
					"scope", json_object_get(of_scope, "scope"), "logRecords", record));
}

static void otlp_place(const json_t *record, const char **container, const char **stream)
{
	*stream = text(json_object_get(json_object_get(record, "attributes"), "log.iostream"), "stringValue");
	*container = text(json_object_get(json_object_get(record, "resource"), "k8s.container.name"), "stringValue");
}

#define EMPTY "the collector leaves out what is empty"
#define STATIC_POD "the collector does not find a static pod by the uid in its log's path"
#define EPHEMERAL "the collector looks for no ephemeral containers"

static const struct exception of_collector[] = {
	{ OURS_ALONE, "attributes.logtap", NULL, NULL, ADDED },
	{ OURS_ALONE, "attributes.process", NULL, NULL, ADDED },
	{ OURS_ALONE, "resource.logtap", NULL, NULL, ADDED },
	{ OURS_ALONE, "resource.container.runtime", NULL, NULL, ADDED },
	{ OURS_ALONE, "resource.k8s.pod.qos_class", NULL, NULL, ADDED },
	{ OURS_ALONE, "resource.host", NULL, NULL, "its processor resourcedetection adds it" },
	{ OURS_ALONE, "resource.os", NULL, NULL, "the same" },
	{ OURS_ALONE, "resource.cloud", NULL, NULL, "the same" },
	{ OURS_ALONE, "resource.container.image.id", NULL, NULL, "what is no digest of 64 digits is no repo_digest" },
	{ OURS_ALONE, "resource.k8s.pod.labels.tier", "nginx", NULL, EMPTY },
	{ OURS_ALONE, "resource.k8s.pod.labels.tier", "migrate", NULL, EMPTY },
	{ OURS_ALONE, "resource.k8s.pod.labels.tier", "debugger-4kz7q", NULL, EMPTY },
	{ OURS_ALONE, "resource.k8s.pod.annotations.empty", NULL, NULL, EMPTY },
	{ OURS_ALONE, "resource.k8s.namespace.labels.example.org/cost-centre", NULL, NULL, EMPTY },
	{ OURS_ALONE, "resource.k8s.node.labels.node-role.kubernetes.io/control-plane", NULL, NULL, EMPTY },
	{ THEIRS_ALONE, "resource.k8s.pod.hostname", NULL, NULL, "it is empty: the pod asks for none" },
	{ THEIRS_ALONE, "resource.k8s.deployment.uid", NULL, NULL, "it takes a watch of all ReplicaSets" },
	{ OURS_ALONE, "resource", "etcd", NULL, STATIC_POD },
	{ OURS_ALONE, "resource.container", "debugger-4kz7q", NULL, EPHEMERAL },
	{ OURS_ALONE, "resource.service.instance.id", "debugger-4kz7q", NULL, EPHEMERAL },
	{ OTHER_VALUE, "observedTimeUnixNano", NULL, NULL, "when the file was read; ours is the write's time" },
	{ OURS_ALONE, "timeUnixNano", "file", NULL, "the collector knows no time of a file's line" },
	{ OTHER_VALUE, "timeUnixNano", "nginx", "first, ", PIECE },
	{ OTHER_VALUE, "attributes.logtag", "nginx", "first, ", "of the first piece; ours is of the whole line" },
	{ OTHER_VALUE, "attributes.logtag", "nginx", "a question", "half a line is told by logtap.partial" },
	{ OTHER_VALUE, "body", "bare", NULL, "the newline in Docker's files" },
	{ OTHER_VALUE, "body", "nginx", "first, ", "the collector takes away blanks at ends" },
	{ OTHER_VALUE, "body", "nginx", "progress", "the same" },
	{ OTHER_VALUE, "body", "nginx", "a question", "the same" },
	{ 0 },
};

static const struct agent collector = {
	.file = RECORDED "otelcol.jsonl",
	.names = NAMES_OTEL,
	.split = otlp_split,
	.shape = otlp_shape,
	.place = otlp_place,
	.more = RECORDED "more.json",
	.host = true,
	.exceptions = of_collector,
};

static void ecs_is_what_filebeat_says(void **state)
{
	(void)state;
	compare_all(&filebeat);
}

static void ecs_is_what_filebeat_says_by_its_newer_input(void **state)
{
	(void)state;
	compare_all(&filestream);
}

static void otel_is_what_the_collector_says(void **state)
{
	(void)state;
	compare_all(&collector);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ecs_is_what_filebeat_says),
		cmocka_unit_test(ecs_is_what_filebeat_says_by_its_newer_input),
		cmocka_unit_test(otel_is_what_the_collector_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
