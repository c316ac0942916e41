#include "node_root.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cgroup_path.h"
#include "runtime.h"
#include "runtime_file.h"

int node_root__find(const char *root, const struct cgroup_place *place, char out[PATH_MAX])
{
	const struct runtime_dir proc = { root, "/proc", 0 };
	char pid[16], file[32];
	bool its_own;
	char *cgroup;
	long number;
	int err = runtime_oci__init_pid(root, place, &number);

	if (err)
		return err;
	snprintf(pid, sizeof(pid), "%ld", number);
	snprintf(file, sizeof(file), "%s/cgroup", pid);
	if (runtime_file__text(&proc, file, RUNTIME_TEXT_MAX, &cgroup, NULL))
		return -ENOENT;
	/* The number may be another process's by now. */
	its_own = strstr(cgroup, place->container_id);
	free(cgroup);
	return its_own ? runtime_file__path(out, root, "/proc/", pid, "/root", NULL) : -ENOENT;
}
