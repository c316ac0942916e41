/*
 * Reading the files of runtimes. They hold what users of containers wrote: nothing in them is
 * trusted, nothing blocks, every size is bounded, no link is followed and no ".." taken below the
 * directory, so that nothing outside is read. Any thread; results are the caller's.
 */
#ifndef LOGTAP_RUNTIME_FILE_H
#define LOGTAP_RUNTIME_FILE_H

#include <dirent.h>
#include <jansson.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RUNTIME_NAME_MAX 253   /* bytes of a pod's or container's name */
#define RUNTIME_IMAGE_MAX 1024
#define RUNTIME_TEXT_MAX (4U << 20)
/* Of a user's: JSON takes up to 80 times its length in memory, and a second for 4 MiB. */
#define RUNTIME_USERS_TEXT_MAX (512U << 10)

/* Where a runtime keeps its files. */
struct runtime_dir {
	const char *root;        /* before every path, as for identity.h */
	const char *path;        /* the administrator's: its links are followed, and end inside `root` */
	unsigned int uid;        /* not 0: a user's, in which files of others are not read */
};

/*
 * Opens a file for reading; its length in bytes comes back in *size, which may be NULL. The descriptor, which is the caller's;
 * -ENOENT when there is no such file, -ELOOP for a link, -EINVAL for what is no regular file, -EDOM for another user's,
 * another -errno.
 */
int runtime_file__open(const struct runtime_dir *dir, const char *file, uint64_t *size);

/* Such an error, or -EFBIG, in words. */
const char *runtime_file__reason(int err);

/*
 * A file's bytes and a NUL behind them. `max`: bytes. *out_len may be NULL. 0, -EFBIG, or an error of runtime_file__open.
 */
int runtime_file__text(const struct runtime_dir *dir, const char *file, size_t max, char **out,
		       size_t *out_len);

/*
 * A file as JSON, up to RUNTIME_TEXT_MAX, a user's up to RUNTIME_USERS_TEXT_MAX. 0, -ENOENT, another -errno (told once, see
 * complaints.h).
 */
int runtime_file__read(const struct runtime_dir *dir, const char *file, json_t **out);

/* JSON text, numbers as reals; NULL when it is not. `error` may be NULL. */
json_t *runtime_file__parse(const char *text, size_t len, json_error_t *error);

/* Text that is JSON itself, as annotations have it; NULL when it is not. */
json_t *runtime_file__inner(const json_t *object, const char *key);

/* A directory's entries, NULL when it cannot be had. */
DIR *runtime_file__list(const struct runtime_dir *dir, const char *file);

/* Whether a regular file is there. */
bool runtime_file__exists(const struct runtime_dir *dir, const char *file);

/*
 * A copy of the string `key` of an object. *out is left alone where it is absent, no string, longer
 * than `max` bytes or holds a NUL: half a name could be another's. 0 or -ENOMEM.
 */
int runtime_file__copy_text(const json_t *object, const char *key, size_t max, char **out);

/*
 * The count `key` of an object, as digits. As Go's writers leave out a 0, what is absent is one; *out is left alone where there
 * is no object or no number that may be a count. 0 or -ENOMEM.
 */
int runtime_file__copy_count(const json_t *object, const char *key, char **out);

/* Puts a copy of `text` in the place of *out. 0 or -ENOMEM. */
int runtime_file__set(char **out, const char *text);

/* Whether text that others chose may be one component of a path. */
bool runtime_file__component(const char *text);

/* Joins parts (NULL ends them) into a path of PATH_MAX bytes. 0 or -ENAMETOOLONG. */
int runtime_file__path(char *path, ...) __attribute__((sentinel));

#endif
