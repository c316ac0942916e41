#include "kube_watch.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

#include "base/clock.h"
#include "base/counters.h"
#include "base/log.h"
#include "kube_client.h"
#include "kube_timing.h"
#include "pod_json.h"

/* Objects of a page. It is halved when what is kept of a page is too large. */
#define PAGE_FIRST 250
#define LIST_BYTES_MAX (8u << 20)
#define LIST_VALUES_MAX (1u << 17)
#define VERSION_MAX 128
#define CONTINUE_MAX 8192
/* After so many failures of the watch in a row what is known is no longer trusted. */
#define FAILURES_MAX 3
/* A watch that the server ends sooner, without an event, is as good as a failure. */
#define WATCH_LEAST_MS 1000
/* A watch that is open for so long works. */
#define OPEN_MS 1000
#define HTTP_GATEWAY_TIMEOUT 504
/* Beyond the time that the server was given. */
#define WATCH_GRACE_MS 15000

enum phase { PHASE_LIST, PHASE_WATCH };

struct kube_watch {
	struct kube_watch_options options;
	enum phase phase;
	struct kube_request *request;
	struct json_prune *prune;    /* of the request */
	uint64_t due_ms;             /* the next request */
	unsigned int failures;       /* in a row */
	char *version;               /* resourceVersion up to which all is known; NULL: nothing is */
	char *next;                  /* the token of the list's next page */
	unsigned int page;
	bool listed;                 /* a list was complete once */
	bool exact;                  /* the server's caches are not to be asked: they had forgotten, know no pages, or know less than we do */
	uint64_t listed_ms;
	uint64_t begun_ms;           /* of the request */
	uint64_t opened_ms;          /* when the watch was granted; 0: it is not, or that is told */
	bool taken;                  /* the page was whole, or the watch had an event */
	bool bookmarks;              /* the server sends them */
	bool unwatched;              /* a failure of the watch was told, and none has been open since */
	struct kube_answer error;    /* what an event or a page told; failure KUBE_FINE: none */
	char why[KUBE_WHY_SIZE];
};

int kube_watch__new(const struct kube_watch_options *options, struct kube_watch **out)
{
	struct kube_watch *watch = calloc(1, sizeof(*watch));

	if (!watch)
		return -ENOMEM;
	watch->options = *options;
	watch->page = PAGE_FIRST;
	*out = watch;
	return 0;
}

void kube_watch__free(struct kube_watch *watch)
{
	if (!watch)
		return;
	kube_request__cancel(watch->request);
	json_prune__free(watch->prune);
	free(watch->version);
	free(watch->next);
	free(watch);
}

/* The request ends with this. */
static int fail(struct kube_watch *watch, enum kube_failure failure, const char *why)
{
	watch->error.failure = failure;
	snprintf(watch->why, sizeof(watch->why), "%s", why);
	return -EBADMSG;
}

static int set_version(struct kube_watch *watch, const json_t *object)
{
	const char *version = pod_json__text(json_object_get(object, "metadata"), "resourceVersion");
	char *copy;

	if (!version || strlen(version) > VERSION_MAX)
		return fail(watch, KUBE_GARBAGE, "its answer has no resourceVersion");
	copy = strdup(version);
	if (!copy)
		return -ENOMEM;
	free(watch->version);
	watch->version = copy;
	return 0;
}

static void hand_over(struct kube_watch *watch, const json_t *object, bool deleted)
{
	int err = watch->options.handler->object(watch->options.owner, object, deleted);

	if (!err)
		return;
	counters__add(watch->options.counters, COUNTER_kube_errors, 1);
	log_debug("Kubernetes: an object of %s is left out: %s", watch->options.path, strerror(-err));
}

/* --- a page of the list */

static int set_next(struct kube_watch *watch, const json_t *list)
{
	const json_t *token = json_object_get(json_object_get(list, "metadata"), "continue");
	size_t len = json_string_length(token);

	free(watch->next);
	watch->next = NULL;
	if (!len)
		return 0;
	if (len > CONTINUE_MAX || strlen(json_string_value(token)) != len)
		return fail(watch, KUBE_GARBAGE, "its continue token is too long");
	watch->next = strdup(json_string_value(token));
	return watch->next ? 0 : -ENOMEM;
}

static int take_page(void *owner, const char *text, size_t len)
{
	struct kube_watch *watch = owner;
	json_t *list, *items, *item;
	int err;
	size_t i;

	if (!text) {
		/* From its caches the server gives the whole list, whatever page is asked for. */
		watch->exact = true;
		watch->page /= 2;
		return fail(watch, KUBE_GARBAGE, watch->page ? "a page of the list is too large; asking for smaller ones" :
				       "an object is too large");
	}
	list = json_loadb(text, len, JSON_ALLOW_NUL, NULL);
	items = json_object_get(list, "items");
	/* Of none at all it is null. */
	if (watch->taken || !items || !(json_is_array(items) || json_is_null(items))) {
		json_decref(list);
		return fail(watch, KUBE_GARBAGE, "its answer is no list");
	}
	watch->taken = true;
	counters__add(watch->options.counters, COUNTER_kube_errors, json_prune__left_out(watch->prune));
	json_array_foreach(items, i, item)
		hand_over(watch, item, false);
	err = set_version(watch, list);
	err = err ? err : set_next(watch, list);
	json_decref(list);
	return err;
}

/* --- an event of the watch */

static int take_error(struct kube_watch *watch, const json_t *status)
{
	json_int_t code = json_integer_value(json_object_get(status, "code"));
	const char *message = pod_json__text(status, "message");

	return fail(watch, code == 410 ? KUBE_GONE : KUBE_REFUSED, message ?: "an error without a message");
}

/* Who sends them sends them again: silence is no peace from here on. */
static void expect_bookmarks(struct kube_watch *watch)
{
	watch->bookmarks = true;
	kube_request__set_silence(watch->request, watch->options.timing->bookmark_ms);
}

static int take_parsed(struct kube_watch *watch, const json_t *event)
{
	const char *type = pod_json__text(event, "type") ?: "";
	const json_t *object = json_object_get(event, "object");
	bool deleted = strcmp(type, "DELETED") == 0;

	if (!json_is_object(object))
		return fail(watch, KUBE_GARBAGE, "an event has no object");
	if (strcmp(type, "ERROR") == 0)
		return take_error(watch, object);
	if (strcmp(type, "BOOKMARK") == 0)
		expect_bookmarks(watch);
	else if (deleted || strcmp(type, "ADDED") == 0 || strcmp(type, "MODIFIED") == 0)
		hand_over(watch, object, deleted);
	return set_version(watch, object);
}

static void tell_fine(struct kube_watch *watch)
{
	const struct kube_answer fine = { .failure = KUBE_FINE, .status = 200 };

	watch->opened_ms = 0;
	watch->unwatched = false;
	watch->options.handler->state(watch->options.owner, &fine);
}

static int take_event(void *owner, const char *text, size_t len)
{
	struct kube_watch *watch = owner;
	json_t *event;
	int err;

	counters__add(watch->options.counters, COUNTER_kube_events, 1);
	if (!text) {
		counters__add(watch->options.counters, COUNTER_kube_errors, 1);
		return 0;
	}
	event = json_loadb(text, len, JSON_ALLOW_NUL, NULL);
	err = event ? take_parsed(watch, event) : fail(watch, KUBE_GARBAGE, "an event is no JSON");
	json_decref(event);
	if (err)
		return err;
	watch->taken = true;
	watch->failures = 0;
	if (watch->opened_ms)
		tell_fine(watch);
	return 0;
}

/* --- requests */

static void on_open(void *owner)
{
	struct kube_watch *watch = owner;

	if (watch->phase == PHASE_WATCH)
		watch->opened_ms = clock__ms();
}

static int on_body(void *owner, const char *data, size_t len)
{
	struct kube_watch *watch = owner;
	int err = json_prune__feed(watch->prune, data, len);

	if (err && watch->error.failure == KUBE_FINE)
		return fail(watch, KUBE_GARBAGE, "its answer is no JSON");
	return err;
}

static void begin_list(struct kube_watch *watch)
{
	watch->phase = PHASE_LIST;
	free(watch->next);
	watch->next = NULL;
}

/* The server knows no more what happened since the version that is known. */
static void forget(struct kube_watch *watch)
{
	begin_list(watch);
	watch->exact = true;
}

static void on_failure(struct kube_watch *watch, const struct kube_answer *answer)
{
	const struct kube_timing *timing = watch->options.timing;
	bool watching = watch->phase == PHASE_WATCH;
	uint64_t pause_ms = kube_timing__pause_ms(timing, &watch->failures);
	uint64_t asked_ms = answer->retry_ms < timing->retry_max_ms ? answer->retry_ms : timing->retry_max_ms;

	/* The first time at once: it is no failure of anybody's. */
	if (answer->failure == KUBE_GONE && watch->failures == 1)
		pause_ms = 0;
	/* "Too large resource version": one that was restored from a backup may never come to what is known. */
	if (watch->phase == PHASE_LIST && answer->status == HTTP_GATEWAY_TIMEOUT)
		watch->exact = true;
	if (answer->failure == KUBE_GONE)
		forget(watch);
	else if (watch->phase == PHASE_LIST || watch->failures >= FAILURES_MAX)
		begin_list(watch);
	if (!watch->page)
		watch->page = 1;
	if (answer->failure == KUBE_FORBIDDEN)
		pause_ms = timing->retry_max_ms;
	watch->due_ms = clock__ms() + (asked_ms > pause_ms ? asked_ms : pause_ms);
	if (answer->failure == KUBE_GONE)
		return;
	watch->unwatched |= watching;
	counters__add(watch->options.counters, COUNTER_kube_errors, 1);
	watch->options.handler->state(watch->options.owner, answer);
}

static void end_page(struct kube_watch *watch)
{
	watch->due_ms = 0;
	if (watch->next)
		return;
	watch->phase = PHASE_WATCH;
	watch->listed = true;
	watch->listed_ms = clock__ms();
	watch->exact = false;
	watch->options.handler->end(watch->options.owner);
	if (!watch->unwatched)
		tell_fine(watch);
}

static void end_watch(struct kube_watch *watch)
{
	const struct kube_timing *timing = watch->options.timing;
	uint64_t now_ms = clock__ms();

	watch->due_ms = 0;
	if (!watch->taken && now_ms - watch->begun_ms < WATCH_LEAST_MS)
		watch->due_ms = now_ms + kube_timing__pause_ms(timing, &watch->failures);
	else
		watch->failures = 0;
	if (now_ms - watch->listed_ms >= timing->resync_ms)
		begin_list(watch);
}

static void on_end(void *owner, const struct kube_answer *answer)
{
	struct kube_watch *watch = owner;
	struct kube_answer failed = *answer;

	watch->request = NULL;
	watch->opened_ms = 0;
	if (failed.failure == KUBE_FINE &&
	    (json_prune__open(watch->prune) || (watch->phase == PHASE_LIST && !watch->taken)))
		fail(watch, KUBE_GARBAGE, "its answer breaks off");
	if (watch->error.failure != KUBE_FINE) {
		failed.failure = watch->error.failure;
		failed.why = watch->why;
	}
	if (failed.failure != KUBE_FINE)
		on_failure(watch, &failed);
	else if (watch->phase == PHASE_LIST)
		end_page(watch);
	else
		end_watch(watch);
}

/* Escapes are for the query's values. The caller frees it. */
static char *list_path(const struct kube_watch *watch, const char *selector)
{
	/* From the server's cache, which knows the pods of a node without looking at all of the cluster's. */
	const char *version = watch->exact ? "" : watch->version ?: "0";
	char *escaped = curl_easy_escape(NULL, watch->next ?: version, 0);
	char *path = NULL;

	if (!escaped || asprintf(&path, "%s?limit=%u&fieldSelector=%s%s%s", watch->options.path, watch->page, selector,
				 watch->next ? "&continue=" : *version ? "&resourceVersion=" : "", escaped) < 0)
		path = NULL;
	curl_free(escaped);
	return path;
}

static char *watch_path(const struct kube_watch *watch, const char *selector)
{
	char *version = curl_easy_escape(NULL, watch->version, 0);
	uint64_t seconds = (watch->options.timing->watch_ms + 999) / 1000;
	char *path = NULL;

	if (!version || asprintf(&path,
				 "%s?watch=1&allowWatchBookmarks=true&resourceVersion=%s&timeoutSeconds=%" PRIu64
				 "&fieldSelector=%s",
				 watch->options.path, version, seconds, selector) < 0)
		path = NULL;
	curl_free(version);
	return path;
}

static int request(struct kube_watch *watch, char *path, bool list)
{
	static const struct kube_handler handler = { .open = on_open, .body = on_body, .end = on_end };
	const struct kube_timing *timing = watch->options.timing;
	uint64_t watch_ms = timing->watch_ms + WATCH_GRACE_MS;
	struct json_prune_options options = {
		.wanted = list ? pod_json_list : pod_json_event,
		.bytes_max = list ? LIST_BYTES_MAX : POD_JSON_OBJECT_BYTES_MAX,
		.values_max = list ? LIST_VALUES_MAX : POD_JSON_OBJECT_VALUES_MAX,
		.take = list ? take_page : take_event,
		.owner = watch,
		.item_bytes_max = POD_JSON_OBJECT_BYTES_MAX,
		.item_values_max = POD_JSON_OBJECT_VALUES_MAX,
	};
	struct kube_get get = {
		.path = path,
		.total_ms = list ? timing->request_ms : watch_ms,
		.silence_ms = list ? timing->request_silence_ms : watch->bookmarks ? timing->bookmark_ms : watch_ms,
		.handler = &handler,
		.owner = watch,
	};
	struct json_prune *prune;
	int err = json_prune__new(&options, &prune);

	if (err)
		return err;
	json_prune__free(watch->prune);
	watch->prune = prune;
	return kube_client__get(watch->options.client, &get, &watch->request);
}

static int start_request(struct kube_watch *watch)
{
	char *selector = curl_easy_escape(NULL, watch->options.selector, 0);
	bool list = watch->phase == PHASE_LIST;
	char *path = !selector ? NULL : list ? list_path(watch, selector) : watch_path(watch, selector);
	int err = path ? request(watch, path, list) : -ENOMEM;

	curl_free(selector);
	free(path);
	return err;
}

uint64_t kube_watch__turn(struct kube_watch *watch, uint64_t now_ms)
{
	/* An error may follow what was granted. */
	if (watch->opened_ms && now_ms - watch->opened_ms >= OPEN_MS)
		tell_fine(watch);
	if (watch->request)
		return UINT64_MAX;
	if (now_ms < watch->due_ms)
		return watch->due_ms;
	watch->taken = false;
	watch->error.failure = KUBE_FINE;
	watch->begun_ms = now_ms;
	if (watch->phase == PHASE_LIST && !watch->next) {
		if (watch->listed)
			counters__add(watch->options.counters, COUNTER_kube_relists, 1);
		watch->options.handler->begin(watch->options.owner);
	}
	if (!start_request(watch))
		return UINT64_MAX;
	watch->due_ms = now_ms + watch->options.timing->retry_max_ms;
	return watch->due_ms;
}
