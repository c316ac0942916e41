#include "sqlite.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <sqlite3.h>

#define QUERY_MAX 128
/* Of SQLite's machine: a row found by its key takes a few dozen, the schema of Podman some thousands. */
#define STEPS_MAX 200000
#define SCHEMA_SQL_MAX (64 << 10)

static int error_of(int result)
{
	switch (result) {
	case SQLITE_ROW:
		return 0;
	case SQLITE_DONE:
		return -ENOENT;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_TOOBIG:
		return -EFBIG;
	default:
		return -EBADMSG;
	}
}

static int stop(void *unused)
{
	(void)unused;
	return 1;
}

/* A database may bring views, triggers and functions, in which anything runs. */
static int distrust(sqlite3 *database, size_t max)
{
	sqlite3_db_config(database, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_db_config(database, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	sqlite3_db_config(database, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
	sqlite3_db_config(database, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
	sqlite3_limit(database, SQLITE_LIMIT_LENGTH, max > SCHEMA_SQL_MAX ? max + 1024 : SCHEMA_SQL_MAX);
	sqlite3_limit(database, SQLITE_LIMIT_SQL_LENGTH, SCHEMA_SQL_MAX);
	sqlite3_limit(database, SQLITE_LIMIT_EXPR_DEPTH, 20);
	sqlite3_limit(database, SQLITE_LIMIT_COLUMN, 100);
	sqlite3_limit(database, SQLITE_LIMIT_ATTACHED, 0);
	sqlite3_progress_handler(database, STEPS_MAX, stop, NULL);
	return sqlite3_exec(database, "PRAGMA cell_size_check = ON", NULL, NULL, NULL);
}

static int copy_text(sqlite3_stmt *statement, size_t max, char **out, size_t *out_len)
{
	const void *text = sqlite3_column_text(statement, 0);
	size_t len = sqlite3_column_bytes(statement, 0);
	char *copy;

	if (!text)
		return -ENOENT;
	if (len > max)
		return -EFBIG;
	copy = strndup(text, len);
	if (!copy)
		return -ENOMEM;
	*out = copy;
	*out_len = strlen(copy);
	return 0;
}

static int look_up(sqlite3 *database, const char *query, const char *id, size_t max, char **out, size_t *out_len)
{
	sqlite3_stmt *statement;
	int err, result = sqlite3_prepare_v2(database, query, -1, &statement, NULL);

	if (result != SQLITE_OK)
		return error_of(result);
	result = sqlite3_bind_text(statement, 1, id, -1, SQLITE_STATIC);
	err = error_of(result == SQLITE_OK ? sqlite3_step(statement) : result);
	if (!err)
		err = copy_text(statement, max, out, out_len);
	sqlite3_finalize(statement);
	return err;
}

int sqlite__text(char *bytes, size_t len, const char *table, const char *column, const char *id, size_t max, char **out,
		 size_t *out_len)
{
	unsigned char *image = (unsigned char *)bytes;
	char query[QUERY_MAX];
	sqlite3 *database;
	int result;
	int err;

	snprintf(query, sizeof(query), "SELECT %s FROM %s WHERE ID = ?", column, table);
	result = sqlite3_open_v2(":memory:", &database, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
	if (result == SQLITE_OK)
		result = sqlite3_deserialize(database, "main", image, len, len, SQLITE_DESERIALIZE_READONLY);
	if (result == SQLITE_OK)
		result = distrust(database, max);
	err = result == SQLITE_OK ? look_up(database, query, id, max, out, out_len) : error_of(result);
	sqlite3_close(database);
	return err;
}
