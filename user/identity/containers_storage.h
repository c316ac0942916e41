/*
 * Where containers/storage, which CRI-O and Podman share, keeps what they write of a container:
 * DIR/ID/userdata. Found in the usual places, else by the arguments of the container's conmon. Owner:
 * the runtime's state; one thread.
 */
#ifndef LOGTAP_CONTAINERS_STORAGE_H
#define LOGTAP_CONTAINERS_STORAGE_H

#include <jansson.h>
#include <limits.h>
#include <stdint.h>

#include "runtime_file.h"

#define STORAGES_MAX 16

struct cgroup_place;

struct storage {
	char path[PATH_MAX];     /* .../DRIVER-containers */
	unsigned int uid;
};

struct containers_storage {
	const char *root;
	struct storage found[STORAGES_MAX];
	unsigned int count;
	uint64_t again_ms[2];    /* when conmon may be asked again, of the system's and of users' containers */
};

/* 0 or -ENOMEM. `root` must outlive it. */
int containers_storage__new(const char *root, struct containers_storage **out);
void containers_storage__free(struct containers_storage *storage);

/*
 * The container's config.json, and where it lies: *dir is valid as long as the storage. `search`:
 * conmon may be asked. 0, -ENOENT, another -errno (told).
 */
int containers_storage__config(struct containers_storage *storage, const struct cgroup_place *place,
			       bool search, struct runtime_dir *dir, json_t **out);

#endif
