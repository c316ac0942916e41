/* How fast lines become JSON text: one line of figures for each kind of text. */
#include "../../user/base/json.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TEXT_SIZE (1 << 20)
#define ROUND_BYTES (1ull << 30)
#define ROUNDS 3

static char text[TEXT_SIZE];
static char escaped[TEXT_SIZE * 6];

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

/* One byte of `every` needs an escape; 0: none does. */
static void fill_ascii(unsigned int every)
{
	srand(1);
	for (size_t i = 0; i < TEXT_SIZE; i++)
		text[i] = every && rand() % every == 0 ? '"' : 'a' + rand() % 26;
}

static void fill_utf8(void)
{
	for (size_t i = 0; i < TEXT_SIZE; i++)
		text[i] = "\xd0\xbb\xd0\xbe\xd0\xb3 "[i % 7];
}

static double round_seconds(size_t line_len)
{
	double start = now();

	for (uint64_t done = 0; done < ROUND_BYTES; done += TEXT_SIZE) {
		for (size_t at = 0; at + line_len <= TEXT_SIZE; at += line_len) {
			struct json_shape shape = json__measure(text + at, line_len);

			json__escape(escaped, text + at, line_len, shape);
			__asm__ volatile("" : : "r"(escaped) : "memory");
		}
	}
	return now() - start;
}

static void measure(const char *kind, size_t line_len)
{
	double best = round_seconds(line_len);

	for (int i = 1; i < ROUNDS; i++) {
		double seconds = round_seconds(line_len);

		best = seconds < best ? seconds : best;
	}
	printf("encode %-12s %6zu B lines: %6.2f GB/s, %7.1f ns/line\n", kind, line_len,
	       ROUND_BYTES / best / 1e9, best * 1e9 * line_len / ROUND_BYTES);
}

int main(void)
{
	static const size_t line_len[] = { 60, 200, 4000, 65536 };

	for (size_t i = 0; i < sizeof(line_len) / sizeof(line_len[0]); i++) {
		fill_ascii(0);
		measure("clean", line_len[i]);
		fill_ascii(20);
		measure("5% escapes", line_len[i]);
		fill_utf8();
		measure("Cyrillic", line_len[i]);
	}
	return 0;
}
