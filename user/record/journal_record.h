/* A record of the journal, as its appender describes it and its follower gets it. */
#ifndef LOGTAP_JOURNAL_RECORD_H
#define LOGTAP_JOURNAL_RECORD_H

#include <stdint.h>

/* What is known of a record beside its bytes. */
struct journal_meta {
	uint32_t key_len;     /* the Kafka key: bytes before the value */
	uint32_t value_len;   /* the encoded record */
	uint32_t head_len;    /* of the value, up to the end of the id's text: a gap in its place starts with it */
	uint32_t message_off; /* of the message's escaped text in the value; 0: no message to cut */
	uint32_t message_len; /* its encoded length */
	uint32_t flags;       /* JOURNAL_GAP, and whose names it has: see journal_names */
	uint64_t raw_len;     /* bytes of the application's own that it stands for, newline included */
	uint64_t lines;       /* of the application's own that it stands for; in the node's gaps: writes that hooks missed */
	uint64_t stream;      /* names the stream in its shard: slot << 32 | generation, or JOURNAL_NODE */
};

/* Gaps that are no stream's. */
#define JOURNAL_NODE UINT64_MAX

/* It tells a loss: raw_len and lines are what is lost. */
#define JOURNAL_GAP 1u

/* The record's shape (enum record_names; see layout.h), which need not be that of the configuration. */
#define JOURNAL_NAMES_SHIFT 8
static inline unsigned int journal_names(const struct journal_meta *meta)
{
	return meta->flags >> JOURNAL_NAMES_SHIFT;
}

struct journal_record {
	struct journal_meta meta;
	const char *key; /* into the mapping: valid until acknowledged */
	const char *value;
	void *handle; /* for journal__ack */
};

#endif
