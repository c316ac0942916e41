#include "kafka_conf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/config.h"

/* The least that librdkafka accepts as message.max.bytes. */
#define MESSAGE_MAX_BYTES_LEAST 1000

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct name_value defaults[] = {
	{ "client.id", "logtap" },
	{ "linger.ms", "50" },
	{ "batch.size", "1000000" },
	{ "batch.num.messages", "10000" },
	/*
	 * The journal is the queue. librdkafka sends a partition's next batch only when the one
	 * before is answered, and its thread polls without rest as long as a batch that is due has
	 * to wait for that: what it holds should be little more than a batch for each partition.
	 * With ten times as much a million lines cost twice the processor time.
	 */
	{ "queue.buffering.max.messages", "10000" },
	{ "queue.buffering.max.kbytes", "65536" },
	{ "reconnect.backoff.max.ms", "10000" },
	{ "socket.keepalive.enable", "true" },
	/* How long a topic that the brokers do not know is waited for before it is said. */
	{ "topic.metadata.propagation.max.ms", "5000" },
};

/*
 * What delivery rests on, whatever is passed through; the check of the configuration tells the user
 * so.
 */
static const struct name_value guarantees[] = {
	{ "enable.idempotence", "true" },
	/*
	 * After a batch that failed for good nothing more of its partition is sent, lest it overtake
	 * what is sent again.
	 */
	{ "enable.gapless.guarantee", "true" },
	{ "acks", "all" },
	{ "delivery.report.only.error", "false" },
	/*
	 * Never: a failed record is sent again for as long as it takes, and one that expires would
	 * be overtaken by those that were queued after it. So one idempotent producer also outlives
	 * any outage, and nothing comes twice.
	 */
	{ "message.timeout.ms", "0" },
	{ "log.queue", "false" },
};

static int set(rd_kafka_conf_t *conf, const char *name, const char *value, char *why,
	       size_t why_size)
{
	char errstr[512];

	if (rd_kafka_conf_set(conf, name, value, errstr, sizeof(errstr)) == RD_KAFKA_CONF_OK)
		return 0;
	snprintf(why, why_size, "kafka.rdkafka.%s: %s", name, errstr);
	return -EINVAL;
}

static int set_brokers(rd_kafka_conf_t *conf, const struct kafka_config *kafka, char *why,
		       size_t why_size)
{
	char *list = NULL;
	size_t len = 0;
	FILE *stream;
	int err;

	stream = open_memstream(&list, &len);
	if (!stream)
		return -ENOMEM;
	for (unsigned int i = 0; i < kafka->brokers_count; i++)
		fprintf(stream, "%s%s", i ? "," : "", kafka->brokers[i]);
	if (fclose(stream)) {
		free(list);
		return -ENOMEM;
	}
	err = set(conf, "bootstrap.servers", list, why, why_size);
	free(list);
	return err;
}

static int set_all(rd_kafka_conf_t *conf, const struct name_value *properties, size_t count,
		   char *why, size_t why_size)
{
	int err = 0;

	for (size_t i = 0; !err && i < count; i++)
		err = set(conf, properties[i].name, properties[i].value, why, why_size);
	return err;
}

/* Lowers a size to the limit; what is lower already stays. */
static int lower(rd_kafka_conf_t *conf, const char *name, size_t limit, char *why, size_t why_size)
{
	char value[32];
	size_t size = sizeof(value);

	if (rd_kafka_conf_get(conf, name, value, &size) == RD_KAFKA_CONF_OK &&
	    strtoull(value, NULL, 10) <= limit)
		return 0;
	snprintf(value, sizeof(value), "%zu", limit);
	return set(conf, name, value, why, why_size);
}

static int apply_limits(rd_kafka_conf_t *conf, const struct kafka_limits *limits, char *why,
			size_t why_size)
{
	size_t bytes = limits->bytes;
	int err = 0;

	if (limits->records)
		err = lower(conf, "batch.num.messages", limits->records, why, why_size);
	if (!err && bytes)
		err = lower(conf, "message.max.bytes",
			    bytes < MESSAGE_MAX_BYTES_LEAST ? MESSAGE_MAX_BYTES_LEAST : bytes, why,
			    why_size);
	if (!err && bytes)
		err = lower(conf, "batch.size", bytes, why, why_size);
	return err;
}

int kafka_conf__new(const struct config *config, const struct kafka_limits *limits,
		    rd_kafka_conf_t **out, char *why, size_t why_size)
{
	const struct kafka_config *kafka = &config->kafka;
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	int err;

	snprintf(why, why_size, "out of memory");
	err = set_all(conf, defaults, COUNT(defaults), why, why_size);
	if (!err)
		err = set(conf, "compression.codec", kafka->compression, why, why_size);
	if (!err)
		err = set_all(conf, kafka->rdkafka, kafka->rdkafka_count, why, why_size);
	if (!err)
		err = set_brokers(conf, kafka, why, why_size);
	if (!err)
		err = set_all(conf, guarantees, COUNT(guarantees), why, why_size);
	if (!err)
		err = apply_limits(conf, limits, why, why_size);
	if (err) {
		rd_kafka_conf_destroy(conf);
		return err;
	}
	*out = conf;
	return 0;
}

void kafka_conf__explain(const rd_kafka_conf_t *conf, const char *reason, char *why, size_t why_size)
{
	static const char *const files[] = {
		"ssl.ca.location", "ssl.certificate.location", "ssl.key.location", "ssl.keystore.location", "ssl.crl.location",
	};
	char path[4096];

	for (size_t i = 0; i < COUNT(files); i++) {
		size_t size = sizeof(path);

		if (!strstr(reason, files[i]) || rd_kafka_conf_get(conf, files[i], path, &size) != RD_KAFKA_CONF_OK)
			continue;
		if (access(path, R_OK))
			snprintf(why, why_size, "kafka.rdkafka.%s: %s cannot be read: %s", files[i], path, strerror(errno));
		else
			snprintf(why, why_size, "kafka.rdkafka.%s: %s cannot be used: %s", files[i], path, reason);
		return;
	}
	snprintf(why, why_size, "kafka: %s", reason);
}
