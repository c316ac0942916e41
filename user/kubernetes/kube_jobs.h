/*
 * Whose pods a Job's are: a CronJob's, if one made the Job. That is asked once for each Job; its
 * pods wait for the answer, a second at most. Owner: the thread that turns the client.
 */
#ifndef LOGTAP_KUBE_JOBS_H
#define LOGTAP_KUBE_JOBS_H

#include <stdbool.h>

struct kube_client;
struct kube_jobs;
struct kube_timing;
struct pod;

/* Jobs that are remembered; the oldest goes first. */
#define KUBE_JOBS_MAX 512

/* Gets the pod and its reference. */
typedef void kube_jobs_ready(void *owner, struct pod *pod, bool deleted);

/* `client` NULL: nobody can be asked. 0 or -ENOMEM. */
int kube_jobs__new(struct kube_client *client, const struct kube_timing *timing, kube_jobs_ready *ready, void *owner,
		   struct kube_jobs **out);
/* Pods that wait are dropped. NULL does nothing. */
void kube_jobs__free(struct kube_jobs *jobs);
/*
 * Takes the reference. `ready` gets each pod once, here or later, the pods of one Job in the order
 * in which they came.
 */
void kube_jobs__resolve(struct kube_jobs *jobs, struct pod *pod, bool deleted);

#endif
