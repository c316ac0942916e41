#include "shard.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/config.h"
#include "base/counters.h"
#include "base/log.h"
#include "capture/capture.h"
#include "capture/ring.h"
#include "checkpoint.h"
#include "encode.h"
#include "identity/cgroup_path.h"
#include "identity/identity.h"
#include "journal/journal.h"
#include "selection/selection.h"
#include "shard_fields.h"

#define NAP_MS 10              /* how long data may wait in the ring while it flows */
#define BUSY_MS 1              /* a record that somebody is writing */
#define WAKE_BYTES (256 * 1024) /* or a quarter of the ring */
#define BATCH_SHARE 8          /* ...or this part of the ring, which must not fill up while many are read */
#define DRAIN_MAX 65536        /* records between looks at the timers */
#define SCAN_TICKS 5           /* hints get lost only when a ring is full */
#define IDENTITIES 1024

/* What was read no longer counts in its streams' shares of the ring. */
static void give_shares_back(struct shard *shard)
{
	while (shard->holders_count) {
		uint32_t slot = shard->holders[--shard->holders_count];

		shard__slot(shard, slot)->consumed += shard->tenancies[slot].held;
		shard->tenancies[slot].held = 0;
	}
}

void shard__commit(void *owner)
{
	struct shard *shard = owner;
	struct checkpoint *checkpoint = shard->options.checkpoint;
	struct checkpoint_position position = { .ring = shard->consumed };
	struct journal_mark mark;

	if (shard->context.cancelled)
		return;
	journal__mark(shard->options.journal, &mark);
	position.journal_number = mark.number;
	position.journal_offset = mark.off;
	if (!shard->context.changed && !memcmp(&position, &shard->committed, sizeof(position)))
		return;
	stream__save_changed(&shard->context);
	checkpoint__commit(checkpoint, &position);
	journal__publish(shard->options.journal);
	if (shard->ring)
		ring__release(shard->ring, position.ring);
	/* Not before: streams could fill the room that is left again and again. */
	give_shares_back(shard);
	heap__reclaim(checkpoint__heap(checkpoint));
	shard->committed = position;
}

void shard__withdraw(struct shard *shard, uint32_t slot)
{
	struct tenancy *tenancy = &shard->tenancies[slot];

	/* Saved first: once it is withdrawn nobody may take it for one of which more will come. */
	if (stream__wanted(tenancy->stream))
		shard__commit(shard);
	if (shard->context.cancelled)
		return;
	tenancy->grace = capture__withdraw(shard->options.capture, slot);
	tenancy->closing = true;
	tenancy->close_position = POSITION_UNKNOWN;
	shard->closing_count++;
}

void shard__settle(struct shard *shard, uint32_t slot, struct stream *stream)
{
	struct tenancy *tenancy = &shard->tenancies[slot];

	*tenancy = (struct tenancy){ .stream = stream, .held = tenancy->held };
	shard->live[shard->live_count++] = slot;
	if (stream__unwanted_now(stream))
		shard__withdraw(shard, slot);
}

/*
 * The stream of a slot's present life, opened when it is new. NULL when it is not ours or there is
 * no memory.
 */
static struct stream *slot_stream(struct shard *shard, uint32_t slot, uint32_t generation)
{
	const struct tenancy *tenancy = &shard->tenancies[slot];
	struct stream *stream;

	if (tenancy->stream)
		return stream__generation(tenancy->stream) == generation ? tenancy->stream : NULL;
	if (shard__slot(shard, slot)->generation != generation ||
	    shard__slot(shard, slot)->state == SLOT_FREE)
		return NULL;
	if (stream__open(&shard->context, slot, &stream)) {
		log_error("out of memory: stream slot %u cannot be opened yet", slot);
		return NULL;
	}
	shard__settle(shard, slot, stream);
	return stream;
}

/*
 * Follows the slot's state. All records of a closed stream lie before where the ring is written
 * now. `told`: by a record, so that all that was written before has been read.
 */
static void follow_state(struct shard *shard, uint32_t slot, bool told)
{
	struct tenancy *tenancy = &shard->tenancies[slot];
	uint32_t state = __atomic_load_n(&shard__slot(shard, slot)->state, __ATOMIC_ACQUIRE);

	if (shard__slot(shard, slot)->eof && (told || !ring__waiting(shard->ring)))
		stream__eof(tenancy->stream);
	if (state != SLOT_CLOSED || tenancy->closing)
		return;
	tenancy->closing = true;
	tenancy->close_position = ring__produced(shard->ring);
	shard->closing_count++;
}

/* All comes out: there is no next agent. */
static bool is_ending(const struct shard *shard)
{
	return __atomic_load_n(&shard->stop, __ATOMIC_ACQUIRE) && shard->flush;
}

/*
 * The slot is given back once it is saved that nothing is left to tell: killed in between, the next
 * agent gives it back.
 */
static void close_slot(struct shard *shard, unsigned int live_index, uint64_t now)
{
	uint32_t slot = shard->live[live_index];
	struct tenancy *tenancy = &shard->tenancies[slot];
	bool last = is_ending(shard);

	if (last)
		stream__end_wait(tenancy->stream);
	stream__finish(tenancy->stream, PARTIAL_EOF, now);
	/* It stays until its pod is known, and until its last gap record finds room: also for the next agent. */
	if (stream__waits(tenancy->stream) || stream__has_untold(tenancy->stream))
		return;
	stream__retire(tenancy->stream);
	shard__commit(shard);
	if (shard->context.cancelled)
		return;
	counters__add(shard->options.counters, COUNTER_streams_closed, stream__wanted(tenancy->stream));
	stream__free(tenancy->stream);
	tenancy->stream = NULL;
	capture__free_slot(shard->options.capture, slot);
	shard->live[live_index] = shard->live[--shard->live_count];
	shard->closing_count--;
}

static bool is_read(const struct shard *shard, struct tenancy *tenancy)
{
	if (!tenancy->closing || !capture__grace_is_over(shard->options.capture, tenancy->grace))
		return false;
	if (tenancy->close_position == POSITION_UNKNOWN)
		tenancy->close_position = ring__produced(shard->ring);
	return shard->consumed >= tenancy->close_position;
}

static void close_streams(struct shard *shard)
{
	uint64_t now;

	if (!shard->closing_count)
		return;
	now = clock__ns(CLOCK_BOOTTIME);
	for (unsigned int i = shard->live_count; i-- > 0;)
		if (is_read(shard, &shard->tenancies[shard->live[i]]))
			close_slot(shard, i, now);
}

/*
 * A runtime has written a container's files before it makes the cgroup: read them now, they may be
 * gone soon.
 */
static void read_ahead(struct shard *shard, const struct record *record)
{
	const struct cgroup_payload *payload = record_payload(record);
	struct cgroup_names names;

	if (record_payload_length(record) < CGROUP_PAYLOAD_MIN)
		return;
	names = cgroup_path__names(payload->names, payload->top,
				   record_payload_length(record) < sizeof(*payload) ? 0 : payload->level);
	identity_cache__get(shard->context.identities, payload->id, &names, false);
}

bool shard__is_held(const struct shard *shard, const struct record *record)
{
	return (record->type == RECORD_DATA || record->type == RECORD_PROCESS) &&
	       record->slot < capture__max_streams(shard->options.capture) &&
	       shard__slot(shard, record->slot)->generation == record->generation;
}

/* All that the record at `position`, just read, takes of the ring. */
static void count_held(struct shard *shard, const struct record *record, uint64_t position)
{
	struct tenancy *tenancy = &shard->tenancies[record->slot];

	if (!shard__is_held(shard, record))
		return;
	if (!tenancy->held)
		shard->holders[shard->holders_count++] = record->slot;
	tenancy->held += ring__consumed(shard->ring) - position;
}

/*
 * What was written while the shares were settled at the start may be off. While nothing waits,
 * nothing is held: a writer reserves its record before it counts it.
 */
static void settle_consumed(struct shard *shard)
{
	for (unsigned int i = 0; i < shard->live_count; i++) {
		struct stream_slot *slot = shard__slot(shard, shard->live[i]);
		uint64_t sent = __atomic_load_n(&slot->sent, __ATOMIC_ACQUIRE);

		if (ring__waiting(shard->ring))
			return;
		slot->consumed = sent;
	}
}

static void handle_record(struct shard *shard, const struct record *record, uint64_t position)
{
	struct stream *stream;

	if (record->version != RECORD_VERSION ||
	    record->slot >= capture__max_streams(shard->options.capture))
		return;
	shard->read_until = record->time;
	count_held(shard, record, position);
	if (record->type == RECORD_CGROUP) {
		read_ahead(shard, record);
		return;
	}
	stream = slot_stream(shard, record->slot, record->generation);
	if (!stream)
		return;
	if (record->type == RECORD_DATA || record->type == RECORD_PROCESS)
		stream__record(stream, record, position);
	else if (record->type == RECORD_CLOSED)
		follow_state(shard, record->slot, true);
}

/* The next agent reads on. */
static bool is_leaving(const struct shard *shard)
{
	return __atomic_load_n(&shard->stop, __ATOMIC_ACQUIRE) && !shard->flush;
}

/* Reads what is there, in batches that are transactions. Returns the number of records. */
static unsigned int drain(struct shard *shard)
{
	uint64_t batch_bytes = capture__ring_size(shard->options.capture, shard->options.index) / BATCH_SHARE;
	unsigned int count = 0, batch = 0;
	const struct record *record;
	uint64_t position;

	while (count < DRAIN_MAX && (record = ring__next(shard->ring, &position))) {
		handle_record(shard, record, position);
		if (shard->context.cancelled)
			return 0;
		shard->consumed = ring__consumed(shard->ring);
		count++;
		if (++batch < BATCH_RECORDS && shard->consumed - shard->committed.ring < batch_bytes &&
		    !journal__is_due(shard->options.journal))
			continue;
		shard__commit(shard);
		batch = 0;
		if (is_leaving(shard))
			break;
	}
	/* What was discarded in the ring is no record. */
	shard->consumed = ring__consumed(shard->ring);
	shard__commit(shard);
	close_streams(shard);
	return count;
}

void shard__scan_slots(struct shard *shard)
{
	for (uint32_t i = 0; i < capture__max_streams(shard->options.capture); i++) {
		const struct stream_slot *slot = shard__slot(shard, i);

		if (__atomic_load_n(&slot->state, __ATOMIC_ACQUIRE) == SLOT_FREE ||
		    slot->shard != shard->options.index)
			continue;
		if (slot_stream(shard, i, slot->generation))
			follow_state(shard, i, false);
	}
}

static void tick(struct shard *shard)
{
	bool passed = shard->consumed >= shard->mark;
	uint64_t now = clock__ns(CLOCK_BOOTTIME);

	if (now < shard->next_tick)
		return;
	shard->next_tick = now + TICK_MS * NS_PER_MS;
	encoder__set_clock(shard->context.encoder);
	checkpoint__set_clock(shard->options.checkpoint, encoder__clock(shard->context.encoder));
	if (++shard->ticks % SCAN_TICKS == 0) {
		shard__scan_slots(shard);
		shard__tell_missed(shard);
	}
	/* What waits in the ring may go on with a half line. */
	if (ring__waiting(shard->ring))
		now = shard->read_until;
	for (unsigned int i = 0; i < shard->live_count; i++) {
		const struct tenancy *tenancy = &shard->tenancies[shard->live[i]];

		stream__tick(tenancy->stream, passed, now);
		/* Where an undecided one's wait has ended early. */
		if (stream__unwanted_now(tenancy->stream) && !tenancy->closing)
			shard__withdraw(shard, shard->live[i]);
	}
	if (passed)
		shard->mark = ring__produced(shard->ring);
	settle_consumed(shard);
	close_streams(shard);
	/* Streams that the scan found. */
	shard__commit(shard);
}

/*
 * Waits for records. While data flows the reader naps: a timer bounds the delay and the kernel half
 * wakes it only when much is waiting. After a nap without data it sleeps, and the next record wakes
 * it. The epoll is edge-triggered: a ring that has data is no reason to wake, a wake-up by the
 * kernel half is.
 */
static void wait_for_records(struct shard *shard, bool flows)
{
	uint64_t waiting = flows ? shard->state->wake_bytes : 1;
	struct epoll_event event;
	int timeout = flows ? NAP_MS : shard->context.waits ? LOOK_MS : TICK_MS;

	__atomic_store_n(&shard->state->wait, flows ? READER_NAPS : READER_SLEEPS, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (ring__waiting(shard->ring) >= waiting) {
		/* Nothing could be read: the first record is still being written. */
		if (flows)
			timeout = 0;
		else
			timeout = BUSY_MS;
	}
	if (timeout)
		epoll_wait(shard->epoll, &event, 1, timeout);
	__atomic_store_n(&shard->state->wait, READER_RUNS, __ATOMIC_RELAXED);
}

/* The last chance in this agent: the sink may still make room. What is left the next one tells, out of the checkpoint. */
static void tell_untold(struct shard *shard, uint64_t now)
{
	encoder__set_dropping(shard->context.encoder, false);
	for (unsigned int i = 0; i < shard->live_count; i++) {
		struct stream *stream = shard->tenancies[shard->live[i]].stream;

		stream__finish(stream, PARTIAL_TIMEOUT, now);
		shard->context.untold.bytes += stream__untold(stream)->bytes;
		shard->context.untold.lines += stream__untold(stream)->lines;
	}
}

static void finish_streams(struct shard *shard)
{
	uint64_t now = clock__ns(CLOCK_BOOTTIME);

	for (unsigned int i = 0; i < shard->live_count; i++) {
		stream__end_wait(shard->tenancies[shard->live[i]].stream);
		stream__finish(shard->tenancies[shard->live[i]].stream, PARTIAL_TIMEOUT, now);
	}
	tell_untold(shard, now);
	shard__commit(shard);
}

static void *run(void *argument)
{
	struct shard *shard = argument;
	int err = shard__take_up(shard);

	if (err) {
		log_error("shard %u cannot go on where the agent before has ended: %s", shard->options.index,
			  strerror(-err));
		__atomic_store_n(&shard->failed, true, __ATOMIC_RELAXED);
		return NULL;
	}
	while (!__atomic_load_n(&shard->stop, __ATOMIC_ACQUIRE)) {
		unsigned int count = drain(shard);

		/* The batch is not committed: nothing that it rests on may change, such as the clock. */
		if (shard->context.cancelled)
			break;
		tick(shard);
		shard__look_at_pods(shard);
		wait_for_records(shard, count);
	}
	/* What was not committed is the next agent's, as is what the ring holds. */
	if (!shard->flush)
		return NULL;
	while (drain(shard))
		;
	/* Also what was opened while the ring was full: all of it is lost, and that is told. */
	shard__scan_slots(shard);
	finish_streams(shard);
	/* There is no later look: room is waited for, as for what is untold. */
	shard->missed = UINT64_MAX;
	shard__tell_missed(shard);
	return NULL;
}

static int watch(struct shard *shard, int fd, uint32_t events)
{
	struct epoll_event event = { .events = events };

	return epoll_ctl(shard->epoll, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

static int open_waiting(struct shard *shard)
{
	int ring_fd = capture__ring_fd(shard->options.capture, shard->options.index);
	int err;

	shard->epoll = epoll_create1(EPOLL_CLOEXEC);
	shard->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (shard->epoll < 0 || shard->wake < 0)
		return -errno;
	err = watch(shard, ring_fd, EPOLLIN | EPOLLET);
	return err ? err : watch(shard, shard->wake, EPOLLIN);
}

int shard__open_context(struct shard *shard)
{
	const struct shard_options *options = &shard->options;
	const struct config *config = options->config;
	struct stream_context *context = &shard->context;
	int err;

	shard->encoder = (struct encoder_options){
		.journal = options->journal,
		.space_fd = options->space_fd,
		.wake_fd = shard->wake,
		.abandon = &shard->abandon,
		.drop_newest = config->journal.when_full == WHEN_FULL_DROP_NEWEST,
		.counters = options->counters,
		.invalid_utf8 = config->lines.invalid_utf8,
		.id_prefix = options->id_prefix,
		.layout = { config->node, &config->record, options->facts },
	};
	shard->assembly.mode = config->lines.assembly;
	shard->assembly.max_line = config->lines.max_line;
	shard->assembly.timeout = config->lines.timeout_ms * NS_PER_MS;
	shard->budget.limit = config->lines.memory / capture__shards(options->capture);
	shard->assembly.budget = &shard->budget;
	shard->assembly.heap = checkpoint__heap(options->checkpoint);
	shard->assembly.emit = stream__emit;
	context->checkpoint = options->checkpoint;
	context->commit = shard__commit;
	context->owner = shard;
	context->capture = options->capture;
	context->counters = options->counters;
	context->assembly = &shard->assembly;
	context->pods = options->pods;
	context->wait = config->kubernetes.wait_ms * NS_PER_MS;
	context->waiting_limit = shard->budget.limit / WAITING_SHARE;
	context->waiting_stream_limit = context->waiting_limit / WAITING_SHARE;
	context->key = config->kafka.key;
	err = encoder__new(&shard->encoder, &context->encoder);
	err = err ? err : selection__new(config, options->root, &context->selection);
	return err ? err : identity_cache__new(options->root, IDENTITIES, &context->identities);
}

void shard__free(struct shard *shard)
{
	if (!shard)
		return;
	for (unsigned int i = 0; i < shard->live_count; i++)
		stream__free(shard->tenancies[shard->live[i]].stream);
	identity_cache__free(shard->context.identities);
	selection__free(shard->context.selection);
	encoder__free(shard->context.encoder);
	ring__free(shard->ring);
	if (shard->epoll >= 0)
		close(shard->epoll);
	if (shard->wake >= 0)
		close(shard->wake);
	free(shard->tenancies);
	free(shard->live);
	free(shard);
}

int shard__start(const struct shard_options *options, struct shard **out)
{
	unsigned int streams = capture__max_streams(options->capture);
	uint64_t ring_size = capture__ring_size(options->capture, options->index);
	struct shard *shard = calloc(1, sizeof(*shard));
	int err = -ENOMEM;

	if (!shard)
		return err;
	shard->options = *options;
	shard->epoll = -1;
	shard->wake = -1;
	shard->state = capture__shard_state(options->capture, options->index);
	shard->state->wake_bytes = ring_size / 4;
	if (shard->state->wake_bytes > WAKE_BYTES)
		shard->state->wake_bytes = WAKE_BYTES;
	shard->tenancies = calloc(streams, sizeof(*shard->tenancies));
	shard->live = calloc(streams, sizeof(*shard->live));
	if (!shard->tenancies || !shard->live)
		goto fail;
	err = capture__open_ring(options->capture, options->index, &shard->ring);
	err = err ? err : open_waiting(shard);
	err = err ? err : shard__open_context(shard);
	err = err ? err : -pthread_create(&shard->thread, NULL, run, shard);
	if (err)
		goto fail;
	*out = shard;
	return 0;
fail:
	shard__free(shard);
	return err;
}

static void wake(struct shard *shard)
{
	uint64_t one = 1;

	if (write(shard->wake, &one, sizeof(one)) < 0)
		log_debug("shard %u is not woken: its tick will see the stop", shard->options.index);
}

void shard__finish(struct shard *shard, bool flush, bool whole)
{
	shard->flush = flush;
	shard->context.may_resume = !flush;
	__atomic_store_n(&shard->stop, true, __ATOMIC_RELEASE);
	__atomic_store_n(&shard->abandon, !flush && !whole, __ATOMIC_RELEASE);
	wake(shard);
}

bool shard__failed(const struct shard *shard)
{
	return __atomic_load_n(&shard->failed, __ATOMIC_RELAXED);
}

void shard__stop(struct shard *shard, const struct timespec *deadline)
{
	if (pthread_clockjoin_np(shard->thread, NULL, CLOCK_MONOTONIC, deadline)) {
		__atomic_store_n(&shard->abandon, true, __ATOMIC_RELEASE);
		wake(shard);
		pthread_join(shard->thread, NULL);
	}
	if (shard->context.abandoned)
		log_error("shard %u: the journal is full and nothing takes from it: %" PRIu64 " bytes of lines are abandoned, and counted",
			  shard->options.index, shard->context.abandoned);
	if (shard->context.untold.bytes)
		log_warn("shard %u: the journal is full: that %" PRIu64 " lines of %" PRIu64 " bytes were dropped is not told in their logs yet; the next logtap does, as long as journal.directory stays",
			 shard->options.index, shard->context.untold.lines, shard->context.untold.bytes);
	shard__free(shard);
}
