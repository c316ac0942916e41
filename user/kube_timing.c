#include "kube_timing.h"

#include <stdlib.h>
#include <sys/random.h>

#define DOUBLINGS_MAX 20

uint64_t kube_timing__pause_ms(const struct kube_timing *timing, unsigned int failures)
{
	unsigned int doublings = failures > DOUBLINGS_MAX ? DOUBLINGS_MAX : failures;
	uint64_t most = timing->retry_ms << doublings;
	uint32_t chance;

	if (most > timing->retry_max_ms)
		most = timing->retry_max_ms;
	if (getrandom(&chance, sizeof(chance), GRND_NONBLOCK) != sizeof(chance))
		chance = 0;
	return most / 2 + chance % (most / 2 + 1);
}
