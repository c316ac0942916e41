/*
 * A real ring of the kernel's, filled by a small program that is run by hand, where the kernel
 * permits that: root, Linux 5.14.
 */
#ifndef LOGTAP_REAL_RING_H
#define LOGTAP_REAL_RING_H

#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#define REAL_RING_VALUE 4096

struct real_ring {
	int ring_fd;
	int value_fd;            /* array of one: what `output` copies into the ring */
	int output_fd;
};

#define INSN(op, d, s, o, i) { .code = (op), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i) }
#define LOAD_FD(d, kind, fd) INSN(BPF_LD | BPF_DW | BPF_IMM, d, kind, 0, fd), INSN(0, 0, 0, 0, 0)
#define MOVE(d, i) INSN(BPF_ALU64 | BPF_MOV | BPF_K, d, 0, 0, i)
#define COPY(d, s) INSN(BPF_ALU64 | BPF_MOV | BPF_X, d, s, 0, 0)
#define CALL(helper) INSN(BPF_JMP | BPF_CALL, 0, 0, 0, helper)
#define EXIT INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)

static inline int real_ring__load(const struct bpf_insn *insns, size_t count)
{
	LIBBPF_OPTS(bpf_prog_load_opts, options, .prog_flags = BPF_F_SLEEPABLE);

	return bpf_prog_load(BPF_PROG_TYPE_SYSCALL, "ring_test", "GPL", insns, count, &options);
}

#define LOAD(insns) real_ring__load(insns, sizeof(insns) / sizeof((insns)[0]))

/* Appends as many bytes of the value as the context's first word says; returns what the helper does. */
static inline int real_ring__load_output(const struct real_ring *ring)
{
	const struct bpf_insn insns[] = {
		INSN(BPF_LDX | BPF_W | BPF_MEM, BPF_REG_3, BPF_REG_1, 0, 0),
		MOVE(BPF_REG_0, 1),
		INSN(BPF_JMP | BPF_JGT | BPF_K, BPF_REG_3, 0, 6, REAL_RING_VALUE),
		LOAD_FD(BPF_REG_1, BPF_PSEUDO_MAP_FD, ring->ring_fd),
		LOAD_FD(BPF_REG_2, BPF_PSEUDO_MAP_VALUE, ring->value_fd),
		MOVE(BPF_REG_4, 0),
		CALL(BPF_FUNC_ringbuf_output),
		EXIT,
	};

	return LOAD(insns);
}

/* False where the kernel does not permit it; close it in any case. */
static inline bool real_ring__open(struct real_ring *ring, uint32_t size)
{
	ring->output_fd = -1;
	ring->ring_fd = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "ring", 0, 0, size, NULL);
	ring->value_fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "value", 4, REAL_RING_VALUE, 1, NULL);
	if (ring->ring_fd >= 0 && ring->value_fd >= 0)
		ring->output_fd = real_ring__load_output(ring);
	return ring->output_fd >= 0;
}

static inline void real_ring__close(struct real_ring *ring)
{
	const int fds[] = { ring->ring_fd, ring->value_fd, ring->output_fd };

	for (int i = 0; i < 3; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

/* The program's return value; < 0 when it cannot be run. */
static inline int real_ring__run(int fd, uint32_t argument)
{
	LIBBPF_OPTS(bpf_test_run_opts, options, .ctx_in = &argument, .ctx_size_in = sizeof(argument));

	return bpf_prog_test_run_opts(fd, &options) ? -1 : (int)options.retval;
}

/* 0, or what the kernel says: -EAGAIN when the ring is full. */
static inline int real_ring__output(const struct real_ring *ring, const void *bytes, uint32_t length)
{
	unsigned char value[REAL_RING_VALUE] = { 0 };
	uint32_t key = 0;

	memcpy(value, bytes, length);
	if (bpf_map_update_elem(ring->value_fd, &key, value, BPF_ANY))
		return -1;
	return real_ring__run(ring->output_fd, length);
}

#endif
