/*
 * How much of the machine is the agent's to see: all of it, or, where its node is a container itself (kind), what runs in
 * that: the processes of the agent's pid namespace, and cgroups from the root on that its init sees.
 */
#ifndef LOGTAP_VIEW_BPF_H
#define LOGTAP_VIEW_BPF_H

/* The pid namespace in which the process is that many levels below the machine's; it must be as deep. */
static __always_inline struct pid_namespace *pid_namespace_at(struct pid *pid, u32 level)
{
	struct pid_namespace *found = 0;

	bpf_probe_read_kernel(&found, sizeof(found),
			      (char *)pid + bpf_core_field_offset(struct pid, numbers) +
				      level * bpf_core_type_size(struct upid) + bpf_core_field_offset(struct upid, ns));
	return found;
}

/* The machine's are no namespace's: nothing is asked then. */
static __always_inline bool is_in_view(struct task_struct *task)
{
	struct pid_namespace *namespace;
	u32 level = state.pid_level;
	struct pid *pid;

	if (!state.pid_namespace)
		return true;
	pid = BPF_CORE_READ(task, thread_pid);
	if (!pid || BPF_CORE_READ(pid, level) < level)
		return false;
	namespace = pid_namespace_at(pid, level);
	return BPF_CORE_READ(namespace, ns.inum) == state.pid_namespace;
}

/* How many names the cgroup's path has there. */
static __always_inline int cgroup_depth(struct cgroup *cgroup)
{
	int depth = BPF_CORE_READ(cgroup, level) - (int)state.cgroup_level;

	return depth > 0 ? depth : 0;
}

/* By the agent, which runs the iterator. */
static __always_inline void learn_view(void)
{
	struct pid *pid = BPF_CORE_READ(bpf_get_current_task_btf(), thread_pid);
	u32 level = BPF_CORE_READ(pid, level);
	struct pid_namespace *namespace = pid_namespace_at(pid, level);
	struct task_struct *init = BPF_CORE_READ(namespace, child_reaper);
	struct css_set *root = BPF_CORE_READ(init, nsproxy, cgroup_ns, root_cset);
	struct cgroup *cgroup = set_cgroup(root);

	state.init_mount_namespace = BPF_CORE_READ(init, nsproxy, mnt_ns, ns.inum);
	state.pid_level = level;
	state.cgroup_level = level ? BPF_CORE_READ(cgroup, level) : 0;
	state.pid_namespace = level ? BPF_CORE_READ(namespace, ns.inum) : 0;
}

#endif
