#include "log.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#define LINE_MAX_BYTES 2048

static enum log_level max_level = LOG_LEVEL_INFO;

static const char *const level_name[] = {
	[LOG_LEVEL_ERROR] = "error: ",
	[LOG_LEVEL_WARN] = "warning: ",
	[LOG_LEVEL_INFO] = "",
	[LOG_LEVEL_DEBUG] = "debug: ",
};

void log_set_level(enum log_level level)
{
	max_level = level;
}

bool log_enabled(enum log_level level)
{
	return level <= max_level;
}

void log_at(enum log_level level, const char *format, ...)
{
	char line[LINE_MAX_BYTES];
	va_list args;
	int len;
	int n;

	if (!log_enabled(level))
		return;
	len = snprintf(line, sizeof(line), "logtap: %s", level_name[level]);
	va_start(args, format);
	n = vsnprintf(line + len, sizeof(line) - len, format, args);
	va_end(args);
	len += n < 0 ? 0 : n;
	if (len > (int)sizeof(line) - 1)
		len = sizeof(line) - 1;
	/* Others' paths, names and messages are in it: none of them makes a line of its own, or speaks to a terminal. */
	for (int i = 0; i < len; i++)
		if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
			line[i] = '?';
	line[len++] = '\n';
	/* Nobody is left to tell when stderr itself fails. */
	if (write(STDERR_FILENO, line, len) < 0)
		return;
}
