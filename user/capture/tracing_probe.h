/*
 * Does this kernel let us trace? Found out by doing it, with a program that does nothing. Main
 * thread.
 */
#ifndef LOGTAP_TRACING_PROBE_H
#define LOGTAP_TRACING_PROBE_H

enum tracing_step { TRACING_LOAD, TRACING_ATTACH, TRACING_DONE };

/*
 * Loads and attaches an fexit program that reads kernel memory, as capture does, and removes it at
 * once. TRACING_DONE, or the step that failed with its -errno in *err.
 */
enum tracing_step tracing_probe(int *err);

/* Makes a ring buffer map and removes it at once. 0 or -errno. */
int ring_probe(void);

#endif
