/*
 * Segment files that nobody vouches for. The first byte says where and how they lie: in memory or
 * on disk, one or two of them, with a mark or without. Whatever is in them, what comes out lies
 * within the files, each record once, and after a second crash the same comes again.
 */
#include <assert.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "../../user/base/log.h"
#include "../../user/journal/journal_disk.h"
#include "../../user/journal/journal_internal.h"

#define SEGMENT 65536u
#define FILE_SIZE 16384u

enum { ON_DISK = 1, TWO = 2, MARK = 4, MADE = 8, ORPHAN = 16 };

static char directory[64], disk[64];

/* Entries as they should be: each byte of `data` is one's state and length. Returns their end. */
static size_t make_entries(char *bytes, uint64_t number, const uint8_t *data, size_t count)
{
	size_t off = sizeof(struct segment_header);

	for (size_t i = 0; i < count && off < FILE_SIZE - 1024; i++) {
		struct segment_entry *entry = (struct segment_entry *)(bytes + off);

		entry->tag = segment__tag(number);
		entry->state = data[i] % 6;
		entry->meta.value_len = entry->state == SEGMENT_SEALED ? 0 : data[i] / 6 * 5;
		entry->meta.head_len = entry->meta.value_len / 2;
		entry->size = segment__entry_size(entry->meta.value_len);
		memset(entry->bytes, data[i], entry->meta.value_len);
		entry->crc = segment__crc(entry);
		/* No fewer than there will be: what is damaged comes off that. */
		((struct segment_header *)bytes)->records++;
		off += entry->size;
	}
	segment__sign_header((struct segment_header *)bytes);
	return off;
}

/* The second half of `data` damages it, each time three bytes: where and what. */
static size_t make_file(char *bytes, uint64_t number, const uint8_t *data, size_t size)
{
	size_t end;

	segment__fill_header((struct segment_header *)bytes, number, FILE_SIZE);
	end = make_entries(bytes, number, data, size / 2);
	for (size_t i = size / 2; i + 3 <= size; i += 3)
		bytes[(data[i] | data[i + 1] << 8) % end] = data[i + 2];
	return end + size % 128;
}

static void put_file(const char *where, uint64_t number, const uint8_t *data, size_t size, bool made)
{
	static char bytes[FILE_SIZE];
	char name[SEGMENT_NAME_SIZE], path[128];
	int fd;

	memset(bytes, 0, sizeof(bytes));
	if (made)
		size = make_file(bytes, number, data, size);
	else
		memcpy(bytes, data, size < FILE_SIZE ? size : FILE_SIZE);
	segment__name(name, SEGMENT_PREFIX, number);
	snprintf(path, sizeof(path), "%s/%s", where, name);
	fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0600);
	if (fd < 0 || write(fd, bytes, size) != (ssize_t)size)
		abort();
	close(fd);
}

static uint64_t read_all(struct journal *journal, int data_fd, uint32_t *out)
{
	struct journal_record record;
	uint64_t count = 0;
	uint32_t sum = 0;

	while (journal__pending(journal) > count) {
		struct pollfd data = { .fd = data_fd, .events = POLLIN };
		eventfd_t n;

		if (!journal__next(journal, &record)) {
			if (journal__pending(journal) > count && poll(&data, 1, 5000) != 1)
				abort();
			eventfd_read(data_fd, &n);
			continue;
		}
		/* The sanitizer sees what lies outside. */
		sum ^= crc32(0, (const void *)record.key, record.meta.key_len + record.meta.value_len);
		assert(record.meta.head_len <= record.meta.value_len);
		assert((uint64_t)record.meta.message_off + record.meta.message_len <=
		       record.meta.value_len);
		count++;
	}
	assert(!journal__next(journal, &record));
	*out = sum;
	return count;
}

static void remove_all(const char *where)
{
	char command[128];

	for (uint64_t number = 0; number < 8; number++) {
		char name[SEGMENT_NAME_SIZE];

		segment__name(name, SEGMENT_PREFIX, number);
		snprintf(command, sizeof(command), "%s/%s", where, name);
		unlink(command);
	}
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	log_set_level(LOG_LEVEL_ERROR);
	strcpy(directory, "/dev/shm/logtap-fuzz-XXXXXX");
	strcpy(disk, "/dev/shm/logtap-fuzz-XXXXXX");
	return mkdtemp(directory) && mkdtemp(disk) ? 0 : -1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct journal_options options = {
		.directory = directory,
		.max_size = 6 * SEGMENT,
		.segment_size = SEGMENT,
		.data_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC),
		.space_fd = -1,
		.disk = { .directory = disk, .max_size = 1 << 24 },
	};
	struct journal_mark mark = { .number = 1 };
	uint32_t first_sum, second_sum;
	uint64_t first, second;
	struct journal *journal;
	uint8_t how;

	if (size < 3 || size > FILE_SIZE)
		return close(options.data_fd);
	/* An orphan's go with it. */
	mkdir(directory, 0700);
	mkdir(disk, 0700);
	how = data[0];
	mark.off = (data[1] | data[2] << 8) & ~7u;
	data += 3;
	size -= 3;
	options.orphan = how & ORPHAN;
	put_file(how & ON_DISK ? disk : directory, 1, data, size, how & MADE);
	if (how & TWO)
		put_file(directory, 0, data, size / 2, how & MADE);
	if (journal__open(&options, how & MARK ? &mark : NULL, &journal))
		abort();
	first = read_all(journal, options.data_fd, &first_sum);
	journal_worker__stop(journal);
	journal__free(journal);
	if (journal__open(&options, NULL, &journal))
		abort();
	second = read_all(journal, options.data_fd, &second_sum);
	assert(first == second && first_sum == second_sum);
	journal__close(journal);
	remove_all(directory);
	remove_all(disk);
	return close(options.data_fd);
}
