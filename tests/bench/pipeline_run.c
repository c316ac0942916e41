/*
 * pipeline_run CONFIG ROOT RECORDS RESULT: logtap's user half, from the ring to the sink that
 * CONFIG names, fed by produce.bpf.c instead of the hooks. ROOT is where runtimes' files are looked
 * for. Writes a line of JSON into RESULT; the CPU time in it is of all threads but the producer's.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/config.h"
#include "base/counters.h"
#include "capture/capture.h"
#include "capture/ring.h"
#include "config/config_load.h"
#include "journal/journal.h"
#include "produce.h"
#include "produce.skel.h"
#include "sink/sink.h"
#include "stream/checkpoint.h"
#include "stream/shard.h"
#include "../unit/quiet_capture.h"

#define BATCH 1024         /* lines of one run of the program */
#define FULL_NAP_US 200    /* until the reader has made some room */
#define DEADLINE_MS 20000

static void die(const char *what, int err)
{
	fprintf(stderr, "pipeline_run: %s: %s\n", what, strerror(err));
	exit(1);
}

/* Stands for the kernel half: user/capture/capture.h as far as a shard calls it. */

struct capture {
	const struct config *config;
	struct produce_bpf *bpf;
	int ring_fd;
	struct stream_slot *slots;
	struct shard_state *shards;
	struct line_text *lines;
};

int capture__ring_fd(const struct capture *capture, unsigned int shard)
{
	(void)shard;
	return capture->ring_fd;
}

struct shard_state *capture__shard_state(const struct capture *capture, unsigned int shard)
{
	return &capture->shards[shard];
}

struct stream_slot *capture__slot(const struct capture *capture, uint32_t slot)
{
	return &capture->slots[slot];
}

int capture__open_ring(const struct capture *capture, unsigned int shard, struct ring **out)
{
	(void)shard;
	return ring__open(capture->ring_fd, capture->config->capture.ring_size, out);
}

uint64_t capture__ring_size(const struct capture *capture, unsigned int shard)
{
	(void)shard;
	return capture->config->capture.ring_size;
}

unsigned int capture__max_streams(const struct capture *capture)
{
	return capture->config->capture.max_streams;
}

uint64_t capture__withdraw(struct capture *capture, uint32_t slot)
{
	(void)capture;
	fprintf(stderr, "pipeline_run: slot %u is not wanted\n", slot);
	exit(1);
}

bool capture__grace_is_over(const struct capture *capture, uint64_t grace)
{
	(void)capture;
	return !grace;
}

void capture__free_slot(struct capture *capture, uint32_t slot)
{
	capture->slots[slot].state = SLOT_FREE;
}

static void *map_array(const struct bpf_map *map)
{
	size_t size = (size_t)((bpf_map__value_size(map) + 7) & ~7U) * bpf_map__max_entries(map);
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);

	if (memory == MAP_FAILED)
		die(bpf_map__name(map), errno);
	return memory;
}

static void open_capture(struct capture *capture, const struct config *config)
{
	uint32_t zero = 0;

	capture->config = config;
	capture->bpf = produce_bpf__open();
	if (!capture->bpf)
		die("BPF object", errno);
	bpf_map__set_max_entries(capture->bpf->maps.slots, config->capture.max_streams);
	if (produce_bpf__load(capture->bpf))
		die("BPF programs", errno);
	capture->ring_fd = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "bench_ring", 0, 0,
					  config->capture.ring_size, NULL);
	if (capture->ring_fd < 0 ||
	    bpf_map_update_elem(bpf_map__fd(capture->bpf->maps.rings), &zero, &capture->ring_fd,
				BPF_ANY))
		die("ring", errno);
	capture->slots = map_array(capture->bpf->maps.slots);
	capture->shards = map_array(capture->bpf->maps.shards);
	capture->lines = map_array(capture->bpf->maps.lines);
}

/* Lines that compress as logs do: the same words, other numbers. */
static void write_lines(struct capture *capture)
{
	for (unsigned int i = 0; i < LINES; i++) {
		char text[LINE_SIZE + 1];
		int n = snprintf(text, sizeof(text),
				 "10.0.%u.%u - - \"GET /api/v1/items/%u?page=%u HTTP/1.1\" 200 %u "
				 "\"https://shop.example.org/cart\" \"Mozilla/5.0 (X11; Linux "
				 "x86_64)\" request_id=%08x%08x upstream_ms=%u ",
				 i % 7, i * 40503U % 256, i * 2654435761U % 100000, i % 40,
				 i * 2246822519U % 65536, i * 2654435761U, i * 3266489917U,
				 i * 668265263U % 900);

		memset(text + n, '.', LINE_SIZE - n);
		text[LINE_SIZE - 1] = '\n';
		memcpy(capture->lines[i].text, text, LINE_SIZE);
	}
}

/* Streams of the containers whose files tests/bench/pipeline writes below the root. */
static void open_slots(struct capture *capture)
{
	for (unsigned int i = 0; i < STREAMS; i++) {
		struct stream_slot *slot = &capture->slots[i];

		slot->generation = 1;
		slot->kind = STREAM_STDOUT;
		slot->flags = SLOT_PID_NAMESPACE | SLOT_MOUNT_NAMESPACE;
		slot->ino = 1 + i;
		slot->cgroup_id = 1 + i;
		snprintf(slot->cgroup[0], CGROUP_NAME_SIZE, "%064x", i);
		snprintf(slot->cgroup[1], CGROUP_NAME_SIZE, "pod11111111-2222-3333-4444-%012x", i);
		snprintf(slot->cgroup[2], CGROUP_NAME_SIZE, "besteffort");
		slot->state = SLOT_OPEN;
	}
}

static uint64_t run_program(const struct bpf_program *program, uint64_t first, uint64_t count)
{
	struct produce context = { .first = first, .count = count };
	LIBBPF_OPTS(bpf_test_run_opts, options, .ctx_in = &context, .ctx_size_in = sizeof(context));

	if (bpf_prog_test_run_opts(bpf_program__fd(program), &options))
		die(bpf_program__name(program), errno);
	return context.done;
}

static void produce(const struct capture *capture, uint64_t records)
{
	uint64_t done = 0;

	for (unsigned int i = 0; i < STREAMS; i++)
		if (!run_program(capture->bpf->progs.produce_process, i, 1))
			die("process records", ENOSPC);
	while (done < records) {
		uint64_t count = records - done < BATCH ? records - done : BATCH;
		uint64_t n = run_program(capture->bpf->progs.produce_lines, done, count);

		done += n;
		if (n < count)
			usleep(FULL_NAP_US);
	}
}

/* The pipeline, and what it took. */

struct pipeline {
	struct capture capture;
	struct config *config;
	struct counters counters;
	struct checkpoint *checkpoint;
	struct journal *journal;
	struct sink *sink;
	struct shard *shard;
	int data_fd;
	int space_fd;
};

static double seconds(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

static void start(struct pipeline *pipeline, const char *root)
{
	struct journal_options journal = {
		.directory = pipeline->config->journal.directory,
		.max_size = pipeline->config->journal.max_size,
		.segment_size = pipeline->config->journal.segment_size,
		.data_fd = pipeline->data_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
		.space_fd = pipeline->space_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
	};
	struct sink_context sink = {
		.config = pipeline->config,
		.journals = &pipeline->journal,
		.journals_count = 1,
		.data_fd = pipeline->data_fd,
		.counters = &pipeline->counters,
	};
	struct shard_options shard = {
		.config = pipeline->config,
		.capture = &pipeline->capture,
		.counters = &pipeline->counters,
		.space_fd = pipeline->space_fd,
		.root = root,
		.id_prefix = "8a3f21c0.5d0e9b77.0.18c2a4f00.",
	};
	struct checkpoint_options checkpoint = {
		.directory = pipeline->config->journal.directory,
		.streams = pipeline->config->capture.max_streams,
		.heap_limit = pipeline->config->lines.memory,
		.epoch = 1,
		.id_prefix = shard.id_prefix,
	};
	int err = checkpoint__open(&checkpoint, &pipeline->checkpoint);

	err = err ? err : journal__open(&journal, NULL, &pipeline->journal);

	sink.output = sink_stdout__output();
	err = err ? err : sink__start(&sink, &pipeline->sink);
	shard.journal = pipeline->journal;
	shard.checkpoint = pipeline->checkpoint;
	err = err ? err : shard__start(&shard, &pipeline->shard);
	if (err)
		die("the pipeline does not start", -err);
}

static void await_delivery(const struct pipeline *pipeline, uint64_t records)
{
	while (counters__get(&pipeline->counters, COUNTER_sink_records_delivered) < records) {
		if (sink__failed(pipeline->sink))
			die("the sink", EIO);
		usleep(1000);
	}
}

static void remove_directory(const char *directory)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/checkpoint", directory);
	unlink(path);
	rmdir(directory);
}

static void stop(struct pipeline *pipeline)
{
	struct timespec deadline;

	clock_gettime(CLOCK_MONOTONIC, &deadline);
	deadline.tv_sec += DEADLINE_MS / 1000;
	shard__finish(pipeline->shard, true, false);
	shard__stop(pipeline->shard, &deadline);
	if (sink__end(pipeline->sink, DEADLINE_MS))
		die("the sink", EIO);
	sink__free(pipeline->sink, -1);
	journal__close(pipeline->journal);
	checkpoint__free(pipeline->checkpoint);
	remove_directory(pipeline->config->journal.directory);
	config__free(pipeline->config);
}

static void report(const char *path, const struct pipeline *pipeline, uint64_t records, double wall,
		   double cpu)
{
	const struct counters *counters = &pipeline->counters;
	FILE *out = fopen(path, "we");

	if (!out)
		die(path, errno);
	fprintf(out,
		"{\"delivered\":%" PRIu64 ",\"seconds\":%.3f,\"cpu_seconds_per_million\":%.3f,"
		"\"record_size\":%" PRIu64 "}\n",
		counters__get(counters, COUNTER_sink_records_delivered), wall, cpu * 1e6 / records,
		counters__get(counters, COUNTER_journal_bytes) / records);
	fclose(out);
}

int main(int argc, char **argv)
{
	static struct pipeline pipeline;
	double wall, cpu, own;
	uint64_t records;

	if (argc != 5 || (records = strtoull(argv[3], NULL, 10)) < 1) {
		fprintf(stderr, "usage: pipeline_run CONFIG ROOT RECORDS RESULT\n");
		return 2;
	}
	libbpf_set_strict_mode(LIBBPF_STRICT_ALL);
	if (config__load(argv[1], stderr, &pipeline.config))
		return 2;
	open_capture(&pipeline.capture, pipeline.config);
	write_lines(&pipeline.capture);
	open_slots(&pipeline.capture);
	start(&pipeline, argv[2]);
	wall = seconds(CLOCK_MONOTONIC);
	cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
	own = seconds(CLOCK_THREAD_CPUTIME_ID);
	produce(&pipeline.capture, records);
	await_delivery(&pipeline, records);
	own = seconds(CLOCK_THREAD_CPUTIME_ID) - own;
	cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu - own;
	wall = seconds(CLOCK_MONOTONIC) - wall;
	stop(&pipeline);
	report(argv[4], &pipeline, records, wall, cpu);
	return 0;
}
