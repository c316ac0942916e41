/*
 * Which fields the records of a preset can have. That is found in records of every kind, made for it:
 * what the presets write is all that says so. Any thread.
 */
#ifndef LOGTAP_LAYOUT_SAMPLE_H
#define LOGTAP_LAYOUT_SAMPLE_H

#include <jansson.h>

#include "base/record_config.h"

/*
 * An object with a member for each field's path (see field_filter.h): true where the field is told
 * whatever `record.fields` says, else false. The caller's reference; NULL without memory.
 */
json_t *layout_sample__fields(enum record_names names);

/* Adds the paths of a record's fields to an object, with this value. 0 or -ENOMEM. */
int layout_sample__paths(const json_t *record, bool value, json_t *paths);

#endif
