/*
 * Sinks that are over but for a client that waits for a name server, however long that takes: freed on threads of their own,
 * while another sink works. Their journals are shut (journal__shut). Owner: main; its thread alone.
 */
#ifndef LOGTAP_SINK_LEFT_H
#define LOGTAP_SINK_LEFT_H

#include <stdbool.h>

struct sink;

/* Each keeps its journals' memory. */
#define SINKS_LEFT_MAX 4

/* How many there are. */
unsigned int sink_left__count(void);
/* After sink__leave: frees it when its time has come, then calls done(owner) on that thread. 0 or -errno: nothing was done. */
int sink_left__free(struct sink *sink, void (*done)(void *owner), void *owner);
/* At the process's end: waits for those that are there, for at most deadline_ms in all. False: some are not gone. */
bool sink_left__join(unsigned int deadline_ms);

#endif
