/*
 * Random operations and crashes against a model. SEED=n repeats a run, SECONDS=n lengthens it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "../../user/base/clock.h"
#include "../../user/base/log.h"
#include "../../user/journal/journal_internal.h"
#include "journal_records.h"

#define IN_FLIGHT 30000
#define UNBOUNDED (1ull << 30) /* bytes of disk */
#define RECORDS_MAX 4000000u

enum fate { UNKNOWN, APPENDED, COMMITTED, ACKED };
#define AGAIN UINT32_MAX /* one that was appended before, was not committed, and outlived that on disk */

struct model {
	uint64_t random;
	char directory[64];
	char disk[64];
	struct journal_options options;
	struct journal *journal;
	struct journal_mark mark;      /* of the last commit */
	uint64_t committed;            /* records before this one are committed */
	uint64_t appended;
	uint64_t next;                 /* the next one to be read has at least this number */
	uint8_t *fate;                 /* by record */
	uint32_t *content;             /* by record: what it was made of, or AGAIN: not read yet */
	uint32_t *read_in;             /* by record, interleaved: the life in which it was read */
	uint32_t life;                 /* of the journal: from its open on */
	uint64_t half[2];              /* interleaved: the next ones of backlog and fresh have at least these numbers */
	unsigned int in_flight;
	struct {
		uint64_t number;
		void *handle;
	} flight[IN_FLIGHT];
	bool with_disk;
	unsigned int crashes;
	unsigned int reads;
	unsigned int again;
	unsigned int turns;            /* interleaved: records that came behind newer ones */
};

static uint64_t roll(struct model *model, uint64_t below)
{
	model->random ^= model->random << 13;
	model->random ^= model->random >> 7;
	model->random ^= model->random << 17;
	return model->random % below;
}

static uint64_t seed(void)
{
	const char *text = getenv("SEED");
	uint64_t seed = text ? strtoull(text, NULL, 0) : clock__ns(CLOCK_REALTIME);

	print_message("SEED=%lu\n", (unsigned long)seed);
	return seed ? seed : 1;
}

static uint64_t seconds(void)
{
	const char *text = getenv("SECONDS");

	return text ? strtoull(text, NULL, 0) : 3;
}

static void open_journal(struct model *model, const struct journal_mark *end)
{
	uint64_t unacked = 0;

	model->options.segment_size = SEGMENT * (1 + roll(model, 3));
	model->options.max_size = model->options.segment_size * (4 + roll(model, 4));
	assert_int_equal(journal__open(&model->options, end, &model->journal), 0);
	for (uint64_t i = 0; i < model->appended; i++)
		unacked += model->fate[i] != ACKED;
	/* What was not committed is gone, unless it is on disk alone: whose it is cannot be told. */
	if (model->with_disk && end)
		for (; unacked < journal__pending(model->journal); unacked++) {
			assert_true(model->appended < RECORDS_MAX);
			model->content[model->appended] = AGAIN;
			model->fate[model->appended++] = COMMITTED;
			model->again++;
		}
	assert_int_equal(journal__pending(model->journal), unacked);
	journal__mark(model->journal, &model->mark);
	model->committed = model->appended;
	model->in_flight = 0;
	model->next = 0;
	model->life++;
	model->half[0] = model->half[1] = 0;
}

/* A transaction: some records, the mark, and only then the follower sees them. */
static void do_append(struct model *model)
{
	uint64_t count = roll(model, 300);

	for (uint64_t i = 0; i < count && model->appended < RECORDS_MAX; i++) {
		if (!stage(model->journal, model->appended)) {
			/* What is not committed yet is shown all the same: it could never go else. */
			journal__publish(model->journal);
			return;
		}
		model->content[model->appended] = model->appended;
		model->fate[model->appended++] = APPENDED;
	}
}

static void do_commit(struct model *model)
{
	journal__mark(model->journal, &model->mark);
	for (; model->committed < model->appended; model->committed++)
		if (model->fate[model->committed] == APPENDED)
			model->fate[model->committed] = COMMITTED;
	if (roll(model, 8))
		journal__publish(model->journal);
}

/* The number of the record: the oldest that is to come. */
static uint64_t in_order(struct model *model, const struct journal_record *record)
{
	while (model->next < model->appended && model->fate[model->next] == ACKED)
		model->next++;
	if (model->content[model->next] == AGAIN)
		model->content[model->next] = record->meta.raw_len;
	return model->next++;
}

/* Once in this life, in order with one of the halves: that which has come farther, if it can be. */
static uint64_t interleaved(struct model *model, const struct journal_record *record)
{
	uint64_t number = record->meta.raw_len;
	unsigned int farther = model->half[1] > model->half[0];
	unsigned int half = number >= model->half[farther] ? farther : !farther;

	assert_true(number < model->appended);
	assert_int_not_equal(model->fate[number], ACKED);
	assert_int_not_equal(model->read_in[number], model->life);
	assert_true(number >= model->half[half]);
	model->read_in[number] = model->life;
	model->half[half] = number + 1;
	model->turns += half != farther;
	return number;
}

static void do_next(struct model *model, uint64_t count)
{
	struct journal_record record;

	while (count-- && model->in_flight < IN_FLIGHT && journal__next(model->journal, &record)) {
		uint64_t number = model->options.replay == REPLAY_INTERLEAVED ? interleaved(model, &record) :
										in_order(model, &record);

		check_record(&record, model->content[number]);
		model->flight[model->in_flight].number = number;
		model->flight[model->in_flight++].handle = record.handle;
		model->reads++;
	}
}

static void ack_one(struct model *model, unsigned int i)
{
	journal__ack(model->journal, model->flight[i].handle);
	model->fate[model->flight[i].number] = ACKED;
	model->flight[i] = model->flight[--model->in_flight];
}

static void do_ack(struct model *model)
{
	uint64_t count = roll(model, 10) ? roll(model, 400) : IN_FLIGHT;

	while (count-- && model->in_flight)
		ack_one(model, roll(model, model->in_flight));
}

/* As a kill does: nothing is tidied up. */
static void drop_struct(struct model *model)
{
	journal_worker__stop(model->journal);
	journal__free(model->journal);
	model->crashes++;
}

static void do_crash(struct model *model)
{
	/* Whose number a record has that outlived it on disk is known by its place alone. */
	bool all = roll(model, 4) == 0 || (model->with_disk && model->options.replay == REPLAY_INTERLEAVED);

	drop_struct(model);
	if (!all) {
		/* What was acknowledged though it was not committed comes again: with equal ids. */
		for (uint64_t i = model->committed; i < model->appended; i++)
			model->fate[i] = UNKNOWN;
		model->appended = model->committed;
	}
	open_journal(model, all ? NULL : &model->mark);
}

static void await_data(struct model *model)
{
	struct pollfd data = { .fd = model->options.data_fd, .events = POLLIN };
	uint64_t count;

	assert_int_equal(poll(&data, 1, 20000), 1);
	assert_int_equal(read(data.fd, &count, sizeof(count)), sizeof(count));
}

/* All that was appended is delivered. */
static void drain(struct model *model)
{
	uint64_t reads;

	do_commit(model);
	journal__publish(model->journal);
	while (model->in_flight)
		ack_one(model, 0);
	while (journal__pending(model->journal)) {
		reads = model->reads;
		do_next(model, IN_FLIGHT);
		if (reads == model->reads && journal__pending(model->journal) && !model->in_flight)
			await_data(model);
		while (model->in_flight)
			ack_one(model, 0);
	}
	for (uint64_t i = 0; i < model->appended; i++)
		assert_int_equal(model->fate[i], ACKED);
}

static void do_close(struct model *model)
{
	do_commit(model);
	/* What does not come would come again in the next life. */
	if (!roll(model, 3))
		drain(model);
	if (model->with_disk && roll(model, 2))
		journal__save(model->journal, 60000);
	journal__close(model->journal);
	open_journal(model, roll(model, 2) ? &model->mark : NULL);
}

/* All of memory is lost, after all that was in it was saved. */
static void do_reboot(struct model *model)
{
	if (model->options.disk.max_size < UNBOUNDED)
		return;
	do_commit(model);
	journal__save(model->journal, 60000);
	journal__close(model->journal);
	remove_files(model->directory);
	open_journal(model, NULL);
}

static void run_model(struct model *model)
{
	uint64_t end = clock__ms() + seconds() * 1000;

	while (clock__ms() < end || !model->crashes) {
		uint64_t dice = roll(model, 1000);

		if (dice < 350)
			do_append(model);
		else if (dice < 600)
			do_commit(model);
		else if (dice < 800)
			do_next(model, roll(model, 400));
		else if (dice < 980)
			do_ack(model);
		else if (dice < 990)
			do_crash(model);
		else if (dice < 996)
			do_close(model);
		else
			do_reboot(model);
	}
	drain(model);
	print_message("%lu records, %u of them again, %u reads, %u crashes\n",
		      (unsigned long)model->appended, model->again, model->reads, model->crashes);
}

static int setup(void **state)
{
	struct model *model = calloc(1, sizeof(*model));

	model->random = seed();
	strcpy(model->directory, "/dev/shm/logtap-model-XXXXXX");
	strcpy(model->disk, "/var/tmp/logtap-model-XXXXXX");
	if (!mkdtemp(model->directory) || !mkdtemp(model->disk))
		return -1;
	model->fate = mmap(NULL, RECORDS_MAX, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE, -1,
			   0);
	model->content = mmap(NULL, RECORDS_MAX * sizeof(*model->content), PROT_READ | PROT_WRITE,
			      MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
	model->read_in = mmap(NULL, RECORDS_MAX * sizeof(*model->read_in), PROT_READ | PROT_WRITE,
			      MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
	model->options = (struct journal_options){
		.directory = model->directory,
		.data_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC),
		.space_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC),
	};
	*state = model;
	return 0;
}

static int teardown(void **state)
{
	struct model *model = *state;

	journal__close(model->journal);
	remove_files(model->directory);
	remove_files(model->disk);
	rmdir(model->directory);
	rmdir(model->disk);
	close(model->options.data_fd);
	close(model->options.space_fd);
	munmap(model->fate, RECORDS_MAX);
	munmap(model->content, RECORDS_MAX * sizeof(*model->content));
	munmap(model->read_in, RECORDS_MAX * sizeof(*model->read_in));
	free(model);
	return 0;
}

static void run_memory(struct model *model)
{
	open_journal(model, NULL);
	run_model(model);
	assert_true(model->crashes > 0);
}

static void run_disk(struct model *model)
{
	model->with_disk = true;
	model->options.disk.directory = model->disk;
	model->options.disk.max_size = roll(model, 2) ? UNBOUNDED : 10 * SEGMENT;
	run_memory(model);
}

static void memory_keeps_its_promise(void **state)
{
	run_memory(*state);
}

static void disk_keeps_its_promise(void **state)
{
	run_disk(*state);
}

/* What is in turns comes once, too, and nothing is missing. */
static void memory_interleaved_keeps_its_promise(void **state)
{
	struct model *model = *state;

	model->options.replay = REPLAY_INTERLEAVED;
	run_memory(model);
	assert_true(model->turns > 0);
}

static void disk_interleaved_keeps_its_promise(void **state)
{
	struct model *model = *state;

	model->options.replay = REPLAY_INTERLEAVED;
	run_disk(model);
	assert_true(model->turns > 0);
}

/* --- a process that is killed at any moment */

/* What survives: a checkpoint of its own, as a shard has one, and what the child has seen. */
struct shared {
	struct {
		uint64_t committed;
		struct journal_mark mark;
	} state[2];
	_Atomic unsigned int valid;
	_Atomic uint64_t acked;      /* records before it are acknowledged, or about to be */
	_Atomic uint64_t acked_surely;
};

/* The transaction, for ever: appender and follower in one thread. */
static void live(struct model *model, struct shared *shared)
{
	uint64_t appended = shared->state[shared->valid].committed;
	struct journal_record record;

	if (journal__open(&model->options, &shared->state[shared->valid].mark, &model->journal))
		_exit(1);
	for (;;) {
		unsigned int other = !shared->valid;

		for (int i = 0; i < 50; i++) {
			if (!stage(model->journal, appended))
				break;
			appended++;
		}
		journal__mark(model->journal, &shared->state[other].mark);
		shared->state[other].committed = appended;
		atomic_store(&shared->valid, other);
		journal__publish(model->journal);
		for (int i = 0; i < 47 && journal__next(model->journal, &record); i++) {
			/* In order, and nothing is missing. */
			if (record.meta.raw_len != atomic_load(&shared->acked_surely))
				_exit(2);
			atomic_store(&shared->acked, record.meta.raw_len + 1);
			journal__ack(model->journal, record.handle);
			atomic_store(&shared->acked_surely, record.meta.raw_len + 1);
		}
	}
}

/* What the kill left: all that was committed and not acknowledged, in order. */
static uint64_t check_rest(struct model *model, struct shared *shared)
{
	const struct journal_mark *mark = &shared->state[shared->valid].mark;
	uint64_t committed = shared->state[shared->valid].committed;
	uint64_t next = shared->acked_surely;
	static void *handles[IN_FLIGHT];
	unsigned int count = 0;
	struct journal_record record;

	assert_int_equal(journal__open(&model->options, mark, &model->journal), 0);
	/* The kill came between the acknowledgement and the note of it. */
	if (journal__pending(model->journal) < committed - next)
		next = shared->acked;
	shared->acked = shared->acked_surely = next;
	assert_int_equal(journal__pending(model->journal), committed - next);
	while (next < committed) {
		if (journal__next(model->journal, &record)) {
			check_record(&record, next++);
			handles[count++] = record.handle;
			continue;
		}
		/* All the memory is read: without acknowledgements there is no room for more. */
		for (shared->acked = next; count; count--)
			journal__ack(model->journal, handles[count - 1]);
		shared->acked_surely = next;
		await_data(model);
	}
	assert_int_equal(journal__next(model->journal, &record), 0);
	/* Like a second kill: the rest was not acknowledged. */
	drop_struct(model);
	model->journal = NULL;
	return committed;
}

static void kill_again_and_again(struct model *model)
{
	struct shared *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
				     MAP_ANONYMOUS | MAP_SHARED, -1, 0);
	uint64_t end = clock__ms() + seconds() * 1000;
	uint64_t committed = 0;
	unsigned int kills;

	shared->state[0].mark = (struct journal_mark){ .off = sizeof(struct segment_header) };
	for (kills = 0; clock__ms() < end; kills++) {
		struct timespec nap = { .tv_nsec = roll(model, 30000000) };
		int status;
		pid_t child;

		model->options.segment_size = SEGMENT * (1 + roll(model, 3));
		model->options.max_size = model->options.segment_size * (4 + roll(model, 4));
		child = fork();
		if (!child)
			live(model, shared);
		nanosleep(&nap, NULL);
		kill(child, SIGKILL);
		waitpid(child, &status, 0);
		if (!WIFSIGNALED(status))
			fail_msg("the child ended with %d", WEXITSTATUS(status));
		committed = check_rest(model, shared);
	}
	print_message("%u kills, %lu records\n", kills, (unsigned long)committed);
	assert_true(committed > 0);
	munmap(shared, sizeof(*shared));
}

static void killed_in_memory_it_goes_on_exactly(void **state)
{
	kill_again_and_again(*state);
}

static void killed_with_a_disk_it_goes_on_exactly(void **state)
{
	struct model *model = *state;

	model->options.disk.directory = model->disk;
	model->options.disk.max_size = UNBOUNDED;
	kill_again_and_again(model);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(memory_keeps_its_promise),
		TEST(disk_keeps_its_promise),
		TEST(memory_interleaved_keeps_its_promise),
		TEST(disk_interleaved_keeps_its_promise),
		TEST(killed_in_memory_it_goes_on_exactly),
		TEST(killed_with_a_disk_it_goes_on_exactly),
	};

	/* It tells each recovery. */
	log_set_level(LOG_LEVEL_WARN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
