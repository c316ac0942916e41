#include "sink_left.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <time.h>

#include "base/clock.h"
#include "sink.h"

struct left {
	struct sink *sink;       /* NULL: the place is free */
	void (*done)(void *owner);
	void *owner;
	pthread_t thread;
};

static struct left places[SINKS_LEFT_MAX];

static void *run(void *argument)
{
	struct left *left = argument;

	sink__free(left->sink, -1);
	left->done(left->owner);
	return NULL;
}

static bool join(struct left *left, uint64_t until_ns)
{
	const struct timespec until = { until_ns / NS_PER_SECOND, until_ns % NS_PER_SECOND };

	if (left->sink && pthread_clockjoin_np(left->thread, NULL, CLOCK_MONOTONIC, &until))
		return false;
	left->sink = NULL;
	return true;
}

unsigned int sink_left__count(void)
{
	unsigned int count = 0;

	for (int i = 0; i < SINKS_LEFT_MAX; i++)
		count += !join(&places[i], 0);
	return count;
}

int sink_left__free(struct sink *sink, void (*done)(void *owner), void *owner)
{
	for (int i = 0; i < SINKS_LEFT_MAX; i++) {
		struct left *left = &places[i];
		int err;

		if (!join(left, 0))
			continue;
		*left = (struct left){ .sink = sink, .done = done, .owner = owner };
		err = pthread_create(&left->thread, NULL, run, left);
		if (err)
			left->sink = NULL;
		return -err;
	}
	return -EBUSY;
}

bool sink_left__join(unsigned int deadline_ms)
{
	uint64_t until_ns = clock__ns(CLOCK_MONOTONIC) + deadline_ms * NS_PER_MS;
	bool all = true;

	for (int i = 0; i < SINKS_LEFT_MAX; i++)
		all &= join(&places[i], until_ns);
	return all;
}
