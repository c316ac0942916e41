/*
 * A kubeconfig file (kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig):
 * its current context as a struct kube_access. What would need a program to be run (exec, auth
 * providers) or another protocol is refused.
 */
#ifndef LOGTAP_KUBECONFIG_H
#define LOGTAP_KUBECONFIG_H

#include <stddef.h>

#include "kube_access.h"

/* 0, or -errno with `why` saying what is wrong and what to do; -ENOMEM. */
int kubeconfig__load(const char *path, struct kube_access **out, char *why, size_t why_size);
/* The same for a text in memory; relative paths in it are relative to `directory`. */
int kubeconfig__parse(const char *text, size_t len, const char *directory, struct kube_access **out,
		      char *why, size_t why_size);

#endif
