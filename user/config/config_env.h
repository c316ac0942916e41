/* ${NAME}, ${NAME:-default} and $$ in one value of the configuration. Pure but for getenv(3). */
#ifndef LOGTAP_CONFIG_ENV_H
#define LOGTAP_CONFIG_ENV_H

#include <stddef.h>

/*
 * Expands `text` into a new string. A default is taken when the variable is unset or empty, as a
 * shell does. A dollar sign before anything but `{` or `$` stands for itself. -EINVAL puts what is
 * wrong and what to do into `problem`; -ENOMEM. *out untouched on failure.
 */
int config_env__expand(const char *text, char **out, char *problem, size_t problem_size);

#endif
