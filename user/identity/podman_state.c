#include "podman_state.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "identity.h"
#include "isolation.h"
#include "runtime_database.h"
#include "runtime_file.h"

#define DATABASE "libpod/bolt_state.db"
#define BUCKET "ctr"
/* With the directory for what is static at its usual place, or at one that is configured. */
static const char *const sqlite_file[] = { "db.sql", "libpod/db.sql" };
/* libpod/define/containerstate.go */
#define STATE_CREATED 2
#define STATE_RUNNING 3

/* What is kept of a container: a key of its bucket, or a table. */
struct value {
	const char *key;
	const char *table;
};

static const struct value state_value = { "state", "ContainerState" };
static const struct value config_value = { "config", "ContainerConfig" };

static int read_text(const struct runtime_dir *storage, const char *id, const struct value *value, char **text, size_t *len)
{
	const char *const bucket[] = { BUCKET, id, NULL };
	int err = runtime_database__get(storage, DATABASE, bucket, value->key, text, len);

	for (size_t i = 0; i < sizeof(sqlite_file) / sizeof(sqlite_file[0]) && err == -ENOENT; i++)
		err = runtime_database__row(storage, sqlite_file[i], value->table, "JSON", id, text, len);
	return err;
}

/* The JSON that is kept of the container; NULL: none. */
static json_t *read_value(const struct runtime_dir *storage, const char *id, const struct value *value)
{
	json_t *json;
	size_t len;
	char *text;

	if (read_text(storage, id, value, &text, &len))
		return NULL;
	json = runtime_file__parse(text, len, NULL);
	free(text);
	return json;
}

/* What is said of a start is written when crun has made the container, before it runs. */
static bool is_starting(const json_t *state)
{
	double number = json_number_value(json_object_get(state, "state"));

	return state && number != STATE_CREATED && number != STATE_RUNNING;
}

int podman_state__fill(const struct runtime_dir *containers, const char *id, struct identity *out)
{
	char path[PATH_MAX];
	const struct runtime_dir storage = { containers->root, path, containers->uid };
	const char *slash = strrchr(containers->path, '/');
	json_t *json;
	int err;

	if (!slash || slash == containers->path)
		return 0;
	memcpy(path, containers->path, slash - containers->path);
	path[slash - containers->path] = '\0';
	json = read_value(&storage, id, &state_value);
	err = runtime_file__copy_count(json, "restartCount", &out->restart_count);
	out->starting = is_starting(json);
	json_decref(json);
	if (err)
		return err;
	json = read_value(&storage, id, &config_value);
	isolation__tell(json_string_value(json_object_get(json, "runtime")), id);
	err = labels__set_all(&out->labels, json_object_get(json, "labels"));
	json_decref(json);
	return err == -E2BIG ? 0 : err;
}
