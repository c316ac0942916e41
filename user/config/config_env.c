#include "config_env.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_MAX_LEN 128

static size_t name_len(const char *text)
{
	size_t len = 0;

	if (!isalpha((unsigned char)text[0]) && text[0] != '_')
		return 0;
	while (isalnum((unsigned char)text[len]) || text[len] == '_')
		len++;
	return len;
}

/*
 * `text` is just after "${". Writes the value and returns what follows the "}", or NULL with a
 * problem.
 */
static const char *expand_one(const char *text, FILE *out, char *problem, size_t problem_size)
{
	const char *end = strchr(text, '}');
	size_t len = name_len(text);
	char name[NAME_MAX_LEN];
	const char *value;

	if (!end) {
		snprintf(problem, problem_size,
			 "\"${\" without its \"}\"; write $$ for a dollar sign");
		return NULL;
	}
	if (memmem(text, end - text, "${", 2)) {
		snprintf(problem, problem_size, "\"${%.*s}\": a default cannot hold another ${...}",
			 (int)(end - text), text);
		return NULL;
	}
	if (!len || len >= sizeof(name) ||
	    (text + len != end && strncmp(text + len, ":-", 2) != 0)) {
		snprintf(problem, problem_size,
			 "\"${%.*s}\" names no environment variable; write ${NAME} or "
			 "${NAME:-default}, and $$ for a dollar sign",
			 (int)(end - text), text);
		return NULL;
	}
	snprintf(name, sizeof(name), "%.*s", (int)len, text);
	value = getenv(name);
	if (text + len == end && !value) {
		snprintf(problem, problem_size,
			 "the environment variable %s is not set; set it, or write ${%s:-default}",
			 name, name);
		return NULL;
	}
	if (value && (*value || text + len == end))
		fputs(value, out);
	else
		fwrite(text + len + 2, 1, end - text - len - 2, out);
	return end + 1;
}

static int expand(const char *text, FILE *out, char *problem, size_t problem_size)
{
	while (*text) {
		if (strncmp(text, "$$", 2) == 0) {
			fputc('$', out);
			text += 2;
		} else if (strncmp(text, "${", 2) == 0) {
			text = expand_one(text + 2, out, problem, problem_size);
			if (!text)
				return -EINVAL;
		} else {
			fputc(*text++, out);
		}
	}
	return 0;
}

int config_env__expand(const char *text, char **out, char *problem, size_t problem_size)
{
	char *value = NULL;
	size_t len;
	FILE *stream = open_memstream(&value, &len);
	int err;

	if (!stream)
		return -ENOMEM;
	err = expand(text, stream, problem, problem_size);
	if (fclose(stream) && !err)
		err = -ENOMEM;
	if (err) {
		free(value);
		return err;
	}
	*out = value;
	return 0;
}
