/*
 * What is known of the file that is being loaded: on which line each key is, and the mistakes found
 * so far, so that all of them are reported, in the order of the file. Owner: config__parse, for the
 * time of loading.
 */
#ifndef LOGTAP_CONFIG_SOURCE_H
#define LOGTAP_CONFIG_SOURCE_H

#include <stdbool.h>
#include <stdio.h>

/* Longest "section.key" that is told apart; longer ones are cut. */
#define CONFIG_KEY_MAX 256

struct config_source;

struct config_source *config_source__new(void);
void config_source__free(struct config_source *source);

/* Lines count from 1. A key that is given twice keeps its first line. */
void config_source__place(struct config_source *source, const char *key, unsigned int line);
/* 0 when the file does not have the key. */
unsigned int config_source__line(const struct config_source *source, const char *key);

/* Notes a mistake of `key` ("": of the file) at `line` (0: at no line). */
void config_source__mistake(struct config_source *source, unsigned int line, const char *key,
			    const char *format, ...) __attribute__((format(printf, 4, 5)));
bool config_source__mistaken(const struct config_source *source, const char *key);
/* The same of any key below `section`. */
bool config_source__mistaken_in(const struct config_source *source, const char *section);

/*
 * Writes "NAME:LINE: KEY: what" for each mistake. 0: there was none; -EINVAL; -ENOMEM when some
 * could not be noted.
 */
int config_source__report(struct config_source *source, const char *name, FILE *errors);

#endif
