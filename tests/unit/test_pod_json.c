#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "../../user/kubernetes/json_prune.h"
#include "../../user/kubernetes/pod.h"
#include "../../user/kubernetes/pod_json.h"

#define PODS "tests/kubernetes/pods/"
#define C1 "1111111111111111111111111111111111111111111111111111111111111111"
#define C2 "2222222222222222222222222222222222222222222222222222222222222222"
#define C3 "3333333333333333333333333333333333333333333333333333333333333333"

/* What is kept of a pod, in a pod of its own: nothing that counts may have been left out. */
static int take(void *owner, const char *text, size_t len)
{
	json_t **out = owner;

	*out = text ? json_loadb(text, len, JSON_ALLOW_NUL, NULL) : NULL;
	return *out ? 0 : -EBADMSG;
}

static json_t *prune(const char *text, size_t len)
{
	json_t *kept = NULL;
	struct json_prune_options options = { pod_json_object, 1 << 20, 1 << 14, take, &kept, 0, 0 };
	struct json_prune *prune;

	assert_int_equal(json_prune__new(&options, &prune), 0);
	assert_int_equal(json_prune__feed(prune, text, len), 0);
	json_prune__free(prune);
	return kept;
}

static struct pod *pod_of(json_t *object)
{
	struct pod *pod = NULL;

	assert_non_null(object);
	assert_int_equal(pod_json__parse(object, &pod), 0);
	json_decref(object);
	return pod;
}

static struct pod *pod_of_text(const char *text)
{
	return pod_of(json_loads(text, JSON_ALLOW_NUL, NULL));
}

/* Parsed as it is, and after what is not wanted was left out: the same. */
static struct pod *pod_of_file(const char *path)
{
	char text[65536];
	FILE *file = fopen(path, "r");
	struct pod *whole, *kept;
	size_t len;

	assert_non_null(file);
	len = fread(text, 1, sizeof(text), file);
	fclose(file);
	whole = pod_of(json_loadb(text, len, 0, NULL));
	kept = pod_of(prune(text, len));
	assert_true(pod__equal(whole, kept));
	pod__put(whole);
	return kept;
}

static void assert_container(const struct pod *pod, const char *name, const char *id, const char *image, unsigned int restarts)
{
	const struct pod_container *container = pod__container(pod, name);

	assert_non_null(container);
	if (id)
		assert_string_equal(container->id, id);
	else
		assert_null(container->id);
	if (image)
		assert_string_equal(container->image_id, image);
	else
		assert_null(container->image_id);
	assert_int_equal(container->restart_count, restarts);
}

static void whole_pod_is_read(void **state)
{
	struct pod *pod = pod_of_file(PODS "deployment.json");

	(void)state;
	assert_string_equal(pod->uid, "7c9e6679-7425-40de-944b-e07fc1f90ae7");
	assert_string_equal(pod->name, "web-7d4b9c6f5-x2x9p");
	assert_string_equal(pod->namespace, "shop");
	assert_string_equal(pod->ip, "10.244.1.17");
	assert_string_equal(pod->ips[0], "10.244.1.17");
	assert_string_equal(pod->ips[1], "fd00:10:244:1::11");
	assert_null(pod->ips[2]);
	assert_string_equal(pod->qos_class, "Burstable");
	assert_string_equal(pod->service_account, "web");
	assert_string_equal(pod->first_owner, "Watcher/w");
	assert_string_equal(pod->owner_kind, "ReplicaSet");
	assert_string_equal(pod->owner_name, "web-7d4b9c6f5");
	assert_string_equal(pod->owner_uid, "0f7b6a5e-6d1c-4f0b-9a3e-2c5d8e7f1a2b");
	assert_string_equal(pod->workload_kind, "Deployment");
	assert_string_equal(pod->workload_name, "web");
	assert_null(pod->workload_uid);
	assert_string_equal(pod->created, "2026-11-20T09:12:44Z");
	assert_null(pod->hostname);
	assert_int_equal(pod->labels.count, 5);
	assert_string_equal(labels__get(&pod->labels, "app.kubernetes.io/version"), "1.4.2");
	assert_string_equal(labels__get(&pod->labels, "tier"), "");
	assert_int_equal(pod->annotations.count, 5);
	assert_string_equal(labels__get(&pod->annotations, "note"), "two\nlines, a \"quote\" and \xc3\xbcml\xc3\xa4ut \xf0\x9f\x9a\x80");
	assert_int_equal(pod->containers_count, 3);
	assert_container(pod, "migrate", C1, "registry.example.org/shop/migrate@sha256:aaaa", 0);
	assert_container(pod, "nginx", C2, "docker.io/library/nginx@sha256:bbbb", 3);
	assert_container(pod, "debugger-4kz7q", NULL, NULL, 0);
	assert_string_equal(pod__container(pod, "migrate")->asked_image, "registry.example.org/shop/migrate:1.4.2");
	assert_string_equal(pod__container(pod, "nginx")->asked_image, "nginx:1.27");
	assert_string_equal(pod__container(pod, "nginx")->image, "docker.io/library/nginx:1.27");
	assert_string_equal(pod__container(pod, "debugger-4kz7q")->asked_image, "busybox");
	pod__put(pod);
}

static void mirror_has_the_uid_that_the_node_uses(void **state)
{
	struct pod *pod = pod_of_file(PODS "mirror.json");

	(void)state;
	assert_string_equal(pod->uid, "6a1d0b8b7f4e4b0fa9e5e4ad5e8d9c11");
	assert_string_equal(pod->api_uid, "f1b0b1d2-53c4-4d1f-8f9d-3f2e4b5a6c7d");
	assert_string_equal(pod->workload_kind, "Node");
	assert_string_equal(pod->workload_name, "node-1");
	assert_container(pod, "etcd", C3, "registry.k8s.io/etcd@sha256:cccc", 1);
	pod__put(pod);
}

static void copy_says_the_same(void **state)
{
	struct pod *pod = pod_of_file(PODS "deployment.json");
	struct pod *copy = pod__copy(pod);

	(void)state;
	assert_true(pod__equal(pod, copy));
	assert_int_equal(labels__set(&copy->labels, "app", "other"), 0);
	assert_false(pod__equal(pod, copy));
	pod__put(copy);
	copy = pod__copy(pod);
	strcpy(copy->ips[1], "fd00::1");
	assert_false(pod__equal(pod, copy));
	pod__put(copy);
	copy = pod__copy(pod);
	strcpy(copy->containers[1].asked_image, "nginx:2");
	assert_false(pod__equal(pod, copy));
	pod__put(copy);
	copy = pod__copy(pod);
	strcpy(copy->first_owner, "Watcher");
	assert_false(pod__equal(pod, copy));
	pod__put(pod);
	pod__put(copy);
}

#define META "\"uid\":\"u\",\"name\":\"p\",\"namespace\":\"n\""
#define OWNED(kind, name, labels)                                                                  \
	"{\"metadata\":{" META ",\"labels\":{" labels "},\"ownerReferences\":[{\"kind\":\"" kind   \
	"\",\"name\":\"" name "\",\"controller\":true}]}}"

static void assert_workload(const char *text, const char *kind, const char *name)
{
	struct pod *pod = pod_of_text(text);

	assert_string_equal(pod->workload_kind, kind);
	assert_string_equal(pod->workload_name, name);
	pod__put(pod);
}

static void workload_of_a_replica_set_is_its_deployment(void **state)
{
	(void)state;
	assert_workload(OWNED("ReplicaSet", "a-b-5d9", "\"pod-template-hash\":\"5d9\""), "Deployment", "a-b");
	assert_workload(OWNED("ReplicaSet", "a-b-5d9", ""), "ReplicaSet", "a-b-5d9");
	assert_workload(OWNED("ReplicaSet", "a-b-5d9", "\"pod-template-hash\":\"5d8\""), "ReplicaSet", "a-b-5d9");
	assert_workload(OWNED("ReplicaSet", "-5d9", "\"pod-template-hash\":\"5d9\""), "ReplicaSet", "-5d9");
	assert_workload(OWNED("ReplicaSet", "5d9", "\"pod-template-hash\":\"5d9\""), "ReplicaSet", "5d9");
	assert_workload(OWNED("ReplicaSet", "a5d9", "\"pod-template-hash\":\"\""), "ReplicaSet", "a5d9");
	assert_workload(OWNED("StatefulSet", "db", "\"pod-template-hash\":\"b\""), "StatefulSet", "db");
	assert_workload(OWNED("Job", "j", ""), "Job", "j");
}

static void pod_of_its_own_has_no_workload(void **state)
{
	struct pod *pod = pod_of_text("{\"metadata\":{" META ",\"ownerReferences\":[{\"kind\":\"A\",\"name\":\"b\"}]}}");

	(void)state;
	assert_null(pod->owner_kind);
	assert_null(pod->workload_kind);
	pod__put(pod);
}

static void container_without_a_status_is_known(void **state)
{
	struct pod *pod = pod_of_text("{\"metadata\":{" META "},\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]}}");

	(void)state;
	assert_int_equal(pod->containers_count, 1);
	assert_container(pod, "c", NULL, NULL, 0);
	assert_string_equal(pod->containers[0].asked_image, "i");
	assert_null(pod->containers[0].image);
	pod__put(pod);
}

static void only_as_many_addresses_are_kept_as_there_is_room_for(void **state)
{
	struct pod *pod = pod_of_text("{\"metadata\":{" META "},\"status\":{\"podIPs\":[{\"ip\":\"1\"},{\"ip\":\"2\"},{\"ip\":\"3\"},"
				      "{\"ip\":\"4\"},{\"ip\":\"5\"}]}}");

	(void)state;
	assert_string_equal(pod->ips[POD_IPS_MAX - 1], "4");
	pod__put(pod);
}

static void assert_refused(const char *text, int err)
{
	struct pod *untouched = (struct pod *)text, *pod = untouched;
	json_t *object = json_loads(text, JSON_ALLOW_NUL | JSON_DECODE_ANY, NULL);

	assert_non_null(object);
	assert_int_equal(pod_json__parse(object, &pod), err);
	assert_ptr_equal(pod, untouched);
	json_decref(object);
}

static void what_is_no_pod_is_refused(void **state)
{
	(void)state;
	assert_refused("{}", -EINVAL);
	assert_refused("[]", -EINVAL);
	assert_refused("7", -EINVAL);
	assert_refused("{\"metadata\":[]}", -EINVAL);
	assert_refused("{\"metadata\":{\"uid\":7,\"name\":\"p\",\"namespace\":\"n\"}}", -EINVAL);
	assert_refused("{\"metadata\":{\"uid\":\"u\",\"name\":\"\",\"namespace\":\"n\"}}", -EINVAL);
	assert_refused("{\"metadata\":{\"uid\":\"u\\u0000v\",\"name\":\"p\",\"namespace\":\"n\"}}", -EINVAL);
	assert_refused("{\"metadata\":{\"uid\":\"u\",\"name\":\"p\"}}", -EINVAL);
}

static void wrong_types_are_left_out(void **state)
{
	struct pod *pod = pod_of_text(
		"{\"metadata\":{" META ",\"labels\":{\"a\":1,\"b\":\"x\",\"c\":\"n\\u0000l\",\"d\":{}},\"annotations\":[1],"
		"\"ownerReferences\":{\"kind\":\"x\"}},\"spec\":{\"containers\":[{\"image\":\"x\"},{\"name\":\"d\",\"image\":[]}]},"
		"\"status\":{\"podIP\":7,\"podIPs\":[7,{},{\"ip\":8},{\"ip\":\"::1\"}],\"qosClass\":{},"
		"\"containerStatuses\":[7,{\"name\":7},{\"name\":\"c\",\"restartCount\":-3,\"containerID\":8},"
		"{\"name\":\"d\",\"restartCount\":99999999999}],\"initContainerStatuses\":{}}}");

	(void)state;
	assert_int_equal(pod->labels.count, 1);
	assert_int_equal(pod->annotations.count, 0);
	assert_null(pod->owner_kind);
	assert_null(pod->ip);
	assert_string_equal(pod->ips[0], "::1");
	assert_null(pod->ips[1]);
	assert_int_equal(pod->containers_count, 2);
	assert_container(pod, "c", NULL, NULL, 0);
	assert_container(pod, "d", NULL, NULL, 0);
	pod__put(pod);
}

/* 5 MiB of managedFields, as empty objects: as a tree they would be 200 MiB. */
static void large_pod_takes_little_memory(void **state)
{
	size_t size = 5 << 20, len;
	char *text = malloc(size + 1024);
	struct rusage before, after;
	struct pod *pod;

	(void)state;
	strcpy(text, "{\"metadata\":{" META ",\"managedFields\":[{\"fieldsV1\":{\"f\":{}");
	for (len = strlen(text); len < size; len += 7)
		memcpy(text + len, ",\"f\":{}", 7);
	strcpy(text + len, "}}],\"labels\":{\"app\":\"web\"}}}");
	getrusage(RUSAGE_SELF, &before);
	pod = pod_of(prune(text, strlen(text)));
	getrusage(RUSAGE_SELF, &after);
	assert_string_equal(labels__get(&pod->labels, "app"), "web");
	print_message("%ld KiB more\n", after.ru_maxrss - before.ru_maxrss);
	assert_true(after.ru_maxrss - before.ru_maxrss < 20 << 10);
	pod__put(pod);
	free(text);
}

static void labels_beyond_all_bounds_are_refused(void **state)
{
	json_t *labels = json_object();
	json_t *object = json_pack("{s:{s:s,s:s,s:s,s:o}}", "metadata", "uid", "u", "name", "p", "namespace", "n", "labels", labels);
	char *value = calloc(1, LABELS_BYTES_MAX + 1);
	struct pod *pod;

	(void)state;
	memset(value, 'x', LABELS_BYTES_MAX);
	json_object_set_new(labels, "a", json_string(value));
	assert_int_equal(pod_json__parse(object, &pod), -E2BIG);
	json_decref(object);
	free(value);
}

static void very_many_containers_are_refused(void **state)
{
	json_t *statuses = json_array();
	json_t *object = json_pack("{s:{s:s,s:s,s:s},s:{s:o}}", "metadata", "uid", "u", "name", "p", "namespace", "n", "status",
				   "containerStatuses", statuses);
	struct pod *pod;

	(void)state;
	for (int i = 0; i <= POD_JSON_CONTAINERS_MAX; i++)
		json_array_append_new(statuses, json_pack("{s:s}", "name", "c"));
	assert_int_equal(pod_json__parse(object, &pod), -EINVAL);
	json_decref(object);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole_pod_is_read),
		cmocka_unit_test(mirror_has_the_uid_that_the_node_uses),
		cmocka_unit_test(copy_says_the_same),
		cmocka_unit_test(workload_of_a_replica_set_is_its_deployment),
		cmocka_unit_test(pod_of_its_own_has_no_workload),
		cmocka_unit_test(container_without_a_status_is_known),
		cmocka_unit_test(only_as_many_addresses_are_kept_as_there_is_room_for),
		cmocka_unit_test(what_is_no_pod_is_refused),
		cmocka_unit_test(wrong_types_are_left_out),
		cmocka_unit_test(large_pod_takes_little_memory),
		cmocka_unit_test(labels_beyond_all_bounds_are_refused),
		cmocka_unit_test(very_many_containers_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
