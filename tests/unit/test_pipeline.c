/*
 * Ring, shard, journal and sink together: a real ring of the kernel's, filled by the test, and two
 * real brokers, or none. Skipped where the kernel permits no such ring, or there is no Java.
 */
#include "journal/lane_journal.h"
#include "kafka_fixture.h"
#include "pipeline.h"
#include "real_broker.h"
#include "ring_capture.h"
#include "silent_name_server.h"
#include "sink/sink_left.h"

#include <fcntl.h>
#include <inttypes.h>

#define STREAMS 16
#define HALF STREAMS             /* the slot whose half line never ends */
#define POISONED (STREAMS + 1)
#define SLOTS (STREAMS + 2)
#define LINES_PER_MS 10
#define TURN 200   /* lines before the consumer has its own */
#define LOAD_MS 12000
#define LOAD_PATIENCE_S 240

const char *__asan_default_options(void);

/* Memory is measured here: what is freed is not to be kept. */
const char *__asan_default_options(void)
{
	return "quarantine_size_mb=4:thread_local_quarantine_size_kb=64";
}

struct rig {
	struct capture capture;
	struct config *config;
	struct counters counters;
	struct pipeline *pipeline;
	rd_kafka_t *consumer;
	char directory[64];
	char broker[64];         /* the first broker's directory */
	char other[96];
	int written[SLOTS];
	int came[SLOTS];
	int halves;              /* parts of the half line that came */
	int gaps;                /* in place of the poisoned record */
	int apart[SLOTS];        /* its key leads to the partition of the other broker */
};

/* --- the poison */

void __real_journal__append(struct journal *journal, const struct journal_meta *meta);
void __wrap_journal__append(struct journal *journal, const struct journal_meta *meta);

static const char poison[] = "poison";
static struct journal *reserved_in;
static char *reserved;

char *__real_journal__reserve(struct journal *journal, size_t len);
char *__wrap_journal__reserve(struct journal *journal, size_t len);

char *__wrap_journal__reserve(struct journal *journal, size_t len)
{
	char *place = __real_journal__reserve(journal, len);

	if (!reserved_in && place)
		reserved_in = journal;
	if (journal == reserved_in)
		reserved = place;
	return place;
}

/*
 * A topic that is compacted takes no record without a key, and the encoder makes none: what the
 * shard, whose journal is the first in use, appends with that word in it loses its key here.
 */
void __wrap_journal__append(struct journal *journal, const struct journal_meta *meta)
{
	struct journal_meta keyless = *meta;

	if (journal != reserved_in || !meta->key_len || meta->flags & JOURNAL_GAP ||
	    !memmem(reserved + meta->key_len, meta->value_len, poison, strlen(poison))) {
		__real_journal__append(journal, meta);
		return;
	}
	memmove(reserved, reserved + meta->key_len, meta->value_len);
	keyless.key_len = 0;
	__real_journal__append(journal, &keyless);
}

/* --- the rig */

static int setup_rig(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));

	*state = rig;
	strcpy(rig->directory, "/dev/shm/logtap-pipeline-XXXXXX");
	assert_non_null(mkdtemp(rig->directory));
	return real_ring__open(&rig->capture.ring, RING_CAPTURE_RING) ? 0 : (skip(), 0);
}

static int teardown_rig(void **state)
{
	struct rig *rig = *state;

	if (rig->pipeline)
		pipeline__stop(rig->pipeline, PIPELINE_LEAVE);
	if (rig->consumer) {
		rd_kafka_consumer_close(rig->consumer);
		rd_kafka_destroy(rig->consumer);
	}
	for (char *broker = rig->other; broker; broker = broker == rig->other ? rig->broker : NULL)
		if (*broker)
			shell(BROKER " kill %s; rm -rf %s", broker, broker);
	real_ring__close(&rig->capture.ring);
	config__free(rig->config);
	shell("rm -rf %s", rig->directory);
	free(rig);
	return 0;
}

/* `sink`: what is of the sink, in YAML. */
static void configure(struct rig *rig, const char *sink)
{
	char *text;
	int len = asprintf(&text,
			   "node: n\n"
			   "capture: {files: [/app/*], shards: 1, max_streams: 32, ring_size: 1MiB}\n"
			   "lines: {timeout: 10m, max_line: 16KiB, memory: 4MiB}\n"
			   "journal:\n"
			   "  directory: %s/memory\n"
			   "  max_size: 8MiB\n"
			   "  segment_size: 1MiB\n"
			   "%s",
			   rig->directory, sink);

	config__free(rig->config);
	rig->config = NULL;
	assert_int_equal(config__parse("test.yaml", text, len, stderr, &rig->config), 0);
	free(text);
}

static void start_pipeline(struct rig *rig, int output)
{
	const struct pipeline_options options = {
		.config = rig->config,
		.capture = &rig->capture,
		.counters = &rig->counters,
		.root = rig->directory,
		.output = output,
	};

	assert_int_equal(pipeline__start(&options, &rig->pipeline), 0);
}

static void stop_pipeline(struct rig *rig, enum pipeline_end how)
{
	assert_int_equal(pipeline__stop(rig->pipeline, how), 0);
	rig->pipeline = NULL;
}

static void write_line(struct rig *rig, int slot, const char *more)
{
	char line[256];

	snprintf(line, sizeof(line), "%d %d %s%0100d\n", slot, rig->written[slot]++, more, 0);
	ring_capture__write(&rig->capture, slot, line);
}

/* --- another sink */

static void set_aside(struct rig *rig, int32_t partition, const char *value)
{
	const struct lane_journal_options options = { .config = rig->config, .data_fd = -1 };
	const struct journal_meta meta = { .value_len = strlen(value), .lines = 1 };
	struct journal *journal;

	assert_int_equal(lane_journal__open(&options, partition, &journal), 0);
	memcpy(journal__reserve(journal, meta.value_len), value, meta.value_len);
	journal__append(journal, &meta);
	journal__publish(journal);
	journal__close(journal);
}

static int lanes(const struct rig *rig)
{
	int32_t partitions[KAFKA_LANES_MAX];

	return lane_journal__find(rig->config, partitions);
}

/* The sink is another by now, and does not get to it before the node goes down. */
static void what_was_set_aside_is_saved_whatever_the_sink(void **state)
{
	struct rig *rig = *state;
	struct lane_journal_options options = { .data_fd = -1, .orphan = true };
	struct journal *journal;
	char sink[160];

	snprintf(sink, sizeof(sink), "  disk: {directory: %s/disk, max_size: 128MiB}\nsink: stdout\n", rig->directory);
	configure(rig, sink);
	set_aside(rig, 3, "{\"third\":1}");
	options.config = rig->config;
	assert_int_equal(lane_journal__open(&options, 3, &journal), 0);
	journal__save(journal, 10000);
	journal__close(journal);
	shell("rm -rf %s/memory", rig->directory);
	assert_int_equal(lanes(rig), 1);
	assert_int_equal(lane_journal__open(&options, 3, &journal), 0);
	assert_int_equal(journal__pending(journal), 1);
	journal__close(journal);
}

static void what_was_set_aside_comes_out_of_another_sink(void **state)
{
	struct rig *rig = *state;
	char path[96], text[64] = "";
	int output;

	snprintf(path, sizeof(path), "%s/output", rig->directory);
	output = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	configure(rig, "sink: stdout\n");
	set_aside(rig, 3, "{\"third\":1}");
	set_aside(rig, 11, "{\"eleventh\":1}");
	assert_int_equal(lanes(rig), 2);
	start_pipeline(rig, output);
	stop_pipeline(rig, PIPELINE_LEAVE);
	assert_int_equal(pread(output, text, sizeof(text) - 1, 0), 27);
	assert_non_null(strstr(text, "{\"third\":1}\n"));
	assert_non_null(strstr(text, "{\"eleventh\":1}\n"));
	assert_int_equal(lanes(rig), 0);
	close(output);
}

/* --- an end that does not come */

/* librdkafka waits for the name server, however long that takes; the process does not. */
static void stop_with_a_silent_name_server_saves_the_journals(void **state)
{
	struct rig *rig = *state;
	static struct pipeline *left; /* what it has is still reachable when the test ends */
	struct pollfd asked = { .events = POLLIN };
	char sink[256];

	if (!own_silent_name_server(&asked.fd))
		skip();
	snprintf(sink, sizeof(sink),
		 "  disk: {directory: %s/disk}\n"
		 "sink: kafka\n"
		 "kafka: {brokers: [\"broker.invalid:9092\"]}\n", rig->directory);
	configure(rig, sink);
	start_pipeline(rig, -1);
	ring_capture__open_file(&rig->capture, 0, "/app/0.log");
	for (int i = 0; i < 300; i++)
		write_line(rig, 0, "");
	assert_int_equal(poll(&asked, 1, PATIENCE_MS), 1);
	wait_for(counters__get(&rig->counters, COUNTER_journal_records) == 300);
	left = rig->pipeline;
	stop_pipeline(rig, PIPELINE_LEAVE);
	assert_ptr_not_equal(left, NULL);
	assert_int_equal(said("the sink's client does not end"), 1);
	assert_int_equal(said("300 records are left undelivered in the journal"), 1);
	assert_int_equal(shell("ls %s/disk/shard-0/seg-* >/dev/null", rig->directory), 0);
	close(asked.fd);
}

/* What a name server was asked. */
struct question {
	struct sockaddr_in from;
	unsigned char text[512];
	ssize_t length;
};

static struct question questions[64];
static unsigned int questions_count;

static void take_questions(int server)
{
	while (questions_count < sizeof(questions) / sizeof(questions[0])) {
		struct question *question = &questions[questions_count];
		socklen_t length = sizeof(question->from);

		question->length = recvfrom(server, question->text, sizeof(question->text), MSG_DONTWAIT,
					    (struct sockaddr *)&question->from, &length);
		if (question->length < 12)
			return;
		questions_count++;
	}
}

/* That there is no such name (RFC 1035, 4.1.1: QR, RA and an RCODE of 3). */
static void answer_questions(int server)
{
	take_questions(server);
	while (questions_count) {
		struct question *question = &questions[--questions_count];

		question->text[2] |= 0x80;
		question->text[3] = 0x83;
		sendto(server, question->text, question->length, 0, (const struct sockaddr *)&question->from,
		       sizeof(question->from));
	}
}

/* One whose client asks for its broker's name. */
static void start_asking(struct rig *rig, struct pollfd *asked)
{
	take_questions(asked->fd);
	configure(rig, "sink: kafka\nkafka: {brokers: [\"broker.invalid:9092\"]}\n");
	start_pipeline(rig, -1);
	assert_int_equal(poll(asked, 1, PATIENCE_MS), 1);
}

/* SIGHUP: the sink before is left to itself, what it had goes on at once, and it is freed when its time has come. */
static void another_sink_does_not_wait_for_a_silent_name_server(void **state)
{
	struct rig *rig = *state;
	struct pollfd asked = { .events = POLLIN };
	char path[96];
	int output;

	if (!own_silent_name_server(&asked.fd))
		skip();
	snprintf(path, sizeof(path), "%s/output", rig->directory);
	output = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	configure(rig, "");
	set_aside(rig, 3, "{\"third\":1}");
	start_asking(rig, &asked);
	ring_capture__open_file(&rig->capture, 0, "/app/0.log");
	for (int i = 0; i < 300; i++)
		write_line(rig, 0, "");
	wait_for(counters__get(&rig->counters, COUNTER_journal_records) == 300);
	assert_true(pipeline__may_pause());
	stop_pipeline(rig, PIPELINE_PAUSE);
	assert_int_equal(sink_left__count(), 1);
	assert_int_equal(said("it is left to itself"), 1);
	configure(rig, "sink: stdout\n");
	start_pipeline(rig, output);
	wait_for(counters__get(&rig->counters, COUNTER_sink_records_delivered) == 301);
	/* So can the next two, but no more. */
	for (int i = 0; i < 2; i++) {
		stop_pipeline(rig, PIPELINE_PAUSE);
		start_asking(rig, &asked);
	}
	assert_int_equal(sink_left__count(), 2);
	assert_true(pipeline__may_pause());
	stop_pipeline(rig, PIPELINE_PAUSE);
	assert_int_equal(sink_left__count(), 3);
	assert_false(pipeline__may_pause());
	while (!sink_left__join(10))
		answer_questions(asked.fd);
	assert_true(pipeline__may_pause());
	close(asked.fd);
	close(output);
}

/* --- stalls */

static void start_brokers(struct rig *rig)
{
	if (shell("command -v java mvn >/dev/null"))
		skip();
	strcpy(rig->broker, "/tmp/test_pipeline.XXXXXX");
	assert_non_null(mkdtemp(rig->broker));
	snprintf(rig->other, sizeof(rig->other), "%s.other", rig->broker);
	assert_int_equal(shell(BROKER " start %s && " BROKER " join %s %s && " BROKER " start %s",
			       rig->broker, rig->other, rig->broker, rig->other), 0);
	assert_int_equal(shell(BROKER " topics %s " TOPIC ":%d:compact:apart", rig->broker, PARTITIONS), 0);
}

static void configure_kafka(struct rig *rig)
{
	char *broker = broker_address(rig->broker, "");
	char sink[512];

	snprintf(sink, sizeof(sink),
		 "sink: kafka\n"
		 "kafka:\n"
		 "  brokers: [\"%s\"]\n"
		 "  topic: " TOPIC "\n"
		 "  aside_size: 64MiB\n"
		 /* The record without a key, too, goes to a partition that has its leader: the first. */
		 "  rdkafka: {topic.metadata.refresh.interval.ms: 1000, partitioner: consistent, "
		 "sticky.partitioning.linger.ms: 0}\n", broker);
	configure(rig, sink);
	rig->consumer = client__new(RD_KAFKA_CONSUMER, broker);
	free(broker);
}

/* As librdkafka does. */
static int partition_of(const char *key)
{
	rd_kafka_t *client = client__new(RD_KAFKA_PRODUCER, NULL);
	rd_kafka_topic_t *topic = rd_kafka_topic_new(client, TOPIC, NULL);
	int partition = rd_kafka_msg_partitioner_consistent(topic, key, strlen(key), PARTITIONS, NULL, NULL);

	rd_kafka_topic_destroy(topic);
	rd_kafka_destroy(client);
	return partition;
}

static void open_streams(struct rig *rig)
{
	int apart = 0;

	for (int i = 0; i < SLOTS; i++) {
		char path[32], key[64];

		snprintf(path, sizeof(path), "/app/%d.log", i);
		snprintf(key, sizeof(key), "n::%s", path);
		rig->apart[i] = partition_of(key) == PARTITIONS - 1;
		apart += rig->apart[i];
		ring_capture__open_file(&rig->capture, i, path);
	}
	/* What is to be seen rests on it. */
	assert_in_range(apart, 1, STREAMS / 2);
	assert_false(rig->apart[POISONED]);
}

static void consume_all(struct rig *rig)
{
	rd_kafka_topic_partition_list_t *all = rd_kafka_topic_partition_list_new(PARTITIONS);

	rd_kafka_poll_set_consumer(rig->consumer);
	rd_kafka_topic_partition_list_add_range(all, TOPIC, 0, PARTITIONS - 1);
	for (int i = 0; i < all->cnt; i++)
		all->elems[i].offset = RD_KAFKA_OFFSET_BEGINNING;
	assert_int_equal(rd_kafka_assign(rig->consumer, all), 0);
	rd_kafka_topic_partition_list_destroy(all);
}

/* Each stream's lines one after the other, and each of them once. */
static void take(struct rig *rig, const char *record)
{
	const char *text = strstr(record, "\"message\":\"");
	int slot, number;

	if (!text) {
		assert_non_null(strstr(record, "\"reason\":\"refused\""));
		rig->gaps++;
		return;
	}
	assert_null(strstr(text, poison));
	if (strstr(text, "for ever")) {
		rig->halves++;
		return;
	}
	assert_int_equal(sscanf(text + 11, "%d %d ", &slot, &number), 2);
	/* The one in the middle, whose gap has another key, and so another partition. */
	if (slot == POISONED && number == 2)
		rig->came[slot]++;
	assert_int_equal(number, rig->came[slot]++);
}

/* What has come by now, for at most 10 ms. */
static void take_what_came(struct rig *rig)
{
	for (uint64_t end = now_ms() + 10; now_ms() < end;) {
		rd_kafka_message_t *message = rd_kafka_consumer_poll(rig->consumer, 1);
		char record[4096] = "";

		if (!message)
			return;
		if (!message->err)
			snprintf(record, sizeof(record), "%.*s", (int)message->len, (char *)message->payload);
		/* The consumer's end waits for all of them. */
		rd_kafka_message_destroy(message);
		if (*record)
			take(rig, record);
	}
}

static bool all_came(const struct rig *rig, bool those_apart)
{
	for (int i = 0; i < SLOTS; i++)
		if ((those_apart || !rig->apart[i]) && rig->came[i] < rig->written[i])
			return false;
	/* Its key, which is its own, may lead there, too. */
	return !those_apart || rig->gaps || !rig->written[POISONED];
}

static void take_all(struct rig *rig, bool those_apart)
{
	for (uint64_t end = now_ms() + PATIENCE_MS; !all_came(rig, those_apart); take_what_came(rig))
		if (now_ms() > end)
			fail_msg("not all lines came%s", those_apart ? " of those apart" : "");
}

/* KiB of this process that are no files' but its own. */
static long own_memory(void)
{
	FILE *status = fopen("/proc/self/status", "r");
	char line[256];
	long kib = 0;

	while (fgets(line, sizeof(line), status))
		if (sscanf(line, "RssAnon: %ld", &kib) == 1)
			break;
	fclose(status);
	return kib;
}

static long tmpfs_memory(const struct rig *rig)
{
	char command[96], size[32] = "";
	FILE *du;

	snprintf(command, sizeof(command), "du -sk %s/memory", rig->directory);
	du = popen(command, "r");
	assert_non_null(fgets(size, sizeof(size), du));
	pclose(du);
	return atol(size);
}

/* As fast as LINES_PER_MS at most, and in turns with the consumer. Returns the most of own_memory. */
static long load(struct rig *rig, uint64_t load_ms)
{
	uint64_t begin = now_ms();
	uint64_t lines = 0;
	long most = 0;

	while (now_ms() - begin < load_ms) {
		uint64_t due = (now_ms() - begin) * LINES_PER_MS;

		for (int turn = 0; turn < TURN && lines < due; turn++, lines++)
			write_line(rig, lines % STREAMS, "");
		take_what_came(rig);
		if (own_memory() > most)
			most = own_memory();
	}
	return most;
}

static uint64_t refused(const struct rig *rig)
{
	return counters__get(&rig->counters, COUNTER_sink_records_refused);
}

/*
 * Beside 10,000 lines a second in one shard: a half line that never ends, a partition without a
 * leader for all of the time, and a record that the topic refuses.
 */
static void one_stall_of_each_kind_holds_up_nothing_else(void **state)
{
	struct rig *rig = *state;
	long before, most, then, tmpfs;
	int total = 0;

	alarm(LOAD_PATIENCE_S);
	start_brokers(rig);
	configure_kafka(rig);
	consume_all(rig);
	start_pipeline(rig, -1);
	open_streams(rig);
	ring_capture__write(&rig->capture, HALF, "this goes on for ever");
	load(rig, 1000);
	take_all(rig, true);
	before = own_memory();
	assert_int_equal(shell(BROKER " kill %s", rig->other), 0);
	most = load(rig, LOAD_MS / 2);
	write_line(rig, POISONED, "");
	write_line(rig, POISONED, poison);
	write_line(rig, POISONED, "");
	then = load(rig, LOAD_MS / 2);
	most = then > most ? then : most;
	/* All others flow, while it lasts. */
	take_all(rig, false);
	tmpfs = tmpfs_memory(rig);
	for (int i = 0; i < STREAMS; i++) {
		total += rig->written[i];
		if (rig->apart[i])
			assert_true(rig->came[i] < rig->written[i]);
	}
	print_message("%d lines in about %d s; %ld KiB of memory, %ld before; %ld KiB of tmpfs\n", total,
		      (LOAD_MS + 1000) / 1000, most, before, tmpfs);
	wait_for(refused(rig) == 1);
	assert_int_equal(said("its records are set aside until it does"), 1);
	assert_true(tmpfs <= (8 + 64 + 8) << 10);
	assert_true(most - before <= 64 << 10);
	assert_int_equal(shell(BROKER " start %s", rig->other), 0);
	take_all(rig, true);
	assert_int_equal(rig->halves, 0);
	stop_pipeline(rig, PIPELINE_FLUSH);
	for (uint64_t end = now_ms() + PATIENCE_MS; !rig->halves && now_ms() < end;)
		take_what_came(rig);
	assert_int_equal(rig->halves, 1);
	assert_int_equal(rig->gaps, 1);
	assert_int_equal(lanes(rig), 0);
	assert_int_equal(refused(rig), 1);
}

/* --- a topic that may not be written */

static void start_secured_broker(struct rig *rig)
{
	if (shell("command -v java mvn >/dev/null"))
		skip();
	strcpy(rig->broker, "/tmp/test_pipeline.XXXXXX");
	assert_non_null(mkdtemp(rig->broker));
	assert_int_equal(shell(BROKER " secure %s && " BROKER " start %s && " BROKER " topics %s " TOPIC ":%d",
			       rig->broker, rig->broker, rig->broker, PARTITIONS), 0);
}

static void configure_user(struct rig *rig)
{
	char *broker = broker_address(rig->broker, "sasl"), *plain = broker_address(rig->broker, "");
	char sink[1024];

	snprintf(sink, sizeof(sink),
		 "  disk: {directory: %s/disk, max_size: 256MiB}\n"
		 "sink: kafka\n"
		 "kafka:\n"
		 "  brokers: [\"%s\"]\n"
		 "  topic: " TOPIC "\n"
		 "  aside_size: 4MiB\n"
		 "  rdkafka: {security.protocol: sasl_ssl, ssl.ca.location: %s/tls/ca.pem, sasl.mechanisms: PLAIN, "
		 "sasl.username: logtap, sasl.password: plain-secret}\n",
		 rig->directory, broker, rig->broker);
	configure(rig, sink);
	rig->consumer = client__new(RD_KAFKA_CONSUMER, plain);
	free(broker);
	free(plain);
}

static void set_right(const struct rig *rig, const char *change)
{
	assert_int_equal(shell(BROKER " acls %s %s --deny-principal User:logtap --operation Write --topic " TOPIC " 1>&2",
			       rig->broker, change), 0);
}

/* Beside 10,000 lines a second: all of them go on to the journal, and wait there. */
static void topic_that_may_not_be_written_holds_up_the_sink_alone(void **state)
{
	struct rig *rig = *state;
	uint64_t written = 0;
	long before, most;

	alarm(LOAD_PATIENCE_S);
	start_secured_broker(rig);
	configure_user(rig);
	consume_all(rig);
	start_pipeline(rig, -1);
	for (int i = 0; i < STREAMS; i++) {
		char path[32];

		snprintf(path, sizeof(path), "/app/%d.log", i);
		ring_capture__open_file(&rig->capture, i, path);
	}
	load(rig, 1000);
	take_all(rig, true);
	before = own_memory();
	set_right(rig, "--add");
	/* It takes a moment to reach the broker's own knowledge. */
	for (uint64_t end = now_ms() + PATIENCE_MS; !said("may not be written to"); load(rig, 100))
		assert_true(now_ms() < end);
	most = load(rig, LOAD_MS / 2);
	for (int i = 0; i < STREAMS; i++)
		written += rig->written[i];
	wait_for(counters__get(&rig->counters, COUNTER_lines) == written);
	assert_int_equal(counters__get(&rig->counters, COUNTER_journal_records), written);
	assert_false(all_came(rig, true));
	assert_true(tmpfs_memory(rig) <= (8 + 4) << 10);
	assert_true(most - before <= 64 << 10);
	set_right(rig, "--remove --force");
	take_all(rig, true);
	assert_int_equal(said("may not be written to"), 1);
	print_message("%" PRIu64 " lines; %ld KiB of memory, %ld before\n", written, most, before);
	stop_pipeline(rig, PIPELINE_FLUSH);
}

#define rig_fact(test) cmocka_unit_test_setup_teardown(test, setup_rig, teardown_rig)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		rig_fact(what_was_set_aside_is_saved_whatever_the_sink),
		rig_fact(what_was_set_aside_comes_out_of_another_sink),
		rig_fact(stop_with_a_silent_name_server_saves_the_journals),
		rig_fact(another_sink_does_not_wait_for_a_silent_name_server),
		rig_fact(one_stall_of_each_kind_holds_up_nothing_else),
		rig_fact(topic_that_may_not_be_written_holds_up_the_sink_alone),
	};

	setvbuf(stdout, NULL, _IOLBF, 0);
	return run_in_parallel(tests, sizeof(tests) / sizeof(tests[0]), argc > 1 ? argv[1] : NULL);
}
