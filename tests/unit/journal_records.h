/*
 * Records of the journal's tests: what number `number` is follows from the number, wherever it is
 * made or checked.
 */
#ifndef JOURNAL_RECORDS_H
#define JOURNAL_RECORDS_H

#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../user/journal/journal.h"
#include "../../user/journal/journal_segment.h"

#define SEGMENT 65536u
/* The largest record of the smallest segment. */
#define RECORD_MAX (SEGMENT - sizeof(struct segment_header) - 2 * sizeof(struct segment_entry))

static inline void remove_files(const char *directory)
{
	DIR *dir = opendir(directory);
	struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		unlinkat(dirfd(dir), entry->d_name, 0);
	if (dir)
		closedir(dir);
}

static inline unsigned int count_segments(const char *directory)
{
	DIR *dir = opendir(directory);
	struct dirent *entry;
	unsigned int files = 0;

	while (dir && (entry = readdir(dir)))
		files += !strncmp(entry->d_name, SEGMENT_PREFIX, strlen(SEGMENT_PREFIX));
	if (dir)
		closedir(dir);
	return files;
}

/* The lowest number of a segment there. */
static inline uint64_t first_segment(const char *directory)
{
	DIR *dir = opendir(directory);
	uint64_t first = UINT64_MAX, number;
	struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		if (segment__parse_name(entry->d_name, &number) && number < first)
			first = number;
	if (dir)
		closedir(dir);
	assert_true(first < UINT64_MAX);
	return first;
}

static inline void segment_path(char path[128], const char *directory, uint64_t number)
{
	snprintf(path, 128, "%s/" SEGMENT_PREFIX "%016lx", directory, (unsigned long)number);
}

static inline struct journal_meta meta_of(uint64_t number)
{
	uint64_t mixed = (number + 1) * 0x9e3779b97f4a7c15ull >> 20;

	return (struct journal_meta){
		.key_len = mixed % 40,
		.value_len = number % 1000 == 999 ? RECORD_MAX - mixed % 40 : mixed / 40 % 700,
		.flags = mixed % 2,
		.raw_len = number,
		.lines = mixed,
		.stream = ~mixed,
	};
}

static inline bool stage(struct journal *journal, uint64_t number)
{
	struct journal_meta meta = meta_of(number);
	char *out = journal__reserve(journal, meta.key_len + meta.value_len);

	if (!out)
		return false;
	for (size_t i = 0; i < meta.key_len + meta.value_len; i++)
		out[i] = number * 31 + i;
	journal__append(journal, &meta);
	return true;
}

static inline bool append(struct journal *journal, uint64_t number)
{
	if (!stage(journal, number))
		return false;
	journal__publish(journal);
	return true;
}

static inline void check_record(const struct journal_record *record, uint64_t number)
{
	struct journal_meta meta = meta_of(number);

	if (record->meta.raw_len != number)
		fail_msg("record %lu came, not %lu", (unsigned long)record->meta.raw_len,
			 (unsigned long)number);
	assert_memory_equal(&record->meta, &meta, sizeof(meta));
	assert_ptr_equal(record->key + meta.key_len, record->value);
	for (size_t i = 0; i < meta.key_len + meta.value_len; i++) {
		if (record->key[i] != (char)(number * 31 + i))
			fail_msg("record %lu differs at byte %zu", (unsigned long)number, i);
	}
}

#endif
