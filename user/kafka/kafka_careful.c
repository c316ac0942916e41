#include "kafka_careful.h"

#include "kafka_window.h"

#define PARTS 32
#define IN_A_ROW_MAX 16

void kafka_careful__refuse(struct kafka_careful *careful, struct kafka_record *record)
{
	if (!record->suspect)
		careful->suspects++;
	if (!record->refused)
		careful->refused++;
	record->suspect = true;
	record->refused = true;
}

void kafka_careful__forget(struct kafka_careful *careful, const struct kafka_record *record,
			   bool delivered)
{
	if (record->suspect)
		careful->suspects--;
	if (record->refused)
		careful->refused--;
	/* That a gap is taken proves nothing: it has another key perhaps, and other text. */
	if (delivered && !(record->record.meta.flags & JOURNAL_GAP))
		careful->in_a_row = 0;
}

bool kafka_careful__over(const struct kafka_careful *careful)
{
	return careful->batch && !careful->suspects;
}

bool kafka_careful__found(const struct kafka_careful *careful)
{
	return careful->refused == 1 || (careful->refused && careful->batch == 1);
}

void kafka_careful__give_up(struct kafka_careful *careful, struct kafka_record *record)
{
	careful->suspects--;
	careful->refused--;
	careful->in_a_row++;
	record->suspect = false;
	record->refused = false;
}

void kafka_careful__next(struct kafka_careful *careful)
{
	size_t among = careful->refused ? careful->refused : careful->suspects;

	careful->refused = 0;
	careful->batch = among ? among / PARTS + 1 : 0;
}

bool kafka_careful__doubts(const struct kafka_careful *careful)
{
	return careful->in_a_row >= IN_A_ROW_MAX;
}
