/*
 * The Kafka sink, configured by YAML, and a real broker: security, codecs, and what a topic may do
 * to it. Skipped where there is no Java.
 */
#include "kafka_fixture.h"
#include "real_broker.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#define OTHERS 10000
#define OUTAGE_MS 10000

static char broker_dir[] = "/tmp/test_kafka.XXXXXX";
static bool broker_runs;

static char *address(const char *listener)
{
	return broker_address(broker_dir, listener);
}

/* `rdkafka`: lines of properties. */
static void configure(struct fixture *f, const char *broker, const char *topic,
		      const char *compression, const char *rdkafka)
{
	char *text;
	int len = asprintf(&text,
			   "sink: kafka\n"
			   "journal: {directory: %s}\n"
			   "kafka:\n"
			   "  brokers: [\"%s\"]\n"
			   "  topic: %s\n"
			   "  compression: %s\n"
			   "  rdkafka:\n"
			   "    reconnect.backoff.max.ms: 500\n"
			   "    topic.metadata.refresh.interval.ms: 1000\n"
			   "%s",
			   f->directory[0], broker, topic, compression, rdkafka);

	assert_int_equal(config__parse("test.yaml", text, len, stderr, &f->parsed), 0);
	f->config = *f->parsed;
	f->brokers[0] = address("");
	free(text);
}

static int setup_broker(void **state)
{
	if (!broker_runs)
		skip();
	*state = fixture__new();
	return 0;
}

static int teardown_broker(void **state)
{
	struct fixture *f = *state;
	char *broker = f ? f->brokers[0] : NULL;

	if (f)
		teardown(state);
	free(broker);
	return 0;
}

static void create_topic(const char *name, const char *more)
{
	assert_int_equal(shell(BROKER " topics %s %s:%d%s", broker_dir, name, PARTITIONS, more), 0);
}

static void start_on(struct fixture *f, const char *listener, const char *topic,
		     const char *rdkafka)
{
	char *broker = address(listener);

	create_topic(topic, "");
	configure(f, broker, topic, "lz4", rdkafka);
	free(broker);
	start_sink(f);
}

static void assert_delivers(struct fixture *f)
{
	append_many(f, 300);
	assert_all_arrive(f);
}

static void assert_told_once(const char *text)
{
	assert_int_equal(said("warning: "), 1);
	assert_int_equal(said(text), 1);
}

/* Waits until it is said, and then a little: it must not be said again. */
static void wait_until_told(const char *text)
{
	uint64_t told_ms;

	wait_for(said(text));
	told_ms = now_ms();
	wait_for(now_ms() - told_ms > 3000);
	assert_told_once(text);
}

static void assert_recovered(struct fixture *f, const char *text)
{
	assert_delivers(f);
	assert_told_once(text);
	assert_int_equal(said("Kafka takes records again"), 1);
}

/* --- TLS and SASL */

static void tls_delivers(void **state)
{
	char properties[256];

	snprintf(properties, sizeof(properties),
		 "    security.protocol: ssl\n"
		 "    ssl.ca.location: %s/tls/ca.pem\n", broker_dir);
	start_on(*state, "tls", "tls", properties);
	assert_delivers(*state);
	assert_int_equal(said("warning: "), 0);
}

static void start_sasl(struct fixture *f, const char *topic, const char *mechanism,
		       const char *user, const char *password)
{
	char properties[512];

	setenv("TEST_PASSWORD", password, 1);
	snprintf(properties, sizeof(properties),
		 "    security.protocol: sasl_ssl\n"
		 "    ssl.ca.location: %s/tls/ca.pem\n"
		 "    sasl.mechanisms: %s\n"
		 "    sasl.username: %s\n"
		 "    sasl.password: ${TEST_PASSWORD}\n",
		 broker_dir, mechanism, user);
	start_on(f, "sasl", topic, properties);
}

static void sasl_plain_delivers(void **state)
{
	start_sasl(*state, "plain", "PLAIN", "logtap", "plain-secret");
	assert_delivers(*state);
	assert_int_equal(said("warning: "), 0);
}

static void sasl_scram_delivers(void **state)
{
	start_sasl(*state, "scram", "SCRAM-SHA-512", "logtap", "scram-secret");
	assert_delivers(*state);
	assert_int_equal(said("warning: "), 0);
}

static void wrong_plain_password_is_said(void **state)
{
	start_sasl(*state, "wrong-plain", "PLAIN", "logtap", "wrong");
	append_many(*state, 30);
	wait_until_told("do not trust each other");
	assert_int_equal(said("Invalid username or password"), 1);
	assert_int_equal(pending(*state), 30);
}

static void scram_password_that_is_put_right_is_taken(void **state)
{
	start_sasl(*state, "wrong-scram", "SCRAM-SHA-512", "late", "late-secret");
	append_many(*state, 300);
	wait_until_told("do not trust each other");
	assert_int_equal(shell(BROKER " configure %s --alter --entity-type users --entity-name late "
			       "--add-config 'SCRAM-SHA-512=[password=late-secret]' 1>&2", broker_dir), 0);
	assert_recovered(*state, "invalid credentials");
}

static void authority_that_is_put_right_is_read_again(void **state)
{
	char properties[256];

	shell("cp %s/tls/other-ca.pem %s/our-ca.pem", broker_dir, broker_dir);
	snprintf(properties, sizeof(properties),
		 "    security.protocol: ssl\n"
		 "    ssl.ca.location: %s/our-ca.pem\n", broker_dir);
	start_on(*state, "tls", "wrong-ca", properties);
	append_many(*state, 300);
	wait_until_told("from an authority that is not in ssl.ca.location");
	shell("cp %s/tls/ca.pem %s/our-ca.new && mv %s/our-ca.new %s/our-ca.pem", broker_dir, broker_dir, broker_dir, broker_dir);
	assert_recovered(*state, "from an authority that is not in ssl.ca.location");
}

static void expired_certificate_that_is_replaced_is_taken(void **state)
{
	char properties[256];

	snprintf(properties, sizeof(properties),
		 "    security.protocol: ssl\n"
		 "    ssl.ca.location: %s/tls/ca.pem\n", broker_dir);
	start_on(*state, "stale", "stale", properties);
	append_many(*state, 300);
	wait_until_told("the broker's certificate has expired");
	assert_int_equal(shell(BROKER " configure %s --alter --entity-type brokers --entity-name 1 "
			       "--add-config listener.name.stale.ssl.keystore.location=%s/tls/server.pem "
			       "1>&2", broker_dir, broker_dir), 0);
	assert_recovered(*state, "the broker's certificate has expired");
}

/* --- codecs */

/* Of the first batch in the partition's log: the low three bits of its attributes. */
static int codec_in_log(const char *topic, int partition)
{
	char path[256];
	char header[61];
	int fd;
	int got;

	snprintf(path, sizeof(path), "%s/data/%s-%d/00000000000000000000.log", broker_dir, topic,
		 partition);
	fd = open(path, O_RDONLY);
	assert_true(fd >= 0);
	got = read(fd, header, sizeof(header));
	close(fd);
	return got == sizeof(header) ? header[22] & 7 : -1;
}

static void assert_codec(struct fixture *f, char *name, int number)
{
	char *broker = address("");
	char topic[32];
	int seen = 0;

	snprintf(topic, sizeof(topic), "codec-%s", name);
	create_topic(topic, "");
	configure(f, broker, topic, name, "");
	free(broker);
	start_sink(f);
	assert_delivers(f);
	for (int i = 0; i < PARTITIONS; i++) {
		int codec = codec_in_log(topic, i);

		if (codec < 0)
			continue;
		assert_int_equal(codec, number);
		seen++;
	}
	assert_true(seen > 0);
}

static void codec_none_is_used(void **state)
{
	assert_codec(*state, "none", 0);
}

static void codec_gzip_is_used(void **state)
{
	assert_codec(*state, "gzip", 1);
}

static void codec_snappy_is_used(void **state)
{
	assert_codec(*state, "snappy", 2);
}

static void codec_lz4_is_used(void **state)
{
	assert_codec(*state, "lz4", 3);
}

static void codec_zstd_is_used(void **state)
{
	assert_codec(*state, "zstd", 4);
}

/* --- topics and names */

static void missing_topic_is_waited_for(void **state)
{
	struct fixture *f = *state;
	char *broker = address("");

	configure(f, broker, "missing", "lz4", "    topic.metadata.propagation.max.ms: 1000\n");
	free(broker);
	start_sink(f);
	append_many(f, 300);
	wait_until_told("the topic does not exist");
	create_topic("missing", "");
	assert_recovered(f, "the topic does not exist");
}

static void topic_that_is_deleted_and_created_again_is_written_to(void **state)
{
	struct fixture *f = *state;

	start_on(f, "", "again", "    topic.metadata.propagation.max.ms: 1000\n");
	append_many(f, 300);
	wait_for(pending(f) == 0);
	/* They go with the topic. */
	memcpy(f->consumed, f->appended, sizeof(f->consumed));
	assert_int_equal(shell(BROKER " topics %s -again", broker_dir), 0);
	append_many(f, 300);
	wait_until_told("the topic does not exist");
	create_topic("again", "");
	assert_recovered(f, "the topic does not exist");
}

static void right_that_is_taken_and_given_back_is_waited_for(void **state)
{
	struct fixture *f = *state;

	start_sasl(f, "rights", "PLAIN", "logtap", "plain-secret");
	assert_delivers(f);
	assert_int_equal(shell(BROKER " acls %s --add --deny-principal User:logtap --operation Write "
			       "--topic rights 1>&2", broker_dir), 0);
	/* It takes a moment to reach the broker's own knowledge. */
	for (int i = 0; i < 100 && !said("may not be written to"); i++) {
		append_many(f, 3);
		usleep(100000);
	}
	wait_until_told("may not be written to");
	assert_int_equal(shell(BROKER " acls %s --remove --force --deny-principal User:logtap "
			       "--operation Write --topic rights 1>&2", broker_dir), 0);
	assert_recovered(f, "may not be written to");
}

/* It is asked for every minute. */
static void limit_that_is_raised_is_used(void **state)
{
	struct fixture *f = *state;
	char *broker = address("");
	rd_kafka_message_t *message;

	alarm(4 * PARALLEL_PATIENCE_S);
	create_topic("raised", ":20000");
	configure(f, broker, "raised", "none", "");
	free(broker);
	start_sink(f);
	append(f, 0, 30000);
	message = consume_next(f);
	assert_true(message->len <= 20000);
	rd_kafka_message_destroy(message);
	assert_int_equal(shell(BROKER " configure %s --alter --entity-type topics --entity-name raised "
			       "--add-config max.message.bytes=50000 1>&2", broker_dir), 0);
	for (uint64_t end = now_ms() + 2 * PATIENCE_MS;
	     !said("takes 50000 bytes a record at most from now on") && now_ms() < end;)
		usleep(100000);
	append(f, 0, 30000);
	message = consume_next(f);
	assert_true(message->len > 30000);
	rd_kafka_message_destroy(message);
	assert_int_equal(said("takes 50000 bytes a record at most from now on"), 1);
	/* A busy broker may refuse a record before it answers what it takes: that is said, and nothing else. */
	assert_int_equal(said("warning: "), said("refuses batches of up to"));
}

/* A compacted topic refuses a record without a key. */
static void poisoned_record_becomes_a_gap_and_the_others_are_whole(void **state)
{
	struct fixture *f = *state;
	char *broker = address("");
	uint64_t started_ms;

	create_topic("poison", ":compact");
	configure(f, broker, "poison", "lz4", "");
	free(broker);
	for (int i = 0; i < OTHERS; i++) {
		if (i == OTHERS / 2)
			append_keyed(f, 2, 100, false);
		append(f, i % 2, 100);
	}
	started_ms = now_ms();
	start_sink(f);
	for (int key = 0; key < 2; key++)
		while (f->consumed[key] < f->appended[key]) {
			rd_kafka_message_t *message = consume(f);
			int got, number;

			assert_int_equal(sscanf(message->payload, "{\"key\":%d,\"number\":%d,", &got, &number),
					 2);
			if (got == 2) {
				f->consumed[2]++;
				assert_non_null(memmem(message->payload, message->len, "2-0.lost", 8));
				assert_int_equal(message->key_len, 3);
			} else {
				/* Idempotent, and nothing was acknowledged: nothing comes twice either. */
				assert_int_equal(number, f->consumed[got]++);
			}
			rd_kafka_message_destroy(message);
		}
	wait_for(pending(f) == 0);
	print_message("10,000 records and a poisoned one took %d ms\n", (int)(now_ms() - started_ms));
	assert_int_equal(counters__get(&f->counters, COUNTER_sink_records_refused), 1);
	assert_told_once("refuses a record for a reason of its own");
}

static void bad_name_beside_a_good_one_does_no_harm(void **state)
{
	struct fixture *f = *state;
	char *broker = address("");
	char both[128];

	snprintf(both, sizeof(both), "nowhere.invalid:9092\", \"%s", broker);
	free(broker);
	create_topic("names", "");
	configure(f, both, "names", "lz4", "");
	start_sink(f);
	assert_delivers(f);
	assert_int_equal(said("warning: "), 0);
}

/* Our own /etc/hosts. False where that may not be. */
static bool own_hosts_file(const char *path)
{
	int fd = open(path, O_CREAT | O_WRONLY, 0644);

	close(fd);
	return !unshare(CLONE_NEWNS) && !mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) &&
	       !mount(path, "/etc/hosts", NULL, MS_BIND, NULL);
}

static void name_that_does_not_resolve_yet_is_tried_again(void **state)
{
	struct fixture *f = *state;
	char *broker = address("");
	char name[64];
	char hosts[64];

	snprintf(hosts, sizeof(hosts), "%s/hosts", broker_dir);
	if (!own_hosts_file(hosts)) {
		free(broker);
		skip();
	}
	snprintf(name, sizeof(name), "broker.invalid%s", strchr(broker, ':'));
	free(broker);
	create_topic("late-name", "");
	configure(f, name, "late-name", "lz4", "");
	start_sink(f);
	append_many(f, 300);
	wait_until_told("Failed to resolve 'broker.invalid");
	assert_int_equal(shell("echo 127.0.0.1 broker.invalid >>%s", hosts), 0);
	assert_recovered(f, "Kafka cannot be reached");
}

/* --- alone, for they take the broker away from all */

static void bounced_broker_loses_and_doubles_nothing(void **state)
{
	struct fixture *f = *state;

	start_on(f, "", "bounce", "");
	assert_delivers(f);
	append_many(f, 3000);
	assert_int_equal(shell(BROKER " stop %s", broker_dir), 0);
	append_many(f, 3000);
	wait_until_told("Kafka cannot be reached");
	assert_int_equal(shell(BROKER " start %s", broker_dir), 0);
	assert_recovered(f, "Kafka cannot be reached");
	assert_int_equal(counters__get(&f->counters, COUNTER_sink_records_retried), 0);
}

static void stop_with_a_hanging_broker_keeps_the_deadline(void **state)
{
	struct fixture *f = *state;
	uint64_t stop_ms;

	start_on(f, "", "hang", "");
	assert_delivers(f);
	assert_int_equal(shell(BROKER " pause %s", broker_dir), 0);
	append_many(f, 3000);
	wait_for(pending(f) == 3000);
	stop_ms = now_ms();
	stop_sink(f, 1000);
	sink_kafka.close(f->sink, -1);
	f->sink = NULL;
	stop_ms = now_ms() - stop_ms;
	assert_int_equal(shell(BROKER " resume %s", broker_dir), 0);
	print_message("stopped in %d ms\n", (int)stop_ms);
	assert_true(stop_ms >= 1000 && stop_ms < 10000);
	assert_int_equal(pending(f), 3000);
	assert_int_equal(said("3000 records are left undelivered in the journal"), 1);
}

static uint64_t cpu_ms(void)
{
	struct timespec used;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
	return used.tv_sec * 1000ull + used.tv_nsec / 1000000;
}

/* More than the window holds, and the broker does not answer, or is not there. */
static void assert_outage_is_cheap(struct fixture *f, const char *topic, const char *take,
				   const char *give)
{
	uint64_t busy_ms, since_ms;

	start_on(f, "", topic, "");
	assert_delivers(f);
	assert_int_equal(shell(BROKER " %s %s", take, broker_dir), 0);
	append_many(f, 15000);
	since_ms = now_ms();
	busy_ms = cpu_ms();
	while (now_ms() - since_ms < OUTAGE_MS)
		usleep(100000);
	busy_ms = cpu_ms() - busy_ms;
	assert_true(pending(f) == 15000);
	assert_int_equal(shell(BROKER " %s %s", give, broker_dir), 0);
	print_message("%d ms of processor time in %d ms without a broker\n", (int)busy_ms, OUTAGE_MS);
	/*
	 * Hanging: up to a second passes before it is known, see kafka_stall.h. A thread that spins would
	 * take all of the time; what an outage really costs is counted by tests/bench/outage.
	 */
	assert_true(busy_ms < OUTAGE_MS * 7 / 10);
	assert_all_arrive(f);
	assert_int_equal(counters__get(&f->counters, COUNTER_sink_records_retried), 0);
}

static void full_queue_is_cheap_while_the_broker_hangs(void **state)
{
	assert_outage_is_cheap(*state, "cheap-hang", "pause", "resume");
}

static void full_queue_is_cheap_while_the_broker_is_dead(void **state)
{
	assert_outage_is_cheap(*state, "cheap-death", "kill", "start");
}

static bool start_broker(void)
{
	return shell("command -v java mvn openssl >/dev/null") == 0 && mkdtemp(broker_dir) &&
	       shell(BROKER " secure %s && " BROKER " start %s", broker_dir, broker_dir) == 0;
}

static void stop_broker(void)
{
	shell(BROKER " kill %s; rm -rf %s", broker_dir, broker_dir);
}

#define broker_fact(test) cmocka_unit_test_setup_teardown(test, setup_broker, teardown_broker)

int main(int argc, char **argv)
{
	const struct CMUnitTest together[] = {
		broker_fact(limit_that_is_raised_is_used),
		broker_fact(tls_delivers),
		broker_fact(sasl_plain_delivers),
		broker_fact(sasl_scram_delivers),
		broker_fact(wrong_plain_password_is_said),
		broker_fact(scram_password_that_is_put_right_is_taken),
		broker_fact(authority_that_is_put_right_is_read_again),
		broker_fact(expired_certificate_that_is_replaced_is_taken),
		broker_fact(codec_none_is_used),
		broker_fact(codec_gzip_is_used),
		broker_fact(codec_snappy_is_used),
		broker_fact(codec_lz4_is_used),
		broker_fact(codec_zstd_is_used),
		broker_fact(missing_topic_is_waited_for),
		broker_fact(topic_that_is_deleted_and_created_again_is_written_to),
		broker_fact(right_that_is_taken_and_given_back_is_waited_for),
		broker_fact(poisoned_record_becomes_a_gap_and_the_others_are_whole),
		broker_fact(bad_name_beside_a_good_one_does_no_harm),
		broker_fact(name_that_does_not_resolve_yet_is_tried_again),
	};
	const struct CMUnitTest alone[] = {
		broker_fact(bounced_broker_loses_and_doubles_nothing),
		broker_fact(stop_with_a_hanging_broker_keeps_the_deadline),
		broker_fact(full_queue_is_cheap_while_the_broker_hangs),
		broker_fact(full_queue_is_cheap_while_the_broker_is_dead),
	};
	const struct parallel_group groups[] = {
		{ together, sizeof(together) / sizeof(together[0]), PARALLEL_AT_ONCE },
		{ alone, sizeof(alone) / sizeof(alone[0]), 1 },
	};
	int failed;

	broker_runs = start_broker();
	failed = run_groups(groups, 2, argc > 1 ? argv[1] : NULL);
	stop_broker();
	return failed;
}
