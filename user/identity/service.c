#include "service.h"

#include <string.h>

static bool ends_with(const char *text, const char *suffix)
{
	size_t len = strlen(text), suffix_len = strlen(suffix);

	return len > suffix_len && strcmp(text + len - suffix_len, suffix) == 0;
}

static bool is_slice(const char *name)
{
	return ends_with(name, ".slice");
}

static bool is_unit(const char *name)
{
	static const char *const suffix[] = { ".service", ".scope", ".socket", ".mount", ".swap" };

	for (size_t i = 0; i < sizeof(suffix) / sizeof(suffix[0]); i++)
		if (ends_with(name, suffix[i]))
			return true;
	return false;
}

/* systemd puts a '_' before names that the kernel has a meaning for. */
static void copy(char out[CGROUP_NAME_SIZE], const char *name)
{
	strncpy(out, name + (name[0] == '_'), CGROUP_NAME_SIZE - 1);
}

/* "session-3.scope" -> "3" */
static void copy_session(const char *scope, char out[CGROUP_NAME_SIZE])
{
	size_t len;

	if (strncmp(scope, "session-", strlen("session-")) != 0 || !ends_with(scope, ".scope"))
		return;
	scope += strlen("session-");
	len = strlen(scope) - strlen(".scope");
	if (len < CGROUP_NAME_SIZE)
		memcpy(out, scope, len);
}

/* Walks up to the next unit, over slices; NULL when something else stands before one. */
static const char *next_unit(const struct cgroup_names *names, unsigned int *left, const char **slice)
{
	while (*left > 0) {
		const char *name = names->name[--*left];

		if (is_unit(name))
			return name;
		if (!is_slice(name))
			return NULL;
		*slice = name;
	}
	return NULL;
}

bool service__parse(const struct cgroup_names *names, struct service *out)
{
	const char *slice = "-.slice", *users_slice;
	unsigned int left = 0;
	const char *unit;

	memset(out, 0, sizeof(*out));
	while (left < IDENTITY_CGROUP_NAMES && names->name[left] && names->name[left][0])
		left++;
	if (left && strcmp(names->name[left - 1], CGROUP_NAMES_REST) == 0)
		left--;
	unit = next_unit(names, &left, &slice);
	if (!unit)
		return false;
	copy(out->unit, unit);
	copy(out->slice, slice);
	copy_session(unit, out->session);
	if (strncmp(unit, "user@", strlen("user@")) != 0)
		return true;
	unit = next_unit(names, &left, &users_slice);
	if (unit)
		copy(out->user_unit, unit);
	return true;
}
