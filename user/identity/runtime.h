/*
 * The seam between identity and the container runtimes: each kind of runtime knows where its files
 * are and what they say. A new one is a file of its own and a line in identity.c's table. Used by
 * the thread that owns the identity cache.
 */
#ifndef LOGTAP_RUNTIME_H
#define LOGTAP_RUNTIME_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

struct cgroup_place;
struct identity;

struct runtime {
	/* `root` is put before every path; it must outlive the state. 0 or -ENOMEM. */
	int (*open)(const char *root, void **state);
	/*
	 * Sets the fields of `out` (all zero before) that the runtime's files tell, as allocated
	 * strings that the caller frees, also after a failure. Returns -ENOENT when this runtime
	 * does not know the container, another -errno when its files cannot be used (told).
	 */
	int (*read)(void *state, const struct cgroup_place *place, struct identity *out);
	void (*close)(void *state);
};

/* Docker, also a user's own: containers/ID/config.v2.json in its data-root; so cri-dockerd's pods. */
extern const struct runtime runtime_docker;
/* containerd, and so its CRI plugin, k3s and nerdctl: the OCI bundle's config.json. */
extern const struct runtime runtime_containerd;
/* CRI-O: config.json of containers/storage's userdata, also the sandbox's. */
extern const struct runtime runtime_crio;
/* Podman, also a user's own: the same place, and containers.json beside it. */
extern const struct runtime runtime_podman;
/* runc and crun, called directly or by a runtime that has no reader of its own: state files. */
extern const struct runtime runtime_oci;

/* Whether runc's or crun's own files tell of a container of this ID that it is in this very cgroup. */
bool runtime_oci__is_in(const char *root, const struct cgroup_place *place);
/* The host's number of the container's first process. -ENOENT when no runtime knows it. */
int runtime_oci__init_pid(const char *root, const struct cgroup_place *place, long *out);
/*
 * Whether an OCI specification lets the container do anything to the host: all capabilities that matter,
 * and no user namespace that would make them mean less.
 */
bool runtime_oci__is_privileged(const json_t *config);
/* See identity__init_pipes. */
int runtime_oci__init_pipes(const char *root, const struct cgroup_place *place, uint64_t inode[2]);

#endif
