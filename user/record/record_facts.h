/*
 * What records tell of the machine beside its name, as `record.host` asks for it. Read once, at the
 * start; read-only then, any thread.
 */
#ifndef LOGTAP_RECORD_FACTS_H
#define LOGTAP_RECORD_FACTS_H

#include "base/config.h"
#include "identity/host_os.h"

struct record_facts {
	char machine_id[33];     /* 32 hex digits; "": not asked for, or not known */
	char boot_id[37];        /* a UUID; as above */
	const struct cloud_config *cloud; /* NULL: not asked for */
	bool has_os;
	struct host_os os;       /* has_os */
};

/*
 * `root` is put before the paths of machine-id and os-release: where the host's files are seen. What cannot be read
 * is left out, with a warning. *out points into the configuration.
 */
void record_facts__read(const struct config *config, const char *root, struct record_facts *out);

#endif
