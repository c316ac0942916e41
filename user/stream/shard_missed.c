#include "shard_fields.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "encode.h"
#include "journal/journal.h"

static int write_gap(struct shard *shard, const struct gap *gap)
{
	const struct stream_source node = {
		.kind = STREAM_NONE,
		.key = shard->context.key,
		.stream = JOURNAL_NODE,
	};
	struct stream_text *text;
	int err = stream_text__new(shard->context.encoder, &node, &text);

	if (err)
		return err;
	err = encoder__gap(shard->context.encoder, text, gap);
	stream_text__free(text);
	return err;
}

/* A transaction of its own: the streams' are not to depend on it. False: the next look, or the next agent, tells it. */
static bool tell(struct shard *shard, struct missed_told *told, uint64_t total)
{
	const struct gap gap = {
		.writes = total - told->told,
		.reason = LOSS_MISSED,
		.time = clock__ns(CLOCK_BOOTTIME),
		.slot = GAP_OF_NODE,
		.total = total,
	};
	struct journal_mark mark;
	int err;

	shard__commit(shard);
	journal__mark(shard->options.journal, &mark);
	told->number = mark.number;
	told->offset = mark.off;
	__atomic_store_n(&told->telling, total, __ATOMIC_RELEASE);
	err = write_gap(shard, &gap);
	if (err == -ECANCELED)
		shard->context.cancelled = true;
	else if (err && err != -ENOSPC)
		log_warn("that hooks missed %" PRIu64 " writes cannot be told in the log yet: %s", gap.writes, strerror(-err));
	if (!err)
		shard__commit(shard);
	return !err;
}

static void end_telling(struct missed_told *told, bool is_told)
{
	if (is_told)
		__atomic_store_n(&told->told, told->telling, __ATOMIC_RELEASE);
	__atomic_store_n(&told->telling, 0, __ATOMIC_RELEASE);
}

void shard__settle_missed(struct shard *shard, const struct checkpoint_position *committed)
{
	struct missed_told *told = capture__missed_told(shard->options.capture);

	if (!shard->options.index && told->telling)
		end_telling(told, committed && (committed->journal_number > told->number ||
						(committed->journal_number == told->number &&
						 committed->journal_offset > told->offset)));
}

void shard__tell_missed(struct shard *shard)
{
	struct missed_told *told;
	uint64_t now, sure;

	/* What the agent before has read comes out first, as it did. */
	if (shard->options.index || shard->context.cancelled || shard->consumed < shard->context.replayed)
		return;
	now = capture__missed_writes(shard->options.capture);
	told = capture__missed_told(shard->options.capture);
	sure = now < shard->missed ? now : shard->missed;
	shard->missed = now;
	if (sure > told->told)
		end_telling(told, tell(shard, told, sure));
}
