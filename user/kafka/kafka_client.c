#include "kafka_client.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <syslog.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/config.h"
#include "base/log.h"
#include "kafka_certificate.h"
#include "kafka_conf.h"
#include "kafka_limit.h"
#include "kafka_stall.h"

/* A record header's two lengths, at most. */
#define HEADER_OVERHEAD 10

typedef int32_t partitioner_fn(const rd_kafka_topic_t *topic, const void *key, size_t key_len,
			       int32_t count, void *topic_opaque, void *message_opaque);

/* The property `partitioner`, as librdkafka names them; the first is its default. */
static const struct {
	const char *name;
	partitioner_fn *function;
} partitioners[] = {
	{ "consistent_random", rd_kafka_msg_partitioner_consistent_random },
	{ "consistent", rd_kafka_msg_partitioner_consistent },
	{ "murmur2", rd_kafka_msg_partitioner_murmur2 },
	{ "murmur2_random", rd_kafka_msg_partitioner_murmur2_random },
	{ "fnv1a", rd_kafka_msg_partitioner_fnv1a },
	{ "fnv1a_random", rd_kafka_msg_partitioner_fnv1a_random },
};

struct kafka_client {
	rd_kafka_t *rk;
	rd_kafka_topic_t *topic;
	rd_kafka_queue_t *answers; /* of what was asked about the limit; NULL: nothing was */
	rd_kafka_headers_t *headers;
	size_t headers_size;
	size_t capacity;
	size_t max_message;
	int fd;
	struct kafka_client_events events;
	void *opaque;
	struct kafka_stall stall;
	/* Why the last certificate was not trusted, or NULL; set on librdkafka's threads. */
	const char *_Atomic certificate_fault;
	partitioner_fn *partitioner;
	_Atomic int32_t partitions; /* of the topic, as librdkafka said last; 0: not yet */
	pthread_t end;           /* that destroys the producer */
	bool ending;             /* it runs */
};

/* What comes behind a refused record fails for good, as we ask for: the record's own error is reported beside this. */
static rd_kafka_resp_err_t own_error(rd_kafka_t *rk, rd_kafka_resp_err_t err)
{
	if (err == RD_KAFKA_RESP_ERR__FATAL &&
	    rd_kafka_fatal_error(rk, NULL, 0) == RD_KAFKA_RESP_ERR__GAPLESS_GUARANTEE)
		return RD_KAFKA_RESP_ERR__GAPLESS_GUARANTEE;
	return err;
}

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
	struct kafka_client *client = opaque;

	if (!message->err)
		kafka_stall__delivered(&client->stall, message->partition);
	client->events.delivered(client->opaque, message->_private, own_error(rk, message->err));
}

static void on_error(rd_kafka_t *rk, int err, const char *reason, void *opaque)
{
	struct kafka_client *client = opaque;
	const char *certificate_fault = client->certificate_fault;
	char fatal[512];
	char both[512];

	if (err == RD_KAFKA_RESP_ERR__TRANSPORT && kafka_certificate__is_refused(reason))
		err = RD_KAFKA_RESP_ERR__SSL;
	if (err == RD_KAFKA_RESP_ERR__SSL && certificate_fault) {
		snprintf(both, sizeof(both), "%s: %s", certificate_fault, reason);
		reason = both;
	}
	if (err == RD_KAFKA_RESP_ERR__FATAL) {
		rd_kafka_fatal_error(rk, fatal, sizeof(fatal));
		err = own_error(rk, err);
		reason = fatal;
	}
	kafka_stall__error(&client->stall);
	client->events.error(client->opaque, err, reason);
}

/* On librdkafka's threads. What OpenSSL found stands. */
static int on_certificate(rd_kafka_t *rk, const char *broker_name, int32_t broker_id,
			  int *x509_error, int depth, const char *der, size_t size, char *errstr,
			  size_t errstr_size, void *opaque)
{
	struct kafka_client *client = opaque;

	(void)rk, (void)broker_name, (void)broker_id, (void)depth, (void)der, (void)size;
	client->certificate_fault = kafka_certificate__words(*x509_error);
	if (!*x509_error)
		return 1;
	snprintf(errstr, errstr_size, "certificate error %d", *x509_error);
	return 0;
}

/*
 * On librdkafka's threads. Its connection messages repeat what on_error is told; what it thinks of
 * the user's configuration is news.
 */
static void on_log(const rd_kafka_t *rk, int level, const char *facility, const char *message)
{
	(void)rk;
	if (level <= LOG_WARNING && !strcmp(facility, "CONFWARN") &&
	    !strstr(message, "is experimental"))
		log_warn("librdkafka: %s", message);
	else
		log_debug("librdkafka: %s: %s", facility, message);
}

static int make_headers(struct kafka_client *client, const struct kafka_config *kafka)
{
	if (!kafka->headers_count)
		return 0;
	client->headers = rd_kafka_headers_new(kafka->headers_count);
	for (unsigned int i = 0; i < kafka->headers_count; i++) {
		const struct name_value *header = &kafka->headers[i];

		if (rd_kafka_header_add(client->headers, header->name, -1, header->value, -1))
			return -ENOMEM;
		client->headers_size += strlen(header->name) + strlen(header->value) +
					HEADER_OVERHEAD;
	}
	return 0;
}

/* Makes fd readable whenever events become due. */
static void watch_events(struct kafka_client *client)
{
	static const uint64_t one = 1;
	rd_kafka_queue_t *queue = rd_kafka_queue_get_main(client->rk);

	rd_kafka_queue_io_event_enable(queue, client->fd, &one, sizeof(one));
	rd_kafka_queue_destroy(queue);
}

static size_t property(const struct kafka_client *client, const char *name)
{
	char value[32];
	size_t size = sizeof(value);

	if (rd_kafka_conf_get(rd_kafka_conf(client->rk), name, value, &size) != RD_KAFKA_CONF_OK)
		return 0;
	return strtoul(value, NULL, 10);
}

/* On any thread. librdkafka's own functions decide; on the way we learn how many there are. */
static int32_t on_partition(const rd_kafka_topic_t *topic, const void *key, size_t key_len,
			    int32_t count, void *opaque, void *message_opaque)
{
	struct kafka_client *client = opaque;

	client->partitions = count;
	return client->partitioner(topic, key, key_len, count, opaque, message_opaque);
}

/* Not `random`: it keeps no key in one place, so there is nothing to know. */
static void watch_partitions(struct kafka_client *client, rd_kafka_conf_t *conf)
{
	rd_kafka_topic_conf_t *topic_conf = rd_kafka_conf_get_default_topic_conf(conf);
	char name[64] = "";
	size_t size = sizeof(name);

	if (!topic_conf)
		return;
	if (rd_kafka_topic_conf_get(topic_conf, "partitioner", name, &size) != RD_KAFKA_CONF_OK)
		snprintf(name, sizeof(name), "%s", partitioners[0].name);
	for (size_t i = 0; i < sizeof(partitioners) / sizeof(partitioners[0]); i++)
		if (!strcmp(name, partitioners[i].name))
			client->partitioner = partitioners[i].function;
	if (!client->partitioner)
		return;
	rd_kafka_topic_conf_set_opaque(topic_conf, client);
	rd_kafka_topic_conf_set_partitioner_cb(topic_conf, on_partition);
}

static int make_producer(struct kafka_client *client, const struct config *config,
			 const struct kafka_limits *limits, char *why, size_t why_size)
{
	rd_kafka_conf_t *conf;
	char errstr[512];
	int err;

	err = kafka_conf__new(config, limits, &conf, why, why_size);
	if (err)
		return err;
	rd_kafka_conf_set_opaque(conf, client);
	rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
	rd_kafka_conf_set_error_cb(conf, on_error);
	rd_kafka_conf_set_log_cb(conf, on_log);
	/* Fails where librdkafka was built without TLS. */
	(void)rd_kafka_conf_set_ssl_cert_verify_cb(conf, on_certificate);
	watch_partitions(client, conf);
	client->rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, errstr, sizeof(errstr));
	if (!client->rk) {
		kafka_conf__explain(conf, errstr, why, why_size);
		rd_kafka_conf_destroy(conf);
		return -EINVAL;
	}
	client->topic = rd_kafka_topic_new(client->rk, config->kafka.topic, NULL);
	if (!client->topic) {
		snprintf(why, why_size, "kafka.topic %s: %s", config->kafka.topic,
			 rd_kafka_err2str(rd_kafka_last_error()));
		return -EINVAL;
	}
	client->capacity = property(client, "queue.buffering.max.messages");
	client->max_message = property(client, "message.max.bytes");
	kafka_stall__init(&client->stall, client->rk, client->topic, property(client, "linger.ms"));
	return 0;
}

static void forget_answers(struct kafka_client *client)
{
	if (client->answers)
		rd_kafka_queue_destroy(client->answers);
	client->answers = NULL;
}

static void destroy_producer(struct kafka_client *client)
{
	forget_answers(client);
	if (client->topic)
		rd_kafka_topic_destroy(client->topic);
	if (client->rk)
		rd_kafka_destroy(client->rk);
}

static void free_rest(struct kafka_client *client)
{
	if (client->headers)
		rd_kafka_headers_destroy(client->headers);
	if (client->fd >= 0)
		close(client->fd);
	free(client);
}

int kafka_client__new(const struct config *config, const struct kafka_limits *limits,
		      const struct kafka_client_events *events, void *opaque,
		      struct kafka_client **out, char *why, size_t why_size)
{
	struct kafka_client *client = calloc(1, sizeof(*client));
	int err = -ENOMEM;

	snprintf(why, why_size, "out of memory");
	if (!client)
		return err;
	client->events = *events;
	client->opaque = opaque;
	client->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (client->fd < 0) {
		err = -errno;
		snprintf(why, why_size, "eventfd: %s", strerror(-err));
		goto fail;
	}
	err = make_headers(client, &config->kafka);
	if (!err)
		err = make_producer(client, config, limits, why, why_size);
	if (err)
		goto fail;
	watch_events(client);
	*out = client;
	return 0;
fail:
	destroy_producer(client);
	free_rest(client);
	return err;
}

static void *end(void *opaque)
{
	struct kafka_client *client = opaque;

	destroy_producer(client);
	eventfd_write(client->fd, 1);
	return NULL;
}

void kafka_client__end(struct kafka_client *client)
{
	if (!client || client->ending)
		return;
	client->ending = !pthread_create(&client->end, NULL, end, client);
	if (client->ending)
		return;
	destroy_producer(client);
	client->topic = NULL;
	client->rk = NULL;
}

bool kafka_client__gone(struct kafka_client *client, int timeout_ms)
{
	uint64_t until_ns = clock__ns(CLOCK_MONOTONIC) + timeout_ms * NS_PER_MS;
	const struct timespec until = { until_ns / NS_PER_SECOND, until_ns % NS_PER_SECOND };

	if (!client)
		return true;
	if (client->ending && (timeout_ms < 0 ? pthread_join(client->end, NULL) :
						pthread_clockjoin_np(client->end, NULL, CLOCK_MONOTONIC,
								     &until)))
		return false;
	free_rest(client);
	return true;
}

static rd_kafka_resp_err_t send_with_headers(struct kafka_client *client,
					     const rd_kafka_message_t *message)
{
	rd_kafka_headers_t *headers = rd_kafka_headers_copy(client->headers);
	rd_kafka_resp_err_t err;

	err = rd_kafka_producev(client->rk, RD_KAFKA_V_RKT(client->topic),
				RD_KAFKA_V_VALUE(message->payload, message->len),
				RD_KAFKA_V_KEY(message->key, message->key_len),
				RD_KAFKA_V_OPAQUE(message->_private), RD_KAFKA_V_HEADERS(headers),
				RD_KAFKA_V_END);
	if (err)
		rd_kafka_headers_destroy(headers);
	return err;
}

void kafka_client__send(struct kafka_client *client, rd_kafka_message_t *messages, int count)
{
	rd_kafka_resp_err_t err = RD_KAFKA_RESP_ERR_NO_ERROR;

	if (!client->headers) {
		rd_kafka_produce_batch(client->topic, RD_KAFKA_PARTITION_UA, 0, messages, count);
		for (int i = 0; i < count; i++)
			messages[i].err = own_error(client->rk, messages[i].err);
		return;
	}
	for (int i = 0; i < count; i++) {
		/* Space may come up meanwhile, but a later message must not overtake. */
		if (err != RD_KAFKA_RESP_ERR__QUEUE_FULL)
			err = send_with_headers(client, &messages[i]);
		messages[i].err = own_error(client->rk, err);
	}
}

int kafka_client__fd(const struct kafka_client *client)
{
	return client->fd;
}

void kafka_client__serve(struct kafka_client *client, bool expecting, uint64_t now_ms)
{
	eventfd_t count;

	/* Emptied first: what becomes due from here on makes it readable again. */
	eventfd_read(client->fd, &count);
	rd_kafka_poll(client->rk, 0);
	kafka_stall__check(&client->stall, expecting && rd_kafka_outq_len(client->rk) > 0, now_ms);
}

void kafka_client__flush(struct kafka_client *client, int timeout_ms)
{
	rd_kafka_flush(client->rk, timeout_ms);
}

void kafka_client__purge(struct kafka_client *client)
{
	/* Not waiting for its threads: one may be waiting for a name server. */
	rd_kafka_purge(client->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_NON_BLOCKING);
}

int32_t kafka_client__partition(const struct kafka_client *client, const void *key, size_t key_len)
{
	int32_t count = client->partitions;

	if (!key_len || !count || !client->partitioner)
		return -1;
	return client->partitioner(client->topic, key, key_len, count, NULL, NULL);
}

bool kafka_client__knows_partitions(const struct kafka_client *client)
{
	return client->partitions > 0 || !client->partitioner;
}

void kafka_client__stir(struct kafka_client *client)
{
	kafka_stall__stir(&client->stall);
}

size_t kafka_client__capacity(const struct kafka_client *client)
{
	return client->capacity;
}

size_t kafka_client__max_message(const struct kafka_client *client)
{
	return client->max_message;
}

size_t kafka_client__headers_size(const struct kafka_client *client)
{
	return client->headers_size;
}

void kafka_client__request_limit(struct kafka_client *client, int timeout_ms)
{
	/* What comes too late is not what was asked for. */
	forget_answers(client);
	client->answers = rd_kafka_queue_new(client->rk);
	kafka_limit__request(client->rk, rd_kafka_topic_name(client->topic), timeout_ms,
			     client->answers);
}

bool kafka_client__limit_answered(struct kafka_client *client, size_t *out)
{
	if (!client->answers || !kafka_limit__answer(client->answers, 0, out))
		return false;
	forget_answers(client);
	return true;
}

size_t kafka_client__ask_limit(struct kafka_client *client, int timeout_ms)
{
	size_t limit = 0;

	kafka_client__request_limit(client, timeout_ms);
	kafka_limit__answer(client->answers, timeout_ms, &limit);
	forget_answers(client);
	return limit;
}
