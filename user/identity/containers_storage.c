#include "containers_storage.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cgroup_path.h"
#include "isolation.h"
#include "processes.h"

/* Anyone may make cgroups that look like an unknown container's: processes are looked at no more often. */
#define LOOK_AGAIN_MS 200

/* The directory is named after the driver. */
static const char *const usual[] = {
	"/run/containers/storage/overlay-containers",
	"/var/lib/containers/storage/overlay-containers",
	"/var/lib/containers/storage/btrfs-containers",
	"/var/lib/containers/storage/vfs-containers",
};

#define USUAL (sizeof(usual) / sizeof(usual[0]))

int containers_storage__new(const char *root, struct containers_storage **out)
{
	struct containers_storage *storage = calloc(1, sizeof(*storage));

	if (!storage)
		return -ENOMEM;
	storage->root = root;
	for (size_t i = 0; i < USUAL; i++)
		strcpy(storage->found[i].path, usual[i]);
	storage->count = USUAL;
	*out = storage;
	return 0;
}

void containers_storage__free(struct containers_storage *storage)
{
	free(storage);
}

static int read_config(const struct containers_storage *storage, const struct storage *in,
		       const struct cgroup_place *place, struct runtime_dir *dir, json_t **out)
{
	const struct runtime_dir here = { storage->root, in->path, in->uid };
	char file[PATH_MAX];
	int err;

	/* A user's storage has nothing to say of what is not the user's. */
	if (in->uid != place->uid ||
	    runtime_file__path(file, place->container_id, "/userdata/config.json", NULL))
		return -ENOENT;
	err = runtime_file__read(&here, file, out);
	if (!err)
		*dir = here;
	return err;
}

struct search {
	struct containers_storage *storage;
	const struct cgroup_place *place;
};

/* conmon ... -c ID -b DIR/ID/userdata -r RUNTIME: the place is remembered for the next one. */
static bool is_its_conmon(const struct process *process, void *context)
{
	const struct search *search = context;
	struct containers_storage *storage = search->storage;
	const char *id = process__argument(process, "-c");
	const char *bundle = process__argument(process, "-b");
	char end[CONTAINER_ID_MAX + sizeof("//userdata")];
	struct storage *found;
	size_t len, end_len;

	if (!id || !bundle || process->uid != search->place->uid ||
	    strcmp(id, search->place->container_id) != 0)
		return false;
	end_len = snprintf(end, sizeof(end), "/%s/userdata", id);
	len = strlen(bundle);
	if (bundle[0] != '/' || len >= PATH_MAX || len <= end_len ||
	    strcmp(bundle + len - end_len, end) != 0)
		return false;
	isolation__tell(process__argument(process, "-r"), id);
	/* The oldest of a full table goes. */
	if (storage->count == STORAGES_MAX)
		memmove(&storage->found[USUAL], &storage->found[USUAL + 1],
			(--storage->count - USUAL) * sizeof(storage->found[0]));
	found = &storage->found[storage->count++];
	memcpy(found->path, bundle, len - end_len);
	found->path[len - end_len] = '\0';
	found->uid = process->uid;
	return true;
}

int containers_storage__config(struct containers_storage *storage, const struct cgroup_place *place,
			       bool search, struct runtime_dir *dir, json_t **out)
{
	struct search wanted = { storage, place };
	uint64_t now = clock__ms();
	/* What users do does not keep the system's from being found. */
	uint64_t *again_ms = &storage->again_ms[place->uid != 0];
	int err = -ENOENT;
	bool found;

	if (place->free_name)
		return -ENOENT;
	for (unsigned int i = 0; i < storage->count && err == -ENOENT; i++)
		err = read_config(storage, &storage->found[i], place, dir, out);
	if (err != -ENOENT || !search || now < *again_ms)
		return err;
	found = processes__find(storage->root, "conmon", is_its_conmon, &wanted);
	*again_ms = processes__again_ms(now, LOOK_AGAIN_MS);
	if (!found)
		return err;
	return read_config(storage, &storage->found[storage->count - 1], place, dir, out);
}
