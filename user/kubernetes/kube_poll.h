/*
 * All pods of the node from its kubelet, which has a list and no watch: every 10 s, and at once
 * when one is missed. Owner: the thread that turns the client.
 */
#ifndef LOGTAP_KUBE_POLL_H
#define LOGTAP_KUBE_POLL_H

#include <stdint.h>

#include "kube_watch.h"

struct kube_poll;

/* Of the options `path` is the list's; there is no selector. 0 or -ENOMEM. */
int kube_poll__new(const struct kube_watch_options *options, struct kube_poll **out);
void kube_poll__free(struct kube_poll *poll);
/* A pod is missed. */
void kube_poll__want(struct kube_poll *poll);
/* As kube_watch__turn. */
uint64_t kube_poll__turn(struct kube_poll *poll, uint64_t now_ms);

#endif
