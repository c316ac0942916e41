/*
 * What a broker alone cannot be made to do: librdkafka's mock cluster loses leaders, and refuses
 * records and producers.
 */
#include "directory.h"
#include "kafka_fixture.h"
#include "parallel.h"

#include <sys/stat.h>
#include <zlib.h>

#define MANY 30000
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
	sink_kafka.close(f->sink);
	f->sink = NULL;
	assert_true(lane_exists(f));
	f->stop = false;
	append_many(f, 300);
	start_sink(f);
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

#define aside_fact(test) cmocka_unit_test_setup_teardown(test, setup_aside, teardown_aside)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		aside_fact(partition_without_leader_holds_up_no_other),
		aside_fact(what_is_set_aside_outlives_the_sink),
		aside_fact(empty_lane_holds_up_nothing),
		aside_fact(full_lane_holds_back_but_drops_nothing),
		cmocka_unit_test_setup_teardown(changing_leaders_lose_nothing_and_keep_the_order,
						setup_three, teardown),
		fact(producer_out_of_sequence_is_replaced),
		fact(fenced_producer_is_replaced),
		fact(topic_that_refuses_everything_does_not_empty_the_journal),
	};

	return run_in_parallel(tests, sizeof(tests) / sizeof(tests[0]), argc > 1 ? argv[1] : NULL);
}
