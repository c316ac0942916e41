#include "usage.h"

#include <stdio.h>

#include "base/log.h"

#define USAGE_ERROR 2

static const char usage[] =
	"Usage: logtap [-v] COMMAND\n"
	"\n"
	"  run [-c FILE]     capture and ship; without a file: all containers, JSON lines on stdout\n"
	"  attach [-c FILE]  capture without shipping: it goes on by itself until run and detach\n"
	"  detach [-c FILE]  end capture and remove every trace of it\n"
	"  check FILE        every mistake of a configuration with its line; starts nothing\n"
	"  doctor            can this host capture, what is missing, what to do\n"
	"\n"
	"  -v, --verbose     say more on stderr\n"
	"      --version     print the version\n"
	"  -h, --help        print this\n"
	"\n"
	"Exit status: 0 fine, 1 failed while running, 2 wrong usage or configuration.\n"
	"SIGHUP loads the configuration anew. SIGUSR1 prints the counters on stderr as one JSON line. SIGTERM ends it\n"
	"and leaves capture pinned, SIGINT ends both.\n";

int usage__print(void)
{
	fputs(usage, stdout);
	return 0;
}

int usage__missing(void)
{
	fputs(usage, stderr);
	return USAGE_ERROR;
}

int usage__wrong(const char *command, const char *takes)
{
	log_error("%s takes %s; see `logtap --help`", command, takes);
	return USAGE_ERROR;
}

int usage__no_option(const char *word)
{
	log_error("'%s' is no option here: -c FILE stands behind its command; see `logtap --help`", word);
	return USAGE_ERROR;
}

int usage__no_command(const char *name)
{
	log_error("'%s' is no command; see `logtap --help`", name);
	return USAGE_ERROR;
}
