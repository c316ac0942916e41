/*
 * OpenTelemetry's names: a LogsData message of OTLP/JSON (opentelemetry-proto 1.5, logs.proto) a
 * record, as the collector's kafka exporter writes with encoding otlp_json. Attributes are those of
 * the semantic conventions (1.34), as opentelemetry-collector-contrib sets them: the container
 * parser (pkg/stanza/operator/parser/container/parser.go: log.iostream, logtag, the restart count as
 * text), the filelog receiver (log.file.*) and processor/k8sattributesprocessor (k8s.*,
 * container.image.*; labels as k8s.pod.labels.NAME). service.* is calculated as the conventions'
 * page on k8s attributes says. What they do not know is in `logtap.`.
 */
#include "layout.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "encode.h"
#include "identity.h"
#include "json.h"
#include "json_writer.h"
#include "layout_source.h"
#include "pod.h"
#include "record_facts.h"
#include "service.h"
#include "text_put.h"

#define ATTRIBUTE(key) ",{\"key\":\"" key "\",\"value\":{\"stringValue\":\""
#define NUMBER(key) ",{\"key\":\"" key "\",\"value\":{\"intValue\":\""
#define CLOSE "\"}}"
#define SERVICE_NAME_MAX 253
#define TIME_MARKER "{\"timeUnixNano\":\""

struct attributes {
	FILE *out;
	bool comma;
};

static void begin(struct attributes *attributes, const char *key)
{
	if (attributes->comma)
		fputc(',', attributes->out);
	attributes->comma = true;
	fputs("{\"key\":", attributes->out);
	json_writer__quote(attributes->out, key);
	fputs(",\"value\":{", attributes->out);
}

/* Also an empty value. */
static void text(struct attributes *attributes, const char *key, const char *value)
{
	begin(attributes, key);
	fputs("\"stringValue\":", attributes->out);
	json_writer__quote(attributes->out, value);
	fputs("}}", attributes->out);
}

static void string(struct attributes *attributes, const char *key, const char *value)
{
	if (value && *value)
		text(attributes, key, value);
}

static void labels(struct attributes *attributes, const char *prefix, const struct labels *labels)
{
	for (unsigned int i = 0; i < labels->count; i++) {
		char *key;

		if (asprintf(&key, "%s%s", prefix, labels->label[i].name) < 0)
			continue;
		text(attributes, key, labels->label[i].value);
		free(key);
	}
}

/* REPOSITORY[:TAG][@DIGEST]; without either the tag is what the runtime takes, latest. */
static void image(struct attributes *attributes, const char *image)
{
	size_t length = strcspn(image, "@");
	const char *slash = memrchr(image, '/', length);
	const char *base = slash ? slash : image;
	const char *colon = memchr(base, ':', image + length - base);
	size_t name_length = colon ? (size_t)(colon - image) : length;
	char *name = strndup(image, name_length);
	char *tag = colon ? strndup(colon + 1, image + length - colon - 1) : NULL;

	string(attributes, "container.image.name", name);
	if (tag)
		string(attributes, "container.image.tag", tag);
	else if (*image && !image[length])
		string(attributes, "container.image.tag", "latest");
	free(name);
	free(tag);
}

static void host_attributes(struct attributes *attributes, const struct layout_source *source)
{
	const struct cloud_config *cloud = source->facts->cloud;
	bool instance = cloud && *cloud->instance_id;

	string(attributes, "host.name", source->node);
	/* The conventions want a machine in a cloud to have the instance's id. */
	string(attributes, "host.id", instance ? cloud->instance_id : source->facts->machine_id);
	if (instance)
		string(attributes, "logtap.host_id", source->facts->machine_id);
	string(attributes, "logtap.boot_id", source->facts->boot_id);
	if (!cloud)
		return;
	string(attributes, "cloud.provider", cloud->provider);
	string(attributes, "cloud.region", cloud->region);
	string(attributes, "cloud.availability_zone", cloud->zone);
	string(attributes, "cloud.account.id", cloud->account);
}

static void container_attributes(struct attributes *attributes, const struct layout_source *source)
{
	const struct identity *identity = source->stream->identity;
	const struct pod_container *container = layout_source__container(source);
	char restarts[RESTART_COUNT_SIZE];

	string(attributes, "container.id", identity->container_id);
	if (!layout_source__has_pod(source)) {
		string(attributes, "container.name", identity->container_name);
		string(attributes, "logtap.restart_count", layout_source__restart_count(source, restarts));
	}
	image(attributes, identity->image);
	if (container)
		string(attributes, "container.image.id", container->image_id);
	string(attributes, "container.runtime", identity->runtime);
	labels(attributes, "container.label.", &source->container_labels);
}

static void owner(struct attributes *attributes, const char *kind, const char *name)
{
	static const char *const kinds[][2] = {
		{ "Deployment", "k8s.deployment.name" },   { "ReplicaSet", "k8s.replicaset.name" },
		{ "StatefulSet", "k8s.statefulset.name" }, { "DaemonSet", "k8s.daemonset.name" },
		{ "Job", "k8s.job.name" },		   { "CronJob", "k8s.cronjob.name" },
	};

	for (size_t i = 0; kind && i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (!strcmp(kind, kinds[i][0]))
			string(attributes, kinds[i][1], name);
}

/* A pod's annotation may be as long as all of them; what a record says beside labels has its bound. */
static const char *short_annotation(const struct pod *pod, const char *name)
{
	const char *value = pod ? labels__get(&pod->annotations, name) : NULL;

	return value && strlen(value) <= SERVICE_NAME_MAX ? value : NULL;
}

static void service_name(struct attributes *attributes, const struct layout_source *source)
{
	const struct identity *identity = source->stream->identity;
	const struct pod *pod = source->stream->pod;
	const char *name = short_annotation(pod, "resource.opentelemetry.io/service.name");
	const char *namespace = short_annotation(pod, "resource.opentelemetry.io/service.namespace");

	if (!name && pod)
		name = pod->workload_name ? pod->workload_name : pod->name;
	string(attributes, "service.name", name ? name : identity->pod_name);
	string(attributes, "service.namespace", namespace ? namespace : identity->pod_namespace);
}

static void pod_attributes(struct attributes *attributes, const struct pod *pod)
{
	string(attributes, "k8s.pod.ip", pod->ip);
	owner(attributes, pod->owner_kind, pod->owner_name);
	if (pod->workload_kind && (!pod->owner_kind || strcmp(pod->owner_kind, pod->workload_kind)))
		owner(attributes, pod->workload_kind, pod->workload_name);
	string(attributes, "k8s.pod.qos_class", pod->qos_class);
	string(attributes, "logtap.service_account", pod->service_account);
}

static void kubernetes_attributes(struct attributes *attributes, const struct layout_source *source)
{
	const struct identity *identity = source->stream->identity;
	char restarts[RESTART_COUNT_SIZE];

	string(attributes, "k8s.pod.name", identity->pod_name);
	string(attributes, "k8s.namespace.name", identity->pod_namespace);
	string(attributes, "k8s.pod.uid", identity->pod_uid);
	string(attributes, "k8s.node.name", source->pod_node);
	string(attributes, "k8s.container.name", identity->container_name);
	string(attributes, "k8s.container.restart_count", layout_source__restart_count(source, restarts));
	if (source->stream->pod)
		pod_attributes(attributes, source->stream->pod);
	service_name(attributes, source);
	labels(attributes, "k8s.pod.labels.", &source->pod_labels);
	labels(attributes, "k8s.pod.annotations.", &source->pod_annotations);
	labels(attributes, "k8s.namespace.labels.", &source->namespace_labels);
	labels(attributes, "k8s.node.labels.", &source->node_labels);
	if (layout_source__unenriched(source)) {
		begin(attributes, "logtap.enriched");
		fputs("\"boolValue\":false}}", attributes->out);
	}
}

static void service_attributes(struct attributes *attributes, const struct service *service)
{
	string(attributes, "systemd.unit", service->unit);
	string(attributes, "systemd.slice", service->slice);
	string(attributes, "systemd.session", service->session);
	string(attributes, "systemd.user_unit", service->user_unit);
}

/* A whole line's tag in the CRI's files: every record is one to who read them. */
static void log_attributes(struct attributes *attributes, const struct layout_source *source)
{
	const char *path = layout_source__path(source);

	string(attributes, "log.iostream", layout_source__stream(source));
	string(attributes, "logtag", layout_source__type(source, NULL, "F"));
	if (!path || !*path)
		return;
	string(attributes, "log.file.path", path);
	string(attributes, "log.file.name", strrchr(path, '/') ? strrchr(path, '/') + 1 : path);
}

static void fields(FILE *out, const struct layout_source *source)
{
	struct attributes resource = { .out = out }, log = { .out = out };

	fputs("{\"resourceLogs\":[{\"resource\":{\"attributes\":[", out);
	host_attributes(&resource, source);
	if (source->stream->identity)
		container_attributes(&resource, source);
	if (layout_source__has_pod(source))
		kubernetes_attributes(&resource, source);
	if (source->stream->service)
		service_attributes(&resource, source->stream->service);
	/* The time goes here: see `head`. */
	fputs("]},\"scopeLogs\":[{\"scope\":{},\"logRecords\":[" TIME_MARKER "\",\"attributes\":[", out);
	log_attributes(&log, source);
	if (log.comma)
		fputc(',', out);
	fputs("{\"key\":\"logtap.id\",\"value\":{\"stringValue\":\"", out);
}

/* What is seen in the kernel is observed when it happens. */
static char *head(char *out, struct timestamps *timestamps, uint64_t wall, const struct layout_fields *fields)
{
	char *time;
	size_t length;

	(void)timestamps;
	out = put(out, fields->text, fields->time_at);
	time = out;
	out = put_number(out, wall);
	length = out - time;
	out = PUT_LITERAL(out, "\",\"observedTimeUnixNano\":\"");
	out = put(out, time, length);
	return put(out, fields->text + fields->time_at, fields->length - fields->time_at);
}

static char *middle(char *out, const struct layout_line *line)
{
	out = PUT_LITERAL(out, CLOSE);
	if (line->partial != PARTIAL_NONE) {
		out = PUT_LITERAL(out, ATTRIBUTE("logtap.partial"));
		out = put_string(out, layout__partial(line->partial));
		out = PUT_LITERAL(out, CLOSE);
	}
	out = PUT_LITERAL(out, NUMBER("process.pid"));
	out = put_number(out, line->writer->tgid);
	out = PUT_LITERAL(out, CLOSE NUMBER("logtap.tid"));
	out = put_number(out, line->writer->tid);
	if (line->process) {
		out = PUT_LITERAL(out, CLOSE ATTRIBUTE("process.executable.name"));
		out = json__put(out, line->process->name);
		out = PUT_LITERAL(out, CLOSE NUMBER("process.real_user.id"));
		out = put_number(out, line->process->uid);
	}
	if (line->base64)
		return PUT_LITERAL(out, CLOSE "],\"body\":{\"bytesValue\":\"");
	return PUT_LITERAL(out, CLOSE "],\"body\":{\"stringValue\":\"");
}

#define END "]}]}]}"

static char *end(char *out, enum partial partial)
{
	(void)partial;
	return PUT_LITERAL(out, "\"}}" END);
}

static int loss(char *out, size_t size, const struct layout_loss *loss)
{
	return snprintf(out, size,
			"%s" CLOSE NUMBER("logtap.lost.bytes") "%" PRIu64 CLOSE
			",{\"key\":\"logtap.lost.%s\",\"value\":{\"intValue\":\"%" PRIu64 CLOSE
			ATTRIBUTE("logtap.lost.reason") "%s" CLOSE "]}" END,
			loss->id_suffix, loss->bytes, loss->unit, loss->count, loss->reason);
}

const struct layout layout_otel = {
	.label_overhead = sizeof("{\"key\":\"k8s.namespace.labels.\",\"value\":{\"stringValue\":\"\"}},") - 1,
	.fields = fields,
	.time_marker = TIME_MARKER,
	.head = head,
	.middle = middle,
	.end = end,
	.loss = loss,
	.id_close = CLOSE,
	.partial_open = ATTRIBUTE("logtap.partial"),
	.partial_close = CLOSE,
};
