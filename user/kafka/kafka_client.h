/*
 * One librdkafka producer for one topic, from its creation to its end. After a failure it is not
 * repaired but freed, and a new one made: that keeps the idempotent producer's sequence whole
 * whatever happened. Owner: the Kafka sink; its thread alone, on which the events are called, too.
 */
#ifndef LOGTAP_KAFKA_CLIENT_H
#define LOGTAP_KAFKA_CLIENT_H

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct config;
struct kafka_client;
struct kafka_limits;

struct kafka_client_events {
	/*
	 * The delivery report of a message that send() has taken: `record` is the message's
	 * _private.
	 */
	void (*delivered)(void *opaque, void *record, rd_kafka_resp_err_t err);
	void (*error)(void *opaque, rd_kafka_resp_err_t err, const char *reason);
};

/*
 * `limits` as for kafka_conf__new. 0, or -EINVAL or -ENOMEM with the reason in `why`. Brokers need
 * not be reachable.
 */
int kafka_client__new(const struct config *config, const struct kafka_limits *limits,
		      const struct kafka_client_events *events, void *opaque,
		      struct kafka_client **out, char *why, size_t why_size);
/*
 * Begins its end, on a thread of its own: that may last for as long as a name server that does not
 * answer is waited for. Nothing but fd() and gone() may follow.
 */
void kafka_client__end(struct kafka_client *client);
/*
 * After end(): true when it is gone and freed; waits for that for at most timeout_ms, < 0: however
 * long it takes. Until then it refers to the records that it was given. NULL is gone.
 */
bool kafka_client__gone(struct kafka_client *client, int timeout_ms);

/*
 * Hands over the messages: payload, len, key, key_len and _private are read, err is set. The
 * payloads stay the caller's and must not move before the delivery report or kafka_client__gone().
 * _QUEUE_FULL holds for all that follow.
 */
void kafka_client__send(struct kafka_client *client, rd_kafka_message_t *messages, int count);

/* Readable when serve() has something to do, or after end() when it is gone. */
int kafka_client__fd(const struct kafka_client *client);
/*
 * Calls the events that are due. To be called at least every second. `expecting`: reports should
 * come.
 */
void kafka_client__serve(struct kafka_client *client, bool expecting, uint64_t now_ms);
/* Sends without lingering, calling events, until all is reported or timeout_ms have passed. */
void kafka_client__flush(struct kafka_client *client, int timeout_ms);
/* Has messages that are not on their way yet reported as failed. */
void kafka_client__purge(struct kafka_client *client);

/* Where a message with the key goes; -1 when the key is empty or the partitions are not known yet. */
int32_t kafka_client__partition(const struct kafka_client *client, const void *key, size_t key_len);
/* False until the brokers have told the topic's partitions. */
bool kafka_client__knows_partitions(const struct kafka_client *client);
/* The topic has another partition to be waited for: it is not the old ones that are silent. */
void kafka_client__stir(struct kafka_client *client);

/* Messages that its queue holds. */
size_t kafka_client__capacity(const struct kafka_client *client);
/* Bytes of the largest message that it takes. */
size_t kafka_client__max_message(const struct kafka_client *client);
/* Bytes that the static headers add to each message. */
size_t kafka_client__headers_size(const struct kafka_client *client);
/* The topic's limit as the brokers say it, 0 when they do not. Waits for at most timeout_ms. */
size_t kafka_client__ask_limit(struct kafka_client *client, int timeout_ms);
/* The same without waiting: it is answered once within timeout_ms, 0 when the brokers do not say. */
void kafka_client__request_limit(struct kafka_client *client, int timeout_ms);
bool kafka_client__limit_answered(struct kafka_client *client, size_t *out);

#endif
