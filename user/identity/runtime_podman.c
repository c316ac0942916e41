#include "runtime.h"

#include <string.h>

#include "cgroup_path.h"
#include "containers_storage.h"
#include "identity.h"
#include "podman_state.h"

/* Of containers/storage: an array of {id, names, metadata}; those of --rm may be in the second. */
static const char *const list[] = { "containers.json", "volatile-containers.json" };

#define CRIO "io.kubernetes.cri-o."

static int podman__open(const char *root, void **state)
{
	return containers_storage__new(root, (struct containers_storage **)state);
}

static void podman__close(void *state)
{
	containers_storage__free(state);
}

static const json_t *find_container(const json_t *containers, const char *id)
{
	const json_t *container;
	size_t i;

	json_array_foreach(containers, i, container) {
		const char *its = json_string_value(json_object_get(container, "id"));

		if (its && strcmp(its, id) == 0)
			return container;
	}
	return NULL;
}

/* The first name is the container's. The metadata is text: {"image-name":...}. */
static int fill_from_storage(const json_t *container, struct identity *out)
{
	const json_t *names = json_object_get(container, "names");
	json_t *named = json_pack("{s:O?}", "name", json_array_get(names, 0));
	json_t *metadata = runtime_file__inner(container, "metadata");
	int err = named ? runtime_file__copy_text(named, "name", RUNTIME_NAME_MAX, &out->container_name) : 0;

	if (!err)
		err = runtime_file__copy_text(metadata, "image-name", RUNTIME_IMAGE_MAX, &out->image);
	json_decref(metadata);
	json_decref(named);
	return err;
}

static int read_storage(const struct runtime_dir *dir, const char *id, struct identity *out)
{
	int err = 0;

	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]) && !err && !out->container_name; i++) {
		json_t *containers;
		const json_t *container;

		if (runtime_file__read(dir, list[i], &containers))
			continue;
		container = find_container(containers, id);
		if (container)
			err = fill_from_storage(container, out);
		json_decref(containers);
	}
	return err;
}

/* Where conmon writes with the driver k8s-file; with journald or none there is no such file. */
static int fill_log_path(const struct runtime_dir *dir, const char *id, struct identity *out)
{
	char file[PATH_MAX], path[PATH_MAX];

	if (runtime_file__path(file, id, "/userdata/ctr.log", NULL) || !runtime_file__exists(dir, file) ||
	    runtime_file__path(path, dir->path, "/", file, NULL))
		return 0;
	return runtime_file__set(&out->log_path, path);
}

/* A container in a pod of Podman's names the pod's infra container, which is a sandbox. */
static int fill(const struct runtime_dir *dir, const json_t *config, const struct cgroup_place *place,
		struct identity *out)
{
	const json_t *annotations = json_object_get(config, "annotations");
	const char *type = json_string_value(json_object_get(annotations, CRIO "ContainerType"));
	int err = runtime_file__set(&out->runtime, "podman");

	out->sandbox = type && strcmp(type, "sandbox") == 0;
	out->privileged = !place->uid && runtime_oci__is_privileged(config);
	if (!err)
		err = read_storage(dir, place->container_id, out);
	if (!err)
		err = podman_state__fill(dir, place->container_id, out);
	if (!err)
		err = runtime_file__copy_text(annotations, CRIO "SandboxID", RUNTIME_NAME_MAX, &out->sandbox_id);
	return err ? err : fill_log_path(dir, place->container_id, out);
}

static int podman__read(void *state, const struct cgroup_place *place, struct identity *out)
{
	bool podmans = strcmp(place->runtime, "podman") == 0;
	struct runtime_dir dir;
	json_t *config;
	int err = containers_storage__config(state, place, podmans, &dir, &config);

	if (err)
		return err;
	err = fill(&dir, config, place, out);
	json_decref(config);
	return err;
}

const struct runtime runtime_podman = {
	.open = podman__open,
	.read = podman__read,
	.close = podman__close,
};
