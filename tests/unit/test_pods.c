#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../user/kubernetes/pod.h"
#include "../../user/kubernetes/pods.h"

#define LATER (PODS_DELETED_MS + 1)

static int setup(void **state)
{
	return pods__new((struct pods **)state);
}

static int teardown(void **state)
{
	pods__free(*state);
	return 0;
}

static struct pod *make(const char *uid, const char *app)
{
	struct pod *pod = pod__new();

	assert_non_null(pod);
	pod->uid = strdup(uid);
	pod->name = strdup("web");
	assert_int_equal(labels__set(&pod->labels, "app", app), 0);
	return pod;
}

static void publish(struct pods *pods, const char *uid, const char *app)
{
	assert_int_equal(pods__publish(pods, make(uid, app)), 0);
}

static void remove_named(struct pods *pods, const char *uid, const char *name)
{
	const struct pod pod = { .uid = (char *)uid, .name = (char *)name };

	pods__remove(pods, &pod);
}

static void publish_number(struct pods *pods, unsigned int number)
{
	char uid[16];

	snprintf(uid, sizeof(uid), "uid-%u", number);
	publish(pods, uid, "web");
}

static void assert_app(struct pods *pods, const char *uid, const char *app)
{
	const struct pod *pod = pods__get(pods, uid, "", "");

	assert_non_null(pod);
	assert_string_equal(pod->uid, uid);
	assert_string_equal(labels__get(&pod->labels, "app"), app);
	pod__put(pod);
}

static void assert_unknown(struct pods *pods, const char *uid)
{
	assert_null(pods__get(pods, uid, "", ""));
}

static void pods_are_found_by_their_uid(void **state)
{
	assert_unknown(*state, "b");
	publish(*state, "b", "two");
	publish(*state, "a", "one");
	publish(*state, "c", "three");
	assert_app(*state, "a", "one");
	assert_app(*state, "b", "two");
	assert_app(*state, "c", "three");
	assert_unknown(*state, "");
	assert_unknown(*state, "bb");
}

static struct pod *make_large(unsigned int number)
{
	static char value[256 << 10];
	struct pod *pod;
	char uid[16];

	memset(value, 'x', sizeof(value) - 1);
	snprintf(uid, sizeof(uid), "large-%04u", number);
	pod = make(uid, "large");
	assert_int_equal(labels__set(&pod->annotations, "a", value), 0);
	return pod;
}

static void what_all_say_is_bounded(void **state)
{
	unsigned int count = 0;
	struct pod *small;

	while (count < PODS_MAX && !pods__publish(*state, make_large(count)))
		count++;
	assert_in_range(count, 400, 512);
	assert_unknown(*state, "large-0512");
	small = make("large-0000", "small");
	assert_int_equal(pods__publish(*state, small), 0);
	assert_app(*state, "large-0000", "small");
	assert_int_equal(pods__publish(*state, make_large(count)), 0);
	assert_int_equal(pods__publish(*state, make_large(0)), -ENOSPC);
	assert_app(*state, "large-0000", "small");
	remove_named(*state, "large-0001", "web");
	pods__expire(*state, 1);
	pods__expire(*state, LATER + 1);
	assert_int_equal(pods__publish(*state, make_large(0)), 0);
}

/* Whoever makes large pods and deletes them at once leaves no new one without its labels. */
static void deleted_pods_make_room_for_new_ones(void **state)
{
	unsigned int count = 0;
	char uid[32];

	while (!pods__publish(*state, make_large(count)))
		count++;
	for (unsigned int i = 0; i < count; i++) {
		snprintf(uid, sizeof(uid), "large-%04u", i);
		remove_named(*state, uid, "web");
	}
	publish(*state, "new", "one");
	assert_app(*state, "new", "one");
	assert_int_equal(pods__publish(*state, make_large(count)), 0);
	assert_unknown(*state, "large-0000");
	snprintf(uid, sizeof(uid), "large-%04u", count - 1);
	assert_app(*state, uid, "large");
}

static void publish_mirror(struct pods *pods, const char *uid, const char *name, const char *app)
{
	struct pod *pod = make(uid, app);

	pod->mirror = true;
	free(pod->name);
	pod->name = strdup(name);
	pod->namespace = strdup("kube-system");
	assert_int_equal(pods__publish(pods, pod), 0);
}

static void remove_mirror(struct pods *pods, const char *uid, const char *name)
{
	const struct pod pod = { .uid = (char *)uid, .name = (char *)name, .namespace = (char *)"kube-system" };

	pods__remove(pods, &pod);
}

static void assert_named(struct pods *pods, const char *uid, const char *name, const char *app)
{
	const struct pod *pod = pods__get(pods, uid, "kube-system", name);

	assert_non_null(pod);
	assert_string_equal(labels__get(&pod->labels, "app"), app);
	pod__put(pod);
}

static void mirror_takes_no_other_pods_place(void **state)
{
	publish_mirror(*state, "a", "forged", "foreign");
	publish(*state, "a", "own");
	assert_app(*state, "a", "own");
	publish_mirror(*state, "a", "forged", "again");
	assert_app(*state, "a", "own");
	remove_mirror(*state, "a", "forged");
	assert_app(*state, "a", "own");
	publish_mirror(*state, "a", "forged", "again");
	remove_named(*state, "a", "web");
	assert_app(*state, "a", "own");
}

/* Whoever came first: the name tells whose it is, and without one nobody does. */
static void mirrors_of_one_uid_are_told_apart_by_their_names(void **state)
{
	publish_mirror(*state, "a", "before", "foreign");
	publish_mirror(*state, "a", "etcd", "one");
	publish_mirror(*state, "a", "zebra", "foreign");
	assert_named(*state, "a", "etcd", "one");
	publish_mirror(*state, "a", "etcd", "two");
	assert_named(*state, "a", "etcd", "two");
	assert_unknown(*state, "a");
	assert_true(pods__has(*state, "a"));
	remove_mirror(*state, "a", "before");
	assert_named(*state, "a", "etcd", "two");
	remove_mirror(*state, "a", "zebra");
	assert_app(*state, "a", "two");
	/* Of those that were, the latest. */
	remove_mirror(*state, "a", "etcd");
	assert_app(*state, "a", "two");
	/* The only one of another name: who asks compares it. */
	publish_mirror(*state, "b", "forged", "foreign");
	assert_named(*state, "b", "etcd", "foreign");
	assert_false(pods__has(*state, "c"));
	assert_false(pods__has(*state, "A"));
}

static void reference_keeps_what_was_known(void **state)
{
	const struct pod *before;

	publish(*state, "a", "one");
	before = pods__get(*state, "a", "", "");
	publish(*state, "a", "two");
	assert_string_equal(labels__get(&before->labels, "app"), "one");
	assert_app(*state, "a", "two");
	pod__put(before);
}

static void version_rises_when_a_pod_changes_and_only_then(void **state)
{
	uint64_t version = pods__version(*state);

	publish(*state, "a", "one");
	assert_true(pods__version(*state) > version);
	version = pods__version(*state);
	publish(*state, "a", "one");
	assert_true(pods__version(*state) == version);
	publish(*state, "a", "two");
	assert_true(pods__version(*state) > version);
}

/* Who was told that nobody knows which asks again. */
static void version_rises_when_one_of_two_mirrors_goes_or_comes_back(void **state)
{
	uint64_t version;

	publish_mirror(*state, "a", "etcd", "one");
	publish_mirror(*state, "a", "forged", "foreign");
	assert_unknown(*state, "a");
	version = pods__version(*state);
	remove_mirror(*state, "a", "forged");
	assert_app(*state, "a", "one");
	assert_true(pods__version(*state) > version);
	version = pods__version(*state);
	publish_mirror(*state, "a", "forged", "foreign");
	assert_unknown(*state, "a");
	assert_true(pods__version(*state) > version);
	pods__list_begin(*state);
	publish_mirror(*state, "a", "etcd", "one");
	version = pods__version(*state);
	pods__list_end(*state);
	assert_app(*state, "a", "one");
	assert_true(pods__version(*state) > version);
}

static void assert_labels_rise(struct pods *pods, struct pod *pod, bool rises)
{
	uint64_t version = pods__version(pods), labels_version = pods__labels_version(pods);

	assert_int_equal(pods__publish(pods, pod), 0);
	assert_true(pods__version(pods) > version);
	assert_int_equal(pods__labels_version(pods) > labels_version, rises);
}

static void labels_version_rises_with_what_may_select_a_known_pod(void **state)
{
	uint64_t version = pods__labels_version(*state);
	struct pod *pod;

	assert_labels_rise(*state, make("a", "one"), false);
	publish(*state, "a", "one");
	assert_true(pods__labels_version(*state) == version);
	assert_labels_rise(*state, make("a", "two"), true);
	pod = make("a", "two");
	assert_int_equal(labels__set(&pod->annotations, "logtap.io/exclude", "true"), 0);
	assert_labels_rise(*state, pod, true);
	pod = make("a", "two");
	assert_int_equal(labels__set(&pod->namespace_labels, "team", "cart"), 0);
	assert_labels_rise(*state, pod, true);
	assert_labels_rise(*state, make("a", "two"), true);
	/* Nothing is selected by these. */
	pod = make("a", "two");
	assert_int_equal(labels__set(&pod->node_labels, "zone", "b"), 0);
	pod->ip = strdup("10.0.0.1");
	assert_labels_rise(*state, pod, false);
	version = pods__labels_version(*state);
	remove_named(*state, "a", "web");
	assert_true(pods__labels_version(*state) == version);
	assert_labels_rise(*state, make("a", "three"), true);
}

static void labels_version_rises_with_a_pod_after_one_was_left_out_unknown(void **state)
{
	uint64_t version;

	publish(*state, "a", "one");
	version = pods__labels_version(*state);
	pods__leave_out(*state, pods__version(*state));
	publish(*state, "a", "one");
	assert_true(pods__labels_version(*state) == version);
	assert_labels_rise(*state, make("b", "one"), true);
	assert_labels_rise(*state, make("c", "one"), false);
}

/* Another thread has published it meanwhile. */
static void labels_version_rises_when_one_of_two_mirrors_has_gone(void **state)
{
	uint64_t version;

	publish_mirror(*state, "a", "etcd", "one");
	publish_mirror(*state, "a", "forged", "foreign");
	assert_unknown(*state, "a");
	pods__leave_out(*state, pods__version(*state));
	version = pods__labels_version(*state);
	remove_mirror(*state, "a", "forged");
	assert_app(*state, "a", "one");
	assert_true(pods__labels_version(*state) > version);
	/* Once. */
	version = pods__labels_version(*state);
	publish_mirror(*state, "a", "forged", "foreign");
	assert_true(pods__labels_version(*state) == version);
}

static void labels_version_rises_when_what_was_left_out_has_come(void **state)
{
	uint64_t before = pods__version(*state), version;

	publish(*state, "a", "one");
	version = pods__labels_version(*state);
	pods__leave_out(*state, before);
	assert_true(pods__labels_version(*state) > version);
	version = pods__labels_version(*state);
	pods__leave_out(*state, pods__version(*state));
	assert_true(pods__labels_version(*state) == version);
}

static void change_of_a_container_is_a_change(void **state)
{
	uint64_t version;
	struct pod *pod;

	publish(*state, "a", "one");
	version = pods__version(*state);
	pod = make("a", "one");
	pod->containers = calloc(1, sizeof(*pod->containers));
	pod->containers[0].name = strdup("c");
	pod->containers_count = 1;
	assert_int_equal(pods__publish(*state, pod), 0);
	assert_true(pods__version(*state) > version);
}

static void only_an_unknown_pod_is_wanted(void **state)
{
	uint64_t wanted;

	publish(*state, "a", "one");
	pods__want(*state, "a");
	assert_int_equal(read(pods__wanted_fd(*state), &wanted, sizeof(wanted)), -1);
	pods__want(*state, "b");
	assert_int_equal(read(pods__wanted_fd(*state), &wanted, sizeof(wanted)), sizeof(wanted));
}

static void deleted_pod_stays_for_a_while(void **state)
{
	publish(*state, "a", "one");
	remove_named(*state, "a", "web");
	remove_named(*state, "unknown", "web");
	pods__expire(*state, 1000);
	pods__expire(*state, 1000 + PODS_DELETED_MS - 1);
	assert_app(*state, "a", "one");
	pods__expire(*state, 1000 + PODS_DELETED_MS);
	assert_unknown(*state, "a");
}

static void deleted_pod_stays_while_it_is_referred_to(void **state)
{
	const struct pod *held;

	publish(*state, "a", "one");
	held = pods__get(*state, "a", "", "");
	remove_named(*state, "a", "web");
	pods__expire(*state, 1);
	pods__expire(*state, 1 + 10 * LATER);
	assert_app(*state, "a", "one");
	pod__put(held);
	pods__expire(*state, 1 + 11 * LATER);
	assert_app(*state, "a", "one");
	pods__expire(*state, 1 + 12 * LATER);
	assert_unknown(*state, "a");
}

static void pod_that_comes_back_is_not_let_go(void **state)
{
	publish(*state, "a", "one");
	remove_named(*state, "a", "web");
	pods__expire(*state, 1);
	publish(*state, "a", "one");
	pods__expire(*state, 1 + LATER);
	assert_app(*state, "a", "one");
	remove_named(*state, "a", "web");
	pods__expire(*state, 1 + 2 * LATER);
	assert_app(*state, "a", "one");
}

static void deleted_pods_are_bounded_and_the_oldest_goes(void **state)
{
	char uid[16];

	for (unsigned int i = 0; i <= PODS_DELETED_MAX; i++) {
		publish_number(*state, i);
		snprintf(uid, sizeof(uid), "uid-%u", i);
		remove_named(*state, uid, "web");
	}
	assert_unknown(*state, "uid-0");
	assert_app(*state, "uid-1", "web");
	assert_app(*state, uid, "web");
}

static void pods_are_bounded(void **state)
{
	for (unsigned int i = 0; i < PODS_MAX; i++)
		publish_number(*state, i);
	assert_int_equal(pods__publish(*state, make("more", "web")), -ENOSPC);
	publish(*state, "uid-7", "changed");
	remove_named(*state, "uid-8", "web");
	publish(*state, "more", "web");
	assert_app(*state, "more", "web");
}

static void list_removes_what_it_does_not_have(void **state)
{
	publish(*state, "a", "one");
	publish(*state, "b", "two");
	publish(*state, "c", "three");
	pods__list_begin(*state);
	publish(*state, "b", "two");
	publish(*state, "d", "four");
	assert_app(*state, "a", "one");
	pods__list_end(*state);
	pods__expire(*state, 1);
	assert_app(*state, "a", "one");
	pods__expire(*state, 1 + LATER);
	assert_unknown(*state, "a");
	assert_app(*state, "b", "two");
	assert_unknown(*state, "c");
	assert_app(*state, "d", "four");
}

static void empty_list_of_very_many_stays_within_the_bound(void **state)
{
	unsigned int known = 0;
	char uid[16];

	for (unsigned int i = 0; i < PODS_MAX; i++)
		publish_number(*state, i);
	pods__list_begin(*state);
	pods__list_end(*state);
	for (unsigned int i = 0; i < PODS_MAX; i++) {
		const struct pod *pod;

		snprintf(uid, sizeof(uid), "uid-%u", i);
		pod = pods__get(*state, uid, "", "");
		known += !!pod;
		pod__put(pod);
	}
	assert_int_equal(known, PODS_DELETED_MAX);
}

static void *ask(void *pods)
{
	for (int i = 0; i < 20000; i++) {
		const struct pod *pod = pods__get(pods, i % 2 ? "a" : "b", "", "");

		if (pod && strcmp(pod->name, "web"))
			abort();
		pods__version(pods);
		pod__put(pod);
	}
	return NULL;
}

static void many_threads_ask_while_one_fills(void **state)
{
	pthread_t threads[4];

	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, ask, *state), 0);
	for (int i = 0; i < 5000; i++) {
		publish(*state, "a", i % 2 ? "one" : "two");
		publish(*state, "b", i % 3 ? "one" : "two");
		remove_named(*state, "b", "web");
		pods__expire(*state, 1 + (uint64_t)i * LATER);
	}
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
}

static void freed_cache_leaves_references_valid(void **state)
{
	const struct pod *held;
	struct pods *pods;

	(void)state;
	assert_int_equal(pods__new(&pods), 0);
	publish(pods, "a", "one");
	held = pods__get(pods, "a", "", "");
	pods__free(pods);
	assert_string_equal(held->uid, "a");
	pod__put(held);
	pods__free(NULL);
}

#define fact(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		fact(pods_are_found_by_their_uid),
		fact(what_all_say_is_bounded),
		fact(deleted_pods_make_room_for_new_ones),
		fact(mirror_takes_no_other_pods_place),
		fact(mirrors_of_one_uid_are_told_apart_by_their_names),
		fact(version_rises_when_one_of_two_mirrors_goes_or_comes_back),
		fact(reference_keeps_what_was_known),
		fact(version_rises_when_a_pod_changes_and_only_then),
		fact(labels_version_rises_with_what_may_select_a_known_pod),
		fact(labels_version_rises_with_a_pod_after_one_was_left_out_unknown),
		fact(labels_version_rises_when_one_of_two_mirrors_has_gone),
		fact(labels_version_rises_when_what_was_left_out_has_come),
		fact(change_of_a_container_is_a_change),
		fact(only_an_unknown_pod_is_wanted),
		fact(deleted_pod_stays_for_a_while),
		fact(deleted_pod_stays_while_it_is_referred_to),
		fact(pod_that_comes_back_is_not_let_go),
		fact(deleted_pods_are_bounded_and_the_oldest_goes),
		fact(pods_are_bounded),
		fact(list_removes_what_it_does_not_have),
		fact(empty_list_of_very_many_stays_within_the_bound),
		fact(many_threads_ask_while_one_fills),
		cmocka_unit_test(freed_cache_leaves_references_valid),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
