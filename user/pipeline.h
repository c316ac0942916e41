/*
 * Everything between the rings and where the records go: the journals, a shard for each ring, and
 * the sink. It can be stopped and started again on the same capture, with another configuration,
 * and nothing is lost in between: the rings fill a little. Owner: main.
 */
#ifndef LOGTAP_PIPELINE_H
#define LOGTAP_PIPELINE_H

#include <stdbool.h>

/* How long pipeline__stop may take, about: less than the 30 s that Kubernetes grants. */
#define PIPELINE_STOP_MS 28000

enum pipeline_end {
	PIPELINE_PAUSE, /* another pipeline follows at once: what is not on its way waits for it */
	PIPELINE_LEAVE, /* the next agent goes on: half lines are left to it */
	PIPELINE_FLUSH, /* capture is detached: all that the rings hold comes out, and half lines */
};

struct capture;
struct config;
struct counters;
struct pipeline;
struct pods;

struct pipeline_options {
	const struct config *config;
	struct capture *capture;
	struct counters *counters;
	struct pods *pods;           /* NULL: nobody asks Kubernetes */
	const char *root;            /* where the host's files are seen */
	int output;                  /* see sink_stdout__output; not owned */
};

/*
 * Starts it in the order of the data's way, backwards. The options are copied; what they point to
 * must outlive the pipeline. 0 or -errno, told; -EINVAL for the configuration.
 */
int pipeline__start(const struct pipeline_options *options, struct pipeline **out);
/* True once the sink or a shard has ended by itself: a failure that it has told. */
bool pipeline__failed(const struct pipeline *pipeline);
/*
 * False while clients of sinks before wait for name servers, too many for another one: pipeline__stop with PIPELINE_PAUSE might
 * wait with them, or the start of the next pipeline might.
 */
bool pipeline__may_pause(void);
/*
 * Stops it in the order of the data's way and frees it. The sink goes on for a while; what it did
 * not deliver stays in the journals, on disk where there is one. Returns the sink's status: 0, or
 * -errno it failed with.
 */
int pipeline__stop(struct pipeline *pipeline, enum pipeline_end how);

#endif
