/*
 * What Podman's database says of a container that its other files do not: its labels, and how often it was restarted. It is
 * libpod/bolt_state.db beside the containers (libpod/boltdb_state.go of Podman 4) or db.sql (libpod/sqlite_state.go, from 4.8
 * on). Any thread.
 */
#ifndef LOGTAP_PODMAN_STATE_H
#define LOGTAP_PODMAN_STATE_H

struct identity;
struct runtime_dir;

/* `containers`: the directory of the containers. 0, also when nothing is known (a damaged file is told), or -ENOMEM. */
int podman_state__fill(const struct runtime_dir *containers, const char *id, struct identity *out);

#endif
