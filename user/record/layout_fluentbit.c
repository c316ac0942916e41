/*
 * Fluent Bit's names: what its tail input with the multiline parser `cri` and its kubernetes filter
 * put into a record, as the kafka output writes it with format json, of Fluent Bit 5.1.1:
 * src/multiline/flb_ml_parser_cri.c (time, stream, _p, log), plugins/filter_kubernetes/kube_meta.c
 * (kubernetes, kubernetes_namespace), plugins/out_kafka/kafka.c (@timestamp: seconds, a fraction),
 * plugins/in_systemd/systemd.c (the journal's own names). Records of its own: tests/unit/recorded.
 * All that Fluent Bit does not know is in `logtap`.
 */
#include "layout.h"

#include <string.h>

#include "base/clock.h"
#include "base/text_put.h"
#include "base/timestamp.h"
#include "identity/identity.h"
#include "identity/service.h"
#include "json_writer.h"
#include "kubernetes/pod.h"
#include "layout_own.h"
#include "layout_source.h"
#include "record_facts.h"

/* The filter takes the image's id without the scheme that Docker's had. */
static const char *container_hash(const struct pod_container *container)
{
	const char *scheme = container && container->image_id ? strstr(container->image_id, "://") : NULL;

	if (scheme)
		return scheme + 3;
	return container ? container->image_id : NULL;
}

static void kubernetes_fields(struct json_writer *writer, const struct layout_source *source)
{
	const struct identity *identity = source->stream->identity;
	const struct pod_container *container = layout_source__container(source);

	json_writer__open(writer, "kubernetes");
	json_writer__string(writer, "pod_name", identity->pod_name);
	json_writer__string(writer, "namespace_name", identity->pod_namespace);
	json_writer__string(writer, "pod_id", identity->pod_uid);
	layout_source__labels(writer, "labels", &source->pod_labels);
	layout_source__labels(writer, "annotations", &source->pod_annotations);
	json_writer__string(writer, "host", source->pod_node);
	if (source->stream->pod)
		json_writer__string(writer, "pod_ip", source->stream->pod->ip);
	json_writer__string(writer, "container_name", identity->container_name);
	json_writer__string(writer, "docker_id", identity->container_id);
	json_writer__string(writer, "container_hash", container_hash(container));
	json_writer__string(writer, "container_image", container && container->image ? container->image : identity->image);
	json_writer__close(writer);
	if (source->namespace_labels.count) {
		json_writer__open(writer, "kubernetes_namespace");
		json_writer__string(writer, "name", identity->pod_namespace);
		layout_source__labels(writer, "labels", &source->namespace_labels);
		json_writer__close(writer);
	}
}

static void service_fields(struct json_writer *writer, const struct service *service)
{
	json_writer__string(writer, "_SYSTEMD_UNIT", service->unit);
	json_writer__string(writer, "_SYSTEMD_SLICE", service->slice);
	json_writer__string(writer, "_SYSTEMD_SESSION", service->session);
	json_writer__string(writer, "_SYSTEMD_USER_UNIT", service->user_unit);
}

static void container_fields(struct json_writer *writer, const struct layout_source *source)
{
	const struct identity *identity = source->stream->identity;

	json_writer__open(writer, "container");
	if (!layout_source__has_pod(source)) {
		json_writer__string(writer, "id", identity->container_id);
		json_writer__string(writer, "name", identity->container_name);
		json_writer__string(writer, "image", identity->image);
	}
	json_writer__string(writer, "runtime", identity->runtime);
	layout_source__labels(writer, "labels", &source->container_labels);
	json_writer__close(writer);
}

static void owner_field(struct json_writer *writer, const struct pod *pod)
{
	json_writer__open(writer, "owner");
	json_writer__string(writer, "kind", pod->owner_kind);
	json_writer__string(writer, "name", pod->owner_name);
	json_writer__close(writer);
}

/* The object stays open: the id is its last field but for what is told of the line. */
static void own_fields(struct json_writer *writer, const struct layout_source *source)
{
	const struct pod *pod = source->stream->pod;

	json_writer__open(writer, "logtap");
	if (!layout_source__has_pod(source) || source->pod_node != source->node)
		json_writer__string(writer, "host", source->node);
	layout_own__host_ids(writer, source);
	layout_own__cloud(writer, source->facts->cloud);
	json_writer__string(writer, "file", layout_source__path(source));
	if (source->stream->identity)
		container_fields(writer, source);
	if (pod) {
		owner_field(writer, pod);
		layout_own__pod(writer, pod);
	}
	layout_source__labels(writer, "node_labels", &source->node_labels);
	layout_own__container(writer, source);
}

static void fields(FILE *out, const struct layout_source *source)
{
	struct json_writer writer = { .out = out, .comma = true, .fields = source->fields };

	json_writer__string(&writer, "stream", layout_source__stream(source));
	if (layout_source__has_pod(source))
		kubernetes_fields(&writer, source);
	if (source->stream->service)
		service_fields(&writer, source->stream->service);
	own_fields(&writer, source);
	json_writer__begin(&writer, "id");
	fputc('"', out);
}

/* The kafka output's @timestamp is a double in 16 digits: it is rounded to microseconds. */
static char *head(char *out, struct timestamps *timestamps, uint64_t wall, const struct layout_fields *fields)
{
	const uint64_t second = NS_PER_SECOND / 1000;
	uint64_t microseconds = (wall + 500) / 1000;

	out = PUT_LITERAL(out, "{\"@timestamp\":");
	out = put_number(out, microseconds / second);
	*out++ = '.';
	out = put_digits(out, microseconds % second, 6);
	out = PUT_LITERAL(out, ",\"time\":\"");
	out = timestamp__put(timestamps, out, wall, 9);
	*out++ = '"';
	return put(out, fields->text, fields->length);
}

static char *middle(char *out, const struct layout_line *line)
{
	*out++ = '"';
	out = layout_own__partial(out, line->partial);
	out = layout_own__encoding(out, line->base64);
	out = layout_own__process(out, line);
	return PUT_LITERAL(out, "},\"log\":\"");
}

/* The CRI's tag: P where the line goes on in the next record. */
static char *end(char *out, enum partial partial)
{
	if (partial == PARTIAL_MAX_SIZE || partial == PARTIAL_TIMEOUT)
		return PUT_LITERAL(out, "\",\"_p\":\"P\"}");
	return PUT_LITERAL(out, "\",\"_p\":\"F\"}");
}

const struct layout layout_fluentbit = {
	.labels = { "kubernetes.labels.*", "kubernetes.annotations.*", "kubernetes_namespace.labels.*",
		    "logtap.node_labels.*", "logtap.container.labels.*" },
	.process = { "logtap.process.pid", "logtap.process.tid", "logtap.process.name", "logtap.process.uid" },
	.label_overhead = sizeof("\"\":\"\",") - 1,
	.fields = fields,
	.head = head,
	.middle = middle,
	.end = end,
	.loss = layout_own__loss_in_object,
	.id_close = "\"",
	.partial_open = ",\"partial\":\"",
	.partial_close = "\"",
};
