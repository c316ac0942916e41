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

#include "config.h"
#include "counters.h"
#include "journal.h"
#include "sink.h"

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
	rd_kafka_t *owner;       /* of the mock cluster */
	rd_kafka_mock_cluster_t *cluster;
	rd_kafka_t *consumer;
	struct config config;
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

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000ull + now.tv_nsec / 1000000;
}

/* Of the whole process: on a busy machine it is less, never more. */
static uint64_t cpu_ms(void)
{
	struct timespec used;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
	return used.tv_sec * 1000ull + used.tv_nsec / 1000000;
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

static rd_kafka_t *client__new(rd_kafka_type_t type, const char *brokers)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	char error[256];
	rd_kafka_t *client;

	if (brokers)
		rd_kafka_conf_set(conf, "bootstrap.servers", brokers, error, sizeof(error));
	if (type == RD_KAFKA_CONSUMER) {
		rd_kafka_conf_set(conf, "group.id", "test", error, sizeof(error));
		rd_kafka_conf_set(conf, "auto.offset.reset", "earliest", error, sizeof(error));
	}
	/* Brokers that a test takes down are no news. */
	rd_kafka_conf_set(conf, "log_level", "0", error, sizeof(error));
	client = rd_kafka_new(type, conf, error, sizeof(error));
	assert_non_null(client);
	return client;
}

static void set_property(struct fixture *f, char *name, char *value)
{
	assert_true(f->config.kafka.rdkafka_count < PROPERTIES_MAX);
	f->properties[f->config.kafka.rdkafka_count++] = (struct name_value){ name, value };
}

static void open_journals(struct fixture *f)
{
	struct journal_options options = {
		.max_size = 16 << 20,
		.segment_size = 1 << 20,
		.data_fd = f->data_fd,
		.space_fd = f->space_fd,
	};

	for (int i = 0; i < JOURNALS; i++) {
		snprintf(f->directory[i], sizeof(f->directory[i]), "/tmp/test_sink_kafka.XXXXXX");
		assert_non_null(mkdtemp(f->directory[i]));
		options.directory = f->directory[i];
		assert_int_equal(journal__open(&options, NULL, &f->journals[i]), 0);
	}
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->owner = client__new(RD_KAFKA_PRODUCER, NULL);
	f->cluster = rd_kafka_mock_cluster_new(f->owner, 1);
	rd_kafka_mock_topic_create(f->cluster, TOPIC, PARTITIONS, 1);
	f->brokers[0] = (char *)rd_kafka_mock_cluster_bootstraps(f->cluster);
	f->config.kafka = (struct kafka_config){
		.brokers = f->brokers,
		.brokers_count = 1,
		.topic = TOPIC,
		.compression = "lz4",
		.rdkafka = f->properties,
	};
	set_property(f, "linger.ms", "5");
	f->data_fd = eventfd(0, EFD_NONBLOCK);
	f->space_fd = eventfd(0, EFD_NONBLOCK);
	open_journals(f);
	*state = f;
	return 0;
}

static void *run_sink(void *opaque)
{
	struct fixture *f = opaque;

	return (void *)(intptr_t)sink_kafka.run(f->sink, &f->stop, &f->deadline_ms);
}

static int open_sink(struct fixture *f)
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

static void start_sink(struct fixture *f)
{
	assert_int_equal(open_sink(f), 0);
	assert_int_equal(pthread_create(&f->thread, NULL, run_sink, f), 0);
	f->running = true;
}

static void stop_sink(struct fixture *f, unsigned int deadline_ms)
{
	void *status;

	f->deadline_ms = deadline_ms;
	__atomic_store_n(&f->stop, true, __ATOMIC_RELEASE);
	eventfd_write(f->data_fd, 1);
	pthread_join(f->thread, &status);
	f->running = false;
	assert_null(status);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	if (f->running)
		stop_sink(f, 0);
	sink_kafka.close(f->sink);
	if (f->consumer) {
		rd_kafka_consumer_close(f->consumer);
		rd_kafka_destroy(f->consumer);
	}
	rd_kafka_mock_cluster_destroy(f->cluster);
	rd_kafka_destroy(f->owner);
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

static uint64_t pending(const struct fixture *f)
{
	uint64_t sum = 0;

	for (int i = 0; i < JOURNALS; i++)
		sum += journal__pending(f->journals[i]);
	return sum;
}

/*
 * What a record looks like: key kN, its place among that key's records, and `size` bytes of
 * message.
 */
static int format_value(char *out, size_t size, int key, int number, size_t message_len,
			size_t *message_off)
{
	*message_off = snprintf(out, size, "{\"key\":%d,\"number\":%d,\"message\":\"", key, number);
	memset(out + *message_off, '.', message_len);
	return *message_off + message_len + snprintf(out + *message_off + message_len, 3, "\"}");
}

static void append(struct fixture *f, int key, size_t message_len)
{
	/* A key's records are in one journal, as a stream's are. */
	struct journal *journal = f->journals[key % JOURNALS];
	char *value = malloc(message_len + 128);
	size_t message_off;
	int len = format_value(value, message_len + 128, key, f->appended[key]++, message_len,
			       &message_off);
	char *place = journal__reserve(journal, 2 + len);

	assert_non_null(place);
	place[0] = 'k';
	place[1] = '0' + key;
	memcpy(place + 2, value, len);
	journal__append(journal, &(struct journal_meta){
		.key_len = 2,
		.value_len = len,
		.message_off = message_off,
		.message_len = message_len,
		.raw_len = message_len,
	});
	journal__publish(journal);
	free(value);
}

static void append_many(struct fixture *f, int count)
{
	for (int i = 0; i < count; i++)
		append(f, i % KEYS, 100);
}

static rd_kafka_message_t *consume(struct fixture *f)
{
	rd_kafka_message_t *message = NULL;

	if (!f->consumer) {
		rd_kafka_topic_partition_list_t *all = rd_kafka_topic_partition_list_new(
			PARTITIONS);

		f->consumer = client__new(RD_KAFKA_CONSUMER, f->brokers[0]);
		rd_kafka_poll_set_consumer(f->consumer);
		rd_kafka_topic_partition_list_add_range(all, TOPIC, 0, PARTITIONS - 1);
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
static rd_kafka_message_t *consume_next(struct fixture *f)
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

static void assert_whole(const rd_kafka_message_t *message, size_t message_len)
{
	char expected[4096];
	size_t message_off;
	int key;
	int number;
	int len;

	assert_int_equal(sscanf(message->payload, "{\"key\":%d,\"number\":%d,", &key, &number), 2);
	len = format_value(expected, sizeof(expected), key, number, message_len, &message_off);
	assert_int_equal(message->len, len);
	assert_memory_equal(message->payload, expected, len);
}

static void assert_all_arrive(struct fixture *f)
{
	for (int key = 0; key < KEYS; key++)
		while (f->consumed[key] < f->appended[key]) {
			rd_kafka_message_t *message = consume_next(f);

			assert_whole(message, 100);
			rd_kafka_message_destroy(message);
		}
	wait_for(pending(f) == 0);
}

static void records_arrive_in_order_and_are_acknowledged(void **state)
{
	struct fixture *f = *state;

	append_many(f, 1000);
	start_sink(f);
	append_many(f, 1000);
	assert_all_arrive(f);
	assert_int_equal(counters__get(&f->counters, COUNTER_sink_records_delivered), 2000);
	assert_int_equal(counters__get(&f->counters, COUNTER_sink_records_retried), 0);
	assert_true(counters__get(&f->counters, COUNTER_sink_bytes_delivered) > 2000 * 100);
}

static void sleeping_sink_wakes_for_a_record(void **state)
{
	struct fixture *f = *state;

	start_sink(f);
	for (int i = 0; i < 5; i++) {
		append_many(f, 1);
		assert_all_arrive(f);
	}
}

static void records_refused_by_the_broker_are_sent_again(void **state)
{
	struct fixture *f = *state;

	rd_kafka_mock_push_request_errors(f->cluster, API_PRODUCE, 3,
					  RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
					  RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
					  RD_KAFKA_RESP_ERR_INVALID_RECORD);
	append_many(f, 300);
	start_sink(f);
	assert_all_arrive(f);
	assert_true(counters__get(&f->counters, COUNTER_sink_records_retried) > 0);
}

static void outage_beyond_the_message_timeout_loses_nothing(void **state)
{
	struct fixture *f = *state;
	uint64_t down_ms;

	set_property(f, "message.timeout.ms", "1000");
	set_property(f, "reconnect.backoff.max.ms", "1000");
	start_sink(f);
	append_many(f, 30);
	assert_all_arrive(f);
	rd_kafka_mock_broker_set_down(f->cluster, -1);
	append_many(f, 300);
	down_ms = now_ms();
	wait_for(now_ms() - down_ms > 3000);
	rd_kafka_mock_broker_set_up(f->cluster, -1);
	append_many(f, 300);
	assert_all_arrive(f);
}

/* A connected broker that does not answer: what is sent meanwhile lingers in librdkafka. */
static void silent_broker_does_not_keep_a_processor_busy(void **state)
{
	struct fixture *f = *state;
	uint64_t busy_ms;

	set_property(f, "batch.num.messages", "100");
	start_sink(f);
	append_many(f, 300);
	assert_all_arrive(f);
	rd_kafka_mock_broker_set_rtt(f->cluster, -1, 8000);
	busy_ms = cpu_ms();
	/* Several batches, so that some linger while the first is under way. */
	append_many(f, 3000);
	wait_for(counters__get(&f->counters, COUNTER_sink_records_delivered) > 300);
	rd_kafka_mock_broker_set_rtt(f->cluster, -1, 0);
	assert_true(cpu_ms() - busy_ms < 4500);
	assert_all_arrive(f);
}

static void unreachable_broker_is_no_error_at_start(void **state)
{
	struct fixture *f = *state;

	rd_kafka_mock_broker_set_down(f->cluster, -1);
	append_many(f, 30);
	start_sink(f);
	wait_for(counters__get(&f->counters, COUNTER_sink_errors) > 0);
	rd_kafka_mock_broker_set_up(f->cluster, -1);
	assert_all_arrive(f);
}

static void full_queue_holds_back_but_drops_nothing(void **state)
{
	struct fixture *f = *state;

	set_property(f, "queue.buffering.max.messages", "7");
	append_many(f, 500);
	start_sink(f);
	assert_all_arrive(f);
	assert_int_equal(counters__get(&f->counters, COUNTER_sink_records_delivered), 500);
	assert_int_equal(counters__get(&f->counters, COUNTER_sink_records_retried), 0);
}

/* The window is larger than the queue in bytes, so that it is librdkafka that says "full". */
static void queue_full_of_bytes_holds_back_but_drops_nothing(void **state)
{
	struct fixture *f = *state;

	set_property(f, "queue.buffering.max.kbytes", "1");
	append_many(f, 200);
	start_sink(f);
	assert_all_arrive(f);
	assert_int_equal(counters__get(&f->counters, COUNTER_sink_records_retried), 0);
}

static void assert_marked_cut(const rd_kafka_message_t *message, size_t limit)
{
	static const char mark[] = ".\",\"partial\":\"max_size\"}";
	size_t len = sizeof(mark) - 1;

	assert_true(message->len > limit / 2);
	assert_true(message->len < limit);
	assert_memory_equal((char *)message->payload + message->len - len, mark, len);
}

static void record_over_the_clients_limit_is_cut(void **state)
{
	struct fixture *f = *state;
	rd_kafka_message_t *message;

	set_property(f, "message.max.bytes", "2000");
	append(f, 0, 3000);
	start_sink(f);
	message = consume_next(f);
	assert_marked_cut(message, 2000);
	rd_kafka_message_destroy(message);
	append_many(f, 30);
	assert_all_arrive(f);
	assert_int_equal(counters__get(&f->counters, COUNTER_sink_records_cut), 1);
	assert_int_equal(counters__get(&f->counters, COUNTER_sink_records_retried), 0);
}

static void record_over_the_brokers_limit_is_cut_and_its_neighbours_are_whole(void **state)
{
	struct fixture *f = *state;

	/* The mock cluster cannot be asked for the limit, so it is halved. */
	set_property(f, "message.max.bytes", "20000");
	rd_kafka_mock_push_request_errors(f->cluster, API_PRODUCE, 1,
					  RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
	append(f, 0, 100);
	append(f, 0, 15000);
	append(f, 0, 100);
	start_sink(f);
	for (int i = 0; i < 3; i++) {
		rd_kafka_message_t *message = consume_next(f);

		if (i == 1)
			assert_marked_cut(message, 10000);
		else
			assert_whole(message, 100);
		rd_kafka_message_destroy(message);
	}
	append_many(f, 30);
	assert_all_arrive(f);
	assert_int_equal(counters__get(&f->counters, COUNTER_sink_records_cut), 1);
	assert_int_equal(counters__get(&f->counters, COUNTER_sink_records_retried), 3);
}

static void record_that_cannot_be_cut_is_dropped_and_counted(void **state)
{
	struct fixture *f = *state;
	char *place = journal__reserve(f->journals[0], 5000);

	set_property(f, "message.max.bytes", "2000");
	memset(place, ' ', 5000);
	journal__append(f->journals[0], &(struct journal_meta){ .key_len = 2, .value_len = 4998 });
	journal__publish(f->journals[0]);
	append_many(f, 30);
	start_sink(f);
	assert_all_arrive(f);
	assert_int_equal(counters__get(&f->counters, COUNTER_sink_records_dropped), 1);
	assert_int_equal(counters__get(&f->counters, COUNTER_sink_records_delivered), 30);
}

static void producer_that_gives_up_is_replaced(void **state)
{
	struct fixture *f = *state;

	rd_kafka_mock_push_request_errors(f->cluster, API_INIT_PRODUCER_ID, 1,
					  RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED);
	append_many(f, 300);
	start_sink(f);
	assert_all_arrive(f);
	assert_true(counters__get(&f->counters, COUNTER_sink_errors) > 0);
}

static void headers_are_on_each_message(void **state)
{
	struct fixture *f = *state;
	struct name_value headers[] = { { "team", "blue" }, { "empty", "" } };

	f->config.kafka.headers = headers;
	f->config.kafka.headers_count = 2;
	set_property(f, "queue.buffering.max.messages", "7");
	append_many(f, 20);
	start_sink(f);
	for (int i = 0; i < 20; i++) {
		rd_kafka_message_t *message = consume_next(f);
		rd_kafka_headers_t *got;
		const void *value;
		size_t size;

		assert_int_equal(rd_kafka_message_headers(message, &got), 0);
		assert_int_equal(rd_kafka_header_cnt(got), 2);
		assert_int_equal(rd_kafka_header_get_last(got, "team", &value, &size), 0);
		assert_int_equal(size, 4);
		assert_memory_equal(value, "blue", 4);
		rd_kafka_message_destroy(message);
	}
}

static void stop_delivers_what_is_left(void **state)
{
	struct fixture *f = *state;

	set_property(f, "batch.num.messages", "1000");
	start_sink(f);
	append_many(f, 3000);
	stop_sink(f, PATIENCE_MS);
	assert_int_equal(pending(f), 0);
	assert_all_arrive(f);
}

static void stop_leaves_what_cannot_be_delivered(void **state)
{
	struct fixture *f = *state;

	rd_kafka_mock_broker_set_down(f->cluster, -1);
	append_many(f, 30);
	start_sink(f);
	stop_sink(f, 50);
	assert_int_equal(pending(f), 30);
}

static void bad_property_is_refused(void **state)
{
	struct fixture *f = *state;

	set_property(f, "socket.timeout", "5");
	assert_int_equal(open_sink(f), -EINVAL);
}

static void missing_ca_file_is_refused(void **state)
{
	struct fixture *f = *state;

	set_property(f, "security.protocol", "ssl");
	set_property(f, "ssl.ca.location", "/nonexistent/ca.pem");
	assert_int_equal(open_sink(f), -EINVAL);
}

static void delivery_reports_cannot_be_turned_off(void **state)
{
	struct fixture *f = *state;

	set_property(f, "delivery.report.only.error", "true");
	append_many(f, 30);
	start_sink(f);
	assert_all_arrive(f);
}

#define fact(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		fact(records_arrive_in_order_and_are_acknowledged),
		fact(sleeping_sink_wakes_for_a_record),
		fact(records_refused_by_the_broker_are_sent_again),
		fact(outage_beyond_the_message_timeout_loses_nothing),
		fact(silent_broker_does_not_keep_a_processor_busy),
		fact(unreachable_broker_is_no_error_at_start),
		fact(full_queue_holds_back_but_drops_nothing),
		fact(queue_full_of_bytes_holds_back_but_drops_nothing),
		fact(record_over_the_clients_limit_is_cut),
		fact(record_over_the_brokers_limit_is_cut_and_its_neighbours_are_whole),
		fact(record_that_cannot_be_cut_is_dropped_and_counted),
		fact(producer_that_gives_up_is_replaced),
		fact(headers_are_on_each_message),
		fact(stop_delivers_what_is_left),
		fact(stop_leaves_what_cannot_be_delivered),
		fact(bad_property_is_refused),
		fact(missing_ca_file_is_refused),
		fact(delivery_reports_cannot_be_turned_off),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
