#include "runtime_database.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/complaints.h"
#include "base/log.h"
#include "bolt.h"
#include "runtime_file.h"
#include "sqlite.h"

/* A container's configuration has all that was said when it was made. */
#define VALUE_MAX (512U << 10)
/* Of a SQLite file, which is copied: thousands of containers' rows. */
#define COPY_MAX (16U << 20)
#define USERS_COPY_MAX (4U << 20)

/* Of a SQLite file (https://www.sqlite.org/fileformat.html): where it counts its transactions. */
#define SQLITE_HEADER 100
#define TRIES 20
#define PAUSE_MS 5

static const char *reason(int err)
{
	switch (err) {
	case -EBADMSG:
		return "it is damaged, or of another format";
	case -EFBIG:
		return "it, or what it says of a container, is too large";
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

/* A transaction that is being written, or was when its writer died: its journal says what was there before. */
static bool is_written(const struct runtime_dir *dir, const char *file)
{
	char journal[NAME_MAX + 1], first = 0;
	int fd;

	if (snprintf(journal, sizeof(journal), "%s-journal", file) >= (int)sizeof(journal))
		return false;
	fd = runtime_file__open(dir, journal, NULL);
	if (fd < 0)
		return false;
	/* One that is kept when all is done begins with zeros. */
	if (pread(fd, &first, 1, 0) < 1)
		first = 0;
	close(fd);
	return first;
}

static bool is_changed(const struct runtime_dir *dir, const char *file, const char *bytes, size_t len)
{
	char header[SQLITE_HEADER];
	int fd = runtime_file__open(dir, file, NULL);
	ssize_t got = fd < 0 ? -1 : pread(fd, header, sizeof(header), 0);

	if (fd >= 0)
		close(fd);
	return got != (len < sizeof(header) ? (ssize_t)len : (ssize_t)sizeof(header)) || memcmp(header, bytes, got) != 0;
}

/* The file as one transaction left it, the next of which had not begun when all was read. */
static int copy_file(const struct runtime_dir *dir, const char *file, char **out, size_t *out_len)
{
	const struct timespec pause = { .tv_nsec = PAUSE_MS * NS_PER_MS };
	char *bytes;
	size_t len;

	for (int try = 0; try < TRIES; try++) {
		int err;

		if (try)
			nanosleep(&pause, NULL);
		if (is_written(dir, file))
			continue;
		err = runtime_file__text(dir, file, dir->uid ? USERS_COPY_MAX : COPY_MAX, &bytes, &len);
		if (err)
			return err;
		if (!is_written(dir, file) && !is_changed(dir, file, bytes, len)) {
			*out = bytes;
			*out_len = len;
			return 0;
		}
		free(bytes);
	}
	return -EAGAIN;
}

int runtime_database__row(const struct runtime_dir *dir, const char *file, const char *table, const char *column, const char *id,
			  char **out, size_t *out_len)
{
	char *bytes;
	size_t len;
	int err = copy_file(dir, file, &bytes, &len);

	if (!err) {
		err = sqlite__text(bytes, len, table, column, id, VALUE_MAX, out, out_len);
		free(bytes);
	}
	tell(dir, file, err);
	return err;
}
