/* How large things become with a configuration. Pure functions, any thread. */
#ifndef LOGTAP_CONFIG_MEMORY_H
#define LOGTAP_CONFIG_MEMORY_H

#include <stdint.h>

struct config;

/* Bytes of the largest record that a line can become. */
uint64_t config__max_record(const struct config *config);

/* Bytes of memory that `run` takes with all that is allowed in use, by purpose. */
struct config_memory {
	uint64_t rings;          /* kernel, charged to the creating cgroup */
	uint64_t maps;           /* kernel: slots, filter, hash maps */
	uint64_t journal;        /* tmpfs */
	uint64_t spill;          /* heap: what is on its way to or from the disk */
	uint64_t checkpoint;     /* tmpfs: what is known of streams */
	uint64_t lines;          /* tmpfs, in the checkpoint: lines that wait for their newline */
	uint64_t sink;           /* heap: what is on its way to the sink */
	uint64_t pods;           /* heap: what is known of pods, where somebody may be asked */
	uint64_t total;
	uint64_t disk;           /* not memory: of journal.disk, at most */
};
void config__memory(const struct config *config, struct config_memory *out);

#endif
