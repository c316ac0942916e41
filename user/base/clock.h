/* The clocks, in the units that logtap counts in. Any thread. */
#ifndef LOGTAP_CLOCK_H
#define LOGTAP_CLOCK_H

#include <stdint.h>
#include <time.h>

#define NS_PER_SECOND 1000000000ULL
#define NS_PER_MS 1000000ULL

static inline uint64_t clock__ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return now.tv_sec * NS_PER_SECOND + now.tv_nsec;
}

/* For deadlines: it neither jumps nor is set. */
static inline uint64_t clock__ms(void)
{
	return clock__ns(CLOCK_MONOTONIC) / NS_PER_MS;
}

#endif
