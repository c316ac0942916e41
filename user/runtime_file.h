/*
 * Reading a runtime's JSON files. They hold what users of containers wrote: nothing in them is
 * trusted, no link is followed, nothing blocks, and every size is bounded. Any thread; results are
 * the caller's.
 */
#ifndef LOGTAP_RUNTIME_FILE_H
#define LOGTAP_RUNTIME_FILE_H

#include <jansson.h>
#include <stddef.h>

/* Returns 0, -ENOENT when there is no such file, another -errno (told) when it cannot be used. */
int runtime_file__read(const char *path, json_t **out);

/*
 * A copy of the string `key` of an object. *out is left alone where it is absent, no string, longer
 * than `max` bytes or holds a NUL: half a name could be another's. 0 or -ENOMEM.
 */
int runtime_file__copy_text(const json_t *object, const char *key, size_t max, char **out);

/* Joins parts (NULL ends them) into a path of PATH_MAX bytes. 0 or -ENAMETOOLONG. */
int runtime_file__path(char *path, ...) __attribute__((sentinel));

#endif
