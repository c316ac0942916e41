#include "kubernetes.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <curl/curl.h>

#include "base/clock.h"
#include "base/config.h"
#include "base/counters.h"
#include "base/log.h"
#include "kube_access.h"
#include "kube_client.h"
#include "kube_jobs.h"
#include "kube_labels.h"
#include "kube_poll.h"
#include "kube_timing.h"
#include "kube_trouble.h"
#include "kube_watch.h"
#include "kubeconfig.h"
#include "pod.h"
#include "pod_json.h"
#include "pods.h"

#define TICK_MS 1000
/* The namespace whose uid is the cluster's, for pods of all namespaces. */
#define CLUSTERS "kube-system"

static const struct kube_timing default_timing = KUBE_TIMING_DEFAULT;

/* Objects that pods belong to, with labels that are wanted. */
struct around {
	struct kubernetes *kubernetes;
	struct kube_watch *watch;    /* NULL: not wanted */
	struct kube_labels *labels;
	struct kube_trouble trouble;
	bool settled;                /* they are known, or it is known that they are not to be had */
};

struct kubernetes {
	char *node;
	struct counters *counters;
	struct pods *pods;
	const struct kube_timing *timing;
	struct kube_access *access;
	struct kube_client *client;
	struct kube_jobs *jobs;
	struct kube_watch *watch;    /* of pods; NULL: polled */
	struct kube_poll *poll;
	struct kube_trouble trouble;
	struct around namespaces, nodes;
	char *node_selector, *name_selector;
	bool full_told;
	bool stopping;               /* atomic */
	bool started;
	pthread_t thread;
};

/* --- what comes of a pod */

/* NULL takes away what was there. */
static int replace_text(char **out, const char *text)
{
	char *made = text ? strdup(text) : NULL;

	if (text && !made)
		return -ENOMEM;
	free(*out);
	*out = made;
	return 0;
}

/* `before`: the same pod as it was known; NULL where `pod` has what it said. */
static int put_namespace(const struct kube_labels *namespaces, const struct pod *before, struct pod *pod)
{
	int err = 0;

	if (kube_labels__knows(namespaces, pod->namespace)) {
		err = kube_labels__put(namespaces, pod->namespace, &pod->namespace_labels);
		err = err ? err : replace_text(&pod->namespace_uid, kube_labels__uid(namespaces, pod->namespace));
	} else if (before) {
		err = labels__copy(&pod->namespace_labels, &before->namespace_labels);
		err = err ? err : replace_text(&pod->namespace_uid, before->namespace_uid);
	}
	return err ? err : replace_text(&pod->cluster_uid, kube_labels__uid(namespaces, CLUSTERS));
}

static int put_node(const struct kube_labels *nodes, const char *node, const struct pod *before, struct pod *pod)
{
	int err = 0;

	if (kube_labels__knows(nodes, node)) {
		err = kube_labels__put(nodes, node, &pod->node_labels);
		err = err ? err : replace_text(&pod->node_uid, kube_labels__uid(nodes, node));
		err = err ? err : replace_text(&pod->node_hostname, kube_labels__hostname(nodes, node));
	} else if (before) {
		err = labels__copy(&pod->node_labels, &before->node_labels);
		err = err ? err : replace_text(&pod->node_uid, before->node_uid);
		err = err ? err : replace_text(&pod->node_hostname, before->node_hostname);
	}
	return err;
}

/* Of what is gone from the cluster a pod keeps what it had. */
static int put_around(const struct kubernetes *kubernetes, const struct pod *before, struct pod *pod)
{
	int err = 0;

	if (kubernetes->namespaces.labels)
		err = put_namespace(kubernetes->namespaces.labels, before, pod);
	if (!err && kubernetes->nodes.labels)
		err = put_node(kubernetes->nodes.labels, kubernetes->node, before, pod);
	return err;
}

/* A new one, which has nothing yet of what is around it. */
static int put_first_around(const struct kubernetes *kubernetes, struct pod *pod)
{
	const struct pod *before = pods__get(kubernetes->pods, pod->uid, pod->namespace, pod->name);
	int err = put_around(kubernetes, before && pod__same_name(before, pod) ? before : NULL, pod);

	pod__put(before);
	return err;
}

static int publish(struct kubernetes *kubernetes, struct pod *pod)
{
	uint64_t version = pods__version(kubernetes->pods);
	int err = pods__publish(kubernetes->pods, pod);

	if (pods__version(kubernetes->pods) != version)
		counters__add(kubernetes->counters, COUNTER_kube_pods, 1);
	if (!err)
		return 0;
	counters__add(kubernetes->counters, COUNTER_kube_errors, 1);
	if (!kubernetes->full_told)
		log_warn("Kubernetes: a pod is left out: %s",
			 err == -ENOSPC ? "there are too many on this node" : strerror(-err));
	kubernetes->full_told = true;
	return err;
}

/*
 * A deleted one is published as well: it may have come and gone between two looks. What is around it is put here, as it may have
 * changed while the pod waited for its Job.
 */
static void on_ready(void *owner, struct pod *pod, bool deleted)
{
	struct kubernetes *kubernetes = owner;
	const struct pod *held = deleted ? pod__get(pod) : NULL;
	int err = put_first_around(kubernetes, pod);

	if (err) {
		counters__add(kubernetes->counters, COUNTER_kube_errors, 1);
		log_debug("Kubernetes: pod %s is left out: %s", pod->uid, strerror(-err));
		pod__put(pod);
	} else {
		publish(kubernetes, pod);
	}
	if (deleted)
		pods__remove(kubernetes->pods, held);
	pod__put(held);
}

static void on_begin(void *owner)
{
	pods__list_begin(((struct kubernetes *)owner)->pods);
}

static int on_object(void *owner, const json_t *object, bool deleted)
{
	struct kubernetes *kubernetes = owner;
	struct pod *pod;
	int err = pod_json__parse(object, &pod);

	if (!err)
		kube_jobs__resolve(kubernetes->jobs, pod, deleted);
	return err;
}

static void on_end(void *owner)
{
	pods__list_end(((struct kubernetes *)owner)->pods);
}

static void on_state(void *owner, const struct kube_answer *answer)
{
	kube_trouble__tell(&((struct kubernetes *)owner)->trouble, answer);
}

static const struct kube_watch_handler pods_handler = {
	.begin = on_begin, .object = on_object, .end = on_end, .state = on_state,
};

/* --- what is around pods */

/* Without memory a pod keeps what it had. */
static void refresh(struct kubernetes *kubernetes, const struct pod *pod)
{
	struct pod *copy = pod__copy(pod);

	if (!copy)
		return;
	if (put_around(kubernetes, NULL, copy))
		pod__put(copy);
	else
		publish(kubernetes, copy);
}

/* `namespace` NULL: all pods. */
static void refresh_all(struct kubernetes *kubernetes, const char *namespace)
{
	const struct pod **all;
	unsigned int count;

	if (pods__all(kubernetes->pods, &all, &count))
		return;
	for (unsigned int i = 0; i < count; i++) {
		if (!namespace || strcmp(all[i]->namespace, namespace) == 0)
			refresh(kubernetes, all[i]);
		pod__put(all[i]);
	}
	free(all);
}

static void on_namespace(void *owner, const char *name)
{
	refresh_all(owner, strcmp(name, CLUSTERS) ? name : NULL);
}

static void on_node(void *owner, const char *name)
{
	(void)name;
	refresh_all(owner, NULL);
}

static void on_around_begin(void *owner)
{
	kube_labels__begin(((struct around *)owner)->labels);
}

static int on_around_object(void *owner, const json_t *object, bool deleted)
{
	return kube_labels__object(((struct around *)owner)->labels, object, deleted);
}

static void on_around_end(void *owner)
{
	kube_labels__end(((struct around *)owner)->labels);
}

/* What befalls the server as a whole is told of pods alone. */
static void on_around_state(void *owner, const struct kube_answer *answer)
{
	struct around *around = owner;

	around->settled = true;
	if (answer->failure == KUBE_FINE || answer->failure == KUBE_FORBIDDEN || answer->failure == KUBE_REFUSED)
		kube_trouble__tell(&around->trouble, answer);
}

static const struct kube_watch_handler around_handler = {
	.begin = on_around_begin, .object = on_around_object, .end = on_around_end, .state = on_around_state,
};

/* --- the thread */

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Pods come when what is around them is there, so that the first line of each has it. */
static uint64_t turn(struct kubernetes *kubernetes, uint64_t now_ms)
{
	struct around *arounds[] = { &kubernetes->namespaces, &kubernetes->nodes };
	uint64_t due_ms = now_ms + TICK_MS;
	bool settled = true;

	for (int i = 0; i < 2; i++) {
		if (!arounds[i]->watch)
			continue;
		due_ms = least(due_ms, kube_watch__turn(arounds[i]->watch, now_ms));
		settled &= arounds[i]->settled;
	}
	if (kubernetes->poll)
		return least(due_ms, kube_poll__turn(kubernetes->poll, now_ms));
	return settled ? least(due_ms, kube_watch__turn(kubernetes->watch, now_ms)) : due_ms;
}

static void look_for_wanted(struct kubernetes *kubernetes)
{
	uint64_t wanted;

	if (read(pods__wanted_fd(kubernetes->pods), &wanted, sizeof(wanted)) == sizeof(wanted))
		kube_poll__want(kubernetes->poll);
}

static void *run(void *context)
{
	struct kubernetes *kubernetes = context;
	int fd = kubernetes->poll ? pods__wanted_fd(kubernetes->pods) : -1;
	uint64_t expired_ms = 0;

	while (!__atomic_load_n(&kubernetes->stopping, __ATOMIC_ACQUIRE)) {
		uint64_t now_ms = clock__ms();
		uint64_t due_ms = turn(kubernetes, now_ms);

		kube_client__turn(kubernetes->client, due_ms > now_ms ? due_ms - now_ms : 0, fd);
		if (kubernetes->poll)
			look_for_wanted(kubernetes);
		if (now_ms - expired_ms < TICK_MS)
			continue;
		pods__expire(kubernetes->pods, now_ms);
		expired_ms = now_ms;
	}
	return NULL;
}

/* --- start and stop */

static int make_around(struct kubernetes *kubernetes, struct around *around, const char *path, const char *selector,
		       void (*changed)(void *owner, const char *name))
{
	struct kube_watch_options options = {
		.client = kubernetes->client, .counters = kubernetes->counters, .timing = kubernetes->timing,
		.path = path, .selector = selector, .handler = &around_handler, .owner = around,
	};
	int err = kube_labels__new(changed, kubernetes, &around->labels);

	around->kubernetes = kubernetes;
	around->trouble.server = kubernetes->access->server;
	return err ? err : kube_watch__new(&options, &around->watch);
}

static int make_arounds(struct kubernetes *kubernetes, const struct kubernetes_options *options)
{
	int err = 0;

	kubernetes->namespaces.trouble = (struct kube_trouble){
		.what = "namespaces", .rights = "`get`, `list` and `watch` on namespaces", .lost = "their labels",
	};
	kubernetes->nodes.trouble = (struct kube_trouble){
		.what = "this node", .rights = "`get`, `list` and `watch` on nodes", .lost = "its labels",
	};
	if (options->namespace_labels)
		err = make_around(kubernetes, &kubernetes->namespaces, "/api/v1/namespaces", "", on_namespace);
	if (!err && options->node_labels)
		err = make_around(kubernetes, &kubernetes->nodes, "/api/v1/nodes", kubernetes->name_selector, on_node);
	return err;
}

static int make_selectors(struct kubernetes *kubernetes, const char *node)
{
	kubernetes->node = strdup(node);
	if (asprintf(&kubernetes->node_selector, "spec.nodeName=%s", node) < 0)
		kubernetes->node_selector = NULL;
	if (asprintf(&kubernetes->name_selector, "metadata.name=%s", node) < 0)
		kubernetes->name_selector = NULL;
	return kubernetes->node && kubernetes->node_selector && kubernetes->name_selector ? 0 : -ENOMEM;
}

static int make(struct kubernetes *kubernetes, const struct kubernetes_options *options, bool kubelet)
{
	struct kube_watch_options pods = {
		.counters = kubernetes->counters, .timing = kubernetes->timing,
		.path = kubelet ? "/pods" : "/api/v1/pods", .handler = &pods_handler, .owner = kubernetes,
	};
	int err = make_selectors(kubernetes, options->node);

	kubernetes->trouble = (struct kube_trouble){
		.server = kubernetes->access->server, .what = "pods", .lost = "labels",
		.rights = kubelet ? "`get` on nodes/pods (before Kubernetes 1.33 nodes/proxy)" :
				    "`get`, `list` and `watch` on pods",
	};
	pods.selector = kubernetes->node_selector;
	err = err ? err : kube_client__new(kubernetes->access, kubernetes->counters, &kubernetes->client);
	pods.client = kubernetes->client;
	err = err ? err : kube_jobs__new(kubelet ? NULL : kubernetes->client, kubernetes->timing, on_ready, kubernetes, &kubernetes->jobs);
	if (kubelet)
		return err ? err : kube_poll__new(&pods, &kubernetes->poll);
	err = err ? err : kube_watch__new(&pods, &kubernetes->watch);
	return err ? err : make_arounds(kubernetes, options);
}

static int from_kubeconfig(const char *path, struct kube_access **out)
{
	char why[KUBE_WHY_SIZE] = "out of memory";
	int err = kubeconfig__load(path, out, why, sizeof(why));

	if (err)
		log_error("kubernetes.kubeconfig: %s cannot be used: %s", path, why);
	return err && err != -ENOMEM ? -EINVAL : err;
}

/* -ENOENT: nobody is to be asked. */
static int find_access(const struct kubernetes_config *config, const char *secrets, struct kube_access **out)
{
	int err;

	if (config->source == KUBERNETES_NONE)
		return -ENOENT;
	if (config->source == KUBERNETES_KUBELET)
		return kube_access__kubelet(config->kubelet, secrets, config->kubelet_ca, config->kubelet_insecure, out);
	if (*config->kubeconfig)
		return from_kubeconfig(config->kubeconfig, out);
	err = kube_access__in_cluster(secrets, out);
	if (err == -EINVAL)
		log_error("KUBERNETES_SERVICE_HOST or KUBERNETES_SERVICE_PORT is no address; Kubernetes sets them, leave them");
	if (err != -ENOENT || config->source == KUBERNETES_AUTO)
		return err;
	log_error("kubernetes.source: api needs a cluster or a kubeconfig: KUBERNETES_SERVICE_HOST is not set and kubernetes.kubeconfig is empty");
	return -EINVAL;
}

int kubernetes__start(const struct kubernetes_options *options, struct kubernetes **out)
{
	struct kubernetes *kubernetes;
	struct kube_access *access;
	int err = find_access(options->config, options->secrets ?: KUBE_SECRETS, &access);

	if (err == -ENOENT)
		*out = NULL;
	if (err)
		return err == -ENOENT ? 0 : err;
	kubernetes = calloc(1, sizeof(*kubernetes));
	if (!kubernetes || curl_global_init(CURL_GLOBAL_DEFAULT)) {
		kube_access__free(access);
		free(kubernetes);
		return -ENOMEM;
	}
	kubernetes->access = access;
	kubernetes->counters = options->counters;
	kubernetes->pods = options->pods;
	kubernetes->timing = options->timing ?: &default_timing;
	err = make(kubernetes, options, options->config->source == KUBERNETES_KUBELET);
	err = err ? err : -pthread_create(&kubernetes->thread, NULL, run, kubernetes);
	kubernetes->started = !err;
	if (err)
		kubernetes__stop(kubernetes);
	else
		*out = kubernetes;
	return err;
}

static void free_around(struct around *around)
{
	kube_watch__free(around->watch);
	kube_labels__free(around->labels);
}

void kubernetes__stop(struct kubernetes *kubernetes)
{
	if (!kubernetes)
		return;
	if (kubernetes->started) {
		__atomic_store_n(&kubernetes->stopping, true, __ATOMIC_RELEASE);
		kube_client__wake(kubernetes->client);
		pthread_join(kubernetes->thread, NULL);
	}
	kube_watch__free(kubernetes->watch);
	kube_poll__free(kubernetes->poll);
	free_around(&kubernetes->namespaces);
	free_around(&kubernetes->nodes);
	kube_jobs__free(kubernetes->jobs);
	kube_client__free(kubernetes->client);
	kube_access__free(kubernetes->access);
	free(kubernetes->node);
	free(kubernetes->node_selector);
	free(kubernetes->name_selector);
	free(kubernetes);
	curl_global_cleanup();
}
