#include "cgroup_path.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define ID_DIGITS 64
#define STATIC_POD_DIGITS 32
/* Kata (resourcecontrol/cgroups.go, virtcontainers/sandbox.go): the virtual machine of a pod, and its helpers. */
#define KATA "kata_"
#define KATA_HELPERS "kata_overhead"
#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

/* What may stand before a container's ID, without the '-' or ':' between them. */
static const struct {
	const char *text;
	const char *runtime;
} id_prefix[] = {
	{ "cri-containerd", "containerd" },
	{ "nerdctl", "containerd" },
	{ "docker", "docker" },
	{ "crio", "cri-o" },
	{ "libpod", "podman" },
	{ "libpod-payload", "podman" },
};

/* Where the hierarchies are that containers' cgroups are looked up in: version 1's, then version 2's. */
static const char *const mount[] = { "/sys/fs/cgroup/pids", "/sys/fs/cgroup" };

static const char *const unit_suffix[] = {
	".automount", ".device", ".mount", ".path", ".scope", ".service",
	".slice", ".socket", ".swap", ".target", ".timer",
};

static size_t hex_digits(const char *text)
{
	return strspn(text, "0123456789abcdef");
}

static bool ends_with(const char *text, size_t len, const char *suffix)
{
	size_t suffix_len = strlen(suffix);

	return len >= suffix_len && memcmp(text + len - suffix_len, suffix, suffix_len) == 0;
}

/* The runtime that puts `len` bytes of `text` before an ID; NULL when none does (conmon's, say). */
static const char *prefix_runtime(const char *text, size_t len)
{
	const char *colon;

	if (len == 0 || (len == strlen(KATA) && memcmp(text, KATA, len) == 0))
		return "";
	if (text[len - 1] != '-' && text[len - 1] != ':')
		return NULL;
	len--;
	/* A systemd name under the cgroupfs driver: SLICE:PREFIX:ID. */
	colon = memrchr(text, ':', len);
	if (colon) {
		len -= colon + 1 - text;
		text = colon + 1;
	}
	for (size_t i = 0; i < ARRAY_SIZE(id_prefix); i++) {
		if (strlen(id_prefix[i].text) == len && memcmp(id_prefix[i].text, text, len) == 0)
			return id_prefix[i].runtime;
	}
	return NULL;
}

/* The 64 hex digits in a name as some runtime writes it, or NULL. */
static const char *find_id(const char *name, const char **runtime)
{
	size_t len = strlen(name);
	const char *found;
	const char *id;

	if (ends_with(name, len, ".scope"))
		len -= strlen(".scope");
	if (len < ID_DIGITS)
		return NULL;
	id = name + len - ID_DIGITS;
	if (hex_digits(id) < ID_DIGITS)
		return NULL;
	found = prefix_runtime(name, id - name);
	if (!found)
		return NULL;
	*runtime = found;
	return id;
}

/* The length of the UID at the start of `text`, 0 when there is none. Slices have '_' for '-'. */
static size_t uid_length(const char *text)
{
	static const unsigned char dash_at[] = { 8, 13, 18, 23 };
	size_t digits = hex_digits(text);
	size_t dash = 0;
	size_t i;

	if (digits == STATIC_POD_DIGITS)
		return digits;
	for (i = 0; i < POD_UID_MAX; i++) {
		if (dash < ARRAY_SIZE(dash_at) && i == dash_at[dash]) {
			if (text[i] != '-' && text[i] != '_')
				return 0;
			dash++;
		} else if (!isxdigit((unsigned char)text[i])) {
			return 0;
		}
	}
	return i;
}

/* Finds "pod" UID [".slice"] at the end of the name or before a ':'. */
static bool find_pod_uid(const char *name, char out[POD_UID_MAX + 1])
{
	const char *pod = name;

	while ((pod = strstr(pod, "pod"))) {
		const char *uid = pod + strlen("pod");
		size_t len = uid_length(uid);
		const char *end = uid + len;

		if (strncmp(end, ".slice", strlen(".slice")) == 0)
			end += strlen(".slice");
		if (len && (pod == name || pod[-1] == '-') && (*end == '\0' || *end == ':')) {
			for (size_t i = 0; i < len; i++)
				out[i] = uid[i] == '_' ? '-' : uid[i];
			out[len] = '\0';
			return true;
		}
		pod = uid;
	}
	return false;
}

static bool is_unit(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(unit_suffix); i++) {
		if (ends_with(name, strlen(name), unit_suffix[i]))
			return true;
	}
	return false;
}

static bool mentions_id(const char *name)
{
	while (*name) {
		size_t digits = hex_digits(name);

		if (digits >= ID_DIGITS)
			return true;
		name += digits ? digits : 1;
	}
	return false;
}

bool cgroup_path__valid_name(const char *text)
{
	size_t len = strspn(text, "abcdefghijklmnopqrstuvwxyz"
				  "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");

	return len > 0 && len <= CONTAINER_ID_MAX && text[len] == '\0' && text[0] != '.';
}

static bool is_free_name(const char *leaf)
{
	char uid[POD_UID_MAX + 1];

	return cgroup_path__valid_name(leaf) && !is_unit(leaf) && !mentions_id(leaf) &&
	       !find_pod_uid(leaf, uid);
}

/* crun's own child, and systemd's when it is a container's init: the entrypoint runs there. */
static bool is_entrypoint_child(const char *name)
{
	return strcmp(name, "container") == 0 || strcmp(name, "init.scope") == 0;
}

static unsigned int count_names(const struct cgroup_names *names)
{
	unsigned int count = 0;

	while (count < IDENTITY_CGROUP_NAMES && names->name[count] && names->name[count][0])
		count++;
	return count;
}

/* What users run lies in user.slice/user-UID.slice; their own systemd lets them name cgroups there. */
static unsigned int owner(const struct cgroup_names *names, unsigned int count)
{
	unsigned int uid;
	char end[8];

	if (count < 2 || strcmp(names->name[count - 1], "user.slice") != 0 ||
	    sscanf(names->name[count - 2], "user-%u%7s", &uid, end) != 2 || strcmp(end, ".slice") != 0)
		return 0;
	return uid;
}

/*
 * Whether the names from `from` up lie in a service, a scope or an LXC container: systemd delegates cgroups to the former, and the
 * latter's root has them. Runtimes put containers into slices, or into cgroups of their own beside those.
 */
static bool is_delegated(const struct cgroup_names *names, unsigned int from, unsigned int count)
{
	for (unsigned int i = from; i < count; i++) {
		const char *name = names->name[i];
		size_t len = strlen(name);

		if (ends_with(name, len, ".service") || ends_with(name, len, ".scope") ||
		    strncmp(name, "lxc.", strlen("lxc.")) == 0 || strcmp(name, "lxc") == 0)
			return true;
	}
	return false;
}

/* The topmost ID; where it stands comes back in *at. NULL: there is none. */
static const char *topmost_id(const struct cgroup_names *names, unsigned int count, unsigned int *at,
			      const char **runtime)
{
	for (unsigned int i = count; i-- > 0;) {
		const char *id = find_id(names->name[i], runtime);

		*at = i;
		if (id)
			return id;
	}
	return NULL;
}

/* Whether the leaf is a container's own cgroup, not something that a container has made in its own. */
static bool ends_in_container(const struct cgroup_names *names, unsigned int count)
{
	const char *runtime;
	unsigned int at = 0;

	while (at + 1 < count && is_entrypoint_child(names->name[at]))
		at++;
	return find_id(names->name[at], &runtime);
}

struct cgroup_names cgroup_path__names(const char leaf[CGROUP_NAMES][CGROUP_NAME_SIZE],
				       const char top[CGROUP_TOP_NAMES][CGROUP_NAME_SIZE], uint32_t level)
{
	struct cgroup_names names = { 0 };
	uint32_t above = level > CGROUP_NAMES ? level - CGROUP_NAMES : 0;
	unsigned int count = 0;

	while (count < CGROUP_NAMES && leaf[count][0]) {
		names.name[count] = leaf[count];
		count++;
	}
	if (!level && count == CGROUP_NAMES)
		names.name[count++] = CGROUP_NAMES_REST;
	if (above > CGROUP_TOP_NAMES) {
		names.name[count++] = CGROUP_NAMES_GAP;
		above = CGROUP_TOP_NAMES;
	}
	while (above-- > 0)
		names.name[count++] = top[above];
	return names;
}

/* Where Kata keeps what is no container's: its own name for an ID, or its directory of them. */
static bool is_katas(const struct cgroup_names *names, unsigned int at, unsigned int count)
{
	return strncmp(names->name[at], KATA, strlen(KATA)) == 0 ||
	       (at + 1 < count && strcmp(names->name[at + 1], KATA_HELPERS) == 0);
}

int cgroup_path__parse(const struct cgroup_names *names, struct cgroup_place *out)
{
	unsigned int count = count_names(names);
	const char *runtime = "";
	unsigned int at = 0;
	const char *id = topmost_id(names, count, &at, &runtime);
	bool free_name = !id;

	if (!count || (free_name ? !is_free_name(names->name[0]) : !ends_in_container(names, count)))
		return -ENOENT;
	if (free_name) {
		id = names->name[0];
		at = 0;
	}
	*out = (struct cgroup_place){ .runtime = free_name ? "" : runtime, .free_name = free_name,
				      .uid = owner(names, count), .at = at, .names = names };
	out->machine = !free_name && is_katas(names, at, count);
	/* What is a user's is told of by the user's runtimes alone. */
	out->delegated = !out->uid && is_delegated(names, at + 1, count);
	memcpy(out->container_id, id, free_name ? strlen(id) : ID_DIGITS);
	while (at < count && !find_pod_uid(names->name[at], out->pod_uid))
		at++;
	/* The kubelet is nobody's but root's, and its containers have IDs. */
	if (out->uid || free_name)
		out->pod_uid[0] = '\0';
	return 0;
}

/* Of the kubelet's and of runtimes: no container is called so. */
static bool is_structure(const char *name)
{
	static const char *const structure[] = { "kubepods", "burstable", "besteffort", "guaranteed", "docker",
						 "libpod_parent" };

	for (size_t i = 0; i < ARRAY_SIZE(structure); i++)
		if (strcmp(name, structure[i]) == 0)
			return true;
	return !is_free_name(name);
}

bool cgroup_path__around(const struct cgroup_place *place, unsigned int n, struct cgroup_names *names,
			 struct cgroup_place *out)
{
	unsigned int count = count_names(place->names);

	for (unsigned int i = count; i-- > place->at + 1;) {
		if (is_structure(place->names->name[i]) || n-- > 0)
			continue;
		*names = (struct cgroup_names){ 0 };
		memcpy(names->name, &place->names->name[i], (count - i) * sizeof(names->name[0]));
		return cgroup_path__parse(names, out) == 0;
	}
	return false;
}

void cgroup_path__own(const struct cgroup_place *place, struct cgroup_names *out)
{
	unsigned int count = count_names(place->names);

	*out = (struct cgroup_names){ 0 };
	memcpy(out->name, &place->names->name[place->at], (count - place->at) * sizeof(out->name[0]));
}

bool cgroup_path__below(const struct cgroup_place *place, struct cgroup_names *out)
{
	if (!place->at)
		return false;
	*out = (struct cgroup_names){ 0 };
	memcpy(out->name, place->names->name, place->at * sizeof(out->name[0]));
	return true;
}

bool cgroup_path__matches(const char *path, const struct cgroup_names *names)
{
	unsigned int count = count_names(names);
	bool rest_unknown = false;
	size_t len;

	for (size_t i = 0; i < ARRAY_SIZE(mount); i++)
		if (strncmp(path, mount[i], strlen(mount[i])) == 0 && path[strlen(mount[i])] == '/')
			path += strlen(mount[i]);
	if (path[0] != '/')
		return false;
	len = strlen(path);
	if (count && strcmp(names->name[count - 1], CGROUP_NAMES_REST) == 0) {
		rest_unknown = true;
		count--;
	}
	for (unsigned int i = 0; i < count; i++) {
		const char *slash = memrchr(path, '/', len);
		size_t name_len = slash ? len - (slash + 1 - path) : 0;

		if (!name_len || strlen(names->name[i]) != name_len ||
		    memcmp(slash + 1, names->name[i], name_len) != 0)
			return false;
		len -= name_len + 1;
	}
	return len == 0 || rest_unknown;
}
