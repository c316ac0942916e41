/*
 * What a shard is made of, for shard.c (its thread's work), shard_pods.c (what Kubernetes says meanwhile), shard_missed.c (what hooks missed) and shard_resume.c
 * (how it goes on where the agent before has ended).
 */
#ifndef LOGTAP_SHARD_FIELDS_H
#define LOGTAP_SHARD_FIELDS_H

#include <pthread.h>

#include "capture/capture.h"
#include "checkpoint.h"
#include "lines/carry_budget.h"
#include "shard.h"
#include "stream.h"

#define BATCH_RECORDS 256      /* of a transaction, at most: the ring must not fill up while many are read */

#define TICK_MS 1000           /* timers: losses, old half lines, the clock; pods that change */
#define LOOK_MS 20             /* between looks at the pods while streams wait for theirs */

#define POSITION_UNKNOWN UINT64_MAX

/* A slot's stream in this shard and when it ends. */
struct tenancy {
	struct stream *stream;
	bool closing;
	uint64_t close_position;     /* ring position behind which no record of it can be; POSITION_UNKNOWN before the grace is over */
	uint64_t grace;              /* of a withdrawn one: see capture__withdraw; 0: of none */
	uint64_t held;               /* bytes of its records that were read and not yet released */
};

struct shard {
	struct shard_options options;
	pthread_t thread;
	bool stop;
	bool flush;                  /* set before stop: the streams end here */
	bool abandon;                /* do not wait for journal space */
	bool failed;
	int epoll;
	int wake;                    /* eventfd: stop, abandon */
	struct ring *ring;
	struct shard_state *state;
	struct tenancy *tenancies;   /* by slot */
	uint32_t *live;              /* slots with a stream */
	unsigned int live_count;
	uint32_t holders[BATCH_RECORDS]; /* slots of which something is held */
	unsigned int holders_count;
	unsigned int closing_count;
	uint64_t consumed;           /* ring position behind the last record handled */
	struct checkpoint_position committed;
	uint64_t read_until;         /* boot time of the last record read, ns */
	uint64_t mark;               /* ring position at the last tick that passed */
	uint64_t next_tick;
	uint64_t last_look;          /* at the pods; boot time, ns */
	uint64_t last_look_at_all;
	uint64_t pods_version;       /* then */
	unsigned int ticks;
	uint64_t missed;             /* capture__missed_writes at the last look */
	struct carry_budget budget;
	struct assembly_options assembly;
	struct encoder_options encoder;
	struct stream_context context;
};

static inline struct stream_slot *shard__slot(const struct shard *shard, uint32_t slot)
{
	return capture__slot(shard->options.capture, slot);
}

/*
 * Ends a transaction; see checkpoint.h. A kill before the checkpoint's commit leaves the state before
 * and the ring as it was: the next agent makes the same records again and cuts off those made here,
 * which no sink has seen. A kill after it leaves records that the next agent publishes and ring space
 * that it gives back.
 */
void shard__commit(void *shard);
/* All but the ring and the thread. */
int shard__open_context(struct shard *shard);
void shard__free(struct shard *shard);
/* Has half lines of rings that are no more told, and the checkpoint started afresh. 0 or -errno. */
int shard__leave_epoch(struct shard *shard);
/* The slot's stream lives here from now on. */
void shard__settle(struct shard *shard, uint32_t slot, struct stream *stream);
/* Nothing more is to be captured of the slot's stream; what the ring holds of it is read. */
void shard__withdraw(struct shard *shard, uint32_t slot);
/*
 * What Kubernetes says of the streams' pods: soon for streams that wait for their own, for all once a second, when anything
 * has changed. Not while what the agent before has read is read again: it is to come out the same. Streams may also wait,
 * as the agent before asked, where nobody asks any more.
 */
void shard__look_at_pods(struct shard *shard);
/*
 * Tells writes that hooks missed: whose they were nobody knows, so it is the node's gap, in the first shard's journal. Some may
 * turn out not to have been missed: what two looks in a row find is told.
 */
void shard__tell_missed(struct shard *shard);
/* Before that: whether what the agent before was telling is told. `committed`: where its journal ends, NULL when nobody knows. */
void shard__settle_missed(struct shard *shard, const struct checkpoint_position *committed);
/* Finds the streams whose hints a full ring swallowed, or came while no agent ran. */
void shard__scan_slots(struct shard *shard);
/* True when the record counts in its stream's share of the ring: what the kernel half counts in `sent`. */
bool shard__is_held(const struct shard *shard, const struct record *record);
/* Before the first record: restores what was saved. 0 or -errno. */
int shard__take_up(struct shard *shard);

#endif
