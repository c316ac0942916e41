#include "runtime_fixture.h"

#define C "4e6f1ad8d0c54e6cba27fbd3d9f4e6c5a9a8b7c6d5e4f30112233445566778aa"
#define C2 "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"
#define UID "8a3bf2b1-0c4d-4e5f-9a6b-7c8d9e0f1a2b"
#define CONFIG "/containers/" C "/config.v2.json"

/* As dockerd 20.10 writes it, shortened. */
#define TEXT(id, name, labels) \
	"{\"StreamConfig\":{},\"State\":{\"Running\":false,\"Pid\":0,\"StartedAt\":\"0001-01-01T00:00:00Z\"},\"ID\":\"" id \
	"\",\"Created\":\"2026-11-21T10:48:22.95488643Z\",\"Managed\":false,\"Path\":\"sh\",\"Args\":[\"-c\",\"date\"]," \
	"\"Config\":{\"Hostname\":\"4e6f1ad8d0c5\",\"Image\":\"busybox:1\",\"Labels\":" labels ",\"Env\":[\"PATH=/bin\"]}," \
	"\"Image\":\"sha256:0123\",\"LogPath\":\"/var/lib/docker/containers/" C "/" C "-json.log\"," \
	"\"Name\":\"" name "\",\"Driver\":\"overlay2\",\"RestartCount\":3,\"HasBeenStartedBefore\":true}"

static const struct cgroup_names scope = { { "docker-" C ".scope", "system.slice" } };
static const struct cgroup_names users = {
	{ "docker-" C ".scope", "user.slice", "user@1000.service", "user-1000.slice", "user.slice" }
};

static void names_image_labels_log_and_restarts_are_read(void **state)
{
	const struct identity *identity;
	struct fixture *fixture = *state;

	write_text(fixture, "/var/lib/docker" CONFIG, TEXT(C, "/web", "{\"tier\":\"front\",\"a.b/c\":\"x\\ny\"}"));
	identity = get(fixture, &scope);
	assert_non_null(identity);
	assert_string_equal(identity->container_id, C);
	assert_string_equal(identity->container_name, "web");
	assert_string_equal(identity->image, "busybox:1");
	assert_string_equal(identity->runtime, "docker");
	assert_string_equal(identity->restart_count, "3");
	assert_string_equal(identity->log_path, "/var/lib/docker/containers/" C "/" C "-json.log");
	assert_int_equal(identity->labels.count, 2);
	assert_string_equal(labels__get(&identity->labels, "tier"), "front");
	assert_string_equal(labels__get(&identity->labels, "a.b/c"), "x\ny");
	assert_string_equal(identity->pod_uid, "");
	assert_true(identity->complete);
}

static void dockers_name_outranks_containerds_bundle(void **state)
{
	struct fixture *fixture = *state;

	write_text(fixture, "/run/docker/containerd/daemon/io.containerd.runtime.v2.task/moby/" C "/config.json",
		   "{\"annotations\":{\"nerdctl/name\":\"forged\"}}");
	write_text(fixture, "/var/lib/docker" CONFIG, TEXT(C, "/web", "null"));
	assert_string_equal(get(fixture, &scope)->container_name, "web");
}

static void container_that_starts_again_is_read_again(void **state)
{
	const struct cgroup_names below = { { "init.scope", "docker-" C ".scope", "system.slice" } };
	struct fixture *fixture = *state;

	write_text(fixture, "/var/lib/docker" CONFIG, TEXT(C, "/web", "{}"));
	assert_string_equal(identity_cache__get(fixture->cache, 7, &scope, false)->container_name, "web");
	write_text(fixture, "/var/lib/docker" CONFIG, TEXT(C, "/renamed", "{}"));
	assert_string_equal(identity_cache__get(fixture->cache, 8, &below, false)->container_name, "web");
	assert_string_equal(identity_cache__get(fixture->cache, 7, &scope, false)->container_name, "web");
	assert_string_equal(identity_cache__get(fixture->cache, 8, &scope, false)->container_name, "renamed");
	remove_tree(fixture, "/var");
	assert_string_equal(identity_cache__get(fixture->cache, 9, &scope, false)->container_name, "renamed");
}

static void log_of_a_container_that_never_ran_is_the_default_drivers(void **state)
{
	struct fixture *fixture = *state;

	write_text(fixture, "/var/lib/docker" CONFIG, "{\"ID\":\"" C "\",\"LogPath\":\"\"}");
	write_text(fixture, "/var/lib/docker/containers/" C "/hostconfig.json",
		   "{\"LogConfig\":{\"Type\":\"json-file\",\"Config\":{}},\"Runtime\":\"runc\"}");
	assert_string_equal(get(fixture, &scope)->log_path, "/var/lib/docker/containers/" C "/" C "-json.log");
	write_text(fixture, "/var/lib/docker/containers/" C "/hostconfig.json", "{\"LogConfig\":{\"Type\":\"journald\"}}");
	assert_string_equal(identity_cache__get(fixture->cache, 8, &scope, false)->log_path, "");
}

static void log_path_that_is_too_long_is_as_if_it_were_missing(void **state)
{
	struct fixture *fixture = *state;
	char path[IDENTITY_LOG_PATH_MAX + 2], text[sizeof(path) + 256];

	for (int longer = 0; longer < 2; longer++) {
		struct identity_cache *cache;

		memset(path, 0, sizeof(path));
		memset(path, '/', IDENTITY_LOG_PATH_MAX + longer);
		snprintf(text, sizeof(text), "{\"ID\":\"" C "\",\"LogPath\":\"%s\"}", path);
		write_text(fixture, "/var/lib/docker" CONFIG, text);
		assert_int_equal(identity_cache__new(fixture->root, 1, &cache), 0);
		assert_string_equal(identity_cache__get(cache, 7, &scope, false)->log_path, longer ? "" : path);
		identity_cache__free(cache);
	}
}

static void runtime_that_hides_processes_is_told(void **state)
{
	struct fixture *fixture = *state;

	write_text(fixture, "/var/lib/docker" CONFIG, TEXT(C, "/web", "{}"));
	write_text(fixture, "/var/lib/docker/containers/" C "/hostconfig.json", "{\"Runtime\":\"runsc\"}");
	assert_told(fixture, &scope, "container " C " runs in gVisor");
}

#define K8S_LABELS(type) \
	"{\"io.kubernetes.docker.type\":\"" type "\",\"io.kubernetes.container.name\":\"nginx\"," \
	"\"io.kubernetes.container.logpath\":\"/var/log/pods/shop_web-0_" UID "/nginx/2.log\"," \
	"\"io.kubernetes.pod.name\":\"web-0\",\"io.kubernetes.pod.namespace\":\"shop\"," \
	"\"io.kubernetes.pod.uid\":\"" UID "\",\"io.kubernetes.sandbox.id\":\"" C2 "\"}"

static void cri_dockerds_containers_are_pods(void **state)
{
	const struct cgroup_names names = { { C, "pod" UID, "besteffort", "kubepods" } };
	const struct identity *identity;
	struct fixture *fixture = *state;

	write_text(fixture, "/var/lib/docker" CONFIG,
		   TEXT(C, "/k8s_nginx_web-0_shop_" UID "_2", K8S_LABELS("container")));
	identity = get(fixture, &names);
	assert_non_null(identity);
	assert_string_equal(identity->container_name, "nginx");
	assert_string_equal(identity->pod_name, "web-0");
	assert_string_equal(identity->pod_namespace, "shop");
	assert_string_equal(identity->pod_uid, UID);
	assert_string_equal(identity->sandbox_id, C2);
	assert_string_equal(identity->restart_count, "2");
	assert_string_equal(identity->log_path, "/var/log/pods/shop_web-0_" UID "/nginx/2.log");
	assert_false(identity->sandbox);
}

static void cri_dockerds_pause_is_a_sandbox(void **state)
{
	const struct cgroup_names names = { { C, "pod" UID, "besteffort", "kubepods" } };
	struct fixture *fixture = *state;

	write_text(fixture, "/var/lib/docker" CONFIG,
		   TEXT(C, "/k8s_POD_web-0_shop_" UID "_0", K8S_LABELS("podsandbox")));
	assert_true(get(fixture, &names)->sandbox);
	assert_string_equal(get(fixture, &names)->pod_name, "web-0");
}

static void labels_that_an_image_brings_make_no_pod(void **state)
{
	const struct cgroup_names cgroupfs = { { C, "docker" } };
	const struct identity *identity;
	struct fixture *fixture = *state;

	write_text(fixture, "/var/lib/docker" CONFIG, TEXT(C, "/web", K8S_LABELS("podsandbox")));
	identity = get(fixture, &scope);
	assert_string_equal(identity->container_name, "web");
	assert_string_equal(identity->pod_name, "");
	assert_string_equal(identity->pod_uid, "");
	assert_false(identity->sandbox);
	/* A kubelet without cgroups for pods (--cgroups-per-qos=false) still gives the names. */
	write_text(fixture, "/var/lib/docker" CONFIG,
		   TEXT(C, "/k8s_nginx_web-0_shop_" UID "_2", K8S_LABELS("container")));
	assert_string_equal(identity_cache__get(fixture->cache, 8, &cgroupfs, false)->pod_name, "web-0");
}

/* A process of the host's as /proc shows it; arguments are separated by '|'. */
static void write_process(const struct fixture *fixture, const char *uid, const char *pids, const char *mounts,
			  const char *arguments)
{
	char status[256], line[1024];
	size_t len = strlen(arguments);

	write_text(fixture, "/proc/4321/comm", "dockerd\n");
	write_link(fixture, "/proc/4321/exe", "/usr/bin/dockerd");
	snprintf(status, sizeof(status), "Name:\tdockerd\nUid:\t%s\t%s\t%s\t%s\nNSpid:\t%s\n", uid, uid, uid, uid,
		 pids);
	write_text(fixture, "/proc/4321/status", status);
	memcpy(line, arguments, len + 1);
	for (char *bar = line; (bar = strchr(bar, '|')); bar++)
		*bar = '\0';
	write_bytes(fixture, "/proc/4321/cmdline", line, len + 1);
	write_link(fixture, "/proc/4321/ns/mnt", mounts);
	write_link(fixture, "/proc/1/ns/mnt", "mnt:[1]");
}

static void another_data_root_is_found_by_the_daemons_arguments(void **state)
{
	struct fixture *fixture = *state;

	write_text(fixture, "/data/docker" CONFIG, TEXT(C, "/web", "{}"));
	write_process(fixture, "0", "4321", "mnt:[1]", "/usr/sbin/dockerd|--data-root=/data/docker|-H|fd://");
	assert_string_equal(get(fixture, &scope)->container_name, "web");
}

static void another_data_root_is_found_in_daemon_json(void **state)
{
	struct fixture *fixture = *state;

	write_text(fixture, "/data/docker" CONFIG, TEXT(C, "/web", "{}"));
	write_text(fixture, "/etc/docker/daemon.json", "{\"data-root\":\"/data/docker\"}");
	write_process(fixture, "0", "4321", "mnt:[1]", "/usr/sbin/dockerd|-H|fd://");
	assert_string_equal(get(fixture, &scope)->container_name, "web");
}

static void linked_data_root_is_followed_inside_the_root(void **state)
{
	char link[PATH_MAX];
	struct fixture *fixture = *state;

	write_text(fixture, "/data/docker" CONFIG, TEXT(C, "/web", "{}"));
	make_path(fixture, "/var/lib/docker", link);
	assert_int_equal(symlink("/data/docker", link), 0);
	assert_string_equal(get(fixture, &scope)->container_name, "web");
}

static void daemons_in_containers_are_not_asked(void **state)
{
	struct fixture *fixture = *state;

	write_text(fixture, "/data/docker" CONFIG, TEXT(C, "/forged", "{}"));
	write_process(fixture, "0", "4321\t17", "mnt:[1]", "dockerd|--data-root|/data/docker");
	assert_string_equal(get(fixture, &scope)->container_name, "");
	identity_cache__free(fixture->cache);
	assert_int_equal(identity_cache__new(fixture->root, 8, &fixture->cache), 0);
	write_process(fixture, "0", "4321", "mnt:[2]", "dockerd|--data-root|/data/docker");
	assert_string_equal(get(fixture, &scope)->container_name, "");
}

/* A user who runs sudo by a link of that name chooses its arguments. */
static void program_that_is_only_called_so_is_not_asked(void **state)
{
	static const char *const exe[] = { "/usr/bin/sudo", "/usr/bin/not-dockerd", "dockerd.sh", "/usr/bin/dockerd/x" };
	struct fixture *fixture = *state;

	write_text(fixture, "/home/u/docker" CONFIG, TEXT(C, "/forged", "{}"));
	write_process(fixture, "0", "4321", "mnt:[1]", "dockerd|true|--data-root|/home/u/docker");
	for (size_t i = 0; i < sizeof(exe) / sizeof(exe[0]); i++) {
		write_link(fixture, "/proc/4321/exe", exe[i]);
		assert_string_equal(get(fixture, &scope)->container_name, "");
		identity_cache__free(fixture->cache);
		assert_int_equal(identity_cache__new(fixture->root, 8, &fixture->cache), 0);
	}
}

static void daemon_whose_program_was_replaced_is_asked(void **state)
{
	struct fixture *fixture = *state;

	write_text(fixture, "/data/docker" CONFIG, TEXT(C, "/web", "{}"));
	write_process(fixture, "0", "4321", "mnt:[1]", "dockerd|--data-root|/data/docker");
	write_link(fixture, "/proc/4321/exe", "/usr/bin/dockerd (deleted)");
	assert_string_equal(get(fixture, &scope)->container_name, "web");
}

static void users_daemon_tells_of_the_users_containers_alone(void **state)
{
	const char environ[] = "PATH=/bin\0HOME=/home/u\0";
	char path[PATH_MAX];
	struct fixture *fixture = *state;

	write_process(fixture, "1000", "4321", "mnt:[2]", "dockerd|--rootless");
	write_bytes(fixture, "/proc/4321/environ", environ, sizeof(environ) - 1);
	write_text(fixture, "/home/u/.local/share/docker" CONFIG, TEXT(C, "/mine", "{}"));
	make_path(fixture, "/home/u/.local/share/docker" CONFIG, path);
	assert_int_equal(chown(path, 1000, 1000), 0);
	assert_string_equal(get(fixture, &scope)->container_name, "");
	identity_cache__free(fixture->cache);
	assert_int_equal(identity_cache__new(fixture->root, 8, &fixture->cache), 0);
	assert_string_equal(get(fixture, &users)->container_name, "mine");
}

static void users_container_is_no_pods_whatever_it_is_called(void **state)
{
	const char environ[] = "PATH=/bin\0HOME=/home/u\0";
	const struct identity *identity;
	char path[PATH_MAX];
	struct fixture *fixture = *state;

	write_process(fixture, "1000", "4321", "mnt:[2]", "dockerd|--rootless");
	write_bytes(fixture, "/proc/4321/environ", environ, sizeof(environ) - 1);
	write_text(fixture, "/home/u/.local/share/docker" CONFIG,
		   TEXT(C, "/k8s_nginx_web-0_shop_" UID "_2", K8S_LABELS("container")));
	make_path(fixture, "/home/u/.local/share/docker" CONFIG, path);
	assert_int_equal(chown(path, 1000, 1000), 0);
	identity = get(fixture, &users);
	assert_string_equal(identity->container_name, "k8s_nginx_web-0_shop_" UID "_2");
	assert_string_equal(identity->pod_uid, "");
	assert_string_equal(identity->pod_name, "");
	assert_string_equal(identity->pod_namespace, "");
}

static void user_cannot_borrow_what_is_not_his(void **state)
{
	struct fixture *fixture = *state;

	write_process(fixture, "1000", "4321", "mnt:[2]", "dockerd|--data-root=/var/lib/docker");
	write_text(fixture, "/var/lib/docker" CONFIG, TEXT(C, "/roots", "{}"));
	assert_string_equal(get(fixture, &users)->container_name, "");
}

static void file_of_another_container_is_refused(void **state)
{
	struct fixture *fixture = *state;

	write_text(fixture, "/var/lib/docker" CONFIG, TEXT(C2, "/other", "{}"));
	assert_string_equal(get(fixture, &scope)->container_name, "");
	assert_false(get(fixture, &scope)->complete);
}

static void wrong_types_are_unknown(void **state)
{
	static const char *const text[] = {
		"null", "[]", "{}", "{\"ID\":7}", "{\"ID\":\"" C "\",\"Name\":7,\"Config\":[],\"RestartCount\":\"x\"}",
		"{\"ID\":\"" C "\",\"Config\":{\"Labels\":[1],\"Image\":{}},\"RestartCount\":-1,\"LogPath\":null}",
		"{\"ID\":\"" C "\",\"Config\":{\"Labels\":{\"io.kubernetes.pod.uid\":\"x\"}},\"RestartCount\":1e99}",
	};
	struct fixture *fixture = *state;

	for (size_t i = 0; i < sizeof(text) / sizeof(text[0]); i++) {
		struct identity_cache *cache;
		const struct identity *identity;

		write_text(fixture, "/var/lib/docker" CONFIG, text[i]);
		assert_int_equal(identity_cache__new(fixture->root, 1, &cache), 0);
		identity = identity_cache__get(cache, 7, &scope, false);
		assert_non_null(identity);
		assert_string_equal(identity->container_name, "");
		assert_string_equal(identity->image, "");
		assert_string_equal(identity->restart_count, "");
		identity_cache__free(cache);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(names_image_labels_log_and_restarts_are_read),
		TEST(dockers_name_outranks_containerds_bundle),
		TEST(container_that_starts_again_is_read_again),
		TEST(log_of_a_container_that_never_ran_is_the_default_drivers),
		TEST(log_path_that_is_too_long_is_as_if_it_were_missing),
		TEST(runtime_that_hides_processes_is_told),
		TEST(cri_dockerds_containers_are_pods),
		TEST(cri_dockerds_pause_is_a_sandbox),
		TEST(labels_that_an_image_brings_make_no_pod),
		TEST(another_data_root_is_found_by_the_daemons_arguments),
		TEST(another_data_root_is_found_in_daemon_json),
		TEST(linked_data_root_is_followed_inside_the_root),
		TEST(daemons_in_containers_are_not_asked),
		TEST(program_that_is_only_called_so_is_not_asked),
		TEST(daemon_whose_program_was_replaced_is_asked),
		TEST(users_daemon_tells_of_the_users_containers_alone),
		TEST(users_container_is_no_pods_whatever_it_is_called),
		TEST(user_cannot_borrow_what_is_not_his),
		TEST(file_of_another_container_is_refused),
		TEST(wrong_types_are_unknown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
