#include "journal_segment.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

void segment__name(char name[SEGMENT_NAME_SIZE], uint64_t number)
{
	snprintf(name, SEGMENT_NAME_SIZE, SEGMENT_PREFIX "%016" PRIx64, number);
}

/*
 * Takes the blocks now: a mapped page that finds no memory later would be a SIGBUS. A file system
 * without fallocate gets zeroes from glibc.
 */
static int allocate(int fd, uint64_t size)
{
	int err;

	do
		err = posix_fallocate(fd, 0, size);
	while (err == EINTR);
	return -err;
}

static void write_header(char *address, uint64_t number, uint64_t size)
{
	struct segment_header *header = (struct segment_header *)address;

	*header = (struct segment_header){
		.magic = SEGMENT_MAGIC,
		.version = SEGMENT_VERSION,
		.entries_off = sizeof(*header),
		.number = number,
		.size = size,
	};
}

int segment__create(int dir_fd, uint64_t number, char *address, uint64_t size)
{
	char name[SEGMENT_NAME_SIZE];
	int err;
	int fd;

	segment__name(name, number);
	fd = openat(dir_fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	err = allocate(fd, size);
	if (!err && mmap(address, size, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_FIXED | MAP_POPULATE, fd, 0) == MAP_FAILED)
		err = -errno;
	if (err)
		unlinkat(dir_fd, name, 0);
	else
		write_header(address, number, size);
	close(fd);
	return err;
}

int segment__recycle(int dir_fd, uint64_t from, uint64_t number, char *address)
{
	struct segment_header *header = (struct segment_header *)address;
	struct segment_entry *first = (struct segment_entry *)(address + header->entries_off);
	char from_name[SEGMENT_NAME_SIZE];
	char name[SEGMENT_NAME_SIZE];

	/* Emptied before it has a new name: nobody ever finds an old record under it. */
	atomic_store(&first->state, SEGMENT_EMPTY);
	header->number = number;
	segment__name(from_name, from);
	segment__name(name, number);
	return renameat(dir_fd, from_name, dir_fd, name) ? -errno : 0;
}

void segment__drop(int dir_fd, uint64_t number, char *address, uint64_t size)
{
	char name[SEGMENT_NAME_SIZE];

	segment__name(name, number);
	unlinkat(dir_fd, name, 0);
	/* Should the kernel have no memory for it: the slot's next file is mapped over all. */
	mmap(address, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1,
	     0);
}

/* By pread: a file not made whole has holes, and touching one in a mapping can be a SIGBUS. */
static uint64_t count_unacknowledged(int fd, uint64_t size)
{
	struct segment_header header;
	struct segment_entry entry;
	uint64_t count = 0;
	uint64_t off;

	if (pread(fd, &header, sizeof(header), 0) != sizeof(header) ||
	    header.magic != SEGMENT_MAGIC || header.version != SEGMENT_VERSION ||
	    header.entries_off < sizeof(header))
		return 0;
	for (off = header.entries_off; off + sizeof(entry) <= size; off += entry.size) {
		if (pread(fd, &entry, sizeof(entry), off) != sizeof(entry))
			break;
		if (entry.state != SEGMENT_COMMITTED && entry.state != SEGMENT_ACKNOWLEDGED)
			break;
		if (entry.size < sizeof(entry) || entry.size % 8 || entry.size > size - off)
			break;
		count += entry.state == SEGMENT_COMMITTED;
	}
	return count;
}

int segment__unacknowledged(int dir_fd, const char *name, uint64_t *count)
{
	struct stat stat;
	int err = 0;
	int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

	if (fd < 0)
		return -errno;
	if (fstat(fd, &stat))
		err = -errno;
	else if (!S_ISREG(stat.st_mode))
		err = -EINVAL;
	else
		*count = count_unacknowledged(fd, stat.st_size);
	close(fd);
	return err;
}

int segment__remove_all(int dir_fd, unsigned int *files, uint64_t *records)
{
	struct dirent *entry;
	int err = 0;
	DIR *dir;
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	dir = fdopendir(fd);
	if (!dir) {
		err = -errno;
		close(fd);
		return err;
	}
	*files = 0;
	*records = 0;
	while (!err && (entry = readdir(dir))) {
		uint64_t count = 0;

		if (strncmp(entry->d_name, SEGMENT_PREFIX, strlen(SEGMENT_PREFIX)))
			continue;
		err = segment__unacknowledged(dir_fd, entry->d_name, &count);
		if (!err && unlinkat(dir_fd, entry->d_name, 0))
			err = -errno;
		*files += 1;
		*records += count;
	}
	closedir(dir);
	return err;
}
