#include "containerd_state.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "identity.h"
#include "runtime_database.h"
#include "runtime_file.h"

#define DATABASE "io.containerd.metadata.v1.bolt/meta.db"
/* Of containerd's own restart monitor, which nerdctl's --restart asks for: from 1.7 on, and from the first restart on. */
#define RESTARTS "containerd.io/restart.count"

/* Text of at most `max` bytes; NULL: there is none. */
static char *read_text(const struct runtime_dir *dir, const char *const bucket[], const char *key, size_t max)
{
	size_t len;
	char *text;

	if (runtime_database__get(dir, DATABASE, bucket, key, &text, &len))
		return NULL;
	if (len && len <= max && strlen(text) == len)
		return text;
	free(text);
	return NULL;
}

static bool is_count(const char *text)
{
	return text[strspn(text, "0123456789")] == '\0';
}

void containerd_state__fill(const struct runtime_dir *dir, const char *namespace, const char *id, struct identity *out)
{
	const char *const container[] = { "v1", namespace, "containers", id, NULL };
	const char *const labels[] = { "v1", namespace, "containers", id, "labels", NULL };
	char *restarts;

	if (!out->image)
		out->image = read_text(dir, container, "image", RUNTIME_IMAGE_MAX);
	restarts = read_text(dir, labels, RESTARTS, 9);
	if (restarts && is_count(restarts))
		out->restart_count = restarts;
	else
		free(restarts);
}
