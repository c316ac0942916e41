/*
 * The journal of one shard: encoded records in mapped segment files on tmpfs, from one appender
 * (the shard's thread) to one follower (the sink's thread). It is the only buffer between capture
 * and delivery: what is in it lives in a file, so it survives the process, and it is bounded. When
 * memory gets short a thread of its own moves segments to disk and brings them back in time.
 *
 * What is appended is staged: the follower sees it once it is published. So the appender can make
 * its own state ready for a crash in between. Dropped before that, it is told as lost only if it is
 * published later: after a crash it will be appended again. A segment goes when it is sealed and
 * every record in it is acknowledged, in whatever order that came. Reading order is append order.
 *
 * No call waits for another side, so appender and follower may also be one thread.
 */
#ifndef LOGTAP_JOURNAL_H
#define LOGTAP_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/config.h"
#include "record/journal_record.h"

struct counters;
struct journal;

/* A place in the journal: behind the record that was appended last. */
struct journal_mark {
	uint64_t number; /* of the segment */
	uint64_t off;    /* in it */
};

struct journal_options {
	const char *directory; /* the shard's own; created with mode 0700 when missing */
	uint64_t max_size;     /* bytes of all segment files in it, but for what tells of dropped ones */
	uint64_t segment_size; /* bytes of a segment; also bounds a record */
	/* Two eventfds, not owned; -1: nobody sleeps on it. */
	int data_fd;           /* written when a sleeping follower has something to read */
	int space_fd;          /* written when a waiting appender has space again */
	enum when_full when_full;
	enum replay replay;
	struct {
		const char *directory; /* the shard's own; NULL: everything stays in memory */
		uint64_t max_size;     /* bytes */
		uint64_t max_age_ms;   /* 0: no bound */
		enum disk_fsync fsync;
	} disk;
	uint64_t epoch;        /* of what is appended: after a crash the same is appended again; 0: never */
	bool orphan;           /* only what is found is read: nothing will be appended */
	struct counters *counters; /* may be NULL */
};

/*
 * 0 or -errno (-EINVAL: sizes that make no sense; -ENOSPC...: the file system's answer). Goes on
 * from the records found: those that are not acknowledged are read again. What lies behind `end`
 * was never committed and is removed, but for whole segments that are on disk alone and not of this
 * epoch: they may be of an earlier boot, and are read. NULL: all that is whole stays.
 */
int journal__open(const struct journal_options *options, const struct journal_mark *end,
		  struct journal **out);
/* Both sides are done: what is not acknowledged stays in its files, an orphan without any goes. */
void journal__close(struct journal *journal);
/*
 * The first part of it: another may open its files from here on. What was read of it stays where it is, for a reader that is
 * not quite done, until journal__close, before which nothing else may follow. NULL does nothing.
 */
void journal__shut(struct journal *journal);
/*
 * Before the close, both sides done: what is in memory alone goes to disk too, if there is one, so
 * that a reboot loses nothing. After deadline_ms no further segment is begun; what is left is said.
 */
void journal__save(struct journal *journal, unsigned int deadline_ms);

/*
 * Appender. reserve gives space for key + value of `len` bytes together, or NULL when the journal
 * is full; space_fd will be written once there is room. Who waits for that shows first what is
 * staged, or publishes it: nothing else could free space. append adds exactly meta->key_len +
 * meta->value_len <= len bytes. A record larger than a segment can never be appended:
 * journal__max_record says the bound.
 */
char *journal__reserve(struct journal *journal, size_t len);
void journal__append(struct journal *journal, const struct journal_meta *meta);
size_t journal__max_record(const struct journal *journal);
/* Appender, after reserve gave NULL: false when the disk is about to make room. */
bool journal__full(struct journal *journal);
/* Appender: the place where the next record would lie. */
void journal__mark(const struct journal *journal, struct journal_mark *out);
/*
 * Appender: all that is appended is committed, the follower may read it; wakes it. Cheap when there
 * is nothing new.
 */
void journal__publish(struct journal *journal);
/*
 * Appender, after reserve gave NULL: the follower may read what is staged too, which comes again
 * after a crash. Not with drop_oldest, where that could be dropped then, unless nothing else helps.
 */
void journal__show(struct journal *journal);
/* Appender: a segment has ended since the last publish. To publish now keeps little uncommitted. */
bool journal__is_due(const struct journal *journal);

/* Follower: 1 and a record, or 0: none now, and data_fd will be written when there is one. */
int journal__next(struct journal *journal, struct journal_record *out);
/* Follower's thread, each record once, any order. */
void journal__ack(struct journal *journal, void *handle);
/* Any thread: records appended and not acknowledged yet, those on disk too. */
uint64_t journal__pending(const struct journal *journal);

#endif
