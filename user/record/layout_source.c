#include "layout_source.h"

#include <string.h>

#include "base/config.h"
#include "field_filter.h"
#include "identity/identity.h"
#include "json_writer.h"
#include "kubernetes/pod.h"
#include "label_filter.h"
#include "layout.h"
#include "record_facts.h"

static const struct record_facts no_facts;

/*
 * In the order in which they get the room. Of a pod, what the runtime's files tell is from its
 * start: the API's word goes before it.
 */
static int filter_labels(struct layout_source *source, const struct record_config *config,
			 const struct layout *layout, struct label_filter *filter)
{
	const struct pod *pod = source->stream->pod;
	const struct identity *identity = source->stream->identity;
	const struct {
		enum layout_labels kind;
		const struct labels *labels;
		const struct globs_config *globs;
		struct labels *out;
	} sets[] = {
		{ LAYOUT_POD_LABELS, pod ? &pod->labels : identity ? &identity->pod_labels : NULL, &config->pod_labels,
		  &source->pod_labels },
		{ LAYOUT_CONTAINER_LABELS, identity ? &identity->labels : NULL, &config->container_labels,
		  &source->container_labels },
		{ LAYOUT_NAMESPACE_LABELS, pod ? &pod->namespace_labels : NULL, &config->namespace_labels,
		  &source->namespace_labels },
		{ LAYOUT_NODE_LABELS, pod ? &pod->node_labels : NULL, &config->node_labels, &source->node_labels },
		{ LAYOUT_POD_ANNOTATIONS, pod ? &pod->annotations : identity ? &identity->pod_annotations : NULL,
		  &config->pod_annotations, &source->pod_annotations },
	};
	int err = 0;

	for (size_t i = 0; !err && i < sizeof(sets) / sizeof(sets[0]); i++)
		if (field_filter__tells(&config->fields, layout->labels[sets[i].kind]))
			err = label_filter__apply(filter, sets[i].labels, sets[i].globs, sets[i].out);
	return err;
}

static const char *pod_node(const struct stream_source *stream, const char *node)
{
	const struct identity *identity = stream->identity;

	return identity && identity->node_name && *identity->node_name ? identity->node_name : node;
}

int layout_source__init(struct layout_source *out, const struct layout_options *options, const struct layout *layout,
			const struct stream_source *stream)
{
	const struct record_config *config = options->record;
	struct layout_source source = {
		.stream = stream,
		.node = options->node,
		.pod_node = pod_node(stream, options->node),
		.facts = options->facts ? options->facts : &no_facts,
	};
	int err = 0;

	if (config) {
		struct label_filter filter = {
			.dedot = config->dedot || layout->dedot,
			.room = config->labels_max,
			.overhead = layout->label_overhead,
		};

		source.fields = &config->fields;
		err = filter_labels(&source, config, layout, &filter);
		source.left_out = filter.left_out;
	}
	if (err)
		layout_source__clear(&source);
	else
		*out = source;
	return err;
}

void layout_source__clear(struct layout_source *source)
{
	labels__free(&source->pod_labels);
	labels__free(&source->pod_annotations);
	labels__free(&source->namespace_labels);
	labels__free(&source->node_labels);
	labels__free(&source->container_labels);
}

static bool is_file(const struct layout_source *source)
{
	return source->stream->kind == STREAM_FILE;
}

const char *layout_source__type(const struct layout_source *source, const char *file, const char *container)
{
	if (source->stream->kind == STREAM_NONE)
		return NULL;
	return is_file(source) ? file : container;
}

const char *layout_source__stream(const struct layout_source *source)
{
	static const char *const name[STREAM_FILE + 1] = {
		[STREAM_STDOUT] = "stdout",
		[STREAM_STDERR] = "stderr",
	};

	return name[source->stream->kind];
}

const char *layout_source__path(const struct layout_source *source)
{
	const struct stream_source *stream = source->stream;

	if (is_file(source))
		return stream->file;
	return stream->identity ? stream->identity->log_path : NULL;
}

bool layout_source__has_pod(const struct layout_source *source)
{
	const struct identity *identity = source->stream->identity;

	return identity && (*identity->pod_uid || *identity->pod_name);
}

bool layout_source__unenriched(const struct layout_source *source)
{
	return source->stream->enrichment && !source->stream->pod && layout_source__has_pod(source);
}

/*
 * Around a restart the API may speak of the container of this name before this one, or of the one after it. Where it names none,
 * what it says of the image is of the one before, too.
 */
const struct pod_container *layout_source__container(const struct layout_source *source)
{
	const struct stream_source *stream = source->stream;
	const struct pod_container *container;

	if (!stream->pod || !stream->identity)
		return NULL;
	container = pod__container(stream->pod, stream->identity->container_name);
	return container && container->id && !strcmp(container->id, stream->identity->container_id) ? container : NULL;
}

const char *layout_source__restart_count(const struct layout_source *source, char buffer[RESTART_COUNT_SIZE])
{
	const struct identity *identity = source->stream->identity;
	const struct pod_container *container = layout_source__container(source);

	if (identity && identity->restart_count && *identity->restart_count)
		return identity->restart_count;
	if (!container)
		return "";
	snprintf(buffer, RESTART_COUNT_SIZE, "%u", container->restart_count);
	return buffer;
}

void layout_source__labels(struct json_writer *writer, const char *name, const struct labels *labels)
{
	json_writer__open(writer, name);
	for (unsigned int i = 0; i < labels->count; i++) {
		json_writer__begin(writer, labels->label[i].name);
		json_writer__quote(writer->out, labels->label[i].value);
	}
	json_writer__close(writer);
}
