/*
 * What was meant by a word that is misspelt: the one of those that are offered that takes the fewest edits, if they are few
 * for its length. Owner: the caller, one thread.
 */
#ifndef LOGTAP_NEAREST_H
#define LOGTAP_NEAREST_H

/* Longer words are compared as far as that. */
#define NEAREST_WORD_MAX 256

struct nearest {
	const char *word;
	unsigned int edits;      /* fewer have to do */
	char found[NEAREST_WORD_MAX]; /* "": none is near */
};

/* `word` must stay until the last offer. */
void nearest__begin(struct nearest *nearest, const char *word);
void nearest__offer(struct nearest *nearest, const char *candidate);

#endif
