/*
 * Globs of paths, as people write them for log files: `*` and `?` stay within a name, `**` crosses
 * directories, `[a-z]` and `[!a-z]` are sets, `\` quotes. Pure functions, any thread.
 */
#ifndef LOGTAP_PATH_GLOB_H
#define LOGTAP_PATH_GLOB_H

#include <stdbool.h>
#include <stdint.h>

#include "record.h"

bool path_glob__matches(const char *glob, const char *path);

/*
 * What the kernel half compares: every file name that some path matching the glob can have matches
 * the pattern.
 */
struct name_pattern path_glob__name_pattern(const char *glob);

#endif
