/*
 * Filebeat's names, which are the Elastic Common Schema's: what the inputs container and filestream
 * with add_kubernetes_metadata, add_docker_metadata, add_host_metadata and add_cloud_metadata put
 * into an event, as the kafka output writes it. Of Filebeat 8 and 9 (ECS 8.0.0), see
 * tests/unit/recorded:
 * libbeat/processors/add_kubernetes_metadata/kubernetes.go and elastic-agent-autodiscover's
 * kubernetes/metadata/{pod,resource}.go (kubernetes.*, container.*; names of labels without dots),
 * libbeat's codec/json (@timestamp in milliseconds; @metadata, by which pipelines choose an index,
 * so it has Filebeat's name), journalbeat's systemd.*. All that Filebeat does not know is in `logtap`.
 */
#include "layout.h"

#include <limits.h>
#include <string.h>

#include "base/text_put.h"
#include "base/timestamp.h"
#include "identity/identity.h"
#include "identity/pod_logs.h"
#include "json_writer.h"
#include "kubernetes/pod.h"
#include "layout_own.h"
#include "layout_source.h"
#include "record_facts.h"

#define METADATA "{\"beat\":\"filebeat\",\"type\":\"_doc\",\"version\":\"8.7.1\"}"
#define ECS_VERSION "8.0.0"
#define LINKS_DIR "/var/log/containers"
/* Of a link's path without its ".log": a file's name has 255 bytes at most. */
#define LINK_LENGTH_MAX (sizeof(LINKS_DIR "/") - 1 + 255 - 4)

static void object_with(struct json_writer *writer, const char *object, const char *name, const char *value)
{
	json_writer__open(writer, object);
	json_writer__string(writer, name, value);
	json_writer__close(writer);
}

/*
 * Filebeat reads a pod's container's log by the link that the kubelet makes to it
 * (pkg/kubelet/kuberuntime/legacy.go, logSymlink), and that is the path that it tells.
 */
static const char *log_path(const struct layout_source *source, char link[PATH_MAX])
{
	const struct identity *identity = source->stream->identity;
	const char *path = layout_source__path(source);
	int length;

	if (source->stream->kind == STREAM_FILE || !path || strncmp(path, POD_LOGS_DIR "/", sizeof(POD_LOGS_DIR)) ||
	    !*identity->pod_name || !*identity->container_name)
		return path;
	length = snprintf(link, PATH_MAX, LINKS_DIR "/%s_%s_%s-%s", identity->pod_name, identity->pod_namespace,
			  identity->container_name, identity->container_id);
	if (length > (int)LINK_LENGTH_MAX)
		length = LINK_LENGTH_MAX;
	strcpy(link + length, ".log");
	return link;
}

static void log_fields(struct json_writer *writer, const struct layout_source *source)
{
	char link[PATH_MAX];

	json_writer__string(writer, "stream", layout_source__stream(source));
	object_with(writer, "input", "type", layout_source__type(source, "filestream", "container"));
	json_writer__open(writer, "log");
	object_with(writer, "file", "path", log_path(source, link));
	json_writer__close(writer);
}

/* As add_host_metadata has them. */
static void os_fields(struct json_writer *writer, const struct layout_source *source)
{
	const struct host_os *os = &source->facts->os;

	json_writer__string(writer, "hostname", source->node);
	json_writer__string(writer, "architecture", os->architecture);
	json_writer__open(writer, "os");
	json_writer__string(writer, "type", "linux");
	json_writer__string(writer, "platform", os->id);
	json_writer__string(writer, "family", host_os__family(os));
	json_writer__string(writer, "name", os->name);
	json_writer__string(writer, "version", *os->version ? os->version : os->version_id);
	json_writer__string(writer, "codename", os->codename);
	json_writer__string(writer, "kernel", os->kernel);
	json_writer__close(writer);
}

static void agent_fields(struct json_writer *writer, const struct layout_source *source)
{
	json_writer__always(writer, "ecs", "{\"version\":\"" ECS_VERSION "\"}");
	json_writer__open(writer, "agent");
	json_writer__string(writer, "type", "logtap");
	json_writer__string(writer, "version", LOGTAP_VERSION);
	json_writer__string(writer, "name", source->node);
	json_writer__close(writer);
	json_writer__open(writer, "host");
	json_writer__string(writer, "name", source->node);
	json_writer__string(writer, "id", source->facts->machine_id);
	object_with(writer, "boot", "id", source->facts->boot_id);
	if (source->facts->has_os)
		os_fields(writer, source);
	json_writer__close(writer);
}

static void cloud_fields(struct json_writer *writer, const struct cloud_config *cloud)
{
	json_writer__open(writer, "cloud");
	json_writer__string(writer, "provider", cloud->provider);
	object_with(writer, "instance", "id", cloud->instance_id);
	json_writer__string(writer, "region", cloud->region);
	json_writer__string(writer, "availability_zone", cloud->zone);
	object_with(writer, "account", "id", cloud->account);
	json_writer__close(writer);
}

/* Of a pod's container, the name is in `kubernetes` alone. */
static void container_fields(struct json_writer *writer, const struct layout_source *source)
{
	const struct identity *identity = source->stream->identity;
	const struct pod_container *container = layout_source__container(source);

	json_writer__open(writer, "container");
	json_writer__string(writer, "id", identity->container_id);
	if (!layout_source__has_pod(source))
		json_writer__string(writer, "name", identity->container_name);
	object_with(writer, "image", "name", container && container->image ? container->image : identity->image);
	json_writer__string(writer, "runtime", identity->runtime);
	layout_source__labels(writer, "labels", &source->container_labels);
	json_writer__close(writer);
}

/* "deployment":{"name":...}, for the kinds that Filebeat tells. */
static bool owner_field(struct json_writer *writer, const char *kind, const char *name)
{
	static const char *const kinds[][2] = {
		{ "Deployment", "deployment" },	  { "ReplicaSet", "replicaset" }, { "StatefulSet", "statefulset" },
		{ "DaemonSet", "daemonset" },	  { "Job", "job" },		  { "CronJob", "cronjob" },
	};

	for (size_t i = 0; kind && i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strcmp(kind, kinds[i][0]))
			continue;
		object_with(writer, kinds[i][1], "name", name);
		return true;
	}
	return false;
}

static void kubernetes_fields(struct json_writer *writer, const struct layout_source *source)
{
	const struct identity *identity = source->stream->identity;
	const struct pod *pod = source->stream->pod;

	json_writer__open(writer, "kubernetes");
	object_with(writer, "container", "name", identity->container_name);
	json_writer__open(writer, "node");
	json_writer__string(writer, "name", source->pod_node);
	json_writer__string(writer, "uid", pod ? pod->node_uid : NULL);
	json_writer__string(writer, "hostname", pod ? pod->node_hostname : NULL);
	layout_source__labels(writer, "labels", &source->node_labels);
	json_writer__close(writer);
	json_writer__open(writer, "pod");
	json_writer__string(writer, "name", identity->pod_name);
	json_writer__string(writer, "uid", pod && pod->api_uid ? pod->api_uid : identity->pod_uid);
	json_writer__string(writer, "ip", pod ? pod->ip : NULL);
	json_writer__close(writer);
	json_writer__string(writer, "namespace", identity->pod_namespace);
	json_writer__string(writer, "namespace_uid", pod ? pod->namespace_uid : NULL);
	layout_source__labels(writer, "namespace_labels", &source->namespace_labels);
	if (pod)
		owner_field(writer, pod->owner_kind, pod->owner_name);
	if (pod && pod->workload_kind && (!pod->owner_kind || strcmp(pod->owner_kind, pod->workload_kind)))
		owner_field(writer, pod->workload_kind, pod->workload_name);
	layout_source__labels(writer, "labels", &source->pod_labels);
	layout_source__labels(writer, "annotations", &source->pod_annotations);
	json_writer__close(writer);
}

/* The object stays open: the id is its last field but for what is told of the line. */
static void own_fields(struct json_writer *writer, const struct layout_source *source)
{
	const struct pod_container *container = layout_source__container(source);

	json_writer__open(writer, "logtap");
	if (container)
		json_writer__string(writer, "container_image_id", container->image_id);
	if (source->stream->pod)
		layout_own__pod(writer, source->stream->pod);
	layout_own__container(writer, source);
}

static void fields(FILE *out, const struct layout_source *source)
{
	struct json_writer writer = { .out = out, .comma = true, .fields = source->fields };

	json_writer__always(&writer, "@metadata", METADATA);
	log_fields(&writer, source);
	agent_fields(&writer, source);
	if (source->facts->cloud)
		cloud_fields(&writer, source->facts->cloud);
	if (source->stream->service)
		layout_own__service(&writer, source->stream->service);
	if (source->stream->identity)
		container_fields(&writer, source);
	if (layout_source__has_pod(source))
		kubernetes_fields(&writer, source);
	own_fields(&writer, source);
	json_writer__begin(&writer, "id");
	fputc('"', out);
}

static char *head(char *out, struct timestamps *timestamps, uint64_t wall, const struct layout_fields *fields)
{
	out = PUT_LITERAL(out, "{\"@timestamp\":\"");
	out = timestamp__put(timestamps, out, wall, 3);
	*out++ = '"';
	return put(out, fields->text, fields->length);
}

/* ,"process":{...},"user":{...} */
static inline __attribute__((always_inline)) char *put_process(char *start, const struct layout_line *line, unsigned int untold)
{
	const struct process *process = line->process;
	char *out = layout_own__open_process(start, line, untold, true);

	out = layout_own__close_process(start, out, untold);
	if (process && layout_own__tells(untold, PROCESS_UID)) {
		out = PUT_LITERAL(out, ",\"user\":{\"id\":\"");
		out = put_number(out, process->uid);
		out = PUT_LITERAL(out, "\"}");
	}
	return out;
}

static __attribute__((noinline)) char *put_some_process(char *out, const struct layout_line *line)
{
	return put_process(out, line, line->untold);
}

static char *middle(char *out, const struct layout_line *line)
{
	*out++ = '"';
	out = layout_own__partial(out, line->partial);
	out = layout_own__encoding(out, line->base64);
	*out++ = '}';
	out = line->untold ? put_some_process(out, line) : put_process(out, line, 0);
	return PUT_LITERAL(out, ",\"message\":\"");
}

static char *end(char *out, enum partial partial)
{
	(void)partial;
	return PUT_LITERAL(out, "\"}");
}

const struct layout layout_ecs = {
	.labels = { "kubernetes.labels.*", "kubernetes.annotations.*", "kubernetes.namespace_labels.*",
		    "kubernetes.node.labels.*", "container.labels.*" },
	.process = { "process.pid", "process.thread.id", "process.name", "user.id" },
	.label_overhead = sizeof("\"\":\"\",") - 1,
	.dedot = true,
	.fields = fields,
	.head = head,
	.middle = middle,
	.end = end,
	.loss = layout_own__loss_in_object,
	.id_close = "\"",
	.partial_open = ",\"partial\":\"",
	.partial_close = "\"",
};
