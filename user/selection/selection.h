/*
 * Which streams are wanted: the kernel half registers a superset, this decides. Owner: one shard's
 * thread.
 */
#ifndef LOGTAP_SELECTION_H
#define LOGTAP_SELECTION_H

#include <stdbool.h>

#include "record.h"
#include "selection_rules.h"

struct config;
struct identity;
struct pod;
struct selection;

/*
 * `root` as for identity.h: where the host's /proc and /run are seen from. Both are kept by the
 * caller.
 */
int selection__new(const struct config *config, const char *root, struct selection **out);
void selection__free(struct selection *selection);

/*
 * True for a container's own stdout or stderr; *kind is then which. `identity` is the container's,
 * NULL when its cgroup is none. A pipe that was found, not seen opening, is checked against what
 * the runtime gave the container's init.
 */
bool selection__admits_pipe(const struct selection *selection, const struct stream_slot *slot,
			    const struct identity *identity, enum stream_kind *kind);

/* False: no container's, whoever's it is. */
bool selection__takes_pipes(const struct selection *selection);

/*
 * Whether a container's stream is selected, by the rules and by what its pod asks for itself. `pod`
 * is NULL when it is not known, or there is none; then the identity's word counts, if it has any.
 */
enum selected selection__container(const struct selection *selection, const struct identity *identity,
				   const struct pod *pod, enum stream_kind kind);
/* What becomes of a stream where that stays unknown. */
bool selection__takes_unknown(const struct selection *selection);

/*
 * The path by which a file is wanted: the one it is known by already (NULL: none), its writer's or
 * the host's, whichever a glob matches first. NULL when none does or it is excluded, as the copies
 * that runtimes make of containers' output always are. Valid until the next call.
 */
const char *selection__file(struct selection *selection, const struct stream_slot *slot, const char *known);

#endif
