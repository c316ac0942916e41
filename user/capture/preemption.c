#include "preemption.h"

#include <stdint.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <linux/bpf.h>

/* kernel/sched/core.c: preempt_dynamic_mode is -1 (not yet chosen), 0 none, 1 voluntary, 2 full, 3 lazy. */
#define MODE_SYMBOL "preempt_dynamic_mode"
#define MODE_FULL 2

enum preemption preemption__built(const char *version)
{
	/* "#1 SMP PREEMPT_DYNAMIC Debian 6.18.15-1 (2026-03-12)"; PREEMPT, PREEMPT_RT, PREEMPT_LAZY. */
	if (strstr(version, "PREEMPT_DYNAMIC"))
		return PREEMPTION_CHOSEN;
	return strstr(version, " PREEMPT") ? PREEMPTION_YES : PREEMPTION_NO;
}

unsigned long long preemption__symbol(FILE *symbols, const char *name)
{
	unsigned long long address;
	char line[512], symbol[256];

	while (fgets(line, sizeof(line), symbols))
		if (sscanf(line, "%llx %*c %255s", &address, symbol) == 2 && strcmp(symbol, name) == 0)
			return address;
	return 0;
}

/* What is at the address: 0 or -errno. */
static int read_kernel(uint64_t address, int32_t *out)
{
	/* probe_read_kernel(fp - 8, 4, address); r0 = *(u32 *)(fp - 8) */
	const struct bpf_insn program[] = {
		{ .code = BPF_ST | BPF_MEM | BPF_DW, .dst_reg = BPF_REG_10, .off = -8, .imm = -1 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = BPF_REG_1, .src_reg = BPF_REG_10 },
		{ .code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = BPF_REG_1, .imm = -8 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_2, .imm = sizeof(*out) },
		{ .code = BPF_LD | BPF_DW | BPF_IMM, .dst_reg = BPF_REG_3, .imm = (int32_t)address },
		{ .imm = (int32_t)(address >> 32) },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_probe_read_kernel },
		{ .code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = BPF_REG_0, .src_reg = BPF_REG_10, .off = -8 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	LIBBPF_OPTS(bpf_prog_load_opts, options, .prog_flags = BPF_F_SLEEPABLE);
	LIBBPF_OPTS(bpf_test_run_opts, run);
	int fd = bpf_prog_load(BPF_PROG_TYPE_SYSCALL, "logtap_preempt", "GPL", program,
			       sizeof(program) / sizeof(program[0]), &options);
	int err;

	if (fd < 0)
		return fd;
	err = bpf_prog_test_run_opts(fd, &run);
	close(fd);
	if (!err)
		*out = (int32_t)run.retval;
	return err;
}

static bool chosen(void)
{
	FILE *symbols = fopen("/proc/kallsyms", "re");
	uint64_t address = symbols ? preemption__symbol(symbols, MODE_SYMBOL) : 0;
	int32_t mode = MODE_FULL;

	if (symbols)
		fclose(symbols);
	return !address || read_kernel(address, &mode) || mode < 0 || mode >= MODE_FULL;
}

static bool find_out(void)
{
	struct utsname name;

	if (uname(&name))
		return true;
	switch (preemption__built(name.version)) {
	case PREEMPTION_NO:
		return false;
	case PREEMPTION_CHOSEN:
		return chosen();
	default:
		return true;
	}
}

bool preemption__possible(void)
{
	static int possible = -1;

	if (possible < 0)
		possible = find_out();
	return possible;
}
