#include "capture_marks.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>

#include "record.h"

static bool has_ended(uint64_t mark)
{
	return kill((pid_t)(mark >> 32), 0) && errno == ESRCH;
}

unsigned int capture_marks__sweep(uint64_t *marks)
{
	unsigned int swept = 0;

	for (int i = 0; i < MARKS; i++) {
		uint64_t mark = __atomic_load_n(&marks[i], __ATOMIC_RELAXED);

		if (mark && has_ended(mark))
			swept += __atomic_compare_exchange_n(&marks[i], &mark, 0, false, __ATOMIC_SEQ_CST,
							     __ATOMIC_RELAXED);
	}
	return swept;
}
