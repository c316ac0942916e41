/*
 * The one description of the configuration file: keys and types as libcyaml wants them, and beside
 * them what libcyaml has no words for: presets, units and ranges. Constant data, any thread.
 */
#ifndef LOGTAP_CONFIG_SCHEMA_H
#define LOGTAP_CONFIG_SCHEMA_H

#include <stdbool.h>
#include <stdint.h>

#include <cyaml/cyaml.h>

#include "base/quantity.h"

/*
 * Describes struct config. Every key is required here, because the walk fills in the presets of
 * those that the file does not give. A sequence of struct name_value is written in the file as one
 * mapping with free keys.
 */
extern const cyaml_schema_value_t config_schema;
/* struct selection_config alone. */
extern const cyaml_schema_value_t config_selection_schema;
bool config_schema__is_pairs(const cyaml_schema_value_t *schema);

/* No mapping has more keys than this. */
#define CONFIG_FIELDS_MAX 16

/* Of a key that holds one value, or of a list that is not empty when it is left out. */
struct config_rule {
	const char *key;         /* "section.key" */
	const char *preset;      /* as it would be written in the file; a list's only entry */
	uint64_t min, max;       /* of numbers, in bytes or milliseconds */
	enum quantity quantity;
	bool power_of_two;
};

/* NULL when there is none. */
const struct config_rule *config_schema__rule(const char *key);

const struct config_rule *config_schema__rules(unsigned int *count);

#endif
