#include "pod_json.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pod.h"

/*
 * Of a static pod's mirror: the uid that the kubelet gave the pod, which is not the mirror's own
 * (pkg/kubelet/types/pod_update.go). The kubelet's own list has the pod itself.
 */
#define MIRROR_ANNOTATION "kubernetes.io/config.mirror"
#define TEMPLATE_HASH_LABEL "pod-template-hash"

static const struct json_wanted owner_wanted[] = {
	{ "kind", NULL }, { "name", NULL }, { "uid", NULL }, { "controller", NULL }, { NULL, NULL },
};

static const struct json_wanted metadata_wanted[] = {
	{ "uid", NULL },    { "name", NULL },        { "namespace", NULL },
	{ "labels", NULL }, { "annotations", NULL }, { "ownerReferences", owner_wanted },
	{ "creationTimestamp", NULL }, { "continue", NULL }, { "resourceVersion", NULL }, { NULL, NULL },
};

static const struct json_wanted asked_wanted[] = {
	{ "name", NULL }, { "image", NULL }, { NULL, NULL },
};

static const struct json_wanted spec_wanted[] = {
	{ "serviceAccountName", NULL }, { "hostname", NULL },
	{ "initContainers", asked_wanted },
	{ "containers", asked_wanted },
	{ "ephemeralContainers", asked_wanted },
	{ NULL, NULL },
};

static const struct json_wanted container_wanted[] = {
	{ "name", NULL },  { "containerID", NULL },  { "imageID", NULL },
	{ "image", NULL }, { "restartCount", NULL }, { NULL, NULL },
};

static const struct json_wanted ip_wanted[] = {
	{ "ip", NULL }, { NULL, NULL },
};

/* Of a node. */
static const struct json_wanted address_wanted[] = {
	{ "type", NULL }, { "address", NULL }, { NULL, NULL },
};

static const struct json_wanted status_wanted[] = {
	{ "addresses", address_wanted },
	{ "podIP", NULL }, { "podIPs", ip_wanted }, { "qosClass", NULL },
	{ "initContainerStatuses", container_wanted },
	{ "containerStatuses", container_wanted },
	{ "ephemeralContainerStatuses", container_wanted },
	{ NULL, NULL },
};

#define OBJECT_WANTED                                                                          \
	{ "metadata", metadata_wanted }, { "spec", spec_wanted }, { "status", status_wanted }, \
	{ "code", NULL }, { "message", NULL }, { "reason", NULL }

const struct json_wanted pod_json_object[] = {
	OBJECT_WANTED, { NULL, NULL },
};

const struct json_wanted pod_json_list[] = {
	OBJECT_WANTED, { "items", pod_json_object }, { NULL, NULL },
};

const struct json_wanted pod_json_event[] = {
	{ "type", NULL }, { "object", pod_json_object }, { NULL, NULL },
};

static const char *text_of(const json_t *object, const char *name, size_t max)
{
	const json_t *value = json_object_get(object, name);
	const char *text = json_string_value(value);
	size_t len = json_string_length(value);

	return text && len && len <= max && strlen(text) == len ? text : NULL;
}

const char *pod_json__text(const json_t *object, const char *name)
{
	return text_of(object, name, POD_JSON_TEXT_MAX);
}

const char *pod_json__short_text(const json_t *object, const char *name)
{
	return text_of(object, name, POD_JSON_SHORT_MAX);
}

/* NULL stays NULL. */
static int copy(char **out, const char *text)
{
	if (!text)
		return 0;
	free(*out);
	*out = strdup(text);
	return *out ? 0 : -ENOMEM;
}

const json_t *pod_json__controller(const json_t *object)
{
	const json_t *owners = json_object_get(json_object_get(object, "metadata"), "ownerReferences");
	const json_t *owner;
	size_t i;

	json_array_foreach((json_t *)owners, i, owner)
		if (json_is_true(json_object_get(owner, "controller")))
			return owner;
	return NULL;
}

/* "containerd://ID"; "" before it runs. */
static const char *without_runtime(const char *id)
{
	const char *after = id ? strstr(id, "://") : NULL;

	return after ? after + 3 : id;
}

static int add_container(struct pod *pod, const json_t *status)
{
	struct pod_container *container = &pod->containers[pod->containers_count];
	json_int_t restarts = json_integer_value(json_object_get(status, "restartCount"));
	int err;

	if (!pod_json__text(status, "name"))
		return 0;
	*container = (struct pod_container){ 0 };
	pod->containers_count++;
	if (restarts > 0 && restarts <= INT32_MAX)
		container->restart_count = restarts;
	err = copy(&container->name, pod_json__text(status, "name"));
	err = err ? err : copy(&container->id, without_runtime(pod_json__text(status, "containerID")));
	err = err ? err : copy(&container->image, text_of(status, "image", POD_JSON_IMAGE_MAX));
	return err ? err : copy(&container->image_id, text_of(status, "imageID", POD_JSON_IMAGE_MAX));
}

/* What the specification asks for; a status may still be missing. */
static int add_asked(struct pod *pod, const json_t *asked)
{
	const char *name = pod_json__text(asked, "name");
	struct pod_container *container = name ? (struct pod_container *)pod__container(pod, name) : NULL;
	int err = 0;

	if (!name)
		return 0;
	if (!container) {
		container = &pod->containers[pod->containers_count++];
		*container = (struct pod_container){ 0 };
		err = copy(&container->name, name);
	}
	return err ? err : copy(&container->asked_image, text_of(asked, "image", POD_JSON_IMAGE_MAX));
}

static const struct container_list {
	const char *name;
	int (*add)(struct pod *pod, const json_t *one);
} status_lists[] = {
	{ "initContainerStatuses", add_container },
	{ "containerStatuses", add_container },
	{ "ephemeralContainerStatuses", add_container },
	{ NULL, NULL },
}, asked_lists[] = {
	{ "initContainers", add_asked },
	{ "containers", add_asked },
	{ "ephemeralContainers", add_asked },
	{ NULL, NULL },
};

static size_t count_containers(const struct container_list *list, const json_t *object)
{
	size_t count = 0;

	for (; list->name; list++)
		count += json_array_size(json_object_get(object, list->name));
	return count;
}

static int add_lists(struct pod *pod, const struct container_list *list, const json_t *object)
{
	int err = 0;

	for (; list->name; list++) {
		const json_t *containers = json_object_get(object, list->name);

		for (size_t i = 0; !err && i < json_array_size(containers); i++)
			err = list->add(pod, json_array_get(containers, i));
	}
	return err;
}

static int add_containers(struct pod *pod, const json_t *spec, const json_t *status)
{
	size_t statuses = count_containers(status_lists, status);
	size_t asked = count_containers(asked_lists, spec);
	int err;

	if (statuses > POD_JSON_CONTAINERS_MAX || asked > POD_JSON_CONTAINERS_MAX)
		return -EINVAL;
	pod->containers = calloc(statuses + asked + 1, sizeof(*pod->containers));
	if (!pod->containers)
		return -ENOMEM;
	err = add_lists(pod, status_lists, status);
	return err ? err : add_lists(pod, asked_lists, spec);
}

static int add_ips(struct pod *pod, const json_t *ips)
{
	unsigned int count = 0;
	int err = 0;

	for (size_t i = 0; !err && count < POD_IPS_MAX && i < json_array_size(ips); i++) {
		const char *ip = pod_json__short_text(json_array_get(ips, i), "ip");

		if (ip)
			err = copy(&pod->ips[count++], ip);
	}
	return err;
}

/* A Deployment's ReplicaSet is named after it, with the hash that its pods are labelled with. */
static int set_deployment(struct pod *pod)
{
	const char *hash = labels__get(&pod->labels, TEMPLATE_HASH_LABEL);
	size_t len = strlen(pod->owner_name);
	size_t hash_len = hash ? strlen(hash) : 0;

	if (!hash_len || len < hash_len + 2 || pod->owner_name[len - hash_len - 1] != '-' ||
	    strcmp(pod->owner_name + len - hash_len, hash))
		return 0;
	pod->workload_name[len - hash_len - 1] = '\0';
	free(pod->workload_uid);
	pod->workload_uid = NULL;
	return copy(&pod->workload_kind, "Deployment");
}

static int set_first_owner(struct pod *pod, const json_t *object)
{
	const json_t *owners = json_object_get(json_object_get(object, "metadata"), "ownerReferences");
	const char *kind = pod_json__text(json_array_get(owners, 0), "kind");
	const char *name = pod_json__text(json_array_get(owners, 0), "name");

	if (!kind || !name)
		return 0;
	return asprintf(&pod->first_owner, "%s/%s", kind, name) < 0 ? -ENOMEM : 0;
}

static int set_owner(struct pod *pod, const json_t *object)
{
	const json_t *owner = pod_json__controller(object);
	const char *kind = pod_json__text(owner, "kind");
	const char *name = pod_json__text(owner, "name");
	int err;

	if (!kind || !name)
		return 0;
	err = copy(&pod->owner_kind, kind);
	err = err ? err : copy(&pod->owner_name, name);
	err = err ? err : copy(&pod->owner_uid, pod_json__short_text(owner, "uid"));
	err = err ? err : copy(&pod->workload_kind, kind);
	err = err ? err : copy(&pod->workload_name, name);
	err = err ? err : copy(&pod->workload_uid, pod->owner_uid);
	if (!err && strcmp(kind, "ReplicaSet") == 0)
		err = set_deployment(pod);
	return err;
}

static const char *node_uid(struct pod *pod, const json_t *metadata)
{
	const char *mirror = labels__get(&pod->annotations, MIRROR_ANNOTATION);

	pod->mirror = mirror && *mirror && strlen(mirror) <= POD_JSON_TEXT_MAX;
	return pod->mirror ? mirror : pod_json__text(metadata, "uid");
}

static int fill(struct pod *pod, const json_t *object)
{
	const json_t *metadata = json_object_get(object, "metadata");
	const json_t *spec = json_object_get(object, "spec");
	const json_t *status = json_object_get(object, "status");
	int err;

	err = labels__set_all(&pod->labels, json_object_get(metadata, "labels"));
	err = err ? err : labels__set_all(&pod->annotations, json_object_get(metadata, "annotations"));
	err = err ? err : copy(&pod->uid, node_uid(pod, metadata));
	err = err ? err : copy(&pod->api_uid, pod_json__short_text(metadata, "uid"));
	err = err ? err : copy(&pod->name, pod_json__text(metadata, "name"));
	err = err ? err : copy(&pod->namespace, pod_json__text(metadata, "namespace"));
	err = err ? err : copy(&pod->ip, pod_json__short_text(status, "podIP"));
	err = err ? err : add_ips(pod, json_object_get(status, "podIPs"));
	err = err ? err : copy(&pod->qos_class, pod_json__short_text(status, "qosClass"));
	err = err ? err : copy(&pod->service_account, pod_json__text(spec, "serviceAccountName"));
	err = err ? err : copy(&pod->created, pod_json__short_text(metadata, "creationTimestamp"));
	err = err ? err : copy(&pod->hostname, pod_json__short_text(spec, "hostname"));
	err = err ? err : set_first_owner(pod, object);
	err = err ? err : set_owner(pod, object);
	err = err ? err : add_containers(pod, spec, status);
	return !err && (!pod->uid || !pod->name || !pod->namespace) ? -EINVAL : err;
}

int pod_json__parse(const json_t *object, struct pod **out)
{
	struct pod *pod = pod__new();
	int err = pod ? fill(pod, object) : -ENOMEM;

	if (err)
		pod__put(pod);
	else
		*out = pod;
	return err;
}
