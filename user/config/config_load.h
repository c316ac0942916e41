/*
 * Reads a configuration: a YAML file, or the defaults without one.
 * Owner: main. Any thread may call.
 */
#ifndef LOGTAP_CONFIG_LOAD_H
#define LOGTAP_CONFIG_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct config;

/*
 * Loads `path`, or the defaults when it is NULL. Every mistake is written to `errors`
 * as "FILE:LINE: KEY: what is wrong; what is allowed". Returns 0, -EINVAL for mistakes,
 * -errno when the file cannot be read (also told in `errors`). *out untouched on failure.
 */
int config__load(const char *path, FILE *errors, struct config **out);
/* The same for a text in memory; `name` stands for the file in messages. */
int config__parse(const char *name, const char *text, size_t len, FILE *errors, struct config **out);
void config__free(struct config *config);

/* False also when memory is out. */
bool config__selects_alike(const struct config *one, const struct config *other);

#endif
