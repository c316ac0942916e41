#include "kafka_trouble.h"

#include <stdio.h>

#include "base/log.h"

/* What was told is told again only when it is new after so long, whatever came in between. */
#define QUIET_MS 60000

static void tell(struct kafka_trouble *trouble, rd_kafka_resp_err_t err, const char *reason,
		 uint64_t now_ms)
{
	const struct kafka_fault *fault = kafka_fault__of(err);
	size_t number = kafka_fault__number(fault);
	uint64_t *told_ms = &trouble->told_ms[number];
	char text[512];

	if (trouble->told && trouble->number == number)
		return;
	if (*told_ms && now_ms - *told_ms < QUIET_MS)
		return;
	/* A record that is refused ends by itself. */
	trouble->told |= fault->blame != KAFKA_BLAME_RECORD;
	trouble->trust = fault->blame == KAFKA_BLAME_TRUST;
	trouble->number = number;
	*told_ms = now_ms;
	snprintf(text, sizeof(text), fault->words, reason);
	log_warn("%s", text);
}

void kafka_trouble__failed(struct kafka_trouble *trouble, rd_kafka_resp_err_t err,
			   const char *reason, uint64_t now_ms)
{
	enum kafka_blame blame = kafka_fault__of(err)->blame;

	/* A size that is refused is told by what is done about it. */
	if (blame != KAFKA_BLAME_NOBODY && blame != KAFKA_BLAME_SIZE)
		tell(trouble, err, reason, now_ms);
}

void kafka_trouble__client_error(struct kafka_trouble *trouble, rd_kafka_resp_err_t err,
				 const char *reason, bool waiting, uint64_t now_ms)
{
	if (err == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
		trouble->brokers_down = true;
	} else if (err == RD_KAFKA_RESP_ERR__FATAL ||
		   kafka_fault__of(err)->blame == KAFKA_BLAME_TRUST) {
		tell(trouble, err, reason, now_ms);
		return;
	} else {
		snprintf(trouble->cause, sizeof(trouble->cause), "%s", reason);
	}
	/* Brokers that are not trusted count as down, too. */
	if (trouble->brokers_down && waiting && !(trouble->told && trouble->trust))
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
