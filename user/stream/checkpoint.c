#include "checkpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/directory.h"
#include "base/log.h"
#include "checkpoint_check.h"
#include "checkpoint_file.h"
#include "checkpoint_resize.h"

/*
 * The compiler keeps the order of stores on either side. The processor needs nothing: what another
 * process reads of this one's memory, after this one's death, is all that it has executed.
 */
#define IN_ORDER() __asm__ volatile("" : : : "memory")

struct checkpoint {
	struct checkpoint_options options;
	char id_prefix[LINE_ID_PREFIX_SIZE];
	char path[PATH_MAX];
	int fd;
	struct checkpoint_file file;
	bool *allocated;             /* by slot: its entry has its place in the file system */
	struct heap *heap;
};

/* The buffer whose state is valid, or -1. Rises with the transactions. */
static int valid_half(const struct checkpoint *checkpoint, const struct checkpoint_entry *entry)
{
	uint64_t committed = checkpoint->file.header->committed;
	int valid = -1;

	for (int i = 0; i < 2; i++) {
		uint64_t transaction = entry->states[i].transaction;

		if (transaction && transaction <= committed &&
		    (valid < 0 || transaction > entry->states[valid].transaction))
			valid = i;
	}
	return valid;
}

static int allocate(int fd, uint64_t offset, uint64_t size)
{
	return -posix_fallocate(fd, offset, size);
}

static int map_file(struct checkpoint *checkpoint, uint32_t streams, uint64_t heap_size)
{
	struct checkpoint_file *file = &checkpoint->file;
	uint64_t limit = checkpoint->options.heap_limit / HEAP_STEP * HEAP_STEP;

	file->streams = streams;
	file->heap_offset = checkpoint_file__heap_offset(streams);
	file->heap_size = heap_size;
	file->heap_limit = heap_size > limit ? heap_size : limit;
	file->base = mmap(NULL, file->heap_offset + file->heap_limit, PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_NORESERVE, checkpoint->fd, 0);
	if (file->base == MAP_FAILED) {
		file->base = NULL;
		return -errno;
	}
	file->header = (struct checkpoint_header *)file->base;
	file->entries = (struct checkpoint_entry *)(file->base + CHECKPOINT_PAGE);
	checkpoint->allocated = calloc(streams, sizeof(*checkpoint->allocated));
	return checkpoint->allocated ? 0 : -ENOMEM;
}

static void unmap_file(struct checkpoint *checkpoint)
{
	struct checkpoint_file *file = &checkpoint->file;

	heap__free(checkpoint->heap);
	free(checkpoint->allocated);
	if (file->base)
		munmap(file->base, file->heap_offset + file->heap_limit);
	checkpoint->heap = NULL;
	checkpoint->allocated = NULL;
	memset(file, 0, sizeof(*file));
}

static int open_heap(struct checkpoint *checkpoint)
{
	const struct checkpoint_file *file = &checkpoint->file;
	struct heap_options heap = {
		.fd = checkpoint->fd,
		.offset = file->heap_offset,
		.base = file->base + file->heap_offset,
		.size = file->heap_size,
		.limit = file->heap_limit,
	};

	return heap__new(&heap, &checkpoint->heap);
}

/* An empty file of this epoch. It is one once its magic is there, the last of all. */
static int make_file(struct checkpoint *checkpoint)
{
	const struct checkpoint_options *options = &checkpoint->options;
	struct checkpoint_header *header;
	int err;

	unmap_file(checkpoint);
	if (ftruncate(checkpoint->fd, 0) ||
	    ftruncate(checkpoint->fd, checkpoint_file__heap_offset(options->streams)))
		return -errno;
	err = allocate(checkpoint->fd, 0, CHECKPOINT_PAGE);
	err = err ? err : map_file(checkpoint, options->streams, 0);
	err = err ? err : open_heap(checkpoint);
	if (err)
		return err;
	header = checkpoint->file.header;
	header->version = CHECKPOINT_VERSION;
	header->entry_size = sizeof(struct checkpoint_entry);
	header->streams = options->streams;
	header->epoch = options->epoch;
	strcpy(header->id_prefix, checkpoint->id_prefix);
	IN_ORDER();
	header->magic = CHECKPOINT_MAGIC;
	return 0;
}

/*
 * Takes what the valid states refer to and forgets what was staged but never committed: the next
 * transactions have the same numbers. -EINVAL: it makes no sense.
 */
static int take_entry(struct checkpoint *checkpoint, uint32_t slot)
{
	struct checkpoint_entry *entry = &checkpoint->file.entries[slot];
	int valid = valid_half(checkpoint, entry);

	checkpoint->allocated[slot] = true;
	for (int i = 0; i < 2; i++)
		if (i != valid)
			entry->states[i].transaction = 0;
	return valid < 0 ? 0 : checkpoint_check__entry(entry, valid, checkpoint->heap);
}

/* Only where the file has data: a hole is no entry, and to look at it would make it one. */
static int take_entries(struct checkpoint *checkpoint)
{
	const struct checkpoint_file *file = &checkpoint->file;
	off_t at = lseek(checkpoint->fd, CHECKPOINT_PAGE, SEEK_DATA);
	int err = 0;

	while (!err && at >= 0 && (uint64_t)at < file->heap_offset) {
		off_t end = lseek(checkpoint->fd, at, SEEK_HOLE);
		uint64_t slot = (at - CHECKPOINT_PAGE) / sizeof(struct checkpoint_entry);
		uint64_t slot_end = (end - CHECKPOINT_PAGE) / sizeof(struct checkpoint_entry);

		for (; !err && slot < slot_end && slot < file->streams; slot++)
			err = take_entry(checkpoint, slot);
		at = lseek(checkpoint->fd, end, SEEK_DATA);
	}
	return err;
}

/* 0, -ENODATA: it was never finished; -EINVAL: it makes no sense. */
static int read_header(const struct checkpoint *checkpoint, struct checkpoint_header *header, struct stat *status)
{
	ssize_t n;

	if (fstat(checkpoint->fd, status))
		return -errno;
	n = pread(checkpoint->fd, header, sizeof(*header), 0);
	if (n == 0 || (n == sizeof(*header) && !header->magic))
		return -ENODATA;
	if (n != sizeof(*header))
		return -EINVAL;
	return checkpoint_check__header(header, status->st_size);
}

/*
 * The capture has room for more or fewer streams than before, and goes on with those it had; or an earlier build has
 * left entries of version 1.
 */
static int follow_layout(struct checkpoint *checkpoint, struct checkpoint_header *header, struct stat *status)
{
	bool same = header->epoch == checkpoint->options.epoch;
	uint32_t streams = same ? checkpoint->options.streams : header->streams;
	int fd;

	if (header->version == CHECKPOINT_VERSION && header->streams == streams)
		return 0;
	fd = checkpoint_resize__copy(checkpoint->fd, checkpoint->path, streams);
	if (fd < 0)
		return fd;
	close(checkpoint->fd);
	checkpoint->fd = fd;
	return read_header(checkpoint, header, status);
}

/* As read_header. */
static int take_file(struct checkpoint *checkpoint)
{
	struct checkpoint_header header;
	struct stat status;
	uint64_t heap_size;
	int err = read_header(checkpoint, &header, &status);

	err = err ? err : follow_layout(checkpoint, &header, &status);
	if (err)
		return err;
	heap_size = (status.st_size - checkpoint_file__heap_offset(header.streams)) / HEAP_STEP * HEAP_STEP;
	/* A hole would need memory when it is touched, and there may be none. */
	err = allocate(checkpoint->fd, 0, CHECKPOINT_PAGE);
	if (!err && heap_size)
		err = allocate(checkpoint->fd, checkpoint_file__heap_offset(header.streams), heap_size);
	err = err ? err : map_file(checkpoint, header.streams, heap_size);
	err = err ? err : open_heap(checkpoint);
	return err ? err : take_entries(checkpoint);
}

static int open_file(struct checkpoint *checkpoint)
{
	struct stat status;

	checkpoint->fd = open(checkpoint->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
	if (checkpoint->fd < 0 || fstat(checkpoint->fd, &status))
		return -errno;
	if (!S_ISREG(status.st_mode))
		return -EINVAL;
	return flock(checkpoint->fd, LOCK_EX | LOCK_NB) ? -errno : 0;
}

static int take_or_make_file(struct checkpoint *checkpoint)
{
	int err = take_file(checkpoint);

	if (!err)
		return 0;
	if (err == -EINVAL)
		log_warn("%s is damaged, or another version's: half lines of the time before are lost, and losses of that time may not be told; it is started afresh",
			 checkpoint->path);
	else if (err != -ENODATA)
		return err;
	return make_file(checkpoint);
}

int checkpoint__open(const struct checkpoint_options *options, struct checkpoint **out)
{
	struct checkpoint *checkpoint = calloc(1, sizeof(*checkpoint));
	int err = -ENOMEM;

	if (!checkpoint)
		return err;
	checkpoint->options = *options;
	checkpoint->fd = -1;
	snprintf(checkpoint->id_prefix, sizeof(checkpoint->id_prefix), "%s", options->id_prefix);
	err = directory__make(options->directory);
	if (snprintf(checkpoint->path, sizeof(checkpoint->path), "%s/checkpoint", options->directory) >=
	    (int)sizeof(checkpoint->path))
		err = -ENAMETOOLONG;
	err = err ? err : open_file(checkpoint);
	err = err ? err : take_or_make_file(checkpoint);
	if (err) {
		checkpoint__free(checkpoint);
		return err;
	}
	*out = checkpoint;
	return 0;
}

void checkpoint__free(struct checkpoint *checkpoint)
{
	if (!checkpoint)
		return;
	unmap_file(checkpoint);
	if (checkpoint->fd >= 0)
		close(checkpoint->fd);
	free(checkpoint);
}

void checkpoint__remove(struct checkpoint *checkpoint)
{
	if (unlink(checkpoint->path))
		log_warn("%s cannot be removed: %s", checkpoint->path, strerror(errno));
	checkpoint__free(checkpoint);
}

bool checkpoint__same_epoch(const struct checkpoint *checkpoint)
{
	return checkpoint->file.header->epoch == checkpoint->options.epoch &&
	       checkpoint->file.streams == checkpoint->options.streams;
}

const char *checkpoint__id_prefix(const struct checkpoint *checkpoint)
{
	return checkpoint->file.header->id_prefix;
}

int checkpoint__restart(struct checkpoint *checkpoint)
{
	return make_file(checkpoint);
}

bool checkpoint__position(const struct checkpoint *checkpoint, struct checkpoint_position *out)
{
	const struct checkpoint_header *header = checkpoint->file.header;

	if (!header->committed)
		return false;
	*out = header->commits[header->committed & 1].position;
	return true;
}

uint32_t checkpoint__streams(const struct checkpoint *checkpoint)
{
	return checkpoint->file.streams;
}

const struct saved_stream *checkpoint__saved(const struct checkpoint *checkpoint, uint32_t slot)
{
	const struct checkpoint_entry *entry = &checkpoint->file.entries[slot];
	int valid = checkpoint->allocated[slot] ? valid_half(checkpoint, entry) : -1;

	return valid < 0 ? NULL : &entry->states[valid];
}

const struct saved_processes *checkpoint__saved_processes(const struct checkpoint *checkpoint, uint32_t slot)
{
	const struct saved_stream *state = checkpoint__saved(checkpoint, slot);

	return state ? &checkpoint->file.entries[slot].processes[state->process_half] : NULL;
}

static struct checkpoint_entry *allocated_entry(struct checkpoint *checkpoint, uint32_t slot)
{
	uint64_t offset = CHECKPOINT_PAGE + (uint64_t)slot * sizeof(struct checkpoint_entry);

	if (!checkpoint->allocated[slot] &&
	    allocate(checkpoint->fd, offset, sizeof(struct checkpoint_entry)))
		return NULL;
	checkpoint->allocated[slot] = true;
	return &checkpoint->file.entries[slot];
}

bool checkpoint__has_place(struct checkpoint *checkpoint, uint32_t slot)
{
	return allocated_entry(checkpoint, slot);
}

struct saved_stream *checkpoint__stage(struct checkpoint *checkpoint, uint32_t slot)
{
	struct checkpoint_entry *entry = allocated_entry(checkpoint, slot);
	int half;

	if (!entry)
		return NULL;
	half = valid_half(checkpoint, entry) == 0;
	entry->states[half].transaction = checkpoint->file.header->committed + 1;
	entry->states[half].half = half;
	return &entry->states[half];
}

struct saved_processes *checkpoint__stage_processes(struct checkpoint *checkpoint, uint32_t slot, uint32_t *half)
{
	struct checkpoint_entry *entry = allocated_entry(checkpoint, slot);
	int valid;

	if (!entry)
		return NULL;
	valid = valid_half(checkpoint, entry);
	*half = valid >= 0 && entry->states[valid].process_half == 0;
	return &entry->processes[*half];
}

void checkpoint__commit(struct checkpoint *checkpoint, const struct checkpoint_position *position)
{
	struct checkpoint_header *header = checkpoint->file.header;
	uint64_t transaction = header->committed + 1;
	struct checkpoint_commit *commit = &header->commits[transaction & 1];

	commit->transaction = transaction;
	commit->position = *position;
	IN_ORDER();
	__atomic_store_n(&header->committed, transaction, __ATOMIC_RELAXED);
	IN_ORDER();
	/* What only the state before referred to may be overwritten from here on. */
}

struct heap *checkpoint__heap(const struct checkpoint *checkpoint)
{
	return checkpoint->heap;
}

uint64_t checkpoint__clock(const struct checkpoint *checkpoint)
{
	return checkpoint->file.header->boot_to_wall;
}

void checkpoint__set_clock(struct checkpoint *checkpoint, uint64_t boot_to_wall)
{
	__atomic_store_n(&checkpoint->file.header->boot_to_wall, boot_to_wall, __ATOMIC_RELAXED);
}
