#include "nearest.h"

#include <stdio.h>
#include <string.h>

/* Edits that turn one word into the other. */
static unsigned int distance(const char *a, const char *b)
{
	unsigned int row[NEAREST_WORD_MAX];
	size_t len = strnlen(b, NEAREST_WORD_MAX - 1);

	for (size_t j = 0; j <= len; j++)
		row[j] = j;
	for (size_t i = 1; i <= strnlen(a, NEAREST_WORD_MAX); i++) {
		unsigned int diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= len; j++) {
			unsigned int best = diagonal + (a[i - 1] != b[j - 1]);

			diagonal = row[j];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
		}
	}
	return row[len];
}

void nearest__begin(struct nearest *nearest, const char *word)
{
	*nearest = (struct nearest){ .word = word, .edits = strlen(word) / 3 + 2 };
}

void nearest__offer(struct nearest *nearest, const char *candidate)
{
	size_t word = strlen(nearest->word), length = strlen(candidate);
	unsigned int edits;

	/* Each byte more takes an edit. */
	if ((word > length ? word - length : length - word) >= nearest->edits)
		return;
	edits = distance(nearest->word, candidate);
	if (edits >= nearest->edits)
		return;
	nearest->edits = edits;
	snprintf(nearest->found, sizeof(nearest->found), "%s", candidate);
}
