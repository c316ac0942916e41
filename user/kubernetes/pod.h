/*
 * What the Kubernetes API says of one pod of this node. Filled by one thread; once it is in the
 * cache (pods.h) nothing of it changes, and any thread may hold a reference. A change makes a new
 * one. Untrusted text.
 */
#ifndef LOGTAP_POD_H
#define LOGTAP_POD_H

#include "identity/labels.h"

/* Strings are NULL when unknown. */
struct pod_container {
	char *name;
	char *id;                /* without the "containerd://" before it; NULL while it does not run */
	char *image_id;
	char *asked_image;       /* as the pod's author names it */
	char *image;             /* as the runtime does */
	unsigned int restart_count;
};

/* Of IPv4 and IPv6 each one, as Kubernetes has it, and as many again. */
#define POD_IPS_MAX 4

struct pod {
	char *uid;               /* by which the node knows it: a static pod's is its config.hash */
	bool mirror;             /* the uid is one that an annotation names, which anybody may write */
	char *api_uid;           /* by which the API knows it */
	char *name;
	char *namespace;
	char *ip;
	char *ips[POD_IPS_MAX];  /* NULL behind the last */
	char *qos_class;
	char *service_account;
	char *first_owner;                   /* KIND/NAME of the first owner reference, the controller's or not */
	char *owner_kind, *owner_name;       /* the controller that made it: ReplicaSet, Job, ... */
	char *owner_uid;
	char *workload_kind, *workload_name; /* whose that is: Deployment, CronJob; else the owner */
	char *workload_uid;                  /* a Deployment's is not known */
	char *created;           /* when, in RFC 3339 */
	char *hostname;          /* that it asks for */
	struct labels labels, annotations;
	struct labels namespace_labels, node_labels;
	/* As the labels above, of watches that not everybody has. */
	char *namespace_uid, *node_uid, *node_hostname;
	char *cluster_uid;       /* the namespace kube-system's, which lives as long as the cluster */
	struct pod_container *containers;    /* init, ordinary and ephemeral ones */
	unsigned int containers_count;
	unsigned int references;             /* atomic; see pod__get */
};

/* One reference, the caller's. NULL without memory. */
struct pod *pod__new(void);
const struct pod *pod__get(const struct pod *pod);
/* The last reference frees it. NULL does nothing. */
void pod__put(const struct pod *pod);

/* Another one that says the same, to be changed. NULL without memory. */
struct pod *pod__copy(const struct pod *pod);
/* Whether both have the same labels and annotations, their own and their namespaces'. */
bool pod__same_labels(const struct pod *one, const struct pod *other);
/* Whether both say the same. */
bool pod__equal(const struct pod *one, const struct pod *other);

/* Whether both have the same name and namespace. */
bool pod__same_name(const struct pod *one, const struct pod *other);

/* Bytes of memory, roughly. */
size_t pod__size(const struct pod *pod);

/* The container of this name, or NULL. */
const struct pod_container *pod__container(const struct pod *pod, const char *name);

#endif
