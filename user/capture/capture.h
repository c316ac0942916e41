/*
 * The kernel half, loaded and attached: programs, maps, rings. Pinned on a bpffs it outlives the
 * agent, and the next one goes on with it. Owner: main; what shards may call is marked.
 */
#ifndef LOGTAP_CAPTURE_H
#define LOGTAP_CAPTURE_H

#include <stdbool.h>
#include <stdint.h>

#include "record.h"

struct capture;
struct config;
struct ring;

/*
 * Loads the programs that this kernel can take; adopts what is pinned in capture.pin, or makes the
 * rings and pins them. -EALREADY: another logtap runs, or what is pinned is not for this build,
 * which has been said. Else -errno when it cannot capture: doctor__explain says why. `config` is
 * kept by the caller.
 */
int capture__open(const struct config *config, struct capture **out);
/*
 * Attaches: close hooks, then open hooks, then the census of what is open already, then the write
 * hooks. From then on whatever opens is captured from its first byte. What is attached already goes
 * over to our programs hook by hook: each write is seen by exactly one of old and new. What the agent
 * before has withdrawn is registered again, as its selection may have been another. 0 or -errno.
 */
int capture__attach(struct capture *capture);
/*
 * Goes over to another configuration, which is kept by the caller; what was selected and still is
 * loses nothing. `selects_anew`: its selection is another, so what was withdrawn is registered again. Works without
 * privileges. Sizes stay as they are. 0 or -errno; half of it may have been done then, and can be tried again.
 */
int capture__reload(struct capture *capture, const struct config *config, bool selects_anew);
/* True when it is pinned: it goes on when this process ends. */
bool capture__pinned(const struct capture *capture);
/* Registers containers' streams anew that were withdrawn: what they are may have changed. 0 or -errno. */
int capture__find_withdrawn(struct capture *capture);
/*
 * Ends capturing: no record comes any more when it returns. What is pinned stays, so that the next
 * agent finds what is in the rings, should this one be killed before it has read it.
 */
void capture__stop(struct capture *capture);
/* Removes what is pinned, after capture__stop. What is in the rings can still be read. */
void capture__detach(struct capture *capture);
/* What is pinned goes on; what is not ends. */
void capture__close(struct capture *capture);

/* Registers what was refused for want of a slot since the last census, and files whose opens were missed. */
void capture__retry_census(struct capture *capture);
/* Waits until the writes are over that were under way when streams were withdrawn, if any were. */
void capture__wait_withdrawn(struct capture *capture);
/* Gives back the rings that others have followed, once all of them is read. */
void capture__forget_drained(struct capture *capture);
/* Streams that found no slot since the hooks were attached. */
uint64_t capture__unregistered(const struct capture *capture);
/* Of these, those that this has not returned before, to whatever agent. */
uint64_t capture__tell_unregistered(struct capture *capture);
struct capture_missed {
	uint64_t hooks;      /* all; some writes may be of nobody's interest, an open is found by the census */
	uint64_t writes;     /* of these, those of writes */
	uint64_t rescued;    /* writes that were captured all the same, as the hook's rescue was not skipped */
};

/*
 * Times that no agent before has told, the kernel skipped a hook, because a preempted task was inside it on that CPU: what was
 * written then is unknown. Writes that have a rescue count, at most, where both were skipped; it may turn out that there were
 * fewer. 0 where the kernel does not count it (before 5.12, 9ed9e9ba2337 "bpf:
 * Count the number of times recursion was prevented").
 */
struct capture_missed capture__missed(const struct capture *capture);
/* The writes of it, whoever has told them, since the programs were pinned. */
uint64_t capture__missed_writes(const struct capture *capture);
/* Of these, those that gap records have told; one thread counts them. */
struct missed_told *capture__missed_told(const struct capture *capture);

/*
 * Any thread; the results live as long as the capture. Those of an adopted capture are what it was
 * made with, whatever the configuration says now.
 */
/* When the first rings were made, CLOCK_BOOTTIME in ns: with a ring position it never repeats. */
uint64_t capture__epoch(const struct capture *capture);
/* True when the rings are those of an agent before. */
bool capture__adopted(const struct capture *capture);
/* Rings there are. */
unsigned int capture__shards(const struct capture *capture);
/* Bytes. */
uint64_t capture__ring_size(const struct capture *capture, unsigned int shard);
/* Slots there are. */
unsigned int capture__max_streams(const struct capture *capture);
int capture__ring_fd(const struct capture *capture, unsigned int shard);
/* See ring__open; what is left of the ring that it has followed is read first. 0 or -errno. */
int capture__open_ring(const struct capture *capture, unsigned int shard, struct ring **out);
struct shard_state *capture__shard_state(const struct capture *capture, unsigned int shard);
/* The map's stride is its own: a later version's slots may be longer. */
struct stream_slot *capture__slot(const struct capture *capture, uint32_t slot);
/* True when writes to this file system are seen. */
bool capture__covers(const struct capture *capture, uint64_t magic);

/*
 * The slot's shard. Makes the kernel half forget the stream; writes that are under way may still
 * come, until capture__grace_is_over of what this returns.
 */
uint64_t capture__withdraw(struct capture *capture, uint32_t slot);
bool capture__grace_is_over(const struct capture *capture, uint64_t grace);
/*
 * The slot's shard, when no record of the stream can come any more. A slot that is free already
 * stays so. Its generation tells whether it is still the same stream's: the kernel half may have
 * taken a slot that was given back before a kill.
 */
void capture__free_slot(struct capture *capture, uint32_t slot);

#endif
