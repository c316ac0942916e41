/*
 * The part of the configuration that says what is in a record: see config.h.
 */
#ifndef LOGTAP_RECORD_CONFIG_H
#define LOGTAP_RECORD_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

/* Under which names records say what they say: see layout.h. Kept in journals and checkpoints. */
enum record_names { NAMES_DEFAULT, NAMES_FLUENTBIT, NAMES_ECS, NAMES_OTEL, NAMES_COUNT };
/* What records tell of the machine beside its name. */
enum host_fact { HOST_FACT_MACHINE_ID, HOST_FACT_BOOT_ID, HOST_FACT_CLOUD, HOST_FACT_OS };

/* Of what a record tells of who wrote. */
enum process_field { PROCESS_PID, PROCESS_TID, PROCESS_NAME, PROCESS_UID, PROCESS_FIELDS };

/* Globs of names: those that one of `allow` matches and none of `deny`. */
struct globs_config {
	char **allow;
	unsigned int allow_count;
	char **deny;
	unsigned int deny_count;
};

struct record_config {
	enum record_names names;
	struct globs_config fields; /* of their paths: see field_filter.h */
	struct globs_config pod_labels;
	struct globs_config pod_annotations;
	struct globs_config namespace_labels;
	struct globs_config node_labels;
	struct globs_config container_labels;
	uint64_t labels_max;     /* bytes of all of them in one record */
	bool dedot;              /* a.b/c -> a_b/c in the names of labels and annotations */
	enum host_fact *host;
	unsigned int host_count;
};

/* Where the machine runs; "": not told. */
struct cloud_config {
	char *provider;
	char *instance_id;
	char *region;
	char *zone;
	char *account;
};

#endif
