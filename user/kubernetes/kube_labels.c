#include "kube_labels.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "identity/labels.h"
#include "pod_json.h"

struct kube_labels {
	void (*changed)(void *owner, const char *name);
	void *owner;
	json_t *known;           /* name: what `kept_of` keeps */
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

/* Of a node (core/v1 NodeStatus). */
static const char *hostname_of(const json_t *object)
{
	json_t *addresses = json_object_get(json_object_get(object, "status"), "addresses");
	const json_t *address;
	size_t i;

	json_array_foreach(addresses, i, address) {
		const char *type = pod_json__text(address, "type");

		if (type && strcmp(type, "Hostname") == 0)
			return pod_json__text(address, "address");
	}
	return NULL;
}

/* NULL without memory. */
static json_t *kept_of(const json_t *object)
{
	const json_t *metadata = json_object_get(object, "metadata");
	json_t *labels = json_object_get(metadata, "labels");

	return json_pack("{s:o, s:s*, s:s*}", "labels", json_is_object(labels) ? json_copy(labels) : json_object(),
			 "uid", pod_json__short_text(metadata, "uid"), "hostname", hostname_of(object));
}

int kube_labels__object(struct kube_labels *labels, const json_t *object, bool deleted)
{
	const json_t *metadata = json_object_get(object, "metadata");
	const char *name = pod_json__text(metadata, "name");
	json_t *before = name ? json_object_get(labels->known, name) : NULL;
	json_t *now;
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
	now = kept_of(object);
	if (before && now && json_equal(before, now))
		return json_decref(now), 0;
	err |= json_object_set_new(labels->known, name, now);
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

bool kube_labels__knows(const struct kube_labels *labels, const char *name)
{
	return json_object_get(labels->known, name);
}

int kube_labels__put(const struct kube_labels *labels, const char *name, struct labels *out)
{
	const json_t *object = json_object_get(json_object_get(labels->known, name), "labels");

	labels__free(out);
	return object ? labels__set_all(out, object) : 0;
}

const char *kube_labels__uid(const struct kube_labels *labels, const char *name)
{
	return pod_json__text(json_object_get(labels->known, name), "uid");
}

const char *kube_labels__hostname(const struct kube_labels *labels, const char *name)
{
	return pod_json__text(json_object_get(labels->known, name), "hostname");
}
