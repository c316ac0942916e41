#include "selection_rules.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "base/config.h"
#include "identity/identity.h"
#include "kubernetes/pod.h"
#include "label_selector.h"

struct rule {
	const struct selection_rule *config;
	struct label_selector **labels; /* as many as there are in the configuration */
};

struct rules {
	struct rule *rule;
	unsigned int count;
};

struct selection_rules {
	struct rules include, exclude;
};

/* What is known of a stream. Names are "" when the container has none, NULL when they are not known. */
struct subject {
	const char *namespace;
	const char *pod;
	const char *container;
	const char *image;
	const struct labels *labels;
	enum stream_kind kind;
	bool is_pods;
};

static int add_rule(struct rules *rules, const struct selection_rule *config)
{
	struct rule *rule = &rules->rule[rules->count++];
	char problem[512];
	int err = 0;

	rule->config = config;
	rule->labels = calloc(config->labels_count + 1, sizeof(*rule->labels));
	if (!rule->labels)
		return -ENOMEM;
	for (unsigned int i = 0; !err && i < config->labels_count; i++)
		err = label_selector__parse(config->labels[i], &rule->labels[i], problem, sizeof(problem));
	return err;
}

static int make_rules(struct rules *rules, const struct selection_rule *configs, unsigned int count)
{
	int err = 0;

	rules->rule = calloc(count + 1, sizeof(*rules->rule));
	if (!rules->rule)
		return -ENOMEM;
	for (unsigned int i = 0; !err && i < count; i++)
		err = add_rule(rules, &configs[i]);
	return err;
}

static void free_rules(struct rules *rules)
{
	for (unsigned int i = 0; i < rules->count; i++) {
		struct rule *rule = &rules->rule[i];

		for (unsigned int j = 0; rule->labels && j < rule->config->labels_count; j++)
			label_selector__free(rule->labels[j]);
		free(rule->labels);
	}
	free(rules->rule);
}

int selection_rules__new(const struct selection_config *config, struct selection_rules **out)
{
	struct selection_rules *rules = calloc(1, sizeof(*rules));
	int err;

	if (!rules)
		return -ENOMEM;
	err = make_rules(&rules->include, config->include, config->include_count);
	err = err ? err : make_rules(&rules->exclude, config->exclude, config->exclude_count);
	if (err) {
		selection_rules__free(rules);
		return err;
	}
	*out = rules;
	return 0;
}

void selection_rules__free(struct selection_rules *rules)
{
	if (!rules)
		return;
	free_rules(&rules->include);
	free_rules(&rules->exclude);
	free(rules);
}

static enum selected known(bool is)
{
	return is ? SELECTED_YES : SELECTED_NO;
}

static enum selected not(enum selected one)
{
	return one == SELECTED_UNKNOWN ? one : known(one == SELECTED_NO);
}

enum selected selected__and(enum selected one, enum selected other)
{
	if (one == SELECTED_NO || other == SELECTED_NO)
		return SELECTED_NO;
	return one == SELECTED_UNKNOWN ? one : other;
}

static enum selected or(enum selected one, enum selected other)
{
	return not(selected__and(not(one), not(other)));
}

bool selection_rules__is_pods(const struct identity *identity, const struct pod *pod)
{
	return pod || *identity->pod_uid || *identity->pod_name;
}

static const char *name_by_id(const struct pod *pod, const char *id)
{
	for (unsigned int i = 0; i < pod->containers_count; i++)
		if (pod->containers[i].id && pod->containers[i].name && !strcmp(pod->containers[i].id, id))
			return pod->containers[i].name;
	return "";
}

const char *selection_rules__container(const struct identity *identity, const struct pod *pod)
{
	if (*identity->container_name || !pod)
		return identity->container_name;
	return name_by_id(pod, identity->container_id);
}

/* The runtime's files come before the API's word: they are there first, and the two agree. */
static const char *either(const char *of_files, const char *of_pod)
{
	return *of_files ? of_files : of_pod;
}

static struct subject make_subject(const struct identity *identity, const struct pod *pod, enum stream_kind kind)
{
	const char *container = selection_rules__container(identity, pod);
	/* What complete files do not name has no name. */
	const char *missing = identity->complete ? "" : NULL;

	return (struct subject){
		.namespace = either(identity->pod_namespace, pod ? pod->namespace : NULL),
		.pod = either(identity->pod_name, pod ? pod->name : NULL),
		.container = *container ? container : missing,
		.image = *identity->image ? identity->image : missing,
		.labels = pod ? &pod->labels : identity->tells_pod ? &identity->pod_labels : NULL,
		.kind = kind,
		.is_pods = selection_rules__is_pods(identity, pod),
	};
}

/* Of names `*` takes a slash too: it is images that have them, and their path is the registry's affair. */
static enum selected match_globs(char *const *globs, unsigned int count, const char *name)
{
	if (!count)
		return SELECTED_YES;
	if (!name)
		return SELECTED_UNKNOWN;
	for (unsigned int i = 0; i < count; i++)
		if (*name && !fnmatch(globs[i], name, 0))
			return SELECTED_YES;
	return SELECTED_NO;
}

static enum selected match_labels(const struct rule *rule, const struct labels *labels)
{
	if (!rule->config->labels_count)
		return SELECTED_YES;
	if (!labels)
		return SELECTED_UNKNOWN;
	for (unsigned int i = 0; i < rule->config->labels_count; i++)
		if (label_selector__matches(rule->labels[i], labels))
			return SELECTED_YES;
	return SELECTED_NO;
}

static bool match_streams(const struct selection_rule *rule, enum stream_kind kind)
{
	for (unsigned int i = 0; i < rule->streams_count; i++)
		if (rule->streams[i] == (int)kind)
			return true;
	return !rule->streams_count;
}

static enum selected match_pod(const struct rule *rule, const struct subject *subject)
{
	const struct selection_rule *config = rule->config;
	enum selected matched;

	if (!subject->is_pods)
		return known(!config->namespaces_count && !config->pods_count && !config->labels_count);
	matched = match_globs(config->namespaces, config->namespaces_count, subject->namespace);
	matched = selected__and(matched, match_globs(config->pods, config->pods_count, subject->pod));
	return selected__and(matched, match_labels(rule, subject->labels));
}

static enum selected match_rule(const struct rule *rule, const struct subject *subject)
{
	const struct selection_rule *config = rule->config;
	enum selected matched = known(match_streams(config, subject->kind));

	matched = selected__and(matched, match_globs(config->containers, config->containers_count, subject->container));
	matched = selected__and(matched, match_globs(config->images, config->images_count, subject->image));
	return selected__and(matched, match_pod(rule, subject));
}

static enum selected match_any(const struct rules *rules, const struct subject *subject)
{
	enum selected matched = SELECTED_NO;

	for (unsigned int i = 0; i < rules->count && matched != SELECTED_YES; i++)
		matched = or(matched, match_rule(&rules->rule[i], subject));
	return matched;
}

enum selected selection_rules__decide(const struct selection_rules *rules, const struct identity *identity,
				      const struct pod *pod, enum stream_kind kind)
{
	const struct subject subject = make_subject(identity, pod, kind);
	enum selected included = rules->include.count ? match_any(&rules->include, &subject) : SELECTED_YES;

	return selected__and(included, not(match_any(&rules->exclude, &subject)));
}
