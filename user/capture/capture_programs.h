/*
 * The programs of the kernel half: the dispatcher, attached once and for long, and those behind it,
 * which each agent brings along and puts into the dispatcher's arrays. Owner: the capture; main
 * thread.
 */
#ifndef LOGTAP_CAPTURE_PROGRAMS_H
#define LOGTAP_CAPTURE_PROGRAMS_H

#include <stdbool.h>
#include <stdint.h>

#include "hooks.h"
#include "record.h"

struct capture_config;
struct capture_maps;
struct capture_pin;
struct capture_programs;

/*
 * Loads all programs that this kernel can take, on these maps; later, without privileges, a
 * module's functions could not be found any more. `pin` may be NULL; it is kept by the caller, as
 * the maps are. Nothing is attached or switched. 0 or -errno.
 */
int capture_programs__load(const struct capture_maps *maps, const struct capture_pin *pin,
			   struct capture_programs **out);
/*
 * The same for maps that are to follow `before`: what is not found in them is left to the programs
 * before. Needs those programs: pinned by capture_programs__pin_served.
 */
int capture_programs__load_bridge(const struct capture_maps *maps, const struct capture_maps *before,
				  const struct capture_pin *pin, struct capture_programs **out);
/* Pins the programs that serve now, whoever loaded them; again, nothing may have changed. 0 or -errno. */
int capture_programs__pin_served(const struct capture_pin *pin);
/* Unpins them. 0 or -errno. */
int capture_programs__unpin_served(const struct capture_pin *pin);
/* Our programs serve what is served now: first all but what finds new streams, then that. 0 or -errno. */
int capture_programs__switch_over(struct capture_programs *programs);
/* What is pinned goes on, with these programs. */
void capture_programs__free(struct capture_programs *programs);

/* Mapped; they live as long as the programs. */
struct capture_settings *capture_programs__settings(const struct capture_programs *programs);
/* The configuration allows no more globs than there is room for. */
void capture_programs__set_globs(const struct capture_programs *programs, const struct capture_config *config);
struct capture_state *capture_programs__state(const struct capture_programs *programs);
uint32_t *capture_programs__filter(const struct capture_programs *programs);

/* True when some hook of the group that this kernel has is not served, by whatever agent. */
bool capture_programs__is_off(const struct capture_programs *programs, enum hook_group group);
/* Lets our programs serve the group, attaching its hooks where they are not. 0 or -errno. */
int capture_programs__switch_on(struct capture_programs *programs, enum hook_group group);
/* Lets the group's hooks pass. */
void capture_programs__switch_off(struct capture_programs *programs, enum hook_group group);
/* For what is pinned, whoever loaded it. */
void capture_programs__switch_off_pinned(const struct capture_pin *pin);

/* Writes forget the stream, if it is still that slot's: any thread. 0, also when it was not, or -errno. */
int capture_programs__withdraw(const struct capture_programs *programs, uint64_t inode, uint32_t slot,
			       uint32_t generation);

/* Reads the iterators: the tasks, then the files. 0 or -errno. */
int capture_programs__census_tasks(struct capture_programs *programs);
int capture_programs__census_files(struct capture_programs *programs);

/* True when writes to this file system are seen. */
bool capture_programs__covers(const struct capture_programs *programs, uint64_t magic);
/* Times that the kernel skipped a hook of these groups (1 << group) since they were attached. */
uint64_t capture_programs__missed(const struct capture_programs *programs, uint32_t groups);

#endif
