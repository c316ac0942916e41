/*
 * libFuzzer on all that reads what a Kubernetes server says: the pruning, in steps of any length,
 * of lists and events, and a pod out of each object. The first two bytes choose. What is kept of
 * JSON must be JSON, and what is wanted of it must be kept.
 */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../user/kubernetes/json_prune.h"
#include "../../user/kubernetes/pod.h"
#include "../../user/kubernetes/pod_json.h"

#define BYTES_MAX 65536
#define VALUES_MAX 4096

struct seen {
	unsigned int count;
	json_t *first;               /* what was kept of the first object, if it is JSON */
};

static void check_pod(const json_t *object)
{
	struct pod *pod, *copy;

	if (pod_json__parse(object, &pod))
		return;
	if (!*pod->uid || !*pod->name || !*pod->namespace || pod->labels.bytes > LABELS_BYTES_MAX)
		abort();
	copy = pod__copy(pod);
	if (!copy || !pod__equal(pod, copy))
		abort();
	pod__put(copy);
	pod__put(pod);
}

static int take(void *owner, const char *text, size_t len)
{
	struct seen *seen = owner;
	json_t *object = text ? json_loadb(text, len, JSON_ALLOW_NUL, NULL) : NULL;
	const json_t *items = json_object_get(object, "items");

	if (len > BYTES_MAX)
		abort();
	check_pod(json_object_get(object, "object"));
	for (size_t i = 0; i < json_array_size(items); i++)
		check_pod(json_array_get(items, i));
	if (seen->count++)
		json_decref(object);
	else
		seen->first = object;
	return 0;
}

/*
 * The text as one object, without what json_prune leaves out: what a pod is made of must be the same,
 * but where a key is given twice or has escapes, which are not resolved.
 */
static void compare(const char *text, size_t len, const struct seen *seen)
{
	json_t *whole = json_loadb(text, len, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, NULL);
	struct pod *a = NULL, *b = NULL;

	if (json_is_object(whole) && !memchr(text, '\\', len) && seen->count == 1 && seen->first) {
		int err = pod_json__parse(json_object_get(whole, "object"), &a);

		if (err != pod_json__parse(json_object_get(seen->first, "object"), &b))
			abort();
		if (!err && !pod__equal(a, b))
			abort();
	}
	/* What is whole is taken; what is kept of it is JSON, or too much. */
	if (json_is_object(whole) && seen->count != 1)
		abort();
	pod__put(a);
	pod__put(b);
	json_decref(whole);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct seen seen = { 0 };
	struct json_prune_options options = { NULL, BYTES_MAX, VALUES_MAX, take, &seen, BYTES_MAX / 2, VALUES_MAX / 2 };
	struct json_prune *prune;
	size_t step;
	int err = 0;

	if (size < 2)
		return 0;
	options.wanted = data[0] & 1 ? pod_json_list : pod_json_event;
	step = data[1] ? data[1] : size;
	data += 2;
	size -= 2;
	if (json_prune__new(&options, &prune))
		abort();
	for (size_t at = 0; !err && at < size; at += step)
		err = json_prune__feed(prune, (const char *)data + at, size - at < step ? size - at : step);
	if (err && err != -EBADMSG)
		abort();
	if (options.wanted == pod_json_event)
		compare((const char *)data, size, &seen);
	json_decref(seen.first);
	json_prune__free(prune);
	return 0;
}
