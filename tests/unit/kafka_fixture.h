/*
 * What the tests of the Kafka sink share: a sink with its journals, librdkafka's mock cluster or a
 * real broker, and a consumer that knows what must come.
 */
#ifndef LOGTAP_KAFKA_FIXTURE_H
#define LOGTAP_KAFKA_FIXTURE_H

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include "base/config.h"
#include "base/counters.h"
#include "config/config_load.h"
#include "journal/journal.h"
#include "parallel.h"
#include "sink/sink.h"

#define TOPIC "logs"
#define PARTITIONS 4
#define JOURNALS 2
#define KEYS 3
#define PROPERTIES_MAX 8
#define PATIENCE_MS 60000
/* Of Kafka's protocol. */
#define API_PRODUCE 0
#define API_INIT_PRODUCER_ID 22

struct fixture {
	rd_kafka_t *owner;       /* of the mock cluster; NULL with a real broker */
	rd_kafka_mock_cluster_t *cluster;
	rd_kafka_t *consumer;
	struct config config;
	struct config *parsed;   /* what config was copied of, or NULL */
	char *brokers[1];
	struct name_value properties[PROPERTIES_MAX];
	struct counters counters;
	struct journal *journals[JOURNALS];
	char directory[JOURNALS][64];
	int data_fd;
	int space_fd;
	void *sink;
	pthread_t thread;
	bool running;
	bool stop;
	unsigned int deadline_ms;
	int appended[KEYS];
	int consumed[KEYS];
};

static inline uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000ull + now.tv_nsec / 1000000;
}

#define wait_for(condition)                                                  \
	do {                                                                 \
		uint64_t end = now_ms() + PATIENCE_MS;                       \
		while (!(condition)) {                                       \
			if (now_ms() > end)                                  \
				fail_msg("waited in vain for " #condition);  \
			usleep(1000);                                        \
		}                                                            \
	} while (0)

static inline rd_kafka_t *client__new(rd_kafka_type_t type, const char *brokers)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	char error[256];
	rd_kafka_t *client;

	if (brokers)
		rd_kafka_conf_set(conf, "bootstrap.servers", brokers, error, sizeof(error));
	if (type == RD_KAFKA_CONSUMER) {
		rd_kafka_conf_set(conf, "group.id", "test", error, sizeof(error));
		rd_kafka_conf_set(conf, "auto.offset.reset", "earliest", error, sizeof(error));
		rd_kafka_conf_set(conf, "enable.auto.commit", "false", error, sizeof(error));
	}
	/* Brokers that a test takes down are no news. */
	rd_kafka_conf_set(conf, "log_level", "0", error, sizeof(error));
	client = rd_kafka_new(type, conf, error, sizeof(error));
	assert_non_null(client);
	return client;
}

static inline void set_property(struct fixture *f, char *name, char *value)
{
	assert_true(f->config.kafka.rdkafka_count < PROPERTIES_MAX);
	f->properties[f->config.kafka.rdkafka_count++] = (struct name_value){ name, value };
}

static inline void open_journals(struct fixture *f)
{
	struct journal_options options = {
		.max_size = 16 << 20,
		.segment_size = 1 << 20,
		.data_fd = f->data_fd,
		.space_fd = f->space_fd,
	};

	for (int i = 0; i < JOURNALS; i++) {
		options.directory = f->directory[i];
		assert_int_equal(journal__open(&options, NULL, &f->journals[i]), 0);
	}
}

static inline struct fixture *fixture__new(void)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->data_fd = eventfd(0, EFD_NONBLOCK);
	f->space_fd = eventfd(0, EFD_NONBLOCK);
	for (int i = 0; i < JOURNALS; i++) {
		snprintf(f->directory[i], sizeof(f->directory[i]), "/tmp/test_sink_kafka.XXXXXX");
		assert_non_null(mkdtemp(f->directory[i]));
	}
	open_journals(f);
	return f;
}

/* Mock brokers, and a topic that is on all of them. */
static inline int setup_brokers(void **state, int count)
{
	struct fixture *f = fixture__new();

	f->owner = client__new(RD_KAFKA_PRODUCER, NULL);
	f->cluster = rd_kafka_mock_cluster_new(f->owner, count);
	rd_kafka_mock_topic_create(f->cluster, TOPIC, PARTITIONS, count);
	f->brokers[0] = (char *)rd_kafka_mock_cluster_bootstraps(f->cluster);
	f->config.kafka = (struct kafka_config){
		.brokers = f->brokers,
		.brokers_count = 1,
		.topic = TOPIC,
		.compression = "lz4",
		.rdkafka = f->properties,
	};
	set_property(f, "linger.ms", "5");
	*state = f;
	return 0;
}

static inline int setup(void **state)
{
	return setup_brokers(state, 1);
}

static inline void *run_sink(void *opaque)
{
	struct fixture *f = opaque;

	return (void *)(intptr_t)sink_kafka.run(f->sink, &f->stop, &f->deadline_ms);
}

static inline int open_sink(struct fixture *f)
{
	const struct sink_context context = {
		.config = &f->config,
		.journals = f->journals,
		.journals_count = JOURNALS,
		.data_fd = f->data_fd,
		.counters = &f->counters,
	};

	return sink_kafka.open(&context, &f->sink);
}

static inline void start_sink(struct fixture *f)
{
	assert_int_equal(open_sink(f), 0);
	assert_int_equal(pthread_create(&f->thread, NULL, run_sink, f), 0);
	f->running = true;
}

static inline void stop_sink(struct fixture *f, unsigned int deadline_ms)
{
	void *status;

	f->deadline_ms = deadline_ms;
	__atomic_store_n(&f->stop, true, __ATOMIC_RELEASE);
	eventfd_write(f->data_fd, 1);
	pthread_join(f->thread, &status);
	f->running = false;
	assert_null(status);
}

static inline int teardown(void **state)
{
	struct fixture *f = *state;

	if (f->running)
		stop_sink(f, 0);
	sink_kafka.close(f->sink, -1);
	if (f->consumer) {
		rd_kafka_consumer_close(f->consumer);
		rd_kafka_destroy(f->consumer);
	}
	if (f->owner) {
		rd_kafka_mock_cluster_destroy(f->cluster);
		rd_kafka_destroy(f->owner);
	}
	config__free(f->parsed);
	for (int i = 0; i < JOURNALS; i++) {
		char command[128];

		journal__close(f->journals[i]);
		snprintf(command, sizeof(command), "rm -r %s", f->directory[i]);
		assert_int_equal(system(command), 0);
	}
	close(f->data_fd);
	close(f->space_fd);
	free(f);
	return 0;
}

static inline uint64_t pending(const struct fixture *f)
{
	uint64_t sum = 0;

	for (int i = 0; i < JOURNALS; i++)
		sum += journal__pending(f->journals[i]);
	return sum;
}

/*
 * What a record looks like: its key, its place among that key's records, and message_len bytes of
 * message.
 */
static inline int format_value(char *out, size_t size, int key, int number, size_t message_len,
			       struct journal_meta *meta)
{
	int off = snprintf(out, size, "{\"key\":%d,\"number\":%d,\"id\":\"%d-%d", key, number, key,
			   number);

	meta->head_len = off;
	off += snprintf(out + off, size - off, "\",\"message\":\"");
	meta->message_off = off;
	meta->message_len = message_len;
	memset(out + off, '.', message_len);
	off += message_len;
	return off + snprintf(out + off, 3, "\"}");
}

static inline void append_keyed(struct fixture *f, int key, size_t message_len, bool keyed)
{
	/* A key's records are in one journal, as a stream's are. */
	struct journal *journal = f->journals[key % JOURNALS];
	struct journal_meta meta = {
		.key_len = keyed ? 2 : 0,
		.raw_len = message_len + 1,
		.lines = 1,
		.stream = key,
	};
	char *value = malloc(message_len + 128);
	char *place;

	meta.value_len = format_value(value, message_len + 128, key, f->appended[key]++,
				      message_len, &meta);
	/* Full: the sink is at work. */
	wait_for((place = journal__reserve(journal, meta.key_len + meta.value_len)));
	if (keyed)
		memcpy(place, (char[]){ 'k', '0' + key }, 2);
	memcpy(place + meta.key_len, value, meta.value_len);
	journal__append(journal, &meta);
	journal__publish(journal);
	free(value);
}

static inline void append(struct fixture *f, int key, size_t message_len)
{
	append_keyed(f, key, message_len, true);
}

static inline void append_many(struct fixture *f, int count)
{
	for (int i = 0; i < count; i++)
		append(f, i % KEYS, 100);
}

static inline rd_kafka_message_t *consume(struct fixture *f)
{
	rd_kafka_message_t *message = NULL;

	if (!f->consumer) {
		rd_kafka_topic_partition_list_t *all = rd_kafka_topic_partition_list_new(
			PARTITIONS);

		f->consumer = client__new(RD_KAFKA_CONSUMER, f->brokers[0]);
		rd_kafka_poll_set_consumer(f->consumer);
		rd_kafka_topic_partition_list_add_range(all, f->config.kafka.topic, 0,
							PARTITIONS - 1);
		for (int i = 0; i < all->cnt; i++)
			all->elems[i].offset = RD_KAFKA_OFFSET_BEGINNING;
		assert_int_equal(rd_kafka_assign(f->consumer, all), 0);
		rd_kafka_topic_partition_list_destroy(all);
	}
	for (uint64_t end = now_ms() + PATIENCE_MS; now_ms() < end;) {
		message = rd_kafka_consumer_poll(f->consumer, 100);
		if (message && !message->err)
			return message;
		if (message)
			rd_kafka_message_destroy(message);
	}
	fail_msg("no message came");
	return NULL;
}

/*
 * The next record that was not seen before. It must be its key's next one: the mock cluster does
 * not remove the duplicates of resent records, so earlier ones may come again.
 */
static inline rd_kafka_message_t *consume_next(struct fixture *f)
{
	while (true) {
		rd_kafka_message_t *message = consume(f);
		int key;
		int number;

		assert_int_equal(
			sscanf(message->payload, "{\"key\":%d,\"number\":%d,", &key, &number), 2);
		assert_int_equal(message->key_len, 2);
		assert_int_equal(((char *)message->key)[1], '0' + key);
		if (number >= f->consumed[key]) {
			assert_int_equal(number, f->consumed[key]);
			f->consumed[key]++;
			return message;
		}
		rd_kafka_message_destroy(message);
	}
}

static inline void assert_whole(const rd_kafka_message_t *message, size_t message_len)
{
	char expected[4096];
	struct journal_meta meta;
	int key;
	int number;
	int len;

	assert_int_equal(sscanf(message->payload, "{\"key\":%d,\"number\":%d,", &key, &number), 2);
	len = format_value(expected, sizeof(expected), key, number, message_len, &meta);
	assert_int_equal(message->len, len);
	assert_memory_equal(message->payload, expected, len);
}

static inline void assert_all_arrive(struct fixture *f)
{
	for (int key = 0; key < KEYS; key++)
		while (f->consumed[key] < f->appended[key]) {
			rd_kafka_message_t *message = consume_next(f);

			assert_whole(message, 100);
			rd_kafka_message_destroy(message);
		}
	wait_for(pending(f) == 0);
}

#define fact(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

#endif
