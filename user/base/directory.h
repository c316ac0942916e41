/* Directories that logtap keeps its own files in. */
#ifndef LOGTAP_DIRECTORY_H
#define LOGTAP_DIRECTORY_H

/* Makes `path` and the directories above it, with mode 0700. 0, also when they are there, or -errno. */
int directory__make(const char *path);

#endif
