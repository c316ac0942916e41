#include "bolt_fixture.h"
#include "runtime_fixture.h"
#include "sqlite_fixture.h"

#define C "4e6f1ad8d0c54e6cba27fbd3d9f4e6c5a9a8b7c6d5e4f30112233445566778aa"
#define SANDBOX "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"
#define UID "8a3bf2b1-0c4d-4e5f-9a6b-7c8d9e0f1a2b"
#define POD_SLICE "kubepods-burstable-pod8a3bf2b1_0c4d_4e5f_9a6b_7c8d9e0f1a2b.slice"
#define RUN "/run/containers/storage/overlay-containers/"
#define LIB "/var/lib/containers/storage/overlay-containers/"
#define USERDATA "/userdata/config.json"
#define CRIO "io.kubernetes.cri-o."
#define ANNOTATIONS(text) "{\"ociVersion\":\"1.0.2-dev\",\"annotations\":{" text "},\"linux\":{}}"

/* As CRI-O writes it, shortened. */
#define CRIO_TEXT(id) \
	ANNOTATIONS("\"io.container.manager\":\"cri-o\",\"" CRIO "ContainerType\":\"container\",\"" CRIO \
		    "ContainerID\":\"" id "\",\"" CRIO "SandboxID\":\"" SANDBOX "\",\"" CRIO \
		    "SandboxName\":\"k8s_web-0_shop_" UID "_0\",\"" CRIO "Image\":\"sha256:9c4\",\"" CRIO \
		    "ImageName\":\"docker.io/library/web:1\",\"" CRIO "LogPath\":\"/var/log/pods/shop_web-0_" UID \
		    "/nginx/1.log\",\"" CRIO "TTY\":\"false\",\"" CRIO "Metadata\":" \
		    "\"{\\\"name\\\":\\\"nginx\\\",\\\"attempt\\\":1}\",\"" CRIO "Labels\":\"{}\"," \
		    "\"io.kubernetes.container.name\":\"nginx\",\"io.kubernetes.pod.name\":\"web-0\"," \
		    "\"io.kubernetes.pod.namespace\":\"shop\",\"io.kubernetes.pod.uid\":\"" UID "\"")
#define SANDBOX_TEXT \
	ANNOTATIONS("\"" CRIO "ContainerType\":\"sandbox\",\"" CRIO "ContainerID\":\"" SANDBOX "\",\"" CRIO \
		    "SandboxID\":\"" SANDBOX "\",\"" CRIO "KubeName\":\"web-0\",\"" CRIO "Namespace\":\"shop\",\"" CRIO \
		    "Labels\":\"{\\\"app\\\":\\\"web\\\",\\\"io.kubernetes.pod.name\\\":\\\"web-0\\\"}\",\"" CRIO \
		    "Annotations\":\"{\\\"logtap.io/include\\\":\\\"true\\\"}\"")

static const struct cgroup_names crio_names = {
	{ "crio-" C ".scope", POD_SLICE, "kubepods-burstable.slice", "kubepods.slice" }
};
static const struct cgroup_names podman_names = { { "container", "libpod-" C ".scope", "machine.slice" } };
static const struct cgroup_names users = {
	{ "container", "libpod-" C ".scope", "user.slice", "user@1000.service", "user-1000.slice", "user.slice" }
};

static void crio_has_every_name_and_the_pods_labels(void **state)
{
	const struct identity *identity;
	struct fixture *fixture = *state;

	write_text(fixture, RUN C USERDATA, CRIO_TEXT(C));
	write_text(fixture, RUN SANDBOX USERDATA, SANDBOX_TEXT);
	identity = get(fixture, &crio_names);
	assert_non_null(identity);
	assert_string_equal(identity->container_name, "nginx");
	assert_string_equal(identity->image, "docker.io/library/web:1");
	assert_string_equal(identity->runtime, "cri-o");
	assert_string_equal(identity->pod_name, "web-0");
	assert_string_equal(identity->pod_namespace, "shop");
	assert_string_equal(identity->pod_uid, UID);
	assert_string_equal(identity->sandbox_id, SANDBOX);
	assert_string_equal(identity->restart_count, "1");
	assert_string_equal(identity->log_path, "/var/log/pods/shop_web-0_" UID "/nginx/1.log");
	assert_string_equal(labels__get(&identity->pod_labels, "app"), "web");
	assert_string_equal(labels__get(&identity->pod_annotations, "logtap.io/include"), "true");
	assert_true(identity->tells_pod);
	assert_false(identity->sandbox);
	assert_true(identity->complete);
}

static void crios_sandbox_that_does_not_say_all_tells_no_pod(void **state)
{
	struct fixture *fixture = *state;

	write_text(fixture, RUN C USERDATA, CRIO_TEXT(C));
	write_text(fixture, RUN SANDBOX USERDATA, ANNOTATIONS("\"" CRIO "Labels\":\"{\\\"app\\\":\\\"web\\\"}\""));
	assert_string_equal(labels__get(&get(fixture, &crio_names)->pod_labels, "app"), "web");
	assert_false(get(fixture, &crio_names)->tells_pod);
}

static void crios_pause_is_a_sandbox(void **state)
{
	const struct cgroup_names names = { { "crio-" SANDBOX ".scope", POD_SLICE } };
	struct fixture *fixture = *state;

	write_text(fixture, RUN SANDBOX USERDATA, SANDBOX_TEXT);
	assert_true(get(fixture, &names)->sandbox);
	assert_string_equal(get(fixture, &names)->pod_name, "web-0");
}

static void handler_that_hides_processes_is_told(void **state)
{
	struct fixture *fixture = *state;

	write_text(fixture, RUN C USERDATA, CRIO_TEXT(C));
	write_text(fixture, RUN SANDBOX USERDATA, ANNOTATIONS("\"" CRIO "RuntimeHandler\":\"kata-qemu\""));
	assert_told(fixture, &crio_names, "container " SANDBOX " runs in Kata");
}

static void crios_file_of_another_container_is_refused(void **state)
{
	struct fixture *fixture = *state;

	write_text(fixture, RUN C USERDATA, CRIO_TEXT(SANDBOX));
	assert_string_equal(get(fixture, &crio_names)->pod_name, "");
	assert_false(get(fixture, &crio_names)->complete);
}

static void sandbox_that_leads_elsewhere_is_not_read(void **state)
{
	struct fixture *fixture = *state;

	write_text(fixture, RUN C USERDATA,
		   ANNOTATIONS("\"" CRIO "ContainerID\":\"" C "\",\"" CRIO "SandboxID\":\"../../../../../evil\""));
	write_text(fixture, "/evil" USERDATA, SANDBOX_TEXT);
	assert_int_equal(get(fixture, &crio_names)->pod_labels.count, 0);
}

static void linked_userdata_is_not_followed(void **state)
{
	char target[PATH_MAX], link[PATH_MAX];
	struct fixture *fixture = *state;

	write_text(fixture, "/evil/config.json", CRIO_TEXT(C));
	make_path(fixture, "/evil", target);
	make_path(fixture, RUN C "/userdata", link);
	assert_int_equal(symlink(target, link), 0);
	assert_string_equal(get(fixture, &crio_names)->pod_name, "");
}

/* As podman 4.3 and its containers/storage write it. */
#define PODMAN_TEXT \
	ANNOTATIONS("\"io.container.manager\":\"libpod\",\"org.opencontainers.image.stopSignal\":\"15\"")
#define STORAGE_TEXT(id, name) \
	"[{\"id\":\"" SANDBOX "\",\"names\":[\"other\"]},{\"id\":\"" id "\",\"names\":[\"" name "\"],\"image\":\"9c4a\"," \
	"\"layer\":\"77\",\"metadata\":\"{\\\"image-name\\\":\\\"docker.io/library/busybox:latest\\\"," \
	"\\\"image-id\\\":\\\"9c4a\\\",\\\"name\\\":\\\"" name "\\\",\\\"created-at\\\":1}\",\"created\":\"2026\"}]"

static void assert_podmans(const struct identity *identity, const char *name)
{
	assert_non_null(identity);
	assert_string_equal(identity->container_id, C);
	assert_string_equal(identity->container_name, name);
	assert_string_equal(identity->image, "docker.io/library/busybox:latest");
	assert_string_equal(identity->runtime, "podman");
	assert_string_equal(identity->pod_uid, "");
	assert_true(identity->complete);
}

static void podmans_names_are_in_its_storage(void **state)
{
	struct fixture *fixture = *state;

	write_text(fixture, LIB C USERDATA, PODMAN_TEXT);
	write_text(fixture, LIB C "/userdata/ctr.log", "");
	write_text(fixture, LIB "containers.json", STORAGE_TEXT(C, "web"));
	assert_podmans(get(fixture, &podman_names), "web");
	assert_string_equal(get(fixture, &podman_names)->log_path, LIB C "/userdata/ctr.log");
}

static void quadlets_payload_is_podmans(void **state)
{
	const struct cgroup_names names = { { "libpod-payload-" C, "web.service", "system.slice" } };
	const struct cgroup_names child = { { "container", "libpod-payload-" C, "web.service", "system.slice" } };
	const struct cgroup_names forged = { { "libpod-payload-" C, "ci.service", "system.slice" } };
	struct fixture *fixture = *state;

	write_text(fixture, "/run/crun/" C "/status", "{\"pid\":7,\"cgroup-path\":\"/system.slice/web.service/libpod-payload-" C "\"}");
	write_text(fixture, LIB C USERDATA, PODMAN_TEXT);
	write_text(fixture, LIB "containers.json", STORAGE_TEXT(C, "systemd-web"));
	assert_podmans(get(fixture, &names), "systemd-web");
	assert_string_equal(get(fixture, &names)->log_path, "");
	assert_podmans(identity_cache__get(fixture->cache, 8, &child, false), "systemd-web");
	assert_string_equal(identity_cache__get(fixture->cache, 9, &forged, true)->container_name, "");
	/* crun may call the child the container's cgroup. */
	write_text(fixture, "/run/crun/" C "/status",
		   "{\"cgroup-path\":\"/system.slice/web.service/libpod-payload-" C "/container\"}");
	assert_podmans(identity_cache__get(fixture->cache, 10, &child, false), "systemd-web");
}

/* A node of kind's by Podman, with a pod's container in it, and what its specification allows. */
static const char *inside_of(struct fixture *fixture, const struct cgroup_names *names, const char *capabilities,
			     const char *namespaces)
{
	char text[1024];

	snprintf(text, sizeof(text), "{\"process\":{\"capabilities\":{\"bounding\":[%s]}},"
		 "\"linux\":{\"namespaces\":[{\"type\":\"pid\"}%s]}}", capabilities, namespaces);
	write_text(fixture, LIB C USERDATA, text);
	identity_cache__free(fixture->cache);
	assert_int_equal(identity_cache__new(fixture->root, 8, &fixture->cache), 0);
	return get(fixture, names)->container_name;
}

static void pods_of_a_node_that_podman_runs_are_known_if_it_may_do_anything(void **state)
{
	static const struct cgroup_names pod = { { "cri-containerd-" SANDBOX ".scope", "kubelet-" POD_SLICE, "kubelet.slice",
						   "container", "libpod-" C ".scope", "machine.slice" } };
	struct fixture *fixture = *state;

	write_text(fixture, LIB "containers.json", STORAGE_TEXT(C, "kind-worker"));
	write_text(fixture, "/run/crun/" C "/status", "{\"pid\":4321}");
	write_text(fixture, "/proc/4321/cgroup", "0::/machine.slice/libpod-" C ".scope/container/init.scope\n");
	write_text(fixture, "/proc/4321/root/run/containerd/io.containerd.runtime.v2.task/k8s.io/" SANDBOX "/config.json",
		   ANNOTATIONS("\"io.kubernetes.cri.container-type\":\"container\",\"io.kubernetes.cri.container-name\":\"nginx\""));
	assert_string_equal(inside_of(fixture, &pod, "\"CAP_SYS_ADMIN\",\"CAP_SYS_MODULE\"", ""), "nginx");
	assert_string_equal(get(fixture, &pod)->node_name, "kind-worker");
	assert_string_equal(inside_of(fixture, &pod, "\"CAP_SYS_ADMIN\"", ""), "kind-worker");
	assert_string_equal(inside_of(fixture, &pod, "\"CAP_SYS_ADMIN\",\"CAP_SYS_MODULE\"", ",{\"type\":\"user\"}"),
			    "kind-worker");
	assert_string_equal(inside_of(fixture, &pod, "1,null", ""), "kind-worker");
}

static void container_in_podmans_pod_is_not_crios(void **state)
{
	struct fixture *fixture = *state;

	write_text(fixture, LIB C USERDATA,
		   ANNOTATIONS("\"" CRIO "ContainerType\":\"container\",\"" CRIO "SandboxID\":\"" SANDBOX "\""));
	write_text(fixture, LIB "containers.json", STORAGE_TEXT(C, "web"));
	assert_podmans(get(fixture, &podman_names), "web");
	assert_string_equal(get(fixture, &podman_names)->sandbox_id, SANDBOX);
}

static void write_conmon(const struct fixture *fixture, const char *uid, const char *bundle)
{
	char text[1024];
	int len;

	write_text(fixture, "/proc/77/comm", "conmon\n");
	snprintf(text, sizeof(text), "Name:\tconmon\nUid:\t%s\t%s\t%s\t%s\nNSpid:\t77\n", uid, uid, uid, uid);
	write_text(fixture, "/proc/77/status", text);
	len = snprintf(text, sizeof(text), "/usr/bin/conmon%c--api-version%c1%c-c%c" C "%c-b%c%s%c-n%cweb%c", 0, 0, 0, 0, 0,
		       0, bundle, 0, 0, 0);
	write_bytes(fixture, "/proc/77/cmdline", text, len);
	write_link(fixture, "/proc/77/exe", "/usr/bin/conmon");
	write_link(fixture, "/proc/77/ns/mnt", "mnt:[1]");
	write_link(fixture, "/proc/1/ns/mnt", "mnt:[1]");
}

static void own(const struct fixture *fixture, const char *path, uid_t uid)
{
	char full[PATH_MAX];

	make_path(fixture, path, full);
	assert_int_equal(chown(full, uid, uid), 0);
}

#define HOME_STORAGE "/home/u/.local/share/containers/storage/overlay-containers/"

static void users_podman_is_found_by_its_conmon(void **state)
{
	struct fixture *fixture = *state;

	write_text(fixture, HOME_STORAGE C USERDATA, PODMAN_TEXT);
	write_text(fixture, HOME_STORAGE "containers.json", STORAGE_TEXT(C, "mine"));
	own(fixture, HOME_STORAGE C USERDATA, 1000);
	own(fixture, HOME_STORAGE "containers.json", 1000);
	write_conmon(fixture, "1000", HOME_STORAGE C "/userdata");
	assert_podmans(get(fixture, &users), "mine");
}

#define OTHER_STORAGE "/data/storage/overlay-containers/"

static void other_storage_is_found_by_a_conmon_that_is_one(void **state)
{
	struct fixture *fixture = *state;

	write_text(fixture, OTHER_STORAGE C USERDATA, PODMAN_TEXT);
	write_text(fixture, OTHER_STORAGE "containers.json", STORAGE_TEXT(C, "moved"));
	write_conmon(fixture, "0", OTHER_STORAGE C "/userdata");
	write_link(fixture, "/proc/77/exe", "/usr/bin/sudo");
	assert_string_equal(get(fixture, &podman_names)->container_name, "");
	identity_cache__free(fixture->cache);
	assert_int_equal(identity_cache__new(fixture->root, 8, &fixture->cache), 0);
	write_link(fixture, "/proc/77/exe", "/usr/libexec/crio/conmon");
	assert_podmans(get(fixture, &podman_names), "moved");
}

static void users_huge_file_is_not_parsed(void **state)
{
	static char text[sizeof(PODMAN_TEXT) + (512 << 10)];
	struct fixture *fixture = *state;

	memset(text, ' ', sizeof(text) - 1);
	memcpy(text, PODMAN_TEXT, sizeof(PODMAN_TEXT) - 1);
	write_text(fixture, HOME_STORAGE C USERDATA, text);
	own(fixture, HOME_STORAGE C USERDATA, 1000);
	write_conmon(fixture, "1000", HOME_STORAGE C "/userdata");
	assert_false(get(fixture, &users)->complete);
}

static void user_cannot_borrow_what_is_not_his(void **state)
{
	struct fixture *fixture = *state;

	write_text(fixture, LIB C USERDATA, PODMAN_TEXT);
	write_text(fixture, LIB "containers.json", STORAGE_TEXT(C, "roots"));
	write_conmon(fixture, "1000", LIB C "/userdata");
	assert_string_equal(get(fixture, &users)->container_name, "");
	assert_false(get(fixture, &users)->complete);
}

static void users_conmon_says_nothing_of_roots_containers(void **state)
{
	struct fixture *fixture = *state;

	write_text(fixture, HOME_STORAGE C USERDATA, PODMAN_TEXT);
	write_text(fixture, HOME_STORAGE "containers.json", STORAGE_TEXT(C, "mine"));
	write_conmon(fixture, "1000", HOME_STORAGE C "/userdata");
	assert_string_equal(get(fixture, &podman_names)->container_name, "");
}

static void broken_storage_costs_the_names_alone(void **state)
{
	static const char *const text[] = {
		"", "{}", "[[]]", "[{\"id\":7}]", "[{\"id\":\"" C "\",\"names\":{},\"metadata\":7}]",
		"[{\"id\":\"" C "\",\"names\":[7],\"metadata\":\"[\"}]",
		"[{\"id\":\"" C "\",\"names\":[\"a\\u0000b\"],\"metadata\":\"\\\"x\\\"\"}]",
	};
	struct fixture *fixture = *state;

	write_text(fixture, LIB C USERDATA, PODMAN_TEXT);
	for (size_t i = 0; i < sizeof(text) / sizeof(text[0]); i++) {
		struct identity_cache *cache;
		const struct identity *identity;

		write_text(fixture, LIB "containers.json", text[i]);
		assert_int_equal(identity_cache__new(fixture->root, 1, &cache), 0);
		identity = identity_cache__get(cache, 7, &podman_names, false);
		assert_non_null(identity);
		assert_string_equal(identity->container_id, C);
		assert_string_equal(identity->container_name, "");
		assert_string_equal(identity->runtime, "podman");
		identity_cache__free(cache);
	}
}

#define DATABASE "/var/lib/containers/storage/libpod/bolt_state.db"

/* What Podman keeps of C. */
static void write_database(const struct fixture *fixture, const char *path, const char *config, const char *podmans_state)
{
	static struct bolt_image image;

	bolt_podmans(&image, C, config, podmans_state);
	write_bytes(fixture, path, (const char *)image.bytes, sizeof(image.bytes));
}

static void write_podmans(const struct fixture *fixture)
{
	write_text(fixture, LIB C USERDATA, PODMAN_TEXT);
	write_text(fixture, LIB "containers.json", STORAGE_TEXT(C, "web"));
}

static void podmans_database_has_labels_and_restarts(void **state)
{
	const struct identity *identity;
	struct fixture *fixture = *state;

	write_podmans(fixture);
	write_database(fixture, DATABASE, "{\"id\":\"" C "\",\"labels\":{\"tier\":\"front\",\"n\":7},\"runtime\":\"crun\"}",
		       "{\"state\":2,\"pid\":7,\"restartCount\":12}");
	identity = get(fixture, &podman_names);
	assert_podmans(identity, "web");
	assert_string_equal(identity->restart_count, "12");
	assert_int_equal(identity->labels.count, 1);
	assert_string_equal(labels__get(&identity->labels, "tier"), "front");
}

/* As Podman keeps it from 4.8 on. */
static void write_sqlite(const struct fixture *fixture, const char *path, const char *config, const char *podmans_state)
{
	size_t len;
	char *bytes = sqlite_podmans(C, config, podmans_state, &len);

	write_bytes(fixture, path, bytes, len);
	sqlite3_free(bytes);
}

static void podmans_sqlite_says_the_same(void **state)
{
	static const char *const path[] = { "/var/lib/containers/storage/db.sql", "/var/lib/containers/storage/libpod/db.sql" };
	struct fixture *fixture = *state;

	write_podmans(fixture);
	for (int i = 1; i >= 0; i--) {
		char restarts[64];
		const struct identity *identity;

		snprintf(restarts, sizeof(restarts), "{\"state\":2,\"restartCount\":%d}", 3 + i);
		write_sqlite(fixture, path[i], "{\"labels\":{\"tier\":\"front\"},\"runtime\":\"crun\"}", restarts);
		identity = identity_cache__get(fixture->cache, 20 + i, &podman_names, false);
		assert_podmans(identity, "web");
		snprintf(restarts, sizeof(restarts), "%d", 3 + i);
		assert_string_equal(identity->restart_count, restarts);
		assert_string_equal(labels__get(&identity->labels, "tier"), "front");
	}
}

/* What a writer left that died, says so: Podman mends it when it runs next. */
static void half_a_transaction_is_not_read(void **state)
{
	static const char journal[] = "/var/lib/containers/storage/db.sql-journal";
	struct fixture *fixture = *state;

	write_podmans(fixture);
	write_sqlite(fixture, "/var/lib/containers/storage/db.sql", "{}", "{\"restartCount\":3}");
	write_text(fixture, journal, "\xd9\xd5\x05\xf9");
	assert_told(fixture, &podman_names, "db.sql: cannot read it: it is written too often");
	assert_string_equal(identity_cache__get(fixture->cache, 21, &podman_names, false)->restart_count, "");
	write_bytes(fixture, journal, "\0\0\0\0", 4);
	assert_string_equal(identity_cache__get(fixture->cache, 22, &podman_names, false)->restart_count, "3");
}

static void podmans_runtime_that_hides_processes_is_told(void **state)
{
	struct fixture *fixture = *state;

	write_podmans(fixture);
	write_database(fixture, DATABASE, "{\"runtime\":\"/usr/local/bin/runsc\"}", "{}");
	assert_told(fixture, &podman_names, "container " C " runs in gVisor");
}

/* Started again, it has another cgroup, in which crun makes a child of its own. */
static void restarted_container_is_read_again(void **state)
{
	const struct cgroup_names inner = { { "container", "container", "libpod-" C ".scope", "machine.slice" } };
	struct fixture *fixture = *state;
	const struct identity *identity;

	write_podmans(fixture);
	write_database(fixture, DATABASE, "{}", "{\"state\":3}");
	assert_string_equal(get(fixture, &podman_names)->restart_count, "0");
	write_text(fixture, LIB "containers.json", STORAGE_TEXT(C, "renamed"));
	write_database(fixture, DATABASE, "{}", "{\"state\":3,\"restartCount\":1}");
	/* What it makes below is its own to make: as many as it likes. */
	assert_podmans(identity_cache__get(fixture->cache, 8, &inner, false), "web");
	assert_podmans(get(fixture, &podman_names), "web");
	identity = identity_cache__get(fixture->cache, 9, &podman_names, false);
	assert_podmans(identity, "renamed");
	assert_string_equal(identity->restart_count, "1");
	/* Seen from below at first. */
	identity_cache__free(fixture->cache);
	assert_int_equal(identity_cache__new(fixture->root, 8, &fixture->cache), 0);
	assert_podmans(identity_cache__get(fixture->cache, 8, &inner, false), "renamed");
	write_text(fixture, LIB "containers.json", STORAGE_TEXT(C, "web"));
	assert_podmans(identity_cache__get(fixture->cache, 10, &podman_names, false), "web");
	write_text(fixture, LIB "containers.json", STORAGE_TEXT(C, "renamed"));
	assert_podmans(identity_cache__get(fixture->cache, 8, &inner, false), "web");
}

/* Its cgroup is there while Podman's word is still that of the run before. */
static void container_that_starts_is_read_again(void **state)
{
	struct fixture *fixture = *state;

	write_podmans(fixture);
	write_database(fixture, DATABASE, "{}", "{\"state\":6,\"restartCount\":2}");
	assert_string_equal(get(fixture, &podman_names)->restart_count, "2");
	write_database(fixture, DATABASE, "{}", "{\"state\":2}");
	assert_string_equal(get(fixture, &podman_names)->restart_count, "0");
	write_database(fixture, DATABASE, "{}", "{\"state\":6,\"restartCount\":1}");
	assert_string_equal(get(fixture, &podman_names)->restart_count, "0");
}

static void broken_database_costs_what_is_in_it(void **state)
{
	static const char *const bad[] = { "", "[7", "7", "{\"restartCount\":-1}", "{\"restartCount\":\"1\"}", "{\"restartCount\":1e300}" };
	struct fixture *fixture = *state;

	write_podmans(fixture);
	write_text(fixture, DATABASE, "SQLite format 3");
	assert_told(fixture, &podman_names, "bolt_state.db: cannot read it: it is damaged");
	assert_podmans(get(fixture, &podman_names), "web");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		write_database(fixture, DATABASE, bad[i], bad[i]);
		assert_podmans(identity_cache__get(fixture->cache, 100 + i, &podman_names, false), "web");
		assert_string_equal(get(fixture, &podman_names)->restart_count, "");
	}
}

/* A user's database is the user's, and no link to anything. */
static void users_database_is_the_users(void **state)
{
	struct fixture *fixture = *state;
	const char database[] = "/home/u/.local/share/containers/storage/libpod/bolt_state.db";

	write_text(fixture, HOME_STORAGE C USERDATA, PODMAN_TEXT);
	write_text(fixture, HOME_STORAGE "containers.json", STORAGE_TEXT(C, "mine"));
	write_database(fixture, database, "{\"labels\":{\"a\":\"b\"}}", "{\"restartCount\":3}");
	own(fixture, HOME_STORAGE C USERDATA, 1000);
	own(fixture, HOME_STORAGE "containers.json", 1000);
	write_conmon(fixture, "1000", HOME_STORAGE C "/userdata");
	assert_podmans(get(fixture, &users), "mine");
	assert_string_equal(get(fixture, &users)->restart_count, "");
	own(fixture, database, 1000);
	assert_string_equal(identity_cache__get(fixture->cache, 8, &users, false)->restart_count, "3");
	assert_string_equal(labels__get(&get(fixture, &users)->labels, "a"), "b");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(crio_has_every_name_and_the_pods_labels),
		TEST(crios_sandbox_that_does_not_say_all_tells_no_pod),
		TEST(crios_pause_is_a_sandbox),
		TEST(handler_that_hides_processes_is_told),
		TEST(crios_file_of_another_container_is_refused),
		TEST(sandbox_that_leads_elsewhere_is_not_read),
		TEST(linked_userdata_is_not_followed),
		TEST(podmans_names_are_in_its_storage),
		TEST(quadlets_payload_is_podmans),
		TEST(pods_of_a_node_that_podman_runs_are_known_if_it_may_do_anything),
		TEST(container_in_podmans_pod_is_not_crios),
		TEST(users_podman_is_found_by_its_conmon),
		TEST(other_storage_is_found_by_a_conmon_that_is_one),
		TEST(users_huge_file_is_not_parsed),
		TEST(user_cannot_borrow_what_is_not_his),
		TEST(users_conmon_says_nothing_of_roots_containers),
		TEST(broken_storage_costs_the_names_alone),
		TEST(podmans_database_has_labels_and_restarts),
		TEST(podmans_sqlite_says_the_same),
		TEST(half_a_transaction_is_not_read),
		TEST(podmans_runtime_that_hides_processes_is_told),
		TEST(restarted_container_is_read_again),
		TEST(container_that_starts_is_read_again),
		TEST(broken_database_costs_what_is_in_it),
		TEST(users_database_is_the_users),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
