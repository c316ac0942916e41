/* The kernel's types that the BPF programs use, for the architecture they are built for. */
#ifndef __VMLINUX_H__
#define __VMLINUX_H__

#if defined(__TARGET_ARCH_x86)
#include "x86_64.h"
#else
#error "vmlinux/ has no header for this architecture yet: add one beside x86_64.h"
#endif

#include "kernel.h"

#endif
