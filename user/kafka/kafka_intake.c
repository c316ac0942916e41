#include "kafka_intake.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/log.h"
#include "kafka_client.h"
#include "sink/sink.h"

/* Records taken from one journal before the next one's turn. */
#define TURN_RECORDS 256
/* Of a record in a journal, beside its bytes. */
#define ENTRY_OVERHEAD 128
/* Of a lane in the window: to see whether the partition takes records; and while it does. */
#define PROBE_RECORDS 16
#define DRAIN_RECORDS 2000
/* Between looks for a partition that stands still. */
#define CHECK_MS 250

int kafka_intake__init(struct kafka_intake *intake, const struct sink_context *context,
		       struct kafka_window *window)
{
	intake->journals = context->journals;
	intake->journals_count = context->journals_count;
	intake->window = window;
	intake->held = calloc(context->journals_count, sizeof(*intake->held));
	if (!intake->held)
		return -ENOMEM;
	return kafka_aside__init(&intake->aside, context);
}

void kafka_intake__close(struct kafka_intake *intake)
{
	kafka_aside__close(&intake->aside);
	kafka_partitions__free(&intake->partitions);
	free(intake->held);
}

static void add(struct kafka_intake *intake, struct kafka_client *client,
		const struct kafka_record *record, uint64_t now_ms)
{
	kafka_window__add(intake->window, record);
	if (kafka_partitions__add(&intake->partitions, record->partition, now_ms))
		kafka_client__stir(client);
}

/* While its records are in a lane the window has none of a partition but what came from there. */
static bool is_read(const struct kafka_intake *intake, const struct kafka_lane *lane)
{
	size_t waiting = kafka_partitions__waiting(&intake->partitions, lane->partition);

	if (lane->state == KAFKA_LANE_PROBING && waiting)
		return false;
	return journal__pending(lane->journal) == waiting;
}

static bool read_lane(struct kafka_intake *intake, struct kafka_client *client,
		      struct kafka_lane *lane, uint64_t now_ms)
{
	size_t most = lane->state == KAFKA_LANE_DRAINING ? DRAIN_RECORDS : PROBE_RECORDS;
	struct kafka_record record = { .journal = lane->journal, .partition = lane->partition };
	bool any = false;

	while (kafka_partitions__waiting(&intake->partitions, lane->partition) < most &&
	       !kafka_window__full(intake->window)) {
		if (journal__next(lane->journal, &record.record) != 1) {
			/* There may be more that is on disk yet. */
			if (is_read(intake, lane))
				lane->state = KAFKA_LANE_LEFT;
			break;
		}
		add(intake, client, &record, now_ms);
		any = true;
	}
	return any;
}

static bool read_lanes(struct kafka_intake *intake, struct kafka_client *client, uint64_t now_ms)
{
	bool any = false;

	for (int i = 0; i < KAFKA_LANES_MAX; i++) {
		struct kafka_lane *lane = &intake->aside.lanes[i];

		if (lane->state == KAFKA_LANE_PROBING || lane->state == KAFKA_LANE_DRAINING)
			any |= read_lane(intake, client, lane, now_ms);
	}
	return any;
}

/* To the window, or to its partition's lane. False when the lane is full. */
static bool place(struct kafka_intake *intake, struct kafka_client *client,
		  const struct kafka_record *record, uint64_t now_ms)
{
	struct kafka_lane *lane = kafka_aside__lane(&intake->aside, record->partition);

	if (!lane) {
		add(intake, client, record, now_ms);
		return true;
	}
	if (!kafka_aside__put(&intake->aside, lane, record))
		return false;
	journal__ack(record->journal, record->record.handle);
	return true;
}

static bool next_record(struct kafka_intake *intake, struct kafka_client *client,
			unsigned int number, struct kafka_record *out)
{
	struct journal *journal = intake->journals[number];

	if (intake->held[number].journal) {
		*out = intake->held[number];
		intake->held[number].journal = NULL;
		return true;
	}
	*out = (struct kafka_record){ .journal = journal };
	if (journal__next(journal, &out->record) != 1)
		return false;
	out->partition = kafka_client__partition(client, out->record.key,
						 out->record.meta.key_len);
	return true;
}

static bool read_journal(struct kafka_intake *intake, struct kafka_client *client,
			 unsigned int number, uint64_t now_ms)
{
	struct kafka_record record;
	bool any = false;

	for (int n = 0; n < TURN_RECORDS && !kafka_window__full(intake->window); n++) {
		if (!next_record(intake, client, number, &record))
			break;
		if (!place(intake, client, &record, now_ms)) {
			intake->held[number] = record;
			break;
		}
		any = true;
	}
	return any;
}

/*
 * From an earlier process a lane may be there before it is known which keys lead to it: newer
 * records wait until its first ones have made the topic known.
 */
static bool journals_must_wait(const struct kafka_intake *intake, const struct kafka_client *client)
{
	if (kafka_client__knows_partitions(client))
		return false;
	for (int i = 0; i < KAFKA_LANES_MAX; i++)
		if (intake->aside.lanes[i].state)
			return true;
	return false;
}

bool kafka_intake__read(struct kafka_intake *intake, struct kafka_client *client, uint64_t now_ms)
{
	bool any = read_lanes(intake, client, now_ms);

	kafka_aside__tidy(&intake->aside);
	if (journals_must_wait(intake, client))
		return any;
	for (unsigned int i = 0; i < intake->journals_count; i++)
		any |= read_journal(intake, client, (intake->turn + i) % intake->journals_count,
				    now_ms);
	intake->turn = (intake->turn + 1) % intake->journals_count;
	return any;
}

void kafka_intake__finish(struct kafka_intake *intake, struct kafka_record *record)
{
	kafka_partitions__remove(&intake->partitions, record->partition);
	journal__ack(record->journal, record->record.handle);
	kafka_window__remove(intake->window, record);
}

void kafka_intake__delivered(struct kafka_intake *intake, int32_t partition, uint64_t now_ms)
{
	struct kafka_lane *lane = kafka_aside__lane(&intake->aside, partition);

	kafka_partitions__delivered(&intake->partitions, partition, now_ms);
	if (!lane || lane->state != KAFKA_LANE_PROBING)
		return;
	lane->state = KAFKA_LANE_DRAINING;
	log_info("partition %" PRId32 " takes records again: what was set aside for it goes first",
		 partition);
}

static bool is_stuck(const struct kafka_lane *lane)
{
	return lane->state == KAFKA_LANE_BEGUN || lane->state == KAFKA_LANE_PROBING;
}

static bool is_probed(const void *opaque, int32_t partition)
{
	const struct kafka_aside *aside = opaque;

	for (int i = 0; i < KAFKA_LANES_MAX; i++)
		if (is_stuck(&aside->lanes[i]) && aside->lanes[i].partition == partition)
			return true;
	return false;
}

bool kafka_intake__expecting(const struct kafka_intake *intake, uint64_t in_flight)
{
	uint64_t probes = 0;

	for (int i = 0; i < KAFKA_LANES_MAX; i++)
		if (is_stuck(&intake->aside.lanes[i]))
			probes += kafka_partitions__waiting(&intake->partitions,
							    intake->aside.lanes[i].partition);
	return in_flight > probes;
}

static uint64_t waiting_bytes(const struct kafka_intake *intake, int32_t partition)
{
	struct kafka_record *record;
	uint64_t bytes = 0;

	for (record = kafka_window__first(intake->window); record; record = TAILQ_NEXT(record, link))
		if (record->partition == partition)
			bytes += ENTRY_OVERHEAD + record->record.meta.key_len +
				 kafka_record__value_len(record);
	return bytes;
}

bool kafka_intake__begin_lane(struct kafka_intake *intake, const char *topic, bool outage,
			      uint64_t now_ms)
{
	int32_t partition;

	if (outage)
		kafka_partitions__outage(&intake->partitions, now_ms);
	if (outage || now_ms - intake->checked_ms < CHECK_MS)
		return false;
	intake->checked_ms = now_ms;
	partition = kafka_partitions__stuck(&intake->partitions, now_ms, is_probed, &intake->aside);
	if (partition == KAFKA_PARTITION_ANY ||
	    !kafka_aside__begin(&intake->aside, partition, waiting_bytes(intake, partition)))
		return false;
	log_warn("partition %" PRId32 " of topic %s takes no records while others do (has it a leader?): "
		 "its records are set aside until it does",
		 partition, topic);
	return true;
}

/* Not further than the lane takes: what follows must not overtake. */
static void park(struct kafka_intake *intake, struct kafka_lane *lane)
{
	struct kafka_record *record = kafka_window__first(intake->window);

	while (record) {
		struct kafka_record *next = TAILQ_NEXT(record, link);

		/* What came from the lane is in it, and older. */
		if (record->partition == lane->partition && record->journal != lane->journal) {
			if (!kafka_aside__put(&intake->aside, lane, record))
				return;
			kafka_intake__finish(intake, record);
		}
		record = next;
	}
}

void kafka_intake__park(struct kafka_intake *intake)
{
	for (int i = 0; i < KAFKA_LANES_MAX; i++) {
		struct kafka_lane *lane = &intake->aside.lanes[i];

		if (lane->state != KAFKA_LANE_BEGUN)
			continue;
		/* More may have come since it was begun; then it is as if it had not been. */
		if (waiting_bytes(intake, lane->partition) > lane_journal__at_once(intake->aside.config)) {
			lane->state = KAFKA_LANE_LEFT;
			continue;
		}
		park(intake, lane);
		lane->state = KAFKA_LANE_PROBING;
	}
}

uint64_t kafka_intake__pending(const struct kafka_intake *intake)
{
	uint64_t pending = kafka_aside__pending(&intake->aside);

	for (unsigned int i = 0; i < intake->journals_count; i++)
		pending += journal__pending(intake->journals[i]);
	return pending;
}
