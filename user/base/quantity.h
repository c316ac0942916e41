/*
 * Sizes and durations as people write them: "16MiB", "64kB", "500ms". Pure functions, any thread.
 */
#ifndef LOGTAP_QUANTITY_H
#define LOGTAP_QUANTITY_H

#include <stdint.h>

enum quantity {
	QUANTITY_COUNT,          /* a plain number */
	QUANTITY_SIZE,           /* in bytes; a plain number or one with a unit */
	QUANTITY_DURATION,       /* in milliseconds; the unit is required */
};

#define QUANTITY_TEXT 32

/*
 * -EINVAL: not written as one (quantity__forms says how); -ERANGE: over 64 bits. *out untouched
 * then.
 */
int quantity__parse(enum quantity kind, const char *text, uint64_t *out);

/* How to write it, for messages: "a size such as 65536, 64KiB or 16MiB". */
const char *quantity__forms(enum quantity kind);

/* Exactly, in the largest unit that it is a whole number of: "3136KiB". Returns `text`. */
const char *quantity__format(enum quantity kind, uint64_t value, char text[QUANTITY_TEXT]);

/* In the largest unit that fits, rounded to one decimal: "3.1MiB". Returns `text`. */
const char *quantity__round(enum quantity kind, uint64_t value, char text[QUANTITY_TEXT]);

#endif
