/*
 * Small writers of text into memory that has room, each of which returns the end of what it wrote.
 * Pure functions, any thread. Inline: a record is made of dozens of such pieces.
 */
#ifndef LOGTAP_TEXT_PUT_H
#define LOGTAP_TEXT_PUT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline char *put(char *out, const char *text, size_t length)
{
	memcpy(out, text, length);
	return out + length;
}

#define PUT_LITERAL(out, text) put(out, text, sizeof(text) - 1)

static inline char *put_string(char *out, const char *text)
{
	return put(out, text, strlen(text));
}

static inline char *put_number(char *out, uint64_t n)
{
	char *end = out + 1;

	for (uint64_t rest = n; rest > 9; rest /= 10)
		end++;
	for (char *at = end; at > out; n /= 10)
		*--at = '0' + n % 10;
	return end;
}

static inline char *put_hex(char *out, uint64_t n)
{
	char *end = out + (n ? (67 - __builtin_clzll(n)) / 4 : 1);

	for (char *at = end; at > out; n >>= 4)
		*--at = "0123456789abcdef"[n & 15];
	return end;
}

/* The lowest `count` digits, with zeros before them. */
static inline char *put_digits(char *out, uint32_t n, int count)
{
	for (int i = count - 1; i >= 0; i--, n /= 10)
		out[i] = '0' + n % 10;
	return out + count;
}

#endif
