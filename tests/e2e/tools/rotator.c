/*
 * rotator PATH COUNT REPORT: while a logger writes PATH, does COUNT of what tailers hate, by turns: rename, truncate, copy and
 * truncate, delete. A renamed or deleted file's inode goes, and a file of another name (PATH.decoy) is written at once: where the
 * file system gives numbers again, it gets the number of the log that just was. REPORT tells how often that was seen.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SIZE_MIN 8192         /* bytes that the logger must have written before the next turn */
#define DECOY "this is no line of the log\n"

static void die(const char *what)
{
	fprintf(stderr, "rotator: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* Until another file than `old` has the name and the logger writes to it. */
static ino_t await(const char *path, ino_t old)
{
	struct timespec nap = { .tv_nsec = 1000000 };
	struct stat file;

	while (stat(path, &file) || file.st_ino == old || file.st_size < SIZE_MIN)
		nanosleep(&nap, NULL);
	return file.st_ino;
}

static void copy(const char *from, const char *to)
{
	int in = open(from, O_RDONLY), out = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	char buffer[65536];
	ssize_t n;

	if (in < 0 || out < 0)
		die(to);
	while ((n = read(in, buffer, sizeof(buffer))) > 0)
		if (write(out, buffer, n) != n)
			die(to);
	close(in);
	close(out);
}

/* True when it got the number `gone`. */
static int write_decoy(const char *path, ino_t gone)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	struct stat file;

	if (fd < 0 || fstat(fd, &file) || write(fd, DECOY, strlen(DECOY)) != (ssize_t)strlen(DECOY))
		die(path);
	close(fd);
	unlink(path);
	return file.st_ino == gone;
}

int main(int argc, char **argv)
{
	char aside[4096], decoy[4096];
	int count, reused = 0, renamed = 0, deleted = 0;
	FILE *report;

	if (argc != 4)
		return 2;
	count = atoi(argv[2]);
	snprintf(aside, sizeof(aside), "%s.1", argv[1]);
	snprintf(decoy, sizeof(decoy), "%s.decoy", argv[1]);
	for (int i = 0; i < count; i++) {
		ino_t inode = await(argv[1], 0);

		if (i % 4 == 0) {
			if (rename(argv[1], aside))
				die("rename");
			await(argv[1], inode);
			unlink(aside);
			reused += write_decoy(decoy, inode);
			renamed++;
			continue;
		}
		if (i % 4 == 3) {
			if (unlink(argv[1]))
				die("unlink");
			reused += write_decoy(decoy, inode);
			deleted++;
			continue;
		}
		if (i % 4 == 2)
			copy(argv[1], aside);
		if (truncate(argv[1], 0))
			die("truncate");
	}
	await(argv[1], 0);
	report = fopen(argv[3], "w");
	if (!report || fprintf(report, "turns %d\nrenamed %d\ndeleted %d\ndecoys_with_its_number %d\n", count, renamed,
			       deleted, reused) < 0 || fclose(report))
		die(argv[3]);
	return 0;
}
