#include "json.h"

#include <endian.h>
#include <stdint.h>
#include <string.h>

/*
 * Text is looked at a block at a time. A block answers three questions with a mask of its bytes,
 * exact in every bit: which are control characters, which are quotes or backslashes, which are not
 * ASCII. JSON_PORTABLE makes the tests take the way of machines without SSE2.
 */
#if defined(__SSE2__) && !defined(JSON_PORTABLE)
#include <emmintrin.h>

#define BLOCK 16

typedef __m128i block_t;
typedef uint32_t mask_t;

static inline block_t block_load(const unsigned char *p)
{
	return _mm_loadu_si128((const __m128i *)p);
}

static inline void block_store(char *out, block_t block)
{
	_mm_storeu_si128((__m128i *)out, block);
}

static inline mask_t block_control(block_t block)
{
	return _mm_movemask_epi8(_mm_cmpeq_epi8(_mm_min_epu8(block, _mm_set1_epi8(0x1f)), block));
}

static inline mask_t block_quote(block_t block)
{
	__m128i quote = _mm_cmpeq_epi8(block, _mm_set1_epi8('"'));
	__m128i backslash = _mm_cmpeq_epi8(block, _mm_set1_epi8('\\'));

	return _mm_movemask_epi8(_mm_or_si128(quote, backslash));
}

static inline mask_t block_high(block_t block)
{
	return _mm_movemask_epi8(block);
}

static inline unsigned int mask_first(mask_t mask)
{
	return __builtin_ctz(mask);
}

/* Adds neighbours: SSE2 alone has no instruction for it. */
static inline unsigned int mask_count(mask_t mask)
{
	mask -= mask >> 1 & 0x5555;
	mask = (mask & 0x3333) + (mask >> 2 & 0x3333);
	mask = (mask + (mask >> 4)) & 0x0f0f;
	return (mask + (mask >> 8)) & 0x1f;
}
#else
#define BLOCK 8

#define EACH(byte) (0x0101010101010101ull * (byte))

typedef uint64_t block_t; /* the first byte is the lowest */
typedef uint64_t mask_t;  /* in the top bit of each byte */

static inline block_t block_load(const unsigned char *p)
{
	uint64_t word;

	memcpy(&word, p, sizeof(word));
	return le64toh(word);
}

static inline void block_store(char *out, block_t block)
{
	uint64_t word = htole64(block);

	memcpy(out, &word, sizeof(word));
}

/* No sum leaves its byte: the top bits are cleared before. */
static inline mask_t block_zero(block_t block)
{
	return ~(((block & EACH(0x7f)) + EACH(0x7f)) | block) & EACH(0x80);
}

static inline mask_t block_control(block_t block)
{
	return ~(((block & EACH(0x7f)) + EACH(0x60)) | block) & EACH(0x80);
}

static inline mask_t block_quote(block_t block)
{
	return block_zero(block ^ EACH('"')) | block_zero(block ^ EACH('\\'));
}

static inline mask_t block_high(block_t block)
{
	return block & EACH(0x80);
}

static inline unsigned int mask_first(mask_t mask)
{
	return __builtin_ctzll(mask) / 8;
}

static inline unsigned int mask_count(mask_t mask)
{
	return (mask >> 7) * EACH(1) >> 56;
}
#endif

#define REPLACEMENT "\xef\xbf\xbd"
#define REPLACEMENT_LEN 3

/* The letter of the short form. */
static const char short_form[256] = {
	['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n',  ['\f'] = 'f',
	['\r'] = 'r', ['"'] = '"',  ['\\'] = '\\',
};

static inline unsigned int escape_growth(unsigned char c)
{
	if (c >= 0x20 && c != '"' && c != '\\')
		return 0;
	return (short_form[c] ? 2 : 6) - 1;
}

static inline char *escape_byte(char *out, unsigned char c)
{
	static const char hex[] = "0123456789abcdef";

	out[0] = '\\';
	if (short_form[c]) {
		out[1] = short_form[c];
		return out + 2;
	}
	memcpy(out + 1, "u00", 3);
	out[4] = hex[c >> 4];
	out[5] = hex[c & 15];
	return out + 6;
}

/* A block that ends with the text is filled up with bytes that need nothing. */
static inline block_t block_load_upto(const unsigned char *p, size_t len)
{
	unsigned char tail[BLOCK];

	if (len >= BLOCK)
		return block_load(p);
	memset(tail, ' ', sizeof(tail));
	for (size_t i = 0; i < len; i++)
		tail[i] = p[i];
	return block_load(tail);
}

struct utf8_sequence {
	unsigned int
		len; /* bytes of the character, or of the maximal subpart of an ill-formed one */
	bool valid;
};

/* Table 3-7 of the Unicode standard: only the second byte's range depends on the first byte. */
static inline struct utf8_sequence utf8_sequence(const unsigned char *p, size_t left)
{
	unsigned char first = p[0];
	unsigned char low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
	unsigned char high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;

	if (first < 0xc2 || first > 0xf4 || left < 2 || p[1] < low || p[1] > high)
		return (struct utf8_sequence){ .len = 1 };
	if (first < 0xe0)
		return (struct utf8_sequence){ .len = 2, .valid = true };
	if (left < 3 || (p[2] & 0xc0) != 0x80)
		return (struct utf8_sequence){ .len = 2 };
	if (first < 0xf0)
		return (struct utf8_sequence){ .len = 3, .valid = true };
	if (left < 4 || (p[3] & 0xc0) != 0x80)
		return (struct utf8_sequence){ .len = 3 };
	return (struct utf8_sequence){ .len = 4, .valid = true };
}

/*
 * Measures byte by byte: at least `enough` bytes, then to the end of the characters that are not
 * ASCII.
 */
static size_t measure_slowly(const unsigned char *p, size_t left, size_t enough,
			     struct json_shape *shape)
{
	size_t done = 0;

	while (done < left && (done < enough || p[done] >= 0x80)) {
		struct utf8_sequence sequence;

		if (p[done] < 0x80) {
			shape->len += escape_growth(p[done++]);
			continue;
		}
		sequence = utf8_sequence(p + done, left - done);
		if (!sequence.valid) {
			shape->invalid_utf8 = true;
			shape->len += REPLACEMENT_LEN - sequence.len;
		}
		done += sequence.len;
	}
	return done;
}

struct json_shape json__measure(const char *text, size_t len)
{
	const unsigned char *p = (const unsigned char *)text;
	struct json_shape shape = { .len = len };
	size_t at = 0;

	while (at < len) {
		block_t block = block_load_upto(p + at, len - at);
		mask_t quote = block_quote(block);

		if (block_control(block) | block_high(block)) {
			at += measure_slowly(p + at, len - at, BLOCK, &shape);
			continue;
		}
		if (quote)
			shape.len += mask_count(quote);
		at += BLOCK;
	}
	return shape;
}

/*
 * Copies the characters from p on that are not ASCII, with replacements. Returns how many bytes
 * they are.
 */
static size_t replace_utf8(char **out, const unsigned char *p, size_t left)
{
	size_t done = 0;

	while (done < left && p[done] >= 0x80) {
		struct utf8_sequence sequence = utf8_sequence(p + done, left - done);
		const void *from = sequence.valid ? (const void *)(p + done) : REPLACEMENT;
		size_t len = sequence.valid ? sequence.len : REPLACEMENT_LEN;

		memcpy(*out, from, len);
		*out += len;
		done += sequence.len;
	}
	return done;
}

/*
 * `stop_at_high` is a constant where this is inlined: valid text passes without a second look at
 * its UTF-8.
 */
static inline char *escape(char *out, const char *text, size_t len, size_t out_len,
			   bool stop_at_high)
{
	const unsigned char *p = (const unsigned char *)text;
	const char *out_end = out + out_len;
	size_t at = 0;

	while (at < len) {
		block_t block = block_load_upto(p + at, len - at);
		mask_t stops = block_control(block) | block_quote(block) |
			       (stop_at_high ? block_high(block) : 0);
		size_t run = stops ? mask_first(stops) : len - at < BLOCK ? len - at : BLOCK;

		/* A whole block is one store: what it writes too much is written over. */
		if (out_end - out >= BLOCK)
			block_store(out, block);
		else
			memcpy(out, p + at, run);
		out += run;
		at += run;
		if (!stops)
			continue;
		if (p[at] >= 0x80)
			at += replace_utf8(&out, p + at, len - at);
		else
			out = escape_byte(out, p[at++]);
	}
	return out;
}

char *json__escape(char *out, const char *text, size_t len, struct json_shape shape)
{
	if (shape.invalid_utf8)
		return escape(out, text, len, shape.len, true);
	if (shape.len != len)
		return escape(out, text, len, shape.len, false);
	if (len)
		memcpy(out, text, len);
	return out + len;
}

char *json__put(char *out, const char *text)
{
	const char *at = text;
	size_t length;

	/* Names are short and plain: then this is the cheapest way. */
	while (*at >= ' ' && *at < 127 && *at != '"' && *at != '\\')
		*out++ = *at++;
	if (!*at)
		return out;
	length = strlen(at);
	return json__escape(out, at, length, json__measure(at, length));
}

size_t json__base64_len(size_t len)
{
	return (len + 2) / 3 * 4;
}

char *json__base64(char *out, const char *data, size_t len)
{
	static const char digit[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const unsigned char *p = (const unsigned char *)data;
	uint32_t bits;

	for (; len >= 3; len -= 3, p += 3) {
		bits = p[0] << 16 | p[1] << 8 | p[2];
		*out++ = digit[bits >> 18];
		*out++ = digit[bits >> 12 & 63];
		*out++ = digit[bits >> 6 & 63];
		*out++ = digit[bits & 63];
	}
	if (!len)
		return out;
	bits = p[0] << 16 | (len > 1 ? p[1] << 8 : 0);
	*out++ = digit[bits >> 18];
	*out++ = digit[bits >> 12 & 63];
	*out++ = len > 1 ? digit[bits >> 6 & 63] : '=';
	*out++ = '=';
	return out;
}

/*
 * Where the escape starts that a cut at `at` would tear, or `at` when it tears none. Only the last
 * backslash before the cut can start it, and it does when its run of backslashes is odd: the others
 * are pairs.
 */
static size_t escape_start(const char *escaped, size_t at)
{
	const size_t longest = 6;
	size_t first = at < longest ? 0 : at - longest + 1;
	size_t last = at;
	size_t run = 0;

	while (last > first && escaped[last - 1] != '\\')
		last--;
	if (last == first)
		return at;
	last--;
	while (run <= last && escaped[last - run] == '\\')
		run++;
	if (run % 2 == 0 || last + (escaped[last + 1] == 'u' ? longest : 2) <= at)
		return at;
	return last;
}

size_t json__cut(const char *escaped, size_t len, size_t max)
{
	size_t at = max;

	if (len <= max)
		return len;
	while (at > 0 && ((unsigned char)escaped[at] & 0xc0) == 0x80)
		at--;
	return escape_start(escaped, at);
}
