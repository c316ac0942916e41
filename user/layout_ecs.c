/*
 * Filebeat's names, which are the Elastic Common Schema's: what the inputs container and filestream
 * with add_kubernetes_metadata, add_docker_metadata, add_host_metadata and add_cloud_metadata put
 * into an event, as the kafka output writes it. Of Filebeat 8 (ECS 8.0.0):
 * libbeat/processors/add_kubernetes_metadata/kubernetes.go and elastic-agent-autodiscover's
 * kubernetes/metadata/{pod,resource}.go (kubernetes.*, container.*; names of labels without dots),
 * libbeat's codec/json (@timestamp in milliseconds; @metadata, by which pipelines choose an index,
 * so it has Filebeat's name), journalbeat's systemd.*. All that Filebeat does not know is in `logtap`.
 */
#include "layout.h"

#include <ctype.h>
#include <string.h>

#include "identity.h"
#include "json_writer.h"
#include "layout_own.h"
#include "layout_source.h"
#include "pod.h"
#include "record_facts.h"
#include "text_put.h"
#include "timestamp.h"

#define METADATA "{\"beat\":\"filebeat\",\"type\":\"_doc\",\"version\":\"8.7.1\"}"
#define ECS_VERSION "8.0.0"

static void object_with(struct json_writer *writer, const char *object, const char *name, const char *value)
{
	json_writer__open(writer, object);
	json_writer__string(writer, name, value);
	json_writer__close(writer);
}

static void log_fields(struct json_writer *writer, const struct layout_source *source)
{
	json_writer__string(writer, "stream", layout_source__stream(source));
	object_with(writer, "input", "type", layout_source__type(source, "filestream", "container"));
	json_writer__open(writer, "log");
	object_with(writer, "file", "path", layout_source__path(source));
	json_writer__close(writer);
}

static void agent_fields(struct json_writer *writer, const struct layout_source *source)
{
	object_with(writer, "ecs", "version", ECS_VERSION);
	json_writer__open(writer, "agent");
	json_writer__string(writer, "type", "logtap");
	json_writer__string(writer, "version", LOGTAP_VERSION);
	json_writer__string(writer, "name", source->node);
	json_writer__close(writer);
	json_writer__open(writer, "host");
	json_writer__string(writer, "name", source->node);
	json_writer__string(writer, "id", source->facts->machine_id);
	object_with(writer, "boot", "id", source->facts->boot_id);
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

	json_writer__open(writer, "container");
	json_writer__string(writer, "id", identity->container_id);
	if (!layout_source__has_pod(source))
		json_writer__string(writer, "name", identity->container_name);
	object_with(writer, "image", "name", identity->image);
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
	layout_source__labels(writer, "labels", &source->node_labels);
	json_writer__close(writer);
	json_writer__open(writer, "pod");
	json_writer__string(writer, "name", identity->pod_name);
	json_writer__string(writer, "uid", identity->pod_uid);
	json_writer__string(writer, "ip", pod ? pod->ip : NULL);
	json_writer__close(writer);
	json_writer__string(writer, "namespace", identity->pod_namespace);
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
	struct json_writer writer = { .out = out, .comma = true };

	json_writer__raw(&writer, "@metadata", METADATA);
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

static char *middle(char *out, const struct layout_line *line)
{
	*out++ = '"';
	out = layout_own__partial(out, line->partial);
	out = layout_own__encoding(out, line->base64);
	out = PUT_LITERAL(out, "},\"process\":{\"pid\":");
	out = put_number(out, line->writer->tgid);
	out = PUT_LITERAL(out, ",\"thread\":{\"id\":");
	out = put_number(out, line->writer->tid);
	*out++ = '}';
	if (line->process) {
		out = PUT_LITERAL(out, ",\"name\":\"");
		out = json__put(out, line->process->name);
		out = PUT_LITERAL(out, "\"},\"user\":{\"id\":\"");
		out = put_number(out, line->process->uid);
		*out++ = '"';
	}
	return PUT_LITERAL(out, "},\"message\":\"");
}

static char *end(char *out, enum partial partial)
{
	(void)partial;
	return PUT_LITERAL(out, "\"}");
}

static int loss(char *out, size_t size, const struct layout_loss *loss)
{
	return layout_own__loss(out, size, loss, "}}");
}

const struct layout layout_ecs = {
	.label_overhead = sizeof("\"\":\"\",") - 1,
	.dedot = true,
	.fields = fields,
	.head = head,
	.middle = middle,
	.end = end,
	.loss = loss,
	.id_close = "\"",
	.partial_open = ",\"partial\":\"",
	.partial_close = "\"",
};
