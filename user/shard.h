/*
 * A shard: one ring and the thread that reads it, makes lines and appends them to the shard's journal. Streams stay on
 * their shard, so no shard touches another's data.
 */
#ifndef LOGTAP_SHARD_H
#define LOGTAP_SHARD_H

#include <stdbool.h>

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

/* Starts the thread. The options are copied; what they point to must outlive the shard. 0 or -errno. */
int shard__start(const struct shard_options *options, struct shard **out);
/*
 * Ends it when capture is detached: reads the ring to its end, emits half lines, joins and frees. After deadline_ms it no longer
 * waits for space in the journal; what is unread then is lost, and said.
 */
void shard__stop(struct shard *shard, unsigned int deadline_ms);

#endif
