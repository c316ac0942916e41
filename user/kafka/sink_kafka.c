#include "sink/sink.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/config.h"
#include "base/counters.h"
#include "base/log.h"
#include "journal/journal.h"
#include "kafka_batch.h"
#include "kafka_careful.h"
#include "kafka_ceiling.h"
#include "kafka_client.h"
#include "kafka_conf.h"
#include "kafka_fault.h"
#include "kafka_intake.h"
#include "kafka_limit.h"
#include "kafka_refusal.h"
#include "kafka_trouble.h"
#include "kafka_window.h"

/* Records in the window at most, whatever the client's queue takes. */
#define WINDOW_MAX 1000000
/*
 * After new records ended, rest this long before asking to be woken by the next: a wake-up a record
 * costs more than it.
 */
#define REST_MS 10
/* Nothing is expected to happen: look after `stop` and the like. */
#define IDLE_MS 1000
/*
 * How long what is on its way may take to be reported after a failure, before it counts as failed
 * as well.
 */
#define SETTLE_MS 10000
#define ASK_LIMIT_MS 3000
/*
 * Of the time that a stop may take: nothing new is sent, so that what is on its way is reported
 * before the end. What is not comes twice.
 */
#define RECALL_MS 1000
#define BACKOFF_MIN_MS 1000
#define BACKOFF_MAX_MS 10000
/* So long without a failure, and the next one is a new story. */
#define BACKOFF_FORGET_MS 60000
/*
 * Without trust for so long, a new client is made: only that reads certificates and keys again,
 * which may have been replaced.
 */
#define TRUST_MS 5000

enum kafka_phase {
	SENDING,                 /* records go from the journals to the client */
	SETTLING,                /* the client is to be replaced: nothing new until all is reported */
	ENDING,                  /* the client is, and until it is gone it refers to the records */
	BACKING_OFF,             /* no client; a new one will send again what is left */
};

struct kafka {
	struct sink_context context;
	struct kafka_client *client; /* NULL while backing off */
	struct kafka_window *window;
	struct kafka_intake intake;
	struct kafka_trouble trouble;
	struct kafka_careful careful;
	struct kafka_ceiling ceiling;
	enum kafka_phase phase;
	uint64_t phase_end_ms;   /* when settling or backing off is over */
	uint64_t backoff_ms;
	uint64_t failed_ms;      /* of the last failure */
	uint64_t distrusted_ms;  /* of the first sign since a delivery that there is no trust, or 0 */
	size_t in_flight;        /* handed to the client, not reported */
	bool stopping;           /* no new client is made */
	bool failed;             /* in a way that needs a new client */
	bool waits;              /* before it: for what only time can cure */
	bool parking;            /* because a partition's records are to be set aside */
	bool oversized;          /* because a batch was over the broker's limit */
	bool resizing;           /* because that limit is another now */
	bool delivered;          /* once at least: the way is known to work */
	bool drop_told;
	bool rested;             /* since records were read last */
};

/* The record leaves the window, delivered or not. */
static void kafka__acknowledge(struct kafka *kafka, struct kafka_record *record, bool delivered)
{
	kafka_careful__forget(&kafka->careful, record, delivered);
	kafka_intake__finish(&kafka->intake, record);
}

/* What `record` failed with; NULL: no one record did. */
static void kafka__fail(struct kafka *kafka, struct kafka_record *record, rd_kafka_resp_err_t err)
{
	kafka->failed = true;
	switch (kafka_fault__of(err)->blame) {
	case KAFKA_BLAME_NOBODY:
		return;
	case KAFKA_BLAME_RECORD:
		kafka_careful__refuse(&kafka->careful, record);
		break;
	case KAFKA_BLAME_SIZE:
		if (!kafka_ceiling__lowest(&kafka->ceiling)) {
			kafka->oversized = true;
			return;
		}
		kafka_careful__refuse(&kafka->careful, record);
		err = RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE;
		break;
	case KAFKA_BLAME_TOPIC:
	case KAFKA_BLAME_TRUST:
	case KAFKA_BLAME_CLUSTER:
		kafka->waits = true;
		break;
	}
	kafka_trouble__failed(&kafka->trouble, err, rd_kafka_err2str(err), clock__ms());
}

/* Of a record that was taken. */
static void kafka__notice_size(struct kafka *kafka, const struct kafka_record *record)
{
	size_t size = kafka_limit__encoded(&record->record, kafka_record__value_len(record),
					   kafka_client__headers_size(kafka->client));

	if (kafka_ceiling__taken(&kafka->ceiling, size))
		log_info("topic %s takes longer records again: they are cut no more, up to %zu bytes",
			 kafka->context.config->kafka.topic, kafka_ceiling__limit(&kafka->ceiling));
}

static void kafka__on_delivered(void *opaque, void *delivered, rd_kafka_resp_err_t err)
{
	struct kafka *kafka = opaque;
	struct kafka_record *record = delivered;

	kafka->in_flight--;
	if (err) {
		kafka__fail(kafka, record, err);
		return;
	}
	kafka->delivered = true;
	kafka->distrusted_ms = 0;
	kafka_trouble__over(&kafka->trouble);
	kafka_intake__delivered(&kafka->intake, record->partition, clock__ms());
	counters__add(kafka->context.counters, COUNTER_sink_records_delivered, 1);
	counters__add(kafka->context.counters, COUNTER_sink_bytes_delivered,
		      kafka_record__value_len(record));
	kafka__notice_size(kafka, record);
	kafka__acknowledge(kafka, record, true);
}

static void kafka__on_error(void *opaque, rd_kafka_resp_err_t err, const char *reason)
{
	struct kafka *kafka = opaque;
	enum kafka_blame blame = kafka_fault__of(err)->blame;

	if (blame == KAFKA_BLAME_NOBODY) {
		kafka->failed = true;
		return;
	}
	counters__add(kafka->context.counters, COUNTER_sink_errors, 1);
	if (err == RD_KAFKA_RESP_ERR__FATAL)
		kafka->failed = kafka->waits = true;
	if (blame == KAFKA_BLAME_TRUST && !kafka->distrusted_ms)
		kafka->distrusted_ms = clock__ms();
	/*
	 * A broker may close an idle connection: no harm while nothing waits and it is known to
	 * work.
	 */
	kafka_trouble__client_error(&kafka->trouble, err, reason,
				    kafka->in_flight || !kafka->delivered, clock__ms());
}

static int kafka__connect(struct kafka *kafka, char *why, size_t why_size)
{
	static const struct kafka_client_events events = {
		.delivered = kafka__on_delivered,
		.error = kafka__on_error,
	};

	const struct kafka_limits limits = { kafka->ceiling.bytes, kafka->careful.batch };

	return kafka_client__new(kafka->context.config, &limits, &events, kafka, &kafka->client,
				 why, why_size);
}

static bool kafka__close(void *state, int deadline_ms)
{
	struct kafka *kafka = state;

	if (!kafka)
		return true;
	/* The client first: it refers to the window's records. */
	kafka_client__end(kafka->client);
	if (!kafka_client__gone(kafka->client, deadline_ms))
		return false;
	kafka_intake__close(&kafka->intake);
	kafka_window__free(kafka->window);
	free(kafka);
	return true;
}

static void kafka__leave(void *state)
{
	struct kafka *kafka = state;

	kafka_aside__leave(&kafka->intake.aside);
}

static void kafka__save(void *state, unsigned int deadline_ms)
{
	struct kafka *kafka = state;

	kafka_aside__save(&kafka->intake.aside, deadline_ms);
}

/* People bring it along from other shippers; here a record never expires. */
static void say_what_is_not_used(const struct kafka_config *config)
{
	for (unsigned int i = 0; i < config->rdkafka_count; i++)
		if (!strcmp(config->rdkafka[i].name, "message.timeout.ms"))
			log_info("kafka.rdkafka.message.timeout.ms is not used: records never expire, "
				 "they are sent again for as long as it takes");
}

static int kafka__open(const struct sink_context *context, void **state)
{
	struct kafka *kafka = calloc(1, sizeof(*kafka));
	size_t capacity;
	char why[1024];
	int err;

	if (!kafka)
		return -ENOMEM;
	kafka->context = *context;
	say_what_is_not_used(&context->config->kafka);
	err = kafka__connect(kafka, why, sizeof(why));
	if (err) {
		log_error("%s", why);
		goto fail;
	}
	kafka_ceiling__init(&kafka->ceiling, kafka_client__max_message(kafka->client));
	capacity = kafka_client__capacity(kafka->client);
	err = kafka_window__new(capacity && capacity < WINDOW_MAX ? capacity : WINDOW_MAX,
				&kafka->window);
	if (!err)
		err = kafka_intake__init(&kafka->intake, &kafka->context, kafka->window);
	if (err)
		goto fail;
	*state = kafka;
	return 0;
fail:
	kafka__close(kafka, -1);
	return err;
}

static void kafka__wait(const struct kafka *kafka, uint64_t ms)
{
	struct pollfd fds[] = {
		{ .fd = kafka->context.data_fd, .events = POLLIN },
		{ .fd = kafka->client ? kafka_client__fd(kafka->client) : -1, .events = POLLIN },
	};
	eventfd_t count;

	/*
	 * The journals write data_fd once for a follower that found nothing: it wakes no second
	 * time unless read.
	 */
	if (poll(fds, 2, ms) > 0 && fds[0].revents)
		eventfd_read(kafka->context.data_fd, &count);
}

static void kafka__on_cut(void *opaque)
{
	struct kafka *kafka = opaque;

	counters__add(kafka->context.counters, COUNTER_sink_records_cut, 1);
}

static void kafka__on_too_large(void *opaque, size_t limit)
{
	struct kafka *kafka = opaque;

	if (!kafka->drop_told)
		log_error("topic %s takes %zu bytes at most: a record that does not fit even "
			  "without its message is dropped, and others like it will be; see "
			  "sink_records_dropped",
			  kafka->context.config->kafka.topic, limit);
	kafka->drop_told = true;
	counters__add(kafka->context.counters, COUNTER_sink_records_dropped, 1);
}

static void kafka__on_drop(void *opaque, struct kafka_record *record)
{
	kafka__acknowledge(opaque, record, false);
}

static void kafka__fill(struct kafka *kafka, struct kafka_batch *batch)
{
	static const struct kafka_batch_events events = {
		.cut = kafka__on_cut,
		.too_large = kafka__on_too_large,
		.drop = kafka__on_drop,
	};

	kafka_batch__fill(batch, kafka->window, kafka_ceiling__limit(&kafka->ceiling),
			  kafka_client__headers_size(kafka->client), &events, kafka);
}

/* Sends what is in the window. False when the client takes no more for now, or refused some. */
static bool kafka__send(struct kafka *kafka)
{
	struct kafka_batch batch;

	while (kafka_window__unsent(kafka->window)) {
		kafka__fill(kafka, &batch);
		kafka_client__send(kafka->client, batch.messages, batch.count);
		for (int i = 0; i < batch.count; i++) {
			struct kafka_record *record = batch.messages[i]._private;
			rd_kafka_resp_err_t err = batch.messages[i].err;

			if (err == RD_KAFKA_RESP_ERR__QUEUE_FULL)
				return false;
			kafka_window__set_unsent(kafka->window, TAILQ_NEXT(record, link));
			if (err)
				kafka__fail(kafka, record, err);
			else
				kafka->in_flight++;
		}
		if (kafka->failed)
			return false;
		if (!batch.count)
			return !kafka_window__unsent(kafka->window);
	}
	return true;
}

static bool kafka__read(struct kafka *kafka)
{
	if (!kafka_intake__read(&kafka->intake, kafka->client, clock__ms()))
		return false;
	kafka->rested = false;
	return true;
}

static void kafka__serve(struct kafka *kafka)
{
	kafka_client__serve(kafka->client,
			    kafka_intake__expecting(&kafka->intake, kafka->in_flight), clock__ms());
}

static void kafka__start_settling(struct kafka *kafka)
{
	uint64_t now = clock__ms();

	if (now - kafka->failed_ms > BACKOFF_FORGET_MS)
		kafka->backoff_ms = 0;
	kafka->failed_ms = now;
	/* What was not sent yet fails too, so that it cannot overtake what has failed. */
	kafka_client__purge(kafka->client);
	kafka->phase = SETTLING;
	kafka->phase_end_ms = now + SETTLE_MS;
}

/* A gap takes its place. Without memory for one it is sent as it is, refused and found again. */
static void kafka__give_up(struct kafka *kafka, struct kafka_record *record)
{
	int err = kafka_refusal__replace(record);

	if (err == -ENOMEM)
		return;
	kafka_careful__give_up(&kafka->careful, record);
	counters__add(kafka->context.counters, COUNTER_sink_records_refused, 1);
	if (err)
		kafka__acknowledge(kafka, record, false);
}

/* What was refused alone is not sent again. */
static void kafka__give_up_found(struct kafka *kafka)
{
	struct kafka_record *record = kafka_window__first(kafka->window);
	bool found = kafka_careful__found(&kafka->careful);

	while (record) {
		struct kafka_record *next = TAILQ_NEXT(record, link);

		if (found && record->refused)
			kafka__give_up(kafka, record);
		record->refused = false;
		record = next;
	}
}

static void kafka__start_sending(struct kafka *kafka)
{
	char why[1024];

	kafka_ceiling__move(&kafka->ceiling, kafka->context.config->kafka.topic);
	if (kafka__connect(kafka, why, sizeof(why))) {
		kafka_trouble__failed(&kafka->trouble, RD_KAFKA_RESP_ERR__FAIL, why, clock__ms());
		kafka->phase_end_ms = clock__ms() + BACKOFF_MAX_MS;
		return;
	}
	kafka->failed = kafka->waits = kafka->oversized = kafka->parking = kafka->resizing = false;
	kafka_partitions__restart(&kafka->intake.partitions, clock__ms());
	kafka->distrusted_ms = 0;
	kafka->in_flight = 0;
	counters__add(kafka->context.counters, COUNTER_sink_records_retried,
		      kafka_window__rewind(kafka->window));
	kafka->phase = SENDING;
}

/*
 * Before anything is sent: a batch that is refused as too large may be overtaken by the next one.
 * Where the brokers do not say (not reachable yet, no permission), a refusal tells later.
 */
static void kafka__learn_limit(struct kafka *kafka)
{
	if (!kafka_ceiling__learn(&kafka->ceiling, kafka->client,
				  kafka->context.config->kafka.topic, ASK_LIMIT_MS))
		return;
	kafka_client__end(kafka->client);
	kafka->phase = ENDING;
}

static uint64_t kafka__next_backoff(struct kafka *kafka)
{
	kafka->backoff_ms = kafka->backoff_ms ? 2 * kafka->backoff_ms : BACKOFF_MIN_MS;
	if (kafka->backoff_ms > BACKOFF_MAX_MS)
		kafka->backoff_ms = BACKOFF_MAX_MS;
	return kafka->backoff_ms;
}

/* All is reported: what is to be different next time, and how long to wait before. */
static uint64_t kafka__judge(struct kafka *kafka)
{
	bool doubts = kafka->careful.refused && kafka_careful__doubts(&kafka->careful);

	kafka__give_up_found(kafka);
	kafka_careful__next(&kafka->careful);
	/* Suspects stay in the window until they are cleared. */
	if (!kafka->careful.batch)
		kafka_intake__park(&kafka->intake);
	if (doubts)
		return BACKOFF_MAX_MS;
	return kafka->waits ? kafka__next_backoff(kafka) : 0;
}

static void kafka__start_ending(struct kafka *kafka)
{
	/* Reports that came meanwhile: what is acknowledged need not be sent again. */
	kafka__serve(kafka);
	if (kafka->oversized)
		kafka_ceiling__lower(&kafka->ceiling, kafka->client,
				     kafka->context.config->kafka.topic, ASK_LIMIT_MS);
	kafka_client__end(kafka->client);
	kafka->phase = ENDING;
}

static void kafka__start_backing_off(struct kafka *kafka)
{
	kafka->client = NULL;
	kafka->phase = BACKING_OFF;
	kafka->phase_end_ms = clock__ms() + kafka__judge(kafka);
}

static bool kafka__wants_new_client(struct kafka *kafka, uint64_t now)
{
	if (kafka->stopping)
		return kafka->failed;
	kafka->parking |= kafka_intake__begin_lane(&kafka->intake,
						   kafka->context.config->kafka.topic,
						   kafka->trouble.brokers_down, now);
	kafka->resizing |= kafka_ceiling__look(&kafka->ceiling, kafka->client, ASK_LIMIT_MS, now);
	return kafka->failed || kafka->parking || kafka->resizing || kafka_careful__over(&kafka->careful) ||
	       (kafka->distrusted_ms && now - kafka->distrusted_ms >= TRUST_MS);
}

static void kafka__idle(struct kafka *kafka, uint64_t most_ms)
{
	if (kafka->stopping) {
		kafka_client__flush(kafka->client, most_ms);
	} else if (!kafka->rested) {
		kafka->rested = true;
		usleep(REST_MS * 1000);
	} else {
		kafka__wait(kafka, most_ms);
	}
}

/* One turn: it does what there is to do, or waits for most_ms at most. */
static void kafka__turn(struct kafka *kafka, uint64_t most_ms)
{
	uint64_t now = clock__ms();
	uint64_t phase_ms = kafka->phase_end_ms > now ? kafka->phase_end_ms - now : 0;

	switch (kafka->phase) {
	case SENDING:
		kafka__serve(kafka);
		if (kafka__wants_new_client(kafka, now))
			kafka__start_settling(kafka);
		else if (!kafka__send(kafka) || kafka_window__full(kafka->window))
			kafka__wait(kafka, most_ms);
		else if (!kafka__read(kafka))
			kafka__idle(kafka, most_ms);
		break;
	case SETTLING:
		kafka__serve(kafka);
		if (!kafka->in_flight || !phase_ms)
			kafka__start_ending(kafka);
		else
			kafka__wait(kafka, phase_ms < most_ms ? phase_ms : most_ms);
		break;
	case ENDING:
		if (kafka_client__gone(kafka->client, 0))
			kafka__start_backing_off(kafka);
		else
			kafka__wait(kafka, most_ms);
		break;
	case BACKING_OFF:
		if (!phase_ms)
			kafka__start_sending(kafka);
		else
			kafka__wait(kafka, phase_ms < most_ms ? phase_ms : most_ms);
		break;
	}
}

/* Waits for the reports of what is on its way, and sends nothing new meanwhile. */
static void kafka__recall(struct kafka *kafka, uint64_t end)
{
	uint64_t now;

	kafka_client__purge(kafka->client);
	while (kafka->in_flight && (now = clock__ms()) < end) {
		kafka__wait(kafka, end - now < IDLE_MS ? end - now : IDLE_MS);
		kafka__serve(kafka);
	}
}

static void kafka__drain(struct kafka *kafka, unsigned int deadline_ms)
{
	unsigned int recall_ms = deadline_ms / 2 < RECALL_MS ? deadline_ms / 2 : RECALL_MS;
	uint64_t end = clock__ms() + deadline_ms;
	uint64_t now;

	kafka->stopping = true;
	while (kafka->phase == SENDING && kafka_intake__pending(&kafka->intake) &&
	       (now = clock__ms()) < end - recall_ms)
		kafka__turn(kafka, end - recall_ms - now < IDLE_MS ? end - recall_ms - now : IDLE_MS);
	if (kafka->phase == SENDING || kafka->phase == SETTLING)
		kafka__recall(kafka, end);
	kafka_client__end(kafka->client);
}

static int kafka__run(void *state, const bool *stop, const unsigned int *deadline_ms)
{
	struct kafka *kafka = state;

	kafka__learn_limit(kafka);
	while (!__atomic_load_n(stop, __ATOMIC_ACQUIRE))
		kafka__turn(kafka, IDLE_MS);
	kafka__drain(kafka, *deadline_ms);
	/* The last record of a lane may have been delivered just now. */
	kafka_aside__tidy(&kafka->intake.aside);
	if (kafka_intake__pending(&kafka->intake))
		log_warn("%" PRIu64 " records are left undelivered in the journal",
			 kafka_intake__pending(&kafka->intake));
	return 0;
}

const struct sink_kind_ops sink_kafka = {
	.open = kafka__open,
	.run = kafka__run,
	.save = kafka__save,
	.close = kafka__close,
	.leave = kafka__leave,
};
