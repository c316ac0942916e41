/*
 * The rules of the configuration that tell which containers' streams are wanted. Owner: the
 * selection; immutable, and pure apart from its arguments.
 *
 * A pod's labels, or a name that the runtime's files were to tell, may not be known yet. Then a rule
 * is neither true nor false where it depends on them: what is decided is what holds whatever they
 * will be, and unknown is what may still turn out either way.
 */
#ifndef LOGTAP_SELECTION_RULES_H
#define LOGTAP_SELECTION_RULES_H

#include <stdbool.h>

#include "record.h"

struct identity;
struct pod;
struct selection_config;
struct selection_rules;

/* SELECTED_UNKNOWN: it depends on what is not known yet of the pod. */
enum selected { SELECTED_NO, SELECTED_YES, SELECTED_UNKNOWN };

/* What three-valued logic makes of two. */
enum selected selected__and(enum selected one, enum selected other);

/* `config` is kept by the caller. 0, -ENOMEM, or -EINVAL for a selector that config__load refuses. */
int selection_rules__new(const struct selection_config *config, struct selection_rules **out);
void selection_rules__free(struct selection_rules *rules);

/*
 * Selected is what one of `include` matches (without any: everything) and none of `exclude`. `pod` is
 * what the API says of the container's pod, NULL when that is not known: then labels are what the identity tells, if it does.
 */
enum selected selection_rules__decide(const struct selection_rules *rules, const struct identity *identity,
				      const struct pod *pod, enum stream_kind kind);

/* True for a container that belongs to a pod, whether or not more is known of it. */
bool selection_rules__is_pods(const struct identity *identity, const struct pod *pod);
/* The container's name as its pod has it, "" when it is not known. */
const char *selection_rules__container(const struct identity *identity, const struct pod *pod);

#endif
