#include "isolation.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "base/log.h"

static struct {
	const char *part;        /* of the program's name */
	const char *name;
	bool told;
} isolated[] = {
	{ "runsc", "gVisor", false },
	{ "gvisor", "gVisor", false },
	{ "kata", "Kata Containers", false },
};

void isolation__tell(const char *runtime, const char *container_id)
{
	const char *slash = runtime ? strrchr(runtime, '/') : NULL;
	const char *program = slash ? slash + 1 : runtime;

	for (size_t i = 0; program && i < sizeof(isolated) / sizeof(isolated[0]); i++) {
		if (!strstr(program, isolated[i].part) ||
		    __atomic_exchange_n(&isolated[i].told, true, __ATOMIC_RELAXED))
			continue;
		log_warn("container %s runs in %s: this kernel does not see its processes, so what such containers print "
			 "is not captured, or only of those that are alone in a sandbox; read it where the runtime writes it",
			 container_id, isolated[i].name);
	}
}
