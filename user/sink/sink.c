#include "sink.h"

#include "base/config.h"
#include "base/log.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct sink {
	struct sink_context context;
	const struct sink_kind_ops *ops;
	void *state;
	pthread_t thread;
	bool stop; /* set once, after deadline_ms */
	unsigned int deadline_ms;
	bool failed; /* set by the thread, after status */
	int status;
};

static const struct sink_kind_ops *kind_ops(enum sink_kind kind)
{
	return kind == SINK_KAFKA ? &sink_kafka : &sink_stdout;
}

static void *run(void *arg)
{
	struct sink *sink = arg;

	sink->status = sink->ops->run(sink->state, &sink->stop, &sink->deadline_ms);
	if (sink->status)
		__atomic_store_n(&sink->failed, true, __ATOMIC_RELEASE);
	return NULL;
}

/* Signals are for the main thread. */
static int start_thread(struct sink *sink)
{
	sigset_t all, before;
	int err;

	sigfillset(&all);
	err = pthread_sigmask(SIG_SETMASK, &all, &before);
	if (err)
		return -err;
	err = pthread_create(&sink->thread, NULL, run, sink);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -err;
}

int sink__start(const struct sink_context *context, struct sink **out)
{
	struct sink *sink = calloc(1, sizeof(*sink));
	int err;

	if (!sink)
		return -ENOMEM;
	sink->context = *context;
	sink->ops = kind_ops(context->config->sink);
	err = sink->ops->open(&sink->context, &sink->state);
	if (err)
		goto failed;
	err = start_thread(sink);
	if (err) {
		log_error("sink: cannot start its thread: %s", strerror(-err));
		sink->ops->close(sink->state, -1);
		goto failed;
	}
	*out = sink;
	return 0;
failed:
	free(sink);
	return err;
}

bool sink__failed(const struct sink *sink)
{
	return __atomic_load_n(&sink->failed, __ATOMIC_ACQUIRE);
}

int sink__end(struct sink *sink, unsigned int deadline_ms)
{
	const uint64_t one = 1;

	sink->deadline_ms = deadline_ms;
	__atomic_store_n(&sink->stop, true, __ATOMIC_RELEASE);
	/* Should it fail, the sink sees the flag when its own time-out is over. */
	if (write(sink->context.data_fd, &one, sizeof(one)) < 0)
		log_debug("sink: cannot wake it: %s", strerror(errno));
	pthread_join(sink->thread, NULL);
	return sink->status;
}

void sink__save(struct sink *sink, unsigned int deadline_ms)
{
	if (sink->ops->save)
		sink->ops->save(sink->state, deadline_ms);
}

void sink__leave(struct sink *sink)
{
	if (sink->ops->leave)
		sink->ops->leave(sink->state);
}

bool sink__free(struct sink *sink, int deadline_ms)
{
	if (!sink)
		return true;
	if (!sink->ops->close(sink->state, deadline_ms))
		return false;
	free(sink);
	return true;
}
