#include "follow.h"

#include <sys/stat.h>

bool follow__moved(const char *path, int fd)
{
	struct stat named, open_one;

	return stat(path, &named) || fstat(fd, &open_one) || named.st_ino != open_one.st_ino ||
	       named.st_dev != open_one.st_dev;
}
