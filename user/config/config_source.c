#include "config_source.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

struct place {
	char *key;
	unsigned int line;
};

struct mistake {
	char *key;
	char *text;
	unsigned int line;
	unsigned int order;      /* keeps mistakes of one line in the order they were found */
};

struct config_source {
	struct place *places;
	size_t places_count;
	struct mistake *mistakes;
	size_t mistakes_count;
	bool out_of_memory;
};

struct config_source *config_source__new(void)
{
	return calloc(1, sizeof(struct config_source));
}

void config_source__free(struct config_source *source)
{
	if (!source)
		return;
	for (size_t i = 0; i < source->places_count; i++)
		free(source->places[i].key);
	for (size_t i = 0; i < source->mistakes_count; i++) {
		free(source->mistakes[i].key);
		free(source->mistakes[i].text);
	}
	free(source->places);
	free(source->mistakes);
	free(source);
}

/*
 * Room for one more at the end of an array; doubles at powers of two, so that no capacity is kept.
 */
static void *grow(void *array, size_t count, size_t size)
{
	if (count & (count - 1))
		return array;
	return reallocarray(array, count ? count * 2 : 1, size);
}

void config_source__place(struct config_source *source, const char *key, unsigned int line)
{
	struct place *places = grow(source->places, source->places_count, sizeof(*places));
	char *copy = strdup(key);

	if (places)
		source->places = places;
	if (!places || !copy) {
		source->out_of_memory = true;
		free(copy);
		return;
	}
	places[source->places_count++] = (struct place){ copy, line };
}

unsigned int config_source__line(const struct config_source *source, const char *key)
{
	for (size_t i = 0; i < source->places_count; i++)
		if (strcmp(source->places[i].key, key) == 0)
			return source->places[i].line;
	return 0;
}

/* Keys and values may hold escaped control characters, which have no business on a terminal. */
static void make_printable(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			*text = '?';
}

void config_source__mistake(struct config_source *source, unsigned int line, const char *key,
			    const char *format, ...)
{
	struct mistake *mistakes = grow(source->mistakes, source->mistakes_count,
					sizeof(*mistakes));
	struct mistake new = { .line = line, .order = source->mistakes_count };
	va_list args;

	if (mistakes)
		source->mistakes = mistakes;
	new.key = strdup(key);
	va_start(args, format);
	if (vasprintf(&new.text, format, args) < 0)
		new.text = NULL;
	va_end(args);
	if (!mistakes || !new.key || !new.text) {
		source->out_of_memory = true;
		free(new.key);
		free(new.text);
		return;
	}
	make_printable(new.key);
	make_printable(new.text);
	mistakes[source->mistakes_count++] = new;
}

bool config_source__mistaken(const struct config_source *source, const char *key)
{
	for (size_t i = 0; i < source->mistakes_count; i++)
		if (strcmp(source->mistakes[i].key, key) == 0)
			return true;
	return false;
}

bool config_source__mistaken_in(const struct config_source *source, const char *section)
{
	size_t length = strlen(section);

	for (size_t i = 0; i < source->mistakes_count; i++)
		if (!strncmp(source->mistakes[i].key, section, length) && source->mistakes[i].key[length] == '.')
			return true;
	return false;
}

static int by_line(const void *a, const void *b)
{
	const struct mistake *x = a;
	const struct mistake *y = b;

	if (x->line != y->line)
		return x->line < y->line ? -1 : 1;
	return x->order < y->order ? -1 : 1;
}

int config_source__report(struct config_source *source, const char *name, FILE *errors)
{
	if (source->mistakes_count)
		qsort(source->mistakes, source->mistakes_count, sizeof(*source->mistakes), by_line);
	for (size_t i = 0; i < source->mistakes_count; i++) {
		const struct mistake *mistake = &source->mistakes[i];

		fputs(name, errors);
		if (mistake->line)
			fprintf(errors, ":%u", mistake->line);
		fprintf(errors, ": %s%s%s\n", mistake->key, *mistake->key ? ": " : "",
			mistake->text);
	}
	if (source->out_of_memory) {
		fprintf(errors, "%s: out of memory while reading it\n", name);
		return -ENOMEM;
	}
	return source->mistakes_count ? -EINVAL : 0;
}
