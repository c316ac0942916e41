/*
 * What runtimes keep of their containers in a BoltDB or SQLite file. What is wrong with one is told once (complaints.h), and costs
 * only what is in it. Any thread.
 */
#ifndef LOGTAP_RUNTIME_DATABASE_H
#define LOGTAP_RUNTIME_DATABASE_H

#include <stddef.h>

struct runtime_dir;

/*
 * The value of `key` in these buckets of a BoltDB file, and a NUL behind it; the caller's. As bolt__get, up to 512 KiB; -ENOENT
 * also when there is no such file, and errors are told.
 */
int runtime_database__get(const struct runtime_dir *dir, const char *file, const char *const bucket[], const char *key,
			  char **out, size_t *out_len);

/*
 * The same of a table of a SQLite file, as sqlite__text. No lock is taken; it waits 100 ms at most for a transaction that is being
 * written (-EAGAIN then). A file of more than 16 MiB, a user's of more than 4 MiB, is not read (-EFBIG).
 */
int runtime_database__row(const struct runtime_dir *dir, const char *file, const char *table, const char *column, const char *id,
			  char **out, size_t *out_len);

#endif
