/*
 * Says what is wrong with a Kubernetes server once for each kind of failure, and once when it is
 * over. Owner: the thread that turns the client.
 */
#ifndef LOGTAP_KUBE_TROUBLE_H
#define LOGTAP_KUBE_TROUBLE_H

#include "kube_client.h"

struct kube_trouble {
	const char *server;      /* who has it: a URL; not owned */
	const char *what;        /* what is asked for: "pods" */
	const char *rights;      /* what to allow when it is forbidden: "`get`, `list` and `watch` on pods" */
	const char *lost;        /* what is missing meanwhile: "pods' labels" */
	unsigned int told;       /* kinds of failure, as bits; 0: all is well */
};

void kube_trouble__tell(struct kube_trouble *trouble, const struct kube_answer *answer);

#endif
