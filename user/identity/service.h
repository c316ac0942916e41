/*
 * What a cgroup's names say of a host's service: as systemd's journal has it in _SYSTEMD_UNIT,
 * _SYSTEMD_SLICE, _SYSTEMD_SESSION and _SYSTEMD_USER_UNIT (systemd, cgroup-util.c). A pure function on
 * untrusted text: any thread.
 */
#ifndef LOGTAP_SERVICE_H
#define LOGTAP_SERVICE_H

#include <stdbool.h>

#include "identity.h"
#include "record.h"

/* "" where there is none. */
struct service {
	char unit[CGROUP_NAME_SIZE];      /* nginx.service, session-3.scope, user@1000.service */
	char slice[CGROUP_NAME_SIZE];     /* that the unit is in; "-.slice" is the root */
	char session[CGROUP_NAME_SIZE];   /* 3 */
	char user_unit[CGROUP_NAME_SIZE]; /* of the user's own systemd */
};

/* What a unit has made in its cgroup is the unit's. False, and all "", when they name no unit. */
bool service__parse(const struct cgroup_names *names, struct service *out);

#endif
