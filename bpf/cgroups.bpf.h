/*
 * Which cgroup a process is in, by which containers are told apart: the default hierarchy's (version
 * 2), or where the controller `pids` (else `memory`) has a hierarchy of its own (version 1, hybrid),
 * that controller's, as runtimes make cgroups there whatever their driver.
 */
#ifndef LOGTAP_CGROUPS_BPF_H
#define LOGTAP_CGROUPS_BPF_H

#define CGROUP_DEPTH 40
/* Numbers are unique in one hierarchy: this sets those of version 1 apart. */
#define CGROUP_V1_ID (1ULL << 63)

enum cgroup_subsys_id___any { memory_cgrp_id___any = 1, pids_cgrp_id___any = 2 };

/* -1: the kernel has neither. */
static __always_inline int cgroup_controller(void)
{
	if (bpf_core_enum_value_exists(enum cgroup_subsys_id___any, pids_cgrp_id___any))
		return bpf_core_enum_value(enum cgroup_subsys_id___any, pids_cgrp_id___any);
	if (bpf_core_enum_value_exists(enum cgroup_subsys_id___any, memory_cgrp_id___any))
		return bpf_core_enum_value(enum cgroup_subsys_id___any, memory_cgrp_id___any);
	return -1;
}

/* The default hierarchy is made first: its number is 0. */
static __always_inline bool is_v1(struct cgroup *cgroup)
{
	return BPF_CORE_READ(cgroup, root, hierarchy_id) != 0;
}

static __always_inline struct cgroup *set_cgroup(struct css_set *set)
{
	struct cgroup_subsys_state *state = 0;
	int controller = cgroup_controller();
	struct cgroup *cgroup;

	if (controller >= 0)
		bpf_probe_read_kernel(&state, sizeof(state),
				      (char *)set + bpf_core_field_offset(struct css_set, subsys) +
					      controller * sizeof(state));
	cgroup = state ? BPF_CORE_READ(state, cgroup) : 0;
	return cgroup && is_v1(cgroup) ? cgroup : BPF_CORE_READ(set, dfl_cgrp);
}

static __always_inline struct cgroup *task_cgroup(struct task_struct *task)
{
	return set_cgroup(BPF_CORE_READ(task, cgroups));
}

/* Whether processes' cgroups may be in its hierarchy, as task_cgroup has them. */
static __always_inline bool is_followed(struct cgroup *cgroup)
{
	struct cgroup_subsys_state *state = 0;
	int controller = cgroup_controller();

	if (!is_v1(cgroup))
		return true;
	if (controller >= 0)
		bpf_probe_read_kernel(&state, sizeof(state),
				      (char *)cgroup + bpf_core_field_offset(struct cgroup, subsys) +
					      controller * sizeof(state));
	return state;
}

static __always_inline u64 cgroup_number(struct cgroup *cgroup)
{
	u64 id = BPF_CORE_READ(cgroup, kn, id);

	return is_v1(cgroup) ? id | CGROUP_V1_ID : id;
}

/*
 * The last `level` names of the path: of them its last ones and its first: whoever may make cgroups in his own may
 * make the path as deep as he likes, but what is at its top is not his.
 */
static __always_inline void read_cgroup_names(struct cgroup *cgroup, int level, char leaf[CGROUP_NAMES][CGROUP_NAME_SIZE],
					      char top[CGROUP_TOP_NAMES][CGROUP_NAME_SIZE])
{
	struct kernfs_node *node = BPF_CORE_READ(cgroup, kn);

	for (int i = 0; i < CGROUP_NAMES; i++)
		leaf[i][0] = 0;
	for (int i = 0; i < CGROUP_TOP_NAMES; i++)
		top[i][0] = 0;
	for (int i = 0; i < CGROUP_DEPTH && node && level > 0; i++) {
		u64 at = (u32)level - 1;

		KEEP_BOUND(at);
		if (i < CGROUP_NAMES)
			bpf_probe_read_kernel_str(leaf[i], CGROUP_NAME_SIZE, BPF_CORE_READ(node, name));
		if (at < CGROUP_TOP_NAMES)
			bpf_probe_read_kernel_str(top[at], CGROUP_NAME_SIZE, BPF_CORE_READ(node, name));
		node = kernfs_parent(node);
		level--;
	}
}

#endif
