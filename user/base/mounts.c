#include "mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

struct mount {
	uint32_t dev;
	char *root;              /* which directory of the file system is mounted... */
	char *point;             /* ...where */
};

struct mounts {
	const char *mountinfo;
	int fd;                  /* kept open to hear of changes; -1 before the first reading */
	bool tells;              /* it is /proc's, which says when something changed */
	struct mount *list;
	size_t count;
};

int mounts__new(const char *mountinfo, struct mounts **out)
{
	struct mounts *mounts = calloc(1, sizeof(*mounts));

	if (!mounts)
		return -ENOMEM;
	mounts->mountinfo = mountinfo;
	mounts->fd = -1;
	*out = mounts;
	return 0;
}

static void forget(struct mounts *mounts)
{
	for (size_t i = 0; i < mounts->count; i++) {
		free(mounts->list[i].root);
		free(mounts->list[i].point);
	}
	free(mounts->list);
	mounts->list = NULL;
	mounts->count = 0;
}

void mounts__free(struct mounts *mounts)
{
	if (!mounts)
		return;
	forget(mounts);
	if (mounts->fd >= 0)
		close(mounts->fd);
	free(mounts);
}

static bool is_octal(char c)
{
	return c >= '0' && c <= '7';
}

/* Space, tab, newline and backslash stand as \ooo in mountinfo. In place. */
static void unescape(char *text)
{
	char *out = text;

	while (*text) {
		if (*text == '\\' && is_octal(text[1]) && is_octal(text[2]) && is_octal(text[3])) {
			*out++ = (text[1] - '0') << 6 | (text[2] - '0') << 3 | (text[3] - '0');
			text += 4;
		} else {
			*out++ = *text++;
		}
	}
	*out = 0;
}

static int add(struct mounts *mounts, const char *line)
{
	struct mount *list;
	struct mount mount = { 0 };
	unsigned int major, minor;

	if (sscanf(line, "%*u %*u %u:%u %ms %ms", &major, &minor, &mount.root, &mount.point) != 4) {
		free(mount.root);
		return 0;
	}
	unescape(mount.root);
	unescape(mount.point);
	mount.dev = major << 20 | minor;
	list = realloc(mounts->list, (mounts->count + 1) * sizeof(*list));
	if (!list) {
		free(mount.root);
		free(mount.point);
		return -ENOMEM;
	}
	mounts->list = list;
	mounts->list[mounts->count++] = mount;
	return 0;
}

static int load(struct mounts *mounts)
{
	FILE *file = fopen(mounts->mountinfo, "re");
	char *line = NULL;
	size_t size = 0;
	int err = 0;

	if (!file)
		return -errno;
	forget(mounts);
	while (!err && getline(&line, &size, file) > 0)
		err = add(mounts, line);
	free(line);
	fclose(file);
	return err;
}

static int open_mountinfo(struct mounts *mounts)
{
	struct statfs statfs;

	mounts->fd = open(mounts->mountinfo, O_RDONLY | O_CLOEXEC);
	if (mounts->fd < 0)
		return -errno;
	mounts->tells = !fstatfs(mounts->fd, &statfs) && statfs.f_type == PROC_SUPER_MAGIC;
	return load(mounts);
}

/*
 * Device numbers of file systems without a device are used again, so what is remembered holds only
 * until the kernel says that the mounts have changed; and as it says so, a device that is not there
 * is not looked for again and again.
 */
static int refresh(struct mounts *mounts)
{
	struct pollfd changes = { .fd = mounts->fd, .events = POLLPRI };

	if (mounts->fd < 0)
		return open_mountinfo(mounts);
	if (mounts->tells && poll(&changes, 1, 0) > 0 && changes.revents & (POLLERR | POLLPRI))
		return load(mounts);
	return 0;
}

/* What of `path` lies below `root`, or NULL. */
static const char *below(const char *root, const char *path)
{
	size_t length = strlen(root);

	if (length == 1)
		return path;
	if (strncmp(root, path, length) || (path[length] && path[length] != '/'))
		return NULL;
	return path + length;
}

/* The mount with the shortest root is the one people name. */
static const struct mount *find(const struct mounts *mounts, uint32_t dev, const char *path)
{
	const struct mount *best = NULL;

	for (size_t i = 0; i < mounts->count; i++) {
		const struct mount *mount = &mounts->list[i];

		if (mount->dev != dev || !below(mount->root, path))
			continue;
		if (!best || strlen(mount->root) < strlen(best->root))
			best = mount;
	}
	return best;
}

int mounts__host_path(struct mounts *mounts, uint32_t dev, const char *path, char *out, size_t size)
{
	const struct mount *mount;
	const char *point;
	int err = refresh(mounts);

	if (err)
		return err;
	mount = find(mounts, dev, path);
	if (!mount && !mounts->tells) {
		err = load(mounts);
		if (err)
			return err;
		mount = find(mounts, dev, path);
	}
	if (!mount)
		return -ENOENT;
	point = strcmp(mount->point, "/") ? mount->point : "";
	if ((size_t)snprintf(out, size, "%s%s", point, below(mount->root, path)) >= size)
		return -ENAMETOOLONG;
	return 0;
}
