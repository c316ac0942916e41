#include "bolt_fixture.h"
#include "runtime_fixture.h"

#define C "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define C2 "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"
#define UID "8a3bf2b1-0c4d-4e5f-9a6b-7c8d9e0f1a2b"
#define POD_SLICE "kubepods-burstable-pod8a3bf2b1_0c4d_4e5f_9a6b_7c8d9e0f1a2b.slice"
#define OTHER_UID "11111111-2222-3333-4444-555555555555"
#define STATIC_UID "d41d8cd98f00b204e9800998ecf8427e"
#define CRI "io.kubernetes.cri."
#define TASKS "/io.containerd.runtime.v2.task/"
#define BUNDLES "/run/containerd" TASKS
#define CRI_CONFIG BUNDLES "k8s.io/" C "/config.json"

/* As containerd's CRI plugin writes it, shortened to what matters and what may hurt a parser. */
#define POD_ANNOTATIONS \
	"\"" CRI "image-name\":\"docker.io/library/web:1\",\"" CRI "sandbox-id\":\"" C2 "\"," \
	"\"" CRI "sandbox-name\":\"web-0\",\"" CRI "sandbox-namespace\":\"shop\""
#define CONTAINER_ANNOTATIONS \
	"\"" CRI "container-type\":\"container\",\"" CRI "container-name\":\"nginx\"," \
	POD_ANNOTATIONS
#define CONFIG(annotations) \
	"{\"ociVersion\":\"1.0.2\",\"process\":{\"args\":[\"/web\"],\"rlimits\":[{\"type\":" \
	"\"RLIMIT_NOFILE\",\"hard\":18446744073709551615,\"soft\":1024}]},\"annotations\":{" \
	annotations "},\"linux\":{\"cgroupsPath\":\"/default/web-1\"}}\n"
#define CRI_TEXT CONFIG(CONTAINER_ANNOTATIONS ",\"" CRI "sandbox-uid\":\"" UID "\"")

static const struct cgroup_names cri_names = {
	{ "cri-containerd-" C ".scope", POD_SLICE, "kubepods-burstable.slice" }
};
static const struct cgroup_names ctr_names = { { "web-1", "default", "" } };

static void assert_nameless(const struct identity *identity, const char *id)
{
	assert_non_null(identity);
	assert_string_equal(identity->container_id, id);
	assert_string_equal(identity->container_name, "");
	assert_string_equal(identity->image, "");
	assert_string_equal(identity->pod_name, "");
	assert_string_equal(identity->pod_namespace, "");
}

static void assert_nginx(const struct identity *identity)
{
	assert_non_null(identity);
	assert_string_equal(identity->container_id, C);
	assert_string_equal(identity->container_name, "nginx");
	assert_string_equal(identity->image, "docker.io/library/web:1");
	assert_string_equal(identity->runtime, "containerd");
	assert_string_equal(identity->pod_name, "web-0");
	assert_string_equal(identity->pod_namespace, "shop");
	assert_string_equal(identity->pod_uid, UID);
	assert_string_equal(identity->sandbox_id, C2);
	assert_false(identity->sandbox);
	assert_true(identity->complete);
}

static void cri_container_has_every_name(void **state)
{
	struct fixture *fixture = *state;

	write_text(fixture, CRI_CONFIG, CRI_TEXT);
	assert_nginx(get(fixture, &cri_names));
}

static void cgroupfs_driver_finds_the_same(void **state)
{
	const struct cgroup_names names = { { C, "pod" UID, "burstable" } };
	struct fixture *fixture = *state;

	write_text(fixture, CRI_CONFIG, CRI_TEXT);
	assert_nginx(get(fixture, &names));
}

static void drivers_that_disagree_find_the_same(void **state)
{
	const struct cgroup_names names = {
		{ POD_SLICE ":cri-containerd:" C, "containerd.service", "system.slice" }
	};
	struct fixture *fixture = *state;

	write_text(fixture, CRI_CONFIG, CRI_TEXT);
	write_text(fixture, "/run/containerd/runc/k8s.io/" C "/state.json",
		   "{\"cgroup_paths\":{\"\":\"/sys/fs/cgroup/system.slice/containerd.service/" POD_SLICE ":cri-containerd:" C "\"}}");
	assert_nginx(get(fixture, &names));
}

static void kind_finds_the_inner_container(void **state)
{
	const struct cgroup_names names = { { "cri-containerd-" C ".scope", "kubelet-" POD_SLICE,
					      "kubelet-kubepods-burstable.slice" } };
	struct fixture *fixture = *state;

	write_text(fixture, CRI_CONFIG, CRI_TEXT);
	assert_nginx(get(fixture, &names));
}

static void k3s_keeps_its_bundles_elsewhere(void **state)
{
	struct fixture *fixture = *state;

	write_text(fixture, "/run/k3s/containerd" TASKS "k8s.io/" C "/config.json", CRI_TEXT);
	assert_nginx(get(fixture, &cri_names));
}

static void old_containerd_takes_the_pod_uid_from_the_cgroup(void **state)
{
	struct fixture *fixture = *state;

	write_text(fixture, CRI_CONFIG, CONFIG(CONTAINER_ANNOTATIONS));
	assert_nginx(get(fixture, &cri_names));
}

static void pod_uid_comes_from_annotations_where_the_cgroup_has_none(void **state)
{
	const struct cgroup_names names = { { "cri-containerd-" C ".scope", "system.slice", "" } };
	struct fixture *fixture = *state;

	write_text(fixture, CRI_CONFIG, CRI_TEXT);
	assert_nginx(get(fixture, &names));
}

static void cgroup_outranks_the_annotated_pod_uid(void **state)
{
	struct fixture *fixture = *state;

	write_text(fixture, CRI_CONFIG,
		   CONFIG(CONTAINER_ANNOTATIONS ",\"" CRI "sandbox-uid\":\"" OTHER_UID "\""));
	assert_nginx(get(fixture, &cri_names));
}

static void static_pod_keeps_its_uid_without_dashes(void **state)
{
	const struct cgroup_names names = { { "cri-containerd-" C ".scope",
					      "kubepods-burstable-pod" STATIC_UID ".slice",
					      "kubepods-burstable.slice" } };
	struct fixture *fixture = *state;

	write_text(fixture, CRI_CONFIG,
		   CONFIG(CONTAINER_ANNOTATIONS ",\"" CRI "sandbox-uid\":\"" STATIC_UID "\""));
	assert_string_equal(get(fixture, &names)->pod_uid, STATIC_UID);
}

#define POD_LOGS "/var/log/pods/shop_web-0_" UID "/nginx/"

static void latest_attempt_tells_restarts_and_log(void **state)
{
	struct fixture *fixture = *state;

	write_text(fixture, CRI_CONFIG, CRI_TEXT);
	write_text(fixture, POD_LOGS "2.log", "");
	write_text(fixture, POD_LOGS "10.log", "");
	write_text(fixture, POD_LOGS "11.log.20261121-104822", "");
	write_text(fixture, POD_LOGS "11.log.gz", "");
	write_text(fixture, POD_LOGS "x12.log", "");
	write_text(fixture, POD_LOGS "99999999999999999999.log", "");
	assert_nginx(get(fixture, &cri_names));
	assert_string_equal(get(fixture, &cri_names)->restart_count, "10");
	assert_string_equal(get(fixture, &cri_names)->log_path, POD_LOGS "10.log");
}

static void linked_pod_logs_are_not_followed(void **state)
{
	char target[PATH_MAX], link[PATH_MAX];
	struct fixture *fixture = *state;

	write_text(fixture, CRI_CONFIG, CRI_TEXT);
	write_text(fixture, "/elsewhere/5.log", "");
	make_path(fixture, "/elsewhere", target);
	make_path(fixture, "/var/log/pods/shop_web-0_" UID "/nginx", link);
	assert_int_equal(symlink(target, link), 0);
	assert_string_equal(get(fixture, &cri_names)->restart_count, "");
	assert_string_equal(get(fixture, &cri_names)->log_path, "");
}

static void linked_attempt_does_not_count(void **state)
{
	char link[PATH_MAX];
	struct fixture *fixture = *state;

	write_text(fixture, CRI_CONFIG, CRI_TEXT);
	write_text(fixture, POD_LOGS "1.log", "");
	make_path(fixture, POD_LOGS "7.log", link);
	assert_int_equal(symlink("1.log", link), 0);
	assert_string_equal(get(fixture, &cri_names)->restart_count, "1");
}

static void names_that_leave_the_pod_logs_are_refused(void **state)
{
	struct fixture *fixture = *state;

	write_text(fixture, CRI_CONFIG,
		   CONFIG("\"" CRI "container-type\":\"container\",\"" CRI "container-name\":\"../nginx\"," POD_ANNOTATIONS));
	write_text(fixture, POD_LOGS "3.log", "");
	write_text(fixture, "/var/log/pods/nginx/3.log", "");
	assert_string_equal(get(fixture, &cri_names)->log_path, "");
}

static void sandbox_is_marked_and_nameless(void **state)
{
	const struct identity *identity;
	struct fixture *fixture = *state;

	write_text(fixture, CRI_CONFIG,
		   CONFIG("\"" CRI "container-type\":\"sandbox\",\"" CRI
			  "container-name\":\"forged\"," POD_ANNOTATIONS));
	identity = get(fixture, &cri_names);
	assert_non_null(identity);
	assert_true(identity->sandbox);
	assert_true(identity->complete);
	assert_string_equal(identity->container_name, "");
	assert_string_equal(identity->pod_name, "web-0");
	assert_string_equal(identity->pod_uid, UID);
}

static void ctr_container_is_called_by_its_id(void **state)
{
	const struct identity *identity;
	struct fixture *fixture = *state;

	write_text(fixture, BUNDLES "default/web-1/config.json", CONFIG(""));
	identity = get(fixture, &ctr_names);
	assert_non_null(identity);
	assert_string_equal(identity->container_id, "web-1");
	assert_string_equal(identity->container_name, "web-1");
	assert_string_equal(identity->image, "");
	assert_string_equal(identity->runtime, "containerd");
	assert_string_equal(identity->pod_uid, "");
	assert_true(identity->complete);
}

static void free_name_in_another_cgroup_is_not_that_container(void **state)
{
	const struct cgroup_names forged = { { "web-1", "default", "jobs" } };
	struct fixture *fixture = *state;

	write_text(fixture, BUNDLES "default/web-1/config.json", CONFIG(""));
	assert_null(get(fixture, &forged));
	assert_nameless(identity_cache__get(fixture->cache, 7, &forged, true), "web-1");
}

static void nerdctl_names_its_containers(void **state)
{
	const struct cgroup_names names = { { "nerdctl-" C ".scope", "system.slice", "" } };
	struct fixture *fixture = *state;

	write_text(fixture, BUNDLES "default/" C "/config.json",
		   CONFIG("\"nerdctl/name\":\"shop-web\",\"tier\":\"front\",\"nul\":\"a\\u0000b\","
			  "\"nerdctl/state-dir\":\"/var/lib/nerdctl/1935db59/containers/default/" C "\""));
	write_text(fixture, "/var/lib/nerdctl/1935db59/containers/default/" C "/" C "-json.log", "");
	assert_int_equal(get(fixture, &names)->labels.count, 1);
	assert_string_equal(labels__get(&get(fixture, &names)->labels, "tier"), "front");
	assert_string_equal(get(fixture, &names)->log_path,
			    "/var/lib/nerdctl/1935db59/containers/default/" C "/" C "-json.log");
	assert_string_equal(get(fixture, &names)->container_name, "shop-web");
	assert_string_equal(get(fixture, &names)->runtime, "containerd");
}

static void pod_annotations_count_in_the_cri_namespace_only(void **state)
{
	const struct cgroup_names names = { { C, "default", "" } };
	const struct identity *identity;
	struct fixture *fixture = *state;

	write_text(fixture, BUNDLES "default/" C "/config.json", CRI_TEXT);
	identity = get(fixture, &names);
	assert_non_null(identity);
	assert_string_equal(identity->container_name, C);
	assert_string_equal(identity->pod_name, "");
	assert_string_equal(identity->pod_uid, "");
}

/* nerdctl tells labels, which whoever made the image may have chosen, as annotations, also in the CRI plugin's namespace. */
static void labels_of_nerdctls_container_make_no_pod(void **state)
{
	const struct cgroup_names names = { { "nerdctl-" C ".scope", "system.slice" } };
	const struct identity *identity;
	struct fixture *fixture = *state;

	write_text(fixture, CRI_CONFIG, CONFIG(CONTAINER_ANNOTATIONS ",\"" CRI "sandbox-uid\":\"" UID "\",\"nerdctl/name\":\"tool\","
					       "\"nerdctl/state-dir\":\"/var/lib/nerdctl/1935db59/containers/k8s.io/" C "\""));
	identity = get(fixture, &names);
	assert_non_null(identity);
	assert_string_equal(identity->container_name, "tool");
	assert_string_equal(identity->pod_name, "");
	assert_string_equal(identity->pod_namespace, "");
	assert_string_equal(identity->pod_uid, "");
	/* What the kubelet has made cannot hide. */
	assert_nginx(identity_cache__get(fixture->cache, 8, &cri_names, false));
}

static void shim_that_hides_processes_is_told(void **state)
{
	struct fixture *fixture = *state;

	write_text(fixture, CRI_CONFIG, CRI_TEXT);
	write_text(fixture, BUNDLES "k8s.io/" C "/shim-binary-path", "/usr/local/bin/gvisor-containerd-shim");
	assert_told(fixture, &cri_names, "container " C " runs in gVisor");
	assert_nginx(get(fixture, &cri_names));
}

/* Its container has its pipes, and no process that is to be seen. */
static void runsc_that_is_called_directly_is_told(void **state)
{
	struct fixture *fixture = *state;

	write_text(fixture, "/run/runsc/web-1_sandbox:web-1.lock", "");
	assert_told(fixture, &ctr_names, "container web-1 runs in gVisor");
	assert_null(get(fixture, &ctr_names));
}

static void docker_is_known_by_its_namespace(void **state)
{
	const struct cgroup_names names = { { C, "docker", "" } };
	struct fixture *fixture = *state;

	write_text(fixture, "/run/docker/containerd/daemon" TASKS "moby/" C "/config.json",
		   CONFIG(""));
	assert_nameless(get(fixture, &names), C);
	assert_string_equal(get(fixture, &names)->runtime, "docker");
}

static void prefix_tells_the_runtime_when_no_file_does(void **state)
{
	static const struct {
		struct cgroup_names names;
		const char *runtime;
	} sample[] = {
		{ { { "docker-" C ".scope", "system.slice", "" } }, "docker" },
		{ { { "crio-" C ".scope", POD_SLICE, "" } }, "cri-o" },
		{ { { "container", "libpod-" C ".scope", "machine.slice" } }, "podman" },
		{ { { C, "pod" UID, "burstable" } }, "" },
	};
	struct fixture *fixture = *state;

	for (size_t i = 0; i < sizeof(sample) / sizeof(sample[0]); i++) {
		const struct identity *identity = get(fixture, &sample[i].names);

		assert_nameless(identity, C);
		assert_string_equal(identity->runtime, sample[i].runtime);
		assert_false(identity->complete);
	}
}

static void podman_keeps_its_name_over_crun(void **state)
{
	const struct cgroup_names names = {
		{ "container", "libpod-" C ".scope", "machine.slice" }
	};
	struct fixture *fixture = *state;

	write_text(fixture, "/run/crun/" C "/status", "{\"pid\":1}");
	assert_nameless(get(fixture, &names), C);
	assert_string_equal(get(fixture, &names)->runtime, "podman");
}

static void plain_runc_is_confirmed_by_its_state(void **state)
{
	const struct cgroup_names names = { { "demo", "user-0.slice", "user.slice" } };
	const struct identity *identity;
	struct fixture *fixture = *state;

	assert_null(get(fixture, &names));
	write_text(fixture, "/run/runc/demo/state.json",
		   "{\"id\":\"demo\",\"cgroup_paths\":{\"\":"
		   "\"/sys/fs/cgroup/user.slice/user-0.slice/demo\"}}");
	identity = get(fixture, &names);
	assert_non_null(identity);
	assert_string_equal(identity->container_name, "demo");
	assert_string_equal(identity->runtime, "runc");
	assert_true(identity->complete);
}

static void plain_crun_is_confirmed_by_its_status(void **state)
{
	const struct cgroup_names names = { { "demo", "", "" } };
	struct fixture *fixture = *state;

	write_text(fixture, "/run/crun/demo/status", "{\"cgroup-path\":\"/demo\"}");
	assert_non_null(get(fixture, &names));
	assert_string_equal(get(fixture, &names)->runtime, "crun");
}

static void free_names_need_a_file_or_a_pid_namespace(void **state)
{
	const struct cgroup_names names = { { "worker", "app.service", "system.slice" } };
	struct fixture *fixture = *state;

	assert_null(get(fixture, &names));
	assert_nameless(identity_cache__get(fixture->cache, 7, &names, true), "worker");
	assert_nameless(get(fixture, &names), "worker");
	assert_null(identity_cache__get(fixture->cache, 8, &names, false));
}

static void services_and_logins_are_no_containers(void **state)
{
	static const struct cgroup_names names[] = {
		{ { "ssh.service", "system.slice", "" } },
		{ { "session-1.scope", "user-0.slice", "user.slice" } },
		{ { "cron.service", "system.slice", "docker-" C ".scope" } },
		{ { "crio-conmon-" C ".scope", "system.slice", "" } },
		{ { "", "", "" } },
	};
	struct fixture *fixture = *state;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_null(identity_cache__get(fixture->cache, 7, &names[i], true));
}

static void incomplete_identity_is_read_again(void **state)
{
	struct fixture *fixture = *state;

	assert_false(get(fixture, &cri_names)->complete);
	write_text(fixture, CRI_CONFIG, CRI_TEXT);
	assert_nginx(get(fixture, &cri_names));
}

static void write_containerds(const struct fixture *fixture, const char *id, const char *image, const char *label,
			      const char *value)
{
	static struct bolt_image database;

	bolt_containerds(&database, "default", id, image, label, value);
	write_bytes(fixture, "/var/lib/containerd/io.containerd.metadata.v1.bolt/meta.db", (const char *)database.bytes,
		    sizeof(database.bytes));
}

static void containerds_database_has_image_and_restarts(void **state)
{
	const struct cgroup_names names = { { "nerdctl-" C ".scope", "system.slice" } };
	const struct identity *identity;
	struct fixture *fixture = *state;

	write_text(fixture, BUNDLES "default/" C "/config.json", CONFIG("\"nerdctl/name\":\"tool\""));
	write_containerds(fixture, C, "docker.io/library/tool:1", "containerd.io/restart.policy", "always");
	identity = get(fixture, &names);
	assert_string_equal(identity->container_name, "tool");
	assert_string_equal(identity->image, "docker.io/library/tool:1");
	assert_string_equal(identity->restart_count, "");
	write_containerds(fixture, C, "docker.io/library/tool:1", "containerd.io/restart.count", "3");
	assert_string_equal(get(fixture, &names)->restart_count, "");
	assert_string_equal(identity_cache__get(fixture->cache, 8, &names, false)->restart_count, "3");
	write_containerds(fixture, C, "", "containerd.io/restart.count", "3\"x");
	identity = identity_cache__get(fixture->cache, 9, &names, false);
	assert_string_equal(identity->container_name, "tool");
	assert_string_equal(identity->image, "");
	assert_string_equal(identity->restart_count, "");
	/* ctr's are called as they like, also like another's. */
	write_text(fixture, BUNDLES "default/web-1/config.json", CONFIG(""));
	write_containerds(fixture, "web-1", "docker.io/library/web:2", "a", "b");
	identity = get(fixture, &ctr_names);
	assert_string_equal(identity->container_name, "web-1");
	assert_string_equal(identity->image, "docker.io/library/web:2");
	assert_string_equal(identity->restart_count, "");
}

static void containerds_broken_database_costs_what_is_in_it(void **state)
{
	struct fixture *fixture = *state;

	write_text(fixture, BUNDLES "default/web-1/config.json", CONFIG(""));
	write_text(fixture, "/var/lib/containerd/io.containerd.metadata.v1.bolt/meta.db", "no database");
	assert_told(fixture, &ctr_names, "meta.db: cannot read it: it is damaged");
	assert_string_equal(get(fixture, &ctr_names)->container_name, "web-1");
	assert_true(get(fixture, &ctr_names)->complete);
}

/* Each look at an unknown container reads its files again, and each of its streams looks. */
static void broken_file_is_told_once(void **state)
{
	const struct cgroup_names other = { { "cri-containerd-" C2 ".scope", POD_SLICE, "kubepods-burstable.slice" } };
	char path[PATH_MAX];
	struct fixture *fixture = *state;

	write_text(fixture, CRI_CONFIG, "{");
	assert_told(fixture, &cri_names, "not readable as JSON");
	assert_silent(fixture, &cri_names);
	write_text(fixture, BUNDLES "k8s.io/" C2 "/config.json", "{");
	assert_told(fixture, &other, C2 "/config.json: not readable");
	assert_silent(fixture, &other);
	assert_silent(fixture, &cri_names);
	write_link(fixture, CRI_CONFIG, "elsewhere");
	assert_told(fixture, &cri_names, "a symbolic link");
	assert_silent(fixture, &cri_names);
	make_path(fixture, CRI_CONFIG, path);
	assert_int_equal(remove(path), 0);
	write_text(fixture, CRI_CONFIG, CRI_TEXT);
	assert_silent(fixture, &cri_names);
	write_text(fixture, CRI_CONFIG, "{");
	/* In order meanwhile, it is worth a word again: the container is started anew. */
	identity_cache__free(fixture->cache);
	assert_int_equal(identity_cache__new(fixture->root, 8, &fixture->cache), 0);
	assert_told(fixture, &cri_names, "not readable as JSON");
}

static void complete_identity_outlives_its_files(void **state)
{
	struct fixture *fixture = *state;

	write_text(fixture, CRI_CONFIG, CRI_TEXT);
	assert_nginx(get(fixture, &cri_names));
	remove_tree(fixture, "/run");
	assert_nginx(get(fixture, &cri_names));
}

static void reused_free_name_is_another_container(void **state)
{
	struct fixture *fixture = *state;

	write_text(fixture, BUNDLES "default/web-1/config.json", CONFIG(""));
	assert_true(identity_cache__get(fixture->cache, 1, &ctr_names, false)->complete);
	remove_tree(fixture, "/run");
	assert_true(identity_cache__get(fixture->cache, 1, &ctr_names, false)->complete);
	assert_null(identity_cache__get(fixture->cache, 2, &ctr_names, false));
}

static void namespaces_that_come_later_are_found(void **state)
{
	const struct cgroup_names names = { { "nerdctl-" C2 ".scope", "system.slice", "" } };
	struct fixture *fixture = *state;

	write_text(fixture, CRI_CONFIG, CRI_TEXT);
	assert_nginx(get(fixture, &cri_names));
	write_text(fixture, BUNDLES "later/" C2 "/config.json", CONFIG(""));
	assert_true(get(fixture, &names)->complete);
}

static void least_recently_used_identity_is_forgotten(void **state)
{
	const struct identity *identity;
	struct fixture *fixture = *state;

	write_text(fixture, BUNDLES "default/web-1/config.json", CONFIG(""));
	assert_non_null(identity_cache__get(fixture->cache, 1, &ctr_names, false));
	assert_non_null(identity_cache__get(fixture->cache, 2, &ctr_names, false));
	assert_non_null(identity_cache__get(fixture->cache, 1, &ctr_names, false));
	for (unsigned int cgroup = 3; cgroup <= 9; cgroup++)
		assert_non_null(identity_cache__get(fixture->cache, cgroup, &ctr_names, false));
	/* Eight fit: the second was the oldest of nine. */
	remove_tree(fixture, "/run");
	identity = identity_cache__get(fixture->cache, 1, &ctr_names, false);
	assert_non_null(identity);
	assert_true(identity->complete);
	assert_null(identity_cache__get(fixture->cache, 2, &ctr_names, false));
	assert_non_null(identity_cache__get(fixture->cache, 9, &ctr_names, false));
}

static void assert_unreadable(struct fixture *fixture)
{
	const struct identity *identity = get(fixture, &cri_names);

	assert_nameless(identity, C);
	assert_string_equal(identity->pod_uid, UID);
	assert_string_equal(identity->runtime, "containerd");
	assert_false(identity->complete);
}

static void symlinked_config_is_not_followed(void **state)
{
	char target[PATH_MAX];
	char path[PATH_MAX];
	struct fixture *fixture = *state;

	write_text(fixture, "/elsewhere", CRI_TEXT);
	make_path(fixture, "/elsewhere", target);
	make_path(fixture, CRI_CONFIG, path);
	assert_int_equal(symlink(target, path), 0);
	assert_unreadable(fixture);
}

static void bundle_that_links_to_anothers_is_not_followed(void **state)
{
	char path[PATH_MAX];
	struct fixture *fixture = *state;

	write_text(fixture, BUNDLES "k8s.io/" C2 "/config.json", CRI_TEXT);
	make_path(fixture, BUNDLES "k8s.io/" C, path);
	assert_int_equal(symlink(C2, path), 0);
	assert_unreadable(fixture);
}

static void fifo_in_place_of_config_does_not_block(void **state)
{
	char path[PATH_MAX];
	struct fixture *fixture = *state;

	make_path(fixture, CRI_CONFIG, path);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_unreadable(fixture);
}

static void directory_in_place_of_config_is_refused(void **state)
{
	char path[PATH_MAX];
	struct fixture *fixture = *state;

	make_path(fixture, CRI_CONFIG "/", path);
	assert_unreadable(fixture);
}

/* Valid JSON that is `size` bytes long. */
static void write_padded(const struct fixture *fixture, size_t size)
{
	char *text = malloc(size);

	assert_non_null(text);
	memset(text, ' ', size);
	memcpy(text, CRI_TEXT, strlen(CRI_TEXT));
	write_bytes(fixture, CRI_CONFIG, text, size);
	free(text);
}

static void config_beyond_four_mebibytes_is_refused(void **state)
{
	struct fixture *fixture = *state;

	write_padded(fixture, (4U << 20) + 1);
	assert_unreadable(fixture);
	write_padded(fixture, 4U << 20);
	assert_nginx(get(fixture, &cri_names));
}

static void deep_nesting_is_refused(void **state)
{
	const size_t depth = 1U << 20;
	char *text = malloc(depth);
	struct fixture *fixture = *state;

	assert_non_null(text);
	memset(text, '[', depth);
	write_bytes(fixture, CRI_CONFIG, text, depth);
	free(text);
	assert_unreadable(fixture);
}

static void broken_json_is_refused(void **state)
{
	struct fixture *fixture = *state;

	write_text(fixture, CRI_CONFIG, "");
	assert_unreadable(fixture);
	write_bytes(fixture, CRI_CONFIG, CRI_TEXT, strlen(CRI_TEXT) / 2);
	assert_unreadable(fixture);
	write_text(fixture, CRI_CONFIG, CONFIG("\"a\":\"\xff\""));
	assert_unreadable(fixture);
}

static void wrong_types_are_unknown(void **state)
{
	static const char *const text[] = {
		"null", "[]", "{\"annotations\":[]}", "{\"annotations\":\"x\",\"linux\":1}",
		CONFIG("\"" CRI "container-type\":1,\"" CRI "sandbox-name\":\"x\""),
	};
	struct fixture *fixture = *state;

	for (size_t i = 0; i < sizeof(text) / sizeof(text[0]); i++) {
		const struct identity *identity;
		struct identity_cache *cache;

		write_text(fixture, CRI_CONFIG, text[i]);
		assert_int_equal(identity_cache__new(fixture->root, 1, &cache), 0);
		identity = identity_cache__get(cache, 7, &cri_names, false);
		assert_non_null(identity);
		assert_string_equal(identity->pod_name, "");
		assert_string_equal(identity->image, "");
		assert_string_equal(identity->pod_uid, UID);
		identity_cache__free(cache);
	}
}

static void wrongly_typed_names_are_unknown(void **state)
{
	const struct identity *identity;
	struct fixture *fixture = *state;

	write_text(fixture, CRI_CONFIG,
		   CONFIG("\"" CRI "container-type\":\"container\",\"" CRI
			  "container-name\":{\"a\":1},\"" CRI "image-name\":null,\"" CRI
			  "sandbox-name\":[\"x\"],\"" CRI "sandbox-uid\":17,\"" CRI
			  "sandbox-namespace\":\"shop\""));
	identity = get(fixture, &cri_names);
	assert_non_null(identity);
	assert_string_equal(identity->container_name, "");
	assert_string_equal(identity->image, "");
	assert_string_equal(identity->pod_name, "");
	assert_string_equal(identity->pod_uid, UID);
	assert_string_equal(identity->pod_namespace, "shop");
}

static void names_with_nul_are_unknown_and_controls_are_kept(void **state)
{
	const struct identity *identity;
	struct fixture *fixture = *state;

	write_text(fixture, CRI_CONFIG,
		   CONFIG("\"" CRI "container-type\":\"container\",\"" CRI
			  "sandbox-name\":\"web\\u0000-0\",\"" CRI
			  "container-name\":\"a\\u001b[2J\\n\""));
	identity = get(fixture, &cri_names);
	assert_non_null(identity);
	assert_string_equal(identity->pod_name, "");
	assert_string_equal(identity->container_name, "a\033[2J\n");
}

static void image_of_length(const struct fixture *fixture, size_t len)
{
	char text[4096];
	char image[2048] = "";

	memset(image, 'i', len);
	snprintf(text, sizeof(text),
		 "{\"annotations\":{\"" CRI "container-type\":\"container\",\"" CRI
		 "image-name\":\"%s\"}}",
		 image);
	write_text(fixture, CRI_CONFIG, text);
}

static void overlong_names_are_unknown(void **state)
{
	struct identity_cache *cache;
	struct fixture *fixture = *state;

	image_of_length(fixture, 1025);
	assert_string_equal(get(fixture, &cri_names)->image, "");
	image_of_length(fixture, 1024);
	assert_int_equal(identity_cache__new(fixture->root, 1, &cache), 0);
	assert_int_equal(strlen(identity_cache__get(cache, 7, &cri_names, false)->image), 1024);
	identity_cache__free(cache);
}

static void assert_pipes(const struct fixture *fixture, const struct cgroup_names *names,
			 uint64_t out, uint64_t err)
{
	uint64_t inode[2] = { 1, 1 };

	assert_int_equal(identity__init_pipes(fixture->root, names, C, inode), 0);
	assert_int_equal(inode[0], out);
	assert_int_equal(inode[1], err);
}

static void runc_state_tells_inits_pipes(void **state)
{
	static const char *const dir[] = { "/run/containerd/runc/k8s.io/",
					   "/run/docker/runtime-runc/moby/", "/run/runc/" };
	struct fixture *fixture = *state;

	for (size_t i = 0; i < sizeof(dir) / sizeof(dir[0]); i++) {
		char path[PATH_MAX];

		snprintf(path, sizeof(path), "%s" C "/state.json", dir[i]);
		write_text(fixture, path,
			   "{\"init_process_pid\":42,\"external_descriptors\":"
			   "[\"/dev/null\",\"pipe:[11098]\",\"pipe:[18446744073709551615]\"]}");
		assert_pipes(fixture, &cri_names, 11098, UINT64_MAX);
		remove_tree(fixture, "/run");
	}
}

static void crun_status_tells_inits_pipes(void **state)
{
	const struct cgroup_names names = {
		{ "container", "libpod-" C ".scope", "machine.slice" }
	};
	struct fixture *fixture = *state;

	write_text(fixture, "/run/crun/" C "/status",
		   "{\"pid\":42,\"external_descriptors\":"
		   "\"[\\\"/dev/null\\\",\\\"pipe:[5]\\\",\\\"pipe:[6]\\\"]\"}");
	assert_pipes(fixture, &names, 5, 6);
}

static void what_is_no_pipe_is_zero(void **state)
{
	static const char *const text[] = {
		"{\"external_descriptors\":[\"a\",\"/dev/pts/0\",\"socket:[7]\"]}",
		"{\"external_descriptors\":[\"a\",\"pipe:[-7]\",\"pipe:[7] \"]}",
		"{\"external_descriptors\":[\"a\",\"pipe:[99999999999999999999]\",7]}",
		"{\"external_descriptors\":[\"pipe:[7]\"]}",
		"{\"external_descriptors\":\"[\"}",
		"{}",
	};
	struct fixture *fixture = *state;

	for (size_t i = 0; i < sizeof(text) / sizeof(text[0]); i++) {
		write_text(fixture, "/run/containerd/runc/k8s.io/" C "/state.json", text[i]);
		assert_pipes(fixture, &cri_names, 0, 0);
	}
}

static void unknown_container_has_no_pipes(void **state)
{
	const struct cgroup_names service = { { "ssh.service", "system.slice", "" } };
	uint64_t inode[2] = { 1, 2 };
	struct fixture *fixture = *state;

	assert_int_equal(identity__init_pipes(fixture->root, &cri_names, C, inode), -ENOENT);
	assert_int_equal(identity__init_pipes(fixture->root, &service, C, inode), -ENOENT);
	assert_int_equal(inode[0], 1);
	assert_int_equal(inode[1], 2);
}

static void pipes_of_a_free_name_are_those_of_its_cgroup(void **state)
{
	struct fixture *fixture = *state;

	write_text(fixture, "/run/containerd/runc/other/web-1/state.json",
		   "{\"cgroup_paths\":{\"\":\"/sys/fs/cgroup/other/web-1\"},"
		   "\"external_descriptors\":[\"a\",\"pipe:[1]\",\"pipe:[2]\"]}");
	write_text(fixture, "/run/containerd/runc/default/web-1/state.json",
		   "{\"cgroup_paths\":{\"\":\"/sys/fs/cgroup/default/web-1\"},"
		   "\"external_descriptors\":[\"a\",\"pipe:[3]\",\"pipe:[4]\"]}");
	assert_pipes(fixture, &ctr_names, 3, 4);
}

static void nested_names_do_not_leave_a_free_named_container(void **state)
{
	const struct cgroup_names forged[] = {
		{ { "cri-containerd-" C ".scope", POD_SLICE, "web-1", "default" } },
		{ { C, "pod" UID, "besteffort", "kubepods", "web-1", "default" } },
		{ { "worker", "pod" UID, "kubepods", "web-1", "default" } },
	};
	struct fixture *fixture = *state;

	write_text(fixture, CRI_CONFIG, CRI_TEXT);
	write_text(fixture, BUNDLES "default/web-1/config.json", CONFIG(""));
	assert_nginx(get(fixture, &cri_names));
	for (size_t i = 0; i < sizeof(forged) / sizeof(forged[0]); i++) {
		const struct identity *identity = identity_cache__get(fixture->cache, 9 + i, &forged[i], true);

		assert_non_null(identity);
		assert_string_equal(identity->container_id, "web-1");
		assert_string_equal(identity->pod_uid, "");
		assert_string_equal(identity->pod_name, "");
	}
}

/* A user's own systemd, or whoever may make cgroups below his own, calls them what he likes. */
static void users_cgroup_does_not_borrow_the_hosts_container(void **state)
{
	const struct cgroup_names forged[] = {
		{ { "cri-containerd-" C ".scope", "app.slice", "user@1000.service", "user-1000.slice", "user.slice" } },
		{ { "container", "cri-containerd-" C ".scope", "user@1000.service", "user-1000.slice", "user.slice" } },
		{ { C, "user@1000.service", "user-1000.slice", "user.slice" } },
	};
	struct fixture *fixture = *state;

	write_text(fixture, CRI_CONFIG, CRI_TEXT);
	write_text(fixture, "/run/crun/" C "/status", "{\"pid\":42}");
	for (size_t i = 0; i < sizeof(forged) / sizeof(forged[0]); i++) {
		const struct identity *identity;

		assert_nginx(get(fixture, &cri_names));
		identity = identity_cache__get(fixture->cache, 9 + i, &forged[i], true);
		assert_nameless(identity, C);
		assert_string_equal(identity->pod_uid, "");
		assert_false(identity->complete);
		assert_nginx(get(fixture, &cri_names));
	}
}

/*
 * A service with Delegate=yes, root in an LXC or nspawn container: the cgroup below is theirs to name, and a pod's container's
 * ID is told to whoever may get pods.
 */
static void delegated_cgroup_does_not_borrow_a_pods_container(void **state)
{
	const struct cgroup_names forged[] = {
		{ { "cri-containerd-" C ".scope", "ci.service", "system.slice" } },
		{ { "init.scope", "cri-containerd-" C ".scope", "ci.service", "system.slice" } },
		{ { "cri-containerd-" C ".scope", POD_SLICE, "ci.service", "system.slice" } },
		{ { "cri-containerd-" C ".scope", POD_SLICE, "payload", "machine-web.scope", "machine.slice" } },
		{ { C, "pod" UID, "kubepods", "lxc.payload.web" } },
		{ { C2, "pod" UID, "kubepods", "lxc.payload.web" } },
	};
	struct fixture *fixture = *state;

	write_text(fixture, CRI_CONFIG, CRI_TEXT);
	write_text(fixture, "/run/containerd/runc/k8s.io/" C "/state.json",
		   "{\"init_process_pid\":42,\"cgroup_paths\":{\"\":\"/sys/fs/cgroup/kubepods.slice/kubepods-burstable.slice/" POD_SLICE
		   "/cri-containerd-" C ".scope\"}}");
	for (size_t i = 0; i < sizeof(forged) / sizeof(forged[0]); i++) {
		const struct identity *identity = identity_cache__get(fixture->cache, 9 + i, &forged[i], true);

		if (!identity)
			continue;
		assert_string_equal(identity->pod_uid, "");
		assert_string_equal(identity->pod_name, "");
		assert_string_equal(identity->container_name, "");
	}
}

static void nested_ids_stay_with_the_pods_container(void **state)
{
	const struct cgroup_names names = { { C2, "docker", "cri-containerd-" C ".scope", POD_SLICE,
					      "kubepods-burstable.slice", "kubepods.slice" } };
	struct fixture *fixture = *state;

	write_text(fixture, CRI_CONFIG, CRI_TEXT);
	assert_nginx(get(fixture, &names));
}

#define NODE_FILES "/var/lib/docker/containers/" C2
#define POD_SCOPE "cri-containerd-" C ".scope", "kubelet-" POD_SLICE, "kubelet-kubepods-burstable.slice"

/* kind's node as Docker and runc have it, and a pod's files in its root. */
static void write_node(const struct fixture *fixture, const char *privileged)
{
	char text[128];

	write_text(fixture, NODE_FILES "/config.v2.json", "{\"ID\":\"" C2 "\",\"Name\":\"/kind-worker\"}");
	snprintf(text, sizeof(text), "{\"Privileged\":%s,\"Runtime\":\"runc\"}", privileged);
	write_text(fixture, NODE_FILES "/hostconfig.json", text);
	write_text(fixture, "/run/docker/runtime-runc/moby/" C2 "/state.json", "{\"init_process_pid\":4321}");
	write_text(fixture, "/proc/4321/cgroup", "0::/system.slice/docker-" C2 ".scope/init.scope\n");
	write_text(fixture, "/proc/4321/root" CRI_CONFIG, CRI_TEXT);
}

static void pods_of_a_node_in_a_privileged_container_are_known(void **state)
{
	const struct cgroup_names pod = { { POD_SCOPE, "docker-" C2 ".scope", "system.slice" } };
	const struct cgroup_names node = { { "init.scope", "docker-" C2 ".scope", "system.slice" } };
	struct fixture *fixture = *state;

	write_node(fixture, "true");
	assert_nginx(get(fixture, &pod));
	assert_string_equal(get(fixture, &pod)->node_name, "kind-worker");
	assert_string_equal(get(fixture, &node)->container_name, "kind-worker");
	assert_string_equal(get(fixture, &node)->node_name, "");
	assert_nginx(get(fixture, &pod));
	write_text(fixture, "/proc/4321/cgroup", "0::/system.slice/cron.service\n");
	assert_string_equal(get(fixture, &pod)->container_name, "kind-worker");
}

static void pods_that_a_node_has_already_are_found_by_their_pipes(void **state)
{
	const struct cgroup_names pod = { { POD_SCOPE, "docker-" C2 ".scope", "system.slice" } };
	struct fixture *fixture = *state;
	uint64_t inode[2];

	write_node(fixture, "true");
	write_text(fixture, "/run/docker/runtime-runc/moby/" C2 "/state.json",
		   "{\"init_process_pid\":4321,\"external_descriptors\":[\"a\",\"pipe:[1]\",\"pipe:[2]\"]}");
	write_text(fixture, "/proc/4321/root/run/containerd/runc/k8s.io/" C "/state.json",
		   "{\"external_descriptors\":[\"a\",\"pipe:[3]\",\"pipe:[4]\"]}");
	assert_pipes(fixture, &pod, 3, 4);
	assert_int_equal(identity__init_pipes(fixture->root, &pod, C2, inode), 0);
	assert_int_equal(inode[0], 1);
}

static void a_virtual_machine_prints_nothing_of_the_container(void **state)
{
	const struct cgroup_names names = { { "kata_" C, "pod" UID, "besteffort", "kubepods" } };
	struct fixture *fixture = *state;

	write_text(fixture, CRI_CONFIG, CRI_TEXT);
	write_text(fixture, BUNDLES "k8s.io/" C "/shim-binary-path", "/opt/kata/bin/containerd-shim-kata-v2");
	assert_told(fixture, &names, "runs in Kata");
	assert_true(get(fixture, &names)->sandbox);
	assert_string_equal(get(fixture, &names)->pod_uid, UID);
}

static void other_containers_are_not_believed_to_be_nodes(void **state)
{
	const struct cgroup_names pod = { { POD_SCOPE, "docker-" C2 ".scope", "system.slice" } };
	struct fixture *fixture = *state;

	write_node(fixture, "false");
	assert_string_equal(get(fixture, &pod)->container_name, "kind-worker");
	assert_string_equal(get(fixture, &pod)->pod_uid, "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(cri_container_has_every_name),
		TEST(cgroupfs_driver_finds_the_same),
		TEST(drivers_that_disagree_find_the_same),
		TEST(kind_finds_the_inner_container),
		TEST(k3s_keeps_its_bundles_elsewhere),
		TEST(old_containerd_takes_the_pod_uid_from_the_cgroup),
		TEST(pod_uid_comes_from_annotations_where_the_cgroup_has_none),
		TEST(cgroup_outranks_the_annotated_pod_uid),
		TEST(static_pod_keeps_its_uid_without_dashes),
		TEST(latest_attempt_tells_restarts_and_log),
		TEST(linked_pod_logs_are_not_followed),
		TEST(linked_attempt_does_not_count),
		TEST(names_that_leave_the_pod_logs_are_refused),
		TEST(sandbox_is_marked_and_nameless),
		TEST(ctr_container_is_called_by_its_id),
		TEST(free_name_in_another_cgroup_is_not_that_container),
		TEST(nerdctl_names_its_containers),
		TEST(pod_annotations_count_in_the_cri_namespace_only),
		TEST(labels_of_nerdctls_container_make_no_pod),
		TEST(shim_that_hides_processes_is_told),
		TEST(runsc_that_is_called_directly_is_told),
		TEST(docker_is_known_by_its_namespace),
		TEST(prefix_tells_the_runtime_when_no_file_does),
		TEST(podman_keeps_its_name_over_crun),
		TEST(plain_runc_is_confirmed_by_its_state),
		TEST(plain_crun_is_confirmed_by_its_status),
		TEST(free_names_need_a_file_or_a_pid_namespace),
		TEST(services_and_logins_are_no_containers),
		TEST(incomplete_identity_is_read_again),
		TEST(containerds_database_has_image_and_restarts),
		TEST(containerds_broken_database_costs_what_is_in_it),
		TEST(broken_file_is_told_once),
		TEST(complete_identity_outlives_its_files),
		TEST(reused_free_name_is_another_container),
		TEST(namespaces_that_come_later_are_found),
		TEST(least_recently_used_identity_is_forgotten),
		TEST(symlinked_config_is_not_followed),
		TEST(bundle_that_links_to_anothers_is_not_followed),
		TEST(fifo_in_place_of_config_does_not_block),
		TEST(directory_in_place_of_config_is_refused),
		TEST(config_beyond_four_mebibytes_is_refused),
		TEST(deep_nesting_is_refused),
		TEST(broken_json_is_refused),
		TEST(wrong_types_are_unknown),
		TEST(wrongly_typed_names_are_unknown),
		TEST(names_with_nul_are_unknown_and_controls_are_kept),
		TEST(overlong_names_are_unknown),
		TEST(runc_state_tells_inits_pipes),
		TEST(crun_status_tells_inits_pipes),
		TEST(what_is_no_pipe_is_zero),
		TEST(unknown_container_has_no_pipes),
		TEST(pipes_of_a_free_name_are_those_of_its_cgroup),
		TEST(nested_names_do_not_leave_a_free_named_container),
		TEST(users_cgroup_does_not_borrow_the_hosts_container),
		TEST(delegated_cgroup_does_not_borrow_a_pods_container),
		TEST(nested_ids_stay_with_the_pods_container),
		TEST(pods_of_a_node_in_a_privileged_container_are_known),
		TEST(pods_that_a_node_has_already_are_found_by_their_pipes),
		TEST(a_virtual_machine_prints_nothing_of_the_container),
		TEST(other_containers_are_not_believed_to_be_nodes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
