/*
 * libFuzzer on all that identity reads: a cgroup's names, the files of containerd, Docker, CRI-O, Podman,
 * runc and crun, and what /proc says of their processes. The first byte chooses the file; the others
 * are as runtimes write them. Real files are read: all from open to the cache is in it.
 */
#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../user/base/log.h"
#include "../../user/identity/cgroup_path.h"
#include "../../user/identity/identity.h"
#include "../../user/identity/service.h"

#define C "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

#define SANDBOX "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"
#define DOCKER "/var/lib/docker/containers/" C
#define STORAGE "/var/lib/containers/storage/overlay-containers/"
#define CRIO "io.kubernetes.cri-o."

static const struct {
	const char *path;
	const char *usual;       /* NULL: is not there, unless it is fuzzed */
} file[] = {
	{ "/run/containerd/io.containerd.runtime.v2.task/k8s.io/" C "/config.json", NULL },
	{ "/run/containerd/io.containerd.runtime.v2.task/default/web/config.json", NULL },
	{ "/run/containerd/runc/k8s.io/" C "/state.json", NULL },
	{ "/run/crun/web/status", NULL },
	{ DOCKER "/config.v2.json", NULL },
	{ DOCKER "/hostconfig.json", "{}" },
	{ STORAGE C "/userdata/config.json", NULL },
	{ STORAGE SANDBOX "/userdata/config.json", "{}" },
	{ STORAGE "containers.json", "[]" },
	{ "/proc/77/cmdline", "dockerd" },
	{ "/proc/77/status", "Name:\tdockerd\nUid:\t7\t7\t7\t7\nNSpid:\t77\n" },
	{ "/proc/77/environ", "HOME=/home" },
	{ "/etc/docker/daemon.json", "{}" },
	{ "/run/containerd/io.containerd.runtime.v2.task/k8s.io/" C "/shim-binary-path", "x" },
};
#define FILES (sizeof(file) / sizeof(file[0]))
/* These ask for another: so that the fuzzed sandbox or storage is read at all. */
#define CONFIG_V2 "{\"ID\":\"" C "\"}"
#define CRIO_CONFIG "{\"annotations\":{\"" CRIO "ContainerID\":\"" C "\",\"" CRIO "SandboxID\":\"" SANDBOX "\"}}"

static const struct cgroup_names id_names = {
	{ C, "pod8a3bf2b1-0c4d-4e5f-9a6b-7c8d9e0f1a2b", "kubepods" }
};
static const struct cgroup_names docker_names = { { "docker-" C ".scope", "system.slice" } };
static const struct cgroup_names users_names = {
	{ "docker-" C ".scope", "user.slice", "user@7.service", "user-7.slice", "user.slice" }
};
static const struct cgroup_names libpod_names = { { "libpod-" C ".scope", "machine.slice" } };
static const struct cgroup_names node_names = {
	{ C, "pod8a3bf2b1-0c4d-4e5f-9a6b-7c8d9e0f1a2b", "kubepods", "libpod-" C ".scope", "machine.slice" }
};
static const struct cgroup_names free_names = { { "web", "default", "" } };

static char root[] = "/tmp/logtap-fuzz-XXXXXX";

static void remove_root(void)
{
	char command[64];

	snprintf(command, sizeof(command), "rm -rf %s", root);
	if (system(command))
		fprintf(stderr, "%s stays\n", root);
}

static void write_file(const char *path, const uint8_t *data, size_t size)
{
	char full[PATH_MAX];
	FILE *stream;

	snprintf(full, sizeof(full), "%s%s", root, path);
	for (char *slash = full + sizeof(root); (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		if (mkdir(full, 0700) < 0 && errno != EEXIST)
			abort();
		*slash = '/';
	}
	stream = fopen(full, "w");
	if (!stream || fwrite(data, 1, size, stream) != size || fclose(stream))
		abort();
}

static void check_text(const char *text)
{
	if (!text || strlen(text) > 1024)
		abort();
}

static void get(const struct cgroup_names *names)
{
	const struct identity *identity;
	struct identity_cache *cache;
	uint64_t inode[2];

	if (identity_cache__new(root, 1, &cache))
		abort();
	identity = identity_cache__get(cache, 1, names, true);
	if (identity) {
		check_text(identity->container_id);
		check_text(identity->container_name);
		check_text(identity->image);
		check_text(identity->runtime);
		check_text(identity->pod_name);
		check_text(identity->pod_namespace);
		check_text(identity->pod_uid);
		check_text(identity->sandbox_id);
		check_text(identity->restart_count);
		if (strspn(identity->restart_count, "0123456789") != strlen(identity->restart_count) ||
		    strlen(identity->log_path) >= PATH_MAX)
			abort();
		if (!cgroup_path__valid_name(identity->container_id))
			abort();
	}
	identity__init_pipes(root, names, identity ? identity->container_id : "", inode);
	identity_cache__free(cache);
}

/* Names are what stands between newlines. */
static void fuzz_names(const uint8_t *data, size_t size)
{
	char *text = calloc(1, size + 1);
	struct cgroup_names names = { { "", "", "" } };
	struct cgroup_place place;
	struct service service;
	char *rest = text;

	if (!text)
		abort();
	memcpy(text, data, size);
	for (int i = 0; i < IDENTITY_CGROUP_NAMES && rest; i++)
		names.name[i] = strsep(&rest, "\n");
	service__parse(&names, &service);
	if (cgroup_path__parse(&names, &place) == 0 && !cgroup_path__valid_name(place.container_id))
		abort();
	if (rest)
		cgroup_path__matches(rest, &names);
	free(text);
}

static void write_text(const char *path, const char *text)
{
	write_file(path, (const uint8_t *)text, strlen(text));
}

/* Everything but the `fuzzed` file: usual, or not there. */
static void prepare(size_t fuzzed)
{
	static size_t before = FILES;
	char full[PATH_MAX];

	if (before == fuzzed)
		return;
	before = fuzzed;
	for (size_t i = 0; i < FILES; i++) {
		snprintf(full, sizeof(full), "%s%s", root, file[i].path);
		if (file[i].usual)
			write_text(file[i].path, file[i].usual);
		else
			unlink(full);
	}
	write_text("/proc/77/comm", "dockerd\n");
	if (strstr(file[fuzzed].path, "hostconfig"))
		write_text(DOCKER "/config.v2.json", CONFIG_V2);
	if (strstr(file[fuzzed].path, SANDBOX) || strstr(file[fuzzed].path, "containers.json"))
		write_text(STORAGE C "/userdata/config.json",
			   strstr(file[fuzzed].path, SANDBOX) ? CRIO_CONFIG : "{}");
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	log_set_level(LOG_LEVEL_ERROR);
	if (!mkdtemp(root))
		abort();
	return atexit(remove_root);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t i;

	if (size == 0)
		return 0;
	i = data[0] % (FILES + 1);
	if (i == FILES) {
		fuzz_names(data + 1, size - 1);
		return 0;
	}
	prepare(i);
	write_file(file[i].path, data + 1, size - 1);
	get(&id_names);
	get(&docker_names);
	get(&users_names);
	get(&libpod_names);
	get(&node_names);
	get(&free_names);
	return 0;
}
