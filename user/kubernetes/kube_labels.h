/*
 * The labels and uids of objects that pods belong to, by the objects' names: of namespaces, or of the
 * node. Fed by a watch (kube_watch.h). Owner: the thread that turns it.
 */
#ifndef LOGTAP_KUBE_LABELS_H
#define LOGTAP_KUBE_LABELS_H

#include <stdbool.h>

#include <jansson.h>

struct kube_labels;
struct labels;

#define KUBE_LABELS_MAX 16384

/* `changed`: what is told of this name has become another. 0 or -ENOMEM. */
int kube_labels__new(void (*changed)(void *owner, const char *name), void *owner, struct kube_labels **out);
void kube_labels__free(struct kube_labels *labels);

/* As of struct kube_watch_handler. */
void kube_labels__begin(struct kube_labels *labels);
int kube_labels__object(struct kube_labels *labels, const json_t *object, bool deleted);
void kube_labels__end(struct kube_labels *labels);

/* Whether there is one of this name. */
bool kube_labels__knows(const struct kube_labels *labels, const char *name);
/* Replaces what is in `out`; with nothing when the name is not known. 0, -ENOMEM or -E2BIG. */
int kube_labels__put(const struct kube_labels *labels, const char *name, struct labels *out);
/* NULL when it is not known; valid until the next object. */
const char *kube_labels__uid(const struct kube_labels *labels, const char *name);
/* Of a node: its address of type Hostname. As above. */
const char *kube_labels__hostname(const struct kube_labels *labels, const char *name);

#endif
