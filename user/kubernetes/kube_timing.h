/* How patient we are with Kubernetes. */
#ifndef LOGTAP_KUBE_TIMING_H
#define LOGTAP_KUBE_TIMING_H

#include <stdint.h>

/* Milliseconds. */
struct kube_timing {
	uint64_t retry_ms, retry_max_ms; /* between attempts: doubled each time, with jitter */
	uint64_t request_ms;             /* for a list, a page of it */
	uint64_t request_silence_ms;     /* without a byte of it */
	uint64_t watch_ms;               /* after which the server ends a watch */
	uint64_t bookmark_ms;            /* without a bookmark or event from a server that sends them each minute */
	uint64_t resync_ms;              /* between lists while all is well */
	uint64_t poll_ms, poll_least_ms; /* the kubelet; when a pod is missed */
	uint64_t job_ms;                 /* for who made a job: its pods wait for it */
};

#define KUBE_TIMING_DEFAULT                                                               \
	{                                                                                 \
		.retry_ms = 1000, .retry_max_ms = 60000, .request_ms = 60000,             \
		.request_silence_ms = 15000, .watch_ms = 300000, .bookmark_ms = 180000,   \
		.resync_ms = 3600000, .poll_ms = 10000, .poll_least_ms = 1000, .job_ms = 1000, \
	}

/*
 * Counts one more failure in a row (`failures`: 0 while all is well) and returns the pause after it: retry_ms to twice as long
 * after the first, at random, then twice that each time; never more than retry_max_ms, and at least half of it in the end.
 */
uint64_t kube_timing__pause_ms(const struct kube_timing *timing, unsigned int *failures);

#endif
