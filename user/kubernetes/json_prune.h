/*
 * Leaves out of JSON values what nobody wants, while their bytes come in: what is kept is small and
 * bounded, however large the values are. Kubernetes' objects are mostly managedFields, volumes and
 * conditions. What is left out is not judged, only matched for quotes and brackets; what is kept
 * is JSON if it was. Owner: the thread that feeds it.
 */
#ifndef LOGTAP_JSON_PRUNE_H
#define LOGTAP_JSON_PRUNE_H

#include <stddef.h>

/*
 * Members of an object that are kept, ended by a name of NULL. Without `members`: a scalar, or the
 * scalars right in an object or array. With: of an object those; of an array those of its objects.
 */
struct json_wanted {
	const char *name;
	const struct json_wanted *members;
};

struct json_prune_options {
	const struct json_wanted *wanted;
	size_t bytes_max;            /* of what is kept of one value */
	unsigned int values_max;     /* scalars and containers that are kept of one value */
	/*
	 * Gets what is kept of each object that is whole; NULL: it was too large. Whatever it returns but
	 * 0 ends the feeding.
	 */
	int (*take)(void *owner, const char *text, size_t len);
	void *owner;
	/*
	 * The same bounds for each object of the value's own arrays (a list's items): one that is larger is left out, as
	 * if it were not there, and json_prune__left_out counts it. 0: none.
	 */
	size_t item_bytes_max;
	unsigned int item_values_max;
};

struct json_prune;

int json_prune__new(const struct json_prune_options *options, struct json_prune **out);
void json_prune__free(struct json_prune *prune);
/* Forgets what was begun. */
void json_prune__reset(struct json_prune *prune);
/* Objects may follow each other. 0, -EBADMSG (this is no sequence of objects), -ENOMEM, or what `take` returned. */
int json_prune__feed(struct json_prune *prune, const char *data, size_t len);
/* While `take` runs: how many items of the value were too large. */
unsigned int json_prune__left_out(const struct json_prune *prune);
/* Whether an object has begun and not ended. */
int json_prune__open(const struct json_prune *prune);

#endif
