/*
 * The agent's counters: one block, written with relaxed atomics by the thread that sees the event,
 * read by anyone. Printed as one JSON line. Every loss point has its counter here.
 */
#ifndef LOGTAP_COUNTERS_H
#define LOGTAP_COUNTERS_H

#include <stdint.h>
#include <stdio.h>

/* name: what it counts. The JSON key is the name. */
#define COUNTERS(X)                                                                             \
	X(streams_opened)        /* streams registered: pipes, files */                         \
	X(streams_closed)        /* streams whose last writer is gone and whose lines are out */\
	X(streams_rejected)      /* registered by the kernel's superset, refused by user space */\
	X(streams_deselected)    /* a container's, refused or ended as selection says so */     \
	X(streams_unregistered)  /* could not be registered: slot table or map full */          \
	X(writes_captured)       /* writes that reached user space, whole or in part */         \
	X(bytes_captured)                                                                       \
	X(bytes_discarded)       /* captured for streams that user space then refused */        \
	X(writes_lost_ring_full)                                                                \
	X(bytes_lost_ring_full)                                                                 \
	X(writes_lost_unsupported) /* iterator kinds that cannot be read */                     \
	X(bytes_lost_unsupported)                                                               \
	X(writes_lost_fault)     /* user memory was not readable */                             \
	X(bytes_lost_fault)                                                                     \
	X(hooks_missed)          /* the kernel skipped a hook: a preempted one was running there; bytes unknown */\
	X(hooks_missed_writes)   /* of these, hooks of writes: as many may be neither captured nor told as lost */\
	X(hooks_rescued_writes)  /* taken over by a hook's rescue, as the kernel skipped the hook */\
	X(bytes_abandoned)       /* captured, but the journal was still full when the end came */\
	X(lines_lost_journal_full) /* journal.when_full: drop_newest */                         \
	X(bytes_lost_journal_full)                                                              \
	X(streams_unsaved)       /* times a stream's state found no space: a restart may lose its half line */\
	X(gaps)                  /* gap records made */                                         \
	X(lines)                 /* line records made, cut ones too */                          \
	X(lines_partial_start)                                                                  \
	X(lines_partial_max_size)                                                               \
	X(lines_partial_timeout)                                                                \
	X(lines_partial_eof)                                                                    \
	X(lines_partial_lost)                                                                   \
	X(lines_invalid_utf8)                                                                   \
	X(labels_left_out)       /* of a stream's, beyond record.labels_max or not UTF-8 */     \
	X(journal_records)       /* appended */                                                 \
	X(journal_bytes)                                                                        \
	X(journal_full)          /* times a shard had to wait for space */                      \
	X(journal_dropped_lines) /* made room for others, or got too old: told in gaps */       \
	X(journal_dropped_bytes) /* of the applications' own */                                 \
	X(journal_spilled_segments) /* moved to disk */                                         \
	X(journal_spilled_bytes)                                                                \
	X(journal_loaded_segments) /* brought back from disk */                                 \
	X(journal_disk_errors)   /* a segment could not be written to disk, or not be read back */\
	X(journal_damaged_bytes) /* of segments that were found damaged: left out */            \
	X(sink_records_delivered)                                                               \
	X(sink_bytes_delivered)                                                                 \
	X(sink_records_retried)  /* delivery failed, sent again */                              \
	X(sink_records_cut)      /* over the broker's limit: cut to fit */                      \
	X(sink_records_refused)  /* by the brokers, each for a reason of its own; a gap tells it */\
	X(sink_records_dropped)  /* over the broker's limit even without their message */       \
	X(sink_errors)           /* error events of the sink's client */                        \
	X(kube_requests)         /* to the API server or the kubelet */                         \
	X(kube_events)           /* of watches, bookmarks too */                                \
	X(kube_relists)          /* lists beyond the first: a watch could not go on, or it is time */ \
	X(kube_errors)           /* requests that failed, and objects that were left out */     \
	X(kube_pods)             /* times a pod became known or changed */

enum counter {
#define X(name) COUNTER_##name,
	COUNTERS(X)
#undef X
	COUNTER_COUNT
};

struct counters {
	uint64_t value[COUNTER_COUNT];
};

static inline void counters__add(struct counters *counters, enum counter which, uint64_t n)
{
	__atomic_fetch_add(&counters->value[which], n, __ATOMIC_RELAXED);
}

static inline uint64_t counters__get(const struct counters *counters, enum counter which)
{
	return __atomic_load_n(&counters->value[which], __ATOMIC_RELAXED);
}

/* Writes {"counters":{"name":n,...}} and a newline in one go. */
void counters__print(const struct counters *counters, FILE *out);

#endif
