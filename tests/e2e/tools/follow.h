/* What loggers do when their file is rotated. */
#ifndef E2E_FOLLOW_H
#define E2E_FOLLOW_H

#include <stdbool.h>

/* True when another file than `fd`, or none, has the name: it is to be opened again. */
bool follow__moved(const char *path, int fd);

#endif
