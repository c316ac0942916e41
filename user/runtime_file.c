#include "runtime_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"

#define FILE_MAX_BYTES (4U << 20)

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

static int read_all(const char *path, char **out, size_t *out_len)
{
	char *buffer = NULL;
	struct stat st;
	ssize_t len;
	int err;
	int fd;

	/* O_NONBLOCK: a FIFO in the file's place must not stop the reader. */
	fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return errno == ENOTDIR ? -ENOENT : -errno;
	err = fstat(fd, &st) < 0 ? -errno : 0;
	if (err)
		goto out;
	err = -EINVAL;
	if (!S_ISREG(st.st_mode))
		goto out;
	err = -EFBIG;
	if (st.st_size > FILE_MAX_BYTES)
		goto out;
	err = -ENOMEM;
	buffer = malloc(st.st_size + 1);
	if (!buffer)
		goto out;
	len = read_up_to(fd, buffer, st.st_size);
	err = len < 0 ? len : 0;
	if (err)
		goto out;
	*out = buffer;
	*out_len = len;
	buffer = NULL;
out:
	free(buffer);
	close(fd);
	return err;
}

static const char *reason(int err)
{
	switch (err) {
	case -ELOOP:
		return "it is a symbolic link";
	case -EINVAL:
		return "it is not a regular file";
	case -EFBIG:
		return "it is larger than 4 MiB";
	case -EACCES:
	case -EPERM:
		return "not permitted (logtap must run as root)";
	default:
		return strerror(-err);
	}
}

int runtime_file__read(const char *path, json_t **out)
{
	/* Integers as reals: an unlimited rlimit, 2^64-1, is no json_int_t and would fail all. */
	const size_t flags = JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL;
	json_error_t error;
	char *text = NULL;
	json_t *json;
	size_t len = 0;
	int err;

	err = read_all(path, &text, &len);
	if (err == -ENOENT)
		return err;
	if (err) {
		log_warn("%s: cannot read it: %s; the container's name and image stay unknown",
			 path, reason(err));
		return err;
	}
	json = json_loadb(text, len, flags, &error);
	free(text);
	if (!json) {
		/* The parser's own text quotes the file: untrusted. */
		log_warn("%s: not readable as JSON (line %d); the container's name and image stay "
			 "unknown", path, error.line);
		return -EBADMSG;
	}
	*out = json;
	return 0;
}

int runtime_file__copy_text(const json_t *object, const char *key, size_t max, char **out)
{
	const json_t *value = json_object_get(object, key);
	const char *text = json_string_value(value);
	size_t len;
	char *copy;

	if (!text)
		return 0;
	len = json_string_length(value);
	if (len > max || strlen(text) != len)
		return 0;
	copy = strdup(text);
	if (!copy)
		return -ENOMEM;
	free(*out);
	*out = copy;
	return 0;
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
