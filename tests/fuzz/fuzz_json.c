/* libFuzzer: any bytes must encode to JSON that decodes to them, and any cut of it must decode too.
 */
#include "json_oracle.h"

#include <stdio.h>

static void check_cut(const char *text, size_t len, size_t max)
{
	struct json_shape shape = json__measure(text, len);
	char *escaped = malloc(shape.len + 2);
	size_t cut;
	json_t *value;

	escaped[0] = '"';
	json__escape(escaped + 1, text, len, shape);
	cut = json__cut(escaped + 1, shape.len, max);
	if (cut > max)
		abort();
	escaped[cut + 1] = '"';
	value = json_loadb(escaped, cut + 2, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
	if (!value)
		abort();
	json_decref(value);
	free(escaped);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *wrong =
		json_oracle__check(json__measure, json__escape, (const char *)data, size);

	if (wrong) {
		fprintf(stderr, "%s\n", wrong);
		abort();
	}
	if (size)
		check_cut((const char *)data, size, data[0]);
	return 0;
}
