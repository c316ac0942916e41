#include "podman_state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bolt.h"
#include "complaints.h"
#include "identity.h"
#include "log.h"
#include "runtime_file.h"

#define FILE_NAME "libpod/bolt_state.db"
#define BUCKET "ctr"
/* One container's: its configuration has all that was said when it was made. */
#define VALUE_MAX (512U << 10)

static const char *reason(int err)
{
	switch (err) {
	case -EBADMSG:
		return "it is damaged, or no BoltDB file";
	case -EFBIG:
		return "what it says of a container is larger than 512 KiB";
	case -EAGAIN:
		return "it is written too often";
	default:
		return runtime_file__reason(err);
	}
}

static void tell(const struct runtime_dir *dir, int err)
{
	char path[PATH_MAX];

	if (runtime_file__path(path, dir->root, dir->path, "/", FILE_NAME, NULL))
		return;
	if (!err || err == -ENOENT)
		complaints__settle(path);
	else if (complaints__is_new(path, err))
		log_warn("%s: cannot read it: %s; labels and restarts of Podman's containers stay unknown", path, reason(err));
}

/* The JSON that is kept of the container under this name. NULL: none. */
static int read_value(int fd, const char *id, const char *key, json_t **out)
{
	const char *const bucket[] = { BUCKET, id, NULL };
	size_t len;
	char *text;
	int err = bolt__get(fd, bucket, key, VALUE_MAX, &text, &len);

	if (err)
		return err;
	*out = runtime_file__parse(text, len, NULL);
	free(text);
	return *out ? 0 : -EBADMSG;
}

static int read_state(int fd, const char *id, struct identity *out)
{
	json_t *json;
	int err = read_value(fd, id, "state", &json);

	if (err)
		return err;
	err = runtime_file__copy_count(json, "restartCount", &out->restart_count);
	json_decref(json);
	if (!err)
		err = read_value(fd, id, "config", &json);
	if (err)
		return err;
	err = labels__set_all(&out->labels, json_object_get(json, "labels"));
	json_decref(json);
	return err == -E2BIG ? 0 : err;
}

int podman_state__fill(const struct runtime_dir *containers, const char *id, struct identity *out)
{
	char storage[PATH_MAX];
	const struct runtime_dir dir = { containers->root, storage, containers->uid };
	const char *slash = strrchr(containers->path, '/');
	int fd, err;

	if (!slash || slash == containers->path)
		return 0;
	memcpy(storage, containers->path, slash - containers->path);
	storage[slash - containers->path] = '\0';
	fd = runtime_file__open(&dir, FILE_NAME, NULL);
	err = fd < 0 ? fd : read_state(fd, id, out);
	if (fd >= 0)
		close(fd);
	if (err == -ENOMEM)
		return err;
	tell(&dir, err);
	return 0;
}
