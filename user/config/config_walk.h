/*
 * From the user's YAML document to one that libcyaml loads without an error: the same schema,
 * walked with a line number for every mistake, values normalized, presets filled in for what is
 * missing or mistaken.
 */
#ifndef LOGTAP_CONFIG_WALK_H
#define LOGTAP_CONFIG_WALK_H

#include <yaml.h>

struct config_source;

/*
 * `in` may have no root: an empty file. `out` is initialized and empty. Mistakes and the lines of
 * keys go to `source`. 0 (also with mistakes) or -ENOMEM.
 */
int config_walk(yaml_document_t *in, yaml_document_t *out, struct config_source *source);

#endif
