/*
 * One value of the configuration: what the file's text means to libcyaml, or what is wrong with it.
 * Pure, any thread.
 */
#ifndef LOGTAP_CONFIG_VALUE_H
#define LOGTAP_CONFIG_VALUE_H

#include <stddef.h>

#include <cyaml/cyaml.h>

struct config_rule;

/*
 * Expands the environment in `text` and brings it to the form that libcyaml reads for `schema`:
 * plain numbers, true or false. `rule` may be NULL (strings in lists). -EINVAL with `problem`
 * saying what is wrong and what is allowed; -ENOMEM.
 */
int config_value__normalize(const cyaml_schema_value_t *schema, const struct config_rule *rule,
			    const char *text, char **out, char *problem, size_t problem_size);

#endif
