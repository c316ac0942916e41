/* A real broker beside the tests of a program: tests/kafka/broker. Needs Java. */
#ifndef LOGTAP_REAL_BROKER_H
#define LOGTAP_REAL_BROKER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define BROKER "tests/kafka/broker"

static inline int shell(const char *format, ...)
{
	char command[2048];
	va_list args;

	va_start(args, format);
	vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	return system(command);
}

/* The broker's address over one of its listeners. The caller frees it. */
static inline char *broker_address(const char *directory, const char *listener)
{
	char command[256];
	char line[64] = "";
	FILE *output;

	snprintf(command, sizeof(command), BROKER " address %s %s", directory, listener);
	output = popen(command, "r");
	assert_non_null(fgets(line, sizeof(line), output));
	pclose(output);
	line[strcspn(line, "\n")] = '\0';
	return strdup(line);
}

#endif
