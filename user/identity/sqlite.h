/*
 * Looks texts up in a copy of a SQLite database that others write and may have filled with anything: SQLite reads it, within
 * bounds and as a database that is not trusted (https://www.sqlite.org/security.html). Any thread.
 */
#ifndef LOGTAP_SQLITE_H
#define LOGTAP_SQLITE_H

#include <stddef.h>

/*
 * The text of one column of the row whose ID is `id`. `table` and `column` are names of ours. *out is the caller's, with a NUL behind
 * `*out_len` bytes, `max` at most. 0; -ENOENT when there is no such row, -EBADMSG when the bytes are no database, or one that is
 * damaged, of another kind or takes too long; -EFBIG, -ENOMEM. The bytes may be changed.
 */
int sqlite__text(char *bytes, size_t len, const char *table, const char *column, const char *id, size_t max, char **out,
		 size_t *out_len);

#endif
