/* A process that writes. Plain data. */
#ifndef LOGTAP_PROCESS_H
#define LOGTAP_PROCESS_H

#include <stdint.h>

#include "record.h"

/* Who wrote, as the kernel half told once. */
struct process {
	uint32_t tag;
	uint32_t tgid;
	uint32_t uid;
	char name[PROCESS_NAME_SIZE + 1];
};

#endif
