/*
 * Transactions that may be larger than the journal, drop_oldest and crashes, at random, against a
 * model: what is committed is delivered or told as lost, never both, and nothing else is told.
 * SEED=n repeats a run, SECONDS=n lengthens it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/eventfd.h>

#include "../../user/base/clock.h"
#include "../../user/base/log.h"
#include "../../user/journal/journal_disk.h"
#include "../../user/journal/journal_internal.h"
#include "journal_records.h"

#define STREAMS 5
#define RECORDS 2000000u
#define HEAD_LEN 20
#define HELD 3000
#define DISK (6 * SEGMENT)

struct model {
	uint64_t random;
	char directory[64];
	char disk[64];
	struct journal_options options;
	struct journal *journal;
	struct journal_mark mark;     /* of the last commit */
	uint64_t committed;           /* records before this one are committed */
	uint64_t appended;
	uint8_t delivered[RECORDS];
	uint32_t told[RECORDS];       /* bytes that the gap tells that begins with it */
	uint64_t last[STREAMS];       /* number of what came last, since the last crash */
	void *held[HELD];
	unsigned int held_count;
	unsigned int crashes;
	unsigned int reboots;
};

static uint64_t roll(struct model *model, uint64_t below)
{
	model->random ^= model->random << 13;
	model->random ^= model->random >> 7;
	model->random ^= model->random << 17;
	return model->random % below;
}

static int setup(void **state)
{
	struct model *model = calloc(1, sizeof(*model));
	const char *seed = getenv("SEED");

	model->random = seed ? strtoull(seed, NULL, 0) : clock__ns(CLOCK_REALTIME);
	print_message("SEED=%lu\n", (unsigned long)model->random);
	strcpy(model->directory, "/dev/shm/logtap-drops-XXXXXX");
	strcpy(model->disk, "/var/tmp/logtap-drops-XXXXXX");
	if (!mkdtemp(model->directory) || !mkdtemp(model->disk))
		return -1;
	model->options = (struct journal_options){
		.directory = model->directory,
		.segment_size = SEGMENT,
		.data_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC),
		.space_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC),
		.when_full = WHEN_FULL_DROP_OLDEST,
		.epoch = 1,
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
	free(model);
	return 0;
}

static void open_journal(struct model *model)
{
	unsigned int segments = model->options.disk.directory ? 4 : 2;

	model->options.max_size = SEGMENT * (segments + roll(model, 4));
	assert_int_equal(journal__open(&model->options, model->mark.off ? &model->mark : NULL,
				       &model->journal),
			 0);
	journal__mark(model->journal, &model->mark);
	memset(model->last, 0, sizeof(model->last));
	model->appended = model->committed;
	model->held_count = 0;
}

static uint32_t bytes_of(uint64_t number)
{
	return 1 + number % 97;
}

static uint64_t stream_of(uint64_t number)
{
	return number * 31 % STREAMS;
}

static void ack_some(struct model *model, unsigned int left)
{
	while (model->held_count > left) {
		unsigned int i = roll(model, model->held_count);

		journal__ack(model->journal, model->held[i]);
		model->held[i] = model->held[--model->held_count];
	}
}

static void take(struct model *model, const struct journal_record *record)
{
	const struct journal_meta *meta = &record->meta;
	bool gap = memmem(record->value, meta->value_len, "\"lost\"", 6);
	uint64_t number;

	assert_int_equal(sscanf(record->value, "%20lu", &number), 1);
	assert_int_equal(meta->stream, stream_of(number));
	if (number < model->last[meta->stream])
		fail_msg("stream %lu: %lu came after %lu", meta->stream, number,
			 model->last[meta->stream] - 1);
	model->last[meta->stream] = number + 1;
	if (!gap) {
		assert_int_equal(model->told[number], 0);
		model->delivered[number] = 1;
		return;
	}
	if (model->told[number])
		assert_int_equal(model->told[number], meta->raw_len);
	assert_true(number < model->committed);
	assert_int_equal(model->delivered[number], 0);
	model->told[number] = meta->raw_len;
}

static void do_next(struct model *model, uint64_t count)
{
	struct journal_record record;

	while (count-- && model->held_count < HELD && journal__next(model->journal, &record)) {
		take(model, &record);
		model->held[model->held_count++] = record.handle;
	}
}

static void do_commit(struct model *model)
{
	journal__mark(model->journal, &model->mark);
	model->committed = model->appended;
}

static void stage_one(struct model *model)
{
	struct pollfd space = { .fd = model->options.space_fd, .events = POLLIN };
	uint64_t number = model->appended++;
	struct journal_meta meta = {
		.key_len = 4,
		.value_len = 100 + number % 300,
		.head_len = HEAD_LEN,
		.raw_len = bytes_of(number),
		.lines = 1,
		.stream = stream_of(number),
	};
	uint64_t count;
	char *out;

	assert_true(number < RECORDS);
	while (!(out = journal__reserve(model->journal, 4 + meta.value_len))) {
		journal__show(model->journal);
		/* The disk's thread makes room, or else the follower. */
		if (poll(&space, 1, model->options.disk.directory ? 10 : 0) == 1) {
			assert_int_equal(read(space.fd, &count, sizeof(count)), sizeof(count));
			continue;
		}
		do_next(model, HELD);
		ack_some(model, 0);
	}
	memset(out, 'x', 4 + meta.value_len);
	snprintf(out + 4, HEAD_LEN + 1, "%0*lu", HEAD_LEN, (unsigned long)number);
	journal__append(model->journal, &meta);
}

static void do_crash(struct model *model)
{
	journal_worker__stop(model->journal);
	journal__free(model->journal);
	model->crashes++;
	open_journal(model);
}

/* A clean stop; what is in memory may be saved, and then may all be lost. */
static void do_stop(struct model *model)
{
	bool saved = model->options.disk.directory && roll(model, 3);

	do_commit(model);
	journal__publish(model->journal);
	if (saved) {
		journal_worker__stop(model->journal);
		model->journal->disk->max_size = UINT64_MAX / 2;
		journal__save(model->journal, 60000);
	}
	journal__close(model->journal);
	if (saved && roll(model, 2)) {
		remove_files(model->directory);
		model->mark = (struct journal_mark){ 0 };
		model->options.epoch++;
		model->reboots++;
	}
	open_journal(model);
}

static void drain(struct model *model)
{
	struct pollfd data = { .fd = model->options.data_fd, .events = POLLIN };
	uint64_t count;

	do_commit(model);
	journal__publish(model->journal);
	ack_some(model, 0);
	while (journal__pending(model->journal)) {
		do_next(model, HELD);
		if (!model->held_count) {
			assert_int_equal(poll(&data, 1, 20000), 1);
			assert_int_equal(read(data.fd, &count, sizeof(count)), sizeof(count));
		}
		ack_some(model, 0);
	}
}

/* To the byte, per stream. */
static void assert_exact(const struct model *model)
{
	uint64_t appended[STREAMS] = { 0 }, come[STREAMS] = { 0 }, told = 0;

	for (uint64_t number = 0; number < model->committed; number++) {
		uint64_t stream = stream_of(number);

		appended[stream] += bytes_of(number);
		come[stream] += model->delivered[number] ? bytes_of(number) : 0;
		come[stream] += model->told[number];
		told += model->told[number];
	}
	for (int i = 0; i < STREAMS; i++)
		assert_int_equal(come[i], appended[i]);
	assert_true(told > 0);
}

static void run_model(struct model *model)
{
	const char *text = getenv("SECONDS");
	uint64_t end = clock__ms() + (text ? strtoull(text, NULL, 0) : 2) * 1000;

	open_journal(model);
	while ((clock__ms() < end || !model->crashes) && model->appended < RECORDS - 20000) {
		uint64_t dice = roll(model, 100);

		if (dice < 40)
			for (uint64_t i = roll(model, roll(model, 6) ? 100 : 4000); i; i--)
				stage_one(model);
		else if (dice < 65) {
			do_commit(model);
			/* A crash may come in between. */
			if (roll(model, 8))
				journal__publish(model->journal);
			else
				do_crash(model);
		}
		else if (dice < 80)
			do_next(model, roll(model, 300));
		else if (dice < 92)
			ack_some(model, roll(model, 2) ? model->held_count / 2 : 0);
		else if (dice < 94)
			do_stop(model);
		else
			do_crash(model);
	}
	drain(model);
	print_message("%lu records, %u crashes, %u reboots\n", (unsigned long)model->committed, model->crashes, model->reboots);
	assert_true(model->crashes > 0);
	assert_exact(model);
}

static void what_is_told_as_lost_never_comes(void **state)
{
	run_model(*state);
}

static void with_a_disk_neither(void **state)
{
	struct model *model = *state;

	model->options.disk.directory = model->disk;
	model->options.disk.max_size = DISK;
	run_model(model);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_told_as_lost_never_comes),
		TEST(with_a_disk_neither),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
