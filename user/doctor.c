#include "doctor.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <bpf/libbpf.h>
#include <linux/capability.h>
#include <linux/magic.h>

#include "base/config.h"
#include "capture/hooks.h"
#include "capture/tracing_probe.h"
#include "config/config_load.h"
#include "config/config_memory.h"
#include "identity/host.h"
#include "identity/processes.h"

/* The kernel's own, not errno.h's: arm64 before 6.4 answers with it to fexit. */
#define KERNEL_ENOTSUPP 524

/* The kernel's own: PROC_PID_INIT_INO, the number of the first pid namespace. */
#define INIT_PID_NAMESPACE 0xEFFFFFFCU

/* linux/capability.h of 5.10 has them, an older libc's may not. */
#ifndef CAP_PERFMON
#define CAP_PERFMON 38
#define CAP_BPF 39
#endif

enum verdict { OK, NO, NOTE };

struct doctor {
	FILE *out;
	bool failures_only;
	unsigned int failures;
	struct utsname system;
	unsigned int version;
	uint64_t capabilities;
	bool may_trace;          /* by its capabilities */
	bool has_btf;
	enum lockdown lockdown;
	bool log_says_locked;    /* the kernel's, where its lockdown cannot be read */
};

static void say(struct doctor *doctor, enum verdict verdict, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void say(struct doctor *doctor, enum verdict verdict, const char *format, ...)
{
	static const char *const words[] = { [OK] = "ok  ", [NO] = "no  ", [NOTE] = "--  " };
	va_list args;

	if (verdict == NO)
		doctor->failures++;
	else if (doctor->failures_only)
		return;
	fputs(doctor->failures_only ? "logtap: " : words[verdict], doctor->out);
	va_start(args, format);
	vfprintf(doctor->out, format, args);
	va_end(args);
	fputc('\n', doctor->out);
}

/* The file's first bytes as a string; false when it cannot be read. */
static bool read_text(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t len = fd < 0 ? -1 : read(fd, text, size - 1);

	if (fd >= 0)
		close(fd);
	if (len < 0)
		return false;
	text[len] = '\0';
	return true;
}

static bool has_capability(const struct doctor *doctor, int capability)
{
	return doctor->capabilities >> capability & 1;
}

static void check_capabilities(struct doctor *doctor)
{
	char status[4096];

	if (!read_text("/proc/self/status", status, sizeof(status)) ||
	    !host__parse_capabilities(status, &doctor->capabilities)) {
		say(doctor, NO, "capabilities: /proc/self/status cannot be read; mount /proc");
		return;
	}
	doctor->may_trace = has_capability(doctor, CAP_SYS_ADMIN) ||
			    (has_capability(doctor, CAP_BPF) &&
			     has_capability(doctor, CAP_PERFMON));
	if (doctor->may_trace)
		say(doctor, OK, "capabilities: loading tracing programs is permitted to user %u",
		    geteuid());
	else
		say(doctor, NO,
		    "capabilities: user %u has neither CAP_SYS_ADMIN nor CAP_BPF with "
		    "CAP_PERFMON; run logtap as root, and in a container as privileged",
		    geteuid());
	if (doctor->may_trace && !has_capability(doctor, CAP_SYS_ADMIN))
		say(doctor, NOTE,
		    "capabilities: without CAP_SYS_ADMIN file systems that are kernel modules "
		    "cannot be watched");
	if (!has_capability(doctor, CAP_DAC_READ_SEARCH))
		say(doctor, NOTE,
		    "capabilities: without CAP_DAC_READ_SEARCH the runtimes' files may be "
		    "unreadable: no container, image and pod names");
	if (!has_capability(doctor, CAP_SYS_PTRACE))
		say(doctor, NOTE,
		    "capabilities: without CAP_SYS_PTRACE other processes' /proc/PID/root is "
		    "closed: log files inside containers may not be recognized");
}

static void check_kernel(struct doctor *doctor)
{
	if (doctor->version < HOST_VERSION(5, 10, 0))
		say(doctor, NO, "kernel %s: too old; logtap needs Linux 5.17 or later",
		    doctor->system.release);
	else
		say(doctor, OK, "kernel %s %s", doctor->system.release, doctor->system.machine);
}

static void check_btf(struct doctor *doctor)
{
	/* libbpf takes a file of /boot instead, but the kernel attaches by its own alone. */
	int err = access("/sys/kernel/btf/vmlinux", R_OK) ? -errno : hooks__load();

	doctor->has_btf = !err;
	if (!err)
		say(doctor, OK, "BTF: the kernel's type information is in /sys/kernel/btf/vmlinux");
	else
		say(doctor, NO,
		    "BTF: the kernel's type information cannot be read from "
		    "/sys/kernel/btf/vmlinux; mount /sys, or boot a kernel built with "
		    "CONFIG_DEBUG_INFO_BTF=y, as most distributions' are");
}

/*
 * Walking a write's segments takes it: 5.17, e6f2dd0f8067 ("bpf: Add bpf_loop helper"), and
 * distributions' 5.14.
 */
static void check_helpers(struct doctor *doctor)
{
	if (doctor->has_btf && hooks__has_helper("BPF_FUNC_loop") == 0)
		say(doctor, NO,
		    "kernel %s: too old, it lacks the BPF helper bpf_loop; logtap needs Linux 5.17 or "
		    "later, or a distribution's kernel that has it",
		    doctor->system.release);
}

/* Whether some hook of the group is present: which of them a group needs is the table's to say. */
static bool group_has_any(enum hook_group group)
{
	unsigned int count;
	const struct hook *hooks = hooks__table(&count);

	for (unsigned int i = 0; i < count; i++)
		if (hooks[i].group == group && hooks__present(&hooks[i]) > 0)
			return true;
	return false;
}

static void check_hook(struct doctor *doctor, const struct hook *hook)
{
	bool alternatives = hook->group == HOOK_PIPE_WRITE || hook->group == HOOK_FILE_WRITE;

	if (hooks__present(hook) > 0)
		say(doctor, OK, "hook %s: %s", hook->function, hook->what);
	else if (!alternatives)
		say(doctor, NO,
		    "hook %s: this kernel has no such function; logtap needs it for %s; boot a "
		    "distribution's stock kernel",
		    hook->function, hook->what);
	else if (hook->module)
		say(doctor, NOTE,
		    "hook %s: not here (the module %s is not loaded or has no BTF), so not for "
		    "this host: %s",
		    hook->function, hook->module, hook->what);
	else
		say(doctor, NOTE, "hook %s: not in this kernel: %s", hook->function, hook->what);
}

static void check_hooks(struct doctor *doctor)
{
	unsigned int count;
	const struct hook *hooks = hooks__table(&count);

	if (!doctor->has_btf)
		return;
	for (unsigned int i = 0; i < count; i++)
		if (!hook_group_is_rescue(hooks[i].group))
			check_hook(doctor, &hooks[i]);
	if (!group_has_any(HOOK_PIPE_WRITE))
		say(doctor, NO,
		    "hooks: no function that writes to pipes was found, so containers' stdout "
		    "and stderr cannot be seen; boot a distribution's stock kernel");
	if (!group_has_any(HOOK_FILE_WRITE))
		say(doctor, NOTE,
		    "hooks: no function that writes to files was found: capture.files will see "
		    "nothing");
}

/* Whether the kernel has said at boot or later that it is locked down. */
static bool log_says_locked_down(void)
{
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	char record[8192];
	bool found = false;
	ssize_t len;

	if (fd < 0)
		return false;
	/* One record a read; EPIPE: the log has moved on meanwhile. */
	while (!found &&
	       ((len = read(fd, record, sizeof(record) - 1)) > 0 || (len < 0 && errno == EPIPE))) {
		record[len > 0 ? len : 0] = '\0';
		found = strstr(record, "Kernel is locked down") || strstr(record, "Lockdown:");
	}
	close(fd);
	return found;
}

static void check_lockdown(struct doctor *doctor)
{
	char text[256];

	if (read_text("/sys/kernel/security/lockdown", text, sizeof(text)))
		doctor->lockdown = host__parse_lockdown(text);
	switch (doctor->lockdown) {
	case LOCKDOWN_CONFIDENTIALITY:
		say(doctor, NO,
		    "lockdown: the kernel is in confidentiality mode "
		    "(/sys/kernel/security/lockdown), which forbids BPF programs to read kernel "
		    "memory, and so all tracing; boot with lockdown=integrity or lockdown=none, "
		    "or run logtap on another host");
		break;
	case LOCKDOWN_INTEGRITY:
		say(doctor, OK, "lockdown: integrity mode, which by itself permits tracing");
		break;
	case LOCKDOWN_NONE:
		say(doctor, OK, "lockdown: off");
		break;
	case LOCKDOWN_UNKNOWN:
		doctor->log_says_locked = log_says_locked_down();
		say(doctor, NOTE,
		    "lockdown: unknown, as /sys/kernel/security/lockdown cannot be read (mount "
		    "-t securityfs securityfs /sys/kernel/security shows it, where the kernel "
		    "has it)");
		break;
	}
}

static void check_ring(struct doctor *doctor)
{
	int err;

	if (!doctor->may_trace)
		return;
	err = ring_probe();
	if (err)
		say(doctor, NO,
		    "ring buffer: making one failed: %s; logtap needs Linux 5.17 or later, a limit "
		    "of locked memory that allows it, and no security policy against bpf(2)",
		    strerror(-err));
	else
		say(doctor, OK, "ring buffer: can be made");
}

/* EPERM is policy; so is EINVAL in confidentiality mode, which takes away the helper functions. */
static bool is_refusal(const struct doctor *doctor, int err)
{
	return err == -EPERM || doctor->lockdown == LOCKDOWN_CONFIDENTIALITY ||
	       (err == -EINVAL && doctor->log_says_locked);
}

static void explain_refusal(struct doctor *doctor, int err)
{
	const char *cure =
		"boot with lockdown=none if you may decide that, or run logtap on a host or in a "
		"virtual machine whose kernel permits tracing";

	if (doctor->lockdown == LOCKDOWN_CONFIDENTIALITY)
		say(doctor, NO, "tracing: refused (%s): see lockdown above", strerror(-err));
	else if (doctor->lockdown == LOCKDOWN_INTEGRITY)
		say(doctor, NO,
		    "tracing: the kernel refuses tracing BPF programs (%s) although the "
		    "capabilities are there. It is in lockdown, in integrity mode; stock kernels "
		    "permit tracing then, so this one is stricter or has a security policy "
		    "against it; %s",
		    strerror(-err), cure);
	else if (doctor->log_says_locked)
		say(doctor, NO,
		    "tracing: the kernel refuses tracing BPF programs (%s) although the "
		    "capabilities are there. Its log says that it is locked down: kernel lockdown "
		    "forbids tracing in confidentiality mode, and on some hardened kernels in "
		    "integrity mode too; %s",
		    strerror(-err), cure);
	else
		say(doctor, NO,
		    "tracing: the kernel refuses tracing BPF programs (%s) although the "
		    "capabilities are there: a security module's policy, a container's seccomp "
		    "filter or kernel lockdown in confidentiality mode forbids it; permit bpf(2) "
		    "with CAP_BPF and CAP_PERFMON for logtap, or run it on another host",
		    strerror(-err));
}

static void check_tracing(struct doctor *doctor)
{
	int err = 0;
	enum tracing_step step;

	if (!doctor->may_trace || !doctor->has_btf) {
		say(doctor, NOTE, "tracing: not tried, for the reasons above");
		return;
	}
	step = tracing_probe(&err);
	if (step == TRACING_DONE)
		say(doctor, OK, "tracing: a tracing program can be loaded and attached");
	else if (is_refusal(doctor, err))
		explain_refusal(doctor, err);
	else if (err == -KERNEL_ENOTSUPP)
		say(doctor, NO,
		    "tracing: this kernel cannot attach to function exits on %s; on arm64 Linux "
		    "6.4 or later can",
		    doctor->system.machine);
	else
		say(doctor, NO,
		    "tracing: a tracing program cannot be %s: %s; logtap needs a kernel with "
		    "CONFIG_BPF_JIT, CONFIG_BPF_EVENTS and "
		    "CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS, which stock kernels of "
		    "distributions have",
		    step == TRACING_LOAD ? "loaded" : "attached", strerror(-err));
}

/*
 * Before e21aa341785c ("bpf: Fix fexit trampoline."), which came with 5.12 and with 5.10.28, taking
 * a program off a function that sleeps can crash the kernel. The commit brought this symbol.
 */
static void check_trampoline(struct doctor *doctor)
{
	FILE *symbols;
	char line[512];
	bool found = false;

	if (doctor->version < HOST_VERSION(5, 10, 0) || doctor->version >= HOST_VERSION(5, 12, 0))
		return;
	symbols = fopen("/proc/kallsyms", "re");
	while (symbols && !found && fgets(line, sizeof(line), symbols))
		found = host__line_has_symbol(line, "__bpf_tramp_enter");
	if (symbols)
		fclose(symbols);
	if (found)
		say(doctor, OK, "trampolines: programs can be detached safely");
	else
		say(doctor, NO,
		    "trampolines: this kernel lacks __bpf_tramp_enter and can crash when a "
		    "tracing program is detached; update it to 5.10.28 or later");
}

static bool is_mounted(const char *path, unsigned long magic)
{
	struct statfs fs;

	return statfs(path, &fs) == 0 && (unsigned long)fs.f_type == magic;
}

static void check_bpffs(struct doctor *doctor)
{
	if (is_mounted("/sys/fs/bpf", BPF_FS_MAGIC))
		say(doctor, OK, "bpffs: mounted at /sys/fs/bpf: capture can outlive logtap");
	else
		say(doctor, NOTE,
		    "bpffs: not mounted at /sys/fs/bpf (mount -t bpf bpf /sys/fs/bpf); without it "
		    "capture ends with logtap, and what is written until it runs again is not "
		    "seen");
}

static void check_pid_namespace(struct doctor *doctor)
{
	struct stat namespace;

	if (stat("/proc/self/ns/pid", &namespace) || namespace.st_ino == INIT_PID_NAMESPACE)
		say(doctor, OK, "processes: the host's can be seen");
	else if (processes__have_runtime())
		say(doctor, OK,
		    "processes: those of a node that is a container itself (kind) can be seen: what runs in it is "
		    "captured, nothing else of this machine");
	else
		say(doctor, NO,
		    "processes: this pid namespace is not the host's, whose processes cannot be seen from "
		    "here, and no container runtime runs in it; run logtap in the host's (in Kubernetes: hostPID: true)");
}

static void check_cgroups(struct doctor *doctor)
{
	if (is_mounted("/sys/fs/cgroup", CGROUP2_SUPER_MAGIC))
		say(doctor, OK, "cgroups: version 2");
	else if (is_mounted("/sys/fs/cgroup/pids", CGROUP_SUPER_MAGIC))
		say(doctor, OK, "cgroups: version 1; containers are told apart by the controller pids");
	else
		say(doctor, NO,
		    "cgroups: neither version 2 is mounted at /sys/fs/cgroup nor version 1's controller pids "
		    "at /sys/fs/cgroup/pids, so containers cannot be told apart; mount -t cgroup2");
}

static void check_memory_lock(struct doctor *doctor, const struct config *config)
{
	struct config_memory memory;
	struct rlimit limit;

	if (doctor->version >= HOST_VERSION(5, 11, 0)) {
		say(doctor, OK,
		    "locked memory: no limit on BPF maps since Linux 5.11; the cgroup's counts");
		return;
	}
	config__memory(config, &memory);
	getrlimit(RLIMIT_MEMLOCK, &limit);
	if (has_capability(doctor, CAP_SYS_RESOURCE) ||
	    limit.rlim_cur >= memory.rings + memory.maps)
		say(doctor, OK, "locked memory: the limit is high enough or can be raised");
	else
		say(doctor, NO,
		    "locked memory: the limit of %" PRIu64 " bytes is below the %" PRIu64
		    " that maps and rings take by default; run with CAP_SYS_RESOURCE, or raise it "
		    "(ulimit -l, LimitMEMLOCK=)",
		    (uint64_t)limit.rlim_cur, memory.rings + memory.maps);
}

/* The directory itself or, where it is not there yet, the one it would be made in. */
static void existing_parent(const char *directory, char *path, size_t size)
{
	char *slash;

	snprintf(path, size, "%s", directory);
	while (access(path, F_OK) != 0 && (slash = strrchr(path, '/')) && slash != path)
		*slash = '\0';
}

static void check_journal(struct doctor *doctor, const struct config *config)
{
	const char *directory = config->journal.directory;
	char path[4096];

	existing_parent(directory, path, sizeof(path));
	if (access(path, W_OK | X_OK) != 0)
		say(doctor, NO,
		    "journal: %s cannot be written (%s); make it writable, or set "
		    "journal.directory",
		    path, strerror(errno));
	else if (is_mounted(path, TMPFS_MAGIC))
		say(doctor, OK, "journal: %s can be written and is on tmpfs", directory);
	else
		say(doctor, NOTE,
		    "journal: %s can be written but is not on tmpfs: logs will be written to a "
		    "disk on their way; mount a tmpfs there, or set journal.directory",
		    directory);
}

static int silence(enum libbpf_print_level level, const char *format, va_list args)
{
	(void)level;
	(void)format;
	(void)args;
	return 0;
}

static int examine(struct doctor *doctor)
{
	libbpf_print_fn_t print = libbpf_set_print(silence);
	struct config *config = NULL;

	uname(&doctor->system);
	doctor->version = host__parse_version(doctor->system.release);
	check_capabilities(doctor);
	check_kernel(doctor);
	check_btf(doctor);
	check_helpers(doctor);
	check_hooks(doctor);
	check_lockdown(doctor);
	check_ring(doctor);
	check_tracing(doctor);
	check_trampoline(doctor);
	check_bpffs(doctor);
	check_pid_namespace(doctor);
	check_cgroups(doctor);
	if (config__load(NULL, doctor->out, &config) == 0) {
		check_memory_lock(doctor, config);
		/*
		 * A start that failed had a configuration of its own, and has told of its journal
		 * itself.
		 */
		if (!doctor->failures_only)
			check_journal(doctor, config);
	}
	config__free(config);
	hooks__release();
	libbpf_set_print(print);
	return doctor->failures ? 1 : 0;
}

int doctor__run(FILE *out)
{
	struct doctor doctor = { .out = out };
	int status = examine(&doctor);

	fputs(status ? "logtap cannot capture on this host: see the lines that begin with \"no\"\n"
		     : "logtap can capture on this host\n",
	      out);
	return status;
}

int doctor__explain(FILE *errors)
{
	struct doctor doctor = { .out = errors, .failures_only = true };

	return examine(&doctor);
}
