/*
 * Rings of other sizes, and more or fewer of them, under a capture that goes on: a ring is followed
 * by another, and its shard reads both, one after the other, as if they were one. Owner: the capture;
 * main thread.
 */
#ifndef LOGTAP_CAPTURE_RINGS_H
#define LOGTAP_CAPTURE_RINGS_H

#include <stdint.h>

struct capture_config;
struct capture_maps;
struct capture_pin;
struct ring;

void capture_rings__name(unsigned int shard, const char *suffix, char name[32]);
/* Makes the shard's ring in the process; nobody uses it yet. The descriptor or -errno. */
int capture_rings__make(uint64_t size);
/* Opens what is pinned; where a logtap was killed while one ring followed another, that is ended. 0 or -errno. */
int capture_rings__adopt(struct capture_maps *maps, const struct capture_pin *pin);
/*
 * Lets the rings follow the configuration, as far as they can: one that has followed another which is
 * not read yet stays, and one that streams are still on does. `slots` is their map in memory. Killed
 * at any point, the next logtap goes on. 0 or -errno.
 */
int capture_rings__follow(struct capture_maps *maps, const struct capture_pin *pin,
			  const struct capture_config *config, const char *slots);
/* Unpins the rings before, of which all is read. */
void capture_rings__forget_drained(struct capture_maps *maps, const struct capture_pin *pin);
/* For reading, from behind what was released. 0 or -errno. */
int capture_rings__open(const struct capture_maps *maps, unsigned int shard, struct ring **out);

#endif
