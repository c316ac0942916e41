/*
 * Why a broker's certificate is not trusted, in plain words: librdkafka says the same for all
 * reasons. Any thread.
 */
#ifndef LOGTAP_KAFKA_CERTIFICATE_H
#define LOGTAP_KAFKA_CERTIFICATE_H

/* `x509_error` as OpenSSL numbers them; NULL for those that are not known by name here. */
const char *kafka_certificate__words(int x509_error);

#endif
