/*
 * Which fields go into a record, told by their paths: the names of the objects that a field is in and
 * its own, with dots between; of OTLP an attribute's key. Labels and annotations of one kind are one
 * field, whose last name is "*". Pure functions, any thread.
 */
#ifndef LOGTAP_FIELD_FILTER_H
#define LOGTAP_FIELD_FILTER_H

#include <stdbool.h>

struct globs_config;

/* Longer paths are cut. */
#define FIELD_PATH_MAX 256

/* True when the glob is one of the field, or of an object that it is in. */
bool field_filter__matches(const char *glob, const char *path);
/* True when one of `allow` matches and none of `deny`. NULL: every field is told. */
bool field_filter__tells(const struct globs_config *fields, const char *path);

#endif
