#include "pods.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/sorted.h"
#include "pod.h"

struct entry {
	const struct pod *pod;
	uint64_t list;           /* the last list, see pods__list_begin, that it was published in */
	uint64_t deleted;        /* 0: it exists; else the order of deletion */
	uint64_t unused_ms;      /* since when nobody else refers to a deleted one; 0: not looked yet */
};

struct pods {
	pthread_mutex_t lock;    /* of all but `version`; held for a search and a move of entries */
	struct entry *entries;   /* in the order of their uids, namespaces and names */
	unsigned int count;
	unsigned int size;
	unsigned int deleted_count;
	uint64_t deletions;
	uint64_t list;
	size_t bytes;            /* of all that are in it, as pod__size tells */
	uint64_t version;        /* atomic */
	uint64_t labels_version; /* atomic */
	bool left_out;           /* see pods__leave_out */
	int wanted_fd;
};

int pods__new(struct pods **out)
{
	struct pods *pods = calloc(1, sizeof(*pods));

	if (!pods)
		return -ENOMEM;
	pods->wanted_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (pods->wanted_fd < 0) {
		free(pods);
		return -errno;
	}
	pthread_mutex_init(&pods->lock, NULL);
	*out = pods;
	return 0;
}

void pods__free(struct pods *pods)
{
	if (!pods)
		return;
	for (unsigned int i = 0; i < pods->count; i++)
		pod__put(pods->entries[i].pod);
	free(pods->entries);
	close(pods->wanted_fd);
	pthread_mutex_destroy(&pods->lock);
	free(pods);
}

/* What is not known comes first. */
static int compare(const char *one, const char *other)
{
	return strcmp(one ? one : "", other ? other : "");
}

/*
 * A pod's key. Whoever may make pods may write the annotation by which a mirror's uid is known (the API server's NodeRestriction
 * binds kubelets alone), so it may be another pod's: but no two pods have one name.
 */
struct pod_key {
	const char *uid, *namespace, *name;
};

static int compare_key(const void *entries, unsigned int index, const void *key)
{
	const struct pod *pod = ((const struct entry *)entries)[index].pod;
	const struct pod_key *wanted = key;
	int order = strcmp(pod->uid, wanted->uid);

	order = order ? order : compare(pod->namespace, wanted->namespace);
	return order ? order : compare(pod->name, wanted->name);
}

/* Where the key is, or would be; *found says which. */
static unsigned int find(const struct pods *pods, const char *uid, const char *namespace, const char *name, bool *found)
{
	const struct pod_key key = { uid, namespace, name };

	return sorted__find(pods->entries, pods->count, compare_key, &key, found);
}

static unsigned int find_pod(const struct pods *pods, const struct pod *pod, bool *found)
{
	return find(pods, pod->uid, pod->namespace, pod->name, found);
}

/* What is the node's by its own uid before mirrors, and what exists before what was: then the latest. */
static bool is_before(const struct entry *one, const struct entry *other)
{
	if (one->pod->mirror != other->pod->mirror)
		return !one->pod->mirror;
	if (!one->deleted || !other->deleted)
		return !one->deleted && other->deleted;
	return one->deleted > other->deleted;
}

/* NULL: none, or nobody knows which. */
static const struct pod *find_only(const struct pods *pods, const char *uid)
{
	const struct entry *best = NULL;
	bool found, clear = true;

	for (unsigned int i = find(pods, uid, NULL, NULL, &found); i < pods->count && !strcmp(pods->entries[i].pod->uid, uid); i++) {
		const struct entry *entry = &pods->entries[i];
		bool before = !best || is_before(entry, best);

		clear = before || (clear && is_before(best, entry));
		best = before ? entry : best;
	}
	return best && clear ? best->pod : NULL;
}

const struct pod *pods__get(struct pods *pods, const char *uid, const char *namespace, const char *name)
{
	const struct pod *pod;
	unsigned int at;
	bool found;

	pthread_mutex_lock(&pods->lock);
	at = find(pods, uid, namespace, name, &found);
	pod = found ? pods->entries[at].pod : find_only(pods, uid);
	pod = pod ? pod__get(pod) : NULL;
	pthread_mutex_unlock(&pods->lock);
	return pod;
}

bool pods__has(struct pods *pods, const char *uid)
{
	unsigned int at;
	bool found;

	pthread_mutex_lock(&pods->lock);
	at = find(pods, uid, NULL, NULL, &found);
	found = found || (at < pods->count && !strcmp(pods->entries[at].pod->uid, uid));
	pthread_mutex_unlock(&pods->lock);
	return found;
}

uint64_t pods__version(const struct pods *pods)
{
	return __atomic_load_n(&pods->version, __ATOMIC_ACQUIRE);
}

uint64_t pods__labels_version(const struct pods *pods)
{
	return __atomic_load_n(&pods->labels_version, __ATOMIC_ACQUIRE);
}

void pods__want(struct pods *pods, const char *uid)
{
	uint64_t one = 1;
	ssize_t written;

	if (pods__has(pods, uid))
		return;
	/* A full eventfd has been written already, which is all that its reader needs to know. */
	written = write(pods->wanted_fd, &one, sizeof(one));
	(void)written;
}

int pods__wanted_fd(const struct pods *pods)
{
	return pods->wanted_fd;
}

static void bump(uint64_t *version)
{
	__atomic_add_fetch(version, 1, __ATOMIC_RELEASE);
}

void pods__leave_out(struct pods *pods, uint64_t version)
{
	pthread_mutex_lock(&pods->lock);
	if (pods->version == version)
		pods->left_out = true;
	else
		bump(&pods->labels_version);
	pthread_mutex_unlock(&pods->lock);
}

static int insert(struct pods *pods, unsigned int at, const struct pod *pod)
{
	struct entry *entries = pods->entries;
	unsigned int size = pods->size;

	if (pods->count - pods->deleted_count >= PODS_MAX || pods->bytes + pod__size(pod) > PODS_BYTES_MAX)
		return -ENOSPC;
	if (pods->count == size) {
		size = size ? 2 * size : 64;
		entries = reallocarray(entries, size, sizeof(*entries));
		if (!entries)
			return -ENOMEM;
		pods->entries = entries;
		pods->size = size;
	}
	memmove(&entries[at + 1], &entries[at], (pods->count - at) * sizeof(*entries));
	pods->count++;
	pods->bytes += pod__size(pod);
	entries[at] = (struct entry){ .pod = pod, .list = pods->list };
	return 0;
}

/* What was left out unknown may be known now. */
static void look_for_left_out(struct pods *pods)
{
	if (pods->left_out)
		bump(&pods->labels_version);
	pods->left_out = false;
}

static bool has_uid(const struct pods *pods, unsigned int at, const char *uid)
{
	return at < pods->count && strcmp(pods->entries[at].pod->uid, uid) == 0;
}

/* Of pods with one uid, find_only tells which exist: whoever has that uid may get another answer now. */
static void bump_if_shared(struct pods *pods, unsigned int at)
{
	const char *uid = pods->entries[at].pod->uid;

	if (!has_uid(pods, at + 1, uid) && !(at && has_uid(pods, at - 1, uid)))
		return;
	look_for_left_out(pods);
	bump(&pods->version);
}

/* *rest is the pod whose reference is to be put: the other of the two. */
static int replace(struct pods *pods, unsigned int at, const struct pod *pod, const struct pod **rest)
{
	struct entry *entry = &pods->entries[at];
	const struct pod *before = entry->pod;
	size_t bytes = pods->bytes - pod__size(before) + pod__size(pod);

	if (entry->deleted) {
		pods->deleted_count--;
		bump_if_shared(pods, at);
	}
	entry->deleted = 0;
	entry->list = pods->list;
	*rest = pod;
	if (pod__equal(before, pod))
		return 0;
	if (bytes > PODS_BYTES_MAX)
		return -ENOSPC;
	pods->bytes = bytes;
	entry->pod = pod;
	if (!pod__same_labels(before, pod))
		bump(&pods->labels_version);
	bump(&pods->version);
	*rest = before;
	return 0;
}

/* Takes the entry out; the reference becomes the caller's. */
static const struct pod *take(struct pods *pods, unsigned int at)
{
	struct entry *entry = &pods->entries[at];
	const struct pod *pod = entry->pod;

	if (entry->deleted)
		pods->deleted_count--;
	pods->count--;
	pods->bytes -= pod__size(pod);
	memmove(entry, entry + 1, (pods->count - at) * sizeof(*entry));
	return pod;
}

/* Who refers to it keeps it; only nobody finds it any more. */
static void let_oldest_go(struct pods *pods)
{
	unsigned int oldest = pods->count;

	for (unsigned int i = 0; i < pods->count; i++)
		if (pods->entries[i].deleted &&
		    (oldest == pods->count || pods->entries[i].deleted < pods->entries[oldest].deleted))
			oldest = i;
	if (oldest < pods->count)
		pod__put(take(pods, oldest));
}

/* Those that exist come before those that were. */
static void make_room(struct pods *pods, const struct pod *pod)
{
	while (pods->deleted_count && pods->bytes + pod__size(pod) > PODS_BYTES_MAX)
		let_oldest_go(pods);
}

int pods__publish(struct pods *pods, struct pod *pod)
{
	const struct pod *rest = NULL;
	unsigned int at;
	int err = 0;
	bool found;

	pthread_mutex_lock(&pods->lock);
	make_room(pods, pod);
	at = find_pod(pods, pod, &found);
	if (found) {
		err = replace(pods, at, pod, &rest);
	} else {
		err = insert(pods, at, pod);
		if (err) {
			rest = pod;
		} else {
			look_for_left_out(pods);
			bump(&pods->version);
		}
	}
	pthread_mutex_unlock(&pods->lock);
	pod__put(rest);
	return err;
}

static void delete(struct pods *pods, unsigned int at)
{
	struct entry *entry = &pods->entries[at];

	if (entry->deleted)
		return;
	entry->deleted = ++pods->deletions;
	entry->unused_ms = 0;
	pods->deleted_count++;
	bump_if_shared(pods, at);
	if (pods->deleted_count > PODS_DELETED_MAX)
		let_oldest_go(pods);
}

void pods__remove(struct pods *pods, const struct pod *pod)
{
	unsigned int at;
	bool found;

	pthread_mutex_lock(&pods->lock);
	at = find_pod(pods, pod, &found);
	if (found)
		delete(pods, at);
	pthread_mutex_unlock(&pods->lock);
}

void pods__list_begin(struct pods *pods)
{
	pthread_mutex_lock(&pods->lock);
	pods->list++;
	pthread_mutex_unlock(&pods->lock);
}

/* From behind, as an older one may go. */
void pods__list_end(struct pods *pods)
{
	pthread_mutex_lock(&pods->lock);
	for (unsigned int i = pods->count; i-- > 0;)
		if (i < pods->count && pods->entries[i].list != pods->list)
			delete(pods, i);
	pthread_mutex_unlock(&pods->lock);
}

int pods__all(struct pods *pods, const struct pod ***out, unsigned int *count)
{
	const struct pod **all;
	unsigned int n = 0;

	pthread_mutex_lock(&pods->lock);
	all = calloc(pods->count + 1, sizeof(*all));
	for (unsigned int i = 0; all && i < pods->count; i++)
		if (!pods->entries[i].deleted)
			all[n++] = pod__get(pods->entries[i].pod);
	pthread_mutex_unlock(&pods->lock);
	if (!all)
		return -ENOMEM;
	*out = all;
	*count = n;
	return 0;
}

/* pods__get adds its reference under the lock, so that one alone is the cache's own. */
static bool expired(struct entry *entry, uint64_t now_ms)
{
	if (!entry->deleted)
		return false;
	if (__atomic_load_n(&entry->pod->references, __ATOMIC_ACQUIRE) > 1) {
		entry->unused_ms = 0;
		return false;
	}
	if (!entry->unused_ms)
		entry->unused_ms = now_ms;
	return now_ms - entry->unused_ms >= PODS_DELETED_MS;
}

void pods__expire(struct pods *pods, uint64_t now_ms)
{
	pthread_mutex_lock(&pods->lock);
	for (unsigned int i = pods->deleted_count ? pods->count : 0; i-- > 0;)
		if (expired(&pods->entries[i], now_ms))
			pod__put(take(pods, i));
	pthread_mutex_unlock(&pods->lock);
}
