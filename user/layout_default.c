/*
 * logtap's own names, Vector's where it has one: sources kubernetes_logs and file of Vector 0.58
 * (src/sources/kubernetes_logs/{pod,namespace,node}_metadata_annotator.rs).
 */
#include "layout.h"

#include "identity.h"
#include "json_writer.h"
#include "layout_own.h"
#include "layout_source.h"
#include "pod.h"
#include "record_facts.h"
#include "text_put.h"
#include "timestamp.h"

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

static void owner_field(struct json_writer *writer, const struct pod *pod)
{
	char owner[512];

	if (!pod->owner_kind || !pod->owner_name)
		return;
	snprintf(owner, sizeof(owner), "%s/%s", pod->owner_kind, pod->owner_name);
	json_writer__string(writer, "pod_owner", owner);
}

static void pod_fields(struct json_writer *writer, const struct layout_source *source)
{
	const struct pod *pod = source->stream->pod;
	const struct pod_container *container = layout_source__container(source);

	if (container)
		json_writer__string(writer, "container_image_id", container->image_id);
	json_writer__string(writer, "pod_ip", pod->ip);
	owner_field(writer, pod);
	layout_own__pod(writer, pod);
}

static void kubernetes_fields(struct json_writer *writer, const struct layout_source *source)
{
	const struct identity *identity = source->stream->identity;

	if (!layout_source__has_pod(source))
		return;
	json_writer__open(writer, "kubernetes");
	json_writer__string(writer, "pod_name", identity->pod_name);
	json_writer__string(writer, "pod_namespace", identity->pod_namespace);
	json_writer__string(writer, "pod_uid", identity->pod_uid);
	json_writer__string(writer, "pod_node_name", source->pod_node);
	json_writer__string(writer, "container_name", identity->container_name);
	json_writer__string(writer, "container_id", identity->container_id);
	json_writer__string(writer, "container_image", identity->image);
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
	struct json_writer writer = { .out = out, .comma = true };

	json_writer__string(&writer, "stream", layout_source__stream(source));
	json_writer__string(&writer, "source_type", layout_source__type(source, "file", "container"));
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

static int loss(char *out, size_t size, const struct layout_loss *loss)
{
	return layout_own__loss(out, size, loss, "}");
}

const struct layout layout_default = {
	.label_overhead = sizeof("\"\":\"\",") - 1,
	.fields = fields,
	.head = head,
	.middle = middle,
	.end = end,
	.loss = loss,
};
