/*
 * What the journal's own files share. Nobody else includes it, but its tests.
 *
 * Segments form one list in the order of their numbers, wherever they are. `lock` guards the list
 * and all that is said to be under it; it is taken once a segment, never for a record, and nobody
 * holds it while a disk works. A segment that is `busy` belongs to who set that, until it is
 * cleared.
 *
 * Segments in memory live in slots: a slot is a place in one reserved range of addresses, so that
 * an entry's address says its slot.
 *
 * Two flags put a side to sleep, each with the same handshake: the sleeper sets its flag and looks
 * again, the other side acts and then looks at the flag. Both do it under the lock, but for the
 * follower and journal__publish: there every one of the four accesses is sequentially consistent.
 * Anything weaker lets the processor do the look before the act is visible, on both sides, and a
 * wake-up is lost.
 */
#ifndef LOGTAP_JOURNAL_INTERNAL_H
#define LOGTAP_JOURNAL_INTERNAL_H

#include "base/counters.h"
#include "journal.h"
#include "journal_segment.h"
#include "record/journal_gap.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/queue.h>

#define JOURNAL_CACHE_LINE 64
#define JOURNAL_NO_SLOT UINT32_MAX
/* Segments that were brought back from disk have their own share of the memory. */
#define JOURNAL_LOADS 2

struct segment {
	TAILQ_ENTRY(segment) link;
	uint64_t number;
	uint64_t through;
	uint64_t memory;      /* bytes of its file in memory, 0: none; then also: */
	uint32_t slot;
	uint64_t disk;        /* bytes of its file on disk, 0: none */
	uint64_t disk_ms;     /* wall clock: when that was written */
	bool stale;           /* what that holds is not what memory does */
	uint64_t limit;       /* of what is valid on disk: offset */
	uint64_t records;     /* on disk, to be delivered */
	uint32_t gaps;        /* as in the header */
	bool sealed;
	bool busy;            /* somebody works on it without the lock */
	bool reached;         /* a follower has been in it: it may not be dropped, nor moved */
	bool loaded;          /* its memory is of the loads' share */
	bool done;            /* all acknowledged: only its files are left to go */
	bool entered;         /* by this follower */
	unsigned int attempts; /* to load it, that its file failed */
	uint64_t retry_ms;     /* not loaded before; 0: no attempt has failed */
	/* The follower's own: */
	bool passed;          /* read to the end */
	uint32_t outstanding; /* read and not acknowledged */
};

TAILQ_HEAD(segment_list, segment);

struct cursor {
	struct segment *segment; /* NULL: before the next one */
	uint64_t off;
};

struct journal {
	struct journal_options options; /* strings are copies */
	char *base;                     /* of slot 0 */
	uint64_t stride;                /* bytes from slot to slot */
	uint32_t slots_count;
	uint64_t segment_size;
	int dir_fd; /* locked as long as the journal is open */

	struct {
		struct segment *segment; /* the one appended to; NULL when it is sealed */
		char *address;           /* its */
		uint64_t off;            /* of the next entry */
		uint64_t next;           /* number of the next segment */
		uint64_t reserved;
		uint64_t published;
		bool failure_told;
	} appender __attribute__((aligned(JOURNAL_CACHE_LINE)));

	struct {
		struct cursor cursor;
		/* interleaved: what was there from number `fresh_from` on is read in turns with the rest */
		struct cursor fresh;
		uint64_t fresh_from; /* 0: not now */
		bool fresh_turn;
		uint64_t end;        /* what it knows to be published */
	} follower __attribute__((aligned(JOURNAL_CACHE_LINE)));

	/* Written by the appender. */
	_Atomic uint64_t published __attribute__((aligned(JOURNAL_CACHE_LINE))); /* a position */
	_Atomic uint64_t committed; /* a position, not behind `published` */
	_Atomic uint64_t appended;

	/* Written by the follower. */
	_Atomic uint64_t acknowledged __attribute__((aligned(JOURNAL_CACHE_LINE)));
	_Atomic bool sleeping; /* the follower; cleared by whoever wakes it */

	pthread_mutex_t lock __attribute__((aligned(JOURNAL_CACHE_LINE)));
	/* Under it: */
	struct segment_list segments;
	struct segment **slots;   /* by slot; the follower reads those of segments it is in without it */
	uint64_t memory_used;     /* bytes of files; without the loads' and those of gaps */
	uint32_t loads;           /* segments that take of the loads' share */
	struct segment *spare;    /* not in the list; its file can be used again */
	_Atomic bool waiting;     /* the appender */
	_Atomic uint64_t gone;    /* records that went without acknowledgement, modulo 2^64 */
	unsigned int drop_told;   /* bits by enum journal_loss */
	bool drop_failed;         /* the latest drop: there is no memory for its gaps */
	bool make_failed;         /* the latest try at a new segment, and not for want of room */

	struct journal_disk *disk; /* NULL: none */
	pthread_t worker;          /* with a disk */
	pthread_cond_t work;
	bool worker_runs;
	bool stop;
	bool shut;                 /* only its memory is left */
};

/* A place in the journal as one word, so that the follower reads it whole. Later is greater. */
static inline uint64_t journal_position(uint64_t number, uint64_t off)
{
	return number << 28 | off / SEGMENT_ALIGN;
}

/* As a segment's header has it: see its `uncommitted`. */
static inline uint32_t journal_era(const struct journal *journal)
{
	uint64_t epoch = journal->options.epoch;

	return epoch ? (uint32_t)(epoch ^ epoch >> 32) | 1 : 0;
}

/* The place where segment `number` begins: all that lies in those before is before it. */
static inline uint64_t journal_begin(uint64_t number)
{
	return journal_position(number, sizeof(struct segment_header));
}

static inline uint64_t journal_number(uint64_t position)
{
	return position >> 28;
}

static inline uint64_t journal_offset(uint64_t position)
{
	return (position & ((1u << 28) - 1)) * SEGMENT_ALIGN;
}

static inline char *journal_slot_address(const struct journal *journal, uint32_t slot)
{
	return journal->base + slot * journal->stride;
}

static inline char *segment_address(const struct journal *journal, const struct segment *segment)
{
	return journal_slot_address(journal, segment->slot);
}

/* journal.c: frees what is in this process; no file changes. Accepts what is half built. */
void journal__free(struct journal *journal);
/* Wakes who sleeps on `flag`. */
void journal__wake(_Atomic bool *flag, int fd);
void journal__count(struct journal *journal, enum counter counter, uint64_t n);

/* journal_memory.c: all under the lock. */
uint64_t journal_memory__limit(const struct journal *journal);
/* The bound allows another segment. */
bool journal_memory__has_room(const struct journal *journal);
/* A free slot for `segment`; false: there is none. */
bool journal_memory__take_slot(struct journal *journal, struct segment *segment);
/* The slot alone, without a file. */
void journal_memory__give_slot(struct journal *journal, struct segment *segment);
/* Its file in memory goes, and the slot. */
void journal_memory__drop(struct journal *journal, struct segment *segment);
/* Nothing in it is needed: everything of it goes, now or when the disk gets to it. */
void journal_memory__free_segment(struct journal *journal, struct segment *segment);
/* There may be room for a waiting appender. */
void journal_memory__wake_appender(struct journal *journal);

/* journal_recover.c: fills an empty journal from the directories. 0 or -errno. */
int journal__recover(struct journal *journal, const struct journal_mark *end);
void journal__tell_damage(const char *directory, uint64_t number,
			  const struct segment_reader *reader);

/*
 * journal_drop.c: under the lock, which it gives up meanwhile. The oldest segment that no follower
 * has reached gives way to a segment of gaps; what of it cannot be read is told as damage. False: there is none, or it
 * cannot be done now.
 */
bool journal__drop_oldest(struct journal *journal, bool from_disk);
bool journal__drop_segment(struct journal *journal, struct segment *victim, enum journal_loss why);

/* There is room by now, or there will be without anything being published: with drop_oldest, under the lock. */
bool journal__room_comes(const struct journal *journal);

/* journal_worker.c: the thread that moves segments between memory and disk. */
int journal_worker__start(struct journal *journal);
void journal_worker__stop(struct journal *journal);
/*
 * Without the lock, the segment busy or not known yet: brings it back from disk into its slot, as
 * far as its limit says. *unreadable is set when it got as far as the file on disk: whether that
 * is what failed.
 */
int journal_worker__load(struct journal *journal, struct segment *segment,
			 struct segment_reader *reader, bool *unreadable);
/* True when reading a file failed as what is in it cannot be had. */
bool journal_worker__is_damage(int err);
/* Says and counts that a segment's file on disk cannot be read. */
void journal_worker__tell_unreadable(struct journal *journal, const struct segment *segment, int err);
/* Under the lock: there may be something to do. */
void journal_worker__wake(struct journal *journal);
/* Under the lock: nothing can be moved to disk now. */
bool journal_worker__stuck(const struct journal *journal);

#endif
