#include "host_os.h"

#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <string.h>
#include <sys/utsname.h>

/* A line's NAME=VALUE, the value in quotes or not; what the shell would make of $ and \ is left as it is. */
static void take_line(char *line, struct host_os *out)
{
	static const struct {
		const char *name;
		size_t at;
	} texts[] = {
		{ "ID", offsetof(struct host_os, id) },
		{ "ID_LIKE", offsetof(struct host_os, id_like) },
		{ "NAME", offsetof(struct host_os, name) },
		{ "VERSION", offsetof(struct host_os, version) },
		{ "VERSION_ID", offsetof(struct host_os, version_id) },
		{ "VERSION_CODENAME", offsetof(struct host_os, codename) },
	};
	char *value = strchr(line, '=');
	size_t length;

	if (!value)
		return;
	*value++ = '\0';
	length = strcspn(value, "\n");
	if (length >= 2 && (*value == '"' || *value == '\'') && value[length - 1] == *value) {
		value++;
		length -= 2;
	}
	value[length] = '\0';
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (!strcmp(line, texts[i].name) && length < HOST_OS_TEXT)
			strcpy((char *)out + texts[i].at, value);
}

void host_os__parse(FILE *os_release, struct host_os *out)
{
	char line[1024];

	while (fgets(line, sizeof(line), os_release))
		take_line(line, out);
}

int host_os__read(const char *root, struct host_os *out)
{
	struct utsname uts;
	char path[PATH_MAX];
	FILE *file;

	*out = (struct host_os){ 0 };
	if (!uname(&uts)) {
		snprintf(out->architecture, sizeof(out->architecture), "%s", uts.machine);
		snprintf(out->kernel, sizeof(out->kernel), "%s", uts.release);
	}
	snprintf(path, sizeof(path), "%s/etc/os-release", root);
	file = fopen(path, "re");
	if (!file)
		return -errno;
	host_os__parse(file, out);
	fclose(file);
	return 0;
}

/* providers/linux/os.go of github.com/elastic/go-sysinfo, by which Filebeat tells host.os.family. */
static const char *family_of(const char *id, size_t length)
{
	static const char *const families[][2] = {
		{ "alpine", "alpine" },	  { "arch", "arch" },	    { "antergos", "arch" },   { "manjaro", "arch" },
		{ "redhat", "redhat" },	  { "fedora", "redhat" },   { "centos", "redhat" },   { "scientific", "redhat" },
		{ "oraclelinux", "redhat" }, { "ol", "redhat" },    { "amzn", "redhat" },     { "rhel", "redhat" },
		{ "almalinux", "redhat" }, { "openeuler", "redhat" }, { "rocky", "redhat" },  { "debian", "debian" },
		{ "ubuntu", "debian" },	  { "raspbian", "debian" }, { "linuxmint", "debian" }, { "suse", "suse" },
		{ "sles", "suse" },	  { "opensuse", "suse" },
	};

	for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++)
		if (strlen(families[i][0]) == length && !memcmp(families[i][0], id, length))
			return families[i][1];
	return "";
}

const char *host_os__family(const struct host_os *os)
{
	const char *family = family_of(os->id, strlen(os->id));
	const char *at = os->id_like;

	while (!*family && *at) {
		size_t length = strcspn(at, " ");

		family = family_of(at, length);
		at += length;
		at += strspn(at, " ");
	}
	return family;
}
