/*
 * A shard: one ring and the thread that reads it, makes lines and appends them to the shard's
 * journal. Streams stay on their shard, so no shard touches another's data.
 */
#ifndef LOGTAP_SHARD_H
#define LOGTAP_SHARD_H

#include <stdbool.h>
#include <time.h>

struct capture;
struct config;
struct counters;
struct journal;
struct shard;

struct shard_options {
	const struct config *config;
	struct capture *capture;
	struct counters *counters;
	struct journal *journal;
	int space_fd;                /* eventfd of the journal's; not owned */
	unsigned int index;
	const char *root;            /* see identity.h */
	const char *id_prefix;       /* of line ids */
};

/*
 * Starts the thread. The options are copied; what they point to must outlive the shard. 0 or
 * -errno.
 */
int shard__start(const struct shard_options *options, struct shard **out);
/*
 * When capture is detached: asks it to read its ring to the end, emit half lines and end. Does not
 * wait.
 */
void shard__finish(struct shard *shard);
/*
 * Joins and frees it. From `deadline` (CLOCK_MONOTONIC) on it no longer waits for space in the
 * journal: what finds none is counted as abandoned, and said.
 */
void shard__stop(struct shard *shard, const struct timespec *deadline);

#endif
