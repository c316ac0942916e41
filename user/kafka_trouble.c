#include "kafka_trouble.h"

#include <stdio.h>

#include "log.h"

/* A new trouble so soon after the last one was told is told only if it lasts. */
#define QUIET_MS 60000

static const char *plain_words(rd_kafka_resp_err_t err)
{
	switch (err) {
	case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
		return "Kafka cannot be reached (%s): records wait in the journal until it can";
	case RD_KAFKA_RESP_ERR__AUTHENTICATION:
	case RD_KAFKA_RESP_ERR__SSL:
		return "Kafka and logtap do not trust each other (%s): see kafka.rdkafka in the "
		       "configuration; records wait in the journal";
	case RD_KAFKA_RESP_ERR__FATAL:
		return "librdkafka's producer gave up (%s): a new one takes over and sends "
		       "again what is not acknowledged";
	default:
		return "Kafka did not take records (%s): they are kept and sent again";
	}
}

static void tell(struct kafka_trouble *trouble, rd_kafka_resp_err_t err, const char *reason,
		 uint64_t now_ms)
{
	char text[512];

	if (trouble->told && trouble->err == err)
		return;
	if (trouble->told_ms && now_ms - trouble->told_ms < QUIET_MS)
		return;
	trouble->told = true;
	trouble->told_ms = now_ms;
	trouble->err = err;
	snprintf(text, sizeof(text), plain_words(err), reason);
	log_warn("%s", text);
}

void kafka_trouble__failed(struct kafka_trouble *trouble, rd_kafka_resp_err_t err,
			   const char *reason, uint64_t now_ms)
{
	/* Taken back by us because of another failure, which was told. */
	if (err != RD_KAFKA_RESP_ERR__PURGE_QUEUE && err != RD_KAFKA_RESP_ERR__PURGE_INFLIGHT)
		tell(trouble, err, reason, now_ms);
}

void kafka_trouble__client_error(struct kafka_trouble *trouble, rd_kafka_resp_err_t err,
				 const char *reason, bool waiting, uint64_t now_ms)
{
	switch (err) {
	case RD_KAFKA_RESP_ERR__AUTHENTICATION:
	case RD_KAFKA_RESP_ERR__SSL:
	case RD_KAFKA_RESP_ERR__FATAL:
		tell(trouble, err, reason, now_ms);
		return;
	case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
		trouble->brokers_down = true;
		break;
	default:
		snprintf(trouble->cause, sizeof(trouble->cause), "%s", reason);
		break;
	}
	if (trouble->brokers_down && waiting)
		tell(trouble, RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN,
		     trouble->cause[0] ? trouble->cause : reason, now_ms);
}

void kafka_trouble__over(struct kafka_trouble *trouble)
{
	trouble->brokers_down = false;
	if (!trouble->told)
		return;
	trouble->told = false;
	log_info("Kafka takes records again");
}
