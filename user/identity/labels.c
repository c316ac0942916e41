#include "labels.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/sorted.h"

static int compare(const void *labels, unsigned int index, const void *name)
{
	return strcmp(((const struct label *)labels)[index].name, name);
}

/* Where the name is, or would be; *found says which. */
static unsigned int find(const struct labels *labels, const char *name, bool *found)
{
	return sorted__find(labels->label, labels->count, compare, name, found);
}

static int insert(struct labels *labels, unsigned int at, const char *name, char *value)
{
	struct label *grown = reallocarray(labels->label, labels->count + 1, sizeof(*grown));
	char *copy = strdup(name);

	if (grown)
		labels->label = grown;
	if (!grown || !copy) {
		free(copy);
		return -ENOMEM;
	}
	memmove(&grown[at + 1], &grown[at], (labels->count - at) * sizeof(*grown));
	grown[at] = (struct label){ copy, value };
	labels->count++;
	labels->bytes += strlen(copy) + strlen(value);
	return 0;
}

int labels__set(struct labels *labels, const char *name, const char *value)
{
	bool found;
	unsigned int at = find(labels, name, &found);
	size_t before = found ? strlen(labels->label[at].value) : 0;
	size_t more = strlen(value) + (found ? 0 : strlen(name));
	char *copy;
	int err;

	if (labels->bytes - before + more > LABELS_BYTES_MAX || (!found && labels->count == LABELS_COUNT_MAX))
		return -E2BIG;
	copy = strdup(value);
	if (!copy)
		return -ENOMEM;
	if (!found) {
		err = insert(labels, at, name, copy);
		if (err)
			free(copy);
		return err;
	}
	free(labels->label[at].value);
	labels->label[at].value = copy;
	labels->bytes += more - before;
	return 0;
}

int labels__set_all(struct labels *labels, const json_t *object)
{
	const char *name;
	json_t *value;
	int err;

	json_object_foreach((json_t *)object, name, value) {
		if (!json_is_string(value) || strlen(json_string_value(value)) != json_string_length(value))
			continue;
		err = labels__set(labels, name, json_string_value(value));
		if (err)
			return err;
	}
	return 0;
}

const char *labels__get(const struct labels *labels, const char *name)
{
	bool found;
	unsigned int at = find(labels, name, &found);

	return found ? labels->label[at].value : NULL;
}

int labels__copy(struct labels *labels, const struct labels *from)
{
	int err = 0;

	for (unsigned int i = 0; !err && i < from->count; i++)
		err = labels__set(labels, from->label[i].name, from->label[i].value);
	return err;
}

bool labels__equal(const struct labels *one, const struct labels *other)
{
	if (one->count != other->count || one->bytes != other->bytes)
		return false;
	for (unsigned int i = 0; i < one->count; i++)
		if (strcmp(one->label[i].name, other->label[i].name) ||
		    strcmp(one->label[i].value, other->label[i].value))
			return false;
	return true;
}

void labels__free(struct labels *labels)
{
	for (unsigned int i = 0; i < labels->count; i++) {
		free(labels->label[i].name);
		free(labels->label[i].value);
	}
	free(labels->label);
	*labels = (struct labels){ 0 };
}
