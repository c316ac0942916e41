#include "ids.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

struct ids {
	uint64_t *slots;         /* open addressing; 0 is free */
	size_t size;             /* a power of two */
	size_t count;
};

static uint64_t *new_slots(size_t size)
{
	uint64_t *slots = calloc(size, sizeof(*slots));

	if (!slots) {
		fputs("logcheck: no memory\n", stderr);
		exit(2);
	}
	return slots;
}

struct ids *ids__new(void)
{
	struct ids *ids = calloc(1, sizeof(*ids));

	if (!ids)
		return NULL;
	ids->size = 1 << 16;
	ids->slots = new_slots(ids->size);
	return ids;
}

void ids__free(struct ids *ids)
{
	if (!ids)
		return;
	free(ids->slots);
	free(ids);
}

static bool insert(uint64_t *slots, size_t size, uint64_t hash)
{
	size_t at = (hash >> 20) & (size - 1);

	while (slots[at] && slots[at] != hash)
		at = (at + 1) & (size - 1);
	if (slots[at])
		return false;
	slots[at] = hash;
	return true;
}

static void grow(struct ids *ids)
{
	uint64_t *slots = new_slots(2 * ids->size);

	for (size_t i = 0; i < ids->size; i++)
		if (ids->slots[i])
			insert(slots, 2 * ids->size, ids->slots[i]);
	free(ids->slots);
	ids->slots = slots;
	ids->size *= 2;
}

bool ids__add(struct ids *ids, const char *id, size_t length)
{
	uint64_t hash = 14695981039346656037ull; /* FNV-1a */

	for (size_t i = 0; i < length; i++)
		hash = (hash ^ (unsigned char)id[i]) * 1099511628211ull;
	hash += !hash;
	if (2 * ids->count >= ids->size)
		grow(ids);
	if (!insert(ids->slots, ids->size, hash))
		return false;
	ids->count++;
	return true;
}
