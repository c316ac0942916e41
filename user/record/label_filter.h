/*
 * Which labels and annotations go into a record, and under what names. Pure functions, any thread.
 */
#ifndef LOGTAP_LABEL_FILTER_H
#define LOGTAP_LABEL_FILTER_H

#include <stdbool.h>
#include <stddef.h>

struct labels;
struct globs_config;

struct label_filter {
	bool dedot;              /* a.b/c -> a_b/c */
	size_t room;             /* bytes of a record that labels may take yet */
	size_t overhead;         /* of a label in a record, beside its name and value as JSON */
	unsigned int left_out;   /* labels that were allowed and did not fit, or whose name is not UTF-8 */
};

/*
 * Adds to *out those of `labels` that a glob of `allow` matches and none of `deny` does. What does
 * not fit in the room is left out and counted, whole. `labels` or `globs` may be NULL. 0 or -ENOMEM.
 */
int label_filter__apply(struct label_filter *filter, const struct labels *labels,
			const struct globs_config *globs, struct labels *out);

#endif
