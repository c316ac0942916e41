/*
 * Kubernetes' objects as JSON (kubernetes.io/docs/reference/kubernetes-api, core/v1 Pod, PodList,
 * WatchEvent): what is wanted of them, and a pod out of one. Untrusted text. Pure, any thread.
 */
#ifndef LOGTAP_POD_JSON_H
#define LOGTAP_POD_JSON_H

#include <jansson.h>

#include "json_prune.h"

/* Of one container's name, image, ... and of a uid; longer ones are as if they were missing. */
#define POD_JSON_TEXT_MAX 1024
#define POD_JSON_CONTAINERS_MAX 256
/* Of what is as short as a uid, a time or an address. */
#define POD_JSON_SHORT_MAX 64
/* Of an image: what a registry takes for a name, with tag and digest, is shorter. */
#define POD_JSON_IMAGE_MAX 512

/* What is kept of one object: one of a list or an event that is larger is left out, for whoever may make it would end all lists with it. */
#define POD_JSON_OBJECT_BYTES_MAX (2u << 20)
#define POD_JSON_OBJECT_VALUES_MAX (1u << 14)

struct pod;

/* What is kept of a list, of a watch's event, and of a single object; a Status (an error) too. */
extern const struct json_wanted pod_json_list[];
extern const struct json_wanted pod_json_event[];
extern const struct json_wanted pod_json_object[];

/* The string at a name of an object; NULL when there is none, or it is empty, holds a NUL or is longer than POD_JSON_TEXT_MAX. */
const char *pod_json__text(const json_t *object, const char *name);

/* The same of up to POD_JSON_SHORT_MAX bytes. */
const char *pod_json__short_text(const json_t *object, const char *name);

/*
 * The controller in an object's metadata.ownerReferences; NULL when there is none. What it returns
 * belongs to `object`.
 */
const json_t *pod_json__controller(const json_t *object);

/*
 * The uid is the one that the node uses: of a static pod's mirror its kubernetes.io/config.mirror.
 * The workload is that of the owner, of a ReplicaSet its Deployment. -EINVAL without a uid, name or
 * namespace; -E2BIG beyond LABELS_BYTES_MAX or LABELS_COUNT_MAX; -ENOMEM.
 */
int pod_json__parse(const json_t *object, struct pod **out);

#endif
