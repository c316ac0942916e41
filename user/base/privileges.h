/*
 * What the agent may do once the kernel half is loaded. Main thread, before others start: they
 * inherit it.
 */
#ifndef LOGTAP_PRIVILEGES_H
#define LOGTAP_PRIVILEGES_H

/*
 * Gives up every capability but those for attaching programs and for reading the runtimes' files,
 * for good. 0 or -errno. Afterwards module functions can no longer be found (that takes
 * CAP_SYS_ADMIN).
 */
int privileges__drop(void);

#endif
