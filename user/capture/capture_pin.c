#include "capture_pin.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "base/directory.h"

#define LOCK_TRIES 16 /* while others remove the directory and make it anew */

struct capture_pin {
	int fd;                      /* of the directory, locked */
	char *path;
};

pid_t capture_pin__lock_holder(const char *line, dev_t device, ino_t inode)
{
	unsigned int device_major, device_minor;
	unsigned long long number;
	int pid;

	/* 1: FLOCK  ADVISORY  WRITE 1234 00:1f:5678 0 EOF */
	if (sscanf(line, "%*u: FLOCK ADVISORY WRITE %d %x:%x:%llu", &pid, &device_major,
		   &device_minor, &number) != 4)
		return 0;
	if (makedev(device_major, device_minor) != device || number != inode || pid < 0)
		return 0;
	return pid;
}

static pid_t find_holder(int fd)
{
	FILE *locks = fopen("/proc/locks", "re");
	struct stat stat;
	pid_t pid = 0;
	char line[256];

	if (locks && !fstat(fd, &stat))
		while (!pid && fgets(line, sizeof(line), locks))
			pid = capture_pin__lock_holder(line, stat.st_dev, stat.st_ino);
	if (locks)
		fclose(locks);
	return pid;
}

/* The directory, or the one that it would be made in. */
static int check_bpffs(const char *directory)
{
	char path[4096];
	struct statfs fs;
	char *slash;

	snprintf(path, sizeof(path), "%s", directory);
	while (statfs(path, &fs)) {
		if (errno != ENOENT)
			return -errno;
		slash = strrchr(path, '/');
		if (!slash || slash == path)
			return -ENOTSUP;
		*slash = 0;
	}
	return fs.f_type == BPF_FS_MAGIC ? 0 : -ENOTSUP;
}

/* Who removes the directory does so under the lock: what was locked may be gone from its path. */
static bool is_at_path(int fd, const char *path)
{
	struct stat opened, named;

	return !fstat(fd, &opened) && !stat(path, &named) && opened.st_ino == named.st_ino &&
	       opened.st_dev == named.st_dev;
}

/* The locked directory, -EAGAIN when it has been removed meanwhile, or -errno. */
static int lock_directory(const char *directory, pid_t *holder)
{
	int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int err;

	if (fd < 0)
		return errno == ENOENT ? -EAGAIN : -errno;
	if (flock(fd, LOCK_EX | LOCK_NB)) {
		err = errno == EWOULDBLOCK ? -EBUSY : -errno;
		*holder = find_holder(fd);
	} else {
		err = is_at_path(fd, directory) ? 0 : -EAGAIN;
	}
	if (!err)
		return fd;
	close(fd);
	return err;
}

static int open_directory(const char *directory, bool make, pid_t *holder)
{
	int fd = -EAGAIN;

	for (int i = 0; i < LOCK_TRIES && fd == -EAGAIN; i++) {
		int err = make ? directory__make(directory) : 0;

		if (err)
			return err;
		if (!make && access(directory, F_OK))
			return -errno;
		fd = lock_directory(directory, holder);
	}
	return fd;
}

int capture_pin__open(const char *directory, bool make, pid_t *holder, struct capture_pin **out)
{
	struct capture_pin *pin;
	int err = check_bpffs(directory);

	*holder = 0;
	if (err)
		return err;
	pin = calloc(1, sizeof(*pin));
	if (!pin)
		return -ENOMEM;
	pin->path = strdup(directory);
	pin->fd = pin->path ? open_directory(directory, make, holder) : -ENOMEM;
	if (pin->fd < 0) {
		err = pin->fd;
		capture_pin__close(pin);
		return err;
	}
	*out = pin;
	return 0;
}

void capture_pin__close(struct capture_pin *pin)
{
	if (!pin)
		return;
	if (pin->fd >= 0)
		close(pin->fd);
	free(pin->path);
	free(pin);
}

/* bpf(2) takes paths only. */
static void pin_path(const struct capture_pin *pin, const char *name, char *path, size_t size)
{
	snprintf(path, size, "%s/%s", pin->path, name);
}

int capture_pin__get(const struct capture_pin *pin, const char *name)
{
	char path[4096];
	int fd;

	pin_path(pin, name, path, sizeof(path));
	fd = bpf_obj_get(path);
	return fd < 0 ? -errno : fd;
}

int capture_pin__put(const struct capture_pin *pin, const char *name, int fd)
{
	char path[4096];
	int err = capture_pin__remove(pin, name);

	if (err)
		return err;
	pin_path(pin, name, path, sizeof(path));
	return bpf_obj_pin(fd, path) ? -errno : 0;
}

int capture_pin__remove(const struct capture_pin *pin, const char *name)
{
	return unlinkat(pin->fd, name, 0) && errno != ENOENT ? -errno : 0;
}

int capture_pin__clear(const struct capture_pin *pin)
{
	struct dirent *entry;
	DIR *directory;
	/* First: killed in between, the next agent takes what is left for nothing, not for capture without some of its hooks. */
	int err = capture_pin__remove(pin, "about");

	if (err)
		return err;
	directory = opendir(pin->path);
	if (!directory)
		return -errno;
	while (!err && (entry = readdir(directory)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			err = capture_pin__remove(pin, entry->d_name);
	closedir(directory);
	return err;
}

int capture_pin__destroy(const struct capture_pin *pin)
{
	int err = capture_pin__clear(pin);

	if (err)
		return err;
	return rmdir(pin->path) ? -errno : 0;
}
