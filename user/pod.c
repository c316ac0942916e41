#include "pod.h"

#include <stdlib.h>
#include <string.h>

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
	}
	free(pod->containers);
}

void pod__put(const struct pod *shared)
{
	struct pod *pod = (struct pod *)shared;

	if (!pod || __atomic_sub_fetch(&pod->references, 1, __ATOMIC_ACQ_REL))
		return;
	free(pod->uid);
	free(pod->name);
	free(pod->namespace);
	free(pod->ip);
	free(pod->qos_class);
	free(pod->service_account);
	free(pod->owner_kind);
	free(pod->owner_name);
	free(pod->workload_kind);
	free(pod->workload_name);
	labels__free(&pod->labels);
	labels__free(&pod->annotations);
	labels__free(&pod->namespace_labels);
	labels__free(&pod->node_labels);
	free_containers(pod);
	free(pod);
}

const struct pod_container *pod__container(const struct pod *pod, const char *name)
{
	for (unsigned int i = 0; i < pod->containers_count; i++)
		if (pod->containers[i].name && strcmp(pod->containers[i].name, name) == 0)
			return &pod->containers[i];
	return NULL;
}
