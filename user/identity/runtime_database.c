#include "runtime_database.h"

#include <errno.h>
#include <unistd.h>

#include "bolt.h"
#include "base/complaints.h"
#include "base/log.h"
#include "runtime_file.h"

/* A container's configuration has all that was said when it was made. */
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

static void tell(const struct runtime_dir *dir, const char *file, int err)
{
	char path[PATH_MAX];

	if (runtime_file__path(path, dir->root, dir->path, "/", file, NULL))
		return;
	if (!err || err == -ENOENT)
		complaints__settle(path);
	else if (complaints__is_new(path, err))
		log_warn("%s: cannot read it: %s; what it says of containers stays unknown", path, reason(err));
}

int runtime_database__get(const struct runtime_dir *dir, const char *file, const char *const bucket[], const char *key,
			  char **out, size_t *out_len)
{
	int fd = runtime_file__open(dir, file, NULL);
	int err = fd < 0 ? fd : bolt__get(fd, bucket, key, VALUE_MAX, out, out_len);

	if (fd >= 0)
		close(fd);
	tell(dir, file, err);
	return err;
}
