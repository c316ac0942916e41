#include "record_facts.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"

/* A line of hexadecimal digits and dashes of exactly `size` - 1 characters. */
static void read_id(const char *path, const char *key, char *out, size_t size)
{
	char line[64] = "";
	FILE *file = fopen(path, "re");

	if (file && !fgets(line, sizeof(line), file))
		line[0] = 0;
	if (file)
		fclose(file);
	line[strcspn(line, "\n")] = 0;
	if (strlen(line) == size - 1 && strspn(line, "0123456789abcdef-") == size - 1)
		memcpy(out, line, size);
	else
		log_warn("%s holds no id, so records go without what record.host: [%s] asks for", path, key);
}

static bool asks_for(const struct record_config *config, enum host_fact fact)
{
	for (unsigned int i = 0; i < config->host_count; i++)
		if (config->host[i] == fact)
			return true;
	return false;
}

void record_facts__read(const struct config *config, const char *root, struct record_facts *out)
{
	char path[PATH_MAX];
	int err;

	*out = (struct record_facts){ 0 };
	snprintf(path, sizeof(path), "%s/etc/machine-id", root);
	if (asks_for(&config->record, HOST_FACT_MACHINE_ID))
		read_id(path, "machine_id", out->machine_id, sizeof(out->machine_id));
	if (asks_for(&config->record, HOST_FACT_BOOT_ID))
		read_id("/proc/sys/kernel/random/boot_id", "boot_id", out->boot_id, sizeof(out->boot_id));
	if (asks_for(&config->record, HOST_FACT_CLOUD))
		out->cloud = &config->cloud;
	out->has_os = asks_for(&config->record, HOST_FACT_OS);
	if (!out->has_os)
		return;
	err = host_os__read(root, &out->os);
	if (err)
		log_warn("%s/etc/os-release cannot be read (%s), so records tell of what record.host: [os] asks for the kernel alone",
			 root, strerror(-err));
}
