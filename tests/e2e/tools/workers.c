/*
 * workers COUNT: two processes print COUNT lines each to one stdout through stdio, fully buffered: their lines are cut wherever a
 * buffer of 4,096 bytes is full, and the pieces of both are mixed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define BUFFER 4096

static int meeting[2][2];

/* Both have left half a line in the pipe, whose cut is nowhere near a line's end here: so, however they are scheduled, lines are torn. */
static void meet(int worker)
{
	char byte = 0;

	if (write(meeting[!worker][1], &byte, 1) != 1 || read(meeting[worker][0], &byte, 1) != 1)
		exit(1);
}

static void work(int worker, int count)
{
	static char buffer[BUFFER];

	setvbuf(stdout, buffer, _IOFBF, sizeof(buffer));
	for (int i = 0; i < count; i++) {
		if (i == count / 2)
			meet(worker);
		printf("worker%d %06d %.*s\n", worker, i, i * 13 % 60,
		       "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ01234567");
	}
	exit(fflush(stdout) ? 1 : 0);
}

int main(int argc, char **argv)
{
	int count = argc == 2 ? atoi(argv[1]) : 0;
	int status, failed = count < 1 || pipe(meeting[0]) || pipe(meeting[1]);

	for (int worker = 0; !failed && worker < 2; worker++)
		if (!fork())
			work(worker, count);
	while (wait(&status) > 0)
		failed |= status;
	return failed;
}
