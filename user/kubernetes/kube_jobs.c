#include "kube_jobs.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

#include "base/clock.h"
#include "base/log.h"
#include "kube_client.h"
#include "kube_timing.h"
#include "pod.h"
#include "pod_json.h"

#define JOB_BYTES_MAX (1u << 20)
#define JOB_VALUES_MAX (1u << 13)
/* After we were told that we may not. */
#define FORBIDDEN_MS (10 * 60000)
/* Pods that wait for one Job; more do not wait. */
#define HELD_MAX 256

struct held {
	struct held *next;
	struct pod *pod;
	bool deleted;
};

struct job {
	struct job *next;            /* an older one */
	struct kube_jobs *jobs;
	char *namespace;
	char *name;
	char *uid;                   /* of this one; another may have the name later. NULL: not known */
	char *cron_job;              /* NULL: none made it */
	char *cron_job_uid;
	struct kube_request *request; /* NULL: it is known */
	struct json_prune *prune;
	struct held *held, **held_end;
	unsigned int held_count;
};

struct kube_jobs {
	struct kube_client *client;
	const struct kube_timing *timing;
	kube_jobs_ready *ready;
	void *owner;
	struct job *first;
	unsigned int count;
	uint64_t forbidden_ms;       /* until when nothing is asked */
	bool forbidden_told;
};

int kube_jobs__new(struct kube_client *client, const struct kube_timing *timing, kube_jobs_ready *ready, void *owner,
		   struct kube_jobs **out)
{
	struct kube_jobs *jobs = calloc(1, sizeof(*jobs));

	if (!jobs)
		return -ENOMEM;
	jobs->client = client;
	jobs->timing = timing;
	jobs->ready = ready;
	jobs->owner = owner;
	*out = jobs;
	return 0;
}

static void free_job(struct job *job)
{
	struct held *held;

	if (!job)
		return;
	kube_request__cancel(job->request);
	json_prune__free(job->prune);
	while ((held = job->held)) {
		job->held = held->next;
		pod__put(held->pod);
		free(held);
	}
	free(job->namespace);
	free(job->name);
	free(job->uid);
	free(job->cron_job);
	free(job->cron_job_uid);
	free(job);
}

void kube_jobs__free(struct kube_jobs *jobs)
{
	struct job *job;

	if (!jobs)
		return;
	while ((job = jobs->first)) {
		jobs->first = job->next;
		free_job(job);
	}
	free(jobs);
}

static void drop(struct job *job)
{
	struct job **at = &job->jobs->first;

	while (*at != job)
		at = &(*at)->next;
	*at = job->next;
	job->jobs->count--;
	free_job(job);
}

/* The pod is in nobody else's hands yet. Without memory it stays the Job's. */
static void give(struct kube_jobs *jobs, const struct job *job, struct pod *pod, bool deleted)
{
	char *name = job && job->cron_job ? strdup(job->cron_job) : NULL;
	char *kind = name ? strdup("CronJob") : NULL;

	if (kind) {
		free(pod->workload_name);
		free(pod->workload_kind);
		free(pod->workload_uid);
		pod->workload_name = name;
		pod->workload_kind = kind;
		pod->workload_uid = job->cron_job_uid ? strdup(job->cron_job_uid) : NULL;
	} else {
		free(name);
	}
	jobs->ready(jobs->owner, pod, deleted);
}

static void release(struct job *job)
{
	struct held *held;

	while ((held = job->held)) {
		job->held = held->next;
		give(job->jobs, job, held->pod, held->deleted);
		free(held);
	}
	job->held_end = &job->held;
	job->held_count = 0;
}

static bool may_be(const char *uid, const char *other)
{
	return !uid || !other || strcmp(uid, other) == 0;
}

static int take_job(void *owner, const char *text, size_t len)
{
	struct job *job = owner;
	json_t *object = text ? json_loadb(text, len, JSON_ALLOW_NUL, NULL) : NULL;
	const json_t *controller = pod_json__controller(object);
	const char *kind = pod_json__text(controller, "kind");
	const char *name = pod_json__text(controller, "name");
	const char *uid = pod_json__short_text(controller, "uid");
	const char *its_uid = pod_json__short_text(json_object_get(object, "metadata"), "uid");

	if (kind && name && strcmp(kind, "CronJob") == 0 && !job->cron_job && may_be(its_uid, job->uid)) {
		job->cron_job = strdup(name);
		job->cron_job_uid = uid ? strdup(uid) : NULL;
	}
	json_decref(object);
	return object ? 0 : -EBADMSG;
}

static int on_body(void *owner, const char *data, size_t len)
{
	return json_prune__feed(((struct job *)owner)->prune, data, len);
}

static void on_end(void *owner, const struct kube_answer *answer)
{
	struct job *job = owner;
	struct kube_jobs *jobs = job->jobs;

	job->request = NULL;
	json_prune__free(job->prune);
	job->prune = NULL;
	release(job);
	if (answer->failure == KUBE_FINE)
		return;
	/* The next of its pods has it asked again. */
	drop(job);
	if (answer->failure != KUBE_FORBIDDEN)
		return;
	jobs->forbidden_ms = clock__ms() + FORBIDDEN_MS;
	if (!jobs->forbidden_told)
		log_warn("Kubernetes: logtap may not get jobs.batch (%s), so that a CronJob's pods are told as their Job's; allow `get` on jobs in its ClusterRole",
			 answer->why);
	jobs->forbidden_told = true;
}

static int ask(struct job *job)
{
	static const struct kube_handler handler = { .body = on_body, .end = on_end };
	struct json_prune_options options = {
		.wanted = pod_json_object, .bytes_max = JOB_BYTES_MAX, .values_max = JOB_VALUES_MAX,
		.take = take_job, .owner = job,
	};
	char *namespace = curl_easy_escape(NULL, job->namespace, 0);
	char *name = curl_easy_escape(NULL, job->name, 0);
	char *path = NULL;
	int err = -ENOMEM;

	if (namespace && name && asprintf(&path, "/apis/batch/v1/namespaces/%s/jobs/%s", namespace, name) < 0)
		path = NULL;
	if (path && !json_prune__new(&options, &job->prune)) {
		struct kube_get get = { path, job->jobs->timing->job_ms, 0, &handler, job };

		err = kube_client__get(job->jobs->client, &get, &job->request);
	}
	curl_free(namespace);
	curl_free(name);
	free(path);
	return err;
}

static struct job *find(struct kube_jobs *jobs, const struct pod *pod)
{
	struct job *job = jobs->first;

	while (job && (strcmp(job->name, pod->owner_name) || strcmp(job->namespace, pod->namespace) ||
		       !may_be(job->uid, pod->owner_uid)))
		job = job->next;
	return job;
}

/* One that is being asked for stays; it is over in a second. */
static bool make_room(struct kube_jobs *jobs)
{
	struct job *oldest = NULL;

	if (jobs->count < KUBE_JOBS_MAX)
		return true;
	for (struct job *job = jobs->first; job; job = job->next)
		if (!job->request)
			oldest = job;
	if (oldest)
		drop(oldest);
	return oldest;
}

static struct job *add(struct kube_jobs *jobs, const struct pod *pod)
{
	struct job *job;

	if (!jobs->client || clock__ms() < jobs->forbidden_ms || !make_room(jobs))
		return NULL;
	job = calloc(1, sizeof(*job));
	if (!job)
		return NULL;
	job->jobs = jobs;
	job->held_end = &job->held;
	job->namespace = strdup(pod->namespace);
	job->name = strdup(pod->owner_name);
	job->uid = pod->owner_uid ? strdup(pod->owner_uid) : NULL;
	if (!job->namespace || !job->name || (pod->owner_uid && !job->uid) || ask(job)) {
		free_job(job);
		return NULL;
	}
	job->next = jobs->first;
	jobs->first = job;
	jobs->count++;
	return job;
}

static struct held *find_held(const struct job *job, const struct pod *pod)
{
	struct held *held = job->held;

	while (held && (strcmp(held->pod->uid, pod->uid) || !pod__same_name(held->pod, pod)))
		held = held->next;
	return held;
}

/* Of one pod the latest alone: who finds no room is not overtaken later by what it was. */
static bool hold(struct job *job, struct pod *pod, bool deleted)
{
	struct held *held = find_held(job, pod);

	if (held) {
		pod__put(held->pod);
		held->pod = pod;
		held->deleted = deleted;
		return true;
	}
	held = job->held_count < HELD_MAX ? calloc(1, sizeof(*held)) : NULL;
	if (!held)
		return false;
	held->pod = pod;
	held->deleted = deleted;
	*job->held_end = held;
	job->held_end = &held->next;
	job->held_count++;
	return true;
}

void kube_jobs__resolve(struct kube_jobs *jobs, struct pod *pod, bool deleted)
{
	bool of_job = pod->owner_kind && strcmp(pod->owner_kind, "Job") == 0;
	struct job *job = of_job ? find(jobs, pod) : NULL;

	if (of_job && !job)
		job = add(jobs, pod);
	if (job && job->request && hold(job, pod, deleted))
		return;
	give(jobs, job, pod, deleted);
}
