#include "label_filter.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "base/config.h"
#include "base/json.h"
#include "identity/labels.h"

static bool matches(char *const *globs, unsigned int count, const char *name)
{
	for (unsigned int i = 0; i < count; i++)
		if (!fnmatch(globs[i], name, 0))
			return true;
	return false;
}

static int add(struct label_filter *filter, const struct label *label, struct labels *out)
{
	struct json_shape name = json__measure(label->name, strlen(label->name));
	struct json_shape value = json__measure(label->value, strlen(label->value));
	size_t size = name.len + value.len + filter->overhead;
	char *copy;
	int err;

	/* What replaces bytes that are not UTF-8 could make two names one. */
	if (size > filter->room || name.invalid_utf8) {
		filter->left_out++;
		return 0;
	}
	copy = strdup(label->name);
	if (!copy)
		return -ENOMEM;
	for (char *at = copy; filter->dedot && (at = strchr(at, '.'));)
		*at = '_';
	err = labels__set(out, copy, label->value);
	free(copy);
	if (!err)
		filter->room -= size;
	return err;
}

int label_filter__apply(struct label_filter *filter, const struct labels *labels,
			const struct globs_config *globs, struct labels *out)
{
	int err = 0;

	if (!labels || !globs)
		return 0;
	for (unsigned int i = 0; !err && i < labels->count; i++) {
		const struct label *label = &labels->label[i];

		if (matches(globs->allow, globs->allow_count, label->name) &&
		    !matches(globs->deny, globs->deny_count, label->name))
			err = add(filter, label, out);
	}
	return err;
}
