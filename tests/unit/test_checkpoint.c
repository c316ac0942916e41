#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../user/base/log.h"
#include "../../user/lines/assembly.h"
#include "../../user/stream/checkpoint.h"
#include "../../user/stream/checkpoint_check.h"
#include "../../user/stream/checkpoint_file.h"

#define STREAMS 4u
#define PREFIX "0a.0b.0.1234."

struct fixture {
	char directory[64];
	char file[96];
	struct checkpoint_options options;
	struct checkpoint *checkpoint;
};

static void make_directory(char *directory, char *file)
{
	strcpy(directory, "/dev/shm/logtap-checkpoint-XXXXXX");
	assert_non_null(mkdtemp(directory));
	sprintf(file, "%s/checkpoint", directory);
}

static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	make_directory(fixture->directory, fixture->file);
	fixture->options = (struct checkpoint_options){
		.directory = fixture->directory,
		.streams = STREAMS,
		.heap_limit = 4 * HEAP_STEP,
		.epoch = 77,
		.id_prefix = PREFIX,
	};
	/* What is damaged on purpose is not said. */
	log_set_level(LOG_LEVEL_ERROR);
	*state = fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	checkpoint__free(fixture->checkpoint);
	unlink(fixture->file);
	rmdir(fixture->directory);
	free(fixture);
	return 0;
}

static void reopen(struct fixture *fixture)
{
	checkpoint__free(fixture->checkpoint);
	fixture->checkpoint = NULL;
	assert_int_equal(checkpoint__open(&fixture->options, &fixture->checkpoint), 0);
}

static void commit(struct fixture *fixture, uint64_t ring)
{
	checkpoint__commit(fixture->checkpoint,
			   &(struct checkpoint_position){ .ring = ring, .journal_number = 3, .journal_offset = ring / 2 });
	heap__reclaim(checkpoint__heap(fixture->checkpoint));
}

static struct saved_stream *stage(struct fixture *fixture, uint32_t slot, uint32_t generation)
{
	struct saved_stream *state = checkpoint__stage(fixture->checkpoint, slot);
	struct saved_processes *processes;

	if (!state)
		return NULL;
	state->generation = generation;
	state->kind = STREAM_STDOUT;
	state->wanted = 1;
	state->mid_line = state->finished = state->text_lacks = 0;
	state->text.block = state->spill = HEAP_NONE;
	waiting__init(&state->waiting);
	state->carries_count = 0;
	processes = checkpoint__stage_processes(fixture->checkpoint, slot, &state->process_half);
	assert_non_null(processes);
	memset(processes, 0, sizeof(*processes));
	processes->way[1][0].tag = generation;
	return state;
}

static uint32_t generation_of(const struct fixture *fixture, uint32_t slot)
{
	const struct saved_stream *state = checkpoint__saved(fixture->checkpoint, slot);

	return state ? state->generation : 0;
}

/* A half line in the heap. */
static void add_carry(struct fixture *fixture, struct saved_stream *state, const char *text)
{
	struct heap *heap = checkpoint__heap(fixture->checkpoint);
	struct saved_carry *carry = &state->carries[state->carries_count++];

	*carry = (struct saved_carry){ .block = heap__take(heap, strlen(text)), .length = strlen(text) };
	carry->block_size = heap__size(heap, carry->block);
	memcpy(heap__at(heap, carry->block), text, strlen(text));
}

static void a_new_file_knows_nothing(void **state)
{
	struct fixture *fixture = *state;
	struct checkpoint_position position = { .ring = 5 };

	reopen(fixture);
	assert_false(checkpoint__position(fixture->checkpoint, &position));
	assert_int_equal(position.ring, 5);
	assert_true(checkpoint__same_epoch(fixture->checkpoint));
	assert_string_equal(checkpoint__id_prefix(fixture->checkpoint), PREFIX);
	for (uint32_t slot = 0; slot < STREAMS; slot++)
		assert_null(checkpoint__saved(fixture->checkpoint, slot));
	assert_null(checkpoint__saved_processes(fixture->checkpoint, 0));
	assert_int_equal(checkpoint__clock(fixture->checkpoint), 0);
}

static void what_was_committed_is_there_again(void **state)
{
	struct fixture *fixture = *state;
	struct checkpoint_position position;
	const struct saved_stream *saved;

	reopen(fixture);
	add_carry(fixture, stage(fixture, 2, 9), "half a line");
	commit(fixture, 4096);
	checkpoint__set_clock(fixture->checkpoint, 1234567);
	reopen(fixture);
	assert_true(checkpoint__position(fixture->checkpoint, &position));
	assert_int_equal(position.ring, 4096);
	assert_int_equal(position.journal_number, 3);
	assert_int_equal(position.journal_offset, 2048);
	assert_int_equal(checkpoint__clock(fixture->checkpoint), 1234567);
	saved = checkpoint__saved(fixture->checkpoint, 2);
	assert_int_equal(saved->generation, 9);
	assert_memory_equal(heap__at(checkpoint__heap(fixture->checkpoint), saved->carries[0].block), "half a line", 11);
	assert_int_equal(checkpoint__saved_processes(fixture->checkpoint, 2)->way[1][0].tag, 9);
	/* The block is taken. */
	assert_int_equal(heap__used(checkpoint__heap(fixture->checkpoint)), HEAP_BLOCK_MIN);
	assert_null(checkpoint__saved(fixture->checkpoint, 1));
}

static void what_was_staged_only_never_happened(void **state)
{
	struct fixture *fixture = *state;

	reopen(fixture);
	stage(fixture, 0, 1);
	stage(fixture, 1, 1);
	commit(fixture, 100);
	stage(fixture, 0, 2);
	stage(fixture, 1, 2);
	stage(fixture, 2, 2);
	reopen(fixture);
	/* Not with the next transaction either, which has the same number. */
	stage(fixture, 1, 3);
	assert_int_equal(generation_of(fixture, 1), 1);
	commit(fixture, 200);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(generation_of(fixture, 0), 1);
		assert_int_equal(generation_of(fixture, 1), 3);
		assert_int_equal(generation_of(fixture, 2), 0);
		reopen(fixture);
	}
}

static void a_state_staged_twice_is_the_second(void **state)
{
	struct fixture *fixture = *state;

	reopen(fixture);
	for (uint32_t i = 1; i < 20; i += 2) {
		stage(fixture, 3, i);
		stage(fixture, 3, i + 1);
		assert_int_equal(generation_of(fixture, 3), i - 1);
		commit(fixture, i);
		assert_int_equal(generation_of(fixture, 3), i + 1);
		assert_int_equal(checkpoint__saved_processes(fixture->checkpoint, 3)->way[1][0].tag, i + 1);
		stage(fixture, 2, i);
		commit(fixture, i);
		assert_int_equal(generation_of(fixture, 3), i + 1);
	}
}

/* More slots move the heap, fewer move it back; half lines are where they were. */
static void room_for_more_or_fewer_streams_keeps_what_is_saved(void **state)
{
	static const uint32_t rooms[] = { 600, 3, 1000, STREAMS };
	struct fixture *fixture = *state;
	struct checkpoint_position position;

	reopen(fixture);
	add_carry(fixture, stage(fixture, 1, 5), "half a line");
	stage(fixture, 2, 7);
	commit(fixture, 100);
	for (size_t i = 0; i < sizeof(rooms) / sizeof(rooms[0]); i++) {
		const struct saved_stream *saved;

		fixture->options.streams = rooms[i];
		reopen(fixture);
		assert_true(checkpoint__same_epoch(fixture->checkpoint));
		assert_int_equal(checkpoint__streams(fixture->checkpoint), rooms[i]);
		assert_true(checkpoint__position(fixture->checkpoint, &position));
		assert_int_equal(position.ring, 100 + i);
		saved = checkpoint__saved(fixture->checkpoint, 1);
		assert_int_equal(saved->generation, 5);
		assert_memory_equal(heap__at(checkpoint__heap(fixture->checkpoint), saved->carries[0].block),
				    "half a line", 11);
		assert_int_equal(heap__used(checkpoint__heap(fixture->checkpoint)), 256);
		assert_int_equal(generation_of(fixture, 2), 7 + i);
		stage(fixture, 2, 7 + i + 1);
		commit(fixture, 100 + i + 1);
	}
}

static void another_epoch_is_told_and_left_behind(void **state)
{
	struct fixture *fixture = *state;
	struct checkpoint_position position;

	reopen(fixture);
	add_carry(fixture, stage(fixture, 1, 5), "old");
	commit(fixture, 100);
	fixture->options.epoch = 78;
	fixture->options.id_prefix = "0a.0b.0.1235.";
	fixture->options.streams = 600;
	reopen(fixture);
	assert_false(checkpoint__same_epoch(fixture->checkpoint));
	assert_string_equal(checkpoint__id_prefix(fixture->checkpoint), PREFIX);
	assert_int_equal(checkpoint__streams(fixture->checkpoint), STREAMS);
	assert_int_equal(generation_of(fixture, 1), 5);
	assert_int_equal(checkpoint__restart(fixture->checkpoint), 0);
	for (int i = 0; i < 2; i++) {
		assert_true(checkpoint__same_epoch(fixture->checkpoint));
		assert_false(checkpoint__position(fixture->checkpoint, &position));
		assert_int_equal(checkpoint__streams(fixture->checkpoint), 600);
		assert_string_equal(checkpoint__id_prefix(fixture->checkpoint), "0a.0b.0.1235.");
		assert_null(checkpoint__saved(fixture->checkpoint, 1));
		assert_int_equal(heap__used(checkpoint__heap(fixture->checkpoint)), 0);
		reopen(fixture);
	}
}

static void what_was_removed_is_forgotten(void **state)
{
	struct fixture *fixture = *state;
	struct checkpoint_position position;

	reopen(fixture);
	commit(fixture, 1);
	checkpoint__remove(fixture->checkpoint);
	fixture->checkpoint = NULL;
	assert_int_equal(access(fixture->file, F_OK), -1);
	reopen(fixture);
	assert_false(checkpoint__position(fixture->checkpoint, &position));
}

static void a_file_in_use_is_refused(void **state)
{
	struct fixture *fixture = *state;
	struct checkpoint *second = NULL;

	reopen(fixture);
	assert_int_equal(checkpoint__open(&fixture->options, &second), -EWOULDBLOCK);
	assert_null(second);
}

static void a_full_file_system_stages_nothing(void **state)
{
	struct fixture *fixture = *state;
	uint32_t half, slot = 0;

	if (mount("tmpfs", fixture->directory, "tmpfs", 0, "size=32k")) {
		print_message("no file system can be mounted here\n");
		skip();
	}
	fixture->options.streams = 4096;
	reopen(fixture);
	while (slot < 4096 && stage(fixture, slot, 1))
		slot += 2;
	assert_in_range(slot, 8, 14);
	assert_null(checkpoint__stage_processes(fixture->checkpoint, slot, &half));
	assert_null(checkpoint__saved(fixture->checkpoint, slot));
	assert_int_equal(heap__take(checkpoint__heap(fixture->checkpoint), 1), HEAP_NONE);
	/* What has its place keeps it. */
	stage(fixture, 0, 1);
	commit(fixture, 1);
	reopen(fixture);
	assert_int_equal(generation_of(fixture, 0), 1);
	checkpoint__free(fixture->checkpoint);
	fixture->checkpoint = NULL;
	assert_int_equal(umount(fixture->directory), 0);
}

static void write_at(const struct fixture *fixture, uint64_t offset, const void *bytes, size_t length)
{
	int fd = open(fixture->file, O_WRONLY | O_CLOEXEC);

	assert_int_equal(pwrite(fd, bytes, length, offset), length);
	close(fd);
}

/*
 * As version 1 had it: states of 456 bytes, without the 40 from the 160th on; after the second of them
 * the processes.
 */
static void make_version_1(const struct fixture *fixture)
{
	char now[2048], then[2048] = "";
	int fd = open(fixture->file, O_RDWR | O_CLOEXEC);

	for (uint32_t slot = 0; slot < 2; slot++) {
		assert_int_equal(pread(fd, now, sizeof(now), 4096 + slot * 2048), sizeof(now));
		for (int half = 0; half < 2; half++) {
			memcpy(then + half * 456, now + half * 496, 160);
			memcpy(then + half * 456 + 160, now + half * 496 + 200, 296);
		}
		memcpy(then + 912, now + 992, 1024);
		assert_int_equal(pwrite(fd, then, sizeof(then), 4096 + slot * 2048), sizeof(then));
	}
	assert_int_equal(pwrite(fd, &(uint32_t){ 1 }, 4, 8), 4);
	close(fd);
}

static void stage_for_version_1(struct fixture *fixture, uint32_t generation)
{
	struct saved_stream *state = stage(fixture, 1, generation);

	state->told_bytes_total = 1000 + generation;
	add_carry(fixture, state, "half");
	state->carries[0].length = generation - 3;
	commit(fixture, 100 + generation);
}

/* With either buffer valid; where there is as much room as before, more, or less; of this epoch and of another. */
static void what_version_1_saved_goes_on(void **state)
{
	static const uint32_t rooms[] = { STREAMS, 600, 2 };
	struct fixture *fixture = *state;
	struct checkpoint_position position;
	const struct saved_stream *saved;

	for (int i = 0; i < 12; i++) {
		uint32_t generation = 5 + i % 2, room = rooms[i / 2 % 3];
		bool other = i >= 6;

		unlink(fixture->file);
		fixture->options.streams = STREAMS;
		fixture->options.epoch = 77;
		reopen(fixture);
		for (uint32_t g = 5; g <= generation; g++)
			stage_for_version_1(fixture, g);
		checkpoint__free(fixture->checkpoint);
		fixture->checkpoint = NULL;
		make_version_1(fixture);
		fixture->options.streams = room;
		fixture->options.epoch = other ? 78 : 77;
		for (int again = 0; again < 2; again++) {
			reopen(fixture);
			assert_int_equal(checkpoint__same_epoch(fixture->checkpoint), !other);
			assert_int_equal(checkpoint__streams(fixture->checkpoint), other ? STREAMS : room);
			assert_true(checkpoint__position(fixture->checkpoint, &position));
			assert_int_equal(position.ring, 100 + generation);
			assert_int_equal(generation_of(fixture, 0), 0);
			saved = checkpoint__saved(fixture->checkpoint, 1);
			assert_non_null(saved);
			assert_int_equal(saved->generation, generation);
			assert_int_equal(saved->told_bytes_total, 1000 + generation);
			assert_int_equal(saved->waiting.first, HEAP_NONE);
			assert_int_equal(saved->waiting.deadline, 0);
			assert_int_equal(saved->carries_count, 1);
			assert_int_equal(saved->carries[0].length, generation - 3);
			assert_memory_equal(heap__at(checkpoint__heap(fixture->checkpoint), saved->carries[0].block), "half", 4);
			assert_int_equal(checkpoint__saved_processes(fixture->checkpoint, 1)->way[1][0].tag, generation);
		}
	}
}

/* True when the file is taken for what it was; else it must be as new. */
static bool survives(struct fixture *fixture)
{
	struct checkpoint_position position;

	reopen(fixture);
	if (checkpoint__position(fixture->checkpoint, &position))
		return true;
	for (uint32_t slot = 0; slot < STREAMS; slot++)
		assert_null(checkpoint__saved(fixture->checkpoint, slot));
	assert_int_equal(heap__used(checkpoint__heap(fixture->checkpoint)), 0);
	return false;
}

static void save_a_little_of_all(struct fixture *fixture)
{
	struct saved_stream *state;

	unlink(fixture->file);
	reopen(fixture);
	add_carry(fixture, stage(fixture, 0, 1), "one");
	state = stage(fixture, 1, 1);
	add_carry(fixture, state, "two");
	add_carry(fixture, state, "three");
	state->text = (struct saved_text){ .block = heap__take(checkpoint__heap(fixture->checkpoint), 12),
					   .fields_length = 5,
					   .key_length = 4,
					   .file_length = 3 };
	memcpy(heap__at(checkpoint__heap(fixture->checkpoint), state->text.block), "fieldkey0/ab", 12);
	state->text.checksum = checkpoint_check__sum("fieldkey0/ab", 12);
	commit(fixture, 100);
	checkpoint__free(fixture->checkpoint);
	fixture->checkpoint = NULL;
}

#define STATE(slot, field) \
	(CHECKPOINT_PAGE + (slot) * sizeof(struct checkpoint_entry) + offsetof(struct checkpoint_entry, states[0].field))
#define HEADER(field) offsetof(struct checkpoint_header, field)

static void nonsense_is_not_believed(void **state)
{
	static const uint64_t all_ones = UINT64_MAX;
	static const struct {
		uint64_t offset;
		size_t length;
	} wrong[] = {
		{ HEADER(magic), 8 },
		{ HEADER(version), 4 },
		{ HEADER(entry_size), 4 },
		{ HEADER(streams), 4 },
		{ HEADER(id_prefix), 1 },
		{ HEADER(committed), 8 },
		{ HEADER(commits[1].transaction), 8 },
		{ STATE(0, half), 4 },
		{ STATE(0, kind), 1 },
		{ STATE(0, wanted), 1 },
		{ STATE(0, mid_line), 1 },
		{ STATE(0, finished), 1 },
		{ STATE(0, process_half), 4 },
		{ STATE(0, carries_count), 4 },
		{ STATE(0, carries[0].block), 4 },
		{ STATE(0, carries[0].block_size), 4 },
		{ STATE(0, carries[0].start), 4 },
		{ STATE(0, carries[0].length), 4 },
		{ STATE(0, carries[0].kind), 1 },
		{ STATE(0, carries[0].bound), 1 },
		{ STATE(0, carries[0].writer.way), 4 },
		{ STATE(1, text.block), 4 },
		{ STATE(1, text.fields_length), 4 },
		{ STATE(1, text.file_length), 4 },
		{ STATE(1, text.checksum), 4 },
		{ STATE(1, text.names), 1 },
		{ STATE(1, text.untold), 1 },
	};
	struct fixture *fixture = *state;

	save_a_little_of_all(fixture);
	assert_true(survives(fixture));
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		save_a_little_of_all(fixture);
		write_at(fixture, wrong[i].offset, &all_ones, wrong[i].length);
		if (survives(fixture))
			fail_msg("nonsense %zu at %lu is believed", i, (unsigned long)wrong[i].offset);
	}
	/* Two half lines in one block. */
	save_a_little_of_all(fixture);
	write_at(fixture, STATE(0, carries[0].block), &(uint64_t){ 256 }, 8);
	assert_false(survives(fixture));
	/* A spill that is no block of its size. */
	save_a_little_of_all(fixture);
	write_at(fixture, STATE(0, spill), &(uint64_t){ 1024 }, 8);
	assert_false(survives(fixture));
	/* More half lines than the state has room for, and no block for them. */
	save_a_little_of_all(fixture);
	write_at(fixture, STATE(0, carries_count), &(uint32_t){ SAVED_CARRIES + 1 }, 4);
	assert_false(survives(fixture));
	/* A name without an end. */
	save_a_little_of_all(fixture);
	write_at(fixture, CHECKPOINT_PAGE + offsetof(struct checkpoint_entry, processes[0].way[3][1].name[16]), "x", 1);
	assert_false(survives(fixture));
	/* What became shorter. */
	save_a_little_of_all(fixture);
	assert_int_equal(truncate(fixture->file, CHECKPOINT_PAGE + 100), 0);
	assert_false(survives(fixture));
	save_a_little_of_all(fixture);
	assert_int_equal(truncate(fixture->file, checkpoint_file__heap_offset(STREAMS)), 0);
	assert_false(survives(fixture));
}

static uint64_t used(const struct fixture *fixture)
{
	return heap__used(checkpoint__heap(fixture->checkpoint));
}

/* Only the slot counts: what it has named may be another's by now. */
static void of_a_finished_stream_no_block_is_looked_at(void **state)
{
	struct fixture *fixture = *state;
	struct saved_stream *stream;

	reopen(fixture);
	stream = stage(fixture, 0, 1);
	add_carry(fixture, stream, "one");
	*stage(fixture, 1, 2)->carries = stream->carries[0];
	checkpoint__stage(fixture->checkpoint, 1)->carries_count = 1;
	checkpoint__stage(fixture->checkpoint, 1)->finished = 1;
	commit(fixture, 100);
	assert_true(survives(fixture));
	assert_int_equal(generation_of(fixture, 1), 2);
	assert_int_equal(used(fixture), HEAP_BLOCK_MIN);
}

/* A file in a container: where its root is on the host, and then its path. */
static void a_text_may_be_as_long_as_a_block(void **state)
{
	struct fixture *fixture = *state;
	struct saved_text *text;
	char *bytes;

	reopen(fixture);
	text = &stage(fixture, 0, 1)->text;
	*text = (struct saved_text){
		.block = heap__take(checkpoint__heap(fixture->checkpoint), HEAP_STEP),
		.fields_length = HEAP_STEP - 8000,
		.file_length = 8000,
	};
	bytes = heap__at(checkpoint__heap(fixture->checkpoint), text->block);
	memset(bytes, 'x', HEAP_STEP);
	text->checksum = checkpoint_check__sum(bytes, HEAP_STEP);
	commit(fixture, 100);
	assert_true(survives(fixture));
	assert_int_equal(used(fixture), HEAP_STEP);
}

static void what_is_no_file_is_an_error(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(symlink("/etc/passwd", fixture->file), 0);
	assert_int_equal(checkpoint__open(&fixture->options, &fixture->checkpoint), -ELOOP);
	unlink(fixture->file);
	assert_int_equal(mkfifo(fixture->file, 0600), 0);
	assert_int_equal(checkpoint__open(&fixture->options, &fixture->checkpoint), -EINVAL);
	fixture->options.directory = "/proc/version/none";
	assert_int_equal(checkpoint__open(&fixture->options, &fixture->checkpoint), -ENOTDIR);
	assert_null(fixture->checkpoint);
}

/*
 * Killed anywhere: a process works on a checkpoint while this one looks at the file after each of its instructions. Whatever is
 * there then must be the state of the transaction committed last, as a process that nobody disturbs has it.
 */

#define TRANSACTIONS 10
#define PICTURE_SIZE 16384
#define LOOK_SIZE (12288 + 65536)

struct shared {
	uint32_t begun;              /* the commit of this transaction may have happened */
	uint32_t done;               /* it has */
};

struct script {
	uint32_t random;
	struct assembly_options options;
	struct checkpoint *checkpoint;
	struct assembly *assemblies[STREAMS];
	uint64_t told[STREAMS];
	struct saved_processes processes[STREAMS];
	uint64_t position;
	struct shared *shared;
};

static uint32_t pick(struct script *script, uint32_t n)
{
	script->random = script->random * 1664525 + 1013904223;
	return (script->random >> 8) % n;
}

static void ignore_line(void *context, const struct line *line)
{
	(void)context;
	(void)line;
}

static void script_add(struct script *script, uint32_t slot)
{
	char text[700];
	uint32_t pid = 1 + pick(script, 6);
	struct piece piece = {
		.bytes = text,
		.length = 1 + pick(script, pick(script, 4) ? 30 : sizeof(text)),
		.position = script->position += 64,
		.time = script->position,
		.writer = { .tgid = pid, .tid = pid },
	};

	memset(text, 'a' + script->random % 26, sizeof(text));
	if (!pick(script, 4))
		text[pick(script, piece.length)] = '\n';
	piece.write_length = piece.length;
	assembly__add(script->assemblies[slot], &piece);
}

static void script_save(struct script *script, uint32_t slot)
{
	struct saved_stream *state = checkpoint__stage(script->checkpoint, slot);
	struct saved_processes *processes;

	state->generation = 1;
	state->kind = STREAM_STDOUT;
	state->wanted = 1;
	state->text.block = state->spill = HEAP_NONE;
	state->told_bytes_total = script->told[slot];
	waiting__init(&state->waiting);
	state->carries_count = assembly__count(script->assemblies[slot]);
	assembly__save(script->assemblies[slot], state->carries);
	processes = checkpoint__stage_processes(script->checkpoint, slot, &state->process_half);
	*processes = script->processes[slot];
}

static void script_step(struct script *script, uint32_t transaction)
{
	bool dirty[STREAMS] = { false };
	uint32_t count = 1 + pick(script, 5);

	for (uint32_t i = 0; i < count; i++) {
		uint32_t slot = pick(script, STREAMS);

		dirty[slot] = true;
		script->told[slot] += pick(script, 3);
		script->processes[slot].way[pick(script, 8)][0].tag = script->random;
		script_add(script, slot);
	}
	for (uint32_t slot = 0; slot < STREAMS; slot++)
		if (dirty[slot])
			script_save(script, slot);
	script->shared->begun = transaction;
	checkpoint__commit(script->checkpoint, &(struct checkpoint_position){ .ring = transaction });
	script->shared->done = transaction;
	heap__reclaim(checkpoint__heap(script->checkpoint));
}

static void script_start(struct script *script, struct fixture *fixture, struct shared *shared)
{
	reopen(fixture);
	*script = (struct script){ .random = 11, .checkpoint = fixture->checkpoint, .shared = shared };
	script->options = (struct assembly_options){
		.mode = ASSEMBLY_PROCESS,
		.max_line = 600,
		.heap = checkpoint__heap(fixture->checkpoint),
		.emit = ignore_line,
	};
	for (uint32_t slot = 0; slot < STREAMS; slot++) {
		assert_int_equal(assembly__new(&script->options, NULL, false, &script->assemblies[slot]), 0);
		assembly__allow(script->assemblies[slot], SAVED_CARRIES);
	}
	/* The file is as large as it gets. */
	heap__give(script->options.heap, heap__take(script->options.heap, 1));
	script_step(script, 1);
}

static void script_end(struct script *script)
{
	for (uint32_t slot = 0; slot < STREAMS; slot++)
		assembly__free(script->assemblies[slot]);
}

/* All that the file says, as text. */
static void take_picture(const struct checkpoint *checkpoint, char *picture)
{
	struct checkpoint_position position = { 0 };
	char *out = picture;

	checkpoint__position(checkpoint, &position);
	out += sprintf(out, "transaction %lu\n", (unsigned long)position.ring);
	for (uint32_t slot = 0; slot < STREAMS; slot++) {
		const struct saved_stream *saved = checkpoint__saved(checkpoint, slot);

		if (!saved)
			continue;
		out += sprintf(out, "%u: told %lu tags", slot, (unsigned long)saved->told_bytes_total);
		for (int i = 0; i < SLOT_WRITERS; i++)
			out += sprintf(out, " %x", checkpoint__saved_processes(checkpoint, slot)->way[i][0].tag);
		for (uint32_t i = 0; i < saved->carries_count; i++) {
			const struct saved_carry *carry = &saved->carries[i];

			out += sprintf(out, "\n%lu.%lu %u %.*s", (unsigned long)carry->position,
				       (unsigned long)carry->offset, carry->writer.tgid, (int)carry->length,
				       (char *)heap__at(checkpoint__heap(checkpoint), carry->block) + carry->start);
		}
		*out++ = '\n';
	}
	*out = 0;
	assert_true(out < picture + PICTURE_SIZE);
}

/* What an undisturbed process has after each transaction. */
static void take_pictures(struct fixture *fixture, char pictures[][PICTURE_SIZE])
{
	struct shared shared;
	struct script script;

	script_start(&script, fixture, &shared);
	for (uint32_t i = 1; i <= TRANSACTIONS; i++) {
		if (i > 1)
			script_step(&script, i);
		take_picture(script.checkpoint, pictures[i]);
	}
	script_end(&script);
	checkpoint__free(fixture->checkpoint);
	fixture->checkpoint = NULL;
	unlink(fixture->file);
}

static pid_t start_child(struct fixture *fixture, struct shared *shared)
{
	struct script script;
	pid_t pid = fork();

	if (pid)
		return pid;
	script_start(&script, fixture, shared);
	if (ptrace(PTRACE_TRACEME, 0, 0, 0))
		_exit(77);
	raise(SIGSTOP);
	for (uint32_t i = 2; i <= TRANSACTIONS; i++)
		script_step(&script, i);
	_exit(0);
}

/* The file as a successor finds it when the process is killed here. */
static void check_moment(struct fixture *successor, const char *image, const struct shared *shared,
			 char pictures[][PICTURE_SIZE])
{
	static char picture[PICTURE_SIZE];
	struct checkpoint_position position;

	checkpoint__free(successor->checkpoint);
	successor->checkpoint = NULL;
	write_at(successor, 0, image, LOOK_SIZE);
	reopen(successor);
	assert_true(checkpoint__position(successor->checkpoint, &position));
	if (position.ring < shared->done || position.ring > shared->begun)
		fail_msg("transaction %lu, when %u was done and %u begun", (unsigned long)position.ring, shared->done,
			 shared->begun);
	take_picture(successor->checkpoint, picture);
	assert_string_equal(picture, pictures[position.ring]);
}

static void make_successor(struct fixture *successor, const struct fixture *fixture)
{
	int fd;

	*successor = *fixture;
	make_directory(successor->directory, successor->file);
	successor->options.directory = successor->directory;
	successor->checkpoint = NULL;
	fd = open(successor->file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_int_equal(ftruncate(fd, checkpoint_file__heap_offset(STREAMS) + HEAP_STEP), 0);
	close(fd);
}

static void killed_anywhere_the_last_commit_holds(void **state)
{
	static char pictures[TRANSACTIONS + 1][PICTURE_SIZE];
	static char image[LOOK_SIZE];
	struct fixture *fixture = *state, successor;
	struct shared *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	unsigned int steps = 0, moments = 0;
	const char *file;
	int status, fd;
	pid_t pid;

	take_pictures(fixture, pictures);
	make_successor(&successor, fixture);
	pid = start_child(fixture, shared);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		skip();
	assert_true(WIFSTOPPED(status));
	fd = open(fixture->file, O_RDONLY | O_CLOEXEC);
	file = mmap(NULL, LOOK_SIZE, PROT_READ, MAP_SHARED, fd, 0);
	assert_true(file != MAP_FAILED);
	while (WIFSTOPPED(status)) {
		steps++;
		if (memcmp(image, file, LOOK_SIZE)) {
			memcpy(image, file, LOOK_SIZE);
			check_moment(&successor, image, shared, pictures);
			moments++;
		}
		assert_int_equal(ptrace(PTRACE_SINGLESTEP, pid, 0, 0), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
	}
	assert_true(WIFEXITED(status) && !WEXITSTATUS(status));
	assert_int_equal(shared->done, TRANSACTIONS);
	print_message("%u instructions, %u different files\n", steps, moments);
	assert_true(moments > 20 * TRANSACTIONS);
	munmap((void *)file, LOOK_SIZE);
	munmap(shared, sizeof(*shared));
	close(fd);
	checkpoint__free(successor.checkpoint);
	unlink(successor.file);
	rmdir(successor.directory);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_new_file_knows_nothing),
		TEST(what_was_committed_is_there_again),
		TEST(what_was_staged_only_never_happened),
		TEST(a_state_staged_twice_is_the_second),
		TEST(another_epoch_is_told_and_left_behind),
		TEST(room_for_more_or_fewer_streams_keeps_what_is_saved),
		TEST(what_version_1_saved_goes_on),
		TEST(what_was_removed_is_forgotten),
		TEST(a_file_in_use_is_refused),
		TEST(a_full_file_system_stages_nothing),
		TEST(nonsense_is_not_believed),
		TEST(of_a_finished_stream_no_block_is_looked_at),
		TEST(a_text_may_be_as_long_as_a_block),
		TEST(what_is_no_file_is_an_error),
		TEST(killed_anywhere_the_last_commit_holds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
