/*
 * Everything between the rings and where the records go: the journals, a shard for each ring, and
 * the sink. It can be stopped and started again on the same capture, with another configuration,
 * and nothing is lost in between: the rings fill a little. Owner: main.
 */
#ifndef LOGTAP_PIPELINE_H
#define LOGTAP_PIPELINE_H

#include <stdbool.h>

/* How long the shards may take to end, at most. */
#define PIPELINE_SHARDS_MS 5000

struct capture;
struct config;
struct counters;
struct pipeline;

struct pipeline_options {
	const struct config *config;
	struct capture *capture;
	struct counters *counters;
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
 * Stops it in the order of the data's way and frees it. With `flush`, for when capture is detached,
 * what the rings hold and half lines come out, as far as PIPELINE_SHARDS_MS allow; else they are
 * left for the next pipeline. The sink delivers for at most `sink_ms`; what remains stays in the
 * journal. Returns the sink's status: 0, or -errno it failed with.
 */
int pipeline__stop(struct pipeline *pipeline, bool flush, unsigned int sink_ms);

#endif
