/* The first line is a container's name, each further one NAME=VALUE; whatever a pod has must do no harm. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "identity/labels.h"
#include "selection/pod_annotations.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ask(const struct pod_words *words)
{
	char unclear[ANNOTATION_NAME_SIZE];
	enum asked asked = pod_annotations__ask(words, unclear);

	if (asked > ASKED_EXCLUDE || strlen(unclear) >= sizeof(unclear))
		abort();
	/* What is unclear is there. */
	if (*unclear && !labels__get(words->annotations, unclear) && !labels__get(words->labels, unclear))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = strndup((const char *)data, size);
	struct labels labels = { 0 };
	struct pod_words words = { &labels, &labels, &labels, "", STREAM_NONE };
	char *rest = text;

	if (!text)
		return 0;
	words.container = strsep(&rest, "\n");
	while (rest) {
		char *value = strsep(&rest, "\n");
		char *name = strsep(&value, "=");

		labels__set(&labels, name, value ? value : "");
	}
	for (words.kind = STREAM_STDOUT; words.kind <= STREAM_FILE; words.kind++)
		ask(&words);
	labels__free(&labels);
	free(text);
	return 0;
}
