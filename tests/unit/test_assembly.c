#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../user/lines/carry_budget.h"
#include "assembly_model.h"
#include "heap_memory.h"

#define TIMEOUT 5000
#define MAX_LINE 64

/* Text of exactly n bytes out of one character. */
#define FILL(buffer, character, n) memset(buffer, character, n)

struct seen {
	char *text;
	struct line line;
};

struct fixture {
	struct assembly_options options;
	struct heap_memory memory;
	struct carry_budget budget;
	struct assembly *assembly;
	struct seen *seen;
	size_t count;
	size_t checked;
	uint64_t position;
	uint64_t time;
};

static void keep(void *context, const struct line *line)
{
	struct fixture *fixture = context;
	struct seen *seen;

	/* By doubling: under the sanitizer each realloc is a copy. */
	if (!(fixture->count & (fixture->count - 1)))
		fixture->seen = realloc(fixture->seen, 2 * (fixture->count + 1) * sizeof(*seen));
	seen = &fixture->seen[fixture->count++];
	seen->line = *line;
	seen->text = malloc(line->length + 1);
	memcpy(seen->text, line->text, line->length);
	seen->text[line->length] = 0;
}

static void start(struct fixture *fixture, enum assembly_mode mode, bool mid_line)
{
	fixture->options.mode = mode;
	assembly__free(fixture->assembly);
	assert_int_equal(assembly__new(&fixture->options, fixture, mid_line, &fixture->assembly), 0);
}

static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	fixture->budget.limit = SIZE_MAX;
	heap_memory__open(&fixture->memory, 16 * HEAP_STEP);
	fixture->options = (struct assembly_options){
		.max_line = MAX_LINE,
		.heap = fixture->memory.heap,
		.budget = &fixture->budget,
		.timeout = TIMEOUT,
		.emit = keep,
	};
	fixture->time = 100000;
	start(fixture, ASSEMBLY_AUTO, false);
	*state = fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	assembly__free(fixture->assembly);
	for (size_t i = 0; i < fixture->count; i++)
		free(fixture->seen[i].text);
	free(fixture->seen);
	/* Whatever the test did, the half lines are paid back. */
	assert_int_equal(fixture->budget.used, 0);
	heap__reclaim(fixture->memory.heap);
	assert_int_equal(heap__used(fixture->memory.heap), 0);
	heap_memory__close(&fixture->memory);
	free(fixture);
	return 0;
}

static struct writer process(uint32_t pid)
{
	return (struct writer){ .tgid = pid, .tid = pid, .start_time = 7000 + pid, .tag = pid };
}

/* Bytes [from, to) of a write of `length`; the copy is exact, for the sanitizer to see a byte too many. */
static void add_piece(struct fixture *fixture, struct writer writer, const char *text, size_t length,
		      size_t from, size_t to)
{
	char *exact = malloc(to - from);
	struct piece piece = {
		.bytes = exact,
		.length = to - from,
		.position = fixture->position += 1000,
		.time = fixture->time,
		.writer = writer,
		.write_length = length,
		.write_offset = from,
	};

	memcpy(exact, text + from, to - from);
	assembly__add(fixture->assembly, &piece);
	free(exact);
}

static void add_bytes(struct fixture *fixture, uint32_t pid, const char *text, size_t length)
{
	add_piece(fixture, process(pid), text, length, 0, length);
}

static void add(struct fixture *fixture, uint32_t pid, const char *text)
{
	add_bytes(fixture, pid, text, strlen(text));
}

/* The next line not checked yet. */
static const struct line *next_bytes(struct fixture *fixture, const char *text, size_t length,
				     enum partial partial)
{
	const struct seen *seen;

	assert_true(fixture->checked < fixture->count);
	seen = &fixture->seen[fixture->checked++];
	if (length != seen->line.length || memcmp(seen->text, text, length))
		fail_msg("line %zu is \"%s\", not \"%.*s\"", fixture->checked, seen->text, (int)length, text);
	assert_int_equal(seen->line.partial, partial);
	return &seen->line;
}

static const struct line *next(struct fixture *fixture, const char *text, enum partial partial)
{
	return next_bytes(fixture, text, strlen(text), partial);
}

static void no_more(const struct fixture *fixture)
{
	assert_int_equal(fixture->count - fixture->checked, 0);
}

static void expire(struct fixture *fixture, uint64_t now)
{
	flush_all(fixture->assembly, assembly__overdue(fixture->assembly, now), PARTIAL_TIMEOUT);
}

static void one_write_may_bring_many_lines(void **state)
{
	struct fixture *fixture = *state;

	add(fixture, 1, "one\n\ntwo\r\n\n");
	next(fixture, "one", PARTIAL_NONE);
	next(fixture, "", PARTIAL_NONE);
	next(fixture, "two\r", PARTIAL_NONE);
	next(fixture, "", PARTIAL_NONE);
	no_more(fixture);
}

static void a_write_of_a_thousand_lines_is_a_thousand_lines(void **state)
{
	struct fixture *fixture = *state;
	char text[8000], line[16];
	size_t length = 0;

	for (int i = 0; i < 1000; i++)
		length += sprintf(text + length, "l%d\n", i);
	add_bytes(fixture, 1, text, length);
	for (int i = 0; i < 1000; i++) {
		sprintf(line, "l%d", i);
		next(fixture, line, PARTIAL_NONE);
	}
	no_more(fixture);
}

static void nul_and_binary_bytes_are_bytes(void **state)
{
	static const char text[] = "a\0b\xff\x01\n\0\n";
	struct fixture *fixture = *state;

	add_bytes(fixture, 1, text, sizeof(text) - 1);
	next_bytes(fixture, "a\0b\xff\x01", 5, PARTIAL_NONE);
	next_bytes(fixture, "\0", 1, PARTIAL_NONE);
	no_more(fixture);
}

static void an_empty_piece_leaves_the_half_line(void **state)
{
	struct fixture *fixture = *state;

	add(fixture, 1, "half");
	add(fixture, 1, "");
	add(fixture, 1, " line\n");
	next(fixture, "half line", PARTIAL_NONE);
	no_more(fixture);
}

static void a_line_spans_writes(void **state)
{
	struct fixture *fixture = *state;

	for (int mode = ASSEMBLY_AUTO; mode <= ASSEMBLY_STREAM; mode++) {
		start(fixture, mode, false);
		add(fixture, 1, "a");
		add(fixture, 1, "b");
		add(fixture, 1, "c\nd");
		add(fixture, 1, "\n");
		next(fixture, "abc", PARTIAL_NONE);
		next(fixture, "d", PARTIAL_NONE);
		no_more(fixture);
	}
}

/* printf 'Starting '; /bin/echo ok */
static void another_process_finishes_the_line_in_auto_and_stream(void **state)
{
	static const enum assembly_mode modes[] = { ASSEMBLY_AUTO, ASSEMBLY_STREAM };
	struct fixture *fixture = *state;

	for (int i = 0; i < 2; i++) {
		const struct line *line;

		start(fixture, modes[i], false);
		add(fixture, 1, "Starting ");
		add(fixture, 2, "ok\n");
		line = next(fixture, "Starting ok", PARTIAL_NONE);
		/* The line is told as the completing writer's. */
		assert_int_equal(line->writer.tgid, 2);
		no_more(fixture);
	}
}

static void in_process_mode_only_its_own_process_finishes_a_line(void **state)
{
	struct fixture *fixture = *state;
	struct writer reborn = process(1);

	start(fixture, ASSEMBLY_PROCESS, false);
	add(fixture, 1, "Starting ");
	add(fixture, 2, "ok\n");
	next(fixture, "ok", PARTIAL_NONE);
	/* The pid alone does not make a process. */
	reborn.start_time++;
	add_piece(fixture, reborn, "reborn\n", 7, 0, 7);
	next(fixture, "reborn", PARTIAL_NONE);
	no_more(fixture);
	add(fixture, 1, "done\n");
	next(fixture, "Starting done", PARTIAL_NONE);
}

static void another_thread_of_the_process_finishes_its_line(void **state)
{
	struct fixture *fixture = *state;
	struct writer thread = process(1);

	start(fixture, ASSEMBLY_PROCESS, false);
	thread.tid = 99;
	add(fixture, 1, "from ");
	add_piece(fixture, thread, "two\n", 4, 0, 4);
	next(fixture, "from two", PARTIAL_NONE);
	no_more(fixture);
}

static void a_stdio_flush_waits_for_its_process_in_auto(void **state)
{
	struct fixture *fixture = *state;
	char flush[4 * 1024];

	FILL(flush, '\n', sizeof(flush));
	memcpy(flush + sizeof(flush) - 5, "begun", 5);
	add_bytes(fixture, 1, flush, sizeof(flush));
	fixture->checked = fixture->count;
	add(fixture, 2, "other\n");
	next(fixture, "other", PARTIAL_NONE);
	add(fixture, 1, " ended\n");
	next(fixture, "begun ended", PARTIAL_NONE);
	/* Once bound it stays so, whatever its later writes look like. */
	add_bytes(fixture, 1, flush, sizeof(flush));
	fixture->checked = fixture->count;
	add(fixture, 1, " and");
	add(fixture, 2, "other\n");
	next(fixture, "other", PARTIAL_NONE);
	add(fixture, 1, " ended\n");
	next(fixture, "begun and ended", PARTIAL_NONE);
	/* A byte less is no flush. */
	add_bytes(fixture, 1, flush + 1, sizeof(flush) - 1);
	fixture->checked = fixture->count;
	add(fixture, 2, " by another\n");
	next(fixture, "begun by another", PARTIAL_NONE);
	no_more(fixture);
}

static void a_stdio_flush_does_not_wait_in_stream_mode(void **state)
{
	struct fixture *fixture = *state;
	char flush[1024];

	start(fixture, ASSEMBLY_STREAM, false);
	FILL(flush, '\n', sizeof(flush));
	memcpy(flush + sizeof(flush) - 5, "begun", 5);
	add_bytes(fixture, 1, flush, sizeof(flush));
	fixture->checked = fixture->count;
	add(fixture, 2, " by another\n");
	next(fixture, "begun by another", PARTIAL_NONE);
	no_more(fixture);
}

/* What block-buffered workers print: `size` at a time, whatever line that cuts. Returns what is left over. */
static size_t flush_buffer(struct fixture *fixture, uint32_t pid, char *buffer, size_t used, size_t size)
{
	if (used < size)
		return used;
	add_bytes(fixture, pid, buffer, size);
	memmove(buffer, buffer + size, used - size);
	return used - size;
}

static void two_block_buffered_workers_tear_no_line(void **state)
{
	struct fixture *fixture = *state;
	char buffer[2][4096 + 64];
	size_t used[2] = { 0, 0 };
	unsigned int wanted[2] = { 0, 0 };

	for (unsigned int i = 0; i < 4000; i++) {
		unsigned int worker = i * 7 / 3 % 2;

		used[worker] += sprintf(buffer[worker] + used[worker], "worker %u says %u\n", worker, i);
		used[worker] = flush_buffer(fixture, worker + 1, buffer[worker], used[worker], 4096);
	}
	for (unsigned int worker = 0; worker < 2; worker++)
		add_bytes(fixture, worker + 1, buffer[worker], used[worker]);
	assert_int_equal(fixture->count, 4000);
	for (size_t i = 0; i < fixture->count; i++) {
		unsigned int worker, number, end = 0;

		assert_int_equal(sscanf(fixture->seen[i].text, "worker %u says %u%n", &worker, &number, &end),
				 2);
		assert_int_equal(end, fixture->seen[i].line.length);
		assert_true(number >= wanted[worker]);
		assert_int_equal(fixture->seen[i].line.partial, PARTIAL_NONE);
		wanted[worker] = number + 1;
	}
}

static void pieces_of_one_write_find_each_other_between_anothers(void **state)
{
	static const char a[] = "aaaa\nAAAA\n", b[] = "bbbb\nBBBB\n";
	struct fixture *fixture = *state;

	for (int mode = ASSEMBLY_AUTO; mode <= ASSEMBLY_STREAM; mode++) {
		start(fixture, mode, false);
		add_piece(fixture, process(1), a, 10, 0, 3);
		add_piece(fixture, process(2), b, 10, 0, 2);
		add(fixture, 3, "whole\n");
		add_piece(fixture, process(1), a, 10, 3, 8);
		add_piece(fixture, process(2), b, 10, 2, 10);
		add_piece(fixture, process(1), a, 10, 8, 10);
		next(fixture, "whole", PARTIAL_NONE);
		next(fixture, "aaaa", PARTIAL_NONE);
		next(fixture, "bbbb", PARTIAL_NONE);
		next(fixture, "BBBB", PARTIAL_NONE);
		next(fixture, "AAAA", PARTIAL_NONE);
		no_more(fixture);
	}
}

static void threads_of_one_process_keep_their_pieces_apart(void **state)
{
	struct fixture *fixture = *state;
	struct writer thread = process(1);

	thread.tid = 99;
	add_piece(fixture, process(1), "first\n", 6, 0, 3);
	add_piece(fixture, thread, "second\n", 7, 0, 3);
	add_piece(fixture, process(1), "first\n", 6, 3, 6);
	add_piece(fixture, thread, "second\n", 7, 3, 7);
	next(fixture, "first", PARTIAL_NONE);
	next(fixture, "second", PARTIAL_NONE);
	no_more(fixture);
}

static void a_write_whose_rest_never_came_is_told_as_lost(void **state)
{
	struct fixture *fixture = *state;

	add_piece(fixture, process(1), "begun......", 11, 0, 5);
	add(fixture, 1, "new\n");
	next(fixture, "begun", PARTIAL_LOST);
	next(fixture, "new", PARTIAL_NONE);
	no_more(fixture);
}

static void the_middle_of_a_write_starts_nobodys_line(void **state)
{
	struct fixture *fixture = *state;

	add(fixture, 1, "half");
	/* Its first piece ended with a newline: what waits in the stream is not its beginning. */
	add_piece(fixture, process(2), "x\nmiddle\n", 9, 0, 2);
	next(fixture, "halfx", PARTIAL_NONE);
	add(fixture, 1, "half");
	add_piece(fixture, process(2), "x\nmiddle\n", 9, 2, 9);
	next(fixture, "middle", PARTIAL_NONE);
	add(fixture, 3, "\n");
	next(fixture, "half", PARTIAL_NONE);
	no_more(fixture);
}

static void a_line_of_the_limit_is_whole_and_one_more_is_cut(void **state)
{
	struct fixture *fixture = *state;
	char text[2 * MAX_LINE + 2];

	FILL(text, 'x', sizeof(text));
	text[MAX_LINE] = '\n';
	add_bytes(fixture, 1, text, MAX_LINE + 1);
	next_bytes(fixture, text, MAX_LINE, PARTIAL_NONE);
	FILL(text, 'x', sizeof(text));
	text[MAX_LINE + 1] = '\n';
	add_bytes(fixture, 1, text, MAX_LINE + 2);
	next_bytes(fixture, text, MAX_LINE, PARTIAL_MAX_SIZE);
	next(fixture, "x", PARTIAL_NONE);
	FILL(text, 'x', sizeof(text));
	text[2 * MAX_LINE] = '\n';
	add_bytes(fixture, 1, text, 2 * MAX_LINE + 1);
	next_bytes(fixture, text, MAX_LINE, PARTIAL_MAX_SIZE);
	next_bytes(fixture, text, MAX_LINE, PARTIAL_NONE);
	no_more(fixture);
}

static void a_half_line_of_the_limit_waits_for_its_newline(void **state)
{
	struct fixture *fixture = *state;
	char text[MAX_LINE + 1];

	FILL(text, 'x', sizeof(text));
	add_bytes(fixture, 1, text, MAX_LINE);
	no_more(fixture);
	add(fixture, 1, "\n");
	next_bytes(fixture, text, MAX_LINE, PARTIAL_NONE);
	add_bytes(fixture, 1, text, MAX_LINE + 1);
	next_bytes(fixture, text, MAX_LINE, PARTIAL_MAX_SIZE);
	no_more(fixture);
	add(fixture, 1, "\n");
	next(fixture, "x", PARTIAL_NONE);
	no_more(fixture);
}

static void a_long_line_in_many_pieces_is_cut_like_one_in_one(void **state)
{
	struct fixture *fixture = *state;
	char text[5 * MAX_LINE + 1];
	const struct line *line;

	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = 'a' + i % 26;
	text[sizeof(text) - 1] = '\n';
	for (size_t i = 0; i < sizeof(text); i++)
		add_piece(fixture, process(1), text, sizeof(text), i, i + 1);
	for (size_t i = 0; i < 5; i++) {
		line = next_bytes(fixture, text + i * MAX_LINE, MAX_LINE,
				  i < 4 ? PARTIAL_MAX_SIZE : PARTIAL_NONE);
		/* The id goes on from the record of the first byte: no two parts have the same. */
		assert_int_equal(line->position, 1000);
		assert_int_equal(line->offset, i * MAX_LINE);
	}
	no_more(fixture);
}

static void a_cut_splits_no_character(void **state)
{
	static const char *const characters[] = { "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80" };
	struct fixture *fixture = *state;

	for (size_t i = 0; i < 3; i++) {
		size_t size = strlen(characters[i]);

		/* The character's first byte is `inside` bytes before the limit; 0: just behind it. */
		for (size_t inside = 0; inside <= size; inside++) {
			size_t cut = inside == size ? MAX_LINE : MAX_LINE - inside;
			char text[MAX_LINE + 8];

			FILL(text, 'x', sizeof(text));
			memcpy(text + MAX_LINE - inside, characters[i], size);
			text[MAX_LINE - inside + size] = 'y';
			text[MAX_LINE - inside + size + 1] = '\n';
			add_bytes(fixture, 1, text, MAX_LINE - inside + size + 2);
			next_bytes(fixture, text, cut, PARTIAL_MAX_SIZE);
			next_bytes(fixture, text + cut, MAX_LINE - inside + size + 1 - cut, PARTIAL_NONE);
		}
	}
	no_more(fixture);
}

static void bytes_that_are_no_characters_are_cut_at_the_limit(void **state)
{
	struct fixture *fixture = *state;
	char text[MAX_LINE + 8];

	FILL(text, 0x80, sizeof(text));
	text[sizeof(text) - 1] = '\n';
	add_bytes(fixture, 1, text, sizeof(text));
	next_bytes(fixture, text, MAX_LINE, PARTIAL_MAX_SIZE);
	next_bytes(fixture, text, 7, PARTIAL_NONE);
	no_more(fixture);
}

static void a_half_line_waits_until_the_timeout_is_over(void **state)
{
	struct fixture *fixture = *state;

	add(fixture, 1, "half");
	expire(fixture, fixture->time + TIMEOUT);
	no_more(fixture);
	expire(fixture, fixture->time + TIMEOUT + 1);
	next(fixture, "half", PARTIAL_TIMEOUT);
	add(fixture, 1, "rest\n");
	next(fixture, "rest", PARTIAL_NONE);
	no_more(fixture);
}

static void more_of_the_line_renews_its_timeout(void **state)
{
	struct fixture *fixture = *state;
	uint64_t begun = fixture->time;

	start(fixture, ASSEMBLY_PROCESS, false);
	add(fixture, 1, "one ");
	add(fixture, 2, "old");
	fixture->time += TIMEOUT / 2;
	add(fixture, 1, "two ");
	expire(fixture, begun + TIMEOUT + 1);
	next(fixture, "old", PARTIAL_TIMEOUT);
	no_more(fixture);
	add(fixture, 1, "three\n");
	next(fixture, "one two three", PARTIAL_NONE);
}

static void just_after_boot_nothing_is_too_old(void **state)
{
	struct fixture *fixture = *state;

	fixture->time = 1;
	add(fixture, 1, "half");
	expire(fixture, 2);
	no_more(fixture);
}

static void flush_tells_why(void **state)
{
	struct fixture *fixture = *state;

	start(fixture, ASSEMBLY_PROCESS, false);
	add(fixture, 1, "one");
	add(fixture, 2, "two");
	flush_all(fixture->assembly, UINT64_MAX, PARTIAL_EOF);
	next(fixture, "one", PARTIAL_EOF);
	next(fixture, "two", PARTIAL_EOF);
	flush_all(fixture->assembly, UINT64_MAX, PARTIAL_EOF);
	no_more(fixture);
}

static void a_stream_found_in_mid_line_marks_its_first_line_only(void **state)
{
	struct fixture *fixture = *state;

	start(fixture, ASSEMBLY_AUTO, true);
	add(fixture, 1, "rest\nwhole\n");
	next(fixture, "rest", PARTIAL_START);
	next(fixture, "whole", PARTIAL_NONE);
	start(fixture, ASSEMBLY_AUTO, true);
	add(fixture, 1, "re");
	add(fixture, 1, "st\nwhole\n");
	next(fixture, "rest", PARTIAL_START);
	next(fixture, "whole", PARTIAL_NONE);
	no_more(fixture);
}

static void a_break_ends_half_lines_and_makes_the_next_doubtful(void **state)
{
	struct fixture *fixture = *state;

	start(fixture, ASSEMBLY_PROCESS, false);
	add(fixture, 1, "one");
	add(fixture, 2, "two");
	flush_and_break(fixture->assembly);
	next(fixture, "one", PARTIAL_LOST);
	next(fixture, "two", PARTIAL_LOST);
	add(fixture, 1, "rest\nwhole\n");
	next(fixture, "rest", PARTIAL_START);
	next(fixture, "whole", PARTIAL_NONE);
	no_more(fixture);
}

static void a_line_has_the_id_of_its_first_byte_and_the_time_of_its_last(void **state)
{
	struct fixture *fixture = *state;
	const struct line *line;

	add(fixture, 1, "whole\nhalf");
	fixture->time += 500;
	add(fixture, 2, " rest\n");
	line = next(fixture, "whole", PARTIAL_NONE);
	assert_int_equal(line->position, 1000);
	assert_int_equal(line->offset, 0);
	line = next(fixture, "half rest", PARTIAL_NONE);
	assert_int_equal(line->position, 1000);
	assert_int_equal(line->offset, 6);
	assert_int_equal(line->time, fixture->time);
}

static void the_oldest_of_too_many_half_lines_gives_way(void **state)
{
	struct fixture *fixture = *state;

	start(fixture, ASSEMBLY_PROCESS, false);
	for (uint32_t pid = 1; pid <= 256; pid++)
		add(fixture, pid, pid == 1 ? "oldest" : "half");
	no_more(fixture);
	add(fixture, 257, "newest");
	next(fixture, "oldest", PARTIAL_TIMEOUT);
	no_more(fixture);
	/* One that is gone on with needs no room. */
	add(fixture, 2, " more");
	no_more(fixture);
	flush_all(fixture->assembly, UINT64_MAX, PARTIAL_EOF);
	assert_int_equal(fixture->count - fixture->checked, 256);
}

static void what_the_budget_does_not_hold_goes_out_cut(void **state)
{
	struct fixture *fixture = *state;
	char text[1024];

	FILL(text, 'x', sizeof(text));
	fixture->options.max_line = 500;
	fixture->budget.limit = 255;
	add(fixture, 1, "eleven char");
	next(fixture, "eleven char", PARTIAL_MAX_SIZE);
	fixture->budget.limit = 256;
	add(fixture, 1, "five.");
	no_more(fixture);
	add_bytes(fixture, 1, text, 300);
	next(fixture, "five.", PARTIAL_MAX_SIZE);
	next_bytes(fixture, text, 300, PARTIAL_MAX_SIZE);
	/* Not even then is a line longer than the limit. */
	add(fixture, 1, "five.");
	add_bytes(fixture, 1, text, 501);
	next(fixture, "five.", PARTIAL_MAX_SIZE);
	next_bytes(fixture, text, 500, PARTIAL_MAX_SIZE);
	next(fixture, "x", PARTIAL_MAX_SIZE);
	add(fixture, 1, "five.");
	text[501] = '\n';
	add_bytes(fixture, 1, text, 502);
	next(fixture, "five.", PARTIAL_MAX_SIZE);
	next_bytes(fixture, text, 500, PARTIAL_MAX_SIZE);
	next(fixture, "x", PARTIAL_NONE);
	no_more(fixture);
}

static void what_the_heap_does_not_hold_goes_out_cut(void **state)
{
	struct fixture *fixture = *state;
	struct heap_memory full;

	heap_memory__open(&full, HEAP_STEP);
	fixture->options.heap = full.heap;
	fixture->options.mode = ASSEMBLY_PROCESS;
	add(fixture, 1, "five.");
	while (heap__take(full.heap, HEAP_BLOCK_MIN) != HEAP_NONE)
		;
	add(fixture, 2, "six");
	next(fixture, "six", PARTIAL_MAX_SIZE);
	add(fixture, 1, "more\n");
	next(fixture, "five.more", PARTIAL_NONE);
	no_more(fixture);
	heap_memory__close(&full);
}

/* A saved state has the bytes that it had when it was saved, whatever comes behind them. */
static void saved_bytes_are_only_appended_to(void **state)
{
	struct fixture *fixture = *state;
	struct heap *heap = fixture->memory.heap;
	struct saved_carry saved[2];
	char text[300];

	FILL(text, 'y', sizeof(text));
	start(fixture, ASSEMBLY_PROCESS, false);
	add(fixture, 1, "one");
	add(fixture, 2, "two");
	assert_int_equal(assembly__count(fixture->assembly), 2);
	assembly__save(fixture->assembly, saved);
	heap__reclaim(heap);
	add(fixture, 1, " more");
	add_bytes(fixture, 1, text, 3 * MAX_LINE);
	add_bytes(fixture, 1, text, 300);
	add(fixture, 2, "\n");
	for (int i = 0; i < 1000; i++)
		add(fixture, 3 + i % 7, i % 7 ? "third" : "\n");
	assert_memory_equal((char *)heap__at(heap, saved[0].block) + saved[0].start, "one", 3);
	assert_memory_equal((char *)heap__at(heap, saved[1].block) + saved[1].start, "two", 3);
	assert_int_equal(saved[0].length, 3);
}

static void what_was_restored_goes_on(void **state)
{
	struct fixture *fixture = *state;
	struct saved_carry saved[CARRIES_MAX];
	unsigned int count;
	char flush[1024];

	FILL(flush, '\n', sizeof(flush));
	memcpy(flush + sizeof(flush) - 5, "bound", 5);
	add_bytes(fixture, 1, flush, sizeof(flush));
	fixture->checked = fixture->count;
	add_piece(fixture, process(3), "writing...", 10, 0, 5);
	add(fixture, 2, "free");
	count = assembly__count(fixture->assembly);
	assembly__save(fixture->assembly, saved);
	assert_int_equal(count, 3);
	/* The next process: it has the file alone. */
	assembly__free(fixture->assembly);
	fixture->assembly = NULL;
	heap__free(fixture->memory.heap);
	assert_int_equal(heap__new(&(struct heap_options){ .fd = fixture->memory.fd,
							   .base = fixture->memory.base,
							   .size = HEAP_STEP,
							   .limit = fixture->memory.limit },
				   &fixture->memory.heap),
			 0);
	for (unsigned int i = 0; i < count; i++)
		assert_int_equal(heap__adopt(fixture->memory.heap, saved[i].block, saved[i].block_size), 0);
	fixture->options.heap = fixture->memory.heap;
	start(fixture, ASSEMBLY_AUTO, false);
	assert_int_equal(assembly__restore(fixture->assembly, saved, count), 0);
	add_piece(fixture, process(3), "writing...", 10, 5, 10);
	add(fixture, 1, " by one\n");
	next(fixture, "bound by one", PARTIAL_NONE);
	add(fixture, 4, " for all\n");
	next(fixture, "free for all", PARTIAL_NONE);
	add(fixture, 4, "\n");
	next(fixture, "writing...", PARTIAL_NONE);
	no_more(fixture);
}

static void only_what_changed_is_to_be_saved(void **state)
{
	struct fixture *fixture = *state;

	assembly__changed(fixture->assembly);
	add(fixture, 1, "whole\nlines\n");
	assert_false(assembly__changed(fixture->assembly));
	add(fixture, 1, "half");
	assert_true(assembly__changed(fixture->assembly));
	assert_false(assembly__changed(fixture->assembly));
	add(fixture, 1, " more");
	assert_true(assembly__changed(fixture->assembly));
	add(fixture, 1, "\n");
	assert_true(assembly__changed(fixture->assembly));
	flush_and_break(fixture->assembly);
	assert_true(assembly__changed(fixture->assembly));
	assert_true(assembly__mid_line(fixture->assembly));
	add(fixture, 1, "start\n");
	assert_true(assembly__changed(fixture->assembly));
	assert_false(assembly__mid_line(fixture->assembly));
}

static void more_than_is_allowed_makes_the_oldest_give_way(void **state)
{
	struct fixture *fixture = *state;

	start(fixture, ASSEMBLY_PROCESS, false);
	assembly__allow(fixture->assembly, 2);
	add(fixture, 1, "one");
	add(fixture, 2, "two");
	no_more(fixture);
	add(fixture, 3, "three");
	next(fixture, "one", PARTIAL_TIMEOUT);
	assembly__allow(fixture->assembly, 3);
	add(fixture, 4, "four");
	no_more(fixture);
}

/* --- random writers against the model */

struct job {
	struct writer writer;
	char text[3000];
	size_t length;
	size_t done;
};

struct trial {
	struct model model;
	struct assembly *assembly;
	struct job jobs[MODEL_WRITERS];
	uint64_t position;
	uint64_t time;
};

static uint32_t random_state;

static uint32_t pick(uint32_t n)
{
	random_state = random_state * 1664525 + 1013904223;
	return (random_state >> 8) % n;
}

static void check_line(void *context, const struct line *line)
{
	struct trial *trial = context;

	model__check(&trial->model, line);
}

static void random_text(struct job *job)
{
	static const char *const bits[] = { "\n", "\n", "a", "b", "cd", "\xc3\xa9", "\xf0\x9f\x98\x80", "\x80",
					    "\r", "some words ", "\xe2\x82\xac", "\xff" };
	size_t wanted = 1 + pick(pick(4) ? 40 : 2000);

	if (!pick(4))
		wanted = 1024 * (1 + pick(2));
	job->length = 0;
	job->done = 0;
	while (job->length < wanted) {
		const char *bit = pick(30) ? bits[pick(12)] : "\0";
		size_t size = *bit ? strlen(bit) : 1;

		memcpy(job->text + job->length, bit, size);
		job->length += size;
	}
	job->length = wanted;
}

static void write_some(struct trial *trial, struct job *job)
{
	size_t length;
	char *exact;
	struct piece piece;

	if (job->done == job->length)
		random_text(job);
	length = pick(2) ? job->length - job->done : 1 + pick(job->length - job->done);
	exact = malloc(length);
	memcpy(exact, job->text + job->done, length);
	piece = (struct piece){
		.bytes = exact,
		.length = length,
		.position = trial->position += 4096,
		.time = trial->time++,
		.writer = job->writer,
		.write_length = job->length,
		.write_offset = job->done,
	};
	job->done += length;
	/* A write whose rest is lost. */
	if (!pick(50))
		job->done = job->length;
	model__add(&trial->model, &piece);
	assembly__add(trial->assembly, &piece);
	free(exact);
}

static const char *run_trial(enum assembly_mode mode, uint32_t seed)
{
	struct heap_memory memory;
	struct assembly_options options = { .mode = mode, .timeout = TIMEOUT, .emit = check_line };
	struct trial *trial = calloc(1, sizeof(*trial));
	const char *verdict;
	unsigned int writers;

	random_state = seed;
	heap_memory__open(&memory, 4 * HEAP_STEP);
	options.heap = memory.heap;
	options.max_line = 4 + pick(60);
	trial->model.mode = mode;
	trial->model.max_line = options.max_line;
	trial->model.start_missing = pick(2);
	assert_int_equal(assembly__new(&options, trial, trial->model.start_missing, &trial->assembly), 0);
	writers = 1 + pick(MODEL_WRITERS);
	for (unsigned int i = 0; i < writers; i++) {
		/* Two threads a process. */
		trial->jobs[i].writer = process(1 + i / 2);
		trial->jobs[i].writer.tid = 100 + i;
	}
	for (int i = 0; i < 200; i++) {
		write_some(trial, &trial->jobs[pick(writers)]);
		if (pick(40))
			continue;
		model__flush(&trial->model, PARTIAL_LOST);
		trial->model.start_missing = true;
		flush_and_break(trial->assembly);
	}
	model__flush(&trial->model, PARTIAL_EOF);
	flush_all(trial->assembly, UINT64_MAX, PARTIAL_EOF);
	verdict = model__verdict(&trial->model);
	assembly__free(trial->assembly);
	heap_memory__close(&memory);
	free(trial->model.lines);
	free(trial);
	return verdict;
}

static void random_writers_get_what_the_model_says(void **state)
{
	(void)state;
	for (uint32_t seed = 1; seed <= 600; seed++) {
		const char *wrong = run_trial(seed % 3, seed);

		if (wrong)
			fail_msg("seed %u: %s", seed, wrong);
	}
}

/* --- whole lines in, in pieces and in disorder: each comes out whole, in its writer's order */

struct sequence {
	unsigned int next[MODEL_WRITERS];
	unsigned int lines;
	unsigned int wrong;
};

static void check_sequence(void *context, const struct line *line)
{
	struct sequence *sequence = context;
	unsigned int writer, number, length;
	int end = 0;
	char text[300];

	snprintf(text, sizeof(text), "%.*s", (int)line->length, line->text);
	sequence->lines++;
	if (sscanf(text, "%u %u %u %n", &writer, &number, &length, &end) != 3 || writer >= MODEL_WRITERS ||
	    number != sequence->next[writer] || line->length != end + length ||
	    line->writer.tgid != writer || line->partial != PARTIAL_NONE) {
		sequence->wrong++;
		return;
	}
	sequence->next[writer]++;
}

static void numbered_lines(struct job *job, unsigned int *number)
{
	job->length = 0;
	job->done = 0;
	for (unsigned int lines = 1 + pick(8); lines > 0; lines--) {
		unsigned int length = pick(200);

		job->length += sprintf(job->text + job->length, "%u %u %u ", job->writer.tgid, (*number)++,
				       length);
		memset(job->text + job->length, '.', length);
		job->length += length;
		job->text[job->length++] = '\n';
	}
}

static void whole_lines_stay_whole_in_every_mode(void **state)
{
	struct assembly_options options = { .max_line = 4096, .timeout = TIMEOUT, .emit = check_sequence };
	struct fixture *fixture = *state;
	struct job *jobs = calloc(MODEL_WRITERS, sizeof(*jobs));

	for (int mode = ASSEMBLY_AUTO; mode <= ASSEMBLY_STREAM; mode++) {
		unsigned int numbers[MODEL_WRITERS] = { 0 }, sum = 0;
		struct sequence sequence = { .lines = 0 };
		struct assembly *own = fixture->assembly;

		random_state = mode;
		options.heap = fixture->memory.heap;
		options.mode = mode;
		memset(jobs, 0, MODEL_WRITERS * sizeof(*jobs));
		assert_int_equal(assembly__new(&options, &sequence, false, &fixture->assembly), 0);
		for (int i = 0; i < 3000; i++) {
			unsigned int which = pick(MODEL_WRITERS);
			struct job *job = &jobs[which];
			size_t to;

			job->writer = process(which);
			if (job->done == job->length)
				numbered_lines(job, &numbers[which]);
			to = job->done + 1 + pick(job->length - job->done);
			add_piece(fixture, job->writer, job->text, job->length, job->done, to);
			job->done = to;
		}
		for (unsigned int i = 0; i < MODEL_WRITERS; i++) {
			if (jobs[i].done < jobs[i].length)
				add_piece(fixture, jobs[i].writer, jobs[i].text, jobs[i].length, jobs[i].done,
					  jobs[i].length);
			sum += numbers[i];
		}
		assert_int_equal(sequence.wrong, 0);
		assert_int_equal(sequence.lines, sum);
		assembly__free(fixture->assembly);
		fixture->assembly = own;
	}
	free(jobs);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(one_write_may_bring_many_lines),
		TEST(a_write_of_a_thousand_lines_is_a_thousand_lines),
		TEST(nul_and_binary_bytes_are_bytes),
		TEST(an_empty_piece_leaves_the_half_line),
		TEST(a_line_spans_writes),
		TEST(another_process_finishes_the_line_in_auto_and_stream),
		TEST(in_process_mode_only_its_own_process_finishes_a_line),
		TEST(another_thread_of_the_process_finishes_its_line),
		TEST(a_stdio_flush_waits_for_its_process_in_auto),
		TEST(a_stdio_flush_does_not_wait_in_stream_mode),
		TEST(two_block_buffered_workers_tear_no_line),
		TEST(pieces_of_one_write_find_each_other_between_anothers),
		TEST(threads_of_one_process_keep_their_pieces_apart),
		TEST(a_write_whose_rest_never_came_is_told_as_lost),
		TEST(the_middle_of_a_write_starts_nobodys_line),
		TEST(a_line_of_the_limit_is_whole_and_one_more_is_cut),
		TEST(a_half_line_of_the_limit_waits_for_its_newline),
		TEST(a_long_line_in_many_pieces_is_cut_like_one_in_one),
		TEST(a_cut_splits_no_character),
		TEST(bytes_that_are_no_characters_are_cut_at_the_limit),
		TEST(a_half_line_waits_until_the_timeout_is_over),
		TEST(more_of_the_line_renews_its_timeout),
		TEST(just_after_boot_nothing_is_too_old),
		TEST(flush_tells_why),
		TEST(a_stream_found_in_mid_line_marks_its_first_line_only),
		TEST(a_break_ends_half_lines_and_makes_the_next_doubtful),
		TEST(a_line_has_the_id_of_its_first_byte_and_the_time_of_its_last),
		TEST(the_oldest_of_too_many_half_lines_gives_way),
		TEST(what_the_budget_does_not_hold_goes_out_cut),
		TEST(what_the_heap_does_not_hold_goes_out_cut),
		TEST(saved_bytes_are_only_appended_to),
		TEST(what_was_restored_goes_on),
		TEST(only_what_changed_is_to_be_saved),
		TEST(more_than_is_allowed_makes_the_oldest_give_way),
		TEST(random_writers_get_what_the_model_says),
		TEST(whole_lines_stay_whole_in_every_mode),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
