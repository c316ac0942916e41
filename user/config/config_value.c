#include "config_value.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "config_env.h"
#include "config_schema.h"

struct problem {
	char *text;
	size_t size;
};

#define refuse(problem, ...) (snprintf((problem)->text, (problem)->size, __VA_ARGS__), -EINVAL)

static int refuse_number(const struct config_rule *rule, const char *text, uint64_t value,
			 const struct problem *problem)
{
	char low[QUANTITY_TEXT], high[QUANTITY_TEXT];
	uint64_t below = rule->min;

	if (value < rule->min || value > rule->max)
		return refuse(problem, "%s is out of range; use %s to %s", text,
			      quantity__format(rule->quantity, rule->min, low),
			      quantity__format(rule->quantity, rule->max, high));
	while (below * 2 < value)
		below *= 2;
	return refuse(problem, "%s is not a power of two; use %s or %s", text,
		      quantity__format(rule->quantity, below, low),
		      quantity__format(rule->quantity, below * 2, high));
}

static int normalize_number(const struct config_rule *rule, const char *text, char **out,
			    const struct problem *problem)
{
	uint64_t value = UINT64_MAX;
	int err = quantity__parse(rule->quantity, text, &value);

	if (err == -EINVAL)
		return refuse(problem, "\"%s\" is not %s", text, quantity__forms(rule->quantity));
	if (value < rule->min || value > rule->max || (rule->power_of_two && (value & (value - 1))))
		return refuse_number(rule, text, value, problem);
	return asprintf(out, "%" PRIu64, value) < 0 ? -ENOMEM : 0;
}

static int normalize_bool(const char *text, char **out, const struct problem *problem)
{
	static const char *const words[][2] = { { "true", "false" },
						{ "yes", "no" },
						{ "on", "off" } };

	for (size_t i = 0; i < CYAML_ARRAY_LEN(words); i++) {
		for (int no = 0; no < 2; no++) {
			if (strcmp(text, words[i][no]) != 0)
				continue;
			*out = strdup(words[0][no]);
			return *out ? 0 : -ENOMEM;
		}
	}
	return refuse(problem, "\"%s\" is neither true nor false", text);
}

static int refuse_word(const cyaml_schema_value_t *schema, const char *text,
		       const struct problem *problem)
{
	uint32_t count = schema->enumeration.count;
	char words[256] = "";
	size_t len = 0;

	for (uint32_t i = 0; i < count && len < sizeof(words); i++)
		len += snprintf(words + len, sizeof(words) - len, "%s%s",
				i == 0 ? "" : i + 1 == count ? " or " : ", ",
				schema->enumeration.strings[i].str);
	return refuse(problem, "\"%s\" is not allowed; use %s", text, words);
}

static int normalize_word(const cyaml_schema_value_t *schema, const char *text, char **out,
			  const struct problem *problem)
{
	for (uint32_t i = 0; i < schema->enumeration.count; i++) {
		if (strcmp(text, schema->enumeration.strings[i].str) != 0)
			continue;
		*out = strdup(text);
		return *out ? 0 : -ENOMEM;
	}
	return refuse_word(schema, text, problem);
}

static int normalize_string(const cyaml_schema_value_t *schema, const char *text, char **out,
			    const struct problem *problem)
{
	size_t len = strlen(text);

	if (len < schema->string.min)
		return refuse(problem, "must not be empty");
	if (len > schema->string.max)
		return refuse(problem, "is %zu bytes long; at most %" PRIu32 " are allowed", len,
			      schema->string.max);
	*out = strdup(text);
	return *out ? 0 : -ENOMEM;
}

int config_value__normalize(const cyaml_schema_value_t *schema, const struct config_rule *rule,
			    const char *text, char **out, char *problem_text, size_t problem_size)
{
	struct problem problem = { problem_text, problem_size };
	char *expanded = NULL;
	int err = config_env__expand(text, &expanded, problem_text, problem_size);

	if (err)
		return err;
	/* The file is UTF-8 or did not parse; the environment may hold anything. */
	if (json__measure(expanded, strlen(expanded)).invalid_utf8)
		err = refuse(&problem, "is not UTF-8");
	else if (schema->type == CYAML_UINT)
		err = normalize_number(rule, expanded, out, &problem);
	else if (schema->type == CYAML_BOOL)
		err = normalize_bool(expanded, out, &problem);
	else if (schema->type == CYAML_ENUM)
		err = normalize_word(schema, expanded, out, &problem);
	else
		err = normalize_string(schema, expanded, out, &problem);
	free(expanded);
	return err;
}
