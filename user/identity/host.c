#include "host.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum lockdown host__parse_lockdown(const char *text)
{
	if (strstr(text, "[none]"))
		return LOCKDOWN_NONE;
	if (strstr(text, "[integrity]"))
		return LOCKDOWN_INTEGRITY;
	if (strstr(text, "[confidentiality]"))
		return LOCKDOWN_CONFIDENTIALITY;
	return LOCKDOWN_UNKNOWN;
}

unsigned int host__parse_version(const char *release)
{
	unsigned int major, minor;
	unsigned int patch = 0;

	/* "6.12-rc1" has no patch. */
	if (sscanf(release, "%3u.%3u.%3u", &major, &minor, &patch) < 2)
		return 0;
	return HOST_VERSION(major, minor, patch);
}

bool host__parse_capabilities(const char *status, uint64_t *out)
{
	const char *line = strstr(status, "\nCapEff:");

	return line && sscanf(line, "\nCapEff: %" SCNx64, out) == 1;
}

bool host__line_has_symbol(const char *line, const char *symbol)
{
	/* "ffffffff81234560 T name" and, for a module's, "\t[module]". */
	const char *name = strchr(line, ' ');
	size_t len = strlen(symbol);

	name = name ? strchr(name + 1, ' ') : NULL;
	return name && strncmp(name + 1, symbol, len) == 0 && strchr("\t\n", name[1 + len]);
}
