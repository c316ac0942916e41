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

#include "../../user/capture.h"
#include "../../user/checkpoint.h"
#include "../../user/clock.h"
#include "../../user/config.h"
#include "../../user/counters.h"
#include "../../user/journal.h"
#include "../../user/log.h"
#include "../../user/pods.h"
#include "../../user/ring.h"
#include "../../user/shard.h"
#include "real_ring.h"

/*
 * Agents that are killed and follow each other on one real ring: each is a process of its own, with
 * a shard and a sink that writes what it reads of the journal into one file.
 */

#define RING_SIZE 65536u
#define SLOTS 8u
#define SEGMENT (1u << 20)
#define WRITERS 5u

enum ending { RUNS, LEAVES, PAUSES, FLUSHES };

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
	capture->kernel->freed[slot]++;
	__atomic_store_n(&s->state, SLOT_FREE, __ATOMIC_RELEASE);
}

/* The steps of a commit, and the same with naps before them: see the Makefile. */
static const struct kernel *slowed;

static void nap(void)
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
	__real_checkpoint__commit(checkpoint, position);
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

static void make_config(struct fixture *fixture)
{
	struct config *config = &fixture->config;

	fixture->files[0] = (char *)"/app/*";
	config->node = (char *)"n";
	config->capture.files = fixture->files;
	config->capture.files_count = 1;
	config->lines.max_line = 4096;
	config->lines.memory = 16 << 20;
	config->lines.timeout_ms = 600000;
}

static int setup(void **state)
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

static int teardown(void **state)
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

static void need_ring(const struct fixture *fixture)
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

static void require(bool right, const char *what)
{
	if (right)
		return;
	fprintf(stderr, "the agent: %s\n", what);
	_exit(1);
}

static void open_files(struct agent *agent, const char *id_prefix)
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

static struct shard_options shard_options(struct agent *agent, const char *id_prefix)
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

static void start_agent(struct agent *agent, const char *id_prefix)
{
	struct shard_options shard;

	open_files(agent, id_prefix);
	shard = shard_options(agent, id_prefix);
	require(!shard__start(&shard, &agent->shard), "shard");
	agent->fixture->kernel->capturing = true;
}

/* One write a record: a kill tears none. */
static bool deliver(struct agent *agent)
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

static void wait_for_data(const struct agent *agent)
{
	struct pollfd data = { .fd = agent->data_fd, .events = POLLIN };
	uint64_t count;

	if (poll(&data, 1, 2) > 0 && read(agent->data_fd, &count, sizeof(count)) < 0)
		return;
}

static void run_agent(struct fixture *fixture)
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

static void agent_starts(struct fixture *fixture)
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

static void agent_is_killed(struct fixture *fixture)
{
	kill(fixture->agent, SIGKILL);
	assert_int_equal(waitpid(fixture->agent, NULL, 0), fixture->agent);
	fixture->agent = 0;
}

static void agent_ends(struct fixture *fixture, enum ending ending)
{
	int status;

	fixture->kernel->ending = ending;
	assert_int_equal(waitpid(fixture->agent, &status, 0), fixture->agent);
	fixture->agent = 0;
	assert_int_equal(status, 0);
}

/* --- the kernel half */

static void open_slot(struct fixture *fixture, uint32_t slot)
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
static void send_record(struct fixture *fixture, uint32_t slot, struct record head, const void *payload, uint32_t length)
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

static void send_name(struct fixture *fixture, uint32_t slot, uint32_t pid, const char *name)
{
	struct process_payload payload = { .uid = 1 };

	strcpy(payload.name, name);
	send_record(fixture, slot, (struct record){ .type = RECORD_PROCESS, .tgid = pid, .tid = pid, .writer = pid, .way = pid % SLOT_WRITERS },
		    &payload, sizeof(payload));
}

static void send_text(struct fixture *fixture, uint32_t slot, uint32_t pid, const char *text)
{
	send_record(fixture, slot, (struct record){ .type = RECORD_DATA, .tgid = pid, .tid = pid, .writer = pid, .way = pid % SLOT_WRITERS },
		    text, strlen(text));
}

static void close_slot(struct fixture *fixture, uint32_t slot)
{
	fixture->kernel->slots[slot].state = SLOT_CLOSED;
	send_record(fixture, slot, (struct record){ .type = RECORD_CLOSED }, "", 0);
}

/* --- what came out */

static void read_output(struct fixture *fixture)
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

static const char *text_of(const json_t *json, const char *key)
{
	const char *text = json_string_value(json_object_get(json, key));

	return text ? text : "";
}

static bool came(struct fixture *fixture, size_t count)
{
	read_output(fixture);
	return json_array_size(fixture->records) >= count;
}

static void await_records(struct fixture *fixture, size_t count)
{
	for (int i = 0; !came(fixture, count); i++) {
		if (i == 3000)
			fail_msg("%zu records, not %zu", json_array_size(fixture->records), count);
		usleep(10000);
	}
}

static void expect_record(const struct fixture *fixture, size_t index, const char *message, const char *partial)
{
	const json_t *json = json_array_get(fixture->records, index);

	assert_string_equal(text_of(json, "message"), message);
	assert_string_equal(text_of(json, "partial"), partial);
}

static void a_half_line_outlives_its_agent(void **state)
{
	struct fixture *fixture = *state;

	need_ring(fixture);
	open_slot(fixture, 1);
	agent_starts(fixture);
	send_name(fixture, 1, 7, "writer");
	send_text(fixture, 1, 7, "before\nbegun, ");
	await_records(fixture, 1);
	agent_is_killed(fixture);
	agent_starts(fixture);
	agent_ends(fixture, LEAVES);
	/* While no agent runs. */
	send_text(fixture, 1, 7, "goes on, ");
	agent_starts(fixture);
	send_text(fixture, 1, 7, "ended\n");
	await_records(fixture, 2);
	agent_ends(fixture, FLUSHES);
	read_output(fixture);
	assert_int_equal(json_array_size(fixture->records), 2);
	expect_record(fixture, 1, "begun, goes on, ended", "");
	assert_string_equal(text_of(json_object_get(json_array_get(fixture->records, 1), "process"), "name"), "writer");
	assert_int_equal(fixture->copies, 0);
}

static void streams_open_and_close_while_no_agent_runs(void **state)
{
	struct fixture *fixture = *state;

	need_ring(fixture);
	open_slot(fixture, 1);
	agent_starts(fixture);
	send_text(fixture, 1, 7, "first\nhalf");
	await_records(fixture, 1);
	agent_ends(fixture, LEAVES);
	assert_int_equal(fixture->kernel->slots[1].state, SLOT_OPEN);
	close_slot(fixture, 1);
	open_slot(fixture, 2);
	send_text(fixture, 2, 8, "second\n");
	close_slot(fixture, 2);
	open_slot(fixture, 3);
	send_text(fixture, 3, 9, "third\n");
	agent_starts(fixture);
	await_records(fixture, 4);
	while (fixture->kernel->freed[1] + fixture->kernel->freed[2] < 2)
		usleep(1000);
	assert_int_equal(fixture->kernel->slots[3].state, SLOT_OPEN);
	/* The slot's next life. */
	open_slot(fixture, 1);
	send_text(fixture, 1, 7, "fourth\n");
	await_records(fixture, 5);
	agent_ends(fixture, FLUSHES);
	read_output(fixture);
	expect_record(fixture, 0, "first", "");
	expect_record(fixture, 1, "second", "");
	expect_record(fixture, 2, "third", "");
	expect_record(fixture, 3, "half", "eof");
	expect_record(fixture, 4, "fourth", "");
	assert_string_equal(text_of(json_array_get(fixture->records, 4), "file"), "/app/1-2.log");
	assert_int_equal(json_array_size(fixture->records), 5);
}

/* A slot whose stream is told to its end, but that was not given back. */
static void what_is_finished_is_only_given_back(void **state)
{
	struct fixture *fixture = *state;

	need_ring(fixture);
	open_slot(fixture, 1);
	agent_starts(fixture);
	fixture->kernel->slots[1].lost_bytes = fixture->kernel->slots[1].lost_bytes_by[LOSS_FAULT] = 10;
	send_text(fixture, 1, 7, "half");
	close_slot(fixture, 1);
	await_records(fixture, 2);
	while (!fixture->kernel->freed[1])
		usleep(1000);
	agent_is_killed(fixture);
	/* As if killed just before it was. */
	fixture->kernel->slots[1].state = SLOT_CLOSED;
	fixture->kernel->slots[1].lost_bytes = fixture->kernel->slots[1].lost_bytes_by[LOSS_FAULT] = 10;
	agent_starts(fixture);
	while (fixture->kernel->freed[1] < 2)
		usleep(1000);
	agent_ends(fixture, LEAVES);
	read_output(fixture);
	assert_int_equal(json_array_size(fixture->records), 2);
}

static void another_epochs_half_lines_are_lost_under_its_ids(void **state)
{
	struct fixture *fixture = *state;

	need_ring(fixture);
	open_slot(fixture, 1);
	agent_starts(fixture);
	send_text(fixture, 1, 7, "whole\nhalf");
	await_records(fixture, 1);
	agent_ends(fixture, LEAVES);
	real_ring__close(&fixture->capture.ring);
	assert_true(real_ring__open(&fixture->capture.ring, RING_SIZE));
	fixture->capture.epoch = 2;
	memset(fixture->kernel->slots, 0, sizeof(fixture->kernel->slots));
	open_slot(fixture, 1);
	send_text(fixture, 1, 7, "new\n");
	agent_starts(fixture);
	await_records(fixture, 3);
	agent_ends(fixture, FLUSHES);
	read_output(fixture);
	assert_int_equal(json_array_size(fixture->records), 3);
	expect_record(fixture, 1, "half", "lost");
	assert_int_equal(strncmp(text_of(json_array_get(fixture->records, 1), "id"), "a.b.0.1.", 8), 0);
	expect_record(fixture, 2, "new", "");
	assert_int_equal(strncmp(text_of(json_array_get(fixture->records, 2), "id"), "a.b.0.2.", 8), 0);
}

/* Half lines of a shard that is no more: nothing runs, and its journal has them. */
static void a_shard_that_is_no_more_leaves_its_half_lines(void **state)
{
	struct fixture *fixture = *state;
	struct agent agent = { .fixture = fixture };
	struct shard_options options;

	need_ring(fixture);
	open_slot(fixture, 1);
	open_slot(fixture, 2);
	agent_starts(fixture);
	send_text(fixture, 1, 7, "whole\nhalf");
	send_text(fixture, 2, 8, "another whole\nanother half");
	await_records(fixture, 2);
	agent_is_killed(fixture);
	fixture->capture.epoch = 2;
	open_files(&agent, "a.b.0.2.");
	options = shard_options(&agent, "a.b.0.2.");
	assert_int_equal(shard__wind_up(&options), 0);
	while (deliver(&agent))
		;
	journal__close(agent.journal);
	checkpoint__remove(agent.checkpoint);
	close(agent.data_fd);
	close(agent.space_fd);
	close(agent.output);
	read_output(fixture);
	assert_int_equal(json_array_size(fixture->records), 4);
	expect_record(fixture, 2, "half", "lost");
	expect_record(fixture, 3, "another half", "lost");
	assert_int_equal(strncmp(text_of(json_array_get(fixture->records, 3), "id"), "a.b.0.1.", 8), 0);
}

static void exclude(struct fixture *fixture, const char *glob)
{
	fixture->excluded[0] = (char *)glob;
	fixture->config.capture.exclude_files = fixture->excluded;
	fixture->config.capture.exclude_files_count = glob != NULL;
}

static void await_count(const uint32_t *count, uint32_t wanted)
{
	for (int i = 0; *(const volatile uint32_t *)count < wanted; i++) {
		assert_true(i < 30000);
		usleep(1000);
	}
}

static void what_is_no_longer_selected_comes_out_to_its_end_and_goes(void **state)
{
	struct fixture *fixture = *state;

	need_ring(fixture);
	open_slot(fixture, 1);
	open_slot(fixture, 2);
	/* Never read before the change: its path is not saved. */
	open_slot(fixture, 3);
	agent_starts(fixture);
	send_text(fixture, 1, 7, "one\nhalf ");
	send_text(fixture, 2, 8, "two\nhalf ");
	await_records(fixture, 2);
	agent_ends(fixture, PAUSES);
	send_text(fixture, 1, 7, "a line\nlast half");
	send_text(fixture, 3, 9, "three\n");
	exclude(fixture, "/app/[13]-*");
	agent_starts(fixture);
	await_count(&fixture->kernel->withdrawn[1], 1);
	await_count(&fixture->kernel->withdrawn[3], 1);
	await_count(&fixture->kernel->freed[1], 1);
	await_count(&fixture->kernel->freed[3], 1);
	send_text(fixture, 2, 8, "a line\n");
	await_records(fixture, 6);
	agent_ends(fixture, FLUSHES);
	read_output(fixture);
	assert_int_equal(json_array_size(fixture->records), 6);
	expect_record(fixture, 2, "half a line", "");
	expect_record(fixture, 3, "three", "");
	expect_record(fixture, 4, "last half", "eof");
	expect_record(fixture, 5, "half a line", "");
	assert_string_equal(text_of(json_array_get(fixture->records, 3), "file"), "/app/3-1.log");
	assert_int_equal(fixture->kernel->withdrawn[2], 0);
}

/* The kernel half has forgotten it: a file that is selected again is another stream. */
static void what_was_withdrawn_goes_even_when_it_is_selected_again(void **state)
{
	struct fixture *fixture = *state;

	need_ring(fixture);
	open_slot(fixture, 1);
	agent_starts(fixture);
	send_text(fixture, 1, 7, "one\nhalf");
	await_records(fixture, 1);
	agent_ends(fixture, PAUSES);
	exclude(fixture, "/app/*");
	agent_starts(fixture);
	await_count(&fixture->kernel->withdrawn[1], 1);
	agent_is_killed(fixture);
	exclude(fixture, NULL);
	agent_starts(fixture);
	await_count(&fixture->kernel->freed[1], 1);
	agent_ends(fixture, FLUSHES);
	read_output(fixture);
	assert_int_equal(json_array_size(fixture->records), 2);
	expect_record(fixture, 1, "half", "eof");
}

static void what_was_withdrawn_stays_while_writes_to_it_may_be_under_way(void **state)
{
	struct fixture *fixture = *state;

	need_ring(fixture);
	open_slot(fixture, 1);
	open_slot(fixture, 2);
	exclude(fixture, "/app/1-*");
	fixture->kernel->in_grace = true;
	agent_starts(fixture);
	await_count(&fixture->kernel->withdrawn[1], 1);
	/* It has gone round since. */
	send_text(fixture, 2, 7, "one\n");
	await_records(fixture, 1);
	send_text(fixture, 2, 7, "two\n");
	await_records(fixture, 2);
	assert_int_equal(fixture->kernel->freed[1], 0);
	__atomic_store_n(&fixture->kernel->in_grace, false, __ATOMIC_RELEASE);
	await_count(&fixture->kernel->freed[1], 1);
	agent_ends(fixture, FLUSHES);
}

/* An idle tick, once a second, may settle it meanwhile: then it is tried again. */
static void a_record_counts_as_all_that_it_takes_of_the_ring(void **state)
{
	static const char text[] = "13 bytes and\n";
	struct fixture *fixture = *state;
	const uint64_t taken = (sizeof(struct record) + strlen(text) + 8 + 7) & ~7ULL;
	const uint64_t *consumed;
	uint64_t before, now;

	need_ring(fixture);
	open_slot(fixture, 1);
	consumed = (const uint64_t *)&fixture->kernel->slots[1].consumed;
	agent_starts(fixture);
	/* The first brings a record of its writer. */
	send_text(fixture, 1, 7, text);
	await_records(fixture, 1);
	for (unsigned int i = 2;; i++) {
		assert_true(i < 20);
		before = __atomic_load_n(consumed, __ATOMIC_ACQUIRE);
		send_text(fixture, 1, 7, text);
		await_records(fixture, i);
		for (int tries = 0; tries < 200 && (now = __atomic_load_n(consumed, __ATOMIC_ACQUIRE)) == before; tries++)
			usleep(1000);
		if (now - before == taken)
			break;
	}
	agent_ends(fixture, FLUSHES);
}

static void expect_host(const struct fixture *fixture, size_t index, const char *host)
{
	assert_string_equal(text_of(json_array_get(fixture->records, index), "host"), host);
}

static void a_new_name_is_that_of_records_that_no_agent_before_has_read(void **state)
{
	struct fixture *fixture = *state;

	need_ring(fixture);
	open_slot(fixture, 1);
	agent_starts(fixture);
	send_text(fixture, 1, 7, "one\n");
	await_records(fixture, 1);
	agent_ends(fixture, PAUSES);
	/* Another agent may have read this one, and published it: who knows. */
	send_text(fixture, 1, 7, "two\n");
	fixture->config.node = (char *)"m";
	agent_starts(fixture);
	await_records(fixture, 2);
	send_text(fixture, 1, 7, "three\n");
	await_records(fixture, 3);
	agent_is_killed(fixture);
	agent_starts(fixture);
	send_text(fixture, 1, 7, "four\n");
	await_records(fixture, 4);
	agent_ends(fixture, FLUSHES);
	expect_host(fixture, 0, "n");
	expect_host(fixture, 1, "n");
	expect_host(fixture, 2, "m");
	expect_host(fixture, 3, "m");
}

static void a_half_line_over_a_new_limit_comes_in_pieces(void **state)
{
	struct fixture *fixture = *state;
	char half[1001];
	size_t length = 0;

	need_ring(fixture);
	memset(half, 'h', 1000);
	half[1000] = 0;
	open_slot(fixture, 1);
	agent_starts(fixture);
	send_text(fixture, 1, 7, "one\n");
	send_text(fixture, 1, 7, half);
	await_records(fixture, 1);
	agent_ends(fixture, PAUSES);
	fixture->config.lines.max_line = 300;
	agent_starts(fixture);
	agent_ends(fixture, FLUSHES);
	read_output(fixture);
	assert_int_equal(json_array_size(fixture->records), 5);
	for (size_t i = 1; i < 5; i++) {
		assert_string_equal(text_of(json_array_get(fixture->records, i), "partial"), i < 4 ? "max_size" : "timeout");
		length += strlen(text_of(json_array_get(fixture->records, i), "message"));
	}
	assert_int_equal(length, 1000);
}

static void without_its_memory_an_agent_says_what_it_does_not_know(void **state)
{
	struct fixture *fixture = *state;
	char path[96];

	need_ring(fixture);
	open_slot(fixture, 1);
	fixture->kernel->slots[1].lost_bytes = fixture->kernel->slots[1].lost_bytes_by[LOSS_FAULT] = 10;
	agent_starts(fixture);
	send_text(fixture, 1, 7, "whole\nhalf");
	await_records(fixture, 2);
	agent_ends(fixture, LEAVES);
	sprintf(path, "%s/checkpoint", fixture->directory);
	assert_int_equal(truncate(path, 100), 0);
	agent_starts(fixture);
	send_text(fixture, 1, 7, " rest\nnext\n");
	await_records(fixture, 4);
	agent_ends(fixture, FLUSHES);
	read_output(fixture);
	/* The gap is not told twice. */
	assert_int_equal(json_array_size(fixture->records), 4);
	expect_record(fixture, 2, " rest", "start");
	expect_record(fixture, 3, "next", "");
}

/* Numbered lines: both segments full, and then some of the ring. Returns their number. */
static unsigned int fill_journal(struct fixture *fixture)
{
	unsigned int sent = 0;
	char text[1100];

	memset(text, 'x', sizeof(text));
	strcpy(text + sizeof(text) - 2, "\n");
	open_slot(fixture, 1);
	fixture->kernel->sink_waits = true;
	agent_starts(fixture);
	for (; sent < 2 * SEGMENT / 1340 + 10; sent++) {
		char number[16];

		/* In two: a half line that is completed when there is no space stays one. */
		sprintf(number, "%06u", sent);
		send_text(fixture, 1, 7, number);
		send_text(fixture, 1, 7, text + strlen(number));
	}
	/* Long enough for a tick to be due when it leaves. */
	usleep(1200000);
	return sent;
}

static void expect_numbers(struct fixture *fixture, unsigned int count)
{
	read_output(fixture);
	assert_int_equal(json_array_size(fixture->records), count);
	for (unsigned int i = 0; i < count; i++)
		assert_int_equal(strtoul(text_of(json_array_get(fixture->records, i), "message"), NULL, 10), i);
}

static void a_full_journal_does_not_keep_an_agent_from_leaving(void **state)
{
	struct fixture *fixture = *state;
	unsigned int sent;

	need_ring(fixture);
	sent = fill_journal(fixture);
	agent_ends(fixture, LEAVES);
	fixture->kernel->sink_waits = false;
	agent_starts(fixture);
	await_records(fixture, sent);
	agent_ends(fixture, FLUSHES);
	expect_numbers(fixture, sent);
}

/* The ring's, as its agents leave it. */
static uint64_t waiting_in(const struct fixture *fixture)
{
	struct ring *ring;
	uint64_t waiting;

	assert_int_equal(ring__open(fixture->capture.ring.ring_fd, RING_SIZE, &ring), 0);
	waiting = ring__waiting(ring);
	ring__free(ring);
	return waiting;
}

/* The journal is full, so that what waits in the ring stays there. */
static void what_an_agent_before_has_miscounted_is_settled(void **state)
{
	struct fixture *fixture = *state;
	struct stream_slot *slot;
	uint64_t waiting;

	need_ring(fixture);
	fill_journal(fixture);
	agent_is_killed(fixture);
	slot = &fixture->kernel->slots[1];
	slot->sent = 1 << 20;
	slot->consumed = 12345;
	waiting = waiting_in(fixture);
	assert_true(waiting > 1000);
	fixture->kernel->sink_waits = true;
	agent_starts(fixture);
	for (int i = 0; __atomic_load_n(&slot->consumed, __ATOMIC_ACQUIRE) != (1 << 20) - waiting; i++) {
		assert_true(i < 30000);
		usleep(1000);
	}
	fixture->kernel->sink_waits = false;
	agent_is_killed(fixture);
}

/* Else some of its lines would come again, under the same ids, but cut in another way. */
static void a_pause_lets_a_batch_end(void **state)
{
	struct fixture *fixture = *state;
	unsigned int sent;

	need_ring(fixture);
	sent = fill_journal(fixture);
	fixture->kernel->ending = PAUSES;
	usleep(300000);
	fixture->kernel->sink_waits = false;
	agent_ends(fixture, PAUSES);
	read_output(fixture);
	/* All that was read; the rest comes with the new limit. */
	assert_int_equal(fixture->copies, 0);
	fixture->config.lines.max_line = 600;
	agent_starts(fixture);
	agent_ends(fixture, FLUSHES);
	read_output(fixture);
	assert_true(json_array_size(fixture->records) >= sent);
	assert_int_equal(fixture->copies, 0);
}

static bool was_said(const struct fixture *fixture, const char *text)
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

static void only_what_found_no_space_is_said_to_be_abandoned(void **state)
{
	struct fixture *fixture = *state;
	unsigned int sent = 0;
	char text[32];

	need_ring(fixture);
	fixture->patience = 0;
	fixture->kernel->nap = 100000;
	fixture->kernel->sink_waits = true;
	open_slot(fixture, 1);
	agent_starts(fixture);
	for (; sent < 200; sent++) {
		sprintf(text, "%06u\n", sent);
		send_text(fixture, 1, 7, text);
	}
	agent_ends(fixture, FLUSHES);
	fixture->kernel->nap = 0;
	assert_false(was_said(fixture, "abandoned"));
	fixture->kernel->sink_waits = false;
	agent_starts(fixture);
	await_records(fixture, sent);
	agent_ends(fixture, LEAVES);
	expect_numbers(fixture, sent);
}

static void what_found_no_space_is_said_to_be_abandoned(void **state)
{
	struct fixture *fixture = *state;

	need_ring(fixture);
	fixture->patience = 0;
	fill_journal(fixture);
	agent_ends(fixture, FLUSHES);
	assert_true(was_said(fixture, "bytes of lines are abandoned"));
}

/* Lines of which the latest find no room; the writer is never held up. */
static unsigned int overfill_journal(struct fixture *fixture)
{
	unsigned int sent = 0;
	char text[1001];

	fixture->config.journal.when_full = WHEN_FULL_DROP_NEWEST;
	fixture->kernel->sink_waits = true;
	open_slot(fixture, 1);
	agent_starts(fixture);
	memset(text, 'x', sizeof(text));
	strcpy(text + sizeof(text) - 2, "\n");
	for (; sent < 4000; sent++) {
		memcpy(text, (char[]){ '0' + sent / 1000 % 10, '0' + sent / 100 % 10, '0' + sent / 10 % 10, '0' + sent % 10 }, 4);
		send_text(fixture, 1, 7, text);
	}
	return sent;
}

static unsigned int count_numbers(const struct fixture *fixture)
{
	unsigned int next = 0;
	size_t i;
	json_t *json;

	json_array_foreach(fixture->records, i, json) {
		const json_t *lost = json_object_get(json, "lost");

		if (!lost)
			assert_int_equal(strtoul(text_of(json, "message"), NULL, 10), next);
		next += lost ? json_integer_value(json_object_get(lost, "lines")) : 1;
	}
	return next;
}

/* Each line came or is told as lost, in its place. */
static void expect_numbers_or_gaps(struct fixture *fixture, unsigned int count)
{
	for (int i = 0; i < 300; i++) {
		read_output(fixture);
		if (count_numbers(fixture) == count)
			return;
		usleep(10000);
	}
	assert_int_equal(count_numbers(fixture), count);
}

/* The stream has ended when it is told. */
static void what_was_dropped_the_next_agent_tells(void **state)
{
	struct fixture *fixture = *state;
	unsigned int sent;

	need_ring(fixture);
	sent = overfill_journal(fixture);
	close_slot(fixture, 1);
	agent_ends(fixture, LEAVES);
	assert_int_equal(fixture->kernel->freed[1], 0);
	fixture->kernel->sink_waits = false;
	agent_starts(fixture);
	expect_numbers_or_gaps(fixture, sent);
	while (!fixture->kernel->freed[1])
		usleep(1000);
	agent_ends(fixture, LEAVES);
}

static void at_the_end_what_was_dropped_is_told_when_there_is_room(void **state)
{
	struct fixture *fixture = *state;
	unsigned int sent;

	need_ring(fixture);
	log_set_level(LOG_LEVEL_WARN);
	sent = overfill_journal(fixture);
	fixture->kernel->ending = FLUSHES;
	fixture->kernel->sink_waits = false;
	agent_ends(fixture, FLUSHES);
	expect_numbers_or_gaps(fixture, sent);
	assert_false(was_said(fixture, "not told in their logs yet"));
}

/* Capture is made anew meanwhile. */
static void else_it_is_said_and_told_by_the_next_agent(void **state)
{
	struct fixture *fixture = *state;
	unsigned int sent;

	need_ring(fixture);
	fixture->patience = 0;
	log_set_level(LOG_LEVEL_WARN);
	sent = overfill_journal(fixture);
	close_slot(fixture, 1);
	agent_ends(fixture, FLUSHES);
	assert_true(was_said(fixture, "not told in their logs yet"));
	real_ring__close(&fixture->capture.ring);
	assert_true(real_ring__open(&fixture->capture.ring, RING_SIZE));
	fixture->capture.epoch = 2;
	memset(fixture->kernel->slots, 0, sizeof(fixture->kernel->slots));
	fixture->kernel->sink_waits = false;
	agent_starts(fixture);
	expect_numbers_or_gaps(fixture, sent);
	agent_ends(fixture, LEAVES);
}

/* --- killed at any time */

static uint32_t pick(struct fixture *fixture, uint32_t n)
{
	fixture->random = fixture->random * 1664525 + 1013904223;
	return (fixture->random >> 8) % n;
}

/* A line, whole or in parts; the reader may be another agent for each. */
static void send_line(struct fixture *fixture, uint32_t pid, uint32_t number)
{
	uint32_t slot = 1 + pid % 3;
	char line[600], part[600];
	uint32_t length = sprintf(line, "%u %u ", pid, number), at = 0;
	uint32_t filling = pick(fixture, pick(fixture, 10) ? 60 : 500);

	memset(line + length, 'a' + pid, filling);
	strcpy(line + length + filling, "\n");
	length += filling + 1;
	while (at < length) {
		uint32_t n = pick(fixture, 3) ? length - at : 1 + pick(fixture, length - at);

		memcpy(part, line + at, n);
		part[n] = 0;
		send_text(fixture, slot, pid, part);
		at += n;
	}
}

/* A writer whose writes get lost now and then, just before what it says next. */
#define LOSER WRITERS
#define LOSER_SLOT 4

static void lose(struct fixture *fixture)
{
	struct stream_slot *s = &fixture->kernel->slots[LOSER_SLOT];
	enum loss reason = pick(fixture, LOSS_COUNT);
	uint32_t bytes = 1 + pick(fixture, 100);

	s->lost_bytes_by[reason] += bytes;
	s->lost_writes_by[reason]++;
	s->lost_bytes += bytes;
	s->lost_writes++;
}

static void check_gaps(const struct fixture *fixture)
{
	const struct stream_slot *s = &fixture->kernel->slots[LOSER_SLOT];
	uint64_t bytes = 0, writes = 0;
	size_t i;
	json_t *json;

	json_array_foreach(fixture->records, i, json) {
		const json_t *lost = json_object_get(json, "lost");

		bytes += json_integer_value(json_object_get(lost, "bytes"));
		writes += json_integer_value(json_object_get(lost, "writes"));
	}
	assert_true(writes > 20);
	assert_int_equal(writes, s->lost_writes);
	assert_int_equal(bytes, s->lost_bytes);
}

static void check_lines(struct fixture *fixture, const uint32_t numbers[WRITERS + 1])
{
	uint32_t next[WRITERS + 1] = { 0 };
	size_t i;
	json_t *json;

	read_output(fixture);
	json_array_foreach(fixture->records, i, json) {
		unsigned int pid, number;
		char name[16];

		if (json_object_get(json, "lost"))
			continue;
		if (sscanf(text_of(json, "message"), "%u %u", &pid, &number) != 2 || pid > LOSER)
			fail_msg("what is this: %s", json_dumps(json, 0));
		if (number != next[pid])
			fail_msg("writer %u's line %u, not %u: %s", pid, number, next[pid], json_dumps(json, 0));
		next[pid]++;
		sprintf(name, "writer%u", pid);
		if (strcmp(text_of(json, "partial"), pid == LOSER && *text_of(json, "partial") ? "start" : "") ||
		    strcmp(text_of(json_object_get(json, "process"), "name"), name))
			fail_msg("not whole, or without its name: %s", json_dumps(json, 0));
	}
	for (uint32_t pid = 0; pid <= WRITERS; pid++)
		assert_int_equal(next[pid], numbers[pid]);
}

static void send_number(struct fixture *fixture, uint32_t *number)
{
	char text[32];

	if (!pick(fixture, 3))
		lose(fixture);
	sprintf(text, "%u %u\n", LOSER, (*number)++);
	send_text(fixture, LOSER_SLOT, LOSER, text);
}

static void kills_lose_nothing_and_double_nothing(void **state)
{
	struct fixture *fixture = *state;
	uint32_t numbers[WRITERS + 1] = { 0 }, kills = 0, sum = 0;

	need_ring(fixture);
	fixture->config.lines.assembly = ASSEMBLY_PROCESS;
	fixture->kernel->nap = 1000;
	for (uint32_t slot = 1; slot <= LOSER_SLOT; slot++)
		open_slot(fixture, slot);
	agent_starts(fixture);
	for (uint32_t pid = 0; pid <= WRITERS; pid++) {
		char name[16];

		sprintf(name, "writer%u", pid);
		send_name(fixture, pid == LOSER ? LOSER_SLOT : 1 + pid % 3, pid, name);
	}
	while (kills < 60) {
		uint32_t lines = pick(fixture, 60);

		for (uint32_t i = 0; i < lines; i++) {
			uint32_t pid = pick(fixture, WRITERS);

			send_line(fixture, pid, numbers[pid]++);
			sum++;
			if (pick(fixture, 8))
				continue;
			send_number(fixture, &numbers[LOSER]);
			sum++;
		}
		fixture->kernel->sink_waits = !pick(fixture, 3);
		usleep(pick(fixture, 3) ? 0 : pick(fixture, 3000));
		if (pick(fixture, 6))
			agent_is_killed(fixture);
		else
			agent_ends(fixture, LEAVES);
		kills++;
		agent_starts(fixture);
	}
	fixture->kernel->sink_waits = false;
	fixture->kernel->nap = 0;
	await_records(fixture, sum);
	agent_ends(fixture, FLUSHES);
	check_lines(fixture, numbers);
	check_gaps(fixture);
	print_message("%u lines, %u agents, %u copies\n", sum, kills + 1, fixture->copies);
	/* Of what a killed agent made, only the record can come twice that the sink was just acknowledging. */
	assert_true(fixture->copies <= kills / 10);
}

/* Streams of a pod that nobody knows: their lines wait for as long as the agent does. */
static void open_pod_slot(struct fixture *fixture, uint32_t slot, const char *text)
{
	struct stream_slot *s = &fixture->kernel->slots[slot];

	memset(s->cgroup[0], 'a', 64);
	strcpy(s->cgroup[1], "pod0f0e0d0c-0b0a-0908-0706-050403020100");
	open_slot(fixture, slot);
	send_text(fixture, slot, 7, text);
	close_slot(fixture, slot);
}

static void what_waits_for_its_pod_comes_out_at_the_end(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(pods__new(&asked_pods), 0);
	agent_starts(fixture);
	open_pod_slot(fixture, 1, "one\n");
	open_pod_slot(fixture, 2, "two\n");
	agent_ends(fixture, FLUSHES);
	read_output(fixture);
	assert_int_equal(json_array_size(fixture->records), 2);
	pods__free(asked_pods);
	asked_pods = NULL;
}

/* However an agent ends while closed streams wait, the next one has their lines. */
static void what_waits_for_its_pod_is_left_to_the_next_agent(void **state)
{
	struct fixture *fixture = *state;
	unsigned int lines = 0;

	assert_int_equal(pods__new(&asked_pods), 0);
	fixture->kernel->nap = 2000;
	for (int round = 0; round < 12; round++) {
		agent_starts(fixture);
		for (uint32_t slot = 1; slot < 7; slot++) {
			if (fixture->kernel->slots[slot].state != SLOT_FREE)
				continue;
			open_pod_slot(fixture, slot, "line\n");
			lines++;
		}
		usleep(round * 3000);
		agent_ends(fixture, round % 2 ? LEAVES : PAUSES);
	}
	agent_starts(fixture);
	agent_ends(fixture, FLUSHES);
	read_output(fixture);
	assert_int_equal(json_array_size(fixture->records), lines);
	pods__free(asked_pods);
	asked_pods = NULL;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_half_line_outlives_its_agent),
		TEST(what_waits_for_its_pod_comes_out_at_the_end),
		TEST(what_waits_for_its_pod_is_left_to_the_next_agent),
		TEST(streams_open_and_close_while_no_agent_runs),
		TEST(what_is_finished_is_only_given_back),
		TEST(another_epochs_half_lines_are_lost_under_its_ids),
		TEST(a_shard_that_is_no_more_leaves_its_half_lines),
		TEST(what_is_no_longer_selected_comes_out_to_its_end_and_goes),
		TEST(what_was_withdrawn_goes_even_when_it_is_selected_again),
		TEST(what_was_withdrawn_stays_while_writes_to_it_may_be_under_way),
		TEST(a_record_counts_as_all_that_it_takes_of_the_ring),
		TEST(a_new_name_is_that_of_records_that_no_agent_before_has_read),
		TEST(a_half_line_over_a_new_limit_comes_in_pieces),
		TEST(without_its_memory_an_agent_says_what_it_does_not_know),
		TEST(a_full_journal_does_not_keep_an_agent_from_leaving),
		TEST(what_an_agent_before_has_miscounted_is_settled),
		TEST(a_pause_lets_a_batch_end),
		TEST(only_what_found_no_space_is_said_to_be_abandoned),
		TEST(what_found_no_space_is_said_to_be_abandoned),
		TEST(what_was_dropped_the_next_agent_tells),
		TEST(at_the_end_what_was_dropped_is_told_when_there_is_room),
		TEST(else_it_is_said_and_told_by_the_next_agent),
		TEST(kills_lose_nothing_and_double_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
