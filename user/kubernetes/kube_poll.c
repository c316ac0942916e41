#include "kube_poll.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/counters.h"
#include "kube_client.h"
#include "kube_timing.h"
#include "pod_json.h"

#define LIST_BYTES_MAX (16u << 20)
#define LIST_VALUES_MAX (1u << 18)

struct kube_poll {
	struct kube_watch_options options;
	struct kube_request *request;
	struct json_prune *prune;
	bool taken;              /* the list was whole */
	bool too_large;
	bool wanted;
	uint64_t begun_ms;       /* 0: never */
	uint64_t due_ms;
	unsigned int failures;   /* in a row */
};

/* False when it is no list. */
static bool hand_over(const struct kube_poll *poll, const json_t *list)
{
	const struct kube_watch_options *options = &poll->options;
	const json_t *items = json_object_get(list, "items");
	const json_t *item;
	size_t i;

	if (!json_is_array(items) && !json_is_null(items))
		return false;
	counters__add(options->counters, COUNTER_kube_errors, json_prune__left_out(poll->prune));
	options->handler->begin(options->owner);
	json_array_foreach(items, i, item)
		if (options->handler->object(options->owner, item, false))
			counters__add(options->counters, COUNTER_kube_errors, 1);
	options->handler->end(options->owner);
	return true;
}

static int take_list(void *owner, const char *text, size_t len)
{
	struct kube_poll *poll = owner;
	json_t *list = text && !poll->taken ? json_loadb(text, len, JSON_ALLOW_NUL, NULL) : NULL;

	poll->too_large = !text;
	poll->taken = hand_over(poll, list);
	json_decref(list);
	return poll->taken ? 0 : -EBADMSG;
}

int kube_poll__new(const struct kube_watch_options *options, struct kube_poll **out)
{
	struct kube_poll *poll = calloc(1, sizeof(*poll));
	struct json_prune_options prune = {
		.wanted = pod_json_list, .bytes_max = LIST_BYTES_MAX, .values_max = LIST_VALUES_MAX,
		.take = take_list, .owner = poll,
		.item_bytes_max = POD_JSON_OBJECT_BYTES_MAX, .item_values_max = POD_JSON_OBJECT_VALUES_MAX,
	};

	if (!poll)
		return -ENOMEM;
	poll->options = *options;
	if (json_prune__new(&prune, &poll->prune)) {
		free(poll);
		return -ENOMEM;
	}
	*out = poll;
	return 0;
}

void kube_poll__free(struct kube_poll *poll)
{
	if (!poll)
		return;
	kube_request__cancel(poll->request);
	json_prune__free(poll->prune);
	free(poll);
}

void kube_poll__want(struct kube_poll *poll)
{
	poll->wanted = true;
}

static int on_body(void *owner, const char *data, size_t len)
{
	return json_prune__feed(((struct kube_poll *)owner)->prune, data, len);
}

/* The kubelet has no pages: of a list that is too large nothing is taken, and what is known stays. */
static const char *why_not_taken(const struct kube_poll *poll)
{
	return poll->too_large ? "what is wanted of its list of pods is more than 16 MiB or 262144 values, and none of it is taken; "
				 "with `source: api` it comes in pages" :
				 "its answer breaks off";
}

static void on_end(void *owner, const struct kube_answer *answer)
{
	struct kube_poll *poll = owner;
	const struct kube_timing *timing = poll->options.timing;
	struct kube_answer failed = *answer;
	uint64_t now_ms = clock__ms();

	poll->request = NULL;
	if (poll->too_large || (failed.failure == KUBE_FINE && !poll->taken)) {
		failed.failure = KUBE_GARBAGE;
		failed.why = why_not_taken(poll);
	}
	if (failed.failure == KUBE_FINE) {
		poll->failures = 0;
		poll->due_ms = poll->begun_ms + timing->poll_ms;
	} else {
		counters__add(poll->options.counters, COUNTER_kube_errors, 1);
		poll->due_ms = now_ms + kube_timing__pause_ms(timing, &poll->failures);
	}
	poll->options.handler->state(poll->options.owner, &failed);
}

/* While it fails, a pod that is missed does not make it come sooner. */
static uint64_t due_ms(const struct kube_poll *poll)
{
	uint64_t soon_ms = poll->begun_ms + poll->options.timing->poll_least_ms;

	return poll->wanted && !poll->failures && soon_ms < poll->due_ms ? soon_ms : poll->due_ms;
}

uint64_t kube_poll__turn(struct kube_poll *poll, uint64_t now_ms)
{
	static const struct kube_handler handler = { .body = on_body, .end = on_end };
	const struct kube_timing *timing = poll->options.timing;
	struct kube_get get = {
		.path = poll->options.path, .total_ms = timing->request_ms,
		.silence_ms = timing->request_silence_ms, .handler = &handler, .owner = poll,
	};

	if (poll->request)
		return UINT64_MAX;
	if (now_ms < due_ms(poll))
		return due_ms(poll);
	poll->wanted = false;
	poll->taken = false;
	poll->too_large = false;
	poll->begun_ms = now_ms;
	json_prune__reset(poll->prune);
	if (!kube_client__get(poll->options.client, &get, &poll->request))
		return UINT64_MAX;
	poll->due_ms = now_ms + timing->poll_ms;
	return poll->due_ms;
}
