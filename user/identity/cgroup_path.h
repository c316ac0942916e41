/*
 * What the names in a cgroup's path say by themselves: which container, which pod, which runtime.
 * Pure functions on untrusted text: nothing is allocated, any thread.
 */
#ifndef LOGTAP_CGROUP_PATH_H
#define LOGTAP_CGROUP_PATH_H

#include <stdbool.h>

#include "identity.h"
#include "record.h"

#define CONTAINER_ID_MAX 76 /* containerd's own bound for names */
#define POD_UID_MAX 36

struct cgroup_place {
	char container_id[CONTAINER_ID_MAX + 1]; /* safe as one component of a path */
	char pod_uid[POD_UID_MAX + 1];           /* with dashes; "" when there is none */
	const char *runtime;                     /* as the prefix tells; "" when it does not */
	bool free_name;                          /* no 64 hex digits: only a guess so far */
	bool delegated;                          /* whose processes name cgroups there as they like: only a guess, too */
	bool machine;                            /* a virtual machine's: no process there is the container's */
	unsigned int uid;                        /* whose cgroup it is: 0 the system's, else a user's */
	unsigned int at;                         /* which of the names it is */
	const struct cgroup_names *names;        /* the caller's */
};

/*
 * The names as the kernel half tells them; they point into `leaf` and `top`. `level`: as in struct
 * cgroup_payload; when it is 0, `top` is not looked at.
 */
struct cgroup_names cgroup_path__names(const char leaf[CGROUP_NAMES][CGROUP_NAME_SIZE],
				       const char top[CGROUP_TOP_NAMES][CGROUP_NAME_SIZE], uint32_t level);

/*
 * Returns 0, or -ENOENT when these are not the names of a container's cgroup. What lies in a
 * container's cgroup is the container's, whatever it is called: the topmost ID counts.
 */
int cgroup_path__parse(const struct cgroup_names *names, struct cgroup_place *out);

/*
 * What may be a container with a free name around this place: the `n`th from the top; *names keeps
 * its path. False when there is none.
 */
bool cgroup_path__around(const struct cgroup_place *place, unsigned int n, struct cgroup_names *names,
			 struct cgroup_place *out);

/* The names from the place itself up. */
void cgroup_path__own(const struct cgroup_place *place, struct cgroup_names *out);

/* The names below the place, as whoever has it for a root sees them. False when there are none. */
bool cgroup_path__below(const struct cgroup_place *place, struct cgroup_names *out);

/* Whether `text` may stand in a path as the name of a container or of a runtime's namespace. */
bool cgroup_path__valid_name(const char *text);

/*
 * Whether `path`, absolute and with or without the mount point, is the place of the cgroup with
 * these names. Whoever may create cgroups inside a container may call them what he likes: a free
 * name alone must never borrow another's identity.
 */
bool cgroup_path__matches(const char *path, const struct cgroup_names *names);

#endif
