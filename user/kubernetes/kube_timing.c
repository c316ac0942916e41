#include "kube_timing.h"

#include <sys/random.h>

#define DOUBLINGS_MAX 20

uint64_t kube_timing__pause_ms(const struct kube_timing *timing, unsigned int *failures)
{
	uint32_t chance;
	uint64_t most;

	*failures += *failures < DOUBLINGS_MAX;
	most = timing->retry_ms << *failures;
	if (most > timing->retry_max_ms)
		most = timing->retry_max_ms;
	if (getrandom(&chance, sizeof(chance), GRND_NONBLOCK) != sizeof(chance))
		chance = 0;
	return most / 2 + chance % (most / 2 + 1);
}
