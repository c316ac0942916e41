#include "journal_internal.h"

/* When an outage is over: so many whole segments that nobody has read are a backlog. */
#define BACKLOG_SEGMENTS 2

/* Gaps once all that they stand for is committed: they may have to be taken back until then. */
static bool published(const struct journal *journal, const struct segment *segment)
{
	if (segment->gaps)
		return journal_begin(segment->through + 1) <= atomic_load(&journal->committed);
	return journal_begin(segment->number) < atomic_load(&journal->published);
}

/* The first segment with a number in [from, below) that the follower has not been in. */
static struct segment *next_segment(const struct journal *journal, uint64_t from, uint64_t below)
{
	struct segment *segment;

	TAILQ_FOREACH(segment, &journal->segments, link)
		if (!segment->entered && segment->number >= from)
			return segment->number < below ? segment : NULL;
	return NULL;
}

/* Interleaved: what is being written now and all that comes later has turns of its own. */
static void split_backlog(struct journal *journal)
{
	struct segment *newest = TAILQ_LAST(&journal->segments, segment_list);
	struct segment *segment;
	unsigned int sealed = 0;

	if (journal->options.replay != REPLAY_INTERLEAVED || journal->follower.fresh_from || !newest)
		return;
	TAILQ_FOREACH(segment, &journal->segments, link)
		sealed += segment->sealed && !segment->entered;
	if (sealed > BACKLOG_SEGMENTS && newest->number && !newest->entered)
		journal->follower.fresh_from = newest->number;
}

/* The backlog is read: what was fresh is all there is. */
static void join_backlog(struct journal *journal)
{
	journal->follower.cursor = journal->follower.fresh;
	journal->follower.fresh.segment = NULL;
	journal->follower.fresh_from = 0;
}

/* The next segment becomes the cursor's, if it is there to be read. */
static bool enter_segment(struct journal *journal, struct cursor *cursor)
{
	uint64_t fresh_from = journal->follower.fresh_from;
	bool fresh = cursor == &journal->follower.fresh;
	struct segment *segment = next_segment(journal, fresh ? fresh_from : 0,
					       fresh || !fresh_from ? UINT64_MAX : fresh_from);

	if (!segment && !fresh && fresh_from) {
		join_backlog(journal);
		return cursor->segment;
	}
	if (!segment || segment->busy || !published(journal, segment))
		return false;
	if (!segment->memory) {
		journal_worker__wake(journal);
		return false;
	}
	segment->entered = true;
	segment->reached = true;
	((struct segment_header *)segment_address(journal, segment))->reached = true;
	cursor->segment = segment;
	cursor->off = sizeof(struct segment_header);
	split_backlog(journal);
	/* The one behind it may have to be brought back from disk. */
	journal_worker__wake(journal);
	return true;
}

static bool enter_next(struct journal *journal, struct cursor *cursor)
{
	bool entered;

	pthread_mutex_lock(&journal->lock);
	entered = enter_segment(journal, cursor);
	pthread_mutex_unlock(&journal->lock);
	return entered;
}

static void free_segment(struct journal *journal, struct segment *segment)
{
	pthread_mutex_lock(&journal->lock);
	journal_memory__free_segment(journal, segment);
	pthread_mutex_unlock(&journal->lock);
}

static void leave_segment(struct journal *journal, struct cursor *cursor)
{
	struct segment *segment = cursor->segment;

	cursor->segment = NULL;
	segment->passed = true;
	if (!segment->outstanding)
		free_segment(journal, segment);
}

static bool at_published_end(struct journal *journal, const struct cursor *cursor)
{
	uint64_t here = journal_position(cursor->segment->number, cursor->off);

	if (here < journal->follower.end)
		return false;
	journal->follower.end = atomic_load(&journal->published);
	return here >= journal->follower.end;
}

static struct segment_entry *next_entry(struct journal *journal, struct cursor *cursor)
{
	for (;;) {
		struct segment_entry *entry;

		if (!cursor->segment && !enter_next(journal, cursor))
			return NULL;
		if (at_published_end(journal, cursor))
			return NULL;
		entry = (struct segment_entry *)(segment_address(journal, cursor->segment) +
						 cursor->off);
		switch (atomic_load_explicit(&entry->state, memory_order_relaxed)) {
		case SEGMENT_COMMITTED:
			return entry;
		case SEGMENT_SEALED:
			leave_segment(journal, cursor);
			break;
		default: /* acknowledged in an earlier run, or damaged */
			cursor->off += entry->size;
		}
	}
}

/* From whose turn it is, or from the other when it has none. */
static struct segment_entry *next_of_all(struct journal *journal, struct cursor **cursor)
{
	struct segment_entry *entry;

	*cursor = &journal->follower.cursor;
	if (!journal->follower.fresh_from)
		return next_entry(journal, *cursor);
	journal->follower.fresh_turn = !journal->follower.fresh_turn;
	if (journal->follower.fresh_turn) {
		entry = next_entry(journal, &journal->follower.fresh);
		if (entry) {
			*cursor = &journal->follower.fresh;
			return entry;
		}
		return next_entry(journal, *cursor);
	}
	entry = next_entry(journal, *cursor);
	if (entry || !journal->follower.fresh_from)
		return entry;
	*cursor = &journal->follower.fresh;
	return next_entry(journal, *cursor);
}

int journal__next(struct journal *journal, struct journal_record *out)
{
	struct cursor *cursor;
	struct segment_entry *entry = next_of_all(journal, &cursor);

	if (!entry) {
		atomic_store(&journal->sleeping, true);
		entry = next_of_all(journal, &cursor);
		if (!entry)
			return 0;
	}
	if (atomic_load_explicit(&journal->sleeping, memory_order_relaxed))
		atomic_store_explicit(&journal->sleeping, false, memory_order_relaxed);
	cursor->off += entry->size;
	cursor->segment->outstanding++;
	*out = (struct journal_record){
		.meta = entry->meta,
		.key = entry->bytes,
		.value = entry->bytes + entry->meta.key_len,
		.handle = entry,
	};
	return 1;
}

void journal__ack(struct journal *journal, void *handle)
{
	struct segment_entry *entry = handle;
	struct segment *segment =
		journal->slots[((char *)handle - journal->base) / journal->stride];

	atomic_store_explicit(&entry->state, SEGMENT_ACKNOWLEDGED, memory_order_release);
	atomic_store_explicit(&journal->acknowledged,
			      atomic_load_explicit(&journal->acknowledged, memory_order_relaxed) +
				      1,
			      memory_order_release);
	segment->outstanding--;
	if (segment->passed && !segment->outstanding)
		free_segment(journal, segment);
}
