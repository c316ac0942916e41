#include "runtime.h"

#include <errno.h>
#include <string.h>

#include "cgroup_path.h"
#include "containers_storage.h"
#include "identity.h"
#include "isolation.h"

#define CRIO "io.kubernetes.cri-o."
#define K8S "io.kubernetes."
#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

static int crio__open(const char *root, void **state)
{
	return containers_storage__new(root, (struct containers_storage **)state);
}

static void crio__close(void *state)
{
	containers_storage__free(state);
}

/* Metadata: {"name":CONTAINER,"attempt":N}, without the number for the first. */
static int fill_metadata(const json_t *annotations, struct identity *out)
{
	json_t *metadata = runtime_file__inner(annotations, CRIO "Metadata");
	int err = runtime_file__copy_count(metadata, "attempt", &out->restart_count);

	if (!err)
		err = runtime_file__copy_text(metadata, "name", RUNTIME_NAME_MAX, &out->container_name);
	json_decref(metadata);
	return err;
}

/* ImageName is how the user asked for it; Image may be an ID. */
static int fill_container(const json_t *annotations, struct identity *out)
{
	const struct {
		const char *key;
		size_t max;
		char **field;
	} text[] = {
		{ K8S "pod.name", RUNTIME_NAME_MAX, &out->pod_name },
		{ K8S "pod.namespace", RUNTIME_NAME_MAX, &out->pod_namespace },
		{ K8S "pod.uid", RUNTIME_NAME_MAX, &out->pod_uid },
		{ CRIO "SandboxID", RUNTIME_NAME_MAX, &out->sandbox_id },
		{ CRIO "LogPath", PATH_MAX - 1, &out->log_path },
		{ CRIO "Image", RUNTIME_IMAGE_MAX, &out->image },
		{ CRIO "ImageName", RUNTIME_IMAGE_MAX, &out->image },
		{ K8S "container.name", RUNTIME_NAME_MAX, &out->container_name },
	};
	int err = 0;

	for (size_t i = 0; i < ARRAY_SIZE(text) && !err; i++)
		err = runtime_file__copy_text(annotations, text[i].key, text[i].max, text[i].field);
	return err || out->sandbox ? err : fill_metadata(annotations, out);
}

static int fill_labels(const json_t *annotations, const char *key, struct labels *out, bool *whole)
{
	json_t *labels = runtime_file__inner(annotations, key);
	int err = labels__set_all(out, labels);

	*whole = *whole && !err && json_is_object(labels);
	json_decref(labels);
	return err == -E2BIG ? 0 : err;
}

/* The pod's labels and annotations, as they were when its sandbox was made. */
static int fill_from_sandbox(const struct runtime_dir *dir, struct identity *out)
{
	const json_t *annotations;
	char file[PATH_MAX];
	json_t *config;
	int err;

	if (!out->sandbox_id || !cgroup_path__valid_name(out->sandbox_id) ||
	    runtime_file__path(file, out->sandbox_id, "/userdata/config.json", NULL) ||
	    runtime_file__read(dir, file, &config))
		return 0;
	annotations = json_object_get(config, "annotations");
	isolation__tell(json_string_value(json_object_get(annotations, CRIO "RuntimeHandler")), out->sandbox_id);
	out->tells_pod = true;
	err = fill_labels(annotations, CRIO "Labels", &out->pod_labels, &out->tells_pod);
	if (!err)
		err = fill_labels(annotations, CRIO "Annotations", &out->pod_annotations, &out->tells_pod);
	if (!err && !out->pod_name)
		err = runtime_file__copy_text(annotations, CRIO "KubeName", RUNTIME_NAME_MAX, &out->pod_name);
	if (!err && !out->pod_namespace)
		err = runtime_file__copy_text(annotations, CRIO "Namespace", RUNTIME_NAME_MAX,
					      &out->pod_namespace);
	json_decref(config);
	return err;
}

static int fill(const struct runtime_dir *dir, const json_t *annotations, const struct cgroup_place *place,
		struct identity *out)
{
	const char *type = json_string_value(json_object_get(annotations, CRIO "ContainerType"));
	const char *id = json_string_value(json_object_get(annotations, CRIO "ContainerID"));
	int err;

	if (!id || strcmp(id, place->container_id) != 0)
		return -EBADMSG;
	err = runtime_file__set(&out->runtime, "cri-o");
	out->sandbox = type && strcmp(type, "sandbox") == 0;
	if (!err)
		err = fill_container(annotations, out);
	return err ? err : fill_from_sandbox(dir, out);
}

static int crio__read(void *state, const struct cgroup_place *place, struct identity *out)
{
	const json_t *annotations;
	struct runtime_dir dir;
	json_t *config;
	int err;

	if (place->uid)
		return -ENOENT;
	err = containers_storage__config(state, place, strcmp(place->runtime, "cri-o") == 0, &dir, &config);
	if (err)
		return err;
	annotations = json_object_get(config, "annotations");
	/* Podman writes some of CRI-O's annotations too, but not this. */
	err = json_object_get(annotations, CRIO "ContainerID") ? fill(&dir, annotations, place, out) : -ENOENT;
	json_decref(config);
	return err;
}

const struct runtime runtime_crio = {
	.open = crio__open,
	.read = crio__read,
	.close = crio__close,
};
