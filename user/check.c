#include "check.h"

#include <stdio.h>

#include "base/config.h"
#include "base/quantity.h"
#include "config/config_load.h"
#include "config/config_memory.h"

#define EXIT_USAGE 2

static void print_size(const char *what, uint64_t bytes, const char *where)
{
	char text[QUANTITY_TEXT];

	printf("  %-10s %10s  %s\n", what, quantity__round(QUANTITY_SIZE, bytes, text), where);
}

static void print_memory(const struct config *config)
{
	struct config_memory memory;

	config__memory(config, &memory);
	printf("memory, with all of it in use:\n");
	print_size("rings", memory.rings, "kernel: capture.ring_size for each shard");
	print_size("maps", memory.maps, "kernel: by capture.max_streams");
	print_size("journal", memory.journal, "tmpfs: journal.max_size, kafka.aside_size");
	if (memory.spill)
		print_size("spill", memory.spill, "heap: a segment on its way to disk, for each shard and partition set aside");
	print_size("checkpoint", memory.checkpoint, "tmpfs: by capture.max_streams, for each shard");
	print_size("lines", memory.lines, "tmpfs: lines.memory, in the checkpoint");
	print_size("sink", memory.sink, "heap: what is on its way to the sink");
	if (memory.pods)
		print_size("pods", memory.pods, "heap: what Kubernetes says of pods, in a cluster");
	print_size("total", memory.total, "");
	if (memory.disk)
		print_size("disk", memory.disk, "on disk: journal.disk.max_size");
}

int check__run(const char *path)
{
	struct config *config;

	if (config__load(path, stderr, &config))
		return EXIT_USAGE;
	printf("%s: ok\n", path);
	printf("%u shard%s, sink %s\n", config->capture.shards,
	       config->capture.shards == 1 ? "" : "s",
	       config->sink == SINK_KAFKA ? "kafka" : "stdout");
	print_memory(config);
	config__free(config);
	return 0;
}
