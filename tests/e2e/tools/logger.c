/*
 * logger PATH RATE REPORT: writes numbered lines to PATH, RATE a second, and opens it again when another file or none has its
 * name, as loggers do. At SIGTERM it tells in REPORT how many lines there were and which inode numbers it wrote to, in order.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "follow.h"

#define NS 1000000000ULL
#define LINES_PER_LOOK 16

static volatile sig_atomic_t stop;

static void on_term(int signal)
{
	(void)signal;
	stop = 1;
}

static void die(const char *what)
{
	fprintf(stderr, "logger: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * NS + time.tv_nsec;
}

static int open_log(const char *path, FILE *report)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0644);
	struct stat file;

	if (fd < 0 || fstat(fd, &file))
		die(path);
	fprintf(report, "inode %lu\n", (unsigned long)file.st_ino);
	return fd;
}

/* The descriptor to go on with. */
static int follow(const char *path, int fd, FILE *report)
{
	if (!follow__moved(path, fd))
		return fd;
	close(fd);
	return open_log(path, report);
}

static void write_line(int fd, unsigned int number)
{
	char line[128];
	int length = sprintf(line, "%08u the quick brown fox jumps over the lazy %.*s\n", number, (int)(number % 40),
			     "dogdogdogdogdogdogdogdogdogdogdogdogdogdog");

	if (write(fd, line, length) != length)
		die("write");
}

int main(int argc, char **argv)
{
	struct timespec nap = { .tv_nsec = 2000000 };
	unsigned int lines = 0;
	uint64_t start = now(), rate;
	FILE *report;
	int fd;

	if (argc != 4)
		return 2;
	rate = strtoull(argv[2], NULL, 10);
	report = fopen(argv[3], "w");
	if (!report)
		die(argv[3]);
	signal(SIGTERM, on_term);
	fd = open_log(argv[1], report);
	while (!stop) {
		while (!stop && lines < (now() - start) * rate / NS) {
			if (lines % LINES_PER_LOOK == 0)
				fd = follow(argv[1], fd, report);
			write_line(fd, lines++);
		}
		nanosleep(&nap, NULL);
	}
	fprintf(report, "lines %u\nmilliseconds %lu\n", lines, (unsigned long)((now() - start) / 1000000));
	return fclose(report) ? 1 : 0;
}
