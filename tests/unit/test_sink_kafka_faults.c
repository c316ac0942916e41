/*
 * What a broker alone cannot be made to do: librdkafka's mock cluster loses leaders, and refuses
 * records and producers.
 */
#include "base/directory.h"
#include "kafka_fixture.h"
#include "silent_name_server.h"

#include <sys/stat.h>
#include <zlib.h>

#define MANY 30000
#define SLOW 12000
/* The key whose partition loses its leader, and those that share none with it. */
#define STUCK 1
#define OTHER_A 0
#define OTHER_B 2

static int partition_of(int key)
{
	const unsigned char text[] = { 'k', '0' + key };

	return crc32(0, text, sizeof(text)) % PARTITIONS;
}

static int setup_aside(void **state)
{
	struct fixture *f;

	setup(state);
	f = *state;
	f->config.journal.directory = mkdtemp(strdup("/tmp/test_aside.XXXXXX"));
	f->config.journal.segment_size = 1 << 20;
	f->config.kafka.aside_size = 8 << 20;
	/* What is to be seen rests on it. */
	assert_int_not_equal(partition_of(STUCK), partition_of(OTHER_A));
	assert_int_not_equal(partition_of(STUCK), partition_of(OTHER_B));
	return 0;
}

static int teardown_aside(void **state)
{
	struct fixture *f = *state;
	char *directory = f->config.journal.directory;
	char command[128];

	teardown(state);
	snprintf(command, sizeof(command), "rm -r %s", directory);
	free(directory);
	return system(command);
}

static bool lane_exists(const struct fixture *f)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/aside/%d", f->config.journal.directory, partition_of(STUCK));
	return access(path, F_OK) == 0;
}

static void lose_leader(struct fixture *f)
{
	start_sink(f);
	append_many(f, 300);
	assert_all_arrive(f);
	rd_kafka_mock_partition_set_leader(f->cluster, TOPIC, partition_of(STUCK), -1);
}

static void give_leader_back(struct fixture *f)
{
	rd_kafka_mock_partition_set_leader(f->cluster, TOPIC, partition_of(STUCK), 1);
}

/* As by the next process. */
static void restart_sink(struct fixture *f)
{
	assert_true(sink_kafka.close(f->sink, -1));
	f->sink = NULL;
	f->stop = false;
	for (int i = 0; i < JOURNALS; i++)
		journal__close(f->journals[i]);
	open_journals(f);
	start_sink(f);
}

static void assert_others_arrive(struct fixture *f)
{
	while (f->consumed[OTHER_A] < f->appended[OTHER_A] ||
	       f->consumed[OTHER_B] < f->appended[OTHER_B])
		rd_kafka_message_destroy(consume_next(f));
}

/* Three times as many as the window holds, so that without a lane they would all wait. */
static void partition_without_leader_holds_up_no_other(void **state)
{
	struct fixture *f = *state;
	int before;

	lose_leader(f);
	before = f->consumed[STUCK];
	append_many(f, MANY);
	assert_others_arrive(f);
	assert_int_equal(f->consumed[STUCK], before);
	/* What is of the stuck key was put aside, so its journal can be let go of. */
	wait_for(pending(f) == 0);
	assert_int_equal(said("takes no records while others do"), 1);
	append_many(f, 300);
	assert_others_arrive(f);
	give_leader_back(f);
	append_many(f, 300);
	assert_all_arrive(f);
	wait_for(!lane_exists(f));
	assert_int_equal(said("takes records again: what was set aside"), 1);
	assert_int_equal(said("warning: "), 1);
	append_many(f, 300);
	assert_all_arrive(f);
}

static void what_is_set_aside_outlives_the_sink(void **state)
{
	struct fixture *f = *state;

	lose_leader(f);
	append_many(f, MANY);
	assert_others_arrive(f);
	wait_for(pending(f) == 0);
	stop_sink(f, 0);
	assert_true(lane_exists(f));
	append_many(f, 300);
	restart_sink(f);
	give_leader_back(f);
	assert_all_arrive(f);
	wait_for(!lane_exists(f));
}

/* As a process leaves one that ends between a lane's last record and its removal. */
static void empty_lane_holds_up_nothing(void **state)
{
	struct fixture *f = *state;
	char path[128];

	snprintf(path, sizeof(path), "%s/aside/%d", f->config.journal.directory, partition_of(STUCK));
	assert_int_equal(directory__make(path), 0);
	append_many(f, 300);
	start_sink(f);
	assert_all_arrive(f);
	wait_for(!lane_exists(f));
}

/* Beyond its bound it is back-pressure: nothing is lost, and the bound is kept. */
static void full_lane_holds_back_but_drops_nothing(void **state)
{
	struct fixture *f = *state;
	char command[128];
	char size[32] = "";
	FILE *du;

	lose_leader(f);
	append_many(f, MANY);
	assert_others_arrive(f);
	for (int i = 0; i < 6000; i++)
		append(f, STUCK, 1000);
	wait_for(said("has reached its bound"));
	snprintf(command, sizeof(command), "du -sk %s/aside", f->config.journal.directory);
	du = popen(command, "r");
	assert_non_null(fgets(size, sizeof(size), du));
	pclose(du);
	assert_true(atoi(size) <= 8 * 1024 + 64);
	give_leader_back(f);
	while (f->consumed[STUCK] < f->appended[STUCK])
		rd_kafka_message_destroy(consume_next(f));
	wait_for(pending(f) == 0);
	assert_int_equal(said("has reached its bound"), 1);
}

static bool lane_is_on_disk(const struct fixture *f)
{
	return access(f->config.journal.disk.directory, F_OK) == 0 &&
	       counters__get(&f->counters, COUNTER_journal_spilled_segments) > 0;
}

/* Twice what the lane has memory for, and a node that loses it at a reboot. */
static void lane_overflows_to_disk_and_outlives_a_reboot(void **state)
{
	static char disk[96];   /* also for the sink, if this fails */
	struct fixture *f = *state;
	char command[256], path[128];

	snprintf(disk, sizeof(disk), "%s/disk", f->config.journal.directory);
	f->config.sink = SINK_KAFKA;
	f->config.capture.shards = 1;
	f->config.journal.disk = (struct disk_config){ .directory = disk, .max_size = 1 << 30 };
	lose_leader(f);
	append_many(f, MANY);
	assert_others_arrive(f);
	for (int i = 0; i < 20000; i++)
		append(f, STUCK, 700);
	wait_for(pending(f) == 0);
	assert_true(lane_is_on_disk(f));
	assert_int_equal(said("has reached its bound"), 0);
	stop_sink(f, 0);
	sink_kafka.save(f->sink, PATIENCE_MS);
	assert_true(sink_kafka.close(f->sink, -1));
	snprintf(command, sizeof(command), "rm -r %s/aside", f->config.journal.directory);
	assert_int_equal(system(command), 0);
	f->sink = NULL;
	f->stop = false;
	start_sink(f);
	/* Newer ones must not overtake what is on disk. */
	append_many(f, 3000);
	give_leader_back(f);
	for (int key = 0; key < KEYS; key++)
		while (f->consumed[key] < f->appended[key])
			rd_kafka_message_destroy(consume_next(f));
	wait_for(pending(f) == 0 && !lane_exists(f));
	/* Neither here nor there, where it goes after that. */
	snprintf(path, sizeof(path), "%s/aside/%d", disk, partition_of(STUCK));
	wait_for(access(path, F_OK) != 0);
}

static int setup_three(void **state)
{
	return setup_brokers(state, 3);
}

static void changing_leaders_lose_nothing_and_keep_the_order(void **state)
{
	struct fixture *f = *state;

	start_sink(f);
	for (int i = 0; i < 60; i++) {
		append_many(f, 300);
		for (int p = 0; p < PARTITIONS; p++)
			rd_kafka_mock_partition_set_leader(f->cluster, TOPIC, p, 1 + (i + p) % 3);
		usleep(20000);
	}
	assert_all_arrive(f);
	assert_int_equal(said("warning: "), 0);
	assert_int_equal(counters__get(&f->counters, COUNTER_sink_records_retried), 0);
}

static void producer_out_of_sequence_is_replaced(void **state)
{
	struct fixture *f = *state;

	start_sink(f);
	append_many(f, 300);
	assert_all_arrive(f);
	rd_kafka_mock_push_request_errors(f->cluster, API_PRODUCE, 1,
					  RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
	append_many(f, 300);
	assert_all_arrive(f);
	assert_int_equal(said("producer gave up"), 1);
	assert_int_equal(said("Kafka takes records again"), 1);
	append_many(f, 300);
	assert_all_arrive(f);
	assert_int_equal(said("warning: "), 1);
}

static void fenced_producer_is_replaced(void **state)
{
	struct fixture *f = *state;

	start_sink(f);
	append_many(f, 300);
	assert_all_arrive(f);
	rd_kafka_mock_push_request_errors(f->cluster, API_PRODUCE, 1,
					  RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH);
	append_many(f, 300);
	assert_all_arrive(f);
	assert_int_equal(said("warning: "), 1);
}

static uint64_t refused(const struct fixture *f)
{
	return counters__get(&f->counters, COUNTER_sink_records_refused);
}

/* Where everything is refused it is not the records' fault: they are not given up one by one. */
static void topic_that_refuses_everything_does_not_empty_the_journal(void **state)
{
	struct fixture *f = *state;
	rd_kafka_resp_err_t errors[100];
	uint64_t since_ms;
	uint64_t given_up;

	for (int i = 0; i < 100; i++)
		errors[i] = RD_KAFKA_RESP_ERR_INVALID_RECORD;
	rd_kafka_mock_push_request_errors_array(f->cluster, API_PRODUCE, 100, errors);
	start_sink(f);
	append(f, 0, 100);
	for (int i = 0; i < 500; i++)
		append(f, 0, 100);
	wait_for(refused(f) >= 16);
	since_ms = now_ms();
	wait_for(now_ms() - since_ms > 5000);
	given_up = refused(f);
	/* The mock cluster refuses all five that are on their way at once. */
	assert_true(given_up <= 20);
	rd_kafka_mock_clear_request_errors(f->cluster, API_PRODUCE);
	wait_for(pending(f) == 0);
	assert_int_equal(refused(f), given_up);
	assert_true(counters__get(&f->counters, COUNTER_sink_records_delivered) >=
		    f->appended[0] - given_up);
	assert_int_equal(said("refuses a record for a reason of its own"), 1);
}

/* Else it would be cut and sent for ever, without rest. */
static void record_that_is_too_large_at_any_size_is_given_up(void **state)
{
	struct fixture *f = *state;
	rd_kafka_resp_err_t errors[100];

	for (int i = 0; i < 100; i++)
		errors[i] = RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE;
	rd_kafka_mock_push_request_errors_array(f->cluster, API_PRODUCE, 100, errors);
	start_sink(f);
	append(f, 0, 100);
	wait_for(refused(f) > 0);
	rd_kafka_mock_clear_request_errors(f->cluster, API_PRODUCE);
	wait_for(pending(f) == 0);
	assert_int_equal(said("than 1000 bytes are cut"), 1);
	assert_int_equal(said("refuses a record for a reason of its own"), 1);
}

/* --- the end */

/* The mock cluster keeps every copy of a record, in a slow one's log lies what is still unreported. */
static void stop_in_mid_stream_makes_nothing_come_twice(void **state)
{
	struct fixture *f = *state;
	int left = SLOW;

	set_property(f, "batch.num.messages", "300");
	rd_kafka_mock_broker_set_rtt(f->cluster, 1, 200);
	append_many(f, SLOW);
	start_sink(f);
	wait_for(pending(f) < SLOW);
	stop_sink(f, 2000);
	assert_in_range(pending(f), 1, SLOW - 1);
	rd_kafka_mock_broker_set_rtt(f->cluster, 1, 0);
	f->config.kafka.rdkafka_count--;
	restart_sink(f);
	wait_for(pending(f) == 0);
	while (left--) {
		rd_kafka_message_t *message = consume(f);
		int key, number;

		assert_int_equal(sscanf(message->payload, "{\"key\":%d,\"number\":%d,", &key, &number), 2);
		assert_int_equal(number, f->consumed[key]++);
		rd_kafka_message_destroy(message);
	}
}

static int setup_nothing(void **state)
{
	*state = fixture__new();
	return 0;
}

/* So that the journals can be saved, and the process ends in time. */
static void stop_does_not_wait_for_a_silent_name_server(void **state)
{
	struct fixture *f = *state;
	char *brokers[] = { "broker.invalid:9092" };
	const struct sink_context context = {
		.config = &f->config,
		.journals = f->journals,
		.journals_count = JOURNALS,
		.data_fd = f->data_fd,
		.counters = &f->counters,
	};
	static struct sink *sink; /* what it has is still reachable when the test ends */
	struct pollfd asked = { .events = POLLIN };

	if (!own_silent_name_server(&asked.fd))
		skip();
	f->config.sink = SINK_KAFKA;
	f->config.kafka = (struct kafka_config){
		.brokers = brokers, .brokers_count = 1, .topic = TOPIC, .compression = "none",
	};
	append_many(f, 300);
	assert_int_equal(sink__start(&context, &sink), 0);
	assert_int_equal(poll(&asked, 1, PATIENCE_MS), 1);
	assert_int_equal(sink__end(sink, 1000), 0);
	assert_int_equal(pending(f), 300);
	/* It reads them yet, and says so. */
	assert_false(sink__free(sink, 100));
	close(asked.fd);
}

/* Nothing is freed that the sink reads. */
static int leave(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < JOURNALS; i++) {
		char command[128];

		snprintf(command, sizeof(command), "rm -r %s", f->directory[i]);
		assert_int_equal(system(command), 0);
	}
	return 0;
}

#define aside_fact(test) cmocka_unit_test_setup_teardown(test, setup_aside, teardown_aside)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		aside_fact(partition_without_leader_holds_up_no_other),
		aside_fact(what_is_set_aside_outlives_the_sink),
		aside_fact(empty_lane_holds_up_nothing),
		aside_fact(full_lane_holds_back_but_drops_nothing),
		aside_fact(lane_overflows_to_disk_and_outlives_a_reboot),
		cmocka_unit_test_setup_teardown(changing_leaders_lose_nothing_and_keep_the_order,
						setup_three, teardown),
		fact(producer_out_of_sequence_is_replaced),
		fact(fenced_producer_is_replaced),
		fact(topic_that_refuses_everything_does_not_empty_the_journal),
		fact(record_that_is_too_large_at_any_size_is_given_up),
		fact(stop_in_mid_stream_makes_nothing_come_twice),
		cmocka_unit_test_setup_teardown(stop_does_not_wait_for_a_silent_name_server, setup_nothing,
						leave),
	};

	return run_in_parallel(tests, sizeof(tests) / sizeof(tests[0]), argc > 1 ? argv[1] : NULL);
}
