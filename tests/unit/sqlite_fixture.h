/* Databases as Podman 4.8 and later ones make them (libpod/sqlite_state_internal.go), in memory. */
#ifndef LOGTAP_SQLITE_FIXTURE_H
#define LOGTAP_SQLITE_FIXTURE_H

#include <stddef.h>
#include <stdlib.h>

#include <sqlite3.h>

#define SQLITE_PODMANS \
	"CREATE TABLE ContainerConfig(ID TEXT PRIMARY KEY NOT NULL, Name TEXT UNIQUE NOT NULL, PodID TEXT, JSON TEXT NOT NULL);" \
	"CREATE TABLE ContainerState(ID TEXT PRIMARY KEY NOT NULL, State INTEGER NOT NULL, ExitCode INTEGER, JSON TEXT NOT NULL, " \
	"CHECK (ExitCode BETWEEN -1 AND 255));"

/* The file that these statements make, to be freed by sqlite3_free. */
static inline char *sqlite_file_of(const char *statements, size_t *len)
{
	sqlite3_int64 size = 0;
	sqlite3 *database;
	char *bytes;

	if (sqlite3_open(":memory:", &database) || sqlite3_exec(database, statements, NULL, NULL, NULL))
		abort();
	bytes = (char *)sqlite3_serialize(database, "main", &size, 0);
	sqlite3_close(database);
	*len = size;
	return bytes;
}

/* With one container, whose JSON these are. */
static inline char *sqlite_podmans(const char *id, const char *config, const char *state, size_t *len)
{
	char *statements = sqlite3_mprintf(SQLITE_PODMANS
					   "INSERT INTO ContainerConfig VALUES(%Q, 'web', NULL, %Q);"
					   "INSERT INTO ContainerState VALUES(%Q, 2, NULL, %Q);", id, config, id, state);
	char *bytes = sqlite_file_of(statements, len);

	sqlite3_free(statements);
	return bytes;
}

#endif
