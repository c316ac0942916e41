/*
 * Requests to one Kubernetes server, any number at once: over one connection where it speaks
 * HTTP/2, else over one for each. TLS is verified; redirects are not followed; the token is read
 * for each request, as it rotates. Owner: the thread that turns it; only kube_client__wake may be
 * called by others.
 */
#ifndef LOGTAP_KUBE_CLIENT_H
#define LOGTAP_KUBE_CLIENT_H

#include <stdint.h>
#include <stddef.h>

#define KUBE_WHY_SIZE 512

struct counters;
struct kube_access;
struct kube_client;
struct kube_request;

/* Kinds of failure: what is said once is said again only for another kind. */
enum kube_failure {
	KUBE_FINE,
	KUBE_UNREACHABLE,        /* no connection, or it broke, or nothing came */
	KUBE_UNTRUSTED,          /* TLS */
	KUBE_NO_TOKEN,           /* the token or certificate cannot be read */
	KUBE_UNAUTHORIZED,       /* 401 */
	KUBE_FORBIDDEN,          /* 403 */
	KUBE_GONE,               /* 410: the version that was asked for is too old */
	KUBE_REFUSED,            /* any other status */
	KUBE_GARBAGE,            /* the answer is not what was asked for */
};

struct kube_answer {
	enum kube_failure failure;
	long status;             /* HTTP; 0: there was none */
	uint64_t retry_ms;       /* what the server asks to wait; 0: nothing */
	const char *why;         /* in words, when it failed */
};

struct kube_handler {
	/* Status 200 has come, before its body. May be NULL. */
	void (*open)(void *owner);
	/* Of a body with status 200 only. 0, or -errno: ends the request as KUBE_GARBAGE. NULL: it is not read. */
	int (*body)(void *owner, const char *data, size_t len);
	/* Once, unless it is cancelled. The request is no more then. */
	void (*end)(void *owner, const struct kube_answer *answer);
};

struct kube_get {
	const char *path;        /* with the query: /api/v1/... */
	uint64_t total_ms;       /* for all of it */
	/*
	 * Without a byte. Beyond it, or the total, the connection is held to hang, and all on it end. 0: no
	 * bound but the total, which then ends only this request.
	 */
	uint64_t silence_ms;
	const struct kube_handler *handler;
	void *owner;
};

/* `access` must outlive it. 0 or -errno. */
int kube_client__new(const struct kube_access *access, struct counters *counters, struct kube_client **out);
/* Cancels all. */
void kube_client__free(struct kube_client *client);

/* It is sent at the next turn. Copies the path. 0 or -ENOMEM. *out is valid until its end. */
int kube_client__get(struct kube_client *client, const struct kube_get *get, struct kube_request **out);
/* Another bound, see struct kube_get. From within a handler's body as well. */
void kube_request__set_silence(struct kube_request *request, uint64_t silence_ms);
/* No handler is called any more. NULL does nothing. Not from within a handler's body. */
void kube_request__cancel(struct kube_request *request);

/* Moves all requests on, waiting for up to `wait_ms`, for `fd` (-1: none) or for a wake. Calls handlers. */
void kube_client__turn(struct kube_client *client, uint64_t wait_ms, int fd);
/* Any thread: the turn that waits, or the next one, returns at once. */
void kube_client__wake(struct kube_client *client);

#endif
