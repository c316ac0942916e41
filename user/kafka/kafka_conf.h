/*
 * librdkafka's configuration out of ours: the defaults that suit a log shipper, then what the user
 * passes through, then what delivery rests on and nobody can change.
 */
#ifndef LOGTAP_KAFKA_CONF_H
#define LOGTAP_KAFKA_CONF_H

#include <librdkafka/rdkafka.h>
#include <stddef.h>

struct config;

struct kafka_limits {
	size_t bytes;            /* of the largest batch that the topic takes; 0: not known */
	unsigned int records;    /* in a batch at most; 0: as configured */
};

/*
 * 0, or -EINVAL with the reason, naming the property, in `why`. The caller owns *out until
 * rd_kafka_new() has taken it.
 */
int kafka_conf__new(const struct config *config, const struct kafka_limits *limits,
		    rd_kafka_conf_t **out, char *why, size_t why_size);

/*
 * Of a producer that could not be made: OpenSSL's `reason` for a file that is missing does not tell
 * that, nor which it is.
 */
void kafka_conf__explain(const rd_kafka_conf_t *conf, const char *reason, char *why, size_t why_size);

#endif
