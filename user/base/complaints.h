/*
 * What is wrong with a file that is read again and again is said once, until the file is found in order or
 * something else is wrong with it. One table for the process, bounded: the oldest complaint goes first. Any thread.
 */
#ifndef LOGTAP_COMPLAINTS_H
#define LOGTAP_COMPLAINTS_H

#include <stdbool.h>

#define COMPLAINTS_MAX 256

/* Whether `cause`, a -errno, of `subject` has not been said, and so is to be said. Without memory: true. */
bool complaints__is_new(const char *subject, int cause);

/* Nothing is wrong with it any more. */
void complaints__settle(const char *subject);

#endif
