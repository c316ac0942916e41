#include "config_walk.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/nearest.h"
#include "config_schema.h"
#include "config_source.h"
#include "config_value.h"

#define PROBLEM_MAX 512

struct walk {
	yaml_document_t *in;
	yaml_document_t *out;
	struct config_source *source;
	int err;                 /* sticky: -ENOMEM */
};

#define mistake(walk, node, key, ...) \
	config_source__mistake((walk)->source, (node)->start_mark.line + 1, key, __VA_ARGS__)

static int walk_mapping(struct walk *walk, const char *path, yaml_node_t *node,
			const cyaml_schema_value_t *schema);

/* A node id of the document that is made; 0, which is no node, when memory is out. */
static int made(struct walk *walk, int id)
{
	if (!id)
		walk->err = -ENOMEM;
	return id;
}

static int make_scalar(struct walk *walk, const char *text)
{
	/* Quoted, so that nothing in it can be taken for YAML again. */
	return made(walk, yaml_document_add_scalar(walk->out, NULL, (const yaml_char_t *)text, -1,
						   YAML_DOUBLE_QUOTED_SCALAR_STYLE));
}

static int make_mapping(struct walk *walk)
{
	return made(walk, yaml_document_add_mapping(walk->out, NULL, YAML_BLOCK_MAPPING_STYLE));
}

static int make_sequence(struct walk *walk)
{
	return made(walk, yaml_document_add_sequence(walk->out, NULL, YAML_BLOCK_SEQUENCE_STYLE));
}

static void make_pair(struct walk *walk, int mapping, const char *key, int value)
{
	int key_id = make_scalar(walk, key);

	if (mapping && key_id && value)
		made(walk, yaml_document_append_mapping_pair(walk->out, mapping, key_id, value));
}

static void make_item(struct walk *walk, int sequence, int value)
{
	if (sequence && value)
		made(walk, yaml_document_append_sequence_item(walk->out, sequence, value));
}

static const char *scalar_text(const yaml_node_t *node)
{
	return (const char *)node->data.scalar.value;
}

/* A key with nothing behind it. */
static bool is_null(const yaml_node_t *node)
{
	const char *text;

	if (node->type != YAML_SCALAR_NODE || node->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
		return false;
	text = scalar_text(node);
	return !*text || strcmp(text, "~") == 0 || strcmp(text, "null") == 0;
}

/* `!name`, as a label's absence is written. */
static bool is_tag(const yaml_node_t *node)
{
	return node->tag && node->tag[0] == '!' && node->tag[1];
}

static void join(char path[CONFIG_KEY_MAX], const char *section, const char *key)
{
	snprintf(path, CONFIG_KEY_MAX, "%s%s%s", section, *section ? "." : "", key);
}

/* The text of a scalar that can be a C string, or NULL with a mistake noted. */
static const char *plain_text(struct walk *walk, const char *path, const yaml_node_t *node,
			      const char *what)
{
	if (node->type != YAML_SCALAR_NODE)
		mistake(walk, node, path, "%s must be plain text, not a %s", what,
			node->type == YAML_MAPPING_NODE ? "mapping" : "list");
	else if (strlen(scalar_text(node)) != node->data.scalar.length)
		mistake(walk, node, path, "%s holds a NUL byte", what);
	else
		return scalar_text(node);
	return NULL;
}

/* The following return the node made, or 0 when the file's value is mistaken. */
static int walk_scalar(struct walk *walk, const char *path, const yaml_node_t *node,
		       const cyaml_schema_value_t *schema)
{
	const char *text = plain_text(walk, path, node, "the value");
	char problem[PROBLEM_MAX];
	char *value = NULL;
	int id = 0;
	int err;

	if (!text)
		return 0;
	if (is_null(node)) {
		if (is_tag(node))
			mistake(walk, node, path, "YAML takes %s for a tag; quote it: \"%s\"", (const char *)node->tag,
				(const char *)node->tag);
		else
			mistake(walk, node, path, "has no value; give it one, or remove the key");
		return 0;
	}
	err = config_value__normalize(schema, config_schema__rule(path), text, &value, problem,
				      sizeof(problem));
	if (!err)
		id = make_scalar(walk, value);
	else if (err == -EINVAL)
		mistake(walk, node, path, "%s", problem);
	else
		walk->err = err;
	free(value);
	return id;
}

/* Its line is kept under "key[index]", by which a mapping's keys are told, too. */
static int walk_item(struct walk *walk, const char *path, unsigned int index, yaml_node_t *node,
		     const cyaml_schema_value_t *schema)
{
	char item[CONFIG_KEY_MAX + 16];

	snprintf(item, sizeof(item), "%s[%u]", path, index);
	config_source__place(walk->source, item, node->start_mark.line + 1);
	if (schema->type == CYAML_MAPPING)
		return walk_mapping(walk, item, is_null(node) ? NULL : node, schema);
	return walk_scalar(walk, path, node, schema);
}

static int walk_list(struct walk *walk, const char *path, yaml_node_t *node,
		     const cyaml_schema_value_t *schema)
{
	int list = make_sequence(walk);
	uint32_t count = 0;

	if (node->type != YAML_SEQUENCE_NODE) {
		mistake(walk, node, path,
			"must be a list: one line \"- VALUE\" for each, or [VALUE, ...]");
		return 0;
	}
	for (yaml_node_item_t *item = node->data.sequence.items.start;
	     item < node->data.sequence.items.top; item++) {
		yaml_node_t *value = yaml_document_get_node(walk->in, *item);

		if (count++ == schema->sequence.max) {
			mistake(walk, value, path, "more than %u entries", schema->sequence.max);
			return 0;
		}
		make_item(walk, list, walk_item(walk, path, count - 1, value, schema->sequence.entry));
	}
	return list;
}

static void unknown_key(struct walk *walk, const char *path, const yaml_node_t *node,
			const char *key, const cyaml_schema_field_t *fields)
{
	struct nearest nearest;
	char allowed[512] = "";
	size_t len = 0;

	nearest__begin(&nearest, key);
	for (const cyaml_schema_field_t *field = fields; field->key; field++) {
		nearest__offer(&nearest, field->key);
		if (len < sizeof(allowed))
			len += snprintf(allowed + len, sizeof(allowed) - len, "%s%s",
					len ? ", " : "", field->key);
	}
	if (*nearest.found)
		mistake(walk, node, path, "unknown key; did you mean \"%s\"? Allowed here: %s",
			nearest.found, allowed);
	else
		mistake(walk, node, path, "unknown key. Allowed here: %s", allowed);
}

/*
 * The key of a pair, with its path and line noted; NULL with a mistake noted when it cannot be
 * used.
 */
static const char *walk_key(struct walk *walk, const char *section, int key_id,
			    char path[CONFIG_KEY_MAX])
{
	yaml_node_t *node = yaml_document_get_node(walk->in, key_id);
	const char *key = plain_text(walk, section, node, "a key");
	unsigned int line = node->start_mark.line + 1;
	unsigned int first;

	if (!key)
		return NULL;
	join(path, section, key);
	first = config_source__line(walk->source, path);
	if (first) {
		mistake(walk, node, path, "given twice; it is on line %u already", first);
		return NULL;
	}
	config_source__place(walk->source, path, line);
	return key;
}

/* The names of headers and properties are the file's own. */
static bool is_name(struct walk *walk, const char *path, const yaml_node_t *key, const cyaml_schema_value_t *schema)
{
	if (key->data.scalar.length >= schema->string.min && key->data.scalar.length <= schema->string.max)
		return true;
	mistake(walk, key, path, "a name has %" PRIu32 " to %" PRIu32 " bytes, not %zu", schema->string.min, schema->string.max,
		key->data.scalar.length);
	return false;
}

static int walk_pairs(struct walk *walk, const char *section, yaml_node_t *node,
		      const cyaml_schema_value_t *schema)
{
	const cyaml_schema_field_t *fields = schema->sequence.entry->mapping.fields;
	int list = make_sequence(walk);

	if (node->type != YAML_MAPPING_NODE) {
		mistake(walk, node, section, "must be a mapping: lines of \"NAME: VALUE\"");
		return 0;
	}
	for (yaml_node_pair_t *pair = node->data.mapping.pairs.start;
	     pair < node->data.mapping.pairs.top; pair++) {
		char path[CONFIG_KEY_MAX];
		const char *key = walk_key(walk, section, pair->key, path);
		int value, entry;

		if (!key || !is_name(walk, path, yaml_document_get_node(walk->in, pair->key), &fields[0].value))
			continue;
		value = walk_scalar(walk, path, yaml_document_get_node(walk->in, pair->value),
				    &fields[1].value);
		if (!value)
			continue;
		entry = make_mapping(walk);
		make_pair(walk, entry, fields[0].key, make_scalar(walk, key));
		make_pair(walk, entry, fields[1].key, value);
		make_item(walk, list, entry);
	}
	return list;
}

static int preset_value(struct walk *walk, const char *path, const cyaml_schema_value_t *schema,
			const struct config_rule *rule)
{
	char problem[PROBLEM_MAX];
	char *value = NULL;
	int id = 0;
	int err;

	err = config_value__normalize(schema, rule, rule->preset, &value, problem, sizeof(problem));
	if (!err)
		id = make_scalar(walk, value);
	else if (err != -EINVAL)
		walk->err = err;
	free(value);
	if (err != -EINVAL)
		return id;
	config_source__mistake(walk->source, 0, path, "%s: %s", rule->preset, problem);
	/* The environment's, of which a text is made: the rest is to be checked, too. */
	return make_scalar(walk, "");
}

static int preset(struct walk *walk, const char *path, const cyaml_schema_value_t *schema)
{
	const struct config_rule *rule = config_schema__rule(path);
	int list;

	if (schema->type == CYAML_MAPPING)
		return walk_mapping(walk, path, NULL, schema);
	if (schema->type != CYAML_SEQUENCE)
		return preset_value(walk, path, schema, rule);
	list = make_sequence(walk);
	if (rule)
		make_item(walk, list, preset_value(walk, path, schema->sequence.entry, rule));
	return list;
}

static int walk_value(struct walk *walk, const char *path, yaml_node_t *node,
		      const cyaml_schema_value_t *schema)
{
	switch (schema->type) {
	case CYAML_MAPPING:
		return is_null(node) ? 0 : walk_mapping(walk, path, node, schema);
	case CYAML_SEQUENCE:
		if (is_null(node))
			return 0;
		if (config_schema__is_pairs(schema))
			return walk_pairs(walk, path, node, schema);
		return walk_list(walk, path, node, schema);
	default:
		return walk_scalar(walk, path, node, schema);
	}
}

static const cyaml_schema_field_t *find_field(const cyaml_schema_field_t *field, const char *key)
{
	while (field->key && strcmp(field->key, key) != 0)
		field++;
	return field->key ? field : NULL;
}

/* Walks what the file has, in its order. `values` gets the nodes made, by field. */
static void walk_fields(struct walk *walk, const char *section, yaml_node_t *node,
			const cyaml_schema_field_t *fields, int *values)
{
	if (node->type != YAML_MAPPING_NODE) {
		mistake(walk, node, section, "must be a mapping: lines of \"KEY: VALUE\"");
		return;
	}
	for (yaml_node_pair_t *pair = node->data.mapping.pairs.start;
	     pair < node->data.mapping.pairs.top; pair++) {
		char path[CONFIG_KEY_MAX];
		const char *key = walk_key(walk, section, pair->key, path);
		const cyaml_schema_field_t *field = key ? find_field(fields, key) : NULL;

		if (key && !field)
			unknown_key(walk, path, yaml_document_get_node(walk->in, pair->key), key,
				    fields);
		if (field)
			values[field - fields] = walk_value(
				walk, path, yaml_document_get_node(walk->in, pair->value),
				&field->value);
	}
}

/* `node` NULL: the file does not have it. */
static int walk_mapping(struct walk *walk, const char *section, yaml_node_t *node,
			const cyaml_schema_value_t *schema)
{
	const cyaml_schema_field_t *fields = schema->mapping.fields;
	int mapping = make_mapping(walk);
	int values[CONFIG_FIELDS_MAX] = { 0 };

	if (node)
		walk_fields(walk, section, node, fields, values);
	for (unsigned int i = 0; fields[i].key; i++) {
		char path[CONFIG_KEY_MAX];

		join(path, section, fields[i].key);
		if (!values[i])
			values[i] = preset(walk, path, &fields[i].value);
		make_pair(walk, mapping, fields[i].key, values[i]);
	}
	return mapping;
}

int config_walk(yaml_document_t *in, yaml_document_t *out, struct config_source *source)
{
	struct walk walk = { .in = in, .out = out, .source = source };
	yaml_node_t *root = yaml_document_get_root_node(in);

	/* The first node made is the root of the document. */
	walk_mapping(&walk, "", root && !is_null(root) ? root : NULL, &config_schema);
	return walk.err;
}
