/*
 * A shard: one ring and the thread that reads it, makes lines and appends them to the shard's
 * journal. Streams stay on their shard, so no shard touches another's data.
 */
#ifndef LOGTAP_SHARD_H
#define LOGTAP_SHARD_H

#include <stdbool.h>
#include <time.h>

struct capture;
struct checkpoint;
struct config;
struct counters;
struct journal;
struct pods;
struct shard;

struct shard_options {
	const struct config *config;
	struct capture *capture;
	struct counters *counters;
	struct journal *journal;     /* opened with the checkpoint's position as its end */
	struct pods *pods;           /* NULL: nobody asks Kubernetes */
	struct checkpoint *checkpoint; /* of the capture's epoch and slots, and this id_prefix */
	int space_fd;                /* eventfd of the journal's; not owned */
	unsigned int index;
	const struct record_facts *facts;
	const char *root;            /* see identity.h */
	const char *id_prefix;       /* of line ids */
};

/*
 * Starts the thread. The options are copied; what they point to must outlive the shard. 0 or
 * -errno.
 */
int shard__start(const struct shard_options *options, struct shard **out);
/*
 * Asks it to end; does not wait. With `flush`, for when capture is detached: it reads its ring to the
 * end and emits half lines. Without, all that is not in the journal is left to the next agent, in
 * the checkpoint and the ring. With `whole` a batch that is being read and finds no space in the
 * journal has time until shard__stop's deadline: the next agent would cut its lines in another way.
 */
void shard__finish(struct shard *shard, bool flush, bool whole);
/* True when it could not go on where the agent before has ended, which has been said: it reads nothing. */
bool shard__failed(const struct shard *shard);
/*
 * Joins and frees it, after shard__finish. From `deadline` (CLOCK_MONOTONIC) on it no longer waits for space in the
 * journal: what finds none is left to the next agent, or, with `flush`, counted as abandoned, and said.
 */
void shard__stop(struct shard *shard, const struct timespec *deadline);
/*
 * What a shard leaves that is no more, as it was one of more of them: the half lines in its checkpoint come out as lost, under
 * their own ids. Nothing is started. 0, or -errno; -EAGAIN when the journal has no space for all of it: what is left is there
 * for another time.
 */
int shard__wind_up(const struct shard_options *options);

#endif
