/*
 * The directory on a bpffs in which capture is pinned, so that it outlives the agent. Owner: the
 * capture; one thread.
 */
#ifndef LOGTAP_CAPTURE_PIN_H
#define LOGTAP_CAPTURE_PIN_H

#include <stdbool.h>
#include <sys/types.h>

struct capture_pin;

/*
 * Makes the directory where it is missing, and locks it until it is closed: one agent at a time.
 * -ENOTSUP: it is not on a bpffs. -EBUSY: another process has it; *holder is its pid, 0 when it is
 * not known. -ENOENT without `make`: nothing is there. Else -errno. *out untouched on failure.
 */
int capture_pin__open(const char *directory, bool make, pid_t *holder, struct capture_pin **out);
/* Gives up the lock; what is pinned stays. */
void capture_pin__close(struct capture_pin *pin);

/* A descriptor of what is pinned by that name, which the caller owns, or -errno (-ENOENT: nothing). */
int capture_pin__get(const struct capture_pin *pin, const char *name);
/* Pins fd; what was pinned by that name is replaced. 0 or -errno. */
int capture_pin__put(const struct capture_pin *pin, const char *name, int fd);
/* 0 or -errno; that nothing is there is fine. */
int capture_pin__remove(const struct capture_pin *pin, const char *name);
/* Removes everything that is pinned; the directory stays. 0 or -errno. */
int capture_pin__clear(const struct capture_pin *pin);
/* Removes the directory too. 0 or -errno. */
int capture_pin__destroy(const struct capture_pin *pin);

/*
 * A line of /proc/locks: the pid that holds a flock on the inode, 0 when the line tells of another
 * lock, or of a process that this pid namespace does not see.
 */
pid_t capture_pin__lock_holder(const char *line, dev_t device, ino_t inode);

#endif
