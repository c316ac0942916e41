#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../../user/identity/cgroup_path.h"

#define C "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define C2 "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"
#define UID "8a3bf2b1-0c4d-4e5f-9a6b-7c8d9e0f1a2b"
#define SLICE_UID "8a3bf2b1_0c4d_4e5f_9a6b_7c8d9e0f1a2b"
#define STATIC_UID "d41d8cd98f00b204e9800998ecf8427e"
#define POD_SLICE "kubepods-burstable-pod" SLICE_UID ".slice"

static struct cgroup_names names_of(const char *leaf, const char *parent, const char *grandparent)
{
	return (struct cgroup_names){ { leaf, parent, grandparent } };
}

static void assert_container(const char *leaf, const char *parent, const char *grandparent,
			     const char *id, const char *pod_uid, const char *runtime)
{
	struct cgroup_names names = names_of(leaf, parent, grandparent);
	struct cgroup_place place;

	assert_int_equal(cgroup_path__parse(&names, &place), 0);
	assert_string_equal(place.container_id, id);
	assert_string_equal(place.pod_uid, pod_uid);
	assert_string_equal(place.runtime, runtime);
	assert_int_equal(place.free_name, strspn(id, "0123456789abcdef") != 64);
	assert_ptr_equal(place.names, &names);
}

static void assert_no_container(const char *leaf, const char *parent, const char *grandparent)
{
	struct cgroup_names names = names_of(leaf, parent, grandparent);
	struct cgroup_place place = { .container_id = "untouched" };

	assert_int_equal(cgroup_path__parse(&names, &place), -ENOENT);
	assert_string_equal(place.container_id, "untouched");
}

static void every_runtime_prefixes_the_id_in_its_own_way(void **state)
{
	(void)state;
	assert_container("docker-" C ".scope", "system.slice", "", C, "", "docker");
	assert_container(C, "docker", "", C, "", "");
	assert_container("libpod-" C ".scope", "machine.slice", "", C, "", "podman");
	assert_container("libpod-" C, "libpod_parent", "", C, "", "podman");
	assert_container("libpod-payload-" C, "web.service", "system.slice", C, "", "podman");
	assert_container("nerdctl-" C ".scope", "system.slice", "", C, "", "containerd");
	assert_container(C, "default", "", C, "", "");
}

static void kubernetes_names_give_container_and_pod(void **state)
{
	(void)state;
	assert_container("cri-containerd-" C ".scope", POD_SLICE, "kubepods-burstable.slice", C,
			 UID, "containerd");
	assert_container("cri-containerd-" C ".scope", "kubepods-pod" SLICE_UID ".slice",
			 "kubepods.slice", C, UID, "containerd");
	assert_container(C, "pod" UID, "besteffort", C, UID, "");
	assert_container("crio-" C ".scope", POD_SLICE, "kubepods-burstable.slice", C, UID,
			 "cri-o");
	assert_container("crio-" C, "pod" UID, "burstable", C, UID, "cri-o");
	assert_container("cri-containerd-" C ".scope", "kubelet-" POD_SLICE,
			 "kubelet-kubepods-burstable.slice", C, UID, "containerd");
}

static void static_pods_have_uids_without_dashes(void **state)
{
	(void)state;
	assert_container("cri-containerd-" C ".scope", "kubepods-burstable-pod" STATIC_UID ".slice",
			 "kubepods-burstable.slice", C, STATIC_UID, "containerd");
	assert_container(C, "pod" STATIC_UID, "kubepods", C, STATIC_UID, "");
}

static void drivers_that_disagree_leave_a_slice_in_the_name(void **state)
{
	(void)state;
	assert_container(POD_SLICE ":cri-containerd:" C, "containerd.service", "system.slice", C,
			 UID, "containerd");
	assert_container("system.slice:docker:" C, "", "", C, "", "docker");
}

/* As Kata's RenameCgroupPath and resCtrlKataOverheadID have them; systemd's scopes keep their names. */
static void kata_keeps_machines_in_cgroups_of_its_own(void **state)
{
	struct cgroup_names pods = { { "kata_" C, "pod" UID, "besteffort", "kubepods" } };
	struct cgroup_names dockers = { { "kata_" C, "docker" } };
	struct cgroup_names helpers = { { C, "kata_overhead" } };
	struct cgroup_names other = { { C, "pod" UID, "besteffort", "kubepods" } };
	struct cgroup_place place;

	(void)state;
	assert_container("kata_" C, "pod" UID, "besteffort", C, UID, "");
	assert_container("kata_" C, "docker", "", C, "", "");
	assert_no_container("xkata_" C, "docker", "");
	assert_no_container("kata_" C "0", "docker", "");
	assert_int_equal(cgroup_path__parse(&pods, &place), 0);
	assert_true(place.machine);
	assert_int_equal(cgroup_path__parse(&dockers, &place), 0);
	assert_true(place.machine);
	assert_int_equal(cgroup_path__parse(&helpers, &place), 0);
	assert_true(place.machine);
	assert_int_equal(cgroup_path__parse(&other, &place), 0);
	assert_false(place.machine);
}

static void entrypoint_of_crun_is_one_level_below(void **state)
{
	(void)state;
	assert_container("container", "libpod-" C ".scope", "machine.slice", C, "", "podman");
	assert_container("container", "crio-" C ".scope", POD_SLICE, C, UID, "cri-o");
}

static void init_scope_inside_is_the_entrypoints(void **state)
{
	(void)state;
	assert_container("init.scope", "docker-" C ".scope", "system.slice", C, "", "docker");
	assert_container("init.scope", "container", "libpod-" C ".scope", C, "", "podman");
	assert_no_container("init.scope", "", "");
	assert_no_container("init.scope", "container", "x");
}

static void what_a_container_makes_inside_is_not_its_log(void **state)
{
	(void)state;
	assert_no_container("cron.service", "system.slice", "docker-" C ".scope");
	assert_no_container("worker", "cri-containerd-" C ".scope", POD_SLICE);
	assert_no_container("worker", "jobs", C);
}

static void outermost_id_wins(void **state)
{
	(void)state;
	assert_container(C2, "docker", C, C, "", "");
	assert_container(C2, C, "pod" UID, C, UID, "");
	assert_container("cri-containerd-" C2 ".scope", "kubepods-pod" SLICE_UID ".slice", "docker-" C ".scope", C, "",
			 "docker");
}

static struct cgroup_place parsed(struct cgroup_names names)
{
	struct cgroup_place place;

	assert_int_equal(cgroup_path__parse(&names, &place), 0);
	return place;
}

static void deep_paths_are_read_from_the_top(void **state)
{
	struct cgroup_place place;

	(void)state;
	place = parsed((struct cgroup_names){ { "container", "libpod-" C ".scope", "user.slice", "user@1000.service",
						"user-1000.slice", "user.slice" } });
	assert_string_equal(place.container_id, C);
	assert_int_equal(place.uid, 1000);
	place = parsed((struct cgroup_names){ { "init.scope", "libpod-payload-" C, "web.service", "app.slice",
						"user@7.service", "user-7.slice", "user.slice" } });
	assert_string_equal(place.container_id, C);
	assert_int_equal(place.uid, 7);
	place = parsed((struct cgroup_names){ { "cri-containerd-" C2 ".scope", "kubelet-" POD_SLICE,
						"kubelet-kubepods-burstable.slice", "kubelet-kubepods.slice",
						"kubelet.slice", "docker-" C ".scope", "system.slice" } });
	assert_string_equal(place.container_id, C);
	assert_string_equal(place.pod_uid, "");
	place = parsed((struct cgroup_names){ { C2, "x", "x", CGROUP_NAMES_GAP, "cri-containerd-" C ".scope", POD_SLICE,
						"kubepods-burstable.slice", "kubepods.slice" } });
	assert_string_equal(place.container_id, C);
	assert_string_equal(place.pod_uid, UID);
}

static void users_have_no_pods(void **state)
{
	struct cgroup_place place = parsed((struct cgroup_names){
		{ "cri-containerd-" C ".scope", POD_SLICE, "user@7.service", "user-7.slice", "user.slice" } });

	(void)state;
	assert_int_equal(place.uid, 7);
	assert_string_equal(place.pod_uid, "");
}

static void conmon_is_not_its_container(void **state)
{
	(void)state;
	assert_no_container("crio-conmon-" C ".scope", POD_SLICE, "kubepods-burstable.slice");
	assert_no_container("crio-conmon-" C, "pod" UID, "burstable");
	assert_no_container("libpod-conmon-" C ".scope", "machine.slice", "");
	assert_no_container("libpod-conmon-" C, "libpod_parent", "");
}

static void free_names_are_a_guess(void **state)
{
	char longest[CONTAINER_ID_MAX + 2];

	(void)state;
	assert_container("web-1", "default", "", "web-1", "", "");
	assert_container("web-1", "", "", "web-1", "", "");
	assert_container("My_app.v1-2", "user-0.slice", "user.slice", "My_app.v1-2", "", "");
	assert_container("container", "default", "", "container", "", "");

	memset(longest, 'g', sizeof(longest));
	longest[CONTAINER_ID_MAX] = '\0';
	assert_container(longest, "default", "", longest, "", "");
	longest[CONTAINER_ID_MAX] = 'g';
	longest[CONTAINER_ID_MAX + 1] = '\0';
	assert_no_container(longest, "default", "");
}

/* A service, or a root in LXC, to whom a cgroup is delegated calls those below it what he likes. */
static void free_names_have_no_pods(void **state)
{
	(void)state;
	assert_container("app", "pod" UID, "besteffort", "app", "", "");
	assert_container("app", POD_SLICE, "web.service", "app", "", "");
}

static void systemd_units_are_no_containers(void **state)
{
	static const char *const unit[] = {
		"ssh.service", "session-1.scope", "user.slice", "dev-hugepages.mount",
		"dbus.socket", "dev-sda2.swap", "dev-sda.device", "apt-daily.timer",
		"proc.automount", "multi-user.target", "cups.path",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(unit) / sizeof(unit[0]); i++)
		assert_no_container(unit[i], "system.slice", "");
	assert_no_container("backup-" C ".service", "system.slice", "");
	assert_no_container("unknown-" C ".scope", "system.slice", "");
}

static void roots_and_pods_are_no_containers(void **state)
{
	(void)state;
	assert_no_container("", "", "");
	assert_no_container("pod" UID, "besteffort", "kubepods");
	assert_no_container("pod" STATIC_UID, "kubepods", "");
	assert_no_container(POD_SLICE, "kubepods-burstable.slice", "kubepods.slice");
}

static void names_that_would_leave_a_path_are_refused(void **state)
{
	(void)state;
	assert_no_container(".", "default", "");
	assert_no_container("..", "default", "");
	assert_no_container(".hidden", "default", "");
	assert_no_container("a/b", "default", "");
	assert_no_container("a b", "default", "");
	assert_no_container("a\n", "default", "");
	assert_no_container("caf\xc3\xa9", "default", "");
}

static void almost_an_id_is_none(void **state)
{
	char short_id[] = C;
	char upper[] = C;

	(void)state;
	short_id[63] = '\0';
	assert_container(short_id, "docker", "", short_id, "", "");
	upper[63] = 'F';
	assert_container(upper, "docker", "", upper, "", "");
	assert_no_container("docker" C ".scope", "system.slice", "");
	assert_no_container(C "0", "docker", "");
}

static void pod_uids_must_be_whole(void **state)
{
	(void)state;
	assert_container(C, "tripod" UID, "x", C, "", "");
	assert_container(C, "pod8a3bf2b1-0c4d", "x", C, "", "");
	assert_container(C, "pod" UID "0", "x", C, "", "");
	assert_container(C, "pod" UID ".scope", "x", C, "", "");
	assert_container(C, "pod-pod" UID, "x", C, UID, "");
}

static bool matches(const char *path, const char *leaf, const char *parent, const char *grandparent)
{
	struct cgroup_names names = names_of(leaf, parent, grandparent);

	return cgroup_path__matches(path, &names);
}

static void paths_match_the_cgroup_they_lead_to(void **state)
{
	(void)state;
	assert_true(matches("/default/web", "web", "default", ""));
	assert_true(matches("/sys/fs/cgroup/default/web", "web", "default", ""));
	assert_true(matches("/sys/fs/cgroup/web", "web", "", ""));
	assert_true(matches("/sys/fs/cgroup/pids/default/web", "web", "default", ""));
	assert_false(matches("/a/b/c/d", "d", "c", "b"));
	assert_true(cgroup_path__matches("/a/b/c/d", &(struct cgroup_names){ { "d", "c", "b", "a" } }));
	assert_true(cgroup_path__matches("/a/b/c/d", &(struct cgroup_names){ { "d", "c", "b", CGROUP_NAMES_REST } }));
	assert_false(cgroup_path__matches("/a/b/c/d", &(struct cgroup_names){ { "d", "c", CGROUP_NAMES_GAP, "a" } }));
}

static void paths_of_other_cgroups_do_not_match(void **state)
{
	(void)state;
	assert_false(matches("/default/web", "web", "default", "evil"));
	assert_false(matches("/default/web", "web", "", ""));
	assert_false(matches("/default/web", "eb", "default", ""));
	assert_false(matches("/sys/fs/cgroup/default/web", "web", "default", "cgroup"));
	assert_false(matches("default/web", "web", "default", ""));
	assert_false(matches("system.slice:runc:web", "web", "", ""));
	assert_false(matches("", "", "", ""));
	assert_false(matches("/", "web", "", ""));
}

static void assert_names(unsigned int level, const char *wanted)
{
	char leaf[CGROUP_NAMES][CGROUP_NAME_SIZE] = { 0 }, top[CGROUP_TOP_NAMES][CGROUP_NAME_SIZE] = { 0 };
	struct cgroup_names names;
	char text[256] = "";

	/* A path of letters from the root down: /a/b/c... */
	for (unsigned int i = 0; i < CGROUP_NAMES && i < level; i++)
		leaf[i][0] = 'a' + level - 1 - i;
	for (unsigned int i = 0; i < CGROUP_TOP_NAMES && i < level; i++)
		top[i][0] = 'a' + i;
	names = cgroup_path__names(leaf, top, level);
	for (int i = 0; i < IDENTITY_CGROUP_NAMES && names.name[i]; i++)
		strcat(strcat(text, names.name[i]), " ");
	assert_string_equal(text, wanted);
}

static void names_are_put_together_of_both_ends(void **state)
{
	char leaf[CGROUP_NAMES][CGROUP_NAME_SIZE] = { "c", "b", "a" };
	struct cgroup_names names;

	(void)state;
	assert_names(0, "");
	assert_names(1, "a ");
	assert_names(3, "c b a ");
	assert_names(5, "e d c b a ");
	assert_names(10, "j i h g f e d c b a ");
	assert_names(12, "l k j / g f e d c b a ");
	names = cgroup_path__names(leaf, NULL, 0);
	assert_string_equal(names.name[CGROUP_NAMES], CGROUP_NAMES_REST);
	assert_null(names.name[CGROUP_NAMES + 1]);
	leaf[2][0] = 0;
	assert_null(cgroup_path__names(leaf, NULL, 0).name[2]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_runtime_prefixes_the_id_in_its_own_way),
		cmocka_unit_test(kubernetes_names_give_container_and_pod),
		cmocka_unit_test(static_pods_have_uids_without_dashes),
		cmocka_unit_test(drivers_that_disagree_leave_a_slice_in_the_name),
		cmocka_unit_test(kata_keeps_machines_in_cgroups_of_its_own),
		cmocka_unit_test(entrypoint_of_crun_is_one_level_below),
		cmocka_unit_test(init_scope_inside_is_the_entrypoints),
		cmocka_unit_test(what_a_container_makes_inside_is_not_its_log),
		cmocka_unit_test(outermost_id_wins),
		cmocka_unit_test(deep_paths_are_read_from_the_top),
		cmocka_unit_test(users_have_no_pods),
		cmocka_unit_test(names_are_put_together_of_both_ends),
		cmocka_unit_test(conmon_is_not_its_container),
		cmocka_unit_test(free_names_are_a_guess),
		cmocka_unit_test(free_names_have_no_pods),
		cmocka_unit_test(systemd_units_are_no_containers),
		cmocka_unit_test(roots_and_pods_are_no_containers),
		cmocka_unit_test(names_that_would_leave_a_path_are_refused),
		cmocka_unit_test(almost_an_id_is_none),
		cmocka_unit_test(pod_uids_must_be_whole),
		cmocka_unit_test(paths_match_the_cgroup_they_lead_to),
		cmocka_unit_test(paths_of_other_cgroups_do_not_match),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
