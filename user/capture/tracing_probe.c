#include "tracing_probe.h"

#include <unistd.h>

#include <bpf/bpf.h>
#include <linux/bpf.h>

#include "hooks.h"

/*
 * r1 = fp - 8; r2 = 8; r3 = 0; call probe_read_kernel; r0 = 0; exit. Reading address 0 fails,
 * harmlessly.
 */
static const struct bpf_insn program[] = {
	{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = BPF_REG_1, .src_reg = BPF_REG_10 },
	{ .code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = BPF_REG_1, .imm = -8 },
	{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_2, .imm = 8 },
	{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_3, .imm = 0 },
	{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_probe_read_kernel },
	{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0 },
	{ .code = BPF_JMP | BPF_EXIT },
};

/*
 * A function of the kernel's own for such tests, which nobody calls; kernels without networking
 * lack it.
 */
static int target_id(void)
{
	int id = hooks__function_id("bpf_fentry_test1");

	return id > 0 ? id : hooks__function_id("security_file_open");
}

enum tracing_step tracing_probe(int *err)
{
	LIBBPF_OPTS(bpf_prog_load_opts, options, .expected_attach_type = BPF_TRACE_FEXIT);
	int id = target_id();
	int prog, link;

	if (id < 0) {
		*err = id;
		return TRACING_LOAD;
	}
	options.attach_btf_id = id;
	prog = bpf_prog_load(BPF_PROG_TYPE_TRACING, "logtap_probe", "GPL", program,
			     sizeof(program) / sizeof(program[0]), &options);
	if (prog < 0) {
		*err = prog;
		return TRACING_LOAD;
	}
	/* What attaches a BTF program on every kernel; links by BPF_LINK_CREATE came later. */
	link = bpf_raw_tracepoint_open(NULL, prog);
	close(prog);
	if (link < 0) {
		*err = link;
		return TRACING_ATTACH;
	}
	close(link);
	return TRACING_DONE;
}

int ring_probe(void)
{
	int map = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "logtap_probe", 0, 0, sysconf(_SC_PAGESIZE),
				 NULL);

	if (map < 0)
		return map;
	close(map);
	return 0;
}
