/* Files as runtimes write them, below a directory that stands for the host's root. */
#ifndef LOGTAP_RUNTIME_FIXTURE_H
#define LOGTAP_RUNTIME_FIXTURE_H

#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../user/identity/identity.h"

struct fixture {
	char root[64];
	struct identity_cache *cache;
};

static inline void make_path(const struct fixture *fixture, const char *path, char out[PATH_MAX])
{
	assert_true(snprintf(out, PATH_MAX, "%s%s", fixture->root, path) < PATH_MAX);
	for (char *slash = out + strlen(fixture->root) + 1; (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		if (mkdir(out, 0700) < 0)
			assert_int_equal(errno, EEXIST);
		*slash = '/';
	}
}

static inline void write_bytes(const struct fixture *fixture, const char *path, const char *text,
			size_t len)
{
	char full[PATH_MAX];
	FILE *file;

	make_path(fixture, path, full);
	file = fopen(full, "w");
	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, len, file), len);
	assert_int_equal(fclose(file), 0);
}

static inline void write_text(const struct fixture *fixture, const char *path, const char *text)
{
	write_bytes(fixture, path, text, strlen(text));
}

static inline void write_link(const struct fixture *fixture, const char *path, const char *target)
{
	char full[PATH_MAX];

	make_path(fixture, path, full);
	remove(full);
	assert_int_equal(symlink(target, full), 0);
}

static inline int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static inline void remove_tree(const struct fixture *fixture, const char *path)
{
	char full[PATH_MAX + 64];

	snprintf(full, sizeof(full), "%s%s", fixture->root, path);
	assert_int_equal(nftw(full, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

static inline int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	assert_non_null(fixture);
	strcpy(fixture->root, "/tmp/logtap-identity-XXXXXX");
	assert_non_null(mkdtemp(fixture->root));
	assert_int_equal(identity_cache__new(fixture->root, 8, &fixture->cache), 0);
	*state = fixture;
	return 0;
}

static inline int teardown(void **state)
{
	struct fixture *fixture = *state;

	identity_cache__free(fixture->cache);
	remove_tree(fixture, "");
	free(fixture);
	return 0;
}

static inline const struct identity *get(struct fixture *fixture, const struct cgroup_names *names)
{
	return identity_cache__get(fixture->cache, 7, names, false);
}

/* What stderr says while the container is looked at. */
static inline void listen_to(struct fixture *fixture, const struct cgroup_names *names, char told[1024])
{
	int before = dup(STDERR_FILENO);
	FILE *file = tmpfile();

	assert_non_null(file);
	fflush(stderr);
	assert_true(dup2(fileno(file), STDERR_FILENO) >= 0);
	get(fixture, names);
	fflush(stderr);
	assert_true(dup2(before, STDERR_FILENO) >= 0);
	close(before);
	rewind(file);
	told[fread(told, 1, 1023, file)] = '\0';
	fclose(file);
}

static inline void assert_told(struct fixture *fixture, const struct cgroup_names *names, const char *text)
{
	char told[1024];

	listen_to(fixture, names, told);
	if (!strstr(told, text))
		fail_msg("\"%s\" is not in \"%s\"", text, told);
}

static inline void assert_silent(struct fixture *fixture, const struct cgroup_names *names)
{
	char told[1024];

	listen_to(fixture, names, told);
	assert_string_equal(told, "");
}

#endif
