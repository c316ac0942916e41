/* Binary search in what is sorted, whatever keeps it. Pure functions, any thread. */
#ifndef LOGTAP_SORTED_H
#define LOGTAP_SORTED_H

#include <stdbool.h>

/* Of the entry at `index` to the key, as strcmp. */
typedef int sorted_compare(const void *entries, unsigned int index, const void *key);

/* Where the key is among `count` entries, none of which equals another, or would be; *found says which. */
static inline unsigned int sorted__find(const void *entries, unsigned int count, sorted_compare *compare, const void *key,
					bool *found)
{
	unsigned int low = 0, high = count;

	*found = false;
	while (low < high) {
		unsigned int middle = low + (high - low) / 2;
		int order = compare(entries, middle, key);

		if (order == 0) {
			*found = true;
			return middle;
		}
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

#endif
