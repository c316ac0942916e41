/*
 * What is known of this node's pods, by the uid that the node knows them by. One thread fills it
 * (kubernetes.h), any thread asks. Bounded: PODS_MAX pods that exist, and PODS_DELETED_MAX that are
 * deleted and whose last lines may still come. Owner: agent.
 */
#ifndef LOGTAP_PODS_H
#define LOGTAP_PODS_H

#include <stdbool.h>
#include <stdint.h>

#define PODS_MAX 4096
#define PODS_DELETED_MAX 1024
/*
 * Of what they say, all together: whoever may make pods may name this node in thousands of them, which
 * never run, each with a quarter of a megabyte of annotations.
 */
#define PODS_BYTES_MAX (128u << 20)
/* How long a deleted pod is kept that nobody refers to. */
#define PODS_DELETED_MS 60000

struct pod;
struct pods;

/* 0 or -errno. */
int pods__new(struct pods **out);
/* References that others hold stay valid. NULL does nothing. */
void pods__free(struct pods *pods);

/* --- for who asks; any thread */

/*
 * The pod as it is known at this moment, a reference of the caller's (pod__put); NULL: not known. Of pods with this uid, mirrors of
 * static pods that is, which an annotation makes, the one of these names; where there is none, or they are not known (""), the one
 * that there is; NULL among several.
 */
const struct pod *pods__get(struct pods *pods, const char *uid, const char *namespace, const char *name);
/* Whether there is any with this uid. */
bool pods__has(struct pods *pods, const char *uid);
/* Rises whenever pods__get would give another answer, but for deleted pods that are let go. */
uint64_t pods__version(const struct pods *pods);
/*
 * Rises when a pod that was known gets other labels or annotations, its own or its namespace's, or one
 * comes that may have been left out.
 */
uint64_t pods__labels_version(const struct pods *pods);
/*
 * Says that a stream was left out because its pod is not known. `version`: what pods__version was before it was asked for; it may
 * have come since.
 */
void pods__leave_out(struct pods *pods, uint64_t version);
/*
 * Says that a pod is missed, unless it is known: a source that is polled is asked at once, at most
 * once a second. Returns at once.
 */
void pods__want(struct pods *pods, const char *uid);

/* --- for the one thread that fills it */

/*
 * Takes the reference, on failure too. The pod takes the place of the one with its uid and names; one that
 * says the same changes nothing. 0, -ENOSPC beyond PODS_MAX or PODS_BYTES_MAX, when deleted ones have given way
 * (what was known stays), -ENOMEM.
 */
int pods__publish(struct pods *pods, struct pod *pod);
/* The pod with this one's uid and names is deleted; one that is not known: nothing. */
void pods__remove(struct pods *pods, const struct pod *pod);
/*
 * Of a list of all pods: begin, publish each, then end, which removes those that were not
 * published since. A list that breaks off is begun anew, or not ended.
 */
void pods__list_begin(struct pods *pods);
void pods__list_end(struct pods *pods);
/*
 * The pods that exist, a reference of the caller's each, in an array that the caller frees. 0 or
 * -ENOMEM.
 */
int pods__all(struct pods *pods, const struct pod ***out, unsigned int *count);
/* Lets deleted pods go; `now_ms` is clock__ms(). Call it every second or so. */
void pods__expire(struct pods *pods, uint64_t now_ms);
/* An eventfd that pods__want writes; owned by `pods`. */
int pods__wanted_fd(const struct pods *pods);

#endif
