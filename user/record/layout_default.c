/*
 * logtap's own names, and Vector's where it has one, with what it says under them: sources
 * kubernetes_logs and file of Vector 0.57, see tests/unit/recorded.
 */
#include "layout.h"

#include <stdlib.h>
#include <string.h>

#include "base/text_put.h"
#include "base/timestamp.h"
#include "identity/identity.h"
#include "json_writer.h"
#include "kubernetes/pod.h"
#include "layout_own.h"
#include "layout_source.h"
#include "record_facts.h"

static void container_fields(struct json_writer *writer, const struct layout_source *source)
{
	const struct identity *identity = source->stream->identity;

	json_writer__open(writer, "container");
	json_writer__string(writer, "id", identity->container_id);
	json_writer__string(writer, "name", identity->container_name);
	json_writer__string(writer, "image", identity->image);
	json_writer__string(writer, "runtime", identity->runtime);
	layout_source__labels(writer, "labels", &source->container_labels);
	if (!layout_source__has_pod(source))
		layout_own__container(writer, source);
	json_writer__close(writer);
}

/* As the kubelet has it: with the name by which the runtime answers it (CRI, VersionResponse.runtime_name). */
static void container_id_field(struct json_writer *writer, const struct identity *identity)
{
	static const char *const of_the_kubelet[] = { "containerd", "cri-o", "docker" };
	const char *runtime = "", *separator = "";
	char *id;

	for (size_t i = 0; i < sizeof(of_the_kubelet) / sizeof(of_the_kubelet[0]); i++)
		if (strcmp(identity->runtime, of_the_kubelet[i]) == 0) {
			runtime = of_the_kubelet[i];
			separator = "://";
		}
	if (!*identity->container_id || asprintf(&id, "%s%s%s", runtime, separator, identity->container_id) < 0)
		return;
	json_writer__string(writer, "container_id", id);
	free(id);
}

static void pod_fields(struct json_writer *writer, const struct layout_source *source)
{
	const struct pod *pod = source->stream->pod;
	const struct pod_container *container = layout_source__container(source);

	if (container)
		json_writer__string(writer, "container_image_id", container->image_id);
	json_writer__string(writer, "pod_ip", pod->ip);
	json_writer__strings(writer, "pod_ips", pod->ips, POD_IPS_MAX);
	json_writer__string(writer, "pod_owner", pod->first_owner);
	layout_own__pod(writer, pod);
}

static void kubernetes_fields(struct json_writer *writer, const struct layout_source *source)
{
	const struct identity *identity = source->stream->identity;
	const struct pod_container *container = layout_source__container(source);

	if (!layout_source__has_pod(source))
		return;
	json_writer__open(writer, "kubernetes");
	json_writer__string(writer, "pod_name", identity->pod_name);
	json_writer__string(writer, "pod_namespace", identity->pod_namespace);
	json_writer__string(writer, "pod_uid", identity->pod_uid);
	json_writer__string(writer, "pod_node_name", source->pod_node);
	json_writer__string(writer, "container_name", identity->container_name);
	container_id_field(writer, identity);
	json_writer__string(writer, "container_image",
			    container && container->asked_image ? container->asked_image : identity->image);
	if (source->stream->pod)
		pod_fields(writer, source);
	layout_source__labels(writer, "pod_labels", &source->pod_labels);
	layout_source__labels(writer, "pod_annotations", &source->pod_annotations);
	layout_source__labels(writer, "namespace_labels", &source->namespace_labels);
	layout_source__labels(writer, "node_labels", &source->node_labels);
	layout_own__container(writer, source);
	json_writer__close(writer);
}

static void fields(FILE *out, const struct layout_source *source)
{
	struct json_writer writer = { .out = out, .comma = true, .fields = source->fields };
	bool has_pod = layout_source__has_pod(source);

	json_writer__string(&writer, "stream", layout_source__stream(source));
	json_writer__string(&writer, "source_type",
			    layout_source__type(source, "file", has_pod ? "kubernetes_logs" : "container"));
	json_writer__string(&writer, "host", source->node);
	layout_own__host_ids(&writer, source);
	layout_own__cloud(&writer, source->facts->cloud);
	json_writer__string(&writer, "file", layout_source__path(source));
	if (source->stream->service)
		layout_own__service(&writer, source->stream->service);
	if (source->stream->identity) {
		container_fields(&writer, source);
		kubernetes_fields(&writer, source);
	}
}

static char *head(char *out, struct timestamps *timestamps, uint64_t wall, const struct layout_fields *fields)
{
	out = PUT_LITERAL(out, "{\"timestamp\":\"");
	out = timestamp__put(timestamps, out, wall, 9);
	*out++ = '"';
	out = put(out, fields->text, fields->length);
	return PUT_LITERAL(out, ",\"id\":\"");
}

static char *middle(char *out, const struct layout_line *line)
{
	*out++ = '"';
	out = layout_own__process(out, line);
	out = layout_own__encoding(out, line->base64);
	return PUT_LITERAL(out, ",\"message\":\"");
}

/* Here the mark is the last field. */
static char *end(char *out, enum partial partial)
{
	*out++ = '"';
	out = layout_own__partial(out, partial);
	*out++ = '}';
	return out;
}

const struct layout layout_default = {
	.labels = { "kubernetes.pod_labels.*", "kubernetes.pod_annotations.*", "kubernetes.namespace_labels.*",
		    "kubernetes.node_labels.*", "container.labels.*" },
	.process = { "process.pid", "process.tid", "process.name", "process.uid" },
	.label_overhead = sizeof("\"\":\"\",") - 1,
	.fields = fields,
	.head = head,
	.middle = middle,
	.end = end,
	.loss = layout_own__loss,
};
