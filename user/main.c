#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent.h"
#include "base/log.h"
#include "capture_command.h"
#include "check.h"
#include "doctor.h"
#include "usage.h"

#ifndef LOGTAP_VERSION
#error "LOGTAP_VERSION comes from the Makefile"
#endif

static const struct option long_options[] = {
	{ "verbose", no_argument, NULL, 'v' },
	{ "version", no_argument, NULL, 'V' },
	{ "help", no_argument, NULL, 'h' },
	{ "config", required_argument, NULL, 'c' },
	{ NULL, 0, NULL, 0 },
};

/* `check --help`: of commands without options. */
static bool asks_for_help(int argc, char **argv)
{
	return argc == 2 && (!strcmp(argv[1], "-h") || !strcmp(argv[1], "--help"));
}

/* `run`, `attach`, `detach`: -c FILE and nothing else. */
static int with_config(int argc, char **argv, int (*run)(const char *path))
{
	const char *path = NULL;
	int option;

	while ((option = getopt_long(argc, argv, "+c:vh", long_options, NULL)) != -1) {
		if (option == 'c')
			path = optarg;
		else if (option == 'h')
			return usage__print();
		else if (option == 'v')
			log_set_level(LOG_LEVEL_DEBUG);
		else
			return usage__wrong(argv[0], "-c FILE and nothing else");
	}
	if (optind < argc)
		return usage__wrong(argv[0], "-c FILE and nothing else");
	return run(path);
}

static int command_run(int argc, char **argv)
{
	return with_config(argc, argv, agent__run);
}

static int command_attach(int argc, char **argv)
{
	return with_config(argc, argv, capture_command__attach);
}

static int command_detach(int argc, char **argv)
{
	return with_config(argc, argv, capture_command__detach);
}

static int command_check(int argc, char **argv)
{
	if (asks_for_help(argc, argv))
		return usage__print();
	if (argc != 2 || !*argv[1])
		return usage__wrong(argv[0], "one FILE");
	return check__run(argv[1]);
}

static int command_doctor(int argc, char **argv)
{
	if (asks_for_help(argc, argv))
		return usage__print();
	if (argc != 1)
		return usage__wrong(argv[0], "no arguments");
	return doctor__run(stdout);
}

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
} commands[] = {
	{ "run", command_run },
	{ "attach", command_attach },
	{ "detach", command_detach },
	{ "check", command_check },
	{ "doctor", command_doctor },
};

static int run_command(int argc, char **argv)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(argv[0], commands[i].name))
			continue;
		optind = 0;
		return commands[i].run(argc, argv);
	}
	return usage__no_command(argv[0]);
}

/*
 * Where a standard descriptor is not open the next file would get its number, and what is printed
 * would be written there. Read only, so that a sink can tell.
 */
static void fill_standard_descriptors(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDONLY) < 0)
			return;
}

int main(int argc, char **argv)
{
	int option;

	fill_standard_descriptors();
	opterr = 0;
	while ((option = getopt_long(argc, argv, "+vh", long_options, NULL)) != -1) {
		switch (option) {
		case 'v':
			log_set_level(LOG_LEVEL_DEBUG);
			break;
		case 'V':
			puts("logtap " LOGTAP_VERSION);
			return 0;
		case 'h':
			return usage__print();
		default:
			return usage__no_option(argv[optind - 1]);
		}
	}
	if (optind >= argc)
		return usage__missing();
	return run_command(argc - optind, argv + optind);
}
