/*
 * The root directory of a container that is a node itself (kind, k3d), by its first process. Any
 * thread.
 */
#ifndef LOGTAP_NODE_ROOT_H
#define LOGTAP_NODE_ROOT_H

#include <limits.h>

struct cgroup_place;

/*
 * ROOT/proc/PID/root of the container at this place. 0, or -ENOENT when its runtime does not tell the
 * process, or the process is no longer in the container's cgroup.
 */
int node_root__find(const char *root, const struct cgroup_place *place, char out[PATH_MAX]);

#endif
