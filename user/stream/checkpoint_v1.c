#include "checkpoint_v1.h"

#include <stddef.h>
#include <string.h>

#include "checkpoint_file.h"

/* A state lacked `waiting`; what lies on either side of it was the same. */
#define HEAD_SIZE offsetof(struct saved_stream, waiting)
#define TAIL_OFFSET (HEAD_SIZE + sizeof(struct waiting))
#define STATE_SIZE (sizeof(struct saved_stream) - sizeof(struct waiting))

_Static_assert(STATE_SIZE == 456, "version 1's state layout");

static void convert_state(const char *from, struct saved_stream *to)
{
	memcpy(to, from, HEAD_SIZE);
	memcpy((char *)to + TAIL_OFFSET, from + HEAD_SIZE, STATE_SIZE - HEAD_SIZE);
	waiting__init(&to->waiting);
	/* Was reserved. */
	to->text_lacks = TEXT_LACKS_POD;
}

void checkpoint_v1__convert(struct checkpoint_entry *entry)
{
	struct checkpoint_entry before = *entry;
	const char *from = (const char *)&before;

	memset(entry, 0, sizeof(*entry));
	convert_state(from, &entry->states[0]);
	convert_state(from + STATE_SIZE, &entry->states[1]);
	memcpy(entry->processes, from + 2 * STATE_SIZE, sizeof(entry->processes));
}
