#include "runtime.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "cgroup_path.h"
#include "containerd_state.h"
#include "identity.h"
#include "isolation.h"
#include "pod_logs.h"
#include "runtime_file.h"

#define TASKS "io.containerd.runtime.v2.task"
#define CRI_NAMESPACE "k8s.io"
#define DOCKER_NAMESPACE "moby"
#define CRI "io.kubernetes.cri."
#define NAMESPACES_MAX 128
#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

/* Where a containerd keeps what ends with the host, and what does not. */
struct home {
	const char *state, *root;
};

/* Not /var/run: an absolute link on most hosts, it would lead out of a root like /proc/1/root. */
static const struct home home[] = {
	{ "/run/containerd", "/var/lib/containerd" },
	{ "/run/k3s/containerd", "/var/lib/rancher/k3s/agent/containerd" },
	{ "/run/k0s/containerd", "/var/lib/k0s/containerd" },
	{ "/var/snap/microk8s/common/run/containerd", "/var/snap/microk8s/common/var/lib/containerd" },
	{ "/run/docker/containerd/daemon", "/var/lib/docker/containerd/daemon" },
};

/* Where bundles were or may be: the place of the last container found comes first. */
struct bundles {
	const struct home *home;
	char namespace[CONTAINER_ID_MAX + 1];
};

struct containerd {
	const char *root;
	struct bundles known[NAMESPACES_MAX];
	unsigned int count;
};

static int containerd__open(const char *root, void **state)
{
	struct containerd *containerd = calloc(1, sizeof(*containerd));

	if (!containerd)
		return -ENOMEM;
	containerd->root = root;
	*state = containerd;
	return 0;
}

static void containerd__close(void *state)
{
	free(state);
}

static void to_front(struct containerd *containerd, unsigned int i)
{
	struct bundles front = containerd->known[i];

	containerd->known[i] = containerd->known[0];
	containerd->known[0] = front;
}

static bool is_known(const struct containerd *containerd, const struct home *where, const char *namespace)
{
	for (unsigned int i = 0; i < containerd->count; i++) {
		const struct bundles *bundles = &containerd->known[i];

		if (bundles->home == where && strcmp(bundles->namespace, namespace) == 0)
			return true;
	}
	return false;
}

static void list_namespaces(struct containerd *containerd, const struct home *where)
{
	DIR *stream = runtime_file__list(&(struct runtime_dir){ containerd->root, where->state, 0 }, TASKS);
	struct dirent *entry;

	if (!stream)
		return;
	while (containerd->count < NAMESPACES_MAX && (entry = readdir(stream))) {
		struct bundles *bundles = &containerd->known[containerd->count];

		if (!cgroup_path__valid_name(entry->d_name) ||
		    is_known(containerd, where, entry->d_name))
			continue;
		bundles->home = where;
		strcpy(bundles->namespace, entry->d_name);
		containerd->count++;
		if (strcmp(entry->d_name, CRI_NAMESPACE) == 0)
			to_front(containerd, containerd->count - 1);
	}
	closedir(stream);
}

/* Annotations that the CRI plugin wrote. */
static int fill_from_cri(const json_t *annotations, struct identity *out)
{
	const char *type = json_string_value(json_object_get(annotations, CRI "container-type"));
	const struct {
		const char *key;
		size_t max;
		char **field;
	} text[] = {
		{ CRI "image-name", RUNTIME_IMAGE_MAX, &out->image },
		{ CRI "sandbox-name", RUNTIME_NAME_MAX, &out->pod_name },
		{ CRI "sandbox-namespace", RUNTIME_NAME_MAX, &out->pod_namespace },
		{ CRI "sandbox-uid", RUNTIME_NAME_MAX, &out->pod_uid },
		{ CRI "sandbox-id", RUNTIME_NAME_MAX, &out->sandbox_id },
		{ CRI "container-name", RUNTIME_NAME_MAX, &out->container_name },
	};
	int err = 0;

	out->sandbox = strcmp(type, "sandbox") == 0;
	for (size_t i = 0; i < ARRAY_SIZE(text) - out->sandbox && !err; i++)
		err = runtime_file__copy_text(annotations, text[i].key, text[i].max, text[i].field);
	return err;
}

/* nerdctl copies labels to annotations. Its own tell where the json-file driver writes. */
static int fill_nerdctls(const char *root, const json_t *annotations, const struct cgroup_place *place,
			 struct identity *out)
{
	const char *dir = json_string_value(json_object_get(annotations, "nerdctl/state-dir"));
	char file[CONTAINER_ID_MAX + sizeof("-json.log")], path[PATH_MAX];
	const char *name;
	json_t *value;
	int err = 0;

	json_object_foreach((json_t *)annotations, name, value) {
		if (!err && strncmp(name, "nerdctl/", strlen("nerdctl/")) != 0 && json_is_string(value) &&
		    strlen(json_string_value(value)) == json_string_length(value))
			err = labels__set(&out->labels, name, json_string_value(value));
	}
	snprintf(file, sizeof(file), "%s-json.log", place->container_id);
	if (err != -ENOMEM && dir && !runtime_file__path(path, dir, "/", file, NULL) &&
	    runtime_file__exists(&(struct runtime_dir){ root, dir, 0 }, file))
		return runtime_file__set(&out->log_path, path);
	return err == -E2BIG ? 0 : err;
}

/* nerdctl's name, or the ID: the name that `ctr run` was given. Docker keeps names elsewhere. */
static int fill_from_labels(const char *root, const json_t *annotations, const char *namespace,
			    const struct cgroup_place *place, struct identity *out)
{
	int err = runtime_file__copy_text(annotations, "nerdctl/name", RUNTIME_NAME_MAX,
					  &out->container_name);

	if (err || strcmp(namespace, DOCKER_NAMESPACE) == 0)
		return err;
	if (out->container_name)
		return fill_nerdctls(root, annotations, place, out);
	return runtime_file__set(&out->container_name, place->container_id);
}

/* nerdctl's labels become annotations whatever they say; where the kubelet has put the cgroup, it is no container of nerdctl's. */
static bool is_cris(const json_t *annotations, const char *namespace, const struct cgroup_place *place)
{
	return strcmp(namespace, CRI_NAMESPACE) == 0 &&
	       json_is_string(json_object_get(annotations, CRI "container-type")) &&
	       (place->pod_uid[0] || !json_object_get(annotations, "nerdctl/state-dir"));
}

static int fill(const char *root, const json_t *config, const char *namespace,
		const struct cgroup_place *place, struct identity *out)
{
	const json_t *annotations = json_object_get(config, "annotations");
	const json_t *cgroup = json_object_get(json_object_get(config, "linux"), "cgroupsPath");

	if (place->free_name &&
	    (!json_is_string(cgroup) ||
	     !cgroup_path__matches(json_string_value(cgroup), place->names)))
		return -ENOENT;
	if (runtime_file__set(&out->runtime, strcmp(namespace, DOCKER_NAMESPACE) == 0 ? "docker" : "containerd"))
		return -ENOMEM;
	if (is_cris(annotations, namespace, place))
		return fill_from_cri(annotations, out);
	out->privileged = runtime_oci__is_privileged(config);
	return fill_from_labels(root, annotations, namespace, place, out);
}

static void tell_isolation(const struct containerd *containerd, const struct bundles *bundles,
			   const struct cgroup_place *place)
{
	const struct runtime_dir dir = { containerd->root, bundles->home->state, 0 };
	char path[PATH_MAX];
	char *shim;

	if (runtime_file__path(path, TASKS "/", bundles->namespace, "/", place->container_id,
			       "/shim-binary-path", NULL) ||
	    runtime_file__text(&dir, path, PATH_MAX, &shim, NULL))
		return;
	isolation__tell(shim, place->container_id);
	free(shim);
}

static int read_bundle(struct containerd *containerd, unsigned int i,
		       const struct cgroup_place *place, struct identity *out)
{
	const struct bundles *bundles = &containerd->known[i];
	const struct runtime_dir dir = { containerd->root, bundles->home->state, 0 };
	char path[PATH_MAX];
	json_t *config;
	int err;

	err = runtime_file__path(path, TASKS "/", bundles->namespace, "/", place->container_id,
				 "/config.json", NULL);
	if (err)
		return err;
	err = runtime_file__read(&dir, path, &config);
	if (err)
		return err;
	err = fill(containerd->root, config, bundles->namespace, place, out);
	json_decref(config);
	/* The CRI plugin's bundles say all, and Docker has files of its own. */
	if (!err && !out->image && !out->sandbox && strcmp(bundles->namespace, DOCKER_NAMESPACE) != 0)
		containerd_state__fill(&(struct runtime_dir){ containerd->root, bundles->home->root, 0 }, bundles->namespace,
				       place->container_id, out);
	if (err)
		return err;
	tell_isolation(containerd, bundles, place);
	to_front(containerd, i);
	return 0;
}

static int read_bundles(struct containerd *containerd, const struct cgroup_place *place,
			struct identity *out)
{
	int err = -ENOENT;

	for (unsigned int i = 0; i < containerd->count && err == -ENOENT; i++)
		err = read_bundle(containerd, i, place, out);
	return err;
}

static int containerd__read(void *state, const struct cgroup_place *place, struct identity *out)
{
	struct containerd *containerd = state;
	unsigned int tried;
	int err;

	if (place->uid)
		return -ENOENT;
	err = read_bundles(containerd, place, out);
	if (err != -ENOENT)
		return err;
	/* A new namespace, or the first container of all. A full table is listed anew. */
	if (containerd->count == NAMESPACES_MAX)
		containerd->count = 0;
	tried = containerd->count;
	for (size_t i = 0; i < ARRAY_SIZE(home); i++)
		list_namespaces(containerd, &home[i]);
	return containerd->count == tried ? -ENOENT : read_bundles(containerd, place, out);
}

const struct runtime runtime_containerd = {
	.open = containerd__open,
	.read = containerd__read,
	.close = containerd__close,
};
