/*
 * Who a stream belongs to: a container's identity out of its cgroup's path and its runtime's own
 * files. Owner: one cache a shard, used by the shard's thread alone. Everything read is untrusted
 * text.
 */
#ifndef LOGTAP_IDENTITY_H
#define LOGTAP_IDENTITY_H

#include <stdbool.h>
#include <stdint.h>

#include "labels.h"

#define IDENTITY_CGROUP_NAMES 11
/* Stands for the names in the middle of a path that is deeper than what is known of it. */
#define CGROUP_NAMES_GAP "/"
/* Stands last where there may be more above: an earlier build's programs tell three names. */
#define CGROUP_NAMES_REST "//"

/* The names of a cgroup's path, leaf first; "" or NULL behind the topmost. */
struct cgroup_names {
	const char *name[IDENTITY_CGROUP_NAMES];
};

/* Strings are "" when unknown, never NULL. Owned by the cache. */
struct identity {
	char *container_id;      /* 64 hex digits or a free name */
	char *container_name;
	char *image;
	char *runtime;           /* containerd, docker, cri-o, podman, runc, crun */
	char *pod_name;
	char *pod_namespace;
	char *pod_uid;           /* with dashes, as the API has it; a static pod's: 32 hex digits */
	char *sandbox_id;        /* of the pod's pause container */
	char *restart_count;     /* digits */
	char *node_name;         /* of the container that is the pod's node; "": this host is it */
	char *log_path;          /* where the runtime writes what the container prints */
	struct labels labels;    /* the container's own: Docker's, nerdctl's, Podman's */
	struct labels pod_labels, pod_annotations; /* as of the sandbox's start: CRI-O */
	bool tells_pod;          /* these are known, and whole */
	bool sandbox;            /* a pod's pause container, or its virtual machine: nothing there is a log */
	bool privileged;         /* it may do anything to this host: --privileged */
	bool complete;           /* the runtime's files were found and read */
	bool starting;           /* they may be those of before its start: they are read again when it is asked for */
};

/* Bytes of a log_path; a longer one, which only who owns the runtime's files can make up, is as if it were missing. */
#define IDENTITY_LOG_PATH_MAX 1024

struct identity_cache;

/*
 * `root` is put before every path that is read ("" on a host, "/proc/1/root" in a container; a
 * directory in tests). `capacity`: identities remembered; the least recently used goes first.
 */
int identity_cache__new(const char *root, unsigned int capacity, struct identity_cache **out);
void identity_cache__free(struct identity_cache *cache);

/*
 * The identity of the container whose cgroup has these names, read from the runtime's files the
 * first time and as long as it is not complete. `own_pid_namespace` admits a cgroup with a free
 * name (no 64 hex digits) that no runtime's file confirms; once admitted, it stays so. Returns NULL
 * when this is no container (a login, a service, a scope of systemd's, an unconfirmed free name) or
 * memory is out (told). The result is valid until the next call.
 */
const struct identity *identity_cache__get(struct identity_cache *cache, uint64_t cgroup_id,
					   const struct cgroup_names *names,
					   bool own_pid_namespace);

/*
 * The inode numbers of the pipes that the runtime gave the init of the container in this cgroup as
 * stdout and stderr, 0 where it is something else (runc's external_descriptors, crun's status).
 * `container_id`: the identity's that these names gave; a pod in a node that is a container has its files there.
 * -ENOENT when no runtime knows the container.
 */
int identity__init_pipes(const char *root, const struct cgroup_names *names, const char *container_id,
			 uint64_t inode[2]);

#endif
