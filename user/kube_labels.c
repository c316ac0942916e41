#include "kube_labels.h"

#include <errno.h>
#include <stdlib.h>

#include "labels.h"
#include "pod_json.h"

struct kube_labels {
	void (*changed)(void *owner, const char *name);
	void *owner;
	json_t *known;           /* name: object of labels */
	json_t *listed;          /* the names of a list that has begun, else NULL */
};

int kube_labels__new(void (*changed)(void *owner, const char *name), void *owner, struct kube_labels **out)
{
	struct kube_labels *labels = calloc(1, sizeof(*labels));

	if (!labels)
		return -ENOMEM;
	labels->changed = changed;
	labels->owner = owner;
	labels->known = json_object();
	if (!labels->known) {
		free(labels);
		return -ENOMEM;
	}
	*out = labels;
	return 0;
}

void kube_labels__free(struct kube_labels *labels)
{
	if (!labels)
		return;
	json_decref(labels->known);
	json_decref(labels->listed);
	free(labels);
}

void kube_labels__begin(struct kube_labels *labels)
{
	json_decref(labels->listed);
	labels->listed = json_object();
}

int kube_labels__object(struct kube_labels *labels, const json_t *object, bool deleted)
{
	const json_t *metadata = json_object_get(object, "metadata");
	const char *name = pod_json__text(metadata, "name");
	json_t *now = json_object_get(metadata, "labels");
	json_t *before = name ? json_object_get(labels->known, name) : NULL;
	int err = 0;

	if (!name)
		return -EINVAL;
	/* Its pods keep what they have. */
	if (deleted)
		return json_object_del(labels->known, name), 0;
	if (labels->listed)
		err = json_object_set_new(labels->listed, name, json_true());
	if (!before && json_object_size(labels->known) >= KUBE_LABELS_MAX)
		return -ENOSPC;
	if (before && now && json_equal(before, now))
		return 0;
	/* The labels alone are kept of the object. */
	err |= json_object_set_new(labels->known, name, json_is_object(now) ? json_copy(now) : json_object());
	if (err)
		return -ENOMEM;
	labels->changed(labels->owner, name);
	return 0;
}

void kube_labels__end(struct kube_labels *labels)
{
	const char *name;
	json_t *value;
	void *next;

	json_object_foreach_safe(labels->known, next, name, value)
		if (labels->listed && !json_object_get(labels->listed, name))
			json_object_del(labels->known, name);
	json_decref(labels->listed);
	labels->listed = NULL;
}

int kube_labels__put(const struct kube_labels *labels, const char *name, struct labels *out)
{
	const json_t *object = json_object_get(labels->known, name);

	labels__free(out);
	return object ? labels__set_all(out, object) : 0;
}
