/*
 * Fills the cache of pods (pods.h) with what the API server or the kubelet says of this node's. A
 * thread of its own, for which nobody ever waits. Owner: agent.
 */
#ifndef LOGTAP_KUBERNETES_H
#define LOGTAP_KUBERNETES_H

#include <stdbool.h>

struct counters;
struct kube_timing;
struct kubernetes;
struct kubernetes_config;
struct pods;

struct kubernetes_options {
	const struct kubernetes_config *config;
	const char *node;            /* as the cluster names it */
	struct counters *counters;
	struct pods *pods;           /* nobody else may fill it meanwhile */
	bool namespace_labels;       /* they are wanted, too: that takes more rights */
	bool node_labels;
	const char *secrets;         /* where a service account is mounted; NULL: KUBE_SECRETS */
	const struct kube_timing *timing; /* NULL: the default */
};

/*
 * All but `counters`, `pods` and `timing` is copied. 0, with *out NULL where there is nobody to ask
 * (source none, or auto outside of a cluster); -EINVAL for the configuration, told; -errno.
 */
int kubernetes__start(const struct kubernetes_options *options, struct kubernetes **out);
/* Within a second, whatever the server does. The cache stays as it is. NULL does nothing. */
void kubernetes__stop(struct kubernetes *kubernetes);

#endif
