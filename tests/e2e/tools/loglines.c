/*
 * loglines --writer NAME --seed S --lines N [--rate R] [--sizes mix|short|plain] [--binary]
 *          [--fd 1|2]... [--file PATH [--follow]] [--block BYTES] [--omit SEQ] [--halve EVERY]
 *          [--flood PATH] [--until PATH] [--report PATH]
 *
 * Writes the numbered lines of line.h, R a second at most (0: as fast as it goes; who was held up
 * does not catch up), each in one write, or, with --block, in writes of exactly BYTES as a full
 * buffer is flushed; each EVERYth is written in two halves, with a pause between. With --fd 1 --fd 2
 * each line goes to both; --follow opens PATH again when it was rotated. --omit leaves one line out:
 * so a checker is seen to fail. While the file --flood exists there is no rate; it ends early when
 * --until exists. At the end one line goes to the report (default: stderr, when it does not write
 * there):
 *     lines=N bytes=WRITTEN
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "follow.h"
#include "line.h"

#define OUTPUTS_MAX 2
#define NS 1000000000ull
#define LOOK_LINES 16            /* between looks for the files that tell it what to do */
#define HALF_PAUSE_NS 300000000
#define LATE_MAX_NS 50000000     /* what is made up for */
#define SLEEP_MIN_NS 1000000     /* less is not worth a system call */

struct job {
	struct line_source source;
	uint64_t lines;
	uint64_t rate;           /* lines a second; 0: no limit */
	uint64_t omit;           /* UINT64_MAX: none */
	size_t block;            /* 0: a write for each line */
	uint64_t halve;          /* 0: no line */
	const char *file;        /* outputs[0]; NULL: a descriptor */
	bool follow;
	const char *flood;       /* NULL: never */
	bool flooding;
	const char *until;       /* NULL: all lines */
	const char *report;
	int outputs[OUTPUTS_MAX];
	int outputs_count;
	uint64_t written;        /* bytes to each output */
};

__attribute__((noreturn, format(printf, 1, 2))) static void die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs("loglines: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	exit(1);
}

static void write_all(struct job *job, const char *bytes, size_t length)
{
	for (int i = 0; i < job->outputs_count; i++) {
		for (size_t done = 0; done < length;) {
			ssize_t n = write(job->outputs[i], bytes + done, length - done);

			if (n < 0 && errno != EINTR)
				die("write: %s", strerror(errno));
			done += n < 0 ? 0 : n;
		}
	}
	job->written += length;
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * NS + now.tv_nsec;
}

/* Who writes blocks does not sleep for each line. */
static uint64_t lines_at_once(const struct job *job)
{
	return job->block ? 32 : 1;
}

/* Until the next line is due; `*due` is when. */
static void keep_rate(const struct job *job, uint64_t *due)
{
	struct timespec until = { .tv_sec = *due / NS, .tv_nsec = *due % NS };
	uint64_t now = now_ns();

	if (*due > now + SLEEP_MIN_NS)
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
	if (now > *due + LATE_MAX_NS)
		*due = now - LATE_MAX_NS;
	*due += lines_at_once(job) * NS / job->rate;
}

static bool exists(const char *path)
{
	return path && !access(path, F_OK);
}

static int open_file(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);

	if (fd < 0)
		die("%s: %s", path, strerror(errno));
	return fd;
}

/* Looks for what it is told by files. */
static void look(struct job *job, uint64_t seq)
{
	if (seq % LOOK_LINES)
		return;
	if (exists(job->until))
		job->lines = seq;
	job->flooding = exists(job->flood);
	if (job->follow && follow__moved(job->file, job->outputs[0])) {
		close(job->outputs[0]);
		job->outputs[0] = open_file(job->file);
	}
}

static void write_halves(struct job *job, const char *line, size_t length)
{
	struct timespec pause = { .tv_nsec = HALF_PAUSE_NS };

	write_all(job, line, length / 2);
	nanosleep(&pause, NULL);
	write_all(job, line + length / 2, length - length / 2);
}

static void write_lines(struct job *job)
{
	char *buffer = malloc(job->block + LINE_LENGTH_MAX + 1);
	uint64_t due = now_ns();
	size_t length = 0;

	if (!buffer)
		die("no memory");
	for (uint64_t seq = 0; seq < job->lines; seq++) {
		size_t at = 0, unit;

		if (job->rate && !job->flooding && seq % lines_at_once(job) == 0)
			keep_rate(job, &due);
		look(job, seq);
		if (seq == job->omit || seq == job->lines)
			continue;
		length += line__make(&job->source, seq, buffer + length);
		buffer[length++] = '\n';
		if (job->halve && seq % job->halve == job->halve - 1) {
			write_halves(job, buffer, length);
			length = 0;
			continue;
		}
		unit = job->block ? job->block : length;
		for (; length - at >= unit && at < length; at += unit)
			write_all(job, buffer + at, unit);
		memmove(buffer, buffer + at, length - at);
		length -= at;
	}
	if (length)
		write_all(job, buffer, length);
	free(buffer);
}

static void report(const struct job *job)
{
	FILE *out = job->report ? fopen(job->report, "w") : stderr;

	if (!job->report && job->outputs[job->outputs_count - 1] == STDERR_FILENO)
		return;
	if (!out || fprintf(out, "lines=%" PRIu64 " bytes=%" PRIu64 "\n", job->lines,
			    job->written) < 0 ||
	    fflush(out))
		die("%s: %s", job->report ? job->report : "stderr", strerror(errno));
}

static uint64_t number(const char *option, const char *text)
{
	char *end;
	uint64_t value = strtoull(text, &end, 10);

	if (!*text || *end)
		die("--%s: '%s' is not a number", option, text);
	return value;
}

static void add_output(struct job *job, int fd)
{
	if (job->outputs_count == OUTPUTS_MAX)
		die("more than %d outputs", OUTPUTS_MAX);
	job->outputs[job->outputs_count++] = fd;
}

static void set_option(struct job *job, const char *name, const char *value)
{
	if (!strcmp(name, "writer") ? line__set_writer(&job->source, value)
				    : !strcmp(name, "sizes") && line__set_sizes(&job->source,
										value))
		die("--%s: '%s' will not do", name, value);
	if (!strcmp(name, "seed"))
		job->source.seed = number(name, value);
	else if (!strcmp(name, "lines"))
		job->lines = number(name, value);
	else if (!strcmp(name, "rate"))
		job->rate = number(name, value);
	else if (!strcmp(name, "binary"))
		job->source.binary = true;
	else if (!strcmp(name, "fd"))
		add_output(job, number(name, value));
	else if (!strcmp(name, "block"))
		job->block = number(name, value);
	else if (!strcmp(name, "omit"))
		job->omit = number(name, value);
	else if (!strcmp(name, "halve"))
		job->halve = number(name, value);
	else if (!strcmp(name, "flood"))
		job->flood = value;
	else if (!strcmp(name, "follow"))
		job->follow = true;
	else if (!strcmp(name, "until"))
		job->until = value;
	else if (!strcmp(name, "report"))
		job->report = value;
	else if (!strcmp(name, "file")) {
		job->file = value;
		add_output(job, open_file(value));
	}
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "writer", required_argument, NULL, 1 }, { "seed", required_argument, NULL, 1 },
		{ "lines", required_argument, NULL, 1 },  { "rate", required_argument, NULL, 1 },
		{ "sizes", required_argument, NULL, 1 },  { "binary", no_argument, NULL, 1 },
		{ "fd", required_argument, NULL, 1 },     { "file", required_argument, NULL, 1 },
		{ "block", required_argument, NULL, 1 },  { "omit", required_argument, NULL, 1 },
		{ "halve", required_argument, NULL, 1 },  { "flood", required_argument, NULL, 1 },
		{ "follow", no_argument, NULL, 1 },       { "until", required_argument, NULL, 1 },
		{ "report", required_argument, NULL, 1 },
		{ NULL, 0, NULL, 0 },
	};
	struct job job = { .omit = UINT64_MAX };
	int option, which;

	while ((option = getopt_long(argc, argv, "", options, &which)) != -1) {
		if (option != 1)
			return 2;
		set_option(&job, options[which].name, optarg);
	}
	if (!*job.source.writer || optind < argc)
		die("it takes --writer NAME, and nothing but options");
	if (!job.outputs_count)
		add_output(&job, STDOUT_FILENO);
	if ((job.follow || job.halve) && (job.block || job.outputs_count != 1))
		die("--follow and --halve are for one output and whole lines");
	if (job.follow && !job.file)
		die("--follow is for --file");
	write_lines(&job);
	report(&job);
	return 0;
}
