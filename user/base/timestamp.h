/*
 * Wall clock times as text. The date is formatted once a second, so whoever writes many times keeps
 * a struct timestamps; its owner's thread alone.
 */
#ifndef LOGTAP_TIMESTAMP_H
#define LOGTAP_TIMESTAMP_H

#include <stdint.h>
#include <time.h>

#include "clock.h"
#include "text_put.h"

#define TIMESTAMP_DATE 19

/* All zero: none was formatted yet. */
struct timestamps {
	uint64_t second;         /* that `date` is for */
	char date[TIMESTAMP_DATE + 1]; /* 2026-11-21T06:31:22 */
};

/* `wall`: ns since 1970. RFC 3339 in UTC with as many digits of a second as are asked for, 3 or 9. */
static inline char *timestamp__put(struct timestamps *timestamps, char *out, uint64_t wall, int digits)
{
	uint64_t second = wall / NS_PER_SECOND;
	uint32_t fraction = wall % NS_PER_SECOND;

	if (second != timestamps->second) {
		time_t t = second;
		struct tm tm;

		gmtime_r(&t, &tm);
		strftime(timestamps->date, sizeof(timestamps->date), "%Y-%m-%dT%H:%M:%S", &tm);
		timestamps->second = second;
	}
	out = put(out, timestamps->date, TIMESTAMP_DATE);
	*out++ = '.';
	out = put_digits(out, digits == 3 ? fraction / NS_PER_MS : fraction, digits);
	*out++ = 'Z';
	return out;
}

#endif
