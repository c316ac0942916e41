#include "field_filter.h"

#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

#include "base/record_config.h"

bool field_filter__matches(const char *glob, const char *path)
{
	char object[FIELD_PATH_MAX];

	snprintf(object, sizeof(object), "%s", path);
	while (fnmatch(glob, object, 0)) {
		char *dot = strrchr(object, '.');

		if (!dot)
			return false;
		*dot = 0;
	}
	return true;
}

static bool any_matches(char *const *globs, unsigned int count, const char *path)
{
	for (unsigned int i = 0; i < count; i++)
		if (field_filter__matches(globs[i], path))
			return true;
	return false;
}

bool field_filter__tells(const struct globs_config *fields, const char *path)
{
	return !fields || (any_matches(fields->allow, fields->allow_count, path) &&
			   !any_matches(fields->deny, fields->deny_count, path));
}
