/*
 * produce_loop BROKERS TOPIC RECORDS SIZE|FILE [PROPERTY=VALUE...]: the barest producer that
 * librdkafka allows, to compare the Kafka sink with. It keeps what the sink promises (idempotence,
 * acks=all, lz4, a key of a stream's each), but reads its records (of SIZE bytes, or the first lines
 * of FILE) from memory and looks at delivery reports only to count them. Prints a line of JSON.
 */
#include <errno.h>
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

enum { KEYS = 16, BATCH = 256, SLOTS = 65536 };

static long delivered;
static long failed;

static void die(const char *what, const char *why)
{
	fprintf(stderr, "produce_loop: %s: %s\n", what, why);
	exit(1);
}

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
	(void)rk;
	(void)opaque;
	if (message->err)
		failed++;
	else
		delivered++;
}

static void set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
	char error[256];

	if (rd_kafka_conf_set(conf, name, value, error, sizeof(error)))
		die(name, error);
}

static rd_kafka_t *producer__new(const char *brokers, char **properties)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	char error[256];
	rd_kafka_t *rk;

	set(conf, "bootstrap.servers", brokers);
	set(conf, "enable.idempotence", "true");
	set(conf, "compression.codec", "lz4");
	set(conf, "linger.ms", "50");
	for (; *properties; properties++) {
		char *name = strsep(properties, "=");

		if (!*properties)
			die(name, "expected PROPERTY=VALUE");
		set(conf, name, *properties);
	}
	rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
	rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, error, sizeof(error));
	if (!rk)
		die("librdkafka", error);
	return rk;
}

struct line {
	char *text;
	size_t len;
};

static void read_lines(const char *path, struct line *lines)
{
	FILE *file = fopen(path, "re");

	if (!file)
		die(path, strerror(errno));
	for (unsigned int i = 0; i < SLOTS; i++) {
		size_t size = 0;
		ssize_t len = getline(&lines[i].text, &size, file);

		if (len < 1)
			die(path, "too few lines");
		lines[i].len = len - 1;
	}
	fclose(file);
}

/* Lines that compress as logs do: the same words, other numbers. */
static void make_lines(size_t size, struct line *made)
{
	char *lines = malloc(SLOTS * size + 1);
	char line[512];

	if (!lines)
		die("memory", "not enough");
	memset(lines, ' ', SLOTS * size);
	for (unsigned int i = 0; i < SLOTS; i++) {
		int len = snprintf(line, sizeof(line),
				   "{\"timestamp\":\"2024-05-05T10:11:12.%09uZ\",\"message\":\"GET "
				   "/item/%u took %u us\","
				   "\"stream\":\"stdout\",\"source_type\":\"container\",\"id\":"
				   "\"node-%08x\",\"host\":\"node\"",
				   i * 15259, i * 2654435761u % 100000, i * 40503u % 5000,
				   i * 2246822519u);

		memcpy(lines + i * size, line, (size_t)len < size ? (size_t)len : size);
		lines[(i + 1) * size - 1] = '}';
		made[i] = (struct line){ .text = lines + i * size, .len = size };
	}
}

static void produce(rd_kafka_t *rk, rd_kafka_topic_t *topic, const struct line *lines, long records)
{
	static char keys[KEYS][32];
	rd_kafka_message_t batch[BATCH];

	for (int i = 0; i < KEYS; i++)
		snprintf(keys[i], sizeof(keys[i]), "node/%024d", i);
	for (long sent = 0; sent < records;) {
		int count = records - sent < BATCH ? records - sent : BATCH;

		for (int i = 0; i < count; i++)
			batch[i] = (rd_kafka_message_t){
				.payload = lines[(sent + i) % SLOTS].text,
				.len = lines[(sent + i) % SLOTS].len,
				.key = keys[(sent + i) % KEYS],
				.key_len = strlen(keys[(sent + i) % KEYS]),
			};
		count = rd_kafka_produce_batch(topic, RD_KAFKA_PARTITION_UA, 0, batch, count);
		sent += count;
		rd_kafka_poll(rk, count ? 0 : 10);
	}
	while (rd_kafka_flush(rk, 1000))
		;
}

static double seconds(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	static struct line lines[SLOTS];
	rd_kafka_topic_t *topic;
	double wall;
	double cpu;
	long records;
	size_t size;
	rd_kafka_t *rk;

	if (argc < 5 || (records = atol(argv[3])) < 1) {
		fprintf(stderr,
			"usage: produce_loop BROKERS TOPIC RECORDS SIZE|FILE [PROPERTY=VALUE...]\n");
		return 2;
	}
	size = strtoul(argv[4], NULL, 10);
	if (size)
		make_lines(size, lines);
	else
		read_lines(argv[4], lines);
	rk = producer__new(argv[1], argv + 5);
	topic = rd_kafka_topic_new(rk, argv[2], NULL);
	wall = seconds(CLOCK_MONOTONIC);
	cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
	produce(rk, topic, lines, records);
	wall = seconds(CLOCK_MONOTONIC) - wall;
	cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
	printf("{\"delivered\":%ld,\"failed\":%ld,\"seconds\":%.3f,\"cpu_seconds_per_million\":%."
	       "3f}\n",
	       delivered, failed, wall, cpu * 1e6 / records);
	rd_kafka_topic_destroy(topic);
	rd_kafka_destroy(rk);
	return failed || delivered != records;
}
