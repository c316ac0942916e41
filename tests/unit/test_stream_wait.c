#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <ftw.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "../../user/base/clock.h"
#include "../../user/kubernetes/pod.h"
#include "../../user/kubernetes/pods.h"
#include "stream_fixture.h"

#define UID "0f0e0d0c-0b0a-0908-0706-050403020100"
#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define WAIT (3600 * NS_PER_SECOND)

static struct pods *pods;

/* An identity is valid until the next call, and no longer: see the Makefile. */
const struct identity *__real_identity_cache__get(struct identity_cache *cache, uint64_t cgroup_id, const struct cgroup_names *names,
						  bool own_pid_namespace);
const struct identity *__wrap_identity_cache__get(struct identity_cache *cache, uint64_t cgroup_id, const struct cgroup_names *names,
						  bool own_pid_namespace);

const struct identity *__wrap_identity_cache__get(struct identity_cache *cache, uint64_t cgroup_id, const struct cgroup_names *names,
						  bool own_pid_namespace)
{
	static struct identity *valid;
	const struct identity *identity = __real_identity_cache__get(cache, cgroup_id, names, own_pid_namespace);

	free(valid);
	valid = identity ? malloc(sizeof(*valid)) : NULL;
	if (valid)
		*valid = *identity;
	return valid;
}

static void ask_for_pods(struct fixture *fixture)
{
	fixture->context.pods = pods;
	fixture->context.wait = WAIT;
	fixture->context.waiting_limit = 1 << 20;
	fixture->context.waiting_stream_limit = 256 << 10;
}

/* A log file in a container of a pod. */
static int setup_pod(void **state)
{
	struct fixture *fixture;

	if (pods__new(&pods) || setup(state))
		return -1;
	fixture = *state;
	strcpy(fixture->slot->cgroup[0], ID);
	strcpy(fixture->slot->cgroup[1], "pod" UID);
	ask_for_pods(fixture);
	open_stream(fixture);
	return 0;
}

static int teardown_pod(void **state)
{
	int err = teardown(state);

	pods__free(pods);
	return err;
}

/* As setup_pod; pods' annotations count. */
static int setup_annotated(void **state)
{
	struct fixture *fixture;

	if (setup_pod(state))
		return -1;
	fixture = *state;
	fixture->config.selection.annotations = true;
	open_stream(fixture);
	return 0;
}

/* The container's stdout instead of its file. */
static int setup_stdout(void **state)
{
	struct fixture *fixture;

	if (setup_annotated(state))
		return -1;
	fixture = *state;
	fixture->slot->kind = STREAM_STDOUT;
	open_stream(fixture);
	return 0;
}

static void publish_named(const char *namespace, const char *name, const char *app, const char *annotation)
{
	struct pod *pod = pod__new();

	pod->uid = strdup(UID);
	pod->name = strdup(name);
	pod->namespace = strdup(namespace);
	assert_int_equal(labels__set(&pod->labels, "app", app), 0);
	if (annotation)
		assert_int_equal(labels__set(&pod->annotations, annotation, "true"), 0);
	assert_int_equal(pods__publish(pods, pod), 0);
}

static void forget_pod(void)
{
	const struct pod pod = { .uid = (char *)UID, .name = (char *)"web-1", .namespace = (char *)"shop" };

	pods__remove(pods, &pod);
}

static void publish_with(const char *app, const char *annotation)
{
	publish_named("shop", "web-1", app, annotation);
}

static void publish(const char *app)
{
	publish_with(app, NULL);
}

static void follow(struct fixture *fixture)
{
	stream__follow_pod(fixture->stream, clock__ns(CLOCK_BOOTTIME));
}

static void restart_with_pods(struct fixture *fixture)
{
	crash(fixture);
	ask_for_pods(fixture);
	restore(fixture, true);
}

/* The line's label `app`, or NULL; one of the two is told. */
static const char *app_of(const json_t *line)
{
	const json_t *kubernetes = json_object_get(line, "kubernetes");
	const json_t *labels = json_object_get(kubernetes, "pod_labels");

	assert_true(json_is_object(labels) != json_is_false(json_object_get(kubernetes, "enriched")));
	return json_string_value(json_object_get(labels, "app"));
}

static void next_of_app(struct fixture *fixture, const char *message, const char *app)
{
	const char *is = app_of(next_line(fixture, message, NULL));

	assert_string_equal(is ? is : "none", app ? app : "none");
}

static void a_known_pod_is_waited_for_by_nobody(void **state)
{
	struct fixture *fixture = *state;

	publish("shop");
	data(fixture, "one\n", 0, 0);
	next_of_app(fixture, "one", "shop");
	assert_int_equal(fixture->context.waits, 0);
}

#define BUNDLE "run/containerd/io.containerd.runtime.v2.task/k8s.io/" ID

/* What the runtime calls the pod; undone with `rm`. */
static void name_pod(const struct fixture *fixture, const char *name)
{
	char command[1024];

	snprintf(command, sizeof(command),
		 "mkdir -p %1$s/" BUNDLE " && printf '{\"annotations\":{\"io.kubernetes.cri.container-type\":\"container\","
		 "\"io.kubernetes.cri.sandbox-name\":\"%2$s\",\"io.kubernetes.cri.sandbox-namespace\":\"shop\"}}' "
		 ">%1$s/" BUNDLE "/config.json",
		 fixture->directory, name);
	assert_int_equal(system(command), 0);
}

static void forget_name(const struct fixture *fixture)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -r %s/run", fixture->directory);
	assert_int_equal(system(command), 0);
}

static void a_pod_that_claims_its_uid_is_not_its(void **state)
{
	struct fixture *fixture = *state;

	name_pod(fixture, "other");
	publish("forged");
	data(fixture, "one\n", 0, 0);
	assert_true(stream__waits(fixture->stream));
	stream__follow_pod(fixture->stream, UINT64_MAX);
	next_of_app(fixture, "one", NULL);
	forget_name(fixture);
}

/* Also when one that claims its uid came first. */
static void a_pod_is_found_beside_one_that_claims_its_uid(void **state)
{
	struct fixture *fixture = *state;

	name_pod(fixture, "web-1");
	publish_named("a", "forged", "forged", NULL);
	publish("shop");
	data(fixture, "one\n", 0, 0);
	next_of_app(fixture, "one", "shop");
	publish_named("a", "forged", "again", NULL);
	publish("cart");
	follow(fixture);
	data(fixture, "two\n", 0, 0);
	next_of_app(fixture, "two", "cart");
	forget_name(fixture);
}

/* One that was taken for it before the runtime's files were there is not kept. */
static void a_pod_that_was_taken_by_its_uid_gives_way_to_the_runtimes(void **state)
{
	struct fixture *fixture = *state;

	publish_named("a", "forged", "forged", NULL);
	data(fixture, "one\n", 0, 0);
	next_of_app(fixture, "one", "forged");
	name_pod(fixture, "web-1");
	publish("shop");
	follow(fixture);
	data(fixture, "two\n", 0, 0);
	next_of_app(fixture, "two", "shop");
	forget_name(fixture);
}

static void a_pod_of_the_runtimes_name_is_its(void **state)
{
	struct fixture *fixture = *state;

	name_pod(fixture, "web-1");
	publish("shop");
	data(fixture, "one\n", 0, 0);
	next_of_app(fixture, "one", "shop");
	forget_name(fixture);
}

static void lines_wait_for_the_pod_and_keep_their_order(void **state)
{
	struct fixture *fixture = *state;

	data(fixture, "one\ntwo\nthr", 0, 0);
	data(fixture, "ee\n", 0, 0);
	follow(fixture);
	no_more(fixture);
	assert_int_equal(fixture->context.waits, 1);
	publish("shop");
	follow(fixture);
	data(fixture, "four\n", 0, 0);
	next_of_app(fixture, "one", "shop");
	next_of_app(fixture, "two", "shop");
	next_of_app(fixture, "three", "shop");
	next_of_app(fixture, "four", "shop");
	no_more(fixture);
	assert_int_equal(fixture->context.waits, 0);
	assert_int_equal(fixture->context.waiting_bytes, 0);
}

static void at_the_end_of_their_time_they_come_without(void **state)
{
	struct fixture *fixture = *state;

	data(fixture, "one\n", 0, 0);
	stream__follow_pod(fixture->stream, clock__ns(CLOCK_BOOTTIME) + WAIT - NS_PER_SECOND * 60);
	no_more(fixture);
	stream__follow_pod(fixture->stream, clock__ns(CLOCK_BOOTTIME) + WAIT);
	next_of_app(fixture, "one", NULL);
	data(fixture, "two\n", 0, 0);
	next_of_app(fixture, "two", NULL);
	/* Late is better than never. */
	publish("shop");
	follow(fixture);
	data(fixture, "three\n", 0, 0);
	next_of_app(fixture, "three", "shop");
}

static void a_change_holds_from_then_on(void **state)
{
	struct fixture *fixture = *state;

	publish("shop");
	data(fixture, "one\n", 0, 0);
	publish("cart");
	data(fixture, "two\n", 0, 0);
	follow(fixture);
	data(fixture, "three\n", 0, 0);
	next_of_app(fixture, "one", "shop");
	next_of_app(fixture, "two", "shop");
	next_of_app(fixture, "three", "cart");
}

static void a_pod_that_is_deleted_is_known_to_the_last_line(void **state)
{
	struct fixture *fixture = *state;

	publish("shop");
	data(fixture, "one\n", 0, 0);
	forget_pod();
	pods__expire(pods, UINT64_MAX);
	follow(fixture);
	data(fixture, "two\n", 0, 0);
	next_of_app(fixture, "one", "shop");
	next_of_app(fixture, "two", "shop");
}

static void lines_that_wait_outlive_a_kill(void **state)
{
	struct fixture *fixture = *state;

	data(fixture, "one\ntwo\n", 0, 0);
	commit(fixture);
	data(fixture, "never committed\n", 0, 0);
	restart_with_pods(fixture);
	assert_int_equal(fixture->context.waits, 1);
	no_more(fixture);
	publish("shop");
	follow(fixture);
	next_of_app(fixture, "one", "shop");
	next_of_app(fixture, "two", "shop");
	restart_with_pods(fixture);
	data(fixture, "three\n", 0, 0);
	next_of_app(fixture, "three", "shop");
	no_more(fixture);
}

/* It is known already when the next agent takes the stream up. */
static void lines_that_waited_have_what_came_meanwhile(void **state)
{
	struct fixture *fixture = *state;

	data(fixture, "one\n", 0, 0);
	commit(fixture);
	publish("shop");
	restart_with_pods(fixture);
	follow(fixture);
	assert_false(stream__waits(fixture->stream));
	next_of_app(fixture, "one", "shop");
	data(fixture, "two\n", 0, 0);
	next_of_app(fixture, "two", "shop");
	no_more(fixture);
}

static void after_a_kill_nothing_is_said_that_is_known_less(void **state)
{
	struct fixture *fixture = *state;

	publish("shop");
	data(fixture, "one\n", 0, 0);
	next_of_app(fixture, "one", "shop");
	pods__free(pods);
	assert_int_equal(pods__new(&pods), 0);
	restart_with_pods(fixture);
	fixture->context.replayed = 0;
	data(fixture, "two\n", 0, 0);
	next_of_app(fixture, "two", "shop");
	publish("cart");
	follow(fixture);
	data(fixture, "three\n", 0, 0);
	next_of_app(fixture, "three", "cart");
}

static void of_a_pod_that_stays_unknown_the_configuration_holds_all_the_same(void **state)
{
	struct fixture *fixture = *state;

	data(fixture, "one\n", 0, 0);
	stream__follow_pod(fixture->stream, clock__ns(CLOCK_BOOTTIME) + WAIT);
	next_of_app(fixture, "one", NULL);
	fixture->config.record.names = NAMES_FLUENTBIT;
	restart_with_pods(fixture);
	fixture->context.replayed = 0;
	data(fixture, "two\n", 0, 0);
	assert_string_equal(json_string_value(json_object_get(next_record(fixture), "log")), "two");
}

static void more_than_there_is_room_for_ends_the_wait(void **state)
{
	struct fixture *fixture = *state;
	char text[1000];

	memset(text, 'x', sizeof(text));
	text[998] = '\n';
	text[999] = 0;
	for (int i = 0; i < 400; i++)
		data(fixture, text, 0, 0);
	text[998] = 0;
	for (int i = 0; i < 400; i++)
		next_of_app(fixture, text, NULL);
	no_more(fixture);
	assert_int_equal(fixture->context.waits, 0);
	assert_int_equal(fixture->context.waiting_bytes, 0);
}

static void a_gap_keeps_its_place(void **state)
{
	struct fixture *fixture = *state;

	data(fixture, "one\n", 0, 0);
	fixture->slot->lost_bytes_by[LOSS_RING_FULL] = fixture->slot->lost_bytes = 10;
	fixture->slot->lost_writes_by[LOSS_RING_FULL] = fixture->slot->lost_writes = 1;
	data(fixture, "two\n", 10, 1);
	next_line(fixture, "one", NULL);
	next_gap(fixture, 10, 1, "ring_full");
	next_line(fixture, "two", "start");
	no_more(fixture);
}

static void the_stream_is_not_over_while_its_lines_wait(void **state)
{
	struct fixture *fixture = *state;

	data(fixture, "one\ntwo", 0, 0);
	stream__finish(fixture->stream, PARTIAL_EOF, fixture->time);
	assert_true(stream__waits(fixture->stream));
	publish("shop");
	follow(fixture);
	assert_false(stream__waits(fixture->stream));
	next_of_app(fixture, "one", "shop");
	next_line(fixture, "two", "eof");
	no_more(fixture);
}

static void without_its_slot_what_waits_comes_out(void **state)
{
	struct fixture *fixture = *state;

	data(fixture, "one\ntwo", 0, 0);
	commit(fixture);
	crash(fixture);
	ask_for_pods(fixture);
	restore(fixture, false);
	stream__abandon(fixture->stream);
	next_of_app(fixture, "one", NULL);
	next_line(fixture, "two", "lost");
	no_more(fixture);
}

static void where_nobody_asks_any_more_the_wait_ends(void **state)
{
	struct fixture *fixture = *state;

	data(fixture, "one\n", 0, 0);
	commit(fixture);
	crash(fixture);
	restore(fixture, true);
	follow(fixture);
	next_line(fixture, "one", NULL);
	assert_int_equal(fixture->context.waits, 0);
}

static const char *id_of(const json_t *record)
{
	return json_string_value(json_object_get(record, "id"));
}

/* The sink has seen some of what waited when an agent had to end; the next one knows more, and its clock is another. */
static void a_full_journal_makes_no_copies_of_what_waited(void **state)
{
	struct fixture *fixture = *state;
	char text[3000];

	fixture->journal_options.max_size = 2 * SEGMENT;
	fixture->checkpoint_options.heap_limit = 16 * HEAP_STEP;
	crash(fixture);
	ask_for_pods(fixture);
	open_stream(fixture);
	fixture->context.waiting_limit = fixture->context.waiting_stream_limit = 6 << 20;
	fixture->context.may_resume = true;
	memset(text, 'x', sizeof(text));
	strcpy(text + 2900, "\n");
	for (int i = 0; i < 1000; i++) {
		data(fixture, text, 0, 0);
		commit(fixture);
	}
	fixture->abandon = true;
	stream__follow_pod(fixture->stream, clock__ns(CLOCK_BOOTTIME) + WAIT);
	assert_true(fixture->context.cancelled);
	crash(fixture);
	assert_true(fixture->count > 0 && fixture->count < 1000);
	ask_for_pods(fixture);
	restore(fixture, true);
	publish("shop");
	encoder__set_clock(fixture->context.encoder);
	follow(fixture);
	commit(fixture);
	read_journal(fixture);
	assert_int_equal(fixture->count, 1000);
	for (unsigned int i = 1; i < fixture->count; i++)
		assert_string_not_equal(id_of(fixture->seen[i - 1]), id_of(fixture->seen[i]));
}

static void of_a_pod_that_excludes_itself_nothing_comes_out(void **state)
{
	struct fixture *fixture = *state;

	data(fixture, "one\ntwo", 0, 0);
	follow(fixture);
	assert_false(stream__unwanted_now(fixture->stream));
	publish_with("shop", "logtap.io/exclude");
	follow(fixture);
	assert_true(stream__unwanted_now(fixture->stream));
	assert_false(stream__wanted(fixture->stream));
	data(fixture, "three\n", 0, 0);
	stream__finish(fixture->stream, PARTIAL_EOF, fixture->time);
	assert_false(stream__waits(fixture->stream));
	assert_int_equal(fixture->context.waits, 0);
	assert_int_equal(fixture->context.waiting_bytes, 0);
	assert_int_equal(counters__get(&fixture->counters, COUNTER_streams_deselected), 1);
	no_more(fixture);
}

/* Its last writer may close it when it is deselected already. */
static void of_a_pod_that_excludes_itself_no_half_line_comes_out(void **state)
{
	struct fixture *fixture = *state;

	data(fixture, "one\ntwo", 0, 0);
	publish_with("shop", "logtap.io/exclude");
	follow(fixture);
	assert_false(stream__wanted(fixture->stream));
	stream__eof(fixture->stream);
	no_more(fixture);
}

/* As where the pod comes while the configuration is loaded anew. */
static void of_a_pod_that_excludes_itself_nothing_comes_out_after_a_restart(void **state)
{
	struct fixture *fixture = *state;

	data(fixture, "one\ntwo", 0, 0);
	commit(fixture);
	publish_with("shop", "logtap.io/exclude");
	restart_with_pods(fixture);
	follow(fixture);
	assert_false(stream__wanted(fixture->stream));
	stream__eof(fixture->stream);
	stream__finish(fixture->stream, PARTIAL_EOF, fixture->time);
	assert_false(stream__waits(fixture->stream));
	assert_int_equal(fixture->context.waits, 0);
	assert_int_equal(fixture->context.waiting_bytes, 0);
	no_more(fixture);
}

static void a_pod_known_before_the_first_line_decides_too(void **state)
{
	struct fixture *fixture = *state;

	publish_with("shop", "logtap.io/exclude");
	data(fixture, "one\n", 0, 0);
	follow(fixture);
	assert_false(stream__wanted(fixture->stream));
	no_more(fixture);
}

static void what_stays_unknown_is_as_configured(void **state)
{
	struct fixture *fixture = *state;

	data(fixture, "one\n", 0, 0);
	stream__follow_pod(fixture->stream, clock__ns(CLOCK_BOOTTIME) + WAIT);
	next_of_app(fixture, "one", NULL);
	fixture->config.selection.unknown = UNKNOWN_EXCLUDE;
	open_stream(fixture);
	data(fixture, "two\n", 0, 0);
	assert_true(stream__wanted(fixture->stream));
	stream__follow_pod(fixture->stream, clock__ns(CLOCK_BOOTTIME) + WAIT);
	assert_false(stream__wanted(fixture->stream));
	no_more(fixture);
}

/* However its wait ends: here as there is no room for more. */
static void what_finds_no_room_unknown_is_as_configured(void **state)
{
	struct fixture *fixture = *state;
	char text[1000];
	uint64_t version = pods__labels_version(pods);

	fixture->config.selection.unknown = UNKNOWN_EXCLUDE;
	memset(text, 'x', sizeof(text));
	text[998] = '\n';
	text[999] = 0;
	for (int i = 0; i < 400; i++)
		data(fixture, text, 0, 0);
	assert_false(stream__wanted(fixture->stream));
	assert_int_equal(fixture->context.waits, 0);
	assert_int_equal(fixture->context.waiting_bytes, 0);
	assert_int_equal(counters__get(&fixture->counters, COUNTER_streams_deselected), 1);
	assert_int_equal(counters__get(&fixture->counters, COUNTER_bytes_discarded), 400 * 999);
	no_more(fixture);
	publish("shop");
	assert_true(pods__labels_version(pods) > version);
}

/* Or a loss must be told in its place, or there is no next agent. */
static void what_is_told_early_unknown_is_as_configured(void **state)
{
	struct fixture *fixture = *state;

	fixture->config.selection.unknown = UNKNOWN_EXCLUDE;
	data(fixture, "one\n", 0, 0);
	fixture->slot->lost_bytes_by[LOSS_RING_FULL] = 5;
	fixture->slot->lost_writes_by[LOSS_RING_FULL] = 1;
	data(fixture, "two\n", 5, 1);
	assert_false(stream__wanted(fixture->stream));
	no_more(fixture);
	memset(fixture->slot->lost_bytes_by, 0, sizeof(fixture->slot->lost_bytes_by));
	memset(fixture->slot->lost_writes_by, 0, sizeof(fixture->slot->lost_writes_by));
	open_stream(fixture);
	data(fixture, "three\nfour", 0, 0);
	stream__end_wait(fixture->stream);
	stream__finish(fixture->stream, PARTIAL_TIMEOUT, fixture->time);
	assert_int_equal(fixture->context.waits, 0);
	no_more(fixture);
}

/* Streams that are left out are looked for again when the labels' version rises. */
static void what_was_left_out_unknown_is_looked_for_when_a_pod_comes(void **state)
{
	struct fixture *fixture = *state;
	uint64_t version;

	fixture->config.selection.unknown = UNKNOWN_EXCLUDE;
	data(fixture, "one\n", 0, 0);
	stream__follow_pod(fixture->stream, clock__ns(CLOCK_BOOTTIME) + WAIT);
	assert_false(stream__wanted(fixture->stream));
	version = pods__labels_version(pods);
	publish("shop");
	assert_true(pods__labels_version(pods) > version);
	/* Where none waits at all, too. */
	pods__free(pods);
	assert_int_equal(pods__new(&pods), 0);
	ask_for_pods(fixture);
	fixture->context.wait = 0;
	open_stream(fixture);
	assert_false(stream__wanted(fixture->stream));
	version = pods__labels_version(pods);
	publish("shop");
	assert_true(pods__labels_version(pods) > version);
}

static void a_pod_that_changes_its_mind_is_heard(void **state)
{
	struct fixture *fixture = *state;

	publish("shop");
	data(fixture, "one\n", 0, 0);
	follow(fixture);
	publish_with("shop", "fluentbit.io/exclude");
	follow(fixture);
	assert_true(stream__unwanted_now(fixture->stream));
	/* What was on its way comes out. */
	data(fixture, "two\n", 0, 0);
	next_of_app(fixture, "one", "shop");
	next_of_app(fixture, "two", "shop");
	no_more(fixture);
}

static void an_undecided_stream_stays_undecided_after_a_kill(void **state)
{
	struct fixture *fixture = *state;

	data(fixture, "one\n", 0, 0);
	commit(fixture);
	restart_with_pods(fixture);
	publish_with("shop", "logtap.io/exclude");
	follow(fixture);
	assert_false(stream__wanted(fixture->stream));
	no_more(fixture);
}

/* Then its slot can be given back. */
static void what_came_out_and_was_dropped_before_it_was_decided_is_told(void **state)
{
	struct fixture *fixture = *state;
	char text[3000];

	fixture->drop_newest = true;
	fixture->journal_options.max_size = 2 * SEGMENT;
	crash(fixture);
	ask_for_pods(fixture);
	open_stream(fixture);
	memset(text, 'x', sizeof(text));
	strcpy(text + 2900, "\n");
	for (int i = 0; i < 1000; i++) {
		data(fixture, text, 0, 0);
		commit(fixture);
	}
	assert_true(stream__untold(fixture->stream)->bytes);
	publish_with("shop", "logtap.io/exclude");
	follow(fixture);
	assert_true(stream__unwanted_now(fixture->stream));
	read_journal(fixture);
	stream__finish(fixture->stream, PARTIAL_EOF, fixture->time);
	assert_int_equal(stream__untold(fixture->stream)->bytes, 0);
}

/* CRI-O was told that the pod excludes itself. */
static void name_crios(const struct fixture *fixture)
{
	static const char write[] =
		"cd %s && mkdir -p run/containers/storage/overlay-containers/" ID "/userdata "
		"run/containers/storage/overlay-containers/sandbox/userdata && cd run/containers/storage/overlay-containers && "
		"echo '{\"annotations\":{\"io.kubernetes.cri-o.ContainerID\":\"" ID "\",\"io.kubernetes.cri-o.SandboxID\":\"sandbox\","
		"\"io.kubernetes.pod.name\":\"web-1\",\"io.kubernetes.pod.namespace\":\"shop\"}}' >" ID "/userdata/config.json && "
		"echo '{\"annotations\":{\"io.kubernetes.cri-o.Labels\":\"{}\",\"io.kubernetes.cri-o.Annotations\":"
		"\"{\\\"logtap.io/exclude\\\":\\\"true\\\"}\"}}' >sandbox/userdata/config.json";
	char command[2048];

	snprintf(command, sizeof(command), write, fixture->directory);
	assert_int_equal(system(command), 0);
}

static void what_the_runtime_was_told_counts_until_the_pod_comes(void **state)
{
	struct fixture *fixture = *state;
	uint64_t version;

	name_crios(fixture);
	crash(fixture);
	ask_for_pods(fixture);
	open_stream(fixture);
	assert_false(stream__wanted(fixture->stream));
	/* It has changed its mind since: streams are looked for again, and this one is wanted. */
	version = pods__labels_version(pods);
	publish("shop");
	assert_true(pods__labels_version(pods) > version);
	open_stream(fixture);
	assert_true(stream__wanted(fixture->stream));
	forget_name(fixture);
}

/* Nor does it count again: what the agent before had heard since is later. */
static void what_the_runtime_was_told_ends_no_stream_of_before(void **state)
{
	struct fixture *fixture = *state;

	name_crios(fixture);
	crash(fixture);
	ask_for_pods(fixture);
	publish("shop");
	open_stream(fixture);
	data(fixture, "one\n", 0, 0);
	next_of_app(fixture, "one", "shop");
	/* The next agent has not heard of the pod yet. */
	pods__free(pods);
	assert_int_equal(pods__new(&pods), 0);
	restart_with_pods(fixture);
	assert_false(stream__unwanted_now(fixture->stream));
	data(fixture, "two\n", 0, 0);
	next_of_app(fixture, "two", "shop");
	publish_with("shop", "logtap.io/exclude");
	follow(fixture);
	assert_true(stream__unwanted_now(fixture->stream));
	forget_name(fixture);
}

/* What containerd says of the container: it is web-1 in the namespace shop. */
static void write_bundle(const struct fixture *fixture)
{
	static const char *const below[] = { "/run", "/containerd", "/io.containerd.runtime.v2.task", "/k8s.io", "/" ID };
	char path[512];
	FILE *file;

	strcpy(path, fixture->directory);
	for (unsigned int i = 0; i < sizeof(below) / sizeof(below[0]); i++)
		assert_int_equal(mkdir(strcat(path, below[i]), 0700), 0);
	file = fopen(strcat(path, "/config.json"), "w");
	assert_non_null(file);
	fputs("{\"annotations\":{\"io.kubernetes.cri.container-type\":\"container\","
	      "\"io.kubernetes.cri.container-name\":\"main\",\"io.kubernetes.cri.sandbox-name\":\"web-1\","
	      "\"io.kubernetes.cri.sandbox-namespace\":\"shop\",\"io.kubernetes.cri.sandbox-uid\":\"" UID "\"}}",
	      file);
	assert_int_equal(fclose(file), 0);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int setup_bundle(void **state)
{
	struct fixture *fixture;

	if (setup_pod(state))
		return -1;
	fixture = *state;
	write_bundle(fixture);
	/* What was known without it is forgotten. */
	crash(fixture);
	ask_for_pods(fixture);
	open_stream(fixture);
	return 0;
}

static int teardown_bundle(void **state)
{
	struct fixture *fixture = *state;
	char path[128];

	snprintf(path, sizeof(path), "%s/run", fixture->directory);
	assert_int_equal(nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
	return teardown_pod(state);
}

static void a_pod_of_another_name_is_not_taken(void **state)
{
	struct fixture *fixture = *state;

	publish_named("shop", "forged", "forged", NULL);
	data(fixture, "one\n", 0, 0);
	follow(fixture);
	no_more(fixture);
	assert_int_equal(fixture->context.waits, 1);
	publish_named("other", "web-1", "forged", NULL);
	follow(fixture);
	no_more(fixture);
	publish("shop");
	follow(fixture);
	next_of_app(fixture, "one", "shop");
	/* Nor in the place of the one that is known. */
	publish_named("shop", "forged", "forged", "logtap.io/exclude");
	follow(fixture);
	data(fixture, "two\n", 0, 0);
	next_of_app(fixture, "two", "shop");
	no_more(fixture);
}

static uint32_t pick(uint32_t *random, uint32_t n)
{
	*random = *random * 1664525 + 1013904223;
	return (*random >> 8) % n;
}

#define LINES 300

/* The pod comes, changes and is forgotten, agents are killed: each line comes once, in its place. */
static void whatever_happens_each_line_comes_once(void **state)
{
	struct fixture *fixture = *state;
	char text[3000];

	for (uint32_t seed = 1; seed <= 20; seed++) {
		uint32_t random = seed;
		int checked = 0;

		for (int i = 0; i < LINES; i++) {
			struct checkpoint_position position = { 0 };

			fixture->position = 4096 * i;
			memset(text, 'x', sizeof(text));
			snprintf(text + pick(&random, 2900), 16, "-%d\n", i);
			data(fixture, text, 0, 0);
			if (!pick(&random, 40))
				publish(pick(&random, 2) ? "shop" : "cart");
			if (!pick(&random, 10))
				commit(fixture);
			if (!pick(&random, 12))
				stream__follow_pod(fixture->stream, clock__ns(CLOCK_BOOTTIME) + pick(&random, 2) * WAIT);
			if (pick(&random, 15))
				continue;
			if (!pick(&random, 3)) {
				forget_pod();
				pods__expire(pods, UINT64_MAX);
			}
			if (!checkpoint__position(fixture->checkpoint, &position))
				continue;
			restart_with_pods(fixture);
			i = (int)(position.ring / 4096) - 1;
		}
		stream__end_wait(fixture->stream);
		commit(fixture);
		read_journal(fixture);
		for (; fixture->checked < fixture->count; fixture->checked++) {
			const char *message = json_string_value(json_object_get(fixture->seen[fixture->checked], "message"));

			assert_int_equal(atoi(strrchr(message, '-') + 1), checked++);
		}
		assert_int_equal(checked, LINES);
		teardown_pod(state);
		setup_pod(state);
		fixture = *state;
	}
}

#define POD_TEST(name) cmocka_unit_test_setup_teardown(name, setup_pod, teardown_pod)
#define BUNDLE_TEST(name) cmocka_unit_test_setup_teardown(name, setup_bundle, teardown_bundle)
/* Of both of a container's kinds of streams. */
#define ANNOTATED_TESTS(name) \
	cmocka_unit_test_setup_teardown(name, setup_stdout, teardown_pod), \
		{ #name "_also_of_a_file", name, setup_annotated, teardown_pod, NULL }

int main(void)
{
	const struct CMUnitTest tests[] = {
		POD_TEST(a_known_pod_is_waited_for_by_nobody),
		POD_TEST(a_pod_that_claims_its_uid_is_not_its),
		POD_TEST(a_pod_is_found_beside_one_that_claims_its_uid),
		POD_TEST(a_pod_that_was_taken_by_its_uid_gives_way_to_the_runtimes),
		POD_TEST(a_pod_of_the_runtimes_name_is_its),
		POD_TEST(lines_wait_for_the_pod_and_keep_their_order),
		POD_TEST(at_the_end_of_their_time_they_come_without),
		POD_TEST(a_change_holds_from_then_on),
		POD_TEST(a_pod_that_is_deleted_is_known_to_the_last_line),
		POD_TEST(lines_that_wait_outlive_a_kill),
		POD_TEST(lines_that_waited_have_what_came_meanwhile),
		POD_TEST(after_a_kill_nothing_is_said_that_is_known_less),
		POD_TEST(of_a_pod_that_stays_unknown_the_configuration_holds_all_the_same),
		POD_TEST(more_than_there_is_room_for_ends_the_wait),
		POD_TEST(a_gap_keeps_its_place),
		POD_TEST(the_stream_is_not_over_while_its_lines_wait),
		POD_TEST(without_its_slot_what_waits_comes_out),
		POD_TEST(where_nobody_asks_any_more_the_wait_ends),
		POD_TEST(a_full_journal_makes_no_copies_of_what_waited),
		POD_TEST(whatever_happens_each_line_comes_once),
		BUNDLE_TEST(a_pod_of_another_name_is_not_taken),
		ANNOTATED_TESTS(of_a_pod_that_excludes_itself_nothing_comes_out),
		ANNOTATED_TESTS(of_a_pod_that_excludes_itself_no_half_line_comes_out),
		ANNOTATED_TESTS(of_a_pod_that_excludes_itself_nothing_comes_out_after_a_restart),
		ANNOTATED_TESTS(a_pod_known_before_the_first_line_decides_too),
		ANNOTATED_TESTS(what_stays_unknown_is_as_configured),
		ANNOTATED_TESTS(what_finds_no_room_unknown_is_as_configured),
		ANNOTATED_TESTS(what_is_told_early_unknown_is_as_configured),
		ANNOTATED_TESTS(what_was_left_out_unknown_is_looked_for_when_a_pod_comes),
		ANNOTATED_TESTS(a_pod_that_changes_its_mind_is_heard),
		ANNOTATED_TESTS(what_the_runtime_was_told_counts_until_the_pod_comes),
		ANNOTATED_TESTS(what_the_runtime_was_told_ends_no_stream_of_before),
		ANNOTATED_TESTS(an_undecided_stream_stays_undecided_after_a_kill),
		ANNOTATED_TESTS(what_came_out_and_was_dropped_before_it_was_decided_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
