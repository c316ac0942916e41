/*
 * The journal of one shard: encoded records in mapped segment files on tmpfs, from one appender
 * (the shard's thread) to one follower (the sink's thread). It is the only buffer between capture
 * and delivery: what is in it lives in a file, so it survives the process, and it is bounded.
 *
 * A segment is unlinked when it is sealed and every record in it is acknowledged, in whatever order
 * the acknowledgements came. Reading order is append order.
 */
#ifndef LOGTAP_JOURNAL_H
#define LOGTAP_JOURNAL_H

#include <stddef.h>
#include <stdint.h>

struct journal;

struct journal_options {
	const char *directory; /* the shard's own; created with mode 0700 when missing */
	uint64_t max_size;     /* bytes of all segment files */
	uint64_t segment_size; /* bytes of a segment; also bounds a record */
	/* Two eventfds, not owned: */
	int data_fd;           /* written when a sleeping follower has something to read */
	int space_fd;          /* written when a waiting appender has space again */
};

/* What the sink needs to know of a record beside its bytes. */
struct journal_meta {
	uint32_t key_len;     /* the Kafka key: bytes before the value */
	uint32_t value_len;   /* the encoded record */
	uint32_t message_off; /* of the message's escaped text in the value; 0: no message to cut */
	uint32_t message_len; /* its encoded length */
	uint32_t raw_len;     /* bytes of the application's own that it stands for */
	uint32_t flags;       /* 0 now */
};

struct journal_record {
	struct journal_meta meta;
	const char *key; /* into the mapping: valid until acknowledged */
	const char *value;
	void *handle; /* for journal__ack */
};

/* 0 or -errno (-EINVAL: sizes that make no sense; -ENOSPC...: the file system's answer). */
int journal__open(const struct journal_options *options, struct journal **out);
/* Unmaps; unlinks what is fully acknowledged and leaves the rest in the directory. */
void journal__close(struct journal *journal);

/*
 * Appender. reserve gives space for key + value of `len` bytes together, or NULL when the journal
 * is full (the space_fd will be written once a segment is free). commit publishes exactly
 * meta->key_len + meta->value_len <= len bytes. A record larger than a segment can never be
 * appended: journal__max_record says the bound.
 */
char *journal__reserve(struct journal *journal, size_t len);
void journal__commit(struct journal *journal, const struct journal_meta *meta);
size_t journal__max_record(const struct journal *journal);

/* Follower: 1 and a record, or 0: none now, and data_fd will be written when there is one. */
int journal__next(struct journal *journal, struct journal_record *out);
/* Follower's thread, each record once, any order. */
void journal__ack(struct journal *journal, void *handle);
/* Any thread: records appended and not acknowledged yet. */
uint64_t journal__pending(const struct journal *journal);

#endif
