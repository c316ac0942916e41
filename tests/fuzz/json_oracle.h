/*
 * What the JSON encoder must do, said in another way: jansson decodes what was encoded, and the
 * UTF-8 of the result is compared with a reference that knows code points, not byte ranges.
 */
#ifndef LOGTAP_JSON_ORACLE_H
#define LOGTAP_JSON_ORACLE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../user/base/json.h"

typedef struct json_shape (*json_measure_fn)(const char *text, size_t len);
typedef char *(*json_escape_fn)(char *out, const char *text, size_t len, struct json_shape shape);

/* Can the first `have` bytes of p go on to be a well-formed character of `len` bytes? */
static bool json_oracle__can_become(const unsigned char *p, unsigned int have, unsigned int len)
{
	static const uint32_t first[] = { 0, 0, 0x80, 0x800, 0x10000 };
	static const uint32_t last[] = { 0, 0, 0x7ff, 0xffff, 0x10ffff };
	static const unsigned char lead[] = { 0, 0, 0xc0, 0xe0, 0xf0 };
	static const unsigned char lead_mask[] = { 0, 0, 0xe0, 0xf0, 0xf8 };
	uint32_t from = p[0] & (unsigned char)~lead_mask[len];
	uint32_t to = from;

	if ((p[0] & lead_mask[len]) != lead[len])
		return false;
	for (unsigned int i = 1; i < len; i++) {
		if (i < have && (p[i] < 0x80 || p[i] > 0xbf))
			return false;
		from = from << 6 | (i < have ? p[i] & 0x3f : 0);
		to = to << 6 | (i < have ? p[i] & 0x3f : 0x3f);
	}
	if (from >= 0xd800 && to <= 0xdfff)
		return false;
	return to >= first[len] && from <= last[len];
}

/* Bytes of the character or of the maximal ill-formed subpart at p. */
static unsigned int json_oracle__step(const unsigned char *p, size_t left, bool *valid)
{
	*valid = p[0] < 0x80;
	if (*valid)
		return 1;
	for (unsigned int have = left < 4 ? left : 4; have > 0; have--) {
		for (unsigned int len = 2; len <= 4; len++) {
			if (have > len || !json_oracle__can_become(p, have, len))
				continue;
			*valid = have == len;
			return have;
		}
	}
	return 1;
}

/* `out` has room for 3 * len bytes. Returns its length. */
static size_t json_oracle__replace(const char *text, size_t len, char *out, bool *invalid)
{
	const unsigned char *p = (const unsigned char *)text;
	size_t out_len = 0;

	*invalid = false;
	for (size_t at = 0; at < len;) {
		bool valid;
		unsigned int step = json_oracle__step(p + at, len - at, &valid);

		memcpy(out + out_len, valid ? text + at : "\xef\xbf\xbd", valid ? step : 3);
		out_len += valid ? step : 3;
		*invalid |= !valid;
		at += step;
	}
	return out_len;
}

/*
 * What is wrong with the encoding of `text`, or NULL. Buffers are exact, for the sanitizers to see
 * a byte too many.
 */
static const char *json_oracle__check(json_measure_fn measure, json_escape_fn escape,
				      const char *text, size_t len)
{
	char *expected = malloc(3 * len + 1);
	bool invalid;
	size_t expected_len = json_oracle__replace(text, len, expected, &invalid);
	struct json_shape shape = measure(text, len);
	char *escaped = malloc(shape.len + 2);
	json_t *value = NULL;
	const char *wrong = NULL;

	escaped[0] = '"';
	if (shape.invalid_utf8 != invalid) {
		wrong = "invalid_utf8 is wrong";
	} else if (escape(escaped + 1, text, len, shape) != escaped + 1 + shape.len) {
		wrong = "the measured length is not the written one";
	} else {
		escaped[shape.len + 1] = '"';
		value = json_loadb(escaped, shape.len + 2, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
		if (!json_is_string(value))
			wrong = "not a JSON string";
		else if (json_string_length(value) != expected_len ||
			 memcmp(json_string_value(value), expected, expected_len))
			wrong = "decodes to another text";
	}
	json_decref(value);
	free(escaped);
	free(expected);
	return wrong;
}

#endif
