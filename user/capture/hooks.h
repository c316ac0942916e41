/*
 * The one table of kernel functions that capture can use: who looks for a hook looks here, the
 * loader as well as doctor. Constant data; hooks__present and hooks__release: main thread, before
 * others start.
 */
#ifndef LOGTAP_HOOKS_H
#define LOGTAP_HOOKS_H

#include <stdbool.h>
#include <stdint.h>

enum hook_group {
	HOOK_PIPE_WRITE,         /* exactly one of them is needed: the first that is present */
	HOOK_PIPE_CLOSE,         /* all of these down to HOOK_CENSUS are needed */
	HOOK_EXEC,
	HOOK_FILE_OPEN,
	HOOK_FILE_CLOSE,
	HOOK_INODE_FREE,
	HOOK_CGROUP,
	HOOK_CENSUS,
	HOOK_FILE_WRITE,         /* any: each one serves some file systems */
	HOOK_PIPE_RESCUE,        /* of each function of HOOK_PIPE_WRITE and HOOK_FILE_WRITE, where */
	HOOK_FILE_RESCUE,        /* the kernel preempts itself: see rescue.bpf.h */
	HOOK_GROUPS
};

enum hook_kind { HOOK_FUNCTION, HOOK_TRACEPOINT, HOOK_ITERATOR };

/* A set of groups. */
#define HOOK_WRITES (1 << HOOK_PIPE_WRITE | 1 << HOOK_FILE_WRITE)

static inline bool hook_group_is_rescue(enum hook_group group)
{
	return group == HOOK_PIPE_RESCUE || group == HOOK_FILE_RESCUE;
}

#define HOOK_MAGICS 4

struct hook {
	const char *program;     /* of the BPF object */
	const char *function;    /* the kernel's, or the tracepoint's name */
	enum hook_group group;
	enum hook_kind kind;
	const char *module;      /* where it is when not built in; NULL: always built in */
	uint64_t magics[HOOK_MAGICS]; /* HOOK_FILE_WRITE: s_magic of the file systems served, 0 ends
				       */
	const char *what;        /* what it is for, to a user */
};

const struct hook *hooks__table(unsigned int *count);

/* Reads the kernel's BTF, which the following do by themselves. 0 or -errno. */
int hooks__load(void);
/*
 * 1: this kernel has it; 0: it has not, or its module is not loaded; -errno: the kernel's BTF
 * cannot be read.
 */
int hooks__present(const struct hook *hook);
/* Type id of a function in the kernel's own BTF (not a module's), or -errno. */
int hooks__function_id(const char *function);
/* 1 or 0: the kernel has this BPF helper, named as in enum bpf_func_id; -errno as above. */
int hooks__has_helper(const char *name);
/* Gives back the BTF that hooks__present keeps, some MB. */
void hooks__release(void);

#endif
