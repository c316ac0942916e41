/*
 * The host's mounts, to say where in the host's tree a file of some file system is, whatever mounts
 * its writer sees. Owner: one shard's thread. Format: proc(5), mountinfo.
 */
#ifndef LOGTAP_MOUNTS_H
#define LOGTAP_MOUNTS_H

#include <stddef.h>
#include <stdint.h>

struct mounts;

/*
 * `mountinfo`: a path, kept by the caller; it is read when first needed, and again when the kernel
 * says that mounts have changed.
 */
int mounts__new(const char *mountinfo, struct mounts **out);
void mounts__free(struct mounts *mounts);

/*
 * Writes the host's path of `path` (from the file system's root, with a leading slash) on the
 * device, as the kernel numbers it: major << 20 | minor. -ENOENT when the host mounts no part of
 * the file system that holds the path; -ENAMETOOLONG.
 */
int mounts__host_path(struct mounts *mounts, uint32_t dev, const char *path, char *out, size_t size);

#endif
