/*
 * The records that were read from the journals and are not acknowledged yet, in reading order:
 * first those handed to the client, then those still to be sent. Bounded. Owner: the Kafka sink;
 * its thread alone.
 */
#ifndef LOGTAP_KAFKA_WINDOW_H
#define LOGTAP_KAFKA_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>

#include "journal.h"

struct kafka_record {
	TAILQ_ENTRY(kafka_record) link;
	struct journal *journal;
	struct journal_record record;
	char *cut;               /* owned; sent instead of the record's value, unless NULL */
	size_t cut_len;
};

struct kafka_window;

/* 0 or -ENOMEM. */
int kafka_window__new(size_t capacity, struct kafka_window **out);
void kafka_window__free(struct kafka_window *window);

bool kafka_window__full(const struct kafka_window *window);
/* The journal's record becomes the last one, to be sent. The window must not be full. */
void kafka_window__add(struct kafka_window *window, struct journal *journal,
		       const struct journal_record *record);
/* Takes the record out and frees its cut value. */
void kafka_window__remove(struct kafka_window *window, struct kafka_record *record);

/* The first record still to be sent, or NULL. */
struct kafka_record *kafka_window__unsent(const struct kafka_window *window);
/*
 * `first` is from now on the first record still to be sent; all before it are sent. NULL: all are.
 */
void kafka_window__set_unsent(struct kafka_window *window, struct kafka_record *first);
/* Everything is to be sent, oldest first. Returns how many records that had been sent before. */
size_t kafka_window__rewind(struct kafka_window *window);

size_t kafka_window__count(const struct kafka_window *window);

#endif
