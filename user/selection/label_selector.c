#include "label_selector.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "identity/labels.h"

#define NAME_MAX_BYTES 63
#define PREFIX_MAX_BYTES 253
#define REQUIREMENTS_MAX 64
#define SHOWN_MAX 64           /* of what the user wrote, in messages */

enum relation { IS_THERE, IS_NOT_THERE, IS_IN, IS_NOT_IN };

struct requirement {
	enum relation relation;
	char *key;
	char **values;
	unsigned int values_count;
};

struct label_selector {
	struct requirement *requirements;
	unsigned int count;
};

struct parser {
	const char *at;
	char *problem;
	size_t problem_size;
};

struct word {
	const char *text;
	size_t length;
};

#define refuse(parser, ...) (snprintf((parser)->problem, (parser)->problem_size, __VA_ARGS__), -EINVAL)

#define SHOWN(word) (int)((word).length < SHOWN_MAX ? (word).length : SHOWN_MAX), (word).text

static void skip_blanks(struct parser *parser)
{
	parser->at += strspn(parser->at, " \t\r\n");
}

/* True when it is the next, and taken. */
static bool take(struct parser *parser, const char *sign)
{
	size_t length = strlen(sign);

	skip_blanks(parser);
	if (strncmp(parser->at, sign, length) != 0)
		return false;
	parser->at += length;
	return true;
}

/* Up to whatever means something; may be empty. */
static struct word take_word(struct parser *parser)
{
	struct word word;

	skip_blanks(parser);
	word.text = parser->at;
	word.length = strcspn(parser->at, " \t\r\n,=!()<>");
	parser->at += word.length;
	return word;
}

static bool take_keyword(struct parser *parser, const char *keyword)
{
	const char *before = parser->at;
	struct word word = take_word(parser);

	if (word.length == strlen(keyword) && !strncmp(word.text, keyword, word.length))
		return true;
	parser->at = before;
	return false;
}

static bool is_alphanumeric(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* A label's name or value: up to 63 letters, digits, "-", "_" and ".", a letter or digit at both ends. */
static bool is_name(struct word word)
{
	if (!word.length || word.length > NAME_MAX_BYTES || !is_alphanumeric(word.text[0]) ||
	    !is_alphanumeric(word.text[word.length - 1]))
		return false;
	for (size_t i = 0; i < word.length; i++)
		if (!is_alphanumeric(word.text[i]) && !memchr("-_.", word.text[i], 3))
			return false;
	return true;
}

/* A DNS name, lower case. */
static bool is_prefix(struct word word)
{
	if (!word.length || word.length > PREFIX_MAX_BYTES)
		return false;
	for (size_t i = 0; i < word.length; i++) {
		char c = word.text[i];

		if (!is_alphanumeric(c) && c != '-' && c != '.')
			return false;
		if (c >= 'A' && c <= 'Z')
			return false;
	}
	return is_alphanumeric(word.text[0]) && is_alphanumeric(word.text[word.length - 1]);
}

static bool is_key(struct word word)
{
	const char *slash = word.length ? memchr(word.text, '/', word.length) : NULL;
	size_t length = slash ? (size_t)(slash - word.text) : 0;
	struct word prefix = { word.text, length };
	struct word name = { word.text + length + 1, word.length - length - 1 };

	return slash ? is_prefix(prefix) && is_name(name) : is_name(word);
}

static int take_key(struct parser *parser, struct requirement *requirement)
{
	struct word word = take_word(parser);

	if (!word.length)
		return refuse(parser, "a label's name is missing before \"%.*s\"", SHOWN_MAX,
			      *word.text ? word.text : "the end");
	if (!is_key(word))
		return refuse(parser,
			      "\"%.*s\" is no label's name; use up to 63 letters, digits, \"-\", \"_\" and \".\", "
			      "after a prefix and \"/\" where it has one",
			      SHOWN(word));
	requirement->key = strndup(word.text, word.length);
	return requirement->key ? 0 : -ENOMEM;
}

/* A value may be empty. */
static int take_value(struct parser *parser, struct requirement *requirement)
{
	struct word word = take_word(parser);
	char **values;

	if (word.length && !is_name(word))
		return refuse(parser,
			      "\"%.*s\" is no label's value; use up to 63 letters, digits, \"-\", \"_\" and \".\" "
			      "(globs are not for labels)",
			      SHOWN(word));
	values = reallocarray(requirement->values, requirement->values_count + 1, sizeof(*values));
	if (!values)
		return -ENOMEM;
	requirement->values = values;
	values[requirement->values_count] = strndup(word.text, word.length);
	if (!values[requirement->values_count])
		return -ENOMEM;
	requirement->values_count++;
	return 0;
}

static int take_values(struct parser *parser, struct requirement *requirement)
{
	int err;

	if (!take(parser, "("))
		return refuse(parser, "\"in\" and \"notin\" want values in parentheses, as in \"env in (a, b)\"");
	if (take(parser, ")"))
		return refuse(parser, "no value between the parentheses; as in \"env in (a, b)\"");
	do {
		err = take_value(parser, requirement);
	} while (!err && take(parser, ","));
	if (!err && !take(parser, ")"))
		err = refuse(parser,
			     "a \")\" is missing; quote the whole selector, as YAML ends it at the comma: "
			     "\"env in (a, b)\"");
	return err;
}

static int take_requirement(struct parser *parser, struct requirement *requirement)
{
	bool negated = take(parser, "!");
	int err = take_key(parser, requirement);

	requirement->relation = negated ? IS_NOT_THERE : IS_THERE;
	skip_blanks(parser);
	if (err || negated || !*parser->at || *parser->at == ',')
		return err;
	if (take(parser, "!=")) {
		requirement->relation = IS_NOT_IN;
		return take_value(parser, requirement);
	}
	if (take(parser, "==") || take(parser, "=")) {
		requirement->relation = IS_IN;
		return take_value(parser, requirement);
	}
	if (take_keyword(parser, "in"))
		requirement->relation = IS_IN;
	else if (take_keyword(parser, "notin"))
		requirement->relation = IS_NOT_IN;
	else
		return refuse(parser, "after \"%s\" comes one of =, ==, !=, in, notin; not \"%.*s\"",
			      requirement->key, SHOWN_MAX, parser->at);
	return take_values(parser, requirement);
}

static int add_requirement(struct parser *parser, struct label_selector *selector)
{
	struct requirement *grown;

	if (selector->count == REQUIREMENTS_MAX)
		return refuse(parser, "more than %d requirements", REQUIREMENTS_MAX);
	grown = reallocarray(selector->requirements, selector->count + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	selector->requirements = grown;
	grown[selector->count] = (struct requirement){ 0 };
	return take_requirement(parser, &grown[selector->count++]);
}

int label_selector__parse(const char *text, struct label_selector **out, char *problem, size_t problem_size)
{
	struct parser parser = { text, problem, problem_size };
	struct label_selector *selector = calloc(1, sizeof(*selector));
	int err;

	if (!selector)
		return -ENOMEM;
	do {
		err = add_requirement(&parser, selector);
	} while (!err && take(&parser, ","));
	skip_blanks(&parser);
	if (!err && *parser.at)
		err = refuse(&parser, "\"%.*s\" is too much; a comma joins two requirements", SHOWN_MAX, parser.at);
	if (err) {
		label_selector__free(selector);
		return err;
	}
	*out = selector;
	return 0;
}

void label_selector__free(struct label_selector *selector)
{
	if (!selector)
		return;
	for (unsigned int i = 0; i < selector->count; i++) {
		struct requirement *requirement = &selector->requirements[i];

		for (unsigned int j = 0; j < requirement->values_count; j++)
			free(requirement->values[j]);
		free(requirement->values);
		free(requirement->key);
	}
	free(selector->requirements);
	free(selector);
}

static bool is_among(const struct requirement *requirement, const char *value)
{
	for (unsigned int i = 0; i < requirement->values_count; i++)
		if (strcmp(requirement->values[i], value) == 0)
			return true;
	return false;
}

static bool holds(const struct requirement *requirement, const struct labels *labels)
{
	const char *value = labels__get(labels, requirement->key);

	switch (requirement->relation) {
	case IS_THERE:
		return value;
	case IS_NOT_THERE:
		return !value;
	case IS_IN:
		return value && is_among(requirement, value);
	default:
		return !value || !is_among(requirement, value);
	}
}

bool label_selector__matches(const struct label_selector *selector, const struct labels *labels)
{
	for (unsigned int i = 0; i < selector->count; i++)
		if (!holds(&selector->requirements[i], labels))
			return false;
	return true;
}
