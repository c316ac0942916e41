/*
 * Which operating system the machine runs, by os-release(5) and uname(2). Owner: the caller; a value
 * without pointers. "" where it is not known.
 */
#ifndef LOGTAP_HOST_OS_H
#define LOGTAP_HOST_OS_H

#include <stdio.h>

#define HOST_OS_TEXT 96

struct host_os {
	char architecture[HOST_OS_TEXT]; /* as uname has it: x86_64 */
	char kernel[HOST_OS_TEXT];       /* its release: 6.1.0-28-amd64 */
	char id[HOST_OS_TEXT];           /* debian */
	char id_like[HOST_OS_TEXT];      /* ids, with spaces between them */
	char name[HOST_OS_TEXT];         /* Debian GNU/Linux */
	char version[HOST_OS_TEXT];      /* 12 (bookworm) */
	char version_id[HOST_OS_TEXT];   /* 12 */
	char codename[HOST_OS_TEXT];     /* bookworm */
};

/* A value that is too long is left out. */
void host_os__parse(FILE *os_release, struct host_os *out);
/* `root` is put before the path of os-release. 0, or why that could not be read: -errno. */
int host_os__read(const char *root, struct host_os *out);

/* Of distributions that are alike, the name by which go-sysinfo calls them: debian, redhat, ...; "". */
const char *host_os__family(const struct host_os *os);

#endif
