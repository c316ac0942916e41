/*
 * What the fields of a stream's records are made of, with the answers that all presets need alike.
 * Owner: who renders the fields, for that long; one thread.
 */
#ifndef LOGTAP_LAYOUT_SOURCE_H
#define LOGTAP_LAYOUT_SOURCE_H

#include <stdbool.h>

#include "base/config.h"
#include "identity/labels.h"
#include "record.h"

struct globs_config;
struct identity;
struct json_writer;
struct layout;
struct pod;
struct pod_container;
struct record_facts;
struct service;

/* What is the same for all streams. */
struct layout_options {
	const char *node;
	const struct record_config *record; /* NULL: the default preset, no labels */
	const struct record_facts *facts;   /* NULL: none */
};

/* What all records of one stream have in common. Strings are "" or NULL where there is nothing. */
struct stream_source {
	enum stream_kind kind;
	const char *file;
	const struct identity *identity; /* NULL: not in a container */
	const struct pod *pod;   /* NULL: not known, or not a pod's */
	bool enrichment;         /* pods are asked for: a record tells when its pod is not known */
	const struct service *service; /* NULL: none that is known */
	enum kafka_key key;
	uint64_t stream;         /* names it in its shard, see struct journal_meta */
};

struct layout_source {
	const struct stream_source *stream;
	const char *node;        /* this one */
	const char *pod_node;    /* the pod's: this one, or a container on it */
	const struct record_facts *facts; /* never NULL */
	const struct globs_config *fields; /* that are told; NULL: all */
	/* Those that the configuration lets through, renamed where it or the preset asks for it. */
	struct labels pod_labels, pod_annotations, namespace_labels, node_labels, container_labels;
	unsigned int left_out;   /* labels that found no room */
};

/* Fills *out, whose strings are the arguments'. 0 or -ENOMEM. */
int layout_source__init(struct layout_source *out, const struct layout_options *options, const struct layout *layout,
			const struct stream_source *stream);
void layout_source__clear(struct layout_source *source);

/* The one of the two that the stream is; NULL for the node. */
const char *layout_source__type(const struct layout_source *source, const char *file, const char *container);
/* "stdout", "stderr"; NULL for a file and for the node. */
const char *layout_source__stream(const struct layout_source *source);
/* Of the log: the file's own, or where the runtime writes it; NULL or "" where there is none. */
const char *layout_source__path(const struct layout_source *source);
/* True for a container of a pod, also when the pod's name is not known. */
bool layout_source__has_pod(const struct layout_source *source);
/* True when its labels were asked for and are not known. */
bool layout_source__unenriched(const struct layout_source *source);
/* The API's word of this very container, by its ID; NULL when it is not known. */
const struct pod_container *layout_source__container(const struct layout_source *source);
#define RESTART_COUNT_SIZE 16
/* Its digits, or other text of the runtime's; "" when it is not known. */
const char *layout_source__restart_count(const struct layout_source *source, char buffer[RESTART_COUNT_SIZE]);

/* An object of this name with the labels in it, which are told; nothing when there are none. */
void layout_source__labels(struct json_writer *writer, const char *name, const struct labels *labels);

#endif
