/* Feeds the real parser: no input may crash it, leak, or be refused without a word. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/config.h"
#include "config/config_load.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config *config = NULL;
	char *text = NULL;
	size_t len = 0;
	FILE *errors = open_memstream(&text, &len);
	int err = config__parse("fuzz", (const char *)data, size, errors, &config);

	fclose(errors);
	if ((err == 0) != (len == 0) || (err == 0) != (config != NULL))
		abort();
	free(text);
	config__free(config);
	return 0;
}
