/*
 * What pods ask for themselves by annotations and labels: those of logtap's own, and those that
 * people have given their pods for other agents. Pure, any thread. Untrusted text.
 *
 * Of logtap.io:
 *   exclude: "true"           leave the pod out; "false": take it whatever is asked of other agents
 *   include: "true"           take it also where only what asks for it is taken; "false": leave it out
 *   exclude-containers: a,b   leave these containers out
 *   streams: stdout           leave all but these out; a list of stdout, stderr and file
 */
#ifndef LOGTAP_POD_ANNOTATIONS_H
#define LOGTAP_POD_ANNOTATIONS_H

#include "record.h"

struct labels;

/* A container's stream and its pod's words. Label sets may be NULL: none, or not known. */
struct pod_words {
	const struct labels *annotations;
	const struct labels *labels;
	const struct labels *namespace_labels;
	const char *container;   /* "" when its name is not known: then only what concerns the whole pod counts */
	enum stream_kind kind;   /* not STREAM_NONE */
};

enum asked {
	ASKED_NOTHING,
	ASKED_INCLUDE,           /* it asks to be captured */
	ASKED_EXCLUDE,
};

#define ANNOTATION_NAME_SIZE 384

/*
 * `unclear` gets the name of an annotation (or label) whose value means nothing, which is then ignored;
 * "" when there is none.
 */
enum asked pod_annotations__ask(const struct pod_words *words, char unclear[ANNOTATION_NAME_SIZE]);

#endif
