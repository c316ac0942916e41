#include "quantity.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define array_size(a) (sizeof(a) / sizeof((a)[0]))

struct unit {
	const char *name;
	uint64_t factor;
	bool shown;              /* format and round use it */
};

/* Ascending, so that the last one that fits is the one to show; decimal ones never are. */
static const struct unit size_units[] = {
	{ "", 1, false },
	{ "B", 1, true },
	{ "kB", 1000, false },
	{ "KiB", 1ULL << 10, true },
	{ "MB", 1000 * 1000, false },
	{ "MiB", 1ULL << 20, true },
	{ "GB", 1000 * 1000 * 1000, false },
	{ "GiB", 1ULL << 30, true },
};

static const struct unit duration_units[] = {
	{ "ms", 1, true },
	{ "s", 1000, true },
	{ "m", 60 * 1000, true },
	{ "h", 60 * 60 * 1000, true },
};

static const struct unit count_units[] = {
	{ "", 1, true },
};

static const struct {
	const struct unit *units;
	size_t count;
	const char *forms;
} kinds[] = {
	[QUANTITY_COUNT] = { count_units, array_size(count_units), "a whole number" },
	[QUANTITY_SIZE] = { size_units, array_size(size_units),
			    "a size such as 65536, 64kB, 64KiB, 16MiB or 1GiB" },
	[QUANTITY_DURATION] = { duration_units, array_size(duration_units),
				"a duration such as 500ms, 5s, 1m or 1h" },
};

int quantity__parse(enum quantity kind, const char *text, uint64_t *out)
{
	unsigned long long number;
	char *end;

	/* strtoull would take a sign and leading blanks. */
	if (!isdigit((unsigned char)text[0]))
		return -EINVAL;
	errno = 0;
	number = strtoull(text, &end, 10);
	if (errno)
		return -errno;
	while (*end == ' ')
		end++;
	for (size_t i = 0; i < kinds[kind].count; i++) {
		const struct unit *unit = &kinds[kind].units[i];

		if (strcasecmp(end, unit->name) != 0)
			continue;
		if (number > UINT64_MAX / unit->factor)
			return -ERANGE;
		*out = number * unit->factor;
		return 0;
	}
	return -EINVAL;
}

const char *quantity__forms(enum quantity kind)
{
	return kinds[kind].forms;
}

const char *quantity__format(enum quantity kind, uint64_t value, char text[QUANTITY_TEXT])
{
	const struct unit *best = NULL;

	for (size_t i = 0; i < kinds[kind].count; i++) {
		const struct unit *unit = &kinds[kind].units[i];

		if (unit->shown && (!best || (value && value % unit->factor == 0)))
			best = unit;
	}
	snprintf(text, QUANTITY_TEXT, "%" PRIu64 "%s", value / best->factor, best->name);
	return text;
}

const char *quantity__round(enum quantity kind, uint64_t value, char text[QUANTITY_TEXT])
{
	const struct unit *best = NULL;

	for (size_t i = 0; i < kinds[kind].count; i++) {
		const struct unit *unit = &kinds[kind].units[i];

		if (unit->shown && (!best || value >= unit->factor))
			best = unit;
	}
	snprintf(text, QUANTITY_TEXT, "%.1f%s", (double)value / (double)best->factor, best->name);
	return text;
}
