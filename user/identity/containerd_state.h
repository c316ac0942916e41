/*
 * What containerd's database says of a container that its bundle does not: the image, and how often it was restarted. It is
 * io.containerd.metadata.v1.bolt/meta.db in containerd's root (metadata/buckets.go). Any thread.
 */
#ifndef LOGTAP_CONTAINERD_STATE_H
#define LOGTAP_CONTAINERD_STATE_H

struct identity;
struct runtime_dir;

/* `dir`: containerd's root. An image that is known stays; `out` has no restart count yet. */
void containerd_state__fill(const struct runtime_dir *dir, const char *namespace, const char *id, struct identity *out);

#endif
