#include "shard_fields.h"

#include "base/clock.h"
#include "kubernetes/pods.h"

void shard__look_at_pods(struct shard *shard)
{
	uint64_t now = clock__ns(CLOCK_BOOTTIME);
	uint64_t version = shard->options.pods ? pods__version(shard->options.pods) : 0;
	bool all = version != shard->pods_version && now >= shard->last_look_at_all + TICK_MS * NS_PER_MS;

	if ((!all && !shard->context.waits) || now < shard->last_look + LOOK_MS * NS_PER_MS ||
	    shard->consumed < shard->context.replayed)
		return;
	shard->last_look = now;
	if (all) {
		shard->last_look_at_all = now;
		shard->pods_version = version;
	}
	for (unsigned int i = 0; i < shard->live_count; i++) {
		const struct tenancy *tenancy = &shard->tenancies[shard->live[i]];

		if (!all && !stream__waits(tenancy->stream))
			continue;
		stream__follow_pod(tenancy->stream, now);
		if (stream__unwanted_now(tenancy->stream) && !tenancy->closing)
			shard__withdraw(shard, shard->live[i]);
	}
}
