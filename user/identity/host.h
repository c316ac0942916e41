/*
 * What a Linux host says about itself, out of the texts of /proc and /sys. Pure functions, any
 * thread.
 */
#ifndef LOGTAP_HOST_H
#define LOGTAP_HOST_H

#include <stdbool.h>
#include <stdint.h>

enum lockdown {
	LOCKDOWN_UNKNOWN,        /* the text could not be read or understood */
	LOCKDOWN_NONE,
	LOCKDOWN_INTEGRITY,
	LOCKDOWN_CONFIDENTIALITY,
};

/* The chosen word of /sys/kernel/security/lockdown: "none [integrity] confidentiality". */
enum lockdown host__parse_lockdown(const char *text);

/* major * 1,000,000 + minor * 1,000 + patch, so that versions compare as numbers. */
#define HOST_VERSION(major, minor, patch) ((major) * 1000000u + (minor) * 1000u + (patch))
/* Of uname's release: "6.1.0-56-amd64". 0 when it is none. */
unsigned int host__parse_version(const char *release);

/* The mask of "CapEff:" in /proc/PID/status; false when it is not there. */
bool host__parse_capabilities(const char *status, uint64_t *out);

/* Whether a line of /proc/kallsyms is the one of this symbol. */
bool host__line_has_symbol(const char *line, const char *symbol);

#endif
