/* The set of record ids seen, by a hash of 64 bits. */
#ifndef E2E_IDS_H
#define E2E_IDS_H

#include <stdbool.h>
#include <stddef.h>

struct ids;

struct ids *ids__new(void); /* ends the program without memory, as ids__add does */
void ids__free(struct ids *ids);
/* True when the id was not there yet. */
bool ids__add(struct ids *ids, const char *id, size_t length);

#endif
