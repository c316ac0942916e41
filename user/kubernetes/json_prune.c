#include "json_prune.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 12
#define SIZE_FIRST 4096

enum place {
	PLACE_ITEM,              /* before a key, an element or the end of a container */
	PLACE_KEY,               /* in a key */
	PLACE_COLON,
	PLACE_VALUE,             /* before a member's value */
	PLACE_STRING,
	PLACE_SCALAR,
	PLACE_AFTER,             /* behind an item */
};

/* A container that is kept. */
struct frame {
	const struct json_wanted *wanted; /* NULL: every scalar */
	const struct json_wanted *member; /* what the key is, if it is wanted */
	bool object;
	bool any;                /* an item has been kept */
	bool keep;               /* the present item is kept */
	size_t item_at;          /* where it begins, with its comma */
	unsigned int values_at;  /* those before it */
};

struct json_prune {
	struct json_prune_options options;
	enum place place;
	bool escaped;            /* the last character was a string's backslash */
	unsigned int skipped;    /* containers around that are left out */
	struct frame frames[DEPTH_MAX];
	unsigned int depth;
	char *text;
	size_t len, size;
	unsigned int values;
	unsigned int left_out;   /* items */
	bool overflow;
};

int json_prune__new(const struct json_prune_options *options, struct json_prune **out)
{
	struct json_prune *prune = calloc(1, sizeof(*prune));

	if (!prune)
		return -ENOMEM;
	prune->options = *options;
	*out = prune;
	return 0;
}

void json_prune__free(struct json_prune *prune)
{
	if (prune)
		free(prune->text);
	free(prune);
}

void json_prune__reset(struct json_prune *prune)
{
	free(prune->text);
	*prune = (struct json_prune){ .options = prune->options };
}

int json_prune__open(const struct json_prune *prune)
{
	return prune->depth > 0;
}

static struct frame *top(struct json_prune *prune)
{
	return &prune->frames[prune->depth - 1];
}

static int emit(struct json_prune *prune, char c)
{
	if (prune->overflow)
		return 0;
	if (prune->len == prune->size) {
		size_t size = prune->size ? 2 * prune->size : SIZE_FIRST;
		char *text;

		if (prune->len >= prune->options.bytes_max) {
			prune->overflow = true;
			return 0;
		}
		text = realloc(prune->text, size);
		if (!text)
			return -ENOMEM;
		prune->text = text;
		prune->size = size;
	}
	prune->text[prune->len++] = c;
	return 0;
}

static void count_value(struct json_prune *prune)
{
	if (++prune->values > prune->options.values_max)
		prune->overflow = true;
}

static int begin_item(struct json_prune *prune)
{
	struct frame *frame = top(prune);

	frame->item_at = prune->len;
	frame->values_at = prune->values;
	/* What was too large is only followed to its end: keys are not known any more. */
	frame->keep = !prune->overflow;
	return frame->any ? emit(prune, ',') : 0;
}

static void end_item(struct json_prune *prune)
{
	struct frame *frame = top(prune);

	if (frame->keep)
		frame->any = true;
	else if (!prune->overflow)
		prune->len = frame->item_at;
	prune->place = PLACE_AFTER;
}

/* The key's text ends what is kept so far. Escapes are not resolved: no name that is wanted has any. */
static void end_key(struct json_prune *prune)
{
	struct frame *frame = top(prune);
	const struct json_wanted *wanted = frame->wanted;
	const char *key = prune->text + frame->item_at + frame->any + 1;
	size_t len = prune->overflow ? 0 : prune->text + prune->len - 1 - key;

	prune->place = PLACE_COLON;
	if (prune->overflow)
		frame->keep = false;
	if (!wanted || prune->overflow)
		return;
	while (wanted->name && (strlen(wanted->name) != len || memcmp(wanted->name, key, len)))
		wanted++;
	frame->keep = wanted->name;
	frame->member = wanted;
}

static int push(struct json_prune *prune, const struct json_wanted *wanted, char c)
{
	prune->frames[prune->depth++] = (struct frame){ .wanted = wanted, .object = c == '{' };
	prune->place = PLACE_ITEM;
	count_value(prune);
	return emit(prune, c);
}

static int begin_container(struct json_prune *prune, char c)
{
	struct frame *frame = top(prune);

	/* Of every scalar: none of its containers. */
	if (!frame->wanted || prune->depth == DEPTH_MAX)
		frame->keep = false;
	if (!frame->keep) {
		prune->skipped = 1;
		prune->place = PLACE_ITEM;
		return 0;
	}
	return push(prune, frame->object ? frame->member->members : frame->wanted, c);
}

static int deliver(struct json_prune *prune)
{
	int err = prune->options.take(prune->options.owner, prune->overflow ? NULL : prune->text,
				      prune->overflow ? 0 : prune->len);

	json_prune__reset(prune);
	return err;
}

static int end_container(struct json_prune *prune, char c)
{
	int err;

	if (top(prune)->object != (c == '}'))
		return -EBADMSG;
	err = emit(prune, c);
	if (--prune->depth == 0)
		return err ? err : deliver(prune);
	end_item(prune);
	return err;
}

/* In a container that is left out, nothing but quotes and brackets counts. */
static void feed_skipped(struct json_prune *prune, char c)
{
	if (c == '"') {
		prune->place = PLACE_STRING;
	} else if (c == '{' || c == '[') {
		prune->skipped++;
	} else if (c == '}' || c == ']') {
		if (--prune->skipped == 0)
			end_item(prune);
	}
}

static int feed_string(struct json_prune *prune, char c)
{
	int err = prune->skipped || !top(prune)->keep ? 0 : emit(prune, c);

	if (prune->escaped || c == '\\') {
		prune->escaped = !prune->escaped;
		return err;
	}
	if (err || c != '"')
		return err;
	if (prune->skipped)
		prune->place = PLACE_ITEM;
	else if (prune->place == PLACE_KEY)
		end_key(prune);
	else
		end_item(prune);
	return 0;
}

static int begin_scalar(struct json_prune *prune, char c)
{
	prune->place = c == '"' ? PLACE_STRING : PLACE_SCALAR;
	if (!top(prune)->keep)
		return 0;
	count_value(prune);
	return emit(prune, c);
}

static int begin_value(struct json_prune *prune, char c)
{
	if (c == '{' || c == '[')
		return begin_container(prune, c);
	return c == '}' || c == ']' || c == ',' || c == ':' ? -EBADMSG : begin_scalar(prune, c);
}

static int feed_item(struct json_prune *prune, char c)
{
	int err;

	if (c == '}' || c == ']')
		return end_container(prune, c);
	err = begin_item(prune);
	if (err)
		return err;
	if (!top(prune)->object)
		return begin_value(prune, c);
	if (c != '"')
		return -EBADMSG;
	prune->place = PLACE_KEY;
	return emit(prune, c);
}

static int feed_after(struct json_prune *prune, char c)
{
	if (c == '}' || c == ']')
		return end_container(prune, c);
	prune->place = PLACE_ITEM;
	return c == ',' ? 0 : -EBADMSG;
}

static int feed_colon(struct json_prune *prune, char c)
{
	prune->place = PLACE_VALUE;
	if (c != ':')
		return -EBADMSG;
	return top(prune)->keep ? emit(prune, c) : 0;
}

static bool is_space(char c)
{
	return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

static int feed_scalar(struct json_prune *prune, char c)
{
	if (!is_space(c) && c != ',' && c != '}' && c != ']')
		return top(prune)->keep ? emit(prune, c) : 0;
	end_item(prune);
	return is_space(c) ? 0 : feed_after(prune, c);
}

static int feed(struct json_prune *prune, char c)
{
	if (prune->place == PLACE_STRING || prune->place == PLACE_KEY)
		return feed_string(prune, c);
	if (prune->skipped) {
		feed_skipped(prune, c);
		return 0;
	}
	if (prune->place == PLACE_SCALAR)
		return feed_scalar(prune, c);
	if (is_space(c))
		return 0;
	if (!prune->depth)
		return c == '{' ? push(prune, prune->options.wanted, c) : -EBADMSG;
	switch (prune->place) {
	case PLACE_ITEM:
		return feed_item(prune, c);
	case PLACE_COLON:
		return feed_colon(prune, c);
	case PLACE_VALUE:
		return begin_value(prune, c);
	default:
		return feed_after(prune, c);
	}
}

/* Whether what is being fed is in an object of one of the value's own arrays, and that is too large. */
static bool is_item_too_large(const struct json_prune *prune)
{
	const struct json_prune_options *options = &prune->options;
	const struct frame *list = &prune->frames[1];

	if (prune->depth < 3 || list->object || prune->overflow)
		return false;
	return (options->item_bytes_max && prune->len - list->item_at > options->item_bytes_max) ||
	       (options->item_values_max && prune->values - list->values_at > options->item_values_max);
}

/* What is kept of it goes; its containers, up to its own, are followed to their ends. */
static void leave_item_out(struct json_prune *prune)
{
	bool in_string = prune->place == PLACE_STRING || prune->place == PLACE_KEY;

	prune->skipped += prune->depth - 2;
	prune->depth = 2;
	prune->place = in_string ? PLACE_STRING : PLACE_ITEM;
	prune->values = top(prune)->values_at;
	prune->len = top(prune)->item_at;
	top(prune)->keep = false;
	prune->left_out++;
}

unsigned int json_prune__left_out(const struct json_prune *prune)
{
	return prune->left_out;
}

int json_prune__feed(struct json_prune *prune, const char *data, size_t len)
{
	int err = 0;

	for (size_t i = 0; !err && i < len; i++) {
		err = feed(prune, data[i]);
		if (!err && is_item_too_large(prune))
			leave_item_out(prune);
	}
	return err;
}
