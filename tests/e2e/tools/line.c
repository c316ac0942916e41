#include "line.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define LENGTH_MIN 64            /* longer than any head */
#define SPECIAL_ONE_IN 24        /* eight-byte steps of a payload */

static const char *const size_names[] = {
	[SIZES_MIX] = "mix",
	[SIZES_SHORT] = "short",
	[SIZES_PLAIN] = "plain",
};

struct special {
	unsigned char length;
	char bytes[7];
};

#define SPECIAL(text) { sizeof(text) - 1, text }

/* What encoders, decoders and terminals stumble over. */
static const struct special specials[] = {
	SPECIAL("\""), SPECIAL("\\"), SPECIAL("\\n"), SPECIAL("\\\""), SPECIAL("/"), SPECIAL("</"),
	SPECIAL("{\"a\":"), SPECIAL("\0"), SPECIAL("\x01"), SPECIAL("\b\f\v"), SPECIAL("\t"),
	SPECIAL("\r"), SPECIAL("\x1b[0m"), SPECIAL("\x1f"), SPECIAL("\x7f"), SPECIAL("\xc2\x80"),
	SPECIAL("\xc3\xa4"), SPECIAL("\xe2\x82\xac"), SPECIAL("\xe2\x80\xa8"),
	SPECIAL("\xef\xbf\xbd"), SPECIAL("\xf0\x9f\x98\x80"), SPECIAL("\xf4\x8f\xbf\xbf"),
};

static const struct special binary_specials[] = {
	SPECIAL("\xff"), SPECIAL("\x80"), SPECIAL("\xc3"), SPECIAL("\xe2\x82"),
	SPECIAL("\xf0\x9f\x98"), SPECIAL("\xed\xa0\x80"), SPECIAL("\xc0\xaf"),
	SPECIAL("\xf5\x80\x80\x80"),
};

static const char alphabet[64] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .";

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static uint32_t checksum(const char *bytes, size_t length)
{
	uint32_t hash = 2166136261u;

	for (size_t i = 0; i < length; i++)
		hash = (hash ^ (unsigned char)bytes[i]) * 16777619u;
	return hash;
}

/* splitmix64 */
static uint64_t next_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ull;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

static size_t choose_length(enum line_sizes sizes, uint64_t random)
{
	unsigned int percent = random % 100;

	random >>= 32;
	if (sizes != SIZES_MIX)
		return LENGTH_MIN + random % (200 - LENGTH_MIN + 1);
	if (percent < 90)
		return LENGTH_MIN + random % (1024 - LENGTH_MIN);
	if (percent < 99)
		return 1024 + random % (8192 - 1024);
	return LINE_LENGTH_MAX;
}

static const struct special *choose_special(const struct line_source *source, uint64_t random)
{
	if (source->binary && random & 1)
		return &binary_specials[(random >> 1) % COUNT(binary_specials)];
	return &specials[(random >> 1) % COUNT(specials)];
}

static void fill_payload(const struct line_source *source, uint64_t *state, char *out,
			 size_t length)
{
	char *end = out + length;

	while (end - out >= 8) {
		uint64_t random = next_random(state);

		if (source->sizes != SIZES_PLAIN && (random >> 48) % SPECIAL_ONE_IN == 0) {
			const struct special *special = choose_special(source, random);

			memcpy(out, special->bytes, special->length);
			out += special->length;
			continue;
		}
		for (int i = 0; i < 8; i++, random >>= 8)
			*out++ = alphabet[random & 63];
	}
	memset(out, '.', end - out);
}

int line__set_writer(struct line_source *source, const char *name)
{
	size_t length = strlen(name);

	if (!length || length > LINE_WRITER_MAX || strchr(name, ' '))
		return -EINVAL;
	memcpy(source->writer, name, length + 1);
	return 0;
}

int line__set_sizes(struct line_source *source, const char *name)
{
	for (size_t i = 0; i < COUNT(size_names); i++) {
		if (!strcmp(name, size_names[i])) {
			source->sizes = i;
			return 0;
		}
	}
	return -EINVAL;
}

size_t line__make(const struct line_source *source, uint64_t seq, char *out)
{
	uint64_t state = (source->seed << 32) ^ checksum(source->writer, strlen(source->writer)) ^
			 (seq * 0xd1342543de82ef95ull);
	size_t length = choose_length(source->sizes, next_random(&state));
	char head[LENGTH_MIN], sum[10];
	size_t at;

	at = snprintf(head, sizeof(head), "%s %" PRIu64 " %zu ", source->writer, seq, length);
	memcpy(out, head, at);
	fill_payload(source, &state, out + at + 9, length - at - 9);
	snprintf(sum, sizeof(sum), "%08" PRIx32 "/", checksum(out + at + 9, length - at - 9));
	memcpy(out + at, sum, 9);
	return length;
}

int line__parse(const char *text, size_t length, char writer[LINE_WRITER_MAX + 1], uint64_t *seq)
{
	const char *end = text + length, *space = memchr(text, ' ', length);
	uint64_t number = 0;

	if (!space || space == text || space - text > LINE_WRITER_MAX)
		return -EINVAL;
	memcpy(writer, text, space - text);
	writer[space - text] = 0;
	for (text = space + 1; text < end && *text >= '0' && *text <= '9'; text++)
		number = 10 * number + (*text - '0');
	if (text == space + 1 || text >= end || *text != ' ')
		return -EINVAL;
	*seq = number;
	return 0;
}
