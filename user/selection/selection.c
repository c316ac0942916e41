#include "selection.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/config.h"
#include "base/log.h"
#include "base/mounts.h"
#include "base/path_glob.h"
#include "identity/cgroup_path.h"
#include "identity/identity.h"
#include "kubernetes/pod.h"
#include "pod_annotations.h"

/*
 * Where the kubelet, containerd, Docker and Podman write what containers have printed: those lines were
 * seen already.
 */
static char *const copies[] = {
	"/var/log/pods/**",
	"/var/log/containers/**",
	"/var/lib/docker/containers/**",
	"/var/lib/containers/storage/*-containers/**",
};

struct selection {
	const struct config *config;
	const char *root;
	char mountinfo[64];
	struct mounts *mounts;
	struct selection_rules *rules;
	char host_path[2 * SLOT_PATH_SIZE];
};

int selection__new(const struct config *config, const char *root, struct selection **out)
{
	struct selection *selection = calloc(1, sizeof(*selection));
	int err;

	if (!selection)
		return -ENOMEM;
	selection->config = config;
	selection->root = root;
	snprintf(selection->mountinfo, sizeof(selection->mountinfo), "/proc/%s/mountinfo",
		 *root ? "1" : "self");
	err = mounts__new(selection->mountinfo, &selection->mounts);
	err = err ? err : selection_rules__new(&config->selection, &selection->rules);
	if (err) {
		selection__free(selection);
		return err;
	}
	*out = selection;
	return 0;
}

void selection__free(struct selection *selection)
{
	if (!selection)
		return;
	mounts__free(selection->mounts);
	selection_rules__free(selection->rules);
	free(selection);
}

bool selection__admits_pipe(const struct selection *selection, const struct stream_slot *slot,
			    const struct identity *identity, enum stream_kind *kind)
{
	const struct cgroup_names names = cgroup_path__names(slot->cgroup, slot->cgroup_top, slot->cgroup_level);
	uint64_t pipes[2];

	/* A sandbox is the runtime's own: `pause` has nothing to say. */
	if (!identity || identity->sandbox || !selection__takes_pipes(selection))
		return false;
	*kind = slot->kind;
	/* Seen from the first exec on: nothing else can have been there before it. */
	if (!(slot->flags & SLOT_MID_LINE))
		return true;
	if (identity__init_pipes(selection->root, &names, identity->container_id, pipes))
		return !(slot->flags & SLOT_CENSUS) || (slot->flags & SLOT_OLDEST_TASK);
	if (slot->ino != pipes[0] && slot->ino != pipes[1])
		return false;
	*kind = slot->ino == pipes[0] ? STREAM_STDOUT : STREAM_STDERR;
	return true;
}

bool selection__takes_pipes(const struct selection *selection)
{
	return selection->config->capture.containers;
}

/* Who asks is a stranger: each pod is told of once, and so many of them in all. */
#define TOLD_PODS 64

static bool is_first_time(const char *uid)
{
	static uint64_t told[TOLD_PODS];
	uint64_t hash = 0xcbf29ce484222325; /* FNV-1a */

	for (; *uid; uid++)
		hash = (hash ^ (unsigned char)*uid) * 0x100000001b3;
	for (int i = 0; i < TOLD_PODS; i++) {
		uint64_t before = 0;

		/* All shards ask; 0 stands for a place that is free. */
		if (__atomic_compare_exchange_n(&told[i], &before, hash | 1, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
			return true;
		if (before == (hash | 1))
			return false;
	}
	return false;
}

static void tell_unclear(const struct pod *pod, const char *annotation)
{
	char text[1024];

	if (!pod->uid || !is_first_time(pod->uid))
		return;
	snprintf(text, sizeof(text), "pod %.253s in %.63s: %s", pod->name ? pod->name : pod->uid,
		 pod->namespace ? pod->namespace : "?", annotation);
	for (char *c = text; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
	log_warn("%s has a value that means nothing and is ignored; use \"true\" or \"false\", or for streams stdout, stderr or file",
		 text);
}

/* The API's, or until that is known what the runtime was told when it made the pod's sandbox. */
static struct pod_words words_of(const struct identity *identity, const struct pod *pod, enum stream_kind kind)
{
	return (struct pod_words){
		.annotations = pod ? &pod->annotations : &identity->pod_annotations,
		.labels = pod ? &pod->labels : &identity->pod_labels,
		.namespace_labels = pod ? &pod->namespace_labels : NULL,
		.container = selection_rules__container(identity, pod),
		.kind = kind,
	};
}

static enum selected asked_for(const struct selection_config *config, const struct identity *identity,
			       const struct pod *pod, enum stream_kind kind)
{
	char unclear[ANNOTATION_NAME_SIZE];
	struct pod_words words;
	enum asked asked;

	if (!config->annotations || !selection_rules__is_pods(identity, pod))
		return config->annotated_only ? SELECTED_NO : SELECTED_YES;
	if (!pod && !identity->tells_pod)
		return SELECTED_UNKNOWN;
	words = words_of(identity, pod, kind);
	asked = pod_annotations__ask(&words, unclear);
	if (*unclear && pod)
		tell_unclear(pod, unclear);
	if (asked == ASKED_NOTHING)
		return config->annotated_only ? SELECTED_NO : SELECTED_YES;
	return asked == ASKED_INCLUDE ? SELECTED_YES : SELECTED_NO;
}

enum selected selection__container(const struct selection *selection, const struct identity *identity,
				   const struct pod *pod, enum stream_kind kind)
{
	return selected__and(selection_rules__decide(selection->rules, identity, pod, kind),
			     asked_for(&selection->config->selection, identity, pod, kind));
}

bool selection__takes_unknown(const struct selection *selection)
{
	return selection->config->selection.unknown == UNKNOWN_INCLUDE;
}

static bool any_matches(char *const *globs, unsigned int count, const char *path)
{
	for (unsigned int i = 0; i < count; i++)
		if (path_glob__matches(globs[i], path))
			return true;
	return false;
}

/* The path in the file system, out of the dentry names, leaf first. False when it is cut. */
static bool path_in_file_system(const struct stream_slot *slot, char *out, size_t size)
{
	size_t end = slot->names_length;
	size_t used = 0;

	if (end > sizeof(slot->names) || !end)
		return false;
	while (end > 0) {
		size_t start = end - 1;
		size_t length;

		while (start > 0 && slot->names[start - 1])
			start--;
		length = end - 1 - start;
		if (used + length + 2 > size)
			return false;
		out[used++] = '/';
		memcpy(out + used, slot->names + start, length);
		used += length;
		end = start;
	}
	out[used] = 0;
	return true;
}

static const char *host_path(struct selection *selection, const struct stream_slot *slot)
{
	char path[SLOT_PATH_SIZE + 2];

	if (!path_in_file_system(slot, path, sizeof(path)))
		return "";
	if (mounts__host_path(selection->mounts, slot->dev, path, selection->host_path,
			      sizeof(selection->host_path)))
		return "";
	return selection->host_path;
}

const char *selection__file(struct selection *selection, const struct stream_slot *slot, const char *known)
{
	const struct capture_config *capture = &selection->config->capture;
	const char *paths[] = { known ? known : "", slot->path, host_path(selection, slot) };
	const char *wanted = NULL;

	for (int i = 0; i < 3; i++) {
		if (any_matches(copies, sizeof(copies) / sizeof(copies[0]), paths[i]) ||
		    any_matches(capture->exclude_files, capture->exclude_files_count, paths[i]))
			return NULL;
		if (!wanted && any_matches(capture->files, capture->files_count, paths[i]))
			wanted = paths[i];
	}
	return wanted;
}
