/* Marks of writes that nobody will take away any more: see rescue.bpf.h. */
#ifndef LOGTAP_CAPTURE_MARKS_H
#define LOGTAP_CAPTURE_MARKS_H

#include <stdint.h>

/*
 * Takes away the marks of threads that have ended with a mark, as its rescue was skipped. `marks` are
 * MARKS in memory; the kernel half may set and take others meanwhile. Needs the pid namespace of
 * init. Returns how many there were.
 */
unsigned int capture_marks__sweep(uint64_t *marks);

#endif
