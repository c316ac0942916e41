/* Finds the stream slots that a killed agent had not quite given back. */
#ifndef LOGTAP_CAPTURE_SLOTS_H
#define LOGTAP_CAPTURE_SLOTS_H

struct capture_maps;

/*
 * Gives back the slots that are free but not in the queue of free ones: at most one for each agent
 * that was killed. `slots` is their map in memory. The kernel half may take slots meanwhile, nobody
 * may give any back. The number given back, or -errno.
 */
int capture_slots__repair(const struct capture_maps *maps, const char *slots);

#endif
