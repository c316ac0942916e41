#include "journal_disk.h"

#include "base/directory.h"
#include "base/log.h"
#include "journal_segment.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_BLOCK 65536 /* so much is lost with a sector that cannot be read */

int journal_disk__open_directory(const char *path, int *out)
{
	int err = directory__make(path);
	int fd;

	if (err) {
		log_error("journal: cannot make the directory %s: %s", path, strerror(-err));
		return err;
	}
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		err = -errno;
		log_error("journal: cannot open the directory %s: %s", path, strerror(-err));
		return err;
	}
	if (flock(fd, LOCK_EX | LOCK_NB)) {
		err = -errno;
		log_error("journal: %s is in use: is another logtap running? Give each its own "
			  "journal.directory and journal.disk.directory",
			  path);
		close(fd);
		return err;
	}
	*out = fd;
	return 0;
}

int journal_disk__new(const struct journal_options *options, struct journal_disk **out)
{
	struct journal_disk *disk = calloc(1, sizeof(*disk));
	int err = -ENOMEM;

	if (!disk)
		return err;
	disk->dir_fd = -1;
	disk->max_size = options->disk.max_size;
	disk->max_age_ms = options->disk.max_age_ms;
	disk->sync = options->disk.fsync == DISK_FSYNC_SEGMENT;
	disk->directory = strdup(options->disk.directory);
	if (disk->directory)
		err = journal_disk__open_directory(disk->directory, &disk->dir_fd);
	if (!err) {
		*out = disk;
		return 0;
	}
	journal_disk__free(disk);
	if (err == -EWOULDBLOCK || err == -ENOMEM)
		return err;
	log_warn("journal: without its directory on disk (journal.disk.directory) it keeps all in "
		 "memory, until logtap is started again");
	return 0;
}

void journal_disk__free(struct journal_disk *disk)
{
	if (!disk)
		return;
	if (disk->dir_fd >= 0)
		close(disk->dir_fd);
	free(disk->directory);
	free(disk);
}

/* The segment as it goes to disk: sealed, its header and each entry with a checksum. */
static void prepare(char *copy, uint64_t number, uint64_t end)
{
	struct segment_header *header = (struct segment_header *)copy;
	struct segment_entry *entry;

	segment__seal((struct segment_entry *)(copy + end), number);
	header->size = end + sizeof(*entry);
	header->records = 0;
	for (uint64_t off = sizeof(*header); off <= end; off += entry->size) {
		entry = (struct segment_entry *)(copy + off);
		header->records += atomic_load(&entry->state) == SEGMENT_COMMITTED;
		entry->tag = segment__tag(number);
		entry->crc = segment__crc(entry);
	}
	segment__sign_header(header);
}

static int write_all(int fd, const char *bytes, uint64_t size)
{
	while (size) {
		ssize_t n = write(fd, bytes, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		bytes += n;
		size -= n;
	}
	return 0;
}

static int write_file(struct journal_disk *disk, const char *name, const char *bytes, uint64_t size)
{
	int fd = openat(disk->dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
			0600);
	int err;

	if (fd < 0)
		return -errno;
	err = write_all(fd, bytes, size);
	if (!err && disk->sync && fdatasync(fd))
		err = -errno;
	if (close(fd) && !err)
		err = -errno;
	return err;
}

int journal_disk__write(struct journal_disk *disk, uint64_t number, const char *bytes, uint64_t end,
			uint64_t *size)
{
	uint64_t length = end + sizeof(struct segment_entry);
	char *copy = malloc(length);
	char name[SEGMENT_NAME_SIZE];
	int err;

	if (!copy)
		return -ENOMEM;
	memcpy(copy, bytes, end);
	memset(copy + end, 0, sizeof(struct segment_entry));
	prepare(copy, number, end);
	segment__name(name, SEGMENT_NEW_PREFIX, number);
	err = write_file(disk, name, copy, length);
	free(copy);
	/* Whole before it has its name. */
	err = err ? err : segment__publish(disk->dir_fd, number);
	if (err) {
		unlinkat(disk->dir_fd, name, 0);
		return err;
	}
	if (disk->sync && fsync(disk->dir_fd))
		err = -errno;
	/* One that nobody knows of would come again at the next start. */
	if (!err || *size || journal_disk__unlink(disk, number))
		*size = length;
	return err;
}

static int read_blocks(int fd, char *bytes, uint64_t size)
{
	uint64_t got = 0;
	int err = 0;

	for (uint64_t off = 0; off < size; off += READ_BLOCK) {
		uint64_t length = size - off < READ_BLOCK ? size - off : READ_BLOCK;
		ssize_t n;

		do
			n = pread(fd, bytes + off, length, off);
		while (n < 0 && errno == EINTR);
		if (n < 0) {
			err = -errno;
			memset(bytes + off, 0, length);
		} else {
			memset(bytes + off + n, 0, length - n);
			got += n;
		}
	}
	return got ? 0 : err;
}

int journal_disk__read(struct journal_disk *disk, uint64_t number, char *bytes, uint64_t size)
{
	char name[SEGMENT_NAME_SIZE];
	int err;
	int fd;

	segment__name(name, SEGMENT_PREFIX, number);
	fd = openat(disk->dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	err = read_blocks(fd, bytes, size);
	close(fd);
	return err;
}

int journal_disk__unlink(struct journal_disk *disk, uint64_t number)
{
	int err = segment__unlink(disk->dir_fd, SEGMENT_PREFIX, number);

	return err == -ENOENT ? 0 : err;
}
