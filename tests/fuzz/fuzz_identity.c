/*
 * libFuzzer on all that identity reads: a cgroup's names, containerd's config.json, runc's and
 * crun's state. The first byte chooses. Real files are read: all from open to the cache is in it.
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

#include "../../user/cgroup_path.h"
#include "../../user/identity.h"
#include "../../user/log.h"

#define C "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static const char *const file[] = {
	"/run/containerd/io.containerd.runtime.v2.task/k8s.io/" C "/config.json",
	"/run/containerd/io.containerd.runtime.v2.task/default/web/config.json",
	"/run/containerd/runc/k8s.io/" C "/state.json",
	"/run/crun/web/status",
};
#define FILES (sizeof(file) / sizeof(file[0]))

static const struct cgroup_names id_names = {
	{ C, "pod8a3bf2b1-0c4d-4e5f-9a6b-7c8d9e0f1a2b", "kubepods" }
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
		if (!cgroup_path__valid_name(identity->container_id))
			abort();
	}
	identity__init_pipes(root, names, inode);
	identity_cache__free(cache);
}

/* Names are what stands between newlines. */
static void fuzz_names(const uint8_t *data, size_t size)
{
	char *text = calloc(1, size + 1);
	struct cgroup_names names = { { "", "", "" } };
	struct cgroup_place place;
	char *rest = text;

	if (!text)
		abort();
	memcpy(text, data, size);
	for (int i = 0; i < IDENTITY_CGROUP_NAMES && rest; i++)
		names.name[i] = strsep(&rest, "\n");
	if (cgroup_path__parse(&names, &place) == 0 && !cgroup_path__valid_name(place.container_id))
		abort();
	if (rest)
		cgroup_path__matches(rest, &names);
	free(text);
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
	write_file(file[i], data + 1, size - 1);
	get(&id_names);
	get(&free_names);
	return 0;
}
