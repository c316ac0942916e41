#include "checkpoint_resize.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "checkpoint_file.h"
#include "checkpoint_v1.h"

static int copy_bytes(int from, off_t at, int to, off_t to_at, off_t length)
{
	char bytes[16384];

	while (length > 0) {
		ssize_t n = pread(from, bytes, length < (off_t)sizeof(bytes) ? length : (off_t)sizeof(bytes), at);
		ssize_t written = n > 0 ? pwrite(to, bytes, n, to_at) : n;

		if (written < 0)
			return -errno;
		if (!written)
			return -EIO;
		at += written;
		to_at += written;
		length -= written;
	}
	return 0;
}

/* Holes stay holes. */
static int copy_range(int from, off_t at, off_t end, int to, off_t to_at)
{
	off_t shift = to_at - at;
	int err = 0;

	while (!err && at < end) {
		off_t data = lseek(from, at, SEEK_DATA);
		off_t hole;

		if (data < 0 || data >= end)
			return data < 0 && errno != ENXIO ? -errno : 0;
		hole = lseek(from, data, SEEK_HOLE);
		if (hole > end)
			hole = end;
		err = copy_bytes(from, data, to, data + shift, hole - data);
		at = hole;
	}
	return err;
}

/* Those that are there: holes stay holes. */
static int convert_entries(int fd, off_t end)
{
	struct checkpoint_entry entry;
	off_t at = lseek(fd, CHECKPOINT_PAGE, SEEK_DATA);

	while (at >= 0 && at < end) {
		off_t hole = lseek(fd, at, SEEK_HOLE);

		at -= (at - CHECKPOINT_PAGE) % sizeof(entry);
		for (; at < hole && at < end; at += sizeof(entry)) {
			if (pread(fd, &entry, sizeof(entry), at) != sizeof(entry))
				return -EIO;
			checkpoint_v1__convert(&entry);
			if (pwrite(fd, &entry, sizeof(entry), at) != sizeof(entry))
				return -EIO;
		}
		at = lseek(fd, at, SEEK_DATA);
	}
	return 0;
}

static int fill(int from, int to, uint32_t streams)
{
	struct checkpoint_header header;
	uint32_t kept;
	off_t heap, to_heap;
	struct stat status;
	int err;

	if (pread(from, &header, sizeof(header), 0) != sizeof(header) || fstat(from, &status))
		return -EIO;
	kept = header.streams < streams ? header.streams : streams;
	heap = checkpoint_file__heap_offset(header.streams);
	to_heap = checkpoint_file__heap_offset(streams);
	header.streams = streams;
	if (ftruncate(to, to_heap + status.st_size - heap))
		return -errno;
	err = copy_range(from, CHECKPOINT_PAGE, CHECKPOINT_PAGE + (off_t)kept * sizeof(struct checkpoint_entry),
			 to, CHECKPOINT_PAGE);
	if (!err && header.version == CHECKPOINT_V1)
		err = convert_entries(to, CHECKPOINT_PAGE + (off_t)kept * sizeof(struct checkpoint_entry));
	header.version = CHECKPOINT_VERSION;
	err = err ? err : copy_range(from, heap, status.st_size, to, to_heap);
	if (err)
		return err;
	return pwrite(to, &header, sizeof(header), 0) == sizeof(header) ? 0 : -EIO;
}

int checkpoint_resize__copy(int fd, const char *path, uint32_t streams)
{
	char name[PATH_MAX + 8];
	int err = 0;
	int to;

	snprintf(name, sizeof(name), "%s.new", path);
	to = open(name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (to < 0)
		return -errno;
	if (flock(to, LOCK_EX | LOCK_NB))
		err = -errno;
	err = err ? err : fill(fd, to, streams);
	if (!err && rename(name, path))
		err = -errno;
	if (!err)
		return to;
	unlink(name);
	close(to);
	return err;
}
