#include "kafka_window.h"

#include <errno.h>
#include <stdlib.h>

TAILQ_HEAD(record_list, kafka_record);

struct kafka_window {
	struct record_list records;
	struct record_list spare;
	struct kafka_record *unsent;
	struct kafka_record *pool;
	size_t pool_used;        /* the rest was never touched, so it takes no memory */
	size_t capacity;
	size_t count;
};

int kafka_window__new(size_t capacity, struct kafka_window **out)
{
	struct kafka_window *window = calloc(1, sizeof(*window));

	if (!window)
		return -ENOMEM;
	TAILQ_INIT(&window->records);
	TAILQ_INIT(&window->spare);
	window->capacity = capacity;
	window->pool = calloc(capacity, sizeof(*window->pool));
	if (!window->pool) {
		kafka_window__free(window);
		return -ENOMEM;
	}
	*out = window;
	return 0;
}

void kafka_window__free(struct kafka_window *window)
{
	struct kafka_record *record;

	if (!window)
		return;
	TAILQ_FOREACH(record, &window->records, link)
		free(record->own);
	free(window->pool);
	free(window);
}

bool kafka_window__full(const struct kafka_window *window)
{
	return window->count == window->capacity;
}

static struct kafka_record *take_spare(struct kafka_window *window)
{
	struct kafka_record *spare = TAILQ_FIRST(&window->spare);

	if (!spare)
		return &window->pool[window->pool_used++];
	TAILQ_REMOVE(&window->spare, spare, link);
	return spare;
}

void kafka_window__add(struct kafka_window *window, const struct kafka_record *record)
{
	struct kafka_record *added = take_spare(window);

	*added = *record;
	TAILQ_INSERT_TAIL(&window->records, added, link);
	if (!window->unsent)
		window->unsent = added;
	window->count++;
}

void kafka_window__remove(struct kafka_window *window, struct kafka_record *record)
{
	if (window->unsent == record)
		window->unsent = TAILQ_NEXT(record, link);
	TAILQ_REMOVE(&window->records, record, link);
	free(record->own);
	/* Last used first: its memory is warm. */
	TAILQ_INSERT_HEAD(&window->spare, record, link);
	window->count--;
}

const char *kafka_record__value(const struct kafka_record *record)
{
	return record->own ? record->own : record->record.value;
}

size_t kafka_record__value_len(const struct kafka_record *record)
{
	return record->own ? record->own_len : record->record.meta.value_len;
}

struct kafka_record *kafka_window__first(const struct kafka_window *window)
{
	return TAILQ_FIRST(&window->records);
}

struct kafka_record *kafka_window__unsent(const struct kafka_window *window)
{
	return window->unsent;
}

void kafka_window__set_unsent(struct kafka_window *window, struct kafka_record *first)
{
	window->unsent = first;
}

size_t kafka_window__rewind(struct kafka_window *window)
{
	struct kafka_record *record;
	size_t sent = 0;

	for (record = TAILQ_FIRST(&window->records); record != window->unsent;
	     record = TAILQ_NEXT(record, link))
		sent++;
	window->unsent = TAILQ_FIRST(&window->records);
	return sent;
}
