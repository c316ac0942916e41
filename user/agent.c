#include "agent.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "capture.h"
#include "clock.h"
#include "config.h"
#include "counters.h"
#include "doctor.h"
#include "journal.h"
#include "log.h"
#include "privileges.h"
#include "shard.h"
#include "sink.h"

#define TICK_MS 1000
#define CENSUS_TICKS 10        /* between looks for streams that found no room */
#define SHARD_DEADLINE_MS 5000 /* all three together stay within Kubernetes' 30 s */
#define SINK_DEADLINE_MS 15000
#define SAVE_DEADLINE_MS 8000
#define CONTAINER_ROOT "/proc/1/root"

enum status { STATUS_FINE = 0, STATUS_FAILED = 1, STATUS_USAGE = 2 };

/* Everything that runs, in the order in which it is started. */
struct agent {
	struct config *config;
	struct counters counters;
	const char *root;            /* where the host's files are seen */
	int signals;
	struct capture *capture;
	bool capturing;              /* all of it has started */
	int data_fd;
	int space_fds[SHARDS_MAX];
	char id_prefixes[SHARDS_MAX][64];
	struct journal *journals[SHARDS_MAX]; /* of the shards, then those that earlier runs left */
	unsigned int journals_count;
	int output;                  /* see sink.h */
	struct sink *sink;
	struct shard *shards[SHARDS_MAX];
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

static int open_journal(struct agent *agent, unsigned int shard)
{
	const struct config *config = agent->config;
	unsigned int shards = config->capture.shards;
	char directory[4096], disk[4096];
	struct journal_options options = {
		.directory = directory,
		.max_size = config->journal.max_size / shards,
		.segment_size = config->journal.segment_size,
		.data_fd = agent->data_fd,
		.space_fd = agent->space_fds[shard],
		.when_full = config->journal.when_full,
		.replay = config->journal.replay,
		.disk = {
			.directory = *config->journal.disk.directory ? disk : NULL,
			.max_size = config->journal.disk.max_size / shards,
			.max_age_ms = config->journal.disk.max_age_ms,
			.fsync = config->journal.disk.fsync,
		},
		.orphan = shard >= shards,
		.counters = &agent->counters,
	};
	int err;

	snprintf(directory, sizeof(directory), "%s/shard-%u", config->journal.directory, shard);
	snprintf(disk, sizeof(disk), "%s/shard-%u", config->journal.disk.directory, shard);
	/* Of a run that had more shards: its records are delivered, too. */
	if (options.orphan && access(directory, F_OK) &&
	    (!options.disk.directory || access(disk, F_OK)))
		return 0;
	err = journal__open(&options, NULL, &agent->journals[agent->journals_count]);
	if (err)
		log_error("the journal in %s cannot be opened: %s", directory, strerror(-err));
	else
		agent->journals_count++;
	return err;
}

static int open_journals(struct agent *agent)
{
	unsigned int shards = agent->config->capture.shards;
	int err = 0;

	agent->data_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (agent->data_fd < 0)
		return -errno;
	for (unsigned int i = 0; i < SHARDS_MAX && !err; i++) {
		agent->space_fds[i] = i < shards ? eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) : -1;
		if (i < shards && agent->space_fds[i] < 0)
			return -errno;
		err = open_journal(agent, i);
	}
	return err;
}

static uint32_t hash(const char *text)
{
	uint32_t h = 2166136261u; /* FNV-1a */

	for (; *text; text++)
		h = (h ^ (unsigned char)*text) * 16777619u;
	return h;
}

static uint32_t boot_hash(void)
{
	char id[64] = "";
	FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");

	if (!file)
		return 0;
	if (!fgets(id, sizeof(id), file))
		id[0] = 0;
	fclose(file);
	return hash(id);
}

/* Node, boot, shard and the ring's epoch: what stands before a ring position makes it unique. */
static void make_id_prefixes(struct agent *agent)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	for (unsigned int i = 0; i < agent->config->capture.shards; i++)
		snprintf(agent->id_prefixes[i], sizeof(agent->id_prefixes[i]), "%08x.%08x.%x.%" PRIx64 ".",
			 hash(agent->config->node), boot_hash(), i,
			 (uint64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000);
}

static int start_sink(struct agent *agent)
{
	struct sink_context context = {
		.config = agent->config,
		.journals = agent->journals,
		.journals_count = agent->journals_count,
		.data_fd = agent->data_fd,
		.counters = &agent->counters,
		.output = agent->output,
	};

	return sink__start(&context, &agent->sink);
}

static int start_shards(struct agent *agent)
{
	for (unsigned int i = 0; i < agent->config->capture.shards; i++) {
		struct shard_options options = {
			.config = agent->config,
			.capture = agent->capture,
			.counters = &agent->counters,
			.journal = agent->journals[i],
			.space_fd = agent->space_fds[i],
			.index = i,
			.root = agent->root,
			.id_prefix = agent->id_prefixes[i],
		};
		int err = shard__start(&options, &agent->shards[i]);

		if (err) {
			log_error("shard %u cannot start: %s", i, strerror(-err));
			return err;
		}
	}
	return 0;
}

/*
 * What keeps the kernel from capturing is told in doctor's words. Never -EINVAL, which stands for a
 * wrong configuration.
 */
static int explain(int err)
{
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

static int start(struct agent *agent)
{
	int err = open_signals(agent);

	err = err ? err : open_capture(agent);
	err = err ? err : open_journals(agent);
	if (agent->config->sink == SINK_STDOUT)
		agent->output = sink_stdout__output();
	err = err ? err : drop_privileges();
	make_id_prefixes(agent);
	err = err ? err : start_sink(agent);
	err = err ? err : start_shards(agent);
	if (err)
		return err;
	err = capture__attach(agent->capture);
	return err ? explain(err) : 0;
}

/*
 * Brings in what the kernel half counts. A rise of what was missed is said: it cannot be told
 * in-band.
 */
static void print_counters(struct agent *agent)
{
	agent->counters.value[COUNTER_streams_unregistered] = capture__unregistered(agent->capture);
	agent->counters.value[COUNTER_hooks_missed] = capture__missed(agent->capture);
	counters__print(&agent->counters, stderr);
}

/* True when it is time to end. */
static bool handle_signals(struct agent *agent)
{
	struct signalfd_siginfo info;

	while (read(agent->signals, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo != SIGUSR1)
			return true;
		print_counters(agent);
	}
	return false;
}

static void warn_of_rise(uint64_t *told, uint64_t now, const char *what)
{
	if (now > *told)
		log_warn("%" PRIu64 " %s", now - *told, what);
	*told = now;
}

static int watch(struct agent *agent)
{
	struct pollfd signals = { .fd = agent->signals, .events = POLLIN };
	uint64_t unregistered = 0, missed = 0;

	for (unsigned int ticks = 1;; ticks++) {
		if (poll(&signals, 1, TICK_MS) > 0 && handle_signals(agent))
			return 0;
		if (sink__failed(agent->sink))
			return -EIO;
		if (ticks % CENSUS_TICKS)
			continue;
		warn_of_rise(&unregistered, capture__unregistered(agent->capture),
			     "streams found no room: raise capture.max_streams");
		warn_of_rise(&missed, capture__missed(agent->capture),
			     "times the kernel skipped a hook, as a preempted task was inside it: what was written then is not captured");
		capture__retry_census(agent->capture);
	}
}

static void stop_shards(struct agent *agent, unsigned int deadline_ms)
{
	struct timespec deadline;

	clock_gettime(CLOCK_MONOTONIC, &deadline);
	deadline.tv_sec += deadline_ms / 1000;
	for (int i = 0; i < SHARDS_MAX; i++)
		if (agent->shards[i])
			shard__finish(agent->shards[i]);
	for (int i = 0; i < SHARDS_MAX; i++)
		if (agent->shards[i])
			shard__stop(agent->shards[i], &deadline);
}

/* What the sink did not take goes to disk, all within one time. */
static void close_journals(struct agent *agent)
{
	uint64_t end = clock__ms() + SAVE_DEADLINE_MS;

	for (unsigned int i = 0; i < agent->journals_count; i++) {
		uint64_t now = clock__ms();

		journal__save(agent->journals[i], now < end ? end - now : 0);
		journal__close(agent->journals[i]);
	}
}

/*
 * In the order of the data's way, so that what was captured is delivered. Returns the sink's
 * status.
 */
static int stop(struct agent *agent)
{
	bool failed = agent->sink && sink__failed(agent->sink);
	int err = 0;

	if (agent->capture)
		capture__detach(agent->capture);
	stop_shards(agent, failed ? 0 : SHARD_DEADLINE_MS);
	if (agent->sink)
		err = sink__stop(agent->sink, SINK_DEADLINE_MS);
	if (agent->capturing)
		print_counters(agent);
	close_journals(agent);
	capture__close(agent->capture);
	config__free(agent->config);
	return err;
}

int agent__run(const char *path)
{
	static struct agent agent = { .signals = -1, .data_fd = -1 };
	int err = config__load(path, stderr, &agent.config);

	if (err)
		return STATUS_USAGE;
	agent.root = host_root();
	err = start(&agent);
	if (err) {
		stop(&agent);
		return err == -EINVAL ? STATUS_USAGE : STATUS_FAILED;
	}
	agent.capturing = true;
	log_info("capturing (%u %s, sink %s)", agent.config->capture.shards,
		 agent.config->capture.shards == 1 ? "shard" : "shards",
		 agent.config->sink == SINK_KAFKA ? "kafka" : "stdout");
	err = watch(&agent);
	if (!err)
		log_info("ending: delivering what is left, for at most %d s",
			 (SHARD_DEADLINE_MS + SINK_DEADLINE_MS) / 1000);
	err = stop(&agent) ? -EIO : err;
	return err ? STATUS_FAILED : STATUS_FINE;
}
