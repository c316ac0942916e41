#include "shard_fields.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "clock.h"
#include "encode.h"
#include "log.h"

static int write_gap(struct shard *shard, const struct gap *gap)
{
	const struct stream_source node = {
		.kind = STREAM_NONE,
		.key = shard->context.key,
		.stream = UINT64_MAX,
	};
	struct stream_text *text;
	int err = stream_text__new(shard->context.encoder, &node, &text);

	if (err)
		return err;
	err = encoder__gap(shard->context.encoder, text, gap);
	stream_text__free(text);
	return err;
}

/* False: the next look, or the next agent, tells it. */
static bool tell(struct shard *shard, uint64_t writes, uint64_t total)
{
	const struct gap gap = {
		.writes = writes,
		.reason = LOSS_MISSED,
		.time = clock__ns(CLOCK_BOOTTIME),
		.slot = GAP_OF_NODE,
		.total = total,
	};
	int err;

	/* A transaction of its own: the streams' are not to depend on it. */
	shard__commit(shard);
	err = write_gap(shard, &gap);
	if (err == -ECANCELED)
		shard->context.cancelled = true;
	else if (err && err != -ENOSPC)
		log_warn("that hooks missed %" PRIu64 " writes cannot be told in the log yet: %s", writes, strerror(-err));
	if (!err)
		shard__commit(shard);
	return !err;
}

void shard__tell_missed(struct shard *shard)
{
	struct capture *capture = shard->options.capture;
	uint64_t *told, now, sure;

	/* What the agent before has read comes out first, as it did. */
	if (shard->options.index || shard->context.cancelled || shard->consumed < shard->context.replayed)
		return;
	now = capture__missed_writes(capture);
	told = capture__missed_told(capture);
	sure = now < shard->missed ? now : shard->missed;
	shard->missed = now;
	if (sure > *told && tell(shard, sure - *told, sure))
		*told = sure;
}
