/* Integer types as the x86_64 kernel defines them. */
#ifndef __VMLINUX_X86_64_H__
#define __VMLINUX_X86_64_H__

typedef signed char __s8;
typedef unsigned char __u8;
typedef short __s16;
typedef unsigned short __u16;
typedef int __s32;
typedef unsigned int __u32;
typedef long long __s64;
typedef unsigned long long __u64;
typedef unsigned long size_t;
typedef long ssize_t;

#endif
