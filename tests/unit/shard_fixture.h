/*
 * Agents that are killed and follow each other on one real ring: each is a process of its own, with
 * a shard and a sink that writes what it reads of the journal into one file. Included once in a
 * program, which is linked with the wraps below (see the Makefile).
 */
#ifndef LOGTAP_SHARD_FIXTURE_H
#define LOGTAP_SHARD_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/config.h"
#include "base/counters.h"
#include "base/log.h"
#include "capture/capture.h"
#include "capture/ring.h"
#include "journal/journal.h"
#include "kubernetes/pods.h"
#include "real_ring.h"
#include "stream/checkpoint.h"
#include "stream/shard.h"


#define RING_SIZE 65536u
#define SLOTS 8u
#define SEGMENT (1u << 20)
#define WRITERS 5u

enum ending { RUNS, LEAVES, PAUSES, FLUSHES };

/* Where the agent kills itself: at the next commit. */
enum dies { LIVES, DIES_BEFORE_COMMIT, DIES_BEHIND_COMMIT };

/* What the kernel would keep: it outlives every agent. */
struct kernel {
	struct stream_slot slots[SLOTS];
	struct shard_state state;
	uint32_t freed[SLOTS];       /* times */
	uint32_t withdrawn[SLOTS];
	bool in_grace;               /* writes to what is withdrawn may still be under way */
	enum ending ending;
	bool sink_waits;             /* nothing is read of the journal */
	bool capturing;              /* the agent's shard runs */
	uint64_t missed;             /* writes that hooks missed */
	struct missed_told missed_told;
	enum dies dies;
	uint32_t missed_looks;
	uint32_t nap;                /* us between the steps of a commit, at random: a kill finds the agent there */
};

struct capture {
	struct real_ring ring;
	struct kernel *kernel;
	uint64_t epoch;
};

int capture__ring_fd(const struct capture *capture, unsigned int shard)
{
	(void)shard;
	return capture->ring.ring_fd;
}

int capture__open_ring(const struct capture *capture, unsigned int shard, struct ring **out)
{
	(void)shard;
	return ring__open(capture->ring.ring_fd, RING_SIZE, out);
}

uint64_t capture__ring_size(const struct capture *capture, unsigned int shard)
{
	(void)capture;
	(void)shard;
	return RING_SIZE;
}

unsigned int capture__shards(const struct capture *capture)
{
	(void)capture;
	return 1;
}

unsigned int capture__max_streams(const struct capture *capture)
{
	(void)capture;
	return SLOTS;
}

struct shard_state *capture__shard_state(const struct capture *capture, unsigned int shard)
{
	(void)shard;
	return &capture->kernel->state;
}

struct stream_slot *capture__slot(const struct capture *capture, uint32_t slot)
{
	return &capture->kernel->slots[slot];
}

bool capture__covers(const struct capture *capture, uint64_t magic)
{
	(void)capture;
	(void)magic;
	return true;
}

uint64_t capture__missed_writes(const struct capture *capture)
{
	uint64_t missed = __atomic_load_n(&capture->kernel->missed, __ATOMIC_ACQUIRE);

	__atomic_fetch_add(&capture->kernel->missed_looks, 1, __ATOMIC_RELEASE);
	return missed;
}

struct missed_told *capture__missed_told(const struct capture *capture)
{
	return &capture->kernel->missed_told;
}

uint64_t capture__withdraw(struct capture *capture, uint32_t slot)
{
	capture->kernel->withdrawn[slot]++;
	return 1;
}

bool capture__grace_is_over(const struct capture *capture, uint64_t grace)
{
	return !grace || !__atomic_load_n(&capture->kernel->in_grace, __ATOMIC_ACQUIRE);
}

void capture__free_slot(struct capture *capture, uint32_t slot)
{
	struct stream_slot *s = &capture->kernel->slots[slot];

	if (s->state == SLOT_FREE)
		return;
	s->lost_bytes = s->lost_writes = 0;
	memset(s->lost_bytes_by, 0, sizeof(s->lost_bytes_by));
	memset(s->lost_writes_by, 0, sizeof(s->lost_writes_by));
	__atomic_store_n(&s->state, SLOT_FREE, __ATOMIC_RELEASE);
	__atomic_add_fetch(&capture->kernel->freed[slot], 1, __ATOMIC_RELEASE);
}

/* The steps of a commit, and the same with naps before them: see the Makefile. */
static const struct kernel *slowed;

/* At the commit of what is told: a shard's first, of nothing, may come late. */
static inline void die(enum dies where)
{
	const volatile struct kernel *kernel = slowed;

	if (kernel && kernel->dies == where && kernel->missed_told.telling)
		raise(SIGKILL);
}

static inline void nap(void)
{
	static uint32_t random;

	random = random * 1664525 + 1013904223 + getpid();
	if (slowed && slowed->nap)
		usleep((random >> 8) % slowed->nap);
}

void __real_checkpoint__commit(struct checkpoint *checkpoint, const struct checkpoint_position *position);
void __wrap_checkpoint__commit(struct checkpoint *checkpoint, const struct checkpoint_position *position);
void __real_journal__publish(struct journal *journal);
void __wrap_journal__publish(struct journal *journal);
void __real_ring__release(struct ring *ring, uint64_t position);
void __wrap_ring__release(struct ring *ring, uint64_t position);
void __real_heap__reclaim(struct heap *heap);
void __wrap_heap__reclaim(struct heap *heap);

void __wrap_checkpoint__commit(struct checkpoint *checkpoint, const struct checkpoint_position *position)
{
	nap();
	die(DIES_BEFORE_COMMIT);
	__real_checkpoint__commit(checkpoint, position);
	die(DIES_BEHIND_COMMIT);
}

void __wrap_journal__publish(struct journal *journal)
{
	nap();
	__real_journal__publish(journal);
}

void __wrap_ring__release(struct ring *ring, uint64_t position)
{
	nap();
	__real_ring__release(ring, position);
}

void __wrap_heap__reclaim(struct heap *heap)
{
	nap();
	__real_heap__reclaim(heap);
}

struct fixture {
	char directory[64];
	char output[96];
	char said[96];               /* what agents wrote to stderr */
	char *files[1];
	char *excluded[1];
	struct config config;
	struct capture capture;
	struct kernel *kernel;
	pid_t agent;
	uint32_t random;
	json_t *records;             /* of the output, without copies */
	unsigned int copies;
	bool no_ring;
	unsigned int patience;       /* seconds from an agent's end on */
};

static inline void make_config(struct fixture *fixture)
{
	static char *every[] = { (char *)"*" };
	struct config *config = &fixture->config;

	fixture->files[0] = (char *)"/app/*";
	config->node = (char *)"n";
	config->record.fields = (struct globs_config){ .allow = every, .allow_count = 1 };
	config->capture.files = fixture->files;
	config->capture.files_count = 1;
	config->lines.max_line = 4096;
	config->lines.memory = 16 << 20;
	config->lines.timeout_ms = 600000;
}

static inline int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	strcpy(fixture->directory, "/dev/shm/logtap-shard-XXXXXX");
	if (!mkdtemp(fixture->directory))
		return -1;
	sprintf(fixture->output, "%s.out", fixture->directory);
	sprintf(fixture->said, "%s.err", fixture->directory);
	fixture->patience = 20;
	make_config(fixture);
	fixture->kernel = mmap(NULL, sizeof(*fixture->kernel), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	slowed = fixture->kernel;
	fixture->capture = (struct capture){ .kernel = fixture->kernel, .epoch = 1 };
	fixture->random = getenv("SEED") ? (uint32_t)atoi(getenv("SEED")) : 1;
	*state = fixture;
	if (!real_ring__open(&fixture->capture.ring, RING_SIZE)) {
		print_message("the kernel lets no syscall program and ring be made here: root, Linux 5.14\n");
		fixture->no_ring = true;
	}
	/* What a killed agent leaves is meant. */
	log_set_level(LOG_LEVEL_ERROR);
	return 0;
}

static inline int teardown(void **state)
{
	struct fixture *fixture = *state;
	struct dirent *entry;
	DIR *dir = opendir(fixture->directory);

	if (fixture->agent > 0)
		kill(fixture->agent, SIGKILL);
	while (dir && (entry = readdir(dir)))
		unlinkat(dirfd(dir), entry->d_name, 0);
	closedir(dir);
	rmdir(fixture->directory);
	unlink(fixture->output);
	unlink(fixture->said);
	real_ring__close(&fixture->capture.ring);
	munmap(fixture->kernel, sizeof(*fixture->kernel));
	json_decref(fixture->records);
	free(fixture);
	return 0;
}

static inline void need_ring(const struct fixture *fixture)
{
	if (fixture->no_ring)
		skip();
}

/* --- an agent */

/* NULL: no agent asks Kubernetes. */
static struct pods *asked_pods;

struct agent {
	struct fixture *fixture;
	struct counters counters;
	struct checkpoint *checkpoint;
	struct journal *journal;
	struct shard *shard;
	int data_fd;
	int space_fd;
	int output;
};

static inline void require(bool right, const char *what)
{
	if (right)
		return;
	fprintf(stderr, "the agent: %s\n", what);
	_exit(1);
}

static inline void open_files(struct agent *agent, const char *id_prefix)
{
	struct fixture *fixture = agent->fixture;
	struct journal_options journal = {
		.directory = fixture->directory,
		.max_size = 2 * SEGMENT,
		.segment_size = SEGMENT,
		.when_full = fixture->config.journal.when_full,
		.data_fd = agent->data_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC),
		.space_fd = agent->space_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC),
	};
	struct checkpoint_options checkpoint = {
		.directory = fixture->directory,
		.streams = SLOTS,
		.heap_limit = 16 << 20,
		.epoch = fixture->capture.epoch,
		.id_prefix = id_prefix,
	};
	struct checkpoint_position position;
	struct journal_mark end;
	bool known;

	agent->output = open(fixture->output, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	require(!checkpoint__open(&checkpoint, &agent->checkpoint), "checkpoint");
	known = checkpoint__position(agent->checkpoint, &position);
	if (known)
		end = (struct journal_mark){ position.journal_number, position.journal_offset };
	require(!journal__open(&journal, known ? &end : NULL, &agent->journal), "journal");
}

static inline struct shard_options shard_options(struct agent *agent, const char *id_prefix)
{
	return (struct shard_options){
		.config = &agent->fixture->config,
		.capture = &agent->fixture->capture,
		.counters = &agent->counters,
		.journal = agent->journal,
		.checkpoint = agent->checkpoint,
		.space_fd = agent->space_fd,
		.pods = asked_pods,
		.root = agent->fixture->directory,
		.id_prefix = id_prefix,
	};
}

static inline void start_agent(struct agent *agent, const char *id_prefix)
{
	struct shard_options shard;

	open_files(agent, id_prefix);
	shard = shard_options(agent, id_prefix);
	require(!shard__start(&shard, &agent->shard), "shard");
	agent->fixture->kernel->capturing = true;
}

/* One write a record: a kill tears none. */
static inline bool deliver(struct agent *agent)
{
	struct journal_record record;
	static char line[65536];

	if (agent->fixture->kernel->sink_waits || !journal__next(agent->journal, &record))
		return false;
	require(record.meta.value_len < sizeof(line), "a long record");
	memcpy(line, record.value, record.meta.value_len);
	line[record.meta.value_len] = '\n';
	require(write(agent->output, line, record.meta.value_len + 1) == record.meta.value_len + 1, "output");
	journal__ack(agent->journal, record.handle);
	return true;
}

static inline void wait_for_data(const struct agent *agent)
{
	struct pollfd data = { .fd = agent->data_fd, .events = POLLIN };
	uint64_t count;

	if (poll(&data, 1, 2) > 0 && read(agent->data_fd, &count, sizeof(count)) < 0)
		return;
}

static inline void run_agent(struct fixture *fixture)
{
	struct agent agent = { .fixture = fixture };
	volatile enum ending *ending = &fixture->kernel->ending;
	struct timespec deadline;
	char id_prefix[32];

	require(freopen(fixture->said, "a", stderr), "stderr");
	sprintf(id_prefix, "a.b.0.%lx.", (unsigned long)fixture->capture.epoch);
	start_agent(&agent, id_prefix);
	while (*ending == RUNS)
		if (!deliver(&agent))
			wait_for_data(&agent);
	shard__finish(agent.shard, *ending == FLUSHES, *ending == PAUSES);
	while (*ending == PAUSES && ((volatile struct kernel *)fixture->kernel)->sink_waits)
		wait_for_data(&agent);
	/* The sink goes on beside it, as in the agent. */
	for (int i = 0; i < 200; i++)
		while (deliver(&agent) || i++ < 100)
			wait_for_data(&agent);
	clock_gettime(CLOCK_MONOTONIC, &deadline);
	deadline.tv_sec += fixture->patience;
	shard__stop(agent.shard, &deadline);
	while (deliver(&agent))
		;
	journal__close(agent.journal);
	checkpoint__free(agent.checkpoint);
	_exit(0);
}

static inline void agent_starts(struct fixture *fixture)
{
	fixture->kernel->ending = RUNS;
	fixture->kernel->capturing = false;
	fixture->agent = fork();
	if (!fixture->agent)
		run_agent(fixture);
	while (!*(volatile bool *)&fixture->kernel->capturing) {
		usleep(200);
		assert_int_equal(waitpid(fixture->agent, NULL, WNOHANG), 0);
	}
}

static inline void agent_is_killed(struct fixture *fixture)
{
	kill(fixture->agent, SIGKILL);
	assert_int_equal(waitpid(fixture->agent, NULL, 0), fixture->agent);
	fixture->agent = 0;
}

/* By itself, where `dies` says, while it ends. */
static inline void agent_dies(struct fixture *fixture, enum dies dies)
{
	int status;

	fixture->kernel->dies = dies;
	fixture->kernel->ending = FLUSHES;
	assert_int_equal(waitpid(fixture->agent, &status, 0), fixture->agent);
	fixture->agent = 0;
	assert_true(WIFSIGNALED(status));
	fixture->kernel->dies = LIVES;
}

static inline void agent_ends(struct fixture *fixture, enum ending ending)
{
	int status;

	fixture->kernel->ending = ending;
	assert_int_equal(waitpid(fixture->agent, &status, 0), fixture->agent);
	fixture->agent = 0;
	assert_int_equal(status, 0);
}

/* --- the kernel half */

static inline void open_slot(struct fixture *fixture, uint32_t slot)
{
	struct stream_slot *s = &fixture->kernel->slots[slot];

	assert_int_equal(s->state, SLOT_FREE);
	s->generation++;
	s->kind = STREAM_FILE;
	s->eof = 0;
	sprintf(s->path, "/app/%u-%u.log", slot, s->generation);
	memset(s->writers, 0, sizeof(s->writers));
	__atomic_store_n(&s->state, SLOT_OPEN, __ATOMIC_RELEASE);
}

/* Waits for room as no real writer does: so that nothing is lost that a test does not mean to lose. */
static inline void send_record(struct fixture *fixture, uint32_t slot, struct record head, const void *payload, uint32_t length)
{
	const struct stream_slot *s = &fixture->kernel->slots[slot];
	char bytes[REAL_RING_VALUE];

	head.version = RECORD_VERSION;
	head.header_length = sizeof(head);
	head.length = sizeof(head) + length;
	head.slot = slot;
	head.generation = s->generation;
	head.time = clock__ns(CLOCK_BOOTTIME);
	head.start_time = 1;
	head.lost_bytes = s->lost_bytes;
	head.lost_writes = s->lost_writes;
	head.write_length = length;
	memcpy(bytes, &head, sizeof(head));
	memcpy(bytes + sizeof(head), payload, length);
	while (real_ring__output(&fixture->capture.ring, bytes, sizeof(head) + length))
		usleep(500);
}

static inline void send_name(struct fixture *fixture, uint32_t slot, uint32_t pid, const char *name)
{
	struct process_payload payload = { .uid = 1 };

	strcpy(payload.name, name);
	send_record(fixture, slot, (struct record){ .type = RECORD_PROCESS, .tgid = pid, .tid = pid, .writer = pid, .way = pid % SLOT_WRITERS },
		    &payload, sizeof(payload));
}

static inline void send_text(struct fixture *fixture, uint32_t slot, uint32_t pid, const char *text)
{
	send_record(fixture, slot, (struct record){ .type = RECORD_DATA, .tgid = pid, .tid = pid, .writer = pid, .way = pid % SLOT_WRITERS },
		    text, strlen(text));
}

static inline void close_slot(struct fixture *fixture, uint32_t slot)
{
	fixture->kernel->slots[slot].state = SLOT_CLOSED;
	send_record(fixture, slot, (struct record){ .type = RECORD_CLOSED }, "", 0);
}

/* --- what came out */

static inline void read_output(struct fixture *fixture)
{
	FILE *file = fopen(fixture->output, "re");
	json_t *ids = json_object(), *json;

	json_decref(fixture->records);
	fixture->records = json_array();
	fixture->copies = 0;
	while (file && (json = json_loadf(file, JSON_DISABLE_EOF_CHECK, NULL))) {
		const char *id = json_string_value(json_object_get(json, "id"));
		const json_t *known = json_object_get(ids, id);

		if (known && !json_equal(known, json))
			fail_msg("two records with the id %s:\n%s\n%s", id, json_dumps(known, 0), json_dumps(json, 0));
		if (known)
			fixture->copies++;
		else
			json_array_append(fixture->records, json);
		json_object_set_new(ids, id, json);
	}
	if (file)
		fclose(file);
	json_decref(ids);
}

static inline const char *text_of(const json_t *json, const char *key)
{
	const char *text = json_string_value(json_object_get(json, key));

	return text ? text : "";
}

static inline bool came(struct fixture *fixture, size_t count)
{
	read_output(fixture);
	return json_array_size(fixture->records) >= count;
}

static inline void await_records(struct fixture *fixture, size_t count)
{
	for (int i = 0; !came(fixture, count); i++) {
		if (i == 3000)
			fail_msg("%zu records, not %zu", json_array_size(fixture->records), count);
		usleep(10000);
	}
}

static inline void expect_record(const struct fixture *fixture, size_t index, const char *message, const char *partial)
{
	const json_t *json = json_array_get(fixture->records, index);

	assert_string_equal(text_of(json, "message"), message);
	assert_string_equal(text_of(json, "partial"), partial);
}

static inline bool was_said(const struct fixture *fixture, const char *text)
{
	FILE *file = fopen(fixture->said, "re");
	char line[1024];
	bool found = false;

	while (file && fgets(line, sizeof(line), file))
		found |= strstr(line, text) != NULL;
	if (file)
		fclose(file);
	return found;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
