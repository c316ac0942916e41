#include "kafka_fixture.h"

/* Of the whole process: on a busy machine it is less, never more. */
static uint64_t cpu_ms(void)
{
	struct timespec used;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
	return used.tv_sec * 1000ull + used.tv_nsec / 1000000;
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
	assert_true(cpu_ms() - busy_ms < 6500);
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
	assert_int_equal(said("kafka.rdkafka.ssl.ca.location: /nonexistent/ca.pem cannot be read: No such file or directory"), 1);
	set_property(f, "ssl.ca.location", "/etc/passwd");
	assert_int_equal(open_sink(f), -EINVAL);
	assert_int_equal(said("kafka.rdkafka.ssl.ca.location: /etc/passwd cannot be used: "), 1);
}

static void delivery_reports_cannot_be_turned_off(void **state)
{
	struct fixture *f = *state;

	set_property(f, "delivery.report.only.error", "true");
	append_many(f, 30);
	start_sink(f);
	assert_all_arrive(f);
}

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

	return run_in_parallel(tests, sizeof(tests) / sizeof(tests[0]), argc > 1 ? argv[1] : NULL);
}
