/*
 * The JSON encoder: RFC 8259 strings out of arbitrary bytes. Pure functions, any thread.
 */
#ifndef LOGTAP_JSON_H
#define LOGTAP_JSON_H

#include <stdbool.h>
#include <stddef.h>

struct json_shape {
	size_t len;        /* bytes the escaped text will take, without quotes */
	bool invalid_utf8; /* some bytes are not UTF-8: each maximal bad sequence becomes U+FFFD */
};

/* Measures `text` in one pass. Control characters become \u00XX or the short forms. */
struct json_shape json__measure(const char *text, size_t len);

/*
 * Writes the escaped text (no quotes) and returns the end. `shape` is what json__measure said of
 * the same bytes: exactly shape.len bytes are written.
 */
char *json__escape(char *out, const char *text, size_t len, struct json_shape shape);

/* Measures and escapes a text that ends with a NUL. */
char *json__put(char *out, const char *text);

/* Base64 (RFC 4648, padded). Writes json__base64_len(len) bytes and returns the end. */
size_t json__base64_len(size_t len);
char *json__base64(char *out, const char *data, size_t len);

/*
 * The longest prefix of the escaped text of at most `max` bytes that ends neither inside an escape
 * nor inside a UTF-8 sequence.
 */
size_t json__cut(const char *escaped, size_t len, size_t max);

#endif
