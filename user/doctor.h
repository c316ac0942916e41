/*
 * `logtap doctor`: can logtap capture on this host, what is missing, what to do about it. Changes
 * nothing: what it tries, it removes at once. Main thread, before others start; libbpf's messages
 * are off while it runs.
 */
#ifndef LOGTAP_DOCTOR_H
#define LOGTAP_DOCTOR_H

#include <stdio.h>

/*
 * Writes one line a check to `out`: "ok ...", "no ..." (what is wrong; what to do) or "-- ..." (a
 * note). Exit status: 0 or 1.
 */
int doctor__run(FILE *out);

/*
 * For a start that failed: writes only what prevents capture. Returns the exit status as
 * doctor__run does; 0 means that the checks found nothing and wrote nothing.
 */
int doctor__explain(FILE *errors);

#endif
