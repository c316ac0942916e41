/*
 * Selectors of labels in Kubernetes' own syntax (apimachinery, labels/selector.go): requirements that
 * are joined by commas and must all hold.
 *
 *   app=web   app==web   tier!=x   env in (a, b)   env notin (a, b)   key   !key
 *
 * As there, `!=` and `notin` also hold where there is no such label. Owner: whoever parsed it;
 * immutable, so any thread may match.
 */
#ifndef LOGTAP_LABEL_SELECTOR_H
#define LOGTAP_LABEL_SELECTOR_H

#include <stdbool.h>
#include <stddef.h>

struct label_selector;
struct labels;

/* -EINVAL with `problem` saying what is wrong and what is allowed; -ENOMEM. *out untouched on failure. */
int label_selector__parse(const char *text, struct label_selector **out, char *problem, size_t problem_size);
void label_selector__free(struct label_selector *selector);

bool label_selector__matches(const struct label_selector *selector, const struct labels *labels);

#endif
