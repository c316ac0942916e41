#include "journal_internal.h"

#include <stdlib.h>

uint64_t journal_memory__limit(const struct journal *journal)
{
	uint64_t loads = journal->disk ? JOURNAL_LOADS * journal->segment_size : 0;

	return journal->options.max_size - loads;
}

bool journal_memory__has_room(const struct journal *journal)
{
	return journal->spare || journal->memory_used + journal->segment_size <= journal_memory__limit(journal);
}

bool journal_memory__take_slot(struct journal *journal, struct segment *segment)
{
	for (uint32_t slot = 0; slot < journal->slots_count; slot++) {
		if (journal->slots[slot])
			continue;
		journal->slots[slot] = segment;
		segment->slot = slot;
		return true;
	}
	return false;
}

void journal_memory__give_slot(struct journal *journal, struct segment *segment)
{
	segment__unmap(segment_address(journal, segment), journal->stride);
	journal->slots[segment->slot] = NULL;
	segment->slot = JOURNAL_NO_SLOT;
}

void journal_memory__drop(struct journal *journal, struct segment *segment)
{
	segment__unlink(journal->dir_fd, SEGMENT_PREFIX, segment->number);
	journal_memory__give_slot(journal, segment);
	if (segment->loaded)
		journal->loads--;
	else if (!segment->gaps)
		journal->memory_used -= segment->memory;
	segment->loaded = false;
	segment->memory = 0;
	journal_memory__wake_appender(journal);
}

void journal_memory__free_segment(struct journal *journal, struct segment *segment)
{
	if (segment->disk) {
		/* First there, else a crash in between would bring all of it back. */
		segment->done = true;
		journal_worker__wake(journal);
		return;
	}
	TAILQ_REMOVE(&journal->segments, segment, link);
	if (!journal->spare && segment->memory == journal->segment_size && !segment->loaded &&
	    !segment->gaps && !journal->options.orphan) {
		/* One file stays mapped for the appender. */
		journal->spare = segment;
		journal_memory__wake_appender(journal);
	} else {
		journal_memory__drop(journal, segment);
		free(segment);
	}
	/* The loads' share may have room now. */
	journal_worker__wake(journal);
}

void journal_memory__wake_appender(struct journal *journal)
{
	journal__wake(&journal->waiting, journal->options.space_fd);
}
