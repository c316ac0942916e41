/*
 * Pairs of names and values as people give them to containers, pods, namespaces and nodes, in the
 * order of the names. Owner: whoever holds the struct; not shared between threads while it changes.
 * Untrusted text: any bytes but NUL.
 */
#ifndef LOGTAP_LABELS_H
#define LOGTAP_LABELS_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

/* Bytes of all names and values: twice what Kubernetes allows for a pod's annotations. */
#define LABELS_BYTES_MAX (512u << 10)
/* Whoever writes them chooses the order, in which each may have to go before all others. */
#define LABELS_COUNT_MAX 4096

struct label {
	char *name;
	char *value;
};

/* All zero: none. */
struct labels {
	struct label *label;
	unsigned int count;
	size_t bytes;            /* of all names and values, without their NULs */
};

/* A name that is there already gets the new value. 0, -ENOMEM, or -E2BIG beyond LABELS_BYTES_MAX or LABELS_COUNT_MAX. */
int labels__set(struct labels *labels, const char *name, const char *value);
/* The strings of an object, by their keys; what is no string or holds a NUL is left out. As labels__set. */
int labels__set_all(struct labels *labels, const json_t *object);
/* NULL when there is none of that name. */
const char *labels__get(const struct labels *labels, const char *name);
/* Into an empty one. 0 or -ENOMEM: some may be copied then. */
int labels__copy(struct labels *labels, const struct labels *from);
bool labels__equal(const struct labels *one, const struct labels *other);
/* Leaves it empty. */
void labels__free(struct labels *labels);

#endif
