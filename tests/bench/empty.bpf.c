/*
 * The floor of what a hook costs: a program that does nothing, on the functions that the bench
 * writes through.
 */
#include "vmlinux.h"

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "GPL";

SEC("fexit/" PIPE_WRITE)
int BPF_PROG(pipe_write_exit, struct kiocb *iocb, struct iov_iter *iter, long ret)
{
	return 0;
}

SEC("fexit/generic_file_write_iter")
int BPF_PROG(generic_file_write_iter_exit, struct kiocb *iocb, struct iov_iter *iter, long ret)
{
	return 0;
}
