#include "kafka_ceiling.h"

#include "base/clock.h"
#include "base/log.h"
#include "kafka_client.h"

#define ASK_MS 60000
#define TRY_MS 600000

void kafka_ceiling__init(struct kafka_ceiling *ceiling, size_t most)
{
	*ceiling = (struct kafka_ceiling){ .most = most };
}

size_t kafka_ceiling__limit(const struct kafka_ceiling *ceiling)
{
	return ceiling->bytes ? ceiling->bytes : ceiling->most;
}

bool kafka_ceiling__lowest(const struct kafka_ceiling *ceiling)
{
	return kafka_ceiling__limit(ceiling) <= KAFKA_CEILING_LEAST && !ceiling->before;
}

static void set(struct kafka_ceiling *ceiling, size_t bytes, uint64_t now_ms)
{
	ceiling->bytes = bytes < ceiling->most ? bytes : 0;
	ceiling->next = ceiling->bytes;
	ceiling->set_ms = now_ms;
	ceiling->asked_ms = now_ms;
}

static size_t half(size_t limit)
{
	if (limit <= KAFKA_CEILING_LEAST)
		return limit;
	return limit / 2 < KAFKA_CEILING_LEAST ? KAFKA_CEILING_LEAST : limit / 2;
}

bool kafka_ceiling__refused(struct kafka_ceiling *ceiling, size_t said, uint64_t now_ms)
{
	size_t limit = kafka_ceiling__limit(ceiling);
	size_t before = ceiling->before;

	ceiling->before = 0;
	ceiling->said = said;
	if (said && said < limit && said != before)
		set(ceiling, said, now_ms);
	else
		set(ceiling, before ? before : half(limit), now_ms);
	return ceiling->bytes != before;
}

/* It is not what the brokers say: then it is what was found out. */
static bool is_found_out(const struct kafka_ceiling *ceiling)
{
	return ceiling->bytes != ceiling->said && !ceiling->before;
}

bool kafka_ceiling__answered(struct kafka_ceiling *ceiling, size_t said, uint64_t now_ms)
{
	if (said && said != ceiling->said) {
		ceiling->next = said < ceiling->most ? said : 0;
		ceiling->said = said;
		ceiling->before = 0;
	} else if (is_found_out(ceiling) && now_ms - ceiling->set_ms >= TRY_MS) {
		ceiling->next = ceiling->said < ceiling->most ? ceiling->said : 0;
		ceiling->before = ceiling->bytes;
	}
	return ceiling->next != ceiling->bytes;
}

bool kafka_ceiling__taken(struct kafka_ceiling *ceiling, size_t size)
{
	if (!ceiling->before || size <= ceiling->before)
		return false;
	ceiling->before = 0;
	return true;
}

bool kafka_ceiling__learn(struct kafka_ceiling *ceiling, struct kafka_client *client,
			  const char *topic, int timeout_ms)
{
	ceiling->said = kafka_client__ask_limit(client, timeout_ms);
	if (!ceiling->said || ceiling->said >= ceiling->most)
		return false;
	set(ceiling, ceiling->said, clock__ms());
	log_info("topic %s takes %zu bytes a record at most: longer ones are cut and marked partial: max_size",
		 topic, ceiling->bytes);
	return true;
}

void kafka_ceiling__lower(struct kafka_ceiling *ceiling, struct kafka_client *client,
			  const char *topic, int timeout_ms)
{
	size_t limit = kafka_ceiling__limit(ceiling);
	size_t said = kafka_client__ask_limit(client, timeout_ms);

	if (kafka_ceiling__refused(ceiling, said, clock__ms()))
		log_warn("topic %s refuses batches of up to %zu bytes: from now on records longer than "
			 "%zu bytes are cut and marked partial: max_size",
			 topic, limit, kafka_ceiling__limit(ceiling));
}

bool kafka_ceiling__look(struct kafka_ceiling *ceiling, struct kafka_client *client,
			 int timeout_ms, uint64_t now_ms)
{
	size_t said;

	if (ceiling->bytes && now_ms - ceiling->asked_ms >= ASK_MS) {
		kafka_client__request_limit(client, timeout_ms);
		ceiling->asked_ms = now_ms;
	}
	return kafka_client__limit_answered(client, &said) &&
	       kafka_ceiling__answered(ceiling, said, now_ms);
}

void kafka_ceiling__move(struct kafka_ceiling *ceiling, const char *topic)
{
	if (ceiling->next == ceiling->bytes)
		return;
	set(ceiling, ceiling->next ? ceiling->next : ceiling->most, clock__ms());
	/* One that is tried is told when it is known to hold. */
	if (ceiling->before)
		log_debug("topic %s: trying records of up to %zu bytes", topic,
			  kafka_ceiling__limit(ceiling));
	else
		log_info("topic %s takes %zu bytes a record at most from now on", topic,
			 kafka_ceiling__limit(ceiling));
}
