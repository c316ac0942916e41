/*
 * What no single key shows: values that must fit each other, what a sink needs, what librdkafka
 * accepts.
 */
#ifndef LOGTAP_CONFIG_CHECK_H
#define LOGTAP_CONFIG_CHECK_H

struct config;
struct config_source;

/* Notes every mistake in `source`; keys that are mistaken already are left alone. */
void config_check(const struct config *config, struct config_source *source);

#endif
