#include "runtime.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cgroup_path.h"
#include "identity.h"
#include "isolation.h"
#include "processes.h"
#include "runtime_file.h"

#define DEFAULT_ROOT "/var/lib/docker"
#define DAEMON_CONFIG "/etc/docker/daemon.json"
#define ROOTS_MAX 16
/* Anyone may have processes that are called dockerd: the rest is for root's. */
#define USERS_ROOTS_MAX 8
/* Processes are looked at no more often, however many containers are unknown. */
#define LOOK_AGAIN_MS 1000
#define K8S "io.kubernetes."
/* What a container's name begins with when it is a pod's. */
#define KUBELETS "/k8s_"

/* Where a daemon keeps its containers, and the user that it runs as. */
struct data_root {
	char path[PATH_MAX];
	unsigned int uid;
};

struct docker {
	const char *root;
	struct data_root roots[ROOTS_MAX];
	unsigned int count;
	uint64_t again_ms[2];    /* when processes may be looked at again, for the system's and for users' containers */
};

static void add_root(struct docker *docker, const char *path, unsigned int uid)
{
	struct data_root *found = &docker->roots[docker->count];

	for (unsigned int i = 0; i < docker->count; i++)
		if (docker->roots[i].uid == uid && strcmp(docker->roots[i].path, path) == 0)
			return;
	if (docker->count >= (uid ? USERS_ROOTS_MAX : ROOTS_MAX) || path[0] != '/' || strlen(path) >= PATH_MAX)
		return;
	strcpy(found->path, path);
	found->uid = uid;
	docker->count++;
}

static int docker__open(const char *root, void **state)
{
	struct docker *docker = calloc(1, sizeof(*docker));

	if (!docker)
		return -ENOMEM;
	docker->root = root;
	add_root(docker, DEFAULT_ROOT, 0);
	*state = docker;
	return 0;
}

static void docker__close(void *state)
{
	free(state);
}

/* $BASE/END or $HOME/REST/END, where a user's daemon has its things; "" when neither is known. */
static void users_path(const struct process *process, const char *base, const char *rest,
		       const char *end, char path[PATH_MAX])
{
	char *place = process__variable(process, base);

	path[0] = '\0';
	if (place) {
		if (runtime_file__path(path, place, end, NULL))
			path[0] = '\0';
	} else {
		place = process__variable(process, "HOME");
		if (place && runtime_file__path(path, place, rest, end, NULL))
			path[0] = '\0';
	}
	free(place);
}

static void add_configured(struct docker *docker, const struct process *process)
{
	const char *file = process__argument(process, "--config-file");
	char dir[PATH_MAX];
	json_t *config;
	char *name;

	if (file)
		runtime_file__path(dir, file, NULL);
	else if (process->uid)
		users_path(process, "XDG_CONFIG_HOME", "/.config", "/docker/daemon.json", dir);
	else
		strcpy(dir, DAEMON_CONFIG);
	name = strrchr(dir, '/');
	if (!name || name == dir || dir[0] != '/')
		return;
	*name++ = '\0';
	if (runtime_file__read(&(struct runtime_dir){ docker->root, dir, process->uid }, name, &config))
		return;
	if (json_is_string(json_object_get(config, "data-root")))
		add_root(docker, json_string_value(json_object_get(config, "data-root")), process->uid);
	json_decref(config);
}

static bool add_daemon(const struct process *process, void *context)
{
	struct docker *docker = context;
	const char *path = process__argument(process, "--data-root");
	char usual[PATH_MAX];

	path = path ? path : process__argument(process, "-g");
	if (path)
		add_root(docker, path, process->uid);
	else
		add_configured(docker, process);
	if (!path && process->uid) {
		users_path(process, "XDG_DATA_HOME", "/.local/share", "/docker", usual);
		add_root(docker, usual, process->uid);
	}
	return false;
}

/* cri-dockerd's sandboxes have the name POD. */
static int fill_pod(const json_t *labels, struct identity *out)
{
	const char *type = json_string_value(json_object_get(labels, K8S "docker.type"));
	const struct {
		const char *key;
		char **field;
	} text[] = {
		{ K8S "pod.name", &out->pod_name },
		{ K8S "pod.namespace", &out->pod_namespace },
		{ K8S "pod.uid", &out->pod_uid },
		{ K8S "sandbox.id", &out->sandbox_id },
		{ K8S "container.name", &out->container_name },
		{ K8S "container.logpath", &out->log_path },
	};
	int err = 0;

	out->sandbox = type && strcmp(type, "podsandbox") == 0;
	for (size_t i = 0; i < sizeof(text) / sizeof(text[0]) - 2 * out->sandbox && !err; i++)
		err = runtime_file__copy_text(labels, text[i].key, RUNTIME_NAME_MAX, text[i].field);
	return err;
}

/*
 * An image may bring labels along, and say anything in them; the cgroup and the name are its caller's. Who calls a user's
 * daemon is no kubelet.
 */
static bool is_pods(const json_t *labels, const char *name, const struct cgroup_place *place)
{
	return !place->uid && json_is_string(json_object_get(labels, K8S "pod.uid")) &&
	       (place->pod_uid[0] || (name && strncmp(name, KUBELETS, strlen(KUBELETS)) == 0));
}

/* /k8s_CONTAINER_POD_NAMESPACE_UID_ATTEMPT: none of them has an underscore in it. */
static int fill_attempt(const char *name, struct identity *out)
{
	const char *attempt = strrchr(name, '_');
	size_t digits;

	if (strncmp(name, KUBELETS, strlen(KUBELETS)) != 0 || !attempt++)
		return 0;
	digits = strspn(attempt, "0123456789");
	if (!digits || digits > 9 || attempt[digits])
		return 0;
	return runtime_file__set(&out->restart_count, attempt);
}

static int fill_names(const json_t *config, const struct cgroup_place *place, struct identity *out)
{
	const json_t *inner = json_object_get(config, "Config");
	const json_t *labels = json_object_get(inner, "Labels");
	char *name = NULL;
	int err = runtime_file__copy_text(config, "Name", RUNTIME_NAME_MAX + 1, &name);

	if (!err && name)
		err = runtime_file__set(&out->container_name, name + (name[0] == '/'));
	if (!err)
		err = runtime_file__copy_text(inner, "Image", RUNTIME_IMAGE_MAX, &out->image);
	if (!err)
		err = runtime_file__copy_text(config, "LogPath", PATH_MAX - 1, &out->log_path);
	if (!err)
		err = runtime_file__copy_count(config, "RestartCount", &out->restart_count);
	if (!err && is_pods(labels, name, place)) {
		err = fill_pod(labels, out);
		err = err || !name ? err : fill_attempt(name, out);
	}
	free(name);
	return err;
}

static int fill(const json_t *config, const struct cgroup_place *place, struct identity *out)
{
	const char *id = json_string_value(json_object_get(config, "ID"));
	int err;

	/* The directory is the container's by its name; what lies in it must say the same. */
	if (!id || strcmp(id, place->container_id) != 0)
		return -EBADMSG;
	err = runtime_file__set(&out->runtime, "docker");
	if (!err)
		err = fill_names(config, place, out);
	if (!err)
		err = labels__set_all(&out->labels, json_object_get(json_object_get(config, "Config"), "Labels"));
	return err == -E2BIG ? 0 : err;
}

/* LogPath is written when the container runs already; the default driver's is known before. */
static int fill_log_path(const struct runtime_dir *dir, const json_t *host, const char *id, struct identity *out)
{
	const char *driver = json_string_value(json_object_get(json_object_get(host, "LogConfig"), "Type"));
	char path[PATH_MAX];

	if ((out->log_path && *out->log_path) || !driver || strcmp(driver, "json-file") != 0 ||
	    runtime_file__path(path, dir->path, "/", id, "/", id, "-json.log", NULL))
		return 0;
	return runtime_file__set(&out->log_path, path);
}

static int read_host_config(const struct runtime_dir *dir, const struct cgroup_place *place, struct identity *out)
{
	char path[PATH_MAX];
	json_t *host;
	int err;

	if (runtime_file__path(path, place->container_id, "/hostconfig.json", NULL) ||
	    runtime_file__read(dir, path, &host))
		return 0;
	isolation__tell(json_string_value(json_object_get(host, "Runtime")), place->container_id);
	out->privileged = json_is_true(json_object_get(host, "Privileged"));
	err = fill_log_path(dir, host, place->container_id, out);
	json_decref(host);
	return err;
}

static int read_container(const struct docker *docker, const struct data_root *data,
			  const struct cgroup_place *place, struct identity *out)
{
	char path[PATH_MAX], file[PATH_MAX];
	const struct runtime_dir dir = { docker->root, path, data->uid };
	json_t *config;
	int err;

	/* A user's daemon has nothing to say of what is not the user's. */
	if (data->uid != place->uid)
		return -ENOENT;
	if (runtime_file__path(path, data->path, "/containers", NULL) ||
	    runtime_file__path(file, place->container_id, "/config.v2.json", NULL))
		return -ENOENT;
	err = runtime_file__read(&dir, file, &config);
	if (err)
		return err;
	err = fill(config, place, out);
	json_decref(config);
	return err ? err : read_host_config(&dir, place, out);
}

static int read_known(const struct docker *docker, const struct cgroup_place *place, struct identity *out)
{
	int err = -ENOENT;

	for (unsigned int i = 0; i < docker->count && err == -ENOENT; i++)
		err = read_container(docker, &docker->roots[i], place, out);
	return err;
}

static bool may_be_dockers(const struct cgroup_place *place)
{
	const char *parent = place->names->name[1];

	return strcmp(place->runtime, "docker") == 0 || (parent && strcmp(parent, "docker") == 0);
}

static int docker__read(void *state, const struct cgroup_place *place, struct identity *out)
{
	struct docker *docker = state;
	/* What users do does not keep the system's from being found. */
	uint64_t *again_ms = &docker->again_ms[place->uid != 0];
	uint64_t now = clock__ms();
	int err;

	if (place->free_name)
		return -ENOENT;
	err = read_known(docker, place, out);
	if (err != -ENOENT || !may_be_dockers(place) || now < *again_ms)
		return err;
	/* Daemons come and go; the default place stays. */
	docker->count = 1;
	processes__find(docker->root, "dockerd", add_daemon, docker);
	*again_ms = processes__again_ms(now, LOOK_AGAIN_MS);
	return read_known(docker, place, out);
}

const struct runtime runtime_docker = {
	.open = docker__open,
	.read = docker__read,
	.close = docker__close,
};
