/*
 * The records that were read from the journals and are not acknowledged yet, in reading order:
 * first those handed to the client, then those still to be sent. Bounded. Owner: the Kafka sink;
 * its thread alone.
 */
#ifndef LOGTAP_KAFKA_WINDOW_H
#define LOGTAP_KAFKA_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "journal/journal.h"

struct kafka_record {
	TAILQ_ENTRY(kafka_record) link;
	struct journal *journal;
	struct journal_record record;
	int32_t partition;       /* that its key leads to, or KAFKA_PARTITION_ANY */
	char *own;               /* owned; sent instead of the record's value, unless NULL */
	size_t own_len;
	bool suspect;            /* was in a batch that was refused for one record's sake */
	bool refused;            /* and again, since the last attempt began */
};

struct kafka_window;

/* 0 or -ENOMEM. */
int kafka_window__new(size_t capacity, struct kafka_window **out);
void kafka_window__free(struct kafka_window *window);

bool kafka_window__full(const struct kafka_window *window);
/* A copy of the record becomes the last one, to be sent. The window must not be full. */
void kafka_window__add(struct kafka_window *window, const struct kafka_record *record);
/* Takes the record out and frees its own value. */
void kafka_window__remove(struct kafka_window *window, struct kafka_record *record);

/* The value as it is to be sent. */
const char *kafka_record__value(const struct kafka_record *record);
size_t kafka_record__value_len(const struct kafka_record *record);

/* The oldest record, or NULL; TAILQ_NEXT(record, link) is the next one. */
struct kafka_record *kafka_window__first(const struct kafka_window *window);
/* The first record still to be sent, or NULL. */
struct kafka_record *kafka_window__unsent(const struct kafka_window *window);
/*
 * `first` is from now on the first record still to be sent; all before it are sent. NULL: all are.
 */
void kafka_window__set_unsent(struct kafka_window *window, struct kafka_record *first);
/* Everything is to be sent, oldest first. Returns how many records that had been sent before. */
size_t kafka_window__rewind(struct kafka_window *window);

#endif
