#include "runtime.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "cgroup_path.h"
#include "identity.h"
#include "isolation.h"
#include "runtime_file.h"

#define RUNC_FILE "state.json"
#define CRUN_FILE "status"
#define RUNSC_ROOT "/run/runsc"
#define NAMESPACES_MAX 128
#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

struct state_root {
	const char *dir;
	bool namespaced; /* by containerd's namespaces: containers are one level down */
};

static const struct state_root state_root[] = {
	{ "/run/containerd/runc", true },
	{ "/run/docker/runtime-runc", true },
	{ "/run/runc", false },
	{ "/run/crun", false },
};

/* A container's state as runc or crun keeps it. */
struct oci_state {
	json_t *json;
	bool crun;
};

/*
 * Whether the container of the state is in this very cgroup, or in its child: crun tells that where it makes one (of version 2's
 * that are delegated).
 */
static bool is_in(const struct oci_state *state, const struct cgroup_place *place)
{
	const json_t *path, *paths;
	struct cgroup_names own;

	paths = json_object_get(state->json, "cgroup_paths");
	path = json_object_get(paths, "");
	if (state->crun)
		path = json_object_get(state->json, "cgroup-path");
	else if (json_object_get(paths, "pids"))
		path = json_object_get(paths, "pids");
	cgroup_path__own(place, &own);
	return json_is_string(path) && (cgroup_path__matches(json_string_value(path), &own) ||
					cgroup_path__matches(json_string_value(path), place->names));
}

/* Whether it is about the container in this cgroup: an ID is unique, a free name is not. */
static bool is_about(const struct oci_state *state, const struct cgroup_place *place)
{
	return !place->free_name || is_in(state, place);
}

/* `dir`: where one directory a container is. */
static int read_state(const char *root, const char *dir, const char *namespace,
		      const struct cgroup_place *place, struct oci_state *out)
{
	static const char *const file[] = { RUNC_FILE, CRUN_FILE };
	char path[PATH_MAX];
	int err = -ENOENT;

	for (size_t i = 0; i < ARRAY_SIZE(file) && err == -ENOENT; i++) {
		struct oci_state state = { .crun = file[i] == file[1] };

		err = runtime_file__path(path, namespace, *namespace ? "/" : "",
					 place->container_id, "/", file[i], NULL);
		if (!err)
			err = runtime_file__read(&(struct runtime_dir){ root, dir, 0 }, path, &state.json);
		if (err)
			continue;
		if (is_about(&state, place)) {
			*out = state;
			return 0;
		}
		json_decref(state.json);
		err = -ENOENT;
	}
	return err;
}

static int find_in_namespaces(const char *root, const char *dir, const struct cgroup_place *place,
			      struct oci_state *out)
{
	DIR *stream = runtime_file__list(&(struct runtime_dir){ root, dir, 0 }, ".");
	unsigned int tried = 0;
	struct dirent *entry;
	int err = -ENOENT;

	if (!stream)
		return -ENOENT;
	while (err == -ENOENT && tried < NAMESPACES_MAX && (entry = readdir(stream))) {
		if (!cgroup_path__valid_name(entry->d_name))
			continue;
		tried++;
		err = read_state(root, dir, entry->d_name, place, out);
	}
	closedir(stream);
	return err;
}

static int oci__open(const char *root, void **state)
{
	*state = (void *)root;
	return 0;
}

static void oci__close(void *state)
{
	(void)state;
}

/* runsc, called directly, keeps a container's lock there from before its first process on (runsc/container/state_file.go). */
static void tell_runsc(const char *root, const struct cgroup_place *place)
{
	char file[PATH_MAX];

	if (!runtime_file__path(file, place->container_id, "_sandbox:", place->container_id, ".lock", NULL) &&
	    runtime_file__exists(&(struct runtime_dir){ root, RUNSC_ROOT, 0 }, file))
		isolation__tell("runsc", place->container_id);
}

static int oci__read(void *state, const struct cgroup_place *place, struct identity *out)
{
	const char *root = state;
	struct oci_state found;
	int err = -ENOENT;

	/* These are the system's; a user's cgroup is none of theirs. */
	if (place->uid)
		return -ENOENT;
	for (size_t i = 0; i < ARRAY_SIZE(state_root) && err == -ENOENT; i++) {
		if (!state_root[i].namespaced)
			err = read_state(root, state_root[i].dir, "", place, &found);
	}
	if (err == -ENOENT)
		tell_runsc(root, place);
	if (err)
		return err;
	json_decref(found.json);
	out->runtime = strdup(found.crun ? "crun" : "runc");
	if (!out->runtime)
		return -ENOMEM;
	/* A free name is the user's. An ID's name is in the files of whoever called runc. */
	if (!place->free_name)
		return 0;
	out->container_name = strdup(place->container_id);
	return out->container_name ? 0 : -ENOMEM;
}

/* "pipe:[INODE]", or 0. */
static uint64_t pipe_inode(const json_t *descriptor)
{
	const char *text = json_string_value(descriptor);
	unsigned long long inode;
	char *end;

	if (!text || strncmp(text, "pipe:[", strlen("pipe:[")) != 0)
		return 0;
	text += strlen("pipe:[");
	if (*text < '0' || *text > '9')
		return 0;
	errno = 0;
	inode = strtoull(text, &end, 10);
	return errno || strcmp(end, "]") != 0 ? 0 : inode;
}

static void get_pipes(const struct oci_state *state, uint64_t inode[2])
{
	const json_t *descriptors = json_object_get(state->json, "external_descriptors");
	json_t *inner = NULL;

	/* crun keeps the array as the text of one. */
	if (json_is_string(descriptors))
		descriptors = inner = json_loads(json_string_value(descriptors), 0, NULL);
	inode[0] = pipe_inode(json_array_get(descriptors, 1));
	inode[1] = pipe_inode(json_array_get(descriptors, 2));
	json_decref(inner);
}

static bool has_text(const json_t *array, const char *key, const char *text)
{
	const json_t *value;
	size_t i;

	json_array_foreach(array, i, value) {
		const char *its = json_string_value(key ? json_object_get(value, key) : value);

		if (its && strcmp(its, text) == 0)
			return true;
	}
	return false;
}

bool runtime_oci__is_privileged(const json_t *config)
{
	const json_t *capabilities = json_object_get(json_object_get(config, "process"), "capabilities");
	const json_t *bounding = json_object_get(capabilities, "bounding");

	return has_text(bounding, NULL, "CAP_SYS_ADMIN") && has_text(bounding, NULL, "CAP_SYS_MODULE") &&
	       !has_text(json_object_get(json_object_get(config, "linux"), "namespaces"), "type", "user");
}

static int find_state(const char *root, const struct cgroup_place *place, struct oci_state *out)
{
	int err = -ENOENT;

	for (size_t i = 0; i < ARRAY_SIZE(state_root) && err == -ENOENT; i++) {
		if (state_root[i].namespaced)
			err = find_in_namespaces(root, state_root[i].dir, place, out);
		else
			err = read_state(root, state_root[i].dir, "", place, out);
	}
	return err;
}

int runtime_oci__init_pipes(const char *root, const struct cgroup_place *place, uint64_t inode[2])
{
	struct oci_state found;
	int err = find_state(root, place, &found);

	if (err)
		return err;
	get_pipes(&found, inode);
	json_decref(found.json);
	return 0;
}

bool runtime_oci__is_in(const char *root, const struct cgroup_place *place)
{
	struct oci_state found;
	bool is;

	if (find_state(root, place, &found))
		return false;
	is = is_in(&found, place);
	json_decref(found.json);
	return is;
}

int runtime_oci__init_pid(const char *root, const struct cgroup_place *place, long *out)
{
	struct oci_state found;
	double pid;
	int err = find_state(root, place, &found);

	if (err)
		return err;
	pid = json_number_value(json_object_get(found.json, found.crun ? "pid" : "init_process_pid"));
	json_decref(found.json);
	if (!(pid >= 1 && pid < INT_MAX))
		return -ENOENT;
	*out = pid;
	return 0;
}

const struct runtime runtime_oci = {
	.open = oci__open,
	.read = oci__read,
	.close = oci__close,
};
