/*
 * The host's processes, as far as they tell where a container manager keeps its files: its
 * arguments. Whoever may start processes chooses their names and arguments: what is found is trusted
 * no further than its `uid`. Any thread.
 */
#ifndef LOGTAP_PROCESSES_H
#define LOGTAP_PROCESSES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct process {
	const char *root;
	const char *pid;
	unsigned int uid;        /* effective, as the host numbers it */
	const char *arguments;   /* each ends with a NUL */
	size_t arguments_length;
};

/*
 * Calls `visit` for each process of this name (the kernel's comm; of root's its program's, too) that is
 * not in a container, until it returns true. `root` as for identity.h. Whether one did.
 */
bool processes__find(const char *root, const char *name,
		     bool (*visit)(const struct process *process, void *context), void *context);

/*
 * Whether a container runtime of root's runs in this pid namespace: then it is a node's, if perhaps of one that is a
 * container itself (kind), and not an ordinary container's.
 */
bool processes__have_runtime(void);

/*
 * When to look for processes again, as clock__ms(), after having looked from `began_ms` on: they are
 * others' to make, as many as they like, and whoever looks has more to do.
 */
uint64_t processes__again_ms(uint64_t began_ms, uint64_t pause_ms);

/* The value behind "NAME VALUE" or "NAME=VALUE", NULL when there is none. */
const char *process__argument(const struct process *process, const char *name);

/* A variable of the environment that it was started with; the caller frees it. NULL: not set. */
char *process__variable(const struct process *process, const char *name);

#endif
