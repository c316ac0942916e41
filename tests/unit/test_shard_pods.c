#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

/* Those that wait, one that does not, and the first, which is nobody's. */
#define WAITERS 400
#define SLOTS (WAITERS + 2)

#include "../../user/base/clock.h"
#include "../../user/kubernetes/pod.h"
#include "../../user/kubernetes/pods.h"
#include "../../user/stream/shard_fields.h"
#include "stream_fixture.h"

#define BUSY (SLOTS - 1)
#define WAIT (2 * NS_PER_SECOND)
#define LOOK (LOOK_MS * NS_PER_MS)
#define PLENTY (8 << 20)

/* --- the test's clock */

static uint64_t now;

int __real_clock_gettime(clockid_t clock, struct timespec *out);
int __wrap_clock_gettime(clockid_t clock, struct timespec *out);

int __wrap_clock_gettime(clockid_t clock, struct timespec *out)
{
	if (clock != CLOCK_BOOTTIME)
		return __real_clock_gettime(clock, out);
	*out = (struct timespec){ .tv_sec = now / NS_PER_SECOND, .tv_nsec = now % NS_PER_SECOND };
	return 0;
}

/* --- a shard, of which only the looks at the pods are seen */

static struct pods *pods;
static struct shard shard;
static struct tenancy tenancies[SLOTS];
static uint32_t live[SLOTS];

void shard__withdraw(struct shard *of, uint32_t slot)
{
	(void)of;
	fail_msg("slot %u is withdrawn", slot);
}

static void pod_uid(unsigned int slot, char uid[37])
{
	sprintf(uid, "%08x-0b0a-0908-0706-050403020100", slot);
}

/* The stdout of a container of a pod of its own. */
static void open_slot(struct fixture *fixture, unsigned int slot)
{
	struct stream_slot *s = &fixture->capture.slots[slot];
	char uid[37];

	pod_uid(slot, uid);
	s->generation = 3;
	s->kind = STREAM_STDOUT;
	s->magic = COVERED;
	s->cgroup_id = slot;
	sprintf(s->cgroup[0], "%064x", slot);
	sprintf(s->cgroup[1], "pod%s", uid);
	assert_int_equal(stream__open(&fixture->context, slot, &tenancies[slot].stream), 0);
	live[shard.live_count++] = slot;
}

static void publish(unsigned int slot)
{
	struct pod *pod = pod__new();
	char uid[37];

	pod_uid(slot, uid);
	pod->uid = strdup(uid);
	pod->name = strdup("web-1");
	pod->namespace = strdup("shop");
	assert_int_equal(labels__set(&pod->labels, "app", "shop"), 0);
	assert_int_equal(pods__publish(pods, pod), 0);
}

static int setup_shard(void **state)
{
	struct fixture *fixture;

	now = 1000 * NS_PER_SECOND;
	if (pods__new(&pods) || setup(state))
		return -1;
	fixture = *state;
	fixture->journal_options.max_size = 8 * SEGMENT;
	fixture->checkpoint_options.heap_limit = 64 * HEAP_STEP;
	crash(fixture);
	fixture->context.pods = pods;
	fixture->context.wait = WAIT;
	fixture->context.waiting_limit = PLENTY;
	fixture->context.waiting_stream_limit = PLENTY / 4;
	shard = (struct shard){ .options.pods = pods, .tenancies = tenancies, .live = live };
	for (unsigned int slot = 1; slot < SLOTS; slot++)
		open_slot(fixture, slot);
	publish(BUSY);
	return 0;
}

static int teardown_shard(void **state)
{
	int err;

	for (unsigned int i = 0; i < shard.live_count; i++)
		stream__free(tenancies[live[i]].stream);
	err = teardown(state);
	pods__free(pods);
	return err;
}

/* --- who writes what, and when it comes */

static struct {
	uint64_t first;              /* when its first line was written */
	uint64_t latest;
	unsigned int written;
	unsigned int come;
	uint64_t waited;             /* its first line */
} logs[SLOTS];

/* Its lines are numbered, and `padding` bytes longer. */
static void write_line(struct fixture *fixture, unsigned int slot, size_t padding)
{
	char text[4096];
	struct record *record;

	assert_true(padding < sizeof(text) - 32);
	memset(text, 'x', sizeof(text));
	sprintf(text + padding, " %u-%u\n", slot, logs[slot].written);
	record = new_record(fixture, RECORD_DATA, text, strlen(text));
	record->slot = slot;
	logs[slot].latest = now;
	if (!logs[slot].written++)
		logs[slot].first = now;
	stream__record(tenancies[slot].stream, record, fixture->position += 4096);
	fixture->consumed = fixture->position;
	free(record);
}

/* One that came: in its order. */
static void take(const json_t *record)
{
	const char *text = strrchr(json_string_value(json_object_get(record, "message")), ' ');
	unsigned int slot, number;

	assert_int_equal(sscanf(text, " %u-%u", &slot, &number), 2);
	assert_int_equal(number, logs[slot].come);
	if (!logs[slot].come++)
		logs[slot].waited = now - logs[slot].first;
	/* Whatever a stream waits for, its latest line is not older than its first. */
	if (now - logs[slot].first > WAIT + LOOK)
		assert_int_equal(now, logs[slot].latest);
}

/* What the shard does all LOOK_MS while streams wait: see wait_for_records. */
static void look(struct fixture *fixture)
{
	shard.context.waits = fixture->context.waits;
	shard__look_at_pods(&shard);
	commit(fixture);
	read_journal(fixture);
	for (; fixture->checked < fixture->count; fixture->checked++) {
		take(fixture->seen[fixture->checked]);
		json_decref(fixture->seen[fixture->checked]);
		fixture->seen[fixture->checked] = NULL;
	}
	fixture->checked = fixture->count = 0;
}

/* The busy one is not held up by anybody. */
static void step(struct fixture *fixture)
{
	write_line(fixture, BUSY, 0);
	look(fixture);
	assert_int_equal(logs[BUSY].come, logs[BUSY].written);
	now += LOOK;
}

static void expect_all_came(const struct fixture *fixture)
{
	for (unsigned int slot = 1; slot < SLOTS; slot++)
		assert_int_equal(logs[slot].come, logs[slot].written);
	assert_int_equal(fixture->context.waits, 0);
	assert_int_equal(fixture->context.waiting_bytes, 0);
}

static bool waited_its_time(unsigned int slot)
{
	return logs[slot].waited >= WAIT && logs[slot].waited <= WAIT + LOOK;
}

static void each_stream_waits_its_own_time_and_no_longer(void **state)
{
	struct fixture *fixture = *state;
	unsigned int most = 0;

	memset(logs, 0, sizeof(logs));
	/* They begin one after the other, some in one step; each writes on. */
	for (unsigned int i = 0; i < 400; i++) {
		unsigned int begun = i < WAITERS / 2 ? 2 * i : WAITERS;

		for (unsigned int slot = begun + 1; slot <= begun + 2 && slot <= WAITERS; slot++)
			write_line(fixture, slot, 0);
		for (unsigned int slot = 1 + i % 50; slot <= begun; slot += 50)
			write_line(fixture, slot, 0);
		step(fixture);
		if (fixture->context.waits > most)
			most = fixture->context.waits;
	}
	expect_all_came(fixture);
	for (unsigned int slot = 1; slot <= WAITERS; slot++)
		assert_true(waited_its_time(slot));
	assert_true(most >= 2 * WAIT / LOOK);
}

static void hundreds_that_begin_at_once_come_at_once(void **state)
{
	struct fixture *fixture = *state;

	memset(logs, 0, sizeof(logs));
	for (unsigned int slot = 1; slot <= WAITERS; slot++)
		write_line(fixture, slot, 0);
	for (unsigned int i = 0; i < WAIT / LOOK; i++)
		step(fixture);
	assert_int_equal(fixture->context.waits, WAITERS);
	step(fixture);
	expect_all_came(fixture);
	for (unsigned int slot = 1; slot <= WAITERS; slot++)
		assert_true(waited_its_time(slot));
}

static void a_pod_that_comes_ends_the_wait_of_its_stream_alone(void **state)
{
	struct fixture *fixture = *state;

	memset(logs, 0, sizeof(logs));
	for (unsigned int slot = 1; slot <= 3; slot++)
		write_line(fixture, slot, 0);
	for (unsigned int i = 0; i < 10; i++)
		step(fixture);
	publish(2);
	step(fixture);
	assert_int_equal(logs[2].waited, 10 * LOOK);
	for (unsigned int i = 0; i < WAIT / LOOK; i++)
		step(fixture);
	expect_all_came(fixture);
	assert_true(waited_its_time(1) && waited_its_time(3));
}

static void one_that_writes_more_than_may_wait_does_not_end_others_wait(void **state)
{
	struct fixture *fixture = *state;

	memset(logs, 0, sizeof(logs));
	fixture->context.waiting_stream_limit = 64 << 10;
	for (unsigned int slot = 1; slot <= 10; slot++)
		write_line(fixture, slot, 0);
	for (unsigned int i = 0; i < 40; i++)
		write_line(fixture, 5, 3000);
	step(fixture);
	assert_int_equal(logs[5].come, 41);
	assert_int_equal(logs[5].waited, 0);
	for (unsigned int i = 0; i < 20; i++)
		write_line(fixture, 1 + i % 10, 3000);
	assert_int_equal(fixture->context.waits, 9);
	for (unsigned int i = 0; i < WAIT / LOOK; i++)
		step(fixture);
	expect_all_came(fixture);
	for (unsigned int slot = 1; slot <= 10; slot++)
		assert_true(slot == 5 || waited_its_time(slot));
}

/* Then the wait of those ends that find no room. */
static void where_all_together_are_more_than_may_wait_nobody_waits_longer(void **state)
{
	struct fixture *fixture = *state;
	unsigned int at_once = 0;

	memset(logs, 0, sizeof(logs));
	fixture->context.waiting_limit = WAITERS / 2 * 4096;
	for (unsigned int slot = 1; slot <= WAITERS; slot++)
		write_line(fixture, slot, 3000);
	for (unsigned int i = 0; i <= WAIT / LOOK; i++)
		step(fixture);
	expect_all_came(fixture);
	for (unsigned int slot = 1; slot <= WAITERS; slot++) {
		assert_true(waited_its_time(slot) || !logs[slot].waited);
		at_once += !logs[slot].waited;
	}
	assert_int_equal(at_once, WAITERS / 2);
}

#define SHARD_TEST(name) cmocka_unit_test_setup_teardown(name, setup_shard, teardown_shard)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SHARD_TEST(each_stream_waits_its_own_time_and_no_longer),
		SHARD_TEST(hundreds_that_begin_at_once_come_at_once),
		SHARD_TEST(a_pod_that_comes_ends_the_wait_of_its_stream_alone),
		SHARD_TEST(one_that_writes_more_than_may_wait_does_not_end_others_wait),
		SHARD_TEST(where_all_together_are_more_than_may_wait_nobody_waits_longer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
