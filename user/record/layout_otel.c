/*
 * OpenTelemetry's names: a LogsData message of OTLP/JSON (opentelemetry-proto 1.5, logs.proto) a
 * record, as the collector's kafka exporter writes with encoding otlp_json. Attributes are those of
 * the semantic conventions (1.34), as opentelemetry-collector-contrib sets them: the container
 * parser (pkg/stanza/operator/parser/container/parser.go: log.iostream, logtag, the restart count as
 * text), the filelog receiver (log.file.*) and processor/k8sattributesprocessor (k8s.*,
 * container.image.*, service.*; labels as k8s.pod.labels.NAME, as long as its feature gate
 * EmitV1K8sConventions is off). See tests/unit/recorded. What they do not know is in `logtap.`.
 */
#include "layout.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/text_put.h"
#include "field_filter.h"
#include "identity/identity.h"
#include "identity/service.h"
#include "json_writer.h"
#include "kubernetes/pod.h"
#include "layout_own.h"
#include "layout_source.h"
#include "record_facts.h"

#define ATTRIBUTE(key) ",{\"key\":\"" key "\",\"value\":{\"stringValue\":\""
#define NUMBER(key) ",{\"key\":\"" key "\",\"value\":{\"intValue\":\""
#define CLOSE "\"}}"
#define SERVICE "resource.opentelemetry.io/service."
#define SERVICE_VALUE_MAX 253
#define TIME_MARKER "{\"timeUnixNano\":\""

struct attributes {
	FILE *out;
	const struct globs_config *fields; /* by keys; NULL: all are written */
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

/* Also an empty value, and whatever the filter says. */
static void text(struct attributes *attributes, const char *key, const char *value)
{
	begin(attributes, key);
	fputs("\"stringValue\":", attributes->out);
	json_writer__quote(attributes->out, value);
	fputs("}}", attributes->out);
}

static void string(struct attributes *attributes, const char *key, const char *value)
{
	if (value && *value && field_filter__tells(attributes->fields, key))
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

static bool is_digest(const char *text)
{
	size_t length = sizeof("sha256:") - 1;

	return !strncmp(text, "sha256:", length) && strspn(text + length, "0123456789abcdef") == 64 && !text[length + 64];
}

/* REPOSITORY[:TAG][@DIGEST]; without a tag it is what the collector says then, latest. */
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
	if (*image)
		string(attributes, "container.image.tag", tag ? tag : "latest");
	free(name);
	free(tag);
}

/*
 * By the pod's own word, which is what the collector goes by; without it the runtime's, which may be a
 * digest alone: "".
 */
static const char *asked_image(const struct layout_source *source)
{
	const struct pod_container *container = layout_source__container(source);
	const char *image = container && container->asked_image ? container->asked_image : source->stream->identity->image;

	return is_digest(image) ? "" : image;
}

/* REPOSITORY@DIGEST, or of an image that comes from no registry its own. */
static void image_id(struct attributes *attributes, const char *id)
{
	const char *at = id ? strchr(id, '@') : NULL;

	if (!at || !is_digest(at + 1) || strstr(id, "://")) {
		string(attributes, "container.image.id", id);
		return;
	}
	if (!field_filter__tells(attributes->fields, "container.image.repo_digests"))
		return;
	begin(attributes, "container.image.repo_digests");
	fputs("\"arrayValue\":{\"values\":[{\"stringValue\":", attributes->out);
	json_writer__quote(attributes->out, id);
	fputs("}]}}}", attributes->out);
}

/* As processor/resourcedetectionprocessor's detector `system` has them. */
static void os_attributes(struct attributes *attributes, const struct host_os *os)
{
	bool amd64 = !strcmp(os->architecture, "x86_64");

	string(attributes, "host.arch", amd64 ? "amd64" : os->architecture);
	string(attributes, "os.type", "linux");
	string(attributes, "os.name", os->name);
	string(attributes, "os.version", os->version_id);
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
	if (source->facts->has_os)
		os_attributes(attributes, &source->facts->os);
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
	image(attributes, asked_image(source));
	if (container)
		image_id(attributes, container->image_id);
	string(attributes, "container.runtime", identity->runtime);
	labels(attributes, "container.label.", &source->container_labels);
}

static void owner(struct attributes *attributes, const char *kind, const char *name, const char *uid)
{
	static const char *const kinds[][3] = {
		{ "Deployment", "k8s.deployment.name", "k8s.deployment.uid" },
		{ "ReplicaSet", "k8s.replicaset.name", "k8s.replicaset.uid" },
		{ "StatefulSet", "k8s.statefulset.name", "k8s.statefulset.uid" },
		{ "DaemonSet", "k8s.daemonset.name", "k8s.daemonset.uid" },
		{ "Job", "k8s.job.name", "k8s.job.uid" },
		{ "CronJob", "k8s.cronjob.name", "k8s.cronjob.uid" },
	};

	for (size_t i = 0; kind && i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (!strcmp(kind, kinds[i][0])) {
			string(attributes, kinds[i][1], name);
			string(attributes, kinds[i][2], uid);
		}
}

/* A pod's annotation may be as long as all of them; what a record says beside labels has its bound. */
static const char *short_value(const struct labels *labels, const char *name)
{
	const char *value = labels__get(labels, name);

	return value && *value && strlen(value) <= SERVICE_VALUE_MAX ? value : NULL;
}

/* The first of these that the pod has: an annotation, labels. */
static const char *service_word(const struct pod *pod, const char *annotation, const char *label, const char *other_label)
{
	const char *value = pod ? short_value(&pod->annotations, annotation) : NULL;

	if (!value && pod && label)
		value = short_value(&pod->labels, label);
	if (!value && pod && other_label)
		value = short_value(&pod->labels, other_label);
	return value;
}

/* Of REPOSITORY:TAG@DIGEST what is behind the repository. */
static const char *version_of(const char *image)
{
	const char *digest = strchrnul(image, '@');
	const char *slash = memrchr(image, '/', digest - image);
	const char *colon = memchr(slash ? slash : image, ':', digest - (slash ? slash : image));

	if (colon)
		return colon + 1;
	return *digest ? digest + 1 : NULL;
}

/* As the collector's k8sattributes calculates them. */
static void service_attributes_of_pod(struct attributes *attributes, const struct layout_source *source)
{
	const struct identity *identity = source->stream->identity;
	const struct pod *pod = source->stream->pod;
	const char *name = service_word(pod, SERVICE "name", "app.kubernetes.io/instance", "app.kubernetes.io/name");
	const char *namespace = service_word(pod, SERVICE "namespace", NULL, NULL);
	const char *version = service_word(pod, SERVICE "version", "app.kubernetes.io/version", NULL);
	const char *instance = service_word(pod, SERVICE "instance.id", NULL, NULL);
	char *made = NULL;

	if (!name && pod)
		name = pod->workload_name ? pod->workload_name : pod->name;
	string(attributes, "service.name", name ? name : identity->pod_name);
	string(attributes, "service.namespace", namespace ? namespace : identity->pod_namespace);
	string(attributes, "service.version", version ? version : version_of(asked_image(source)));
	if (!instance && *identity->pod_name && *identity->container_name &&
	    asprintf(&made, "%s.%s.%s", identity->pod_namespace, identity->pod_name, identity->container_name) < 0)
		made = NULL;
	string(attributes, "service.instance.id", instance ? instance : made);
	free(made);
}

static void pod_attributes(struct attributes *attributes, const struct pod *pod)
{
	string(attributes, "k8s.pod.ip", pod->ip);
	string(attributes, "k8s.pod.hostname", pod->hostname);
	/* The collector calls it so, and means the creation. */
	string(attributes, "k8s.pod.start_time", pod->created);
	string(attributes, "k8s.node.uid", pod->node_uid);
	string(attributes, "k8s.cluster.uid", pod->cluster_uid);
	owner(attributes, pod->owner_kind, pod->owner_name, pod->owner_uid);
	if (pod->workload_kind && (!pod->owner_kind || strcmp(pod->owner_kind, pod->workload_kind)))
		owner(attributes, pod->workload_kind, pod->workload_name, pod->workload_uid);
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
	service_attributes_of_pod(attributes, source);
	labels(attributes, "k8s.pod.labels.", &source->pod_labels);
	labels(attributes, "k8s.pod.annotations.", &source->pod_annotations);
	labels(attributes, "k8s.namespace.labels.", &source->namespace_labels);
	labels(attributes, "k8s.node.labels.", &source->node_labels);
	if (layout_source__unenriched(source) && field_filter__tells(attributes->fields, "logtap.enriched")) {
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

/* The tag is a whole line's in the CRI's files, of which Docker's have none: every record is one to who read them. */
static void log_attributes(struct attributes *attributes, const struct layout_source *source)
{
	const struct identity *identity = source->stream->identity;
	const char *path = layout_source__path(source);

	string(attributes, "log.iostream", layout_source__stream(source));
	if (!identity || strcmp(identity->runtime, "docker"))
		string(attributes, "logtag", layout_source__type(source, NULL, "F"));
	if (!path || !*path)
		return;
	string(attributes, "log.file.path", path);
	string(attributes, "log.file.name", strrchr(path, '/') ? strrchr(path, '/') + 1 : path);
}

static void fields(FILE *out, const struct layout_source *source)
{
	struct attributes resource = { .out = out, .fields = source->fields }, log = resource;

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

static inline __attribute__((always_inline)) char *put_process(char *out, const struct layout_line *line, unsigned int untold)
{
	const struct process *process = line->process;

	if (layout_own__tells(untold, PROCESS_PID)) {
		out = PUT_LITERAL(out, NUMBER("process.pid"));
		out = put_number(out, line->writer->tgid);
		out = PUT_LITERAL(out, CLOSE);
	}
	if (layout_own__tells(untold, PROCESS_TID)) {
		out = PUT_LITERAL(out, NUMBER("logtap.tid"));
		out = put_number(out, line->writer->tid);
		out = PUT_LITERAL(out, CLOSE);
	}
	if (process && layout_own__tells(untold, PROCESS_NAME)) {
		out = PUT_LITERAL(out, ATTRIBUTE("process.executable.name"));
		out = json__put(out, process->name);
		out = PUT_LITERAL(out, CLOSE);
	}
	if (process && layout_own__tells(untold, PROCESS_UID)) {
		out = PUT_LITERAL(out, NUMBER("process.real_user.id"));
		out = put_number(out, process->uid);
		out = PUT_LITERAL(out, CLOSE);
	}
	return out;
}

static __attribute__((noinline)) char *put_some_process(char *out, const struct layout_line *line)
{
	return put_process(out, line, line->untold);
}

static char *middle(char *out, const struct layout_line *line)
{
	out = PUT_LITERAL(out, CLOSE);
	if (line->partial != PARTIAL_NONE) {
		out = PUT_LITERAL(out, ATTRIBUTE("logtap.partial"));
		out = put_string(out, layout__partial(line->partial));
		out = PUT_LITERAL(out, CLOSE);
	}
	out = line->untold ? put_some_process(out, line) : put_process(out, line, 0);
	if (line->base64)
		return PUT_LITERAL(out, "],\"body\":{\"bytesValue\":\"");
	return PUT_LITERAL(out, "],\"body\":{\"stringValue\":\"");
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
	.labels = { "k8s.pod.labels.*", "k8s.pod.annotations.*", "k8s.namespace.labels.*", "k8s.node.labels.*",
		    "container.label.*" },
	.process = { "process.pid", "logtap.tid", "process.executable.name", "process.real_user.id" },
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
