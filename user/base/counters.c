#include "counters.h"

#include <inttypes.h>

static const char *const counter_name[] = {
#define X(name) #name,
	COUNTERS(X)
#undef X
};

void counters__print(const struct counters *counters, FILE *out)
{
	char line[COUNTER_COUNT * 64];
	size_t len = 0;

	for (int i = 0; i < COUNTER_COUNT; i++)
		len += snprintf(line + len, sizeof(line) - len, "%s\"%s\":%" PRIu64, i ? "," : "",
				counter_name[i], counters__get(counters, i));
	fprintf(out, "{\"counters\":{%s}}\n", line);
	fflush(out);
}
