#include "config_load.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cyaml/cyaml.h>
#include <yaml.h>

#include "base/config.h"
#include "config_check.h"
#include "config_schema.h"
#include "config_source.h"
#include "config_walk.h"

/* Far more than a configuration needs; libyaml's time grows with the square of the nesting. */
#define FILE_SIZE_MAX (64 << 10)
#define HOST_NAME_SIZE 256

static const cyaml_config_t cyaml_settings = {
	.mem_fn = cyaml_mem,     /* realloc and free */
};

/* libyaml tells no line of bytes that it does not read. */
static unsigned int line_at(const char *text, size_t offset)
{
	unsigned int line = 1;

	for (const char *at = text; (at = memchr(at, '\n', text + offset - at)); at++)
		line++;
	return line;
}

static void syntax_mistake(const yaml_parser_t *parser, const char *text, size_t len, struct config_source *source)
{
	const char *problem = parser->problem ? parser->problem : "unknown problem";
	size_t offset = parser->problem_offset < len ? parser->problem_offset : len;

	if (parser->error == YAML_READER_ERROR)
		config_source__mistake(source, line_at(text, offset), "",
				       "not UTF-8 text at byte %zu of the file: %s; remove that byte, or save the file as UTF-8",
				       parser->problem_offset, problem);
	else
		config_source__mistake(
			source, parser->problem_mark.line + 1, "",
			"not valid YAML at column %zu: %s%s%s; indent with spaces and quote text "
			"that has special characters",
			parser->problem_mark.column + 1, problem, parser->context ? " " : "",
			parser->context ? parser->context : "");
}

/* A second document would be ignored in silence. */
static void check_end(yaml_parser_t *parser, const char *text, size_t len, struct config_source *source)
{
	yaml_document_t rest;
	yaml_node_t *root;

	if (!yaml_parser_load(parser, &rest)) {
		syntax_mistake(parser, text, len, source);
		return;
	}
	root = yaml_document_get_root_node(&rest);
	if (root)
		config_source__mistake(
			source, root->start_mark.line + 1, "",
			"a second YAML document; put everything into one, without \"---\"");
	yaml_document_delete(&rest);
}

static int walk_text(const char *text, size_t len, yaml_document_t *out,
		     struct config_source *source)
{
	yaml_parser_t parser;
	yaml_document_t in;
	int err;

	if (!yaml_parser_initialize(&parser))
		return -ENOMEM;
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
	if (!yaml_parser_load(&parser, &in)) {
		err = parser.error == YAML_MEMORY_ERROR ? -ENOMEM : -EINVAL;
		if (err == -EINVAL)
			syntax_mistake(&parser, text, len, source);
	} else {
		err = config_walk(&in, out, source);
		yaml_document_delete(&in);
		if (!err)
			check_end(&parser, text, len, source);
	}
	yaml_parser_delete(&parser);
	return err;
}

static int write_memory(void *stream, unsigned char *data, size_t size)
{
	return fwrite(data, 1, size, stream) == size;
}

/* Empties `document`. */
static int emit(yaml_document_t *document, char **text, size_t *len)
{
	FILE *stream = open_memstream(text, len);
	yaml_emitter_t emitter;
	int ok;

	if (!stream)
		return -ENOMEM;
	ok = yaml_emitter_initialize(&emitter);
	if (ok) {
		yaml_emitter_set_output(&emitter, write_memory, stream);
		ok = yaml_emitter_dump(&emitter, document) && yaml_emitter_close(&emitter);
		yaml_emitter_delete(&emitter);
	}
	if (fclose(stream) || !ok) {
		free(*text);
		*text = NULL;
		return -ENOMEM;
	}
	return 0;
}

static unsigned int automatic_shards(void)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	if (cpus <= 2)
		return 1;
	return cpus <= 8 ? 2 : 4;
}

/* What depends on the machine. */
static int complete(struct config *config)
{
	char *name;

	if (!config->capture.shards)
		config->capture.shards = automatic_shards();
	if (config->node[0])
		return 0;
	name = calloc(1, HOST_NAME_SIZE);
	if (!name)
		return -ENOMEM;
	if (gethostname(name, HOST_NAME_SIZE - 1) || !name[0])
		strcpy(name, "localhost");
	free(config->node);
	config->node = name;
	return 0;
}

/* The document has passed the walk, so that only memory can be missing here. */
static int load_document(yaml_document_t *document, struct config **out)
{
	struct config *config = NULL;
	char *text = NULL;
	size_t len = 0;
	int err;

	err = emit(document, &text, &len);
	if (err)
		return err;
	if (cyaml_load_data((const uint8_t *)text, len, &cyaml_settings, &config_schema,
			    (cyaml_data_t **)&config, NULL) != CYAML_OK)
		err = -ENOMEM;
	free(text);
	if (!err)
		err = complete(config);
	if (err) {
		config__free(config);
		return err;
	}
	*out = config;
	return 0;
}

static int parse(const char *text, size_t len, struct config_source *source, struct config **out)
{
	yaml_document_t document;
	int err;

	if (!yaml_document_initialize(&document, NULL, NULL, NULL, 1, 1))
		return -ENOMEM;
	err = walk_text(text, len, &document, source);
	if (!err)
		err = load_document(&document, out);
	yaml_document_delete(&document);
	if (!err)
		config_check(*out, source);
	return err;
}

int config__parse(const char *name, const char *text, size_t len, FILE *errors, struct config **out)
{
	struct config_source *source = config_source__new();
	struct config *config = NULL;
	int parsed = source ? parse(text, len, source, &config) : -ENOMEM;
	int reported = source ? config_source__report(source, name, errors) : 0;

	if (parsed == -ENOMEM)
		fprintf(errors, "%s: out of memory while reading it\n", name);
	config_source__free(source);
	if (parsed || reported) {
		config__free(config);
		return parsed ? parsed : reported;
	}
	*out = config;
	return 0;
}

static int read_file(const char *path, char **text, size_t *len)
{
	FILE *file = fopen(path, "re");
	char *buffer = file ? malloc(FILE_SIZE_MAX + 1) : NULL;
	int err = 0;

	if (!buffer) {
		err = -errno;
		goto out;
	}
	*len = fread(buffer, 1, FILE_SIZE_MAX + 1, file);
	if (ferror(file))
		err = -errno;
	else if (*len > FILE_SIZE_MAX)
		err = -EFBIG;
	else
		*text = buffer;
out:
	if (file)
		fclose(file);
	if (err)
		free(buffer);
	return err;
}

int config__load(const char *path, FILE *errors, struct config **out)
{
	char *text = NULL;
	size_t len = 0;
	int err;

	if (!path)
		return config__parse("default configuration", "", 0, errors, out);
	err = read_file(path, &text, &len);
	if (err == -EFBIG)
		fprintf(errors, "%s: longer than %d KiB; is it a configuration?\n", path, FILE_SIZE_MAX >> 10);
	else if (err)
		fprintf(errors, "%s: cannot be read: %s\n", path, strerror(-err));
	if (err)
		return err;
	err = config__parse(path, text, len, errors, out);
	free(text);
	return err;
}

void config__free(struct config *config)
{
	cyaml_free(&cyaml_settings, &config_schema, config, 0);
}

/* As text, so that no key can be forgotten. NULL without memory. */
static char *selection_text(const struct config *config, size_t *len)
{
	char *text = NULL;

	if (cyaml_save_data(&text, len, &cyaml_settings, &config_selection_schema,
			    (const cyaml_data_t *)&config->selection, 0) != CYAML_OK)
		return NULL;
	return text;
}

bool config__selects_alike(const struct config *one, const struct config *other)
{
	size_t one_len = 0, other_len = 0;
	char *one_text = selection_text(one, &one_len);
	char *other_text = selection_text(other, &other_len);
	bool alike = one_text && other_text && one_len == other_len && !memcmp(one_text, other_text, one_len);

	free(one_text);
	free(other_text);
	return alike;
}
