/* Parses any text as a selector: what is refused is explained, what is taken can be asked. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "identity/labels.h"
#include "selection/label_selector.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct label_selector *selector = NULL;
	char *text = strndup((const char *)data, size);
	struct labels labels = { 0 };
	char problem[64] = "";

	if (!text)
		return 0;
	labels__set(&labels, "app", "web");
	labels__set(&labels, "in", "");
	if (label_selector__parse(text, &selector, problem, sizeof(problem))) {
		if (selector || !*problem)
			abort();
	} else {
		label_selector__matches(selector, &labels);
	}
	label_selector__free(selector);
	labels__free(&labels);
	free(text);
	return 0;
}
