#include "processes.h"

#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "runtime_file.h"

#define PROC "/proc"
/* For each moment of looking so many without. */
#define PAUSE 20

static char *read_proc(const char *root, const char *pid, const char *file, size_t *len)
{
	char path[PATH_MAX];
	char *text;

	if (runtime_file__path(path, pid, "/", file, NULL) ||
	    runtime_file__text(&(struct runtime_dir){ root, PROC, 0 }, path, RUNTIME_TEXT_MAX, &text, len))
		return NULL;
	return text;
}

static bool has_name(const char *root, const char *pid, const char *name)
{
	char *comm = read_proc(root, pid, "comm", NULL);
	bool has;

	if (!comm)
		return false;
	comm[strcspn(comm, "\n")] = '\0';
	has = strcmp(comm, name) == 0;
	free(comm);
	return has;
}

/* In the host's pid namespace a process has one number. */
static bool read_status(const char *root, const char *pid, unsigned int *uid)
{
	char *status = read_proc(root, pid, "status", NULL);
	const char *uids = status ? strstr(status, "\nUid:") : NULL;
	const char *pids = status ? strstr(status, "\nNSpid:") : NULL;
	bool known = uids && pids && sscanf(uids, "\nUid: %*u %u", uid) == 1;

	if (known) {
		pids += strlen("\nNSpid:");
		pids += strspn(pids, " \t");
		pids += strspn(pids, "0123456789");
		known = *pids == '\n' || *pids == '\0';
	}
	free(status);
	return known;
}

/* What a root in a mount namespace of its own calls /var/lib/docker is not the host's. */
static bool in_inits_mounts(const char *root, const char *pid)
{
	char path[PATH_MAX], own[64] = "", inits[64] = "";

	if (runtime_file__path(path, root, PROC "/", pid, "/ns/mnt", NULL) ||
	    readlink(path, own, sizeof(own) - 1) < 0 ||
	    runtime_file__path(path, root, PROC "/1/ns/mnt", NULL) ||
	    readlink(path, inits, sizeof(inits) - 1) < 0)
		return false;
	return strcmp(own, inits) == 0;
}

/* Whoever runs a set-uid program chooses its name, by a link, and its arguments; not the file. */
static bool runs_program(const char *root, const char *pid, const char *name)
{
	char path[PATH_MAX], program[PATH_MAX] = "", *base;

	if (runtime_file__path(path, root, PROC "/", pid, "/exe", NULL) ||
	    readlink(path, program, sizeof(program) - 1) < 0)
		return false;
	base = strrchr(program, '/');
	if (!base || strncmp(++base, name, strlen(name)) != 0)
		return false;
	base += strlen(name);
	return !*base || strcmp(base, " (deleted)") == 0;
}

/* What may tell where root keeps files: a program of that name among the host's mounts. */
static bool is_roots(const char *root, const char *pid, const char *name)
{
	return in_inits_mounts(root, pid) && runs_program(root, pid, name);
}

bool processes__find(const char *root, const char *name,
		     bool (*visit)(const struct process *process, void *context), void *context)
{
	DIR *stream = runtime_file__list(&(struct runtime_dir){ root, PROC, 0 }, ".");
	struct dirent *entry;
	bool done = false;

	if (!stream)
		return false;
	while (!done && (entry = readdir(stream))) {
		struct process process = { .root = root, .pid = entry->d_name };
		char *arguments;

		if (!isdigit((unsigned char)entry->d_name[0]) || !has_name(root, entry->d_name, name) ||
		    !read_status(root, entry->d_name, &process.uid) ||
		    (process.uid == 0 && !is_roots(root, entry->d_name, name)))
			continue;
		arguments = read_proc(root, entry->d_name, "cmdline", &process.arguments_length);
		process.arguments = arguments;
		done = arguments && visit(&process, context);
		free(arguments);
	}
	closedir(stream);
	return done;
}

static bool is_runtime(const struct process *process, void *context)
{
	(void)context;
	return process->uid == 0;
}

bool processes__have_runtime(void)
{
	static const char *const name[] = { "containerd", "dockerd", "crio" };
	struct stat init, self;

	/* What is mounted at /proc may be another namespace's. */
	if (stat(PROC "/1/ns/pid", &init) || stat(PROC "/self/ns/pid", &self) || init.st_ino != self.st_ino)
		return false;
	for (size_t i = 0; i < sizeof(name) / sizeof(name[0]); i++)
		if (processes__find("", name[i], is_runtime, NULL))
			return true;
	return false;
}

uint64_t processes__again_ms(uint64_t began_ms, uint64_t pause_ms)
{
	uint64_t now_ms = clock__ms();
	uint64_t took_ms = now_ms - began_ms;

	return now_ms + (pause_ms > PAUSE * took_ms ? pause_ms : PAUSE * took_ms);
}

const char *process__argument(const struct process *process, const char *name)
{
	const char *end = process->arguments + process->arguments_length;
	size_t len = strlen(name);

	for (const char *arg = process->arguments; arg < end; arg += strlen(arg) + 1) {
		if (strncmp(arg, name, len) != 0)
			continue;
		if (arg[len] == '=')
			return arg + len + 1;
		if (arg[len] == '\0' && arg + len + 1 < end)
			return arg + len + 1;
	}
	return NULL;
}

char *process__variable(const struct process *process, const char *name)
{
	struct process environment = { 0 };
	char *text = read_proc(process->root, process->pid, "environ", &environment.arguments_length);
	const char *value;
	char *copy;

	if (!text)
		return NULL;
	environment.arguments = text;
	value = process__argument(&environment, name);
	copy = value ? strdup(value) : NULL;
	free(text);
	return copy;
}
