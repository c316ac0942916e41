#include "pod_annotations.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "identity/labels.h"

/* What a value says of a yes-or-no question. */
enum answer { ANSWER_NONE, ANSWER_YES, ANSWER_NO, ANSWER_UNCLEAR };

enum dialect {
	EXACT,                   /* "true" and "false", nothing else */
	GO,                      /* strconv.ParseBool */
	FLUENT_BIT,              /* flb_utils_bool: true, on, yes, in any case */
	LOOSE,                   /* all of these */
};

static const struct {
	const char *word;
	bool any_case;
	unsigned int dialects;
	enum answer answer;
} answers[] = {
	{ "true", false, 1 << EXACT | 1 << GO, ANSWER_YES },
	{ "false", false, 1 << EXACT | 1 << GO, ANSWER_NO },
	{ "TRUE", false, 1 << GO, ANSWER_YES },
	{ "FALSE", false, 1 << GO, ANSWER_NO },
	{ "True", false, 1 << GO, ANSWER_YES },
	{ "False", false, 1 << GO, ANSWER_NO },
	{ "t", true, 1 << GO | 1 << LOOSE, ANSWER_YES },
	{ "f", true, 1 << GO | 1 << LOOSE, ANSWER_NO },
	{ "1", false, 1 << GO | 1 << LOOSE, ANSWER_YES },
	{ "0", false, 1 << GO | 1 << LOOSE, ANSWER_NO },
	{ "true", true, 1 << FLUENT_BIT | 1 << LOOSE, ANSWER_YES },
	{ "false", true, 1 << FLUENT_BIT | 1 << LOOSE, ANSWER_NO },
	{ "on", true, 1 << FLUENT_BIT | 1 << LOOSE, ANSWER_YES },
	{ "off", true, 1 << FLUENT_BIT | 1 << LOOSE, ANSWER_NO },
	{ "yes", true, 1 << FLUENT_BIT | 1 << LOOSE, ANSWER_YES },
	{ "no", true, 1 << FLUENT_BIT | 1 << LOOSE, ANSWER_NO },
};

enum place { ANNOTATION, LABEL, NAMESPACE_LABEL };

#define FORMS_MAX 4

/*
 * One question of a project's. Of its forms the first that the pod has counts: those of a container come
 * before the pod's. %C stands for the container's name, %S for stdout or stderr.
 */
struct question {
	enum place place;
	enum dialect dialect;
	enum asked on_yes, on_no;
	const char *forms[FORMS_MAX];
};

/* Fluent Bit, plugins/filter_kubernetes/kube_property.c: flb_kube_prop_set. */
#define FLUENT "fluentbit.io/exclude"
/* Beats, libbeat/autodiscover and filebeat/autodiscover/builder/hints: GenerateHints, IsEnabled, IsDisabled. */
#define ELASTIC "co.elastic.logs"
/* OpenTelemetry collector, receiver/receivercreator/discovery.go: discoveryEnabled; a "false" opts out. */
#define OTEL "io.opentelemetry.discovery.logs"
/*
 * Datadog's agent, util/containers: IsExcludedByAnnotationInner. There a pod's true also wins over its
 * container's false; here a container's word always comes first.
 */
#define DATADOG "ad.datadoghq.com"

static const struct question others[] = {
	{ ANNOTATION, FLUENT_BIT, ASKED_EXCLUDE, ASKED_NOTHING,
	  { FLUENT "_%S-%C", FLUENT "-%C", FLUENT "_%S", FLUENT } },
	{ ANNOTATION, GO, ASKED_INCLUDE, ASKED_EXCLUDE, { ELASTIC ".%C/enabled", ELASTIC "/enabled" } },
	/* Vector, sources/kubernetes_logs/mod.rs: prepare_label_selector, of pods and of namespaces. */
	{ LABEL, EXACT, ASKED_EXCLUDE, ASKED_NOTHING, { "vector.dev/exclude" } },
	{ NAMESPACE_LABEL, EXACT, ASKED_EXCLUDE, ASKED_NOTHING, { "vector.dev/exclude" } },
	{ ANNOTATION, GO, ASKED_EXCLUDE, ASKED_NOTHING, { DATADOG "/%C.logs_exclude", DATADOG "/logs_exclude" } },
	{ ANNOTATION, GO, ASKED_EXCLUDE, ASKED_NOTHING, { DATADOG "/%C.exclude", DATADOG "/exclude" } },
	/* Splunk's chart for the OpenTelemetry collector, which filters by it strictly. */
	{ ANNOTATION, EXACT, ASKED_EXCLUDE, ASKED_NOTHING, { "splunk.com/exclude" } },
	{ ANNOTATION, EXACT, ASKED_INCLUDE, ASKED_EXCLUDE, { OTEL ".%C/enabled", OTEL "/enabled" } },
};

#define OTHERS (sizeof(others) / sizeof(others[0]))

static const struct question own_exclude = {
	ANNOTATION, LOOSE, ASKED_EXCLUDE, ASKED_NOTHING, { "logtap.io/exclude" }
};

static const struct question own_include = {
	ANNOTATION, LOOSE, ASKED_INCLUDE, ASKED_EXCLUDE, { "logtap.io/include" }
};

#define OWN_CONTAINERS "logtap.io/exclude-containers"
#define OWN_STREAMS "logtap.io/streams"
/* Vector, kubernetes_logs/k8s_paths_provider.rs: extract_excluded_containers_for_pod. */
#define VECTOR_CONTAINERS "vector.dev/exclude-containers"

static const char *stream_name(enum stream_kind kind)
{
	return kind == STREAM_FILE ? "file" : kind == STREAM_STDOUT ? "stdout" : "stderr";
}

/* What stands for a placeholder; "" when nothing does. */
static const char *filling(char placeholder, const struct pod_words *words)
{
	if (placeholder == 'C')
		return words->container;
	return words->kind == STREAM_FILE ? "" : stream_name(words->kind);
}

static bool append(char name[ANNOTATION_NAME_SIZE], size_t *used, const char *text, size_t length)
{
	if (*used + length >= ANNOTATION_NAME_SIZE)
		return false;
	memcpy(name + *used, text, length);
	*used += length;
	name[*used] = 0;
	return true;
}

/* False when it is none of this container's or stream's, or is too long for one. */
static bool expand(const char *form, const struct pod_words *words, char name[ANNOTATION_NAME_SIZE])
{
	size_t used = 0;

	name[0] = 0;
	while (*form) {
		size_t length = strcspn(form, "%");
		const char *filled;

		if (!append(name, &used, form, length))
			return false;
		form += length;
		if (!*form)
			break;
		filled = filling(form[1], words);
		if (!*filled || !append(name, &used, filled, strlen(filled)))
			return false;
		form += 2;
	}
	return true;
}

static const struct labels *labels_at(const struct pod_words *words, enum place place)
{
	switch (place) {
	case ANNOTATION:
		return words->annotations;
	case LABEL:
		return words->labels;
	default:
		return words->namespace_labels;
	}
}

static enum answer understand(enum dialect dialect, const char *value)
{
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		if (!(answers[i].dialects & 1 << dialect))
			continue;
		if (answers[i].any_case ? !strcasecmp(value, answers[i].word) : !strcmp(value, answers[i].word))
			return answers[i].answer;
	}
	return ANSWER_UNCLEAR;
}

/* The first form that is there and means something. */
static enum answer answer(const struct question *question, const struct pod_words *words,
			  char unclear[ANNOTATION_NAME_SIZE])
{
	const struct labels *labels = labels_at(words, question->place);
	char name[ANNOTATION_NAME_SIZE];

	for (int i = 0; labels && i < FORMS_MAX && question->forms[i]; i++) {
		const char *value = expand(question->forms[i], words, name) ? labels__get(labels, name) : NULL;
		enum answer understood = value ? understand(question->dialect, value) : ANSWER_NONE;

		if (understood == ANSWER_UNCLEAR)
			strcpy(unclear, name);
		else if (understood)
			return understood;
	}
	return ANSWER_NONE;
}

static enum asked ask(const struct question *question, const struct pod_words *words,
		      char unclear[ANNOTATION_NAME_SIZE])
{
	switch (answer(question, words, unclear)) {
	case ANSWER_YES:
		return question->on_yes;
	case ANSWER_NO:
		return question->on_no;
	default:
		return ASKED_NOTHING;
	}
}

/* The next of a list between commas, without blanks. False at its end. */
static bool next_word(const char **list, const char **word, size_t *length)
{
	const char *at = *list;

	if (!*at)
		return false;
	*length = strcspn(at, ",");
	*list = at + *length + (at[*length] == ',');
	*word = at + strspn(at, " \t\n");
	*length = *word < at + *length ? at + *length - *word : 0;
	while (*length && strchr(" \t\n", (*word)[*length - 1]))
		(*length)--;
	return true;
}

static bool is_word(const char *word, size_t length, const char *other)
{
	return length && length == strlen(other) && !memcmp(word, other, length);
}

static bool lists_container(const struct pod_words *words, const char *name)
{
	const char *list = words->annotations ? labels__get(words->annotations, name) : NULL;
	const char *word;
	size_t length;

	while (list && next_word(&list, &word, &length))
		if (is_word(word, length, words->container))
			return true;
	return false;
}

/* False when only others are asked for. */
static bool wants_stream(const struct pod_words *words, char unclear[ANNOTATION_NAME_SIZE])
{
	const char *list = words->annotations ? labels__get(words->annotations, OWN_STREAMS) : NULL;
	bool wanted = false, other = false;
	const char *word;
	size_t length;

	while (list && next_word(&list, &word, &length)) {
		if (is_word(word, length, stream_name(words->kind)))
			wanted = true;
		else if (is_word(word, length, "stdout") || is_word(word, length, "stderr") || is_word(word, length, "file"))
			other = true;
		else
			strcpy(unclear, OWN_STREAMS);
	}
	return wanted || !other;
}

/*
 * What is asked of other agents: none of them knows of the others, so one that is to leave it out
 * suffices, unless logtap is told not to.
 */
static enum asked ask_others(const struct pod_words *words, bool may_exclude, char unclear[ANNOTATION_NAME_SIZE])
{
	enum asked asked = ASKED_NOTHING;

	if (may_exclude && lists_container(words, VECTOR_CONTAINERS))
		return ASKED_EXCLUDE;
	for (size_t i = 0; i < OTHERS && asked != ASKED_EXCLUDE; i++) {
		enum asked more = ask(&others[i], words, unclear);

		if (more == ASKED_INCLUDE || (more == ASKED_EXCLUDE && may_exclude))
			asked = more;
	}
	return asked;
}

enum asked pod_annotations__ask(const struct pod_words *words, char unclear[ANNOTATION_NAME_SIZE])
{
	enum answer exclude;
	enum asked asked;

	unclear[0] = 0;
	if (lists_container(words, OWN_CONTAINERS) || !wants_stream(words, unclear))
		return ASKED_EXCLUDE;
	exclude = answer(&own_exclude, words, unclear);
	if (exclude == ANSWER_YES)
		return ASKED_EXCLUDE;
	asked = ask(&own_include, words, unclear);
	return asked ? asked : ask_others(words, exclude != ANSWER_NO, unclear);
}
