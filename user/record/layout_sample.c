#include "layout_sample.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/text_put.h"
#include "base/timestamp.h"
#include "field_filter.h"
#include "identity/identity.h"
#include "identity/service.h"
#include "kubernetes/pod.h"
#include "layout.h"
#include "layout_source.h"
#include "process.h"
#include "record_facts.h"

#define X (char *)"x"
/* Of labels the path says no more. */
#define LABELS { &(struct label){ (char *)"*", X }, 1, 2 }

static const struct identity of_pod = {
	.container_id = X,
	.container_name = X,
	.image = (char *)"x/x:1@sha256:1",
	.runtime = X,
	.pod_name = X,
	.pod_namespace = X,
	.pod_uid = X,
	.restart_count = (char *)"1",
	.log_path = (char *)"/x",
};
static const struct identity of_no_pod = {
	.container_id = X,
	.container_name = X,
	.image = (char *)"x",
	.runtime = X,
	.pod_name = (char *)"",
	.pod_namespace = (char *)"",
	.pod_uid = (char *)"",
	.restart_count = (char *)"1",
	.log_path = (char *)"/x",
	.labels = LABELS,
};
static const struct service service = { .unit = "x", .slice = "x", .session = "x", .user_unit = "x" };

/* Of an image of a registry, and of one of none. */
#define DIGEST "x@sha256:0000000000000000000000000000000000000000000000000000000000000000"
static struct pod_container container = { .name = X, .id = X, .image_id = (char *)DIGEST, .restart_count = 1 };
static struct pod_container other_container = { .name = X, .id = X, .image_id = X, .restart_count = 1 };
#define POD(owner, workload, container) { \
	.name = X, .namespace = X, .ip = X, .ips = { X }, .qos_class = X, .service_account = X, .first_owner = X, \
	.owner_kind = (char *)owner, .owner_name = X, .owner_uid = X, \
	.workload_kind = (char *)workload, .workload_name = X, .workload_uid = X, .created = X, .hostname = X, \
	.namespace_uid = X, .node_uid = X, .node_hostname = X, .cluster_uid = X, \
	.labels = LABELS, .annotations = LABELS, .namespace_labels = LABELS, .node_labels = LABELS, \
	.containers = container, .containers_count = 1, \
}
/* Of all kinds for which a preset has a field. */
static const struct pod pods[] = {
	POD("ReplicaSet", "Deployment", &container),
	POD("Job", "CronJob", &other_container),
	POD("StatefulSet", "StatefulSet", &container),
	POD("DaemonSet", "DaemonSet", &container),
};

/* Of each kind that there is. */
static const struct stream_source streams[] = {
	{ .kind = STREAM_STDOUT, .identity = &of_pod, .pod = &pods[0] },
	{ .kind = STREAM_STDOUT, .identity = &of_pod, .pod = &pods[1] },
	{ .kind = STREAM_STDOUT, .identity = &of_pod, .pod = &pods[2] },
	{ .kind = STREAM_STDOUT, .identity = &of_pod, .pod = &pods[3] },
	{ .kind = STREAM_STDOUT, .identity = &of_pod, .enrichment = true },
	{ .kind = STREAM_STDOUT, .identity = &of_no_pod },
	{ .kind = STREAM_FILE, .file = "/x", .service = &service },
};

/* An array is a field, unless objects are in it: they are named by themselves, as OTLP's attributes are by their keys. */
static int add_paths(const json_t *value, const char *path, bool told, json_t *paths)
{
	const char *name, *key = *path ? NULL : json_string_value(json_object_get(value, "key"));
	char member[FIELD_PATH_MAX];
	size_t index;
	json_t *in;
	int err = 0;

	if (key || !(json_is_object(value) || json_is_array(value)))
		return json_object_set_new(paths, key ?: path, json_boolean(told)) ? -ENOMEM : 0;
	json_array_foreach((json_t *)value, index, in)
		err = err ? err : add_paths(in, json_is_object(in) ? "" : path, told, paths);
	json_object_foreach((json_t *)value, name, in) {
		snprintf(member, sizeof(member), "%s%s%s", path, *path ? "." : "", name);
		err = err ? err : add_paths(in, member, told, paths);
	}
	return err;
}

int layout_sample__paths(const json_t *record, bool value, json_t *paths)
{
	return add_paths(record, "", value, paths);
}

static char *any[] = { (char *)"*" };
static const struct globs_config every = { any, 1, NULL, 0 };

struct sample {
	const struct layout *layout;
	unsigned int untold;
	bool told;
	json_t *paths;
	struct layout_fields fields; /* of one of the streams */
	char *record;            /* has room for any of its records */
};

static int add_record(struct sample *sample, const char *end)
{
	json_t *record = json_loadb(sample->record, end - sample->record, 0, NULL);
	int err = record ? add_paths(record, "", sample->told, sample->paths) : -ENOMEM;

	json_decref(record);
	return err;
}

static char *put_head(const struct sample *sample)
{
	struct timestamps timestamps = { 0 };

	return put(sample->layout->head(sample->record, &timestamps, NS_PER_SECOND, &sample->fields), "x", 1);
}

static int add_line(struct sample *sample, bool base64)
{
	static const struct writer writer;
	static const struct process process = { .name = "x" };
	const struct layout_line line = { &writer, &process, PARTIAL_MAX_SIZE, base64, sample->untold };
	char *out = sample->layout->middle(put_head(sample), &line);

	return add_record(sample, sample->layout->end(put(out, "x", 1), PARTIAL_MAX_SIZE));
}

static int add_gap(struct sample *sample, const char *unit)
{
	const struct layout_loss loss = { "", 1, unit, 1, "x" };
	char *out = put_head(sample);

	return add_record(sample, out + sample->layout->loss(out, LAYOUT_LOSS_SIZE, &loss));
}

static int add_records(struct sample *sample)
{
	int err = add_line(sample, false);

	err = err ? err : add_line(sample, true);
	err = err ? err : add_gap(sample, "lines");
	return err ? err : add_gap(sample, "writes");
}

static int add_stream(struct sample *sample, const struct layout_options *options, const struct stream_source *stream)
{
	struct layout_source source;
	char *text = NULL;
	size_t length;
	FILE *out;
	int err = layout_source__init(&source, options, sample->layout, stream);

	if (err)
		return err;
	out = open_memstream(&text, &length);
	if (out)
		sample->layout->fields(out, &source);
	if (!out || fclose(out))
		err = -ENOMEM;
	sample->record = err ? NULL : malloc(length + LAYOUT_LINE_OVERHEAD + LAYOUT_LOSS_SIZE);
	if (sample->record) {
		sample->fields = (struct layout_fields){ text, length, layout__time_at(sample->layout, text, length) };
		err = add_records(sample);
	}
	if (!err && !sample->record)
		err = -ENOMEM;
	free(sample->record);
	free(text);
	layout_source__clear(&source);
	return err;
}

/* The records of which `fields` says what is told. */
static int add_all(struct sample *sample, const struct globs_config *fields)
{
	static const struct cloud_config cloud = { X, X, X, X, X };
	static const struct record_facts facts = {
		"x", "x", &cloud, true, { "x", "x", "debian", "x", "x", "x", "x", "x" },
	};
	/* Its names are the sample's layout. */
	const struct record_config record = {
		.fields = *fields,
		.pod_labels = every,
		.pod_annotations = every,
		.namespace_labels = every,
		.node_labels = every,
		.container_labels = every,
		.labels_max = UINT16_MAX,
	};
	const struct layout_options options = { .node = "x", .record = &record, .facts = &facts };
	int err = 0;

	sample->untold = layout__untold(sample->layout, &record.fields);
	for (size_t i = 0; !err && i < sizeof(streams) / sizeof(streams[0]); i++)
		err = add_stream(sample, &options, &streams[i]);
	return err;
}

json_t *layout_sample__fields(enum record_names names)
{
	static const struct globs_config none;
	struct sample sample = { .layout = layout__get(names), .paths = json_object() };
	int err = sample.paths ? add_all(&sample, &every) : -ENOMEM;

	sample.told = true;
	err = err ? err : add_all(&sample, &none);
	if (!err)
		return sample.paths;
	json_decref(sample.paths);
	return NULL;
}
