/* Whether this kernel may take the CPU from a task that is inside the kernel. Needs CAP_BPF. */
#ifndef LOGTAP_PREEMPTION_H
#define LOGTAP_PREEMPTION_H

#include <stdbool.h>
#include <stdio.h>

enum preemption { PREEMPTION_NO, PREEMPTION_YES, PREEMPTION_CHOSEN /* at boot, or later */ };

/* What the kernel was built for, as the version in uname(2) tells. */
enum preemption preemption__built(const char *version);
/* Address of a symbol in a file such as /proc/kallsyms; 0: it is not there, or hidden. */
unsigned long long preemption__symbol(FILE *symbols, const char *name);
/* True also when it cannot be found out. As it is at the first call, which takes privileges; one thread. */
bool preemption__possible(void);

#endif
