/*
 * Runtimes whose containers' processes this kernel does not run: gVisor, Kata. Hardly any of their output can
 * be captured, and that is said. Any thread.
 */
#ifndef LOGTAP_ISOLATION_H
#define LOGTAP_ISOLATION_H

/*
 * `runtime`: how a runtime or its shim is called, with or without a path; NULL is none. Warns once
 * for each such runtime, with the container that it was seen at first.
 */
void isolation__tell(const char *runtime, const char *container_id);

#endif
