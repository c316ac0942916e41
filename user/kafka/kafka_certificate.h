/*
 * Why a broker's certificate is not trusted, in plain words: librdkafka says the same for all
 * reasons. Any thread.
 */
#ifndef LOGTAP_KAFKA_CERTIFICATE_H
#define LOGTAP_KAFKA_CERTIFICATE_H

#include <stdbool.h>

/* `x509_error` as OpenSSL numbers them; NULL for those that are not known by name here. */
const char *kafka_certificate__words(int x509_error);

/*
 * Whether a broker's certificate is what a failure to connect is about. When the handshake fails in its first step, as it does
 * where the broker has answered before we look, librdkafka calls that a transport's error (rd_kafka_broker_connect_done), in
 * OpenSSL's words alone.
 */
bool kafka_certificate__is_refused(const char *reason);

#endif
