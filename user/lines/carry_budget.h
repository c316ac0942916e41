/*
 * Bytes of the heap that the half lines of many streams may take together, in blocks. Owner: their
 * shard's thread.
 */
#ifndef LOGTAP_CARRY_BUDGET_H
#define LOGTAP_CARRY_BUDGET_H

#include <stdbool.h>
#include <stddef.h>

struct carry_budget {
	size_t used;  /* what was restored may be more than the limit */
	size_t limit;
};

/* The functions take NULL for a budget without a bound. */

/* False when there is no room for so many bytes more; then nothing is taken. */
static inline bool carry_budget__take(struct carry_budget *budget, size_t bytes)
{
	if (!budget)
		return true;
	if (budget->used > budget->limit || bytes > budget->limit - budget->used)
		return false;
	budget->used += bytes;
	return true;
}

/* What was taken before a restart stays taken. */
static inline void carry_budget__adopt(struct carry_budget *budget, size_t bytes)
{
	if (budget)
		budget->used += bytes;
}

static inline void carry_budget__give(struct carry_budget *budget, size_t bytes)
{
	if (budget)
		budget->used -= bytes;
}

#endif
