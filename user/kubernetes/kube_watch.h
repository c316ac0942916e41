/*
 * All objects of one kind, kept up to date: a list, in pages, then a watch from there on, with
 * bookmarks; a new list when the server has forgotten the version that is known
 * (kubernetes.io/docs/reference/using-api/api-concepts). Owner: the thread that turns the client.
 */
#ifndef LOGTAP_KUBE_WATCH_H
#define LOGTAP_KUBE_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

struct counters;
struct kube_answer;
struct kube_client;
struct kube_timing;
struct kube_watch;

struct kube_watch_handler {
	/* A list of all begins, anew if one had begun. */
	void (*begin)(void *owner);
	/* An object of the list or of an event. Not 0: it was left out, and is counted. */
	int (*object)(void *owner, const json_t *object, bool deleted);
	/* The list is complete. */
	void (*end)(void *owner);
	/* Each failure, and each success, which has a failure of KUBE_FINE. */
	void (*state)(void *owner, const struct kube_answer *answer);
};

struct kube_watch_options {
	struct kube_client *client;
	struct counters *counters;
	const struct kube_timing *timing;
	const char *path;            /* "/api/v1/pods" */
	const char *selector;        /* of fields: "spec.nodeName=a"; "": all */
	const struct kube_watch_handler *handler;
	void *owner;
};

/* Copies the options, not what they point to. 0 or -ENOMEM. */
int kube_watch__new(const struct kube_watch_options *options, struct kube_watch **out);
/* Cancels what is under way. NULL does nothing. */
void kube_watch__free(struct kube_watch *watch);
/* Starts what is due at `now_ms` (clock__ms). Returns when to call it again; UINT64_MAX: once a request has ended. */
uint64_t kube_watch__turn(struct kube_watch *watch, uint64_t now_ms);

#endif
