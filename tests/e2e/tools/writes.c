/*
 * writes OUTPUT TRUTH SHAPE[:N]...: writes to OUTPUT (a path, or - for stdout) in every way there is, N bytes or pieces each.
 *
 * What the kernel took is appended to TRUTH, byte for byte. Of what no hook can read (splice, sendfile) the number of bytes goes to
 * TRUTH.unreadable instead. All of it are numbered lines, so that a byte that is missing, doubled or shifted shows.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/io_uring.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define PAGE 4096
#define SEGMENTS_MAX 1024
#define BLOCK 65536           /* what a pipe takes without a reader */

struct writer {
	int fd;
	FILE *truth;
	FILE *unreadable;
	unsigned int line;
	char rest[128];           /* of the line that the last write ended in */
	size_t rest_length;
};

static void die(const char *what)
{
	fprintf(stderr, "writes: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void check(int ok, const char *what)
{
	if (!ok)
		die(what);
}

/* The next `length` bytes of an endless log. */
static void fill(struct writer *writer, char *out, size_t length)
{
	while (length) {
		size_t n = writer->rest_length < length ? writer->rest_length : length;

		memcpy(out, writer->rest, n);
		memmove(writer->rest, writer->rest + n, writer->rest_length - n);
		writer->rest_length -= n;
		out += n;
		length -= n;
		if (writer->rest_length)
			continue;
		writer->rest_length = sprintf(writer->rest, "%07u %.*s\n", writer->line, (int)(writer->line * 7 % 90),
					      "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz"
					      "abcdefghijklmnopqrstuvwxyzabcdefghijklm");
		writer->line++;
	}
}

static char *new_bytes(struct writer *writer, size_t length)
{
	char *bytes = aligned_alloc(PAGE, (length / PAGE + 1) * PAGE);

	check(bytes != NULL, "memory");
	fill(writer, bytes, length);
	return bytes;
}

static void took(struct writer *writer, const char *bytes, size_t length)
{
	check(fwrite(bytes, 1, length, writer->truth) == length, "truth");
}

static void write_once(struct writer *writer, size_t length)
{
	char *bytes = new_bytes(writer, length);
	ssize_t n = write(writer->fd, bytes, length);

	check(n == (ssize_t)length, "write");
	took(writer, bytes, n);
	free(bytes);
}

/* N lines, each in one write. */
static void write_lines(struct writer *writer, size_t count)
{
	char line[128];

	for (size_t i = 0; i < count; i++) {
		size_t length = 0;

		do
			fill(writer, line + length, 1);
		while (line[length++] != '\n');
		check(write(writer->fd, line, length) == (ssize_t)length, "write");
		took(writer, line, length);
	}
}

/* Segments of 0 to 300 bytes, so that pages and segments never agree. */
static size_t make_segments(struct writer *writer, struct iovec *segments, size_t count)
{
	size_t total = 0;

	for (size_t i = 0; i < count; i++) {
		segments[i].iov_len = i % 3 ? 1 + i * 37 % 300 : 0;
		segments[i].iov_base = new_bytes(writer, segments[i].iov_len);
		total += segments[i].iov_len;
	}
	return total;
}

static void took_segments(struct writer *writer, struct iovec *segments, size_t count, size_t length)
{
	for (size_t i = 0; i < count; i++) {
		size_t n = segments[i].iov_len < length ? segments[i].iov_len : length;

		took(writer, segments[i].iov_base, n);
		length -= n;
		free(segments[i].iov_base);
	}
}

static void write_vector(struct writer *writer, size_t count)
{
	struct iovec segments[SEGMENTS_MAX];
	ssize_t total = make_segments(writer, segments, count);

	check(writev(writer->fd, segments, count) == total, "writev");
	took_segments(writer, segments, count, total);
}

static void write_at_end(struct writer *writer, size_t length)
{
	char *bytes = new_bytes(writer, length);

	check(pwrite(writer->fd, bytes, length, lseek(writer->fd, 0, SEEK_END)) == (ssize_t)length, "pwrite");
	took(writer, bytes, length);
	free(bytes);
}

/* One request on a ring of its own. Returns the result. */
static int uring_submit(int fd, int opcode, const void *address, unsigned int length)
{
	struct io_uring_params params = { 0 };
	int ring = syscall(SYS_io_uring_setup, 1, &params);
	struct io_uring_sqe *entry;
	struct io_uring_cqe *done;
	char *queues;

	check(ring >= 0, "io_uring_setup");
	queues = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQ_RING);
	entry = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQES);
	check(queues != MAP_FAILED && entry != MAP_FAILED, "mmap of the ring");
	check(params.features & IORING_FEAT_SINGLE_MMAP, "io_uring with one mapping");
	memset(entry, 0, sizeof(*entry));
	entry->opcode = opcode;
	entry->fd = fd;
	entry->off = (uint64_t)-1;
	entry->addr = (uintptr_t)address;
	entry->len = length;
	((uint32_t *)(queues + params.sq_off.array))[0] = 0;
	__atomic_store_n((uint32_t *)(queues + params.sq_off.tail), 1, __ATOMIC_RELEASE);
	check(syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) == 1, "io_uring_enter");
	done = (struct io_uring_cqe *)(queues + params.cq_off.cqes);
	length = done->res;
	munmap(queues, PAGE);
	munmap(entry, PAGE);
	close(ring);
	return length;
}

static void write_uring(struct writer *writer, size_t length)
{
	char *bytes = new_bytes(writer, length);
	int n = uring_submit(writer->fd, IORING_OP_WRITE, bytes, length);

	check(n > 0, "io_uring write");
	took(writer, bytes, n);
	free(bytes);
}

static void write_uring_vector(struct writer *writer, size_t count)
{
	struct iovec segments[SEGMENTS_MAX] = { 0 };
	int n;

	make_segments(writer, segments, count);
	n = uring_submit(writer->fd, IORING_OP_WRITEV, segments, count);
	check(n > 0, "io_uring writev");
	took_segments(writer, segments, count, n);
}

static void aio_write(int fd, const char *bytes, size_t length, off_t offset)
{
	aio_context_t context = 0;
	struct iocb request = {
		.aio_lio_opcode = IOCB_CMD_PWRITE,
		.aio_fildes = fd,
		.aio_buf = (uintptr_t)bytes,
		.aio_nbytes = length,
		.aio_offset = offset,
	};
	struct iocb *requests[] = { &request };
	struct io_event event;

	check(!syscall(SYS_io_setup, 1, &context), "io_setup");
	check(syscall(SYS_io_submit, context, 1, requests) == 1, "io_submit");
	check(syscall(SYS_io_getevents, context, 1, 1, &event, NULL) == 1, "io_getevents");
	check(event.res == (int64_t)length, "asynchronous write");
	syscall(SYS_io_destroy, context);
}

static void write_aio(struct writer *writer, size_t length)
{
	char *bytes = new_bytes(writer, length);

	aio_write(writer->fd, bytes, length, lseek(writer->fd, 0, SEEK_END));
	took(writer, bytes, length);
	lseek(writer->fd, 0, SEEK_END);
	free(bytes);
}

static int open_direct(const struct writer *writer)
{
	char path[64];
	int fd;

	sprintf(path, "/proc/self/fd/%d", writer->fd);
	fd = open(path, O_WRONLY | O_DIRECT);
	check(fd >= 0, "open for direct I/O");
	return fd;
}

/* Past the page cache; the file must end where a block does. */
static void write_direct(struct writer *writer, size_t length)
{
	char *bytes = new_bytes(writer, length);
	int fd = open_direct(writer);

	check(pwrite(fd, bytes, length, lseek(writer->fd, 0, SEEK_END)) == (ssize_t)length, "direct write");
	took(writer, bytes, length);
	close(fd);
	free(bytes);
}

/* Over the file's first bytes: where a file grows the kernel waits. The hook knows of no byte of it. */
static void write_direct_asynchronously(struct writer *writer, size_t length)
{
	char *bytes = new_bytes(writer, length);
	int fd = open_direct(writer);

	check(!fsync(writer->fd), "fsync");
	aio_write(fd, bytes, length, 0);
	close(fd);
	free(bytes);
}

/* Writes of 300,000 bytes into a pipe that never waits: most of them are cut short. */
static void write_without_waiting(struct writer *writer, size_t length)
{
	const size_t unit = 300000;
	char *bytes = new_bytes(writer, unit);
	int flags = fcntl(writer->fd, F_GETFL);

	fcntl(writer->fd, F_SETFL, flags | O_NONBLOCK);
	for (size_t done = 0; done < length;) {
		ssize_t n = write(writer->fd, bytes, unit);
		struct pollfd room = { .fd = writer->fd, .events = POLLOUT };

		check(n > 0 || errno == EAGAIN, "write without waiting");
		if (n <= 0) {
			poll(&room, 1, -1);
			continue;
		}
		took(writer, bytes, n);
		memmove(bytes, bytes + n, unit - n);
		fill(writer, bytes + unit - n, n);
		done += n;
	}
	fcntl(writer->fd, F_SETFL, flags);
	free(bytes);
}

/* Two pages are asked for, the last of whose bytes are in no page: the kernel takes fewer. */
static void write_into_nothing(struct writer *writer, size_t readable)
{
	char *pages = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *start = pages + 2 * PAGE - readable;
	ssize_t n;

	check(pages != MAP_FAILED && !munmap(pages + 2 * PAGE, PAGE), "mmap");
	fill(writer, start, readable);
	n = write(writer->fd, start, 2 * PAGE);
	check(n > 0 && n < 2 * PAGE, "write with a fault");
	took(writer, start, n);
	munmap(pages, 2 * PAGE);
}

static void write_segments_into_nothing(struct writer *writer, size_t readable)
{
	char *pages = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *start = pages + 2 * PAGE - readable;
	struct iovec segments[] = { { start, 1000 }, { start + 1000, 2 * PAGE - 1000 } };
	ssize_t n;

	check(pages != MAP_FAILED && !munmap(pages + 2 * PAGE, PAGE), "mmap");
	fill(writer, start, readable);
	n = writev(writer->fd, segments, 2);
	check(n > 0 && n < 2 * PAGE, "writev with a fault");
	took(writer, start, n);
	munmap(pages, 2 * PAGE);
}

/* Out of a pipe into a file. */
static void splice_in(struct writer *writer, size_t length)
{
	char *bytes = new_bytes(writer, length < BLOCK ? length : BLOCK);
	int flags = fcntl(writer->fd, F_GETFL);
	int ends[2];
	ssize_t n;

	check(!pipe(ends), "pipe");
	length = length < BLOCK ? length : BLOCK;
	check(write(ends[1], bytes, length) == (ssize_t)length, "write to the pipe");
	/* Not possible in append mode. */
	fcntl(writer->fd, F_SETFL, flags & ~O_APPEND);
	lseek(writer->fd, 0, SEEK_END);
	n = splice(ends[0], NULL, writer->fd, NULL, length, 0);
	check(n == (ssize_t)length, "splice");
	fcntl(writer->fd, F_SETFL, flags);
	fprintf(writer->unreadable, "%zd\n", n);
	close(ends[0]);
	close(ends[1]);
	free(bytes);
}

static void send_file(struct writer *writer, size_t length)
{
	char *bytes = new_bytes(writer, length);
	FILE *source = tmpfile();
	off_t start = 0;
	int flags = fcntl(writer->fd, F_GETFL);
	ssize_t n;

	check(source && fwrite(bytes, 1, length, source) == length && !fflush(source), "temporary file");
	fcntl(writer->fd, F_SETFL, flags & ~O_APPEND);
	lseek(writer->fd, 0, SEEK_END);
	n = sendfile(writer->fd, fileno(source), &start, length);
	check(n == (ssize_t)length, "sendfile");
	fcntl(writer->fd, F_SETFL, flags);
	fprintf(writer->unreadable, "%zd\n", n);
	fclose(source);
	free(bytes);
}

static const struct {
	const char *name;
	void (*write)(struct writer *writer, size_t n);
} shapes[] = {
	{ "write", write_once },
	{ "lines", write_lines },
	{ "writev", write_vector },
	{ "pwrite", write_at_end },
	{ "uring", write_uring },
	{ "uringv", write_uring_vector },
	{ "aio", write_aio },
	{ "direct", write_direct },
	{ "direct-aio", write_direct_asynchronously },
	{ "nonblock", write_without_waiting },
	{ "fault", write_into_nothing },
	{ "faultv", write_segments_into_nothing },
	{ "splice", splice_in },
	{ "sendfile", send_file },
};

static void write_shape(struct writer *writer, const char *shape)
{
	size_t length = strcspn(shape, ":");
	size_t n = shape[length] ? strtoul(shape + length + 1, NULL, 10) : 1;

	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
		if (strlen(shapes[i].name) != length || memcmp(shapes[i].name, shape, length))
			continue;
		shapes[i].write(writer, n);
		return;
	}
	errno = EINVAL;
	die(shape);
}

int main(int argc, char **argv)
{
	struct writer writer = { .fd = STDOUT_FILENO };
	char path[4096];

	check(argc > 3, "usage: writes OUTPUT TRUTH SHAPE...");
	if (strcmp(argv[1], "-"))
		writer.fd = open(argv[1], O_WRONLY | O_CREAT | O_APPEND, 0644);
	snprintf(path, sizeof(path), "%s.unreadable", argv[2]);
	writer.truth = fopen(argv[2], "a");
	writer.unreadable = fopen(path, "a");
	check(writer.fd >= 0 && writer.truth && writer.unreadable, "open");
	for (int i = 3; i < argc; i++)
		write_shape(&writer, argv[i]);
	check(!fclose(writer.truth) && !fclose(writer.unreadable), "truth");
	return 0;
}
