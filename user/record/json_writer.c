#include "json_writer.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "field_filter.h"

void json_writer__quote(FILE *out, const char *text)
{
	size_t length = strlen(text);
	struct json_shape shape = json__measure(text, length);
	char *escaped = malloc(shape.len + 1);

	fputc('"', out);
	if (escaped) {
		json__escape(escaped, text, length, shape);
		fwrite(escaped, 1, shape.len, out);
	}
	fputc('"', out);
	free(escaped);
}

static void begin_member(struct json_writer *writer, const char *name)
{
	if (writer->comma)
		fputc(',', writer->out);
	json_writer__quote(writer->out, name);
	fputc(':', writer->out);
	writer->comma = true;
}

static void begin_objects(struct json_writer *writer)
{
	while (writer->written < writer->depth) {
		begin_member(writer, writer->names[writer->written++]);
		fputc('{', writer->out);
		writer->comma = false;
	}
}

void json_writer__open(struct json_writer *writer, const char *name)
{
	writer->names[writer->depth++] = name;
}

void json_writer__close(struct json_writer *writer)
{
	if (writer->written == writer->depth--) {
		writer->written--;
		fputc('}', writer->out);
	}
}

void json_writer__begin(struct json_writer *writer, const char *name)
{
	begin_objects(writer);
	begin_member(writer, name);
}

static bool tells(const struct json_writer *writer, const char *name)
{
	char path[FIELD_PATH_MAX];
	size_t length = 0;

	for (unsigned int i = 0; i < writer->depth && length < sizeof(path); i++)
		length += snprintf(path + length, sizeof(path) - length, "%s.", writer->names[i]);
	if (length < sizeof(path))
		snprintf(path + length, sizeof(path) - length, "%s", name);
	return field_filter__tells(writer->fields, path);
}

void json_writer__text(struct json_writer *writer, const char *name, const char *value)
{
	if (!tells(writer, name))
		return;
	json_writer__begin(writer, name);
	json_writer__quote(writer->out, value);
}

void json_writer__string(struct json_writer *writer, const char *name, const char *value)
{
	if (value && *value)
		json_writer__text(writer, name, value);
}

void json_writer__raw(struct json_writer *writer, const char *name, const char *value)
{
	if (tells(writer, name))
		json_writer__always(writer, name, value);
}

void json_writer__always(struct json_writer *writer, const char *name, const char *value)
{
	json_writer__begin(writer, name);
	fputs(value, writer->out);
}

void json_writer__strings(struct json_writer *writer, const char *name, char *const *values, unsigned int most)
{
	char *array = NULL;
	size_t size;
	FILE *out = most && values[0] ? open_memstream(&array, &size) : NULL;

	if (!out)
		return;
	for (unsigned int i = 0; i < most && values[i]; i++) {
		fputc(i ? ',' : '[', out);
		json_writer__quote(out, values[i]);
	}
	fputc(']', out);
	if (!fclose(out))
		json_writer__raw(writer, name, array);
	free(array);
}

void json_writer__digits(struct json_writer *writer, const char *name, const char *digits)
{
	if (!digits || !*digits || digits[strspn(digits, "0123456789")])
		return;
	/* JSON's numbers have no zeros before them. */
	while (digits[0] == '0' && digits[1])
		digits++;
	json_writer__raw(writer, name, digits);
}
