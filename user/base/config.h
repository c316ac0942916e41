/*
 * What can be configured, see conf/logtap.yaml; config_load.h reads it.
 * Owner: main. Immutable once loaded, so every thread may read it.
 */
#ifndef LOGTAP_CONFIG_H
#define LOGTAP_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "record_config.h"

enum assembly_mode { ASSEMBLY_AUTO, ASSEMBLY_PROCESS, ASSEMBLY_STREAM };
enum invalid_utf8 { INVALID_UTF8_REPLACE, INVALID_UTF8_BASE64 };
enum sink_kind { SINK_STDOUT, SINK_KAFKA };
/* What the Kafka key names: lines with one key stay in one partition, in order. */
enum kafka_key { KAFKA_KEY_STREAM, KAFKA_KEY_CONTAINER, KAFKA_KEY_POD, KAFKA_KEY_NONE };
/* What a journal does that has no room, neither in memory nor on disk. */
enum when_full { WHEN_FULL_WAIT, WHEN_FULL_DROP_OLDEST, WHEN_FULL_DROP_NEWEST };
/* In which order a backlog and what comes meanwhile are delivered. */
enum replay { REPLAY_IN_ORDER, REPLAY_INTERLEAVED };
/* Who is asked about pods. auto: the API server, where there is one. */
enum kubernetes_source { KUBERNETES_AUTO, KUBERNETES_API, KUBERNETES_KUBELET, KUBERNETES_NONE };
enum disk_fsync { DISK_FSYNC_NONE, DISK_FSYNC_SEGMENT };
/* What becomes of a stream of which it cannot be known whether it is selected. */
enum unknown_stream { UNKNOWN_INCLUDE, UNKNOWN_EXCLUDE };

struct name_value {
	char *name;
	char *value;
};

struct capture_config {
	bool containers;         /* stdout and stderr pipes of containers */
	char **files; /* globs of log files, matched on host paths and on paths in containers */
	unsigned int files_count;
	char **exclude_files;    /* globs that win over files */
	unsigned int exclude_files_count;
	unsigned int shards;     /* rings and reader threads; never 0 after loading */
	uint64_t ring_size;      /* bytes of one ring: a power of two */
	unsigned int max_streams;
	char *pin;               /* directory on a bpffs; "": capture ends with the agent */
};

struct lines_config {
	enum assembly_mode assembly;
	uint64_t max_line;       /* bytes; longer lines are cut and marked */
	uint64_t memory;         /* bytes of all lines that wait for their newline */
	uint64_t timeout_ms;     /* how long a line may wait for its newline */
	enum invalid_utf8 invalid_utf8;
};

struct disk_config {
	char *directory;         /* "": everything stays in memory */
	uint64_t max_size;       /* bytes, over all shards */
	uint64_t max_age_ms;     /* 0: no bound */
	enum disk_fsync fsync;
};

struct journal_config {
	char *directory;         /* on tmpfs */
	uint64_t max_size;       /* bytes, over all shards */
	uint64_t segment_size;   /* bytes */
	enum when_full when_full;
	enum replay replay;
	struct disk_config disk;
};

struct kafka_config {
	char **brokers;          /* host:port */
	unsigned int brokers_count;
	char *topic;
	enum kafka_key key;
	char *compression;       /* librdkafka's compression.codec */
	struct name_value *headers; /* static headers of every message */
	unsigned int headers_count;
	uint64_t aside_size;     /* bytes, for each partition that takes none while others do; 0: off */
	struct name_value *rdkafka; /* passed through to librdkafka as they are */
	unsigned int rdkafka_count;
};

/* All lists that have entries must match, each with one of them; at least one has. */
struct selection_rule {
	char **namespaces;       /* globs */
	unsigned int namespaces_count;
	char **pods;             /* globs */
	unsigned int pods_count;
	char **containers;       /* globs */
	unsigned int containers_count;
	char **images;           /* globs */
	unsigned int images_count;
	char **labels;           /* see label_selector.h */
	unsigned int labels_count;
	int *streams;            /* enum stream_kind: stdout, stderr, file */
	unsigned int streams_count;
};

struct selection_config {
	struct selection_rule *include; /* none: everything */
	unsigned int include_count;
	struct selection_rule *exclude;
	unsigned int exclude_count;
	bool annotations;        /* what pods ask for themselves counts */
	bool annotated_only;     /* only what asks for it */
	enum unknown_stream unknown;
};

struct kubernetes_config {
	enum kubernetes_source source;
	char *kubeconfig;        /* "": in-cluster */
	char *kubelet;           /* its URL */
	char *kubelet_ca;        /* "": the service account's authority */
	bool kubelet_insecure;   /* its certificate is not verified */
	uint64_t wait_ms;        /* how long a new stream's lines wait for labels */
};

struct config {
	char *node;              /* the record's host; never empty after loading */
	struct capture_config capture;
	struct selection_config selection;
	struct lines_config lines;
	struct record_config record;
	struct cloud_config cloud;
	struct journal_config journal;
	enum sink_kind sink;
	struct kafka_config kafka;
	struct kubernetes_config kubernetes;
};

#endif
