#include "runtime_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/complaints.h"
#include "base/log.h"

#define PROC_MAX_BYTES (64U << 10)
/* Integers as reals: an unlimited rlimit, 2^64-1, is no json_int_t and would fail all. */
#define JSON_FLAGS (JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL)

/* Returns the length, less than `size` when the file has shrunk since, or -errno. */
static ssize_t read_up_to(int fd, char *buffer, size_t size)
{
	size_t len = 0;

	while (len < size) {
		ssize_t n = read(fd, buffer + len, size - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		len += n;
	}
	return len;
}

static int open_at(int dir, const char *path, uint64_t flags, uint64_t resolve)
{
	struct open_how how = { .flags = flags | O_CLOEXEC, .resolve = resolve };
	int fd = syscall(SYS_openat2, dir, path, &how, sizeof(how));

	if (fd >= 0)
		return fd;
	return errno == ENOTDIR ? -ENOENT : -errno;
}

static int open_file(const struct runtime_dir *dir, const char *file, uint64_t flags)
{
	int root_fd = open(*dir->root ? dir->root : "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int dir_fd;
	int fd;

	if (root_fd < 0)
		return -errno;
	dir_fd = open_at(root_fd, dir->path, O_PATH | O_DIRECTORY, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
	close(root_fd);
	if (dir_fd < 0)
		return dir_fd;
	/* O_NONBLOCK: a FIFO in the file's place must not stop the reader. */
	fd = open_at(dir_fd, file, O_RDONLY | O_NONBLOCK | O_NOCTTY | flags,
		     RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
	close(dir_fd);
	return fd;
}

int runtime_file__open(const struct runtime_dir *dir, const char *file, uint64_t *size)
{
	int fd = open_file(dir, file, 0);
	struct stat st;
	int err = 0;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		err = -errno;
	else if (!S_ISREG(st.st_mode))
		err = -EINVAL;
	else if (dir->uid && st.st_uid != dir->uid)
		err = -EDOM;
	if (err) {
		close(fd);
		return err;
	}
	if (size)
		*size = st.st_size;
	return fd;
}

static int read_all(int fd, uint64_t size, size_t max, char **out, size_t *out_len)
{
	char *buffer;
	ssize_t len;

	if (size > max)
		return -EFBIG;
	/* The kernel's own files, as those of /proc, have no size. */
	size = size ? size : PROC_MAX_BYTES;
	buffer = malloc(size + 1);
	if (!buffer)
		return -ENOMEM;
	len = read_up_to(fd, buffer, size);
	if (len < 0) {
		free(buffer);
		return len;
	}
	buffer[len] = '\0';
	*out = buffer;
	if (out_len)
		*out_len = len;
	return 0;
}

int runtime_file__text(const struct runtime_dir *dir, const char *file, size_t max, char **out,
		       size_t *out_len)
{
	uint64_t size;
	int fd = runtime_file__open(dir, file, &size);
	int err;

	if (fd < 0)
		return fd;
	err = read_all(fd, size, max, out, out_len);
	close(fd);
	return err;
}

DIR *runtime_file__list(const struct runtime_dir *dir, const char *file)
{
	int fd = open_file(dir, file, O_DIRECTORY);
	DIR *stream;

	if (fd < 0)
		return NULL;
	stream = fdopendir(fd);
	if (!stream)
		close(fd);
	return stream;
}

bool runtime_file__exists(const struct runtime_dir *dir, const char *file)
{
	int fd = runtime_file__open(dir, file, NULL);

	if (fd < 0)
		return false;
	close(fd);
	return true;
}

const char *runtime_file__reason(int err)
{
	switch (err) {
	case -ELOOP:
	case -EXDEV:
		return "a symbolic link is in its path";
	case -EDOM:
		return "it is another user's";
	case -EINVAL:
		return "it is not a regular file";
	case -EFBIG:
		return "it is larger than 4 MiB, or than 512 KiB where it is a user's";
	case -EACCES:
	case -EPERM:
		return "not permitted (logtap must run as root)";
	default:
		return strerror(-err);
	}
}

/* The parser's own text quotes the file: untrusted. `line`: 0 for a file that is not read at all. */
static void tell(const char *path, int err, int line)
{
	if (!complaints__is_new(path, err))
		return;
	if (line)
		log_warn("%s: not readable as JSON (line %d); the container's name and image stay unknown", path, line);
	else
		log_warn("%s: cannot read it: %s; the container's name and image stay unknown", path, runtime_file__reason(err));
}

int runtime_file__read(const struct runtime_dir *dir, const char *file, json_t **out)
{
	char path[PATH_MAX];
	json_error_t error;
	char *text = NULL;
	json_t *json;
	size_t len = 0;
	int err = runtime_file__text(dir, file, dir->uid ? RUNTIME_USERS_TEXT_MAX : RUNTIME_TEXT_MAX, &text, &len);

	snprintf(path, sizeof(path), "%s%s/%s", dir->root, dir->path, file);
	if (err) {
		if (err != -ENOENT)
			tell(path, err, 0);
		return err;
	}
	json = runtime_file__parse(text, len, &error);
	free(text);
	if (!json) {
		tell(path, -EBADMSG, error.line);
		return -EBADMSG;
	}
	complaints__settle(path);
	*out = json;
	return 0;
}

json_t *runtime_file__parse(const char *text, size_t len, json_error_t *error)
{
	return json_loadb(text, len, JSON_FLAGS, error);
}

json_t *runtime_file__inner(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	if (!json_is_string(value))
		return NULL;
	return runtime_file__parse(json_string_value(value), json_string_length(value), NULL);
}

int runtime_file__set(char **out, const char *text)
{
	char *copy = strdup(text);

	if (!copy)
		return -ENOMEM;
	free(*out);
	*out = copy;
	return 0;
}

bool runtime_file__component(const char *text)
{
	size_t len = strlen(text);

	return len > 0 && len <= NAME_MAX && text[0] != '.' && !strchr(text, '/');
}

int runtime_file__copy_text(const json_t *object, const char *key, size_t max, char **out)
{
	const json_t *value = json_object_get(object, key);
	const char *text = json_string_value(value);
	size_t len;

	if (!text)
		return 0;
	len = json_string_length(value);
	if (len > max || strlen(text) != len)
		return 0;
	return runtime_file__set(out, text);
}

int runtime_file__copy_count(const json_t *object, const char *key, char **out)
{
	const json_t *value = json_object_get(object, key);
	double count = json_number_value(value);
	char digits[16];

	if (!json_is_object(object) || (value && !json_is_number(value)) || !(count >= 0 && count < 1e9))
		return 0;
	snprintf(digits, sizeof(digits), "%.0f", count);
	return runtime_file__set(out, digits);
}

int runtime_file__path(char *path, ...)
{
	const char *part;
	size_t len = 0;
	va_list parts;
	int err = 0;

	va_start(parts, path);
	while ((part = va_arg(parts, const char *))) {
		size_t part_len = strlen(part);

		if (part_len >= PATH_MAX - len) {
			err = -ENAMETOOLONG;
			break;
		}
		memcpy(path + len, part, part_len);
		len += part_len;
	}
	va_end(parts);
	path[len] = '\0';
	return err;
}
