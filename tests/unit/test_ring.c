#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../user/capture/ring.h"
#include "real_ring.h"

#define SIZE 4096u
#define PAYLOAD_MAX 1024u

/*
 * A real ring of the kernel's, filled by two small programs that are run by hand, where the kernel permits that; and the same
 * layout in a memory file for what a program cannot be stopped in the middle of.
 */
struct fixture {
	struct real_ring real;
	int discard_fd;
	int file_fd;
	struct ring *ring;
};

static int load_discard(const struct fixture *fixture)
{
	const struct bpf_insn insns[] = {
		LOAD_FD(BPF_REG_1, BPF_PSEUDO_MAP_FD, fixture->real.ring_fd),
		MOVE(BPF_REG_2, 40),
		MOVE(BPF_REG_3, 0),
		CALL(BPF_FUNC_ringbuf_reserve),
		INSN(BPF_JMP | BPF_JEQ | BPF_K, BPF_REG_0, 0, 3, 0),
		COPY(BPF_REG_1, BPF_REG_0),
		MOVE(BPF_REG_2, 0),
		CALL(BPF_FUNC_ringbuf_discard),
		MOVE(BPF_REG_0, 0),
		EXIT,
	};

	return LOAD(insns);
}

static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	*fixture = (struct fixture){ { -1, -1, -1 }, -1, -1, NULL };
	*state = fixture;
	return 0;
}

static int setup_real(void **state)
{
	struct fixture *fixture;

	setup(state);
	fixture = *state;
	if (real_ring__open(&fixture->real, SIZE))
		fixture->discard_fd = load_discard(fixture);
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	ring__free(fixture->ring);
	real_ring__close(&fixture->real);
	if (fixture->discard_fd >= 0)
		close(fixture->discard_fd);
	if (fixture->file_fd >= 0)
		close(fixture->file_fd);
	free(fixture);
	return 0;
}

static void open_real(struct fixture *fixture)
{
	if (fixture->discard_fd < 0) {
		print_message("the kernel lets no syscall program and ring be made here: root, Linux 5.14\n");
		skip();
	}
	assert_int_equal(ring__open(fixture->real.ring_fd, SIZE, &fixture->ring), 0);
}

static unsigned char byte_of(uint32_t number, uint32_t i)
{
	return number * 31 + i * 7;
}

/* A record of `length` bytes, all of which follow from its number. 0, or what the kernel says. */
static int output(struct fixture *fixture, uint32_t number, uint32_t length)
{
	unsigned char value[REAL_RING_VALUE];

	for (uint32_t i = 0; i < length; i++)
		value[i] = byte_of(number, i);
	return real_ring__output(&fixture->real, value, length);
}

static uint64_t expect_record(struct fixture *fixture, uint32_t number, uint32_t length)
{
	uint64_t position = 0;
	const unsigned char *bytes = (const void *)ring__next(fixture->ring, &position);

	assert_non_null(bytes);
	for (uint32_t i = 0; i < length; i++)
		if (bytes[i] != byte_of(number, i))
			fail_msg("record %u is another from byte %u on", number, i);
	return position;
}

static void expect_none(struct fixture *fixture)
{
	uint64_t position = 77;

	assert_null(ring__next(fixture->ring, &position));
	assert_int_equal(position, 77);
}

static void records_come_in_order_at_their_positions(void **state)
{
	struct fixture *fixture = *state;

	open_real(fixture);
	expect_none(fixture);
	assert_int_equal(output(fixture, 1, 64), 0);
	assert_int_equal(output(fixture, 2, 1), 0);
	assert_int_equal(output(fixture, 3, 9), 0);
	assert_int_equal(expect_record(fixture, 1, 64), 0);
	assert_int_equal(expect_record(fixture, 2, 1), 72);
	assert_int_equal(expect_record(fixture, 3, 9), 88);
	expect_none(fixture);
	assert_int_equal(ring__consumed(fixture->ring), 112);
	assert_int_equal(ring__produced(fixture->ring), 112);
}

static void records_wrap_around_whole(void **state)
{
	struct fixture *fixture = *state;
	uint64_t end = 0;

	open_real(fixture);
	for (uint32_t i = 0; i < 2000; i++) {
		uint32_t length = 1 + i * 37 % PAYLOAD_MAX;

		assert_int_equal(output(fixture, i, length), 0);
		/* Positions go on beyond the ring's size: they never repeat. */
		assert_int_equal(expect_record(fixture, i, length), end);
		end += (length + 8 + 7) / 8 * 8;
		ring__release(fixture->ring, ring__consumed(fixture->ring));
	}
	assert_true(end > 100 * SIZE);
	expect_none(fixture);
}

static void what_is_not_released_keeps_its_space(void **state)
{
	struct fixture *fixture = *state;

	open_real(fixture);
	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(output(fixture, i, 1016), 0);
	for (uint32_t i = 0; i < 3; i++)
		expect_record(fixture, i, 1016);
	assert_int_equal(ring__waiting(fixture->ring), 3 * PAYLOAD_MAX);
	assert_int_equal(output(fixture, 3, 1016), -EAGAIN);
	ring__release(fixture->ring, ring__consumed(fixture->ring));
	assert_int_equal(ring__waiting(fixture->ring), 0);
	assert_int_equal(output(fixture, 3, 1016), 0);
	/* Only what was looked at is given back. */
	ring__release(fixture->ring, ring__consumed(fixture->ring));
	assert_int_equal(ring__waiting(fixture->ring), PAYLOAD_MAX);
	expect_record(fixture, 3, 1016);
	expect_none(fixture);
}

static void discarded_records_are_passed_over(void **state)
{
	struct fixture *fixture = *state;

	open_real(fixture);
	assert_int_equal(real_ring__run(fixture->discard_fd, 0), 0);
	assert_int_equal(output(fixture, 1, 16), 0);
	assert_int_equal(real_ring__run(fixture->discard_fd, 0), 0);
	assert_int_equal(real_ring__run(fixture->discard_fd, 0), 0);
	assert_int_equal(expect_record(fixture, 1, 16), 48);
	expect_none(fixture);
	ring__release(fixture->ring, ring__consumed(fixture->ring));
	assert_int_equal(ring__waiting(fixture->ring), 0);
}

static void a_new_reader_goes_on_behind_what_was_released(void **state)
{
	struct fixture *fixture = *state;

	open_real(fixture);
	assert_int_equal(output(fixture, 1, 16), 0);
	assert_int_equal(output(fixture, 2, 16), 0);
	expect_record(fixture, 1, 16);
	ring__release(fixture->ring, ring__consumed(fixture->ring));
	expect_record(fixture, 2, 16);
	ring__free(fixture->ring);
	fixture->ring = NULL;
	assert_int_equal(ring__open(fixture->real.ring_fd, SIZE, &fixture->ring), 0);
	assert_int_equal(expect_record(fixture, 2, 16), 24);
}

static void a_reader_goes_on_from_where_another_was(void **state)
{
	struct fixture *fixture = *state;
	uint64_t behind_first;

	open_real(fixture);
	assert_int_equal(output(fixture, 1, 16), 0);
	assert_int_equal(output(fixture, 2, 16), 0);
	assert_int_equal(output(fixture, 3, 16), 0);
	expect_record(fixture, 1, 16);
	behind_first = ring__consumed(fixture->ring);
	expect_record(fixture, 2, 16);
	/* Only what is said is given back. */
	ring__release(fixture->ring, behind_first);
	assert_int_equal(ring__waiting(fixture->ring), 48);
	assert_int_equal(ring__seek(fixture->ring, ring__consumed(fixture->ring)), 0);
	assert_int_equal(expect_record(fixture, 3, 16), 48);
	assert_int_equal(ring__seek(fixture->ring, behind_first), 0);
	assert_int_equal(expect_record(fixture, 2, 16), 24);
	/* Before what was given back, and behind what is there. */
	assert_int_equal(ring__seek(fixture->ring, 0), -ERANGE);
	assert_int_equal(ring__seek(fixture->ring, ring__produced(fixture->ring) + 8), -ERANGE);
	assert_int_equal(expect_record(fixture, 3, 16), 48);
}

/* The layout alone: the consumer's page, the producer's page, the data. */
static uint32_t *open_file(struct fixture *fixture, uint64_t produced)
{
	size_t page = sysconf(_SC_PAGESIZE);
	char *base;

	fixture->file_fd = memfd_create("ring", MFD_CLOEXEC);
	assert_true(fixture->file_fd >= 0);
	assert_int_equal(ftruncate(fixture->file_fd, 2 * page + 2 * SIZE), 0);
	assert_int_equal(pwrite(fixture->file_fd, &produced, sizeof(produced), page), sizeof(produced));
	base = mmap(NULL, 2 * page + SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fixture->file_fd, 0);
	assert_true(base != MAP_FAILED);
	assert_int_equal(ring__open(fixture->file_fd, SIZE, &fixture->ring), 0);
	return (uint32_t *)(base + 2 * page);
}

static void close_file(uint32_t *data)
{
	size_t page = sysconf(_SC_PAGESIZE);

	munmap((char *)data - 2 * page, 2 * page + SIZE);
}

static void a_record_being_written_holds_back_what_follows(void **state)
{
	struct fixture *fixture = *state;
	uint32_t *data = open_file(fixture, 48);
	uint64_t position;

	data[0] = 16 | BPF_RINGBUF_BUSY_BIT;
	data[6] = 16;
	expect_none(fixture);
	ring__release(fixture->ring, ring__consumed(fixture->ring));
	assert_int_equal(ring__waiting(fixture->ring), 48);
	data[0] = 16;
	assert_non_null(ring__next(fixture->ring, &position));
	assert_int_equal(position, 0);
	assert_non_null(ring__next(fixture->ring, &position));
	assert_int_equal(position, 24);
	expect_none(fixture);
	close_file(data);
}

static void a_discarded_record_that_is_being_written_waits_too(void **state)
{
	struct fixture *fixture = *state;
	uint32_t *data = open_file(fixture, 48);
	uint64_t position;

	data[0] = 16 | BPF_RINGBUF_BUSY_BIT;
	data[6] = 16;
	expect_none(fixture);
	data[0] = 16 | BPF_RINGBUF_DISCARD_BIT;
	assert_non_null(ring__next(fixture->ring, &position));
	assert_int_equal(position, 24);
	close_file(data);
}

static void what_is_no_ring_is_an_error(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(ring__open(-1, SIZE, &fixture->ring), -EBADF);
	assert_null(fixture->ring);
	ring__free(NULL);
}

/* Two rings of one shard: `base` is where the first ends. */
static void follow(struct fixture *fixture, struct real_ring *next, uint64_t base)
{
	ring__free(fixture->ring);
	fixture->ring = NULL;
	assert_int_equal(ring__open(next->ring_fd, 4 * SIZE, &fixture->ring), 0);
	assert_int_equal(ring__follow(fixture->ring, base, fixture->real.ring_fd, SIZE), 0);
}

static void a_ring_that_follows_another_goes_on_with_its_positions(void **state)
{
	struct fixture *fixture = *state;
	unsigned char value[16] = { byte_of(3, 0) };
	struct real_ring next;
	uint64_t base, behind_first;

	open_real(fixture);
	assert_true(real_ring__open(&next, 4 * SIZE));
	for (uint32_t i = 0; i < 16; i++)
		value[i] = byte_of(3, i);
	assert_int_equal(output(fixture, 1, 16), 0);
	assert_int_equal(output(fixture, 2, 16), 0);
	base = 1000 * SIZE + 48;
	follow(fixture, &next, base);
	assert_int_equal(real_ring__output(&next, value, 16), 0);
	assert_int_equal(ring__waiting(fixture->ring), 72);
	assert_int_equal(ring__produced(fixture->ring), base + 24);
	assert_int_equal(expect_record(fixture, 1, 16), base - 48);
	behind_first = ring__consumed(fixture->ring);
	assert_int_equal(expect_record(fixture, 2, 16), base - 24);
	assert_int_equal(expect_record(fixture, 3, 16), base);
	expect_none(fixture);

	/* Another process goes on in the first, and one after it in the second. */
	ring__release(fixture->ring, behind_first);
	assert_int_equal(ring__waiting(fixture->ring), 48);
	follow(fixture, &next, base);
	assert_int_equal(ring__seek(fixture->ring, behind_first), 0);
	assert_int_equal(ring__seek(fixture->ring, behind_first - 24), -ERANGE);
	assert_int_equal(expect_record(fixture, 2, 16), base - 24);
	assert_int_equal(expect_record(fixture, 3, 16), base);
	ring__release(fixture->ring, base + 24);
	assert_int_equal(ring__waiting(fixture->ring), 0);
	follow(fixture, &next, base);
	assert_int_equal(ring__waiting(fixture->ring), 24);
	assert_int_equal(ring__seek(fixture->ring, base + 24), 0);
	expect_none(fixture);
	real_ring__close(&next);
}

#define REAL(name) cmocka_unit_test_setup_teardown(name, setup_real, teardown)
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		REAL(records_come_in_order_at_their_positions),
		REAL(records_wrap_around_whole),
		REAL(what_is_not_released_keeps_its_space),
		REAL(discarded_records_are_passed_over),
		REAL(a_new_reader_goes_on_behind_what_was_released),
		REAL(a_reader_goes_on_from_where_another_was),
		REAL(a_ring_that_follows_another_goes_on_with_its_positions),
		TEST(a_record_being_written_holds_back_what_follows),
		TEST(a_discarded_record_that_is_being_written_waits_too),
		TEST(what_is_no_ring_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
