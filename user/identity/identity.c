#include "identity.h"

#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/log.h"
#include "cgroup_path.h"
#include "node_root.h"
#include "pod_logs.h"
#include "runtime.h"
#include "runtime_file.h"

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

/* Asked in this order; the first that knows a container tells. */
static const struct runtime *const runtime[] = {
	&runtime_docker, &runtime_containerd, &runtime_crio, &runtime_podman, &runtime_oci,
};

#define TEXTS 11

struct entry {
	LIST_ENTRY(entry) same_hash;
	TAILQ_ENTRY(entry) age;
	uint64_t cgroup_id;
	unsigned int uid, at;    /* whose cgroup it is, and how far below, as in struct cgroup_place */
	bool guessed;            /* see is_guessed */
	struct identity identity;
	struct identity_cache *inside; /* of a node in a container: its pods; else NULL */
};

LIST_HEAD(bucket, entry);

struct identity_cache {
	char *root;
	char *node_name;         /* of the container whose pods it is for; NULL: this host's */
	void *state[ARRAY_SIZE(runtime)];
	unsigned int capacity;
	unsigned int count;
	struct bucket *buckets;
	unsigned int buckets_mask;
	TAILQ_HEAD(by_age_head, entry) by_age; /* the most recently used first */
};

/* The texts of an identity. */
static char **text_of(struct identity *identity, size_t i)
{
	static const size_t at[TEXTS] = {
		offsetof(struct identity, container_id), offsetof(struct identity, container_name),
		offsetof(struct identity, image), offsetof(struct identity, runtime),
		offsetof(struct identity, pod_name), offsetof(struct identity, pod_namespace),
		offsetof(struct identity, pod_uid), offsetof(struct identity, sandbox_id),
		offsetof(struct identity, restart_count), offsetof(struct identity, log_path),
		offsetof(struct identity, node_name),
	};

	return (char **)((char *)identity + at[i]);
}

static void identity__clear(struct identity *identity)
{
	for (size_t i = 0; i < TEXTS; i++)
		free(*text_of(identity, i));
	labels__free(&identity->labels);
	labels__free(&identity->pod_labels);
	labels__free(&identity->pod_annotations);
	*identity = (struct identity){ 0 };
}

/* What the cgroup says outranks annotations: only the kubelet and the runtime name cgroups. */
static int take_from_cgroup(struct identity *identity, const struct cgroup_place *place)
{
	int err = runtime_file__set(&identity->container_id, place->container_id);

	if (!err && place->runtime[0])
		err = runtime_file__set(&identity->runtime, place->runtime);
	if (err || !place->pod_uid[0])
		return err;
	if (identity->pod_uid && strcmp(identity->pod_uid, place->pod_uid) != 0)
		log_warn("container %s: its annotations name another pod than its cgroup; "
			 "the cgroup's (%s) is used",
			 place->container_id, place->pod_uid);
	return runtime_file__set(&identity->pod_uid, place->pod_uid);
}

static void bound_log_path(struct identity *identity)
{
	if (!identity->log_path || strlen(identity->log_path) <= IDENTITY_LOG_PATH_MAX)
		return;
	free(identity->log_path);
	identity->log_path = NULL;
}

static int fill_unknown(struct identity *identity)
{
	int err = 0;

	for (size_t i = 0; i < TEXTS && !err; i++) {
		if (!*text_of(identity, i))
			err = runtime_file__set(text_of(identity, i), "");
	}
	return err;
}

/* What a place is called proves nothing: it is another one's in another cgroup. */
static bool is_guessed(const struct cgroup_place *place)
{
	return place->free_name || place->delegated;
}

/* A runtime's broken file costs the names in it, never the container's ID: only -ENOMEM fails. */
static int read_identity(const struct identity_cache *cache, const struct cgroup_place *place,
			 struct identity *out)
{
	struct cgroup_place believed = *place;
	struct identity found = { 0 };
	bool known = !place->delegated || runtime_oci__is_in(cache->root, place);
	int err = -ENOENT;

	/* An ID is no secret. Where anyone may call a cgroup by it, it says nothing of the container. */
	if (!known)
		believed.pod_uid[0] = '\0';
	for (size_t i = 0; known && i < ARRAY_SIZE(runtime) && err == -ENOENT; i++)
		err = runtime[i]->read(cache->state[i], &believed, &found);
	bound_log_path(&found);
	found.complete = err == 0;
	found.sandbox |= place->machine;
	if (err != -ENOMEM)
		err = take_from_cgroup(&found, &believed);
	if (!err && !found.sandbox && !found.log_path)
		err = pod_logs__fill(cache->root, &found);
	if (!err && cache->node_name)
		err = runtime_file__set(&found.node_name, cache->node_name);
	if (!err)
		err = fill_unknown(&found);
	if (err) {
		identity__clear(&found);
		return err;
	}
	*out = found;
	return 0;
}

static struct bucket *find_bucket(const struct identity_cache *cache, const char *container_id)
{
	uint32_t hash = 2166136261U;

	for (; *container_id; container_id++)
		hash = (hash ^ (unsigned char)*container_id) * 16777619U;
	return &cache->buckets[hash & cache->buckets_mask];
}

/*
 * An ID names one container for ever, also when Docker or Podman starts it again in a cgroup with
 * another number. A free name is used again, then in another cgroup. What a user calls cgroups of
 * his own says nothing of another's container.
 */
static struct entry *find_entry(const struct identity_cache *cache,
				const struct cgroup_place *place, uint64_t cgroup_id)
{
	struct entry *entry;

	LIST_FOREACH(entry, find_bucket(cache, place->container_id), same_hash) {
		if (strcmp(entry->identity.container_id, place->container_id) == 0 && entry->uid == place->uid &&
		    entry->guessed == is_guessed(place) && (!entry->guessed || entry->cgroup_id == cgroup_id))
			return entry;
	}
	return NULL;
}

static void remove_entry(struct identity_cache *cache, struct entry *entry)
{
	LIST_REMOVE(entry, same_hash);
	TAILQ_REMOVE(&cache->by_age, entry, age);
	cache->count--;
	identity__clear(&entry->identity);
	identity_cache__free(entry->inside);
	free(entry);
}

/* Takes over what `identity` holds. Returns NULL when memory is out. */
static struct entry *add_entry(struct identity_cache *cache, const struct cgroup_place *place,
			       uint64_t cgroup_id, const struct identity *identity)
{
	struct entry *entry = malloc(sizeof(*entry));

	if (!entry)
		return NULL;
	*entry = (struct entry){ .cgroup_id = cgroup_id,
				 .uid = place->uid,
				 .at = place->at,
				 .guessed = is_guessed(place),
				 .identity = *identity };
	if (cache->count == cache->capacity)
		remove_entry(cache, TAILQ_LAST(&cache->by_age, by_age_head));
	LIST_INSERT_HEAD(find_bucket(cache, place->container_id), entry, same_hash);
	TAILQ_INSERT_HEAD(&cache->by_age, entry, age);
	cache->count++;
	return entry;
}

static void touch_entry(struct identity_cache *cache, struct entry *entry)
{
	TAILQ_REMOVE(&cache->by_age, entry, age);
	TAILQ_INSERT_HEAD(&cache->by_age, entry, age);
}

/* Takes over what `fresh` holds. What was known stays when the files are gone. */
static void renew_entry(struct entry *entry, const struct cgroup_place *place, uint64_t cgroup_id,
			struct identity *fresh)
{
	if (entry->identity.complete && !fresh->complete) {
		identity__clear(fresh);
		return;
	}
	identity__clear(&entry->identity);
	entry->identity = *fresh;
	entry->cgroup_id = cgroup_id;
	entry->at = place->at;
}

static int open_runtimes(struct identity_cache *cache)
{
	int err = 0;

	for (size_t i = 0; i < ARRAY_SIZE(runtime) && !err; i++)
		err = runtime[i]->open(cache->root, &cache->state[i]);
	return err;
}

int identity_cache__new(const char *root, unsigned int capacity, struct identity_cache **out)
{
	struct identity_cache *cache = calloc(1, sizeof(*cache));
	unsigned int buckets = 16;

	if (!cache)
		return -ENOMEM;
	while (buckets < capacity && buckets < 1U << 20)
		buckets *= 2;
	TAILQ_INIT(&cache->by_age);
	cache->capacity = capacity ? capacity : 1;
	cache->buckets_mask = buckets - 1;
	cache->buckets = calloc(buckets, sizeof(*cache->buckets));
	cache->root = strdup(root);
	if (!cache->buckets || !cache->root || open_runtimes(cache)) {
		identity_cache__free(cache);
		return -ENOMEM;
	}
	*out = cache;
	return 0;
}

void identity_cache__free(struct identity_cache *cache)
{
	if (!cache)
		return;
	while (!TAILQ_EMPTY(&cache->by_age))
		remove_entry(cache, TAILQ_FIRST(&cache->by_age));
	for (size_t i = 0; i < ARRAY_SIZE(runtime); i++)
		runtime[i]->close(cache->state[i]);
	free(cache->buckets);
	free(cache->node_name);
	free(cache->root);
	free(cache);
}

/* The identity at a place, remembered or read. NULL as identity_cache__get. */
static struct entry *get_entry(struct identity_cache *cache, uint64_t cgroup_id, const struct cgroup_place *place,
			       bool own_pid_namespace)
{
	struct entry *entry = find_entry(cache, place, cgroup_id);
	struct identity fresh;

	if (entry) {
		touch_entry(cache, entry);
		/*
		 * Another cgroup: it was started again. Those below its own are the container's to make, as many as it
		 * likes; but crun makes one, in which the container is.
		 */
		if (entry->identity.complete && !entry->identity.starting &&
		    (entry->cgroup_id == cgroup_id || place->at > entry->at))
			return entry;
	}
	if (read_identity(cache, place, &fresh))
		goto out_of_memory;
	if (entry) {
		renew_entry(entry, place, cgroup_id, &fresh);
		return entry;
	}
	if (place->free_name && !fresh.complete && !own_pid_namespace) {
		identity__clear(&fresh);
		return NULL;
	}
	entry = add_entry(cache, place, cgroup_id, &fresh);
	if (entry)
		return entry;
	identity__clear(&fresh);
out_of_memory:
	log_error("out of memory: the identity of container %s stays unknown", place->container_id);
	return NULL;
}

/*
 * A container called by a free name may lie around the place: then all in there is its own, and the
 * names below are its own to choose.
 */
static struct entry *get_around(struct identity_cache *cache, uint64_t cgroup_id, const struct cgroup_place *place)
{
	struct cgroup_names names;
	struct cgroup_place around;

	for (unsigned int n = 0; cgroup_path__around(place, n, &names, &around); n++) {
		struct entry *entry = get_entry(cache, cgroup_id, &around, false);

		if (entry && entry->identity.complete)
			return entry;
	}
	return NULL;
}

/* The cache of a node's pods, whose files are below `root`: another one when the node was started again. 0 or -ENOMEM. */
static int prepare_inside(struct entry *entry, const char *root, unsigned int capacity)
{
	int err;

	if (entry->inside && strcmp(entry->inside->root, root) == 0)
		return 0;
	identity_cache__free(entry->inside);
	entry->inside = NULL;
	err = identity_cache__new(root, capacity, &entry->inside);
	if (!err)
		err = runtime_file__set(&entry->inside->node_name, entry->identity.container_name);
	if (err) {
		identity_cache__free(entry->inside);
		entry->inside = NULL;
	}
	return err;
}

/*
 * A container that is a node of Kubernetes has pods in it, known by the files in its root. Only a
 * privileged one is asked: it could do anything to this host anyway.
 */
static const struct identity *get_inside(struct identity_cache *cache, struct entry *entry, uint64_t cgroup_id,
					 const struct cgroup_place *place)
{
	struct cgroup_names names;
	struct cgroup_place inside;
	char root[PATH_MAX];

	if (cache->node_name || !entry->identity.privileged || !cgroup_path__below(place, &names) ||
	    cgroup_path__parse(&names, &inside) || inside.free_name)
		return NULL;
	if (node_root__find(cache->root, place, root))
		return NULL;
	if (prepare_inside(entry, root, cache->capacity))
		return NULL;
	return identity_cache__get(entry->inside, cgroup_id, &names, false);
}

const struct identity *identity_cache__get(struct identity_cache *cache, uint64_t cgroup_id,
					   const struct cgroup_names *names, bool own_pid_namespace)
{
	const struct identity *inside;
	struct cgroup_place place;
	struct entry *entry;

	if (cgroup_path__parse(names, &place))
		return NULL;
	entry = get_around(cache, cgroup_id, &place);
	if (entry)
		return &entry->identity;
	entry = get_entry(cache, cgroup_id, &place, own_pid_namespace);
	if (!entry)
		return NULL;
	inside = get_inside(cache, entry, cgroup_id, &place);
	return inside ? inside : &entry->identity;
}

int identity__init_pipes(const char *root, const struct cgroup_names *names, const char *container_id,
			 uint64_t inode[2])
{
	struct cgroup_names below;
	struct cgroup_place place, inside;
	char node[PATH_MAX];
	int err = cgroup_path__parse(names, &place);

	if (err)
		return err;
	if (strcmp(place.container_id, container_id) == 0 || !cgroup_path__below(&place, &below) ||
	    cgroup_path__parse(&below, &inside) || strcmp(inside.container_id, container_id) != 0)
		return runtime_oci__init_pipes(root, &place, inode);
	err = node_root__find(root, &place, node);
	return err ? err : runtime_oci__init_pipes(node, &inside, inode);
}
