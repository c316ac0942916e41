#include "pod.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* Memory that the strings of a pod, of a container and of a label take beside what labels' bytes count. */
#define OF_STRINGS 1024
#define OF_CONTAINER 768
#define OF_LABEL 64

static const size_t texts[] = {
	offsetof(struct pod, uid),
	offsetof(struct pod, api_uid),
	offsetof(struct pod, name),
	offsetof(struct pod, namespace),
	offsetof(struct pod, ip),
	offsetof(struct pod, qos_class),
	offsetof(struct pod, service_account),
	offsetof(struct pod, first_owner),
	offsetof(struct pod, owner_kind),
	offsetof(struct pod, owner_name),
	offsetof(struct pod, owner_uid),
	offsetof(struct pod, workload_kind),
	offsetof(struct pod, workload_name),
	offsetof(struct pod, workload_uid),
	offsetof(struct pod, created),
	offsetof(struct pod, hostname),
	offsetof(struct pod, namespace_uid),
	offsetof(struct pod, node_uid),
	offsetof(struct pod, node_hostname),
	offsetof(struct pod, cluster_uid),
};

#define TEXTS (sizeof(texts) / sizeof(texts[0]))

static char **text_at(const struct pod *pod, size_t i)
{
	return (char **)((char *)pod + texts[i]);
}

struct pod *pod__new(void)
{
	struct pod *pod = calloc(1, sizeof(*pod));

	if (pod)
		pod->references = 1;
	return pod;
}

const struct pod *pod__get(const struct pod *pod)
{
	__atomic_add_fetch(&((struct pod *)pod)->references, 1, __ATOMIC_RELAXED);
	return pod;
}

static void free_containers(struct pod *pod)
{
	for (unsigned int i = 0; i < pod->containers_count; i++) {
		free(pod->containers[i].name);
		free(pod->containers[i].id);
		free(pod->containers[i].image_id);
		free(pod->containers[i].asked_image);
		free(pod->containers[i].image);
	}
	free(pod->containers);
}

void pod__put(const struct pod *shared)
{
	struct pod *pod = (struct pod *)shared;

	if (!pod || __atomic_sub_fetch(&pod->references, 1, __ATOMIC_ACQ_REL))
		return;
	for (size_t i = 0; i < TEXTS; i++)
		free(*text_at(pod, i));
	for (int i = 0; i < POD_IPS_MAX; i++)
		free(pod->ips[i]);
	labels__free(&pod->labels);
	labels__free(&pod->annotations);
	labels__free(&pod->namespace_labels);
	labels__free(&pod->node_labels);
	free_containers(pod);
	free(pod);
}

static char *copy(const char *text, int *err)
{
	char *made = text ? strdup(text) : NULL;

	if (text && !made)
		*err = -ENOMEM;
	return made;
}

static void copy_containers(struct pod *out, const struct pod *pod, int *err)
{
	out->containers = calloc(pod->containers_count + 1, sizeof(*out->containers));
	if (!out->containers) {
		*err = -ENOMEM;
		return;
	}
	for (unsigned int i = 0; i < pod->containers_count; i++) {
		const struct pod_container *from = &pod->containers[i];

		out->containers[i] = (struct pod_container){
			copy(from->name, err), copy(from->id, err), copy(from->image_id, err),
			copy(from->asked_image, err), copy(from->image, err), from->restart_count,
		};
	}
	out->containers_count = pod->containers_count;
}

struct pod *pod__copy(const struct pod *pod)
{
	struct pod *out = pod__new();
	int err = 0;

	if (!out)
		return NULL;
	for (size_t i = 0; i < TEXTS; i++)
		*text_at(out, i) = copy(*text_at(pod, i), &err);
	for (int i = 0; i < POD_IPS_MAX; i++)
		out->ips[i] = copy(pod->ips[i], &err);
	out->mirror = pod->mirror;
	copy_containers(out, pod, &err);
	if (err || labels__copy(&out->labels, &pod->labels) || labels__copy(&out->annotations, &pod->annotations) ||
	    labels__copy(&out->namespace_labels, &pod->namespace_labels) ||
	    labels__copy(&out->node_labels, &pod->node_labels)) {
		pod__put(out);
		return NULL;
	}
	return out;
}

static bool same(const char *one, const char *other)
{
	return one && other ? strcmp(one, other) == 0 : one == other;
}

static bool same_containers(const struct pod *one, const struct pod *other)
{
	if (one->containers_count != other->containers_count)
		return false;
	for (unsigned int i = 0; i < one->containers_count; i++) {
		const struct pod_container *a = &one->containers[i], *b = &other->containers[i];

		if (!same(a->name, b->name) || !same(a->id, b->id) || !same(a->image_id, b->image_id) ||
		    !same(a->asked_image, b->asked_image) || !same(a->image, b->image) ||
		    a->restart_count != b->restart_count)
			return false;
	}
	return true;
}

static bool same_texts(const struct pod *one, const struct pod *other)
{
	bool equal = true;

	for (size_t i = 0; equal && i < TEXTS; i++)
		equal = same(*text_at(one, i), *text_at(other, i));
	for (int i = 0; equal && i < POD_IPS_MAX; i++)
		equal = same(one->ips[i], other->ips[i]);
	return equal;
}

bool pod__same_labels(const struct pod *one, const struct pod *other)
{
	return labels__equal(&one->labels, &other->labels) &&
	       labels__equal(&one->annotations, &other->annotations) &&
	       labels__equal(&one->namespace_labels, &other->namespace_labels);
}

bool pod__same_name(const struct pod *one, const struct pod *other)
{
	return same(one->name, other->name) && same(one->namespace, other->namespace);
}

bool pod__equal(const struct pod *one, const struct pod *other)
{
	return same_texts(one, other) && one->mirror == other->mirror &&
	       pod__same_labels(one, other) && labels__equal(&one->node_labels, &other->node_labels) &&
	       same_containers(one, other);
}

size_t pod__size(const struct pod *pod)
{
	const struct labels *sets[] = { &pod->labels, &pod->annotations, &pod->namespace_labels, &pod->node_labels };
	size_t size = sizeof(*pod) + OF_STRINGS + pod->containers_count * OF_CONTAINER;

	for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++)
		size += sets[i]->bytes + sets[i]->count * OF_LABEL;
	return size;
}

const struct pod_container *pod__container(const struct pod *pod, const char *name)
{
	for (unsigned int i = 0; i < pod->containers_count; i++)
		if (pod->containers[i].name && strcmp(pod->containers[i].name, name) == 0)
			return &pod->containers[i];
	return NULL;
}
