/*
 * `logtap check FILE`: tells every mistake in a configuration, and the memory it stands for. Starts
 * nothing.
 */
#ifndef LOGTAP_CHECK_H
#define LOGTAP_CHECK_H

/* The exit status: 0, or 2 when the file cannot be read or is mistaken (told on stderr). */
int check__run(const char *path);

#endif
