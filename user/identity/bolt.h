/*
 * Looks values up in a BoltDB file while others write it and may have filled it with anything: nothing of it is mapped, every
 * place and size is checked, and no lock is taken. Its format is that of go.etcd.io/bbolt (page.go, db.go, bucket.go), version
 * 2, in the byte order of the machine. Any thread.
 */
#ifndef LOGTAP_BOLT_H
#define LOGTAP_BOLT_H

#include <stddef.h>

/*
 * The value of `key` in a bucket: `bucket` has the names of buckets, each in the one before; NULL ends them. *out is the
 * caller's, with a NUL behind `*out_len` bytes, `max` at most. 0; -ENOENT when there is no such key, -EBADMSG when the file is
 * no BoltDB file or damaged, -EFBIG, -EAGAIN when it is written too often to be read, another -errno.
 */
int bolt__get(int fd, const char *const bucket[], const char *key, size_t max, char **out, size_t *out_len);

#endif
