#include "line_id.h"

#include <inttypes.h>
#include <stdio.h>

static uint32_t hash(const char *text)
{
	uint32_t h = 2166136261u; /* FNV-1a */

	for (; *text; text++)
		h = (h ^ (unsigned char)*text) * 16777619u;
	return h;
}

static uint32_t boot_hash(void)
{
	char id[64] = "";
	FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");

	if (!file)
		return 0;
	if (!fgets(id, sizeof(id), file))
		id[0] = 0;
	fclose(file);
	return hash(id);
}

void line_id__prefix(char prefix[LINE_ID_PREFIX_SIZE], const char *node, unsigned int shard,
		     uint64_t epoch)
{
	snprintf(prefix, LINE_ID_PREFIX_SIZE, "%08x.%08x.%x.%" PRIx64 ".", hash(node), boot_hash(),
		 shard, epoch);
}
