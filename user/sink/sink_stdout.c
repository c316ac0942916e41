#include "sink.h"

#include "base/clock.h"
#include "base/counters.h"
#include "base/log.h"
#include "journal/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

/*
 * Records go from the journal's mapping to standard output as they are: a batch is an array of
 * pieces, a value and a newline for each record.
 */
#define BATCH_RECORDS 512
#define PIECES (2 * BATCH_RECORDS) /* IOV_MAX is 1024 */
#define POLL_MS 1000               /* how long at most nobody looks at the stop flag */
#define LINGER_NS 1000000          /* after a wake-up: lets a batch come together */
#define RETRY_MIN_MS 100

struct batch_record {
	struct journal *journal;
	void *handle;
	uint32_t len;
};

struct stdout_sink {
	const struct sink_context *context;
	int fd; /* standard output, or our own non-blocking opening of it */
	bool is_socket;
	unsigned int turn;     /* the journal that is asked first */
	unsigned int retry_ms; /* 0: the last write went well */

	const bool *stop;
	const unsigned int *deadline_ms;
	int64_t deadline; /* ms; 0 until the stop flag was seen */

	/* The batch: record i is pieces 2i and 2i + 1. */
	unsigned int records;
	unsigned int written; /* records, from the start */
	unsigned int piece;   /* the first that is not written whole; its rest is what it says */
	struct batch_record record[BATCH_RECORDS];
	struct iovec pieces[PIECES];
};

static bool stopping(struct stdout_sink *sink)
{
	if (!sink->deadline && __atomic_load_n(sink->stop, __ATOMIC_ACQUIRE))
		sink->deadline = (int64_t)clock__ms() + *sink->deadline_ms;
	return sink->deadline != 0;
}

static bool out_of_time(struct stdout_sink *sink)
{
	return stopping(sink) && (int64_t)clock__ms() >= sink->deadline;
}

/*
 * Waits for room in `fd` (-1: for nothing but time), for records or for the stop, whatever comes
 * first.
 */
static void await(struct stdout_sink *sink, int fd, int timeout_ms)
{
	struct pollfd fds[] = {
		{ .fd = sink->context->data_fd, .events = POLLIN },
		{ .fd = fd, .events = POLLOUT },
	};
	uint64_t count;

	if (stopping(sink)) {
		int64_t left = sink->deadline - (int64_t)clock__ms();

		timeout_ms = left < 0 ? 0 : left < timeout_ms ? left : timeout_ms;
	}
	if (poll(fds, 2, timeout_ms) > 0 && fds[0].revents & POLLIN &&
	    read(sink->context->data_fd, &count, sizeof(count)) < 0)
		log_debug("stdout: cannot read the wake-up: %s", strerror(errno));
}

/*
 * A write that blocks would never see the stop. O_NONBLOCK on descriptor 1 itself would also change
 * it for the other processes that have it, so pipes and terminals are opened once more.
 */
int sink_stdout__output(void)
{
	struct stat stat;
	int fd = -1;

	if (fstat(STDOUT_FILENO, &stat))
		return -errno;
	if ((fcntl(STDOUT_FILENO, F_GETFL) & O_ACCMODE) == O_RDONLY)
		return -EBADF;
	if (S_ISFIFO(stat.st_mode) || isatty(STDOUT_FILENO))
		fd = open("/proc/self/fd/1", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
	return fd < 0 ? -errno : fd;
}

static int stdout_open(const struct sink_context *context, void **state)
{
	struct stdout_sink *sink;
	int fd = context->output;
	struct stat stat;

	if (fd < 0 || fstat(fd, &stat)) {
		log_error("stdout: standard output is not open (%s): redirect it or choose another "
			  "sink",
			  strerror(fd < 0 ? -fd : errno));
		return -EINVAL;
	}
	sink = calloc(1, sizeof(*sink));
	if (!sink)
		return -ENOMEM;
	sink->context = context;
	sink->fd = fd;
	sink->is_socket = S_ISSOCK(stat.st_mode);
	*state = sink;
	return 0;
}

static bool stdout_close(void *state, int deadline_ms)
{
	(void)deadline_ms;
	free(state);
	return true;
}

static void add(struct stdout_sink *sink, struct journal *journal,
		const struct journal_record *record)
{
	unsigned int i = sink->records++;

	sink->record[i] = (struct batch_record){ journal, record->handle, record->meta.value_len };
	sink->pieces[2 * i] = (struct iovec){ (char *)record->value, record->meta.value_len };
	sink->pieces[2 * i + 1] = (struct iovec){ "\n", 1 };
}

/* Each journal gives its share at most, and the turn goes round: none waits for another. */
static void collect(struct stdout_sink *sink)
{
	unsigned int count = sink->context->journals_count;
	unsigned int share = count < BATCH_RECORDS ? BATCH_RECORDS / count : 1;
	struct journal_record record;

	sink->records = 0;
	sink->written = 0;
	sink->piece = 0;
	for (unsigned int i = 0; i < count && sink->records < BATCH_RECORDS; i++) {
		struct journal *journal = sink->context->journals[(sink->turn + i) % count];

		for (unsigned int n = 0; n < share && sink->records < BATCH_RECORDS; n++) {
			if (!journal__next(journal, &record))
				break;
			add(sink, journal, &record);
		}
	}
	sink->turn = (sink->turn + 1) % count;
}

/* `len` more bytes are out: acknowledges the records that are whole now. */
static void advance(struct stdout_sink *sink, size_t len)
{
	uint64_t bytes = 0;
	unsigned int before = sink->written;

	while (sink->piece < 2 * sink->records && len >= sink->pieces[sink->piece].iov_len)
		len -= sink->pieces[sink->piece++].iov_len;
	if (len) {
		struct iovec *rest = &sink->pieces[sink->piece];

		rest->iov_base = (char *)rest->iov_base + len;
		rest->iov_len -= len;
	}
	for (; sink->written < sink->piece / 2; sink->written++) {
		struct batch_record *record = &sink->record[sink->written];

		bytes += record->len + 1;
		journal__ack(record->journal, record->handle);
	}
	counters__add(sink->context->counters, COUNTER_sink_records_delivered,
		      sink->written - before);
	counters__add(sink->context->counters, COUNTER_sink_bytes_delivered, bytes);
}

static ssize_t write_pieces(struct stdout_sink *sink)
{
	struct msghdr message = {
		.msg_iov = sink->pieces + sink->piece,
		.msg_iovlen = 2 * sink->records - sink->piece,
	};
	ssize_t n = sink->is_socket ? sendmsg(sink->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL)
				    : writev(sink->fd, message.msg_iov, message.msg_iovlen);

	return n < 0 ? -errno : n;
}

/* 0: try again, after a while when that is sensible. */
static int handle_failure(struct stdout_sink *sink, int err)
{
	switch (err) {
	case -EINTR:
		return 0;
	case -EAGAIN:
		await(sink, sink->fd, POLL_MS);
		return 0;
	case -EPIPE:
	case -ECONNRESET:
		log_error("stdout: nobody reads it any more: %s", strerror(-err));
		return err;
	}
	if (!sink->retry_ms)
		log_error("stdout: cannot write: %s; trying again until it works", strerror(-err));
	counters__add(sink->context->counters, COUNTER_sink_errors, 1);
	sink->retry_ms = sink->retry_ms ? 2 * sink->retry_ms : RETRY_MIN_MS;
	if (sink->retry_ms > POLL_MS)
		sink->retry_ms = POLL_MS;
	await(sink, -1, sink->retry_ms);
	return 0;
}

/* Writes the batch, or as much of it as the deadline allows. */
static int deliver(struct stdout_sink *sink)
{
	while (sink->written < sink->records) {
		ssize_t n = write_pieces(sink);
		int err = n < 0 ? handle_failure(sink, n) : 0;

		if (err)
			return err;
		if (n >= 0) {
			if (sink->retry_ms)
				log_info("stdout: writing works again");
			sink->retry_ms = 0;
			advance(sink, n);
		}
		if (out_of_time(sink))
			break;
	}
	return 0;
}

static void tell_rest(const struct stdout_sink *sink)
{
	uint64_t pending = 0;

	for (unsigned int i = 0; i < sink->context->journals_count; i++)
		pending += journal__pending(sink->context->journals[i]);
	if (pending)
		log_warn("stdout: stopped with %" PRIu64 " records not written", pending);
}

static int stdout_run(void *state, const bool *stop, const unsigned int *deadline_ms)
{
	static const struct timespec linger = { .tv_nsec = LINGER_NS };
	struct stdout_sink *sink = state;
	int err = 0;

	sink->stop = stop;
	sink->deadline_ms = deadline_ms;
	while (!err && !out_of_time(sink)) {
		/* Seen before the journals are: what was appended before the stop is read. */
		bool last = stopping(sink);

		collect(sink);
		if (sink->records) {
			err = deliver(sink);
		} else if (last) {
			break;
		} else {
			await(sink, -1, POLL_MS);
			nanosleep(&linger, NULL);
		}
	}
	tell_rest(sink);
	return err;
}

const struct sink_kind_ops sink_stdout = {
	.open = stdout_open,
	.run = stdout_run,
	.close = stdout_close,
};
