#include "agent.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/config.h"
#include "base/counters.h"
#include "base/log.h"
#include "base/privileges.h"
#include "capture/capture.h"
#include "config/config_load.h"
#include "doctor.h"
#include "kubernetes/kubernetes.h"
#include "kubernetes/pods.h"
#include "pipeline.h"
#include "sink/sink.h"

#define TICK_MS 1000
#define CENSUS_TICKS 10        /* between looks for streams that found no room */
#define CONTAINER_ROOT "/proc/1/root"

enum status { STATUS_FINE = 0, STATUS_FAILED = 1, STATUS_USAGE = 2 };

/* Everything that runs, in the order in which it is started. */
struct agent {
	const char *path;            /* of the configuration; NULL: the defaults */
	struct config *config;
	struct counters counters;
	const char *root;            /* where the host's files are seen */
	int signals;
	struct capture *capture;
	bool capturing;              /* all of it has started */
	bool detach;                 /* capture is to end with us */
	struct capture_missed told;  /* what was said of it */
	int output;                  /* see sink_stdout__output */
	uint64_t labels_version;     /* of the pods, when streams were last looked for that these leave out */
	struct pods *pods;           /* what is known of the node's; it outlives who fills it */
	struct kubernetes *kubernetes; /* NULL: nobody is asked */
	struct pipeline *pipeline;
};

/*
 * In a container the host's files are below init's root, if its mount namespace is another than
 * ours.
 */
static const char *host_root(void)
{
	struct stat init, self;

	if (stat("/proc/1/ns/mnt", &init) || stat("/proc/self/ns/mnt", &self))
		return "";
	return init.st_ino == self.st_ino ? "" : CONTAINER_ROOT;
}

/* What nohup or a shell's & has had ignored stays so. */
static void add_unless_ignored(sigset_t *set, int signal)
{
	struct sigaction action;

	if (!sigaction(signal, NULL, &action) && action.sa_handler == SIG_IGN)
		return;
	sigaddset(set, signal);
}

static int open_signals(struct agent *agent)
{
	sigset_t set;

	sigemptyset(&set);
	add_unless_ignored(&set, SIGINT);
	add_unless_ignored(&set, SIGTERM);
	add_unless_ignored(&set, SIGHUP);
	sigaddset(&set, SIGUSR1);
	/* Before any thread starts, so that all inherit it. */
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	agent->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return agent->signals < 0 ? -errno : 0;
}

/*
 * What keeps the kernel from capturing is told in doctor's words. Never -EINVAL, which stands for a
 * wrong configuration.
 */
static int explain(int err)
{
	if (err == -EALREADY)
		return -EPERM;
	if (doctor__explain(stderr) == 0)
		log_error("capture cannot start: %s; `logtap run -v` tells what the kernel said", strerror(-err));
	return -EPERM;
}

static int open_capture(struct agent *agent)
{
	int err = capture__open(agent->config, &agent->capture);

	return err ? explain(err) : 0;
}

static int drop_privileges(void)
{
	int err = privileges__drop();

	if (err)
		log_error("capabilities cannot be given up: %s", strerror(-err));
	return err;
}

/* For records, and as a namespace may have the label by which Vector leaves out its pods. */
static bool wants_namespaces(const struct config *config)
{
	return config->record.namespace_labels.allow_count || config->selection.annotations;
}

static int start_kubernetes(struct agent *agent)
{
	struct kubernetes_options options = {
		.config = &agent->config->kubernetes,
		.node = agent->config->node,
		.counters = &agent->counters,
		.pods = agent->pods,
		.namespace_labels = wants_namespaces(agent->config),
		.node_labels = agent->config->record.node_labels.allow_count,
	};

	return kubernetes__start(&options, &agent->kubernetes);
}

static int start_pipeline(struct agent *agent)
{
	struct pipeline_options options = {
		.config = agent->config,
		.capture = agent->capture,
		.counters = &agent->counters,
		.pods = agent->kubernetes ? agent->pods : NULL,
		.root = agent->root,
		.output = agent->output,
	};

	return pipeline__start(&options, &agent->pipeline);
}

static int start(struct agent *agent)
{
	int err = open_signals(agent);

	err = err ? err : open_capture(agent);
	agent->output = sink_stdout__output();
	err = err ? err : drop_privileges();
	err = err ? err : pods__new(&agent->pods);
	err = err ? err : start_kubernetes(agent);
	err = err ? err : start_pipeline(agent);
	if (err)
		return err;
	err = capture__attach(agent->capture);
	return err ? explain(err) : 0;
}

/* The first shard tells the writes in-band (shard__tell_missed); whose they were nobody knows. */
static void tell_missed(struct agent *agent)
{
	struct capture_missed now = capture__missed(agent->capture);

	if (now.hooks > agent->told.hooks)
		log_warn("%" PRIu64 " times the kernel skipped a hook, as a preempted task was inside it: %" PRIu64 " writes to whatever file or pipe may not be captured; a gap record of the node tells them (hooks_missed)",
			 now.hooks - agent->told.hooks,
			 now.writes > agent->told.writes ? now.writes - agent->told.writes : 0);
	/* It may be found that fewer were missed. */
	if (now.hooks > agent->told.hooks)
		agent->told.hooks = now.hooks;
	if (now.writes > agent->told.writes)
		agent->told.writes = now.writes;
}

/* Brings in what the kernel half counts. */
static void print_counters(struct agent *agent)
{
	struct capture_missed missed = capture__missed(agent->capture);

	agent->counters.value[COUNTER_streams_unregistered] = capture__unregistered(agent->capture);
	agent->counters.value[COUNTER_hooks_missed] = missed.hooks;
	agent->counters.value[COUNTER_hooks_missed_writes] = missed.writes;
	agent->counters.value[COUNTER_hooks_rescued_writes] = missed.rescued;
	counters__print(&agent->counters, stderr);
}

/* The names of places hold what is not delivered yet: they stay as long as we run. */
static bool may_follow(const struct config *now, const struct config *next)
{
	const char *key = NULL;

	if (strcmp(now->capture.pin, next->capture.pin))
		key = "capture.pin";
	else if (strcmp(now->journal.directory, next->journal.directory))
		key = "journal.directory";
	else if (*now->journal.disk.directory &&
		 strcmp(now->journal.disk.directory, next->journal.disk.directory))
		key = "journal.disk.directory";
	if (key)
		log_error("the configuration stays as it was: %s cannot change while logtap runs; restart it",
			  key);
	return !key;
}

static bool same_kubernetes(const struct config *one, const struct config *other)
{
	const struct kubernetes_config *a = &one->kubernetes, *b = &other->kubernetes;

	return wants_namespaces(one) == wants_namespaces(other) &&
	       !one->record.node_labels.allow_count == !other->record.node_labels.allow_count &&
	       a->source == b->source && a->kubelet_insecure == b->kubelet_insecure &&
	       strcmp(one->node, other->node) == 0 && strcmp(a->kubeconfig, b->kubeconfig) == 0 &&
	       strcmp(a->kubelet, b->kubelet) == 0 && strcmp(a->kubelet_ca, b->kubelet_ca) == 0;
}

/* What is known of pods stays. */
static int follow_kubernetes(struct agent *agent, const struct config *before)
{
	if (same_kubernetes(before, agent->config))
		return 0;
	kubernetes__stop(agent->kubernetes);
	agent->kubernetes = NULL;
	return start_kubernetes(agent);
}

/*
 * Goes over to `config`, with a new pipeline: what is captured meanwhile waits in the rings. The pipeline comes first: should
 * its sink not start, capture has not missed anything. 0 or -errno: half of it may have been done then.
 */
static int follow_config(struct agent *agent, struct config *config)
{
	const struct config *before = agent->config;
	bool selects_anew = !config__selects_alike(before, config);
	int err;

	/* Should its sink have failed, the next one may be right. */
	pipeline__stop(agent->pipeline, PIPELINE_PAUSE);
	agent->pipeline = NULL;
	agent->config = config;
	err = follow_kubernetes(agent, before);
	err = err ? err : start_pipeline(agent);
	return err ? err : capture__reload(agent->capture, config, selects_anew);
}

/* SIGHUP. A configuration that cannot be used changes nothing. */
static int reload(struct agent *agent)
{
	struct config *before = agent->config;
	struct config *next;
	int err;

	if (!pipeline__may_pause()) {
		log_error("the configuration stays as it was: the clients of sinks before have not ended (is a name server silent?); send SIGHUP again later");
		return 0;
	}
	if (config__load(agent->path, stderr, &next)) {
		log_error("the configuration stays as it was, for the file has mistakes");
		return 0;
	}
	if (!may_follow(agent->config, next)) {
		config__free(next);
		return 0;
	}
	err = follow_config(agent, next);
	if (!err) {
		config__free(before);
		log_info("the configuration is loaded anew");
		return 0;
	}
	log_error("the new configuration cannot be used: %s; going on with the one before", strerror(-err));
	err = follow_config(agent, before);
	config__free(next);
	return err;
}

/* 0, 1 when it is time to end, or -errno. */
static int handle_signals(struct agent *agent)
{
	struct signalfd_siginfo info;
	int err = 0;

	while (!err && read(agent->signals, &info, sizeof(info)) == sizeof(info)) {
		switch (info.ssi_signo) {
		case SIGUSR1:
			print_counters(agent);
			break;
		case SIGHUP:
			err = reload(agent);
			break;
		default:
			/* Who is at a terminal is done; who restarts us wants capture to go on. */
			agent->detach = info.ssi_signo == SIGINT;
			return 1;
		}
	}
	return err;
}

static void tell_unregistered(struct agent *agent)
{
	uint64_t count = capture__tell_unregistered(agent->capture);

	if (count)
		log_warn("%" PRIu64 " streams found no room: raise capture.max_streams", count);
}

/* Streams that their pods had left out may be wanted: shards decide, once they are found again. */
static void follow_labels(struct agent *agent)
{
	uint64_t version = pods__labels_version(agent->pods);

	if (version == agent->labels_version)
		return;
	if (!capture__find_withdrawn(agent->capture))
		agent->labels_version = version;
}

static int watch(struct agent *agent)
{
	struct pollfd signals = { .fd = agent->signals, .events = POLLIN };

	for (unsigned int ticks = 1;; ticks++) {
		int end = poll(&signals, 1, TICK_MS) > 0 ? handle_signals(agent) : 0;

		if (end)
			return end < 0 ? end : 0;
		if (pipeline__failed(agent->pipeline))
			return -EIO;
		capture__forget_drained(agent->capture);
		capture__wait_withdrawn(agent->capture);
		if (ticks % CENSUS_TICKS)
			continue;
		tell_unregistered(agent);
		tell_missed(agent);
		follow_labels(agent);
		capture__retry_census(agent->capture);
	}
}

/* Returns the sink's status. */
static int stop(struct agent *agent)
{
	bool end = agent->capture && (agent->detach || !capture__pinned(agent->capture));
	int err;

	if (end)
		capture__stop(agent->capture);
	err = pipeline__stop(agent->pipeline, end ? PIPELINE_FLUSH : PIPELINE_LEAVE);
	/* Not before the rings are read: killed until here, the next agent reads them. */
	if (end)
		capture__detach(agent->capture);
	kubernetes__stop(agent->kubernetes);
	pods__free(agent->pods);
	if (agent->capturing) {
		tell_missed(agent);
		print_counters(agent);
	}
	capture__close(agent->capture);
	config__free(agent->config);
	return err;
}

int agent__run(const char *path)
{
	static struct agent agent = { .signals = -1, .output = -EBADF };
	int err = config__load(path, stderr, &agent.config);

	if (err)
		return STATUS_USAGE;
	agent.path = path;
	agent.root = host_root();
	err = start(&agent);
	if (err) {
		stop(&agent);
		return err == -EINVAL ? STATUS_USAGE : STATUS_FAILED;
	}
	agent.capturing = true;
	log_info("capturing (%u %s, sink %s)", capture__shards(agent.capture),
		 capture__shards(agent.capture) == 1 ? "shard" : "shards",
		 agent.config->sink == SINK_KAFKA ? "kafka" : "stdout");
	err = watch(&agent);
	if (!err)
		log_info("ending: delivering what is left, for at most %d s",
			 PIPELINE_STOP_MS / 1000);
	err = stop(&agent) ? -EIO : err;
	return err ? STATUS_FAILED : STATUS_FINE;
}
