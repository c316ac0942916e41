#include "complaints.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct complaint {
	char *subject;           /* NULL: none */
	int cause;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct complaint table[COMPLAINTS_MAX];
static unsigned int next;    /* the oldest, once the table is full */
static unsigned int count;   /* read without the lock: most files are in order */

static struct complaint *find(const char *subject)
{
	for (unsigned int i = 0; i < COMPLAINTS_MAX; i++)
		if (table[i].subject && strcmp(table[i].subject, subject) == 0)
			return &table[i];
	return NULL;
}

static void remove_complaint(struct complaint *complaint)
{
	if (!complaint->subject)
		return;
	free(complaint->subject);
	complaint->subject = NULL;
	__atomic_sub_fetch(&count, 1, __ATOMIC_RELAXED);
}

static void add_complaint(const char *subject, int cause)
{
	struct complaint *complaint = &table[next];

	next = (next + 1) % COMPLAINTS_MAX;
	remove_complaint(complaint);
	*complaint = (struct complaint){ strdup(subject), cause };
	if (complaint->subject)
		__atomic_add_fetch(&count, 1, __ATOMIC_RELAXED);
}

bool complaints__is_new(const char *subject, int cause)
{
	struct complaint *complaint;
	bool is_new;

	pthread_mutex_lock(&lock);
	complaint = find(subject);
	is_new = !complaint || complaint->cause != cause;
	if (complaint)
		complaint->cause = cause;
	else
		add_complaint(subject, cause);
	pthread_mutex_unlock(&lock);
	return is_new;
}

void complaints__settle(const char *subject)
{
	struct complaint *complaint;

	if (!__atomic_load_n(&count, __ATOMIC_RELAXED))
		return;
	pthread_mutex_lock(&lock);
	complaint = find(subject);
	if (complaint)
		remove_complaint(complaint);
	pthread_mutex_unlock(&lock);
}
