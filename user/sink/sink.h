/*
 * A sink follows the journals and delivers their records. It has one thread of its own, which alone
 * reads the journals and acknowledges: a record is acknowledged when it is delivered, never before.
 */
#ifndef LOGTAP_SINK_H
#define LOGTAP_SINK_H

#include <stdbool.h>

struct config;
struct counters;
struct journal;
struct sink;

struct sink_context {
	const struct config *config;
	struct journal **journals; /* one a shard */
	unsigned int journals_count;
	int data_fd; /* eventfd that the journals write for a sleeping sink */
	struct counters *counters;
	int output; /* of sink_stdout: from sink_stdout__output; not owned */
};

/* What a kind of sink is. Only run is on the sink's thread. */
struct sink_kind_ops {
	/*
	 * Checks and connects what can be checked at once. -EINVAL for configuration, told through
	 * log_error.
	 */
	int (*open)(const struct sink_context *context, void **state);
	/*
	 * Delivers until *stop (an acquiring load); then goes on until the journals are empty, or
	 * nothing more can be done, or *deadline_ms more have passed. *deadline_ms means nothing before *stop.
	 */
	int (*run)(void *state, const bool *stop, const unsigned int *deadline_ms);
	/* After run: saves journals of its own, as journal__save. NULL: it has none. */
	void (*save)(void *state, unsigned int deadline_ms);
	/*
	 * Frees it, or, false, nothing: something still reads the journals after deadline_ms (< 0: it
	 * is waited for, however long that takes).
	 */
	bool (*close)(void *state, int deadline_ms);
	/* After that: shuts journals of its own, as journal__shut. NULL: it has none. */
	void (*leave)(void *state);
};

extern const struct sink_kind_ops sink_stdout;
/*
 * Standard output once more, so that writes to it do not block: before privileges are dropped, for
 * another user's pipe or terminal takes them to open. The descriptor, or -errno.
 */
int sink_stdout__output(void);
extern const struct sink_kind_ops sink_kafka;

/*
 * Starts the configured sink's thread. 0 or -errno. The context is copied; what it points to must
 * outlive the sink.
 */
int sink__start(const struct sink_context *context, struct sink **out);
/* True once the sink's thread has ended by itself: a failure that it has told. */
bool sink__failed(const struct sink *sink);
/*
 * The end, in three steps. end() drains for at most deadline_ms and joins its thread: what is
 * acknowledged then stays acknowledged, so that the journals can be saved. Returns the sink's
 * status: 0, or -errno it failed with.
 */
int sink__end(struct sink *sink, unsigned int deadline_ms);
/* What the sink itself keeps in journals goes to disk, as by journal__save. */
void sink__save(struct sink *sink, unsigned int deadline_ms);
/*
 * False after deadline_ms (< 0: waits for however long it takes): something still reads the
 * journals. Then nothing is freed, and the journals must stay open, or shut, until it is. NULL is
 * freed.
 */
bool sink__free(struct sink *sink, int deadline_ms);
/*
 * After that was false: what the sink itself keeps in journals another one may open from here on. Only sink__free may follow,
 * on any thread.
 */
void sink__leave(struct sink *sink);

#endif
