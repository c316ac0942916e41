#include "pod_logs.h"

#include <stdio.h>
#include <string.h>

#include "identity.h"
#include "runtime_file.h"

#define ENTRIES_MAX 10000
#define ATTEMPT_DIGITS_MAX 9

/* The number in "NUMBER.log", -1 when it is another name, as that of a rotated file. */
static long attempt_of(const char *name)
{
	size_t digits = strspn(name, "0123456789");

	if (digits == 0 || digits > ATTEMPT_DIGITS_MAX || strcmp(name + digits, ".log") != 0)
		return -1;
	return atol(name);
}

static long latest_attempt(const char *root, const char *container_dir)
{
	DIR *stream = runtime_file__list(&(struct runtime_dir){ root, POD_LOGS_DIR, 0 }, container_dir);
	unsigned int seen = 0;
	struct dirent *entry;
	long latest = -1;

	if (!stream)
		return -1;
	while (seen++ < ENTRIES_MAX && (entry = readdir(stream))) {
		long attempt = entry->d_type == DT_REG || entry->d_type == DT_UNKNOWN ?
			       attempt_of(entry->d_name) : -1;

		if (attempt > latest)
			latest = attempt;
	}
	closedir(stream);
	return latest;
}

int pod_logs__fill(const char *root, struct identity *identity)
{
	const char *const part[] = { identity->pod_namespace, identity->pod_name, identity->pod_uid,
				     identity->container_name };
	char container_dir[PATH_MAX], path[PATH_MAX], digits[24];
	long attempt;
	int err;

	for (size_t i = 0; i < sizeof(part) / sizeof(part[0]); i++)
		if (!part[i] || !runtime_file__component(part[i]))
			return 0;
	if (runtime_file__path(container_dir, part[0], "_", part[1], "_", part[2], "/", part[3], NULL))
		return 0;
	attempt = latest_attempt(root, container_dir);
	if (attempt < 0)
		return 0;
	snprintf(digits, sizeof(digits), "%ld", attempt);
	if (runtime_file__path(path, POD_LOGS_DIR "/", container_dir, "/", digits, ".log", NULL))
		return 0;
	err = runtime_file__set(&identity->restart_count, digits);
	return err ? err : runtime_file__set(&identity->log_path, path);
}
