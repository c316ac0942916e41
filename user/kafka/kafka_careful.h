/*
 * Finds the records that brokers refuse for a reason of their own. Brokers refuse the whole batch
 * and do not say for which record's sake. So its records, the suspects, are sent again in batches
 * of a 32nd, and so on, until one is refused alone: that one is given up. 10,000 records take three
 * rounds. It ends when every suspect is delivered or given up.
 *
 * Where record after record is refused and none is taken, it may be the topic that is at fault, not
 * they: after a few, one is given up every now and then only, so that it neither empties a journal
 * nor comes to a halt. Owner: the Kafka sink; its thread alone. All zero: there are no suspects.
 */
#ifndef LOGTAP_KAFKA_CAREFUL_H
#define LOGTAP_KAFKA_CAREFUL_H

#include <stdbool.h>
#include <stddef.h>

struct kafka_record;

struct kafka_careful {
	size_t suspects;
	size_t refused;          /* of them, since the last attempt began */
	unsigned int batch;      /* records in a batch at most; 0: as configured */
	unsigned int in_a_row;   /* given up, and none delivered in between */
};

/* The record was in a batch that is refused for one record's sake. */
void kafka_careful__refuse(struct kafka_careful *careful, struct kafka_record *record);
/* The record is about to leave the window: delivered, or not. */
void kafka_careful__forget(struct kafka_careful *careful, const struct kafka_record *record,
			   bool delivered);
/* True when the suspects are gone, so that batches may have their size again. */
bool kafka_careful__over(const struct kafka_careful *careful);
/* Between two attempts: the records that are `refused` were refused alone and are to be given up. */
bool kafka_careful__found(const struct kafka_careful *careful);
/* A found one is given up. */
void kafka_careful__give_up(struct kafka_careful *careful, struct kafka_record *record);
/* The next attempt begins: sets `batch`. The records' `refused` is the caller's to clear. */
void kafka_careful__next(struct kafka_careful *careful);
/* True when so many were given up in a row that the next attempt shall be put off. */
bool kafka_careful__doubts(const struct kafka_careful *careful);

#endif
