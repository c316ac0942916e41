#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "../../user/base/config.h"
#include "../../user/identity/identity.h"
#include "../../user/kubernetes/pod.h"
#include "../../user/selection/selection.h"

#define C "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

struct fixture {
	char root[64];
	struct config config;
	char *files[4];
	char *excludes[4];
	struct selection *selection;
	struct identity identity;
	struct stream_slot slot;
	char id[65];
};

static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	strcpy(fixture->root, "/tmp/logtap-selection-XXXXXX");
	if (!mkdtemp(fixture->root))
		return -1;
	fixture->config.capture.containers = true;
	fixture->config.capture.files = fixture->files;
	fixture->config.capture.exclude_files = fixture->excludes;
	strcpy(fixture->slot.cgroup[0], "cri-containerd-" C ".scope");
	strcpy(fixture->slot.cgroup[1], "kubepods.slice");
	strcpy(fixture->id, C);
	fixture->identity.container_id = fixture->id;
	fixture->slot.ino = 11098;
	fixture->slot.kind = STREAM_STDOUT;
	*state = fixture;
	return selection__new(&fixture->config, fixture->root, &fixture->selection);
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;
	char command[96];

	selection__free(fixture->selection);
	snprintf(command, sizeof(command), "rm -r %s", fixture->root);
	assert_int_equal(system(command), 0);
	free(fixture);
	return 0;
}

/* What runc has written of the container: the descriptors that its init was given. */
static void write_state(const struct fixture *fixture, const char *descriptors)
{
	char path[PATH_MAX];
	FILE *file;

	snprintf(path, sizeof(path), "mkdir -p %s/run/containerd/runc/k8s.io/" C, fixture->root);
	assert_int_equal(system(path), 0);
	snprintf(path, sizeof(path), "%s/run/containerd/runc/k8s.io/" C "/state.json", fixture->root);
	file = fopen(path, "w");
	assert_non_null(file);
	fprintf(file, "{\"id\":\"x\",\"external_descriptors\":[%s]}", descriptors);
	assert_int_equal(fclose(file), 0);
}

static bool admits(struct fixture *fixture, enum stream_kind *kind)
{
	return selection__admits_pipe(fixture->selection, &fixture->slot, &fixture->identity, kind);
}

static void pipes_outside_of_containers_are_refused(void **state)
{
	struct fixture *fixture = *state;
	enum stream_kind kind;

	assert_false(selection__admits_pipe(fixture->selection, &fixture->slot, NULL, &kind));
	fixture->slot.flags = SLOT_CENSUS | SLOT_MID_LINE | SLOT_OLDEST_TASK;
	assert_false(selection__admits_pipe(fixture->selection, &fixture->slot, NULL, &kind));
}

static void without_containers_no_pipe_is_admitted(void **state)
{
	struct fixture *fixture = *state;
	enum stream_kind kind;

	fixture->config.capture.containers = false;
	assert_false(admits(fixture, &kind));
}

static void a_pipe_seen_at_the_first_exec_needs_no_file(void **state)
{
	struct fixture *fixture = *state;
	enum stream_kind kind;

	fixture->slot.kind = STREAM_STDERR;
	assert_true(admits(fixture, &kind));
	assert_int_equal(kind, STREAM_STDERR);
	/* Nor does one of a container that had its name before matter. */
	write_state(fixture, "\"/dev/null\",\"pipe:[1]\",\"pipe:[2]\"");
	assert_true(admits(fixture, &kind));
	assert_int_equal(kind, STREAM_STDERR);
}

static void a_pipe_seen_before_capture_began_is_the_inits_unless_a_file_denies_it(void **state)
{
	struct fixture *fixture = *state;
	enum stream_kind kind;

	fixture->slot.flags = SLOT_MID_LINE;
	assert_true(admits(fixture, &kind));
	write_state(fixture, "\"/dev/null\",\"pipe:[1]\",\"pipe:[2]\"");
	assert_false(admits(fixture, &kind));
}

static void a_found_pipe_must_be_the_inits(void **state)
{
	struct fixture *fixture = *state;
	enum stream_kind kind;

	write_state(fixture, "\"/dev/null\",\"pipe:[11098]\",\"pipe:[11099]\"");
	fixture->slot.flags = SLOT_CENSUS | SLOT_MID_LINE;
	assert_true(admits(fixture, &kind));
	assert_int_equal(kind, STREAM_STDOUT);
	/* kubectl exec, a | b: even the oldest task's are no match for what the runtime says. */
	fixture->slot.ino = 20000;
	fixture->slot.flags |= SLOT_OLDEST_TASK;
	assert_false(admits(fixture, &kind));
}

static void the_runtime_says_which_of_the_two_it_is(void **state)
{
	struct fixture *fixture = *state;
	enum stream_kind kind;

	write_state(fixture, "\"/dev/null\",\"pipe:[11098]\",\"pipe:[11099]\"");
	/* A process that was given its stderr as stdout was the first to be seen. */
	fixture->slot.flags = SLOT_CENSUS | SLOT_MID_LINE;
	fixture->slot.ino = 11099;
	assert_true(admits(fixture, &kind));
	assert_int_equal(kind, STREAM_STDERR);
}

static void without_a_file_the_oldest_tasks_pipes_are_taken(void **state)
{
	struct fixture *fixture = *state;
	enum stream_kind kind;

	fixture->slot.flags = SLOT_CENSUS | SLOT_MID_LINE;
	assert_false(admits(fixture, &kind));
	fixture->slot.flags |= SLOT_OLDEST_TASK;
	assert_true(admits(fixture, &kind));
	assert_int_equal(kind, STREAM_STDOUT);
}

/* --- what pods ask for */

static struct pod *make_pod(const char *uid, const char *annotation, const char *value)
{
	struct pod *pod = pod__new();

	assert_non_null(pod);
	pod->uid = strdup(uid);
	pod->name = strdup("web\x1b[2J");
	pod->namespace = strdup("shop");
	assert_int_equal(labels__set(&pod->annotations, annotation, value), 0);
	return pod;
}

/* What is selected of stdout of the pod's container; the pod goes. */
static enum selected selected(struct fixture *fixture, struct pod *pod)
{
	const struct identity of_pod = { .container_id = "id", .container_name = "main", .image = "image",
					 .runtime = "containerd", .pod_name = "web", .pod_namespace = "shop",
					 .pod_uid = "uid", .complete = true };
	enum selected is = selection__container(fixture->selection, &of_pod, pod, STREAM_STDOUT);

	pod__put(pod);
	return is;
}

static void pods_may_ask_to_be_left_out(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(selected(fixture, make_pod("u", "logtap.io/exclude", "true")), SELECTED_YES);
	fixture->config.selection.annotations = true;
	assert_int_equal(selected(fixture, make_pod("u", "logtap.io/exclude", "true")), SELECTED_NO);
	assert_int_equal(selected(fixture, make_pod("u", "logtap.io/exclude", "false")), SELECTED_YES);
	assert_int_equal(selected(fixture, make_pod("u", "fluentbit.io/exclude-main", "true")), SELECTED_NO);
	assert_int_equal(selected(fixture, make_pod("u", "fluentbit.io/exclude-web", "true")), SELECTED_YES);
	assert_int_equal(selected(fixture, NULL), SELECTED_UNKNOWN);
}

static void the_runtimes_word_counts_until_the_apis_comes(void **state)
{
	static char *web[] = { "app=web" };
	static struct selection_rule rule = { .labels = web, .labels_count = 1 };
	struct identity of_crio = { .container_id = "id", .container_name = "main", .image = "image", .runtime = "cri-o",
				    .pod_name = "web", .pod_namespace = "shop", .pod_uid = "uid", .complete = true };
	struct fixture *fixture = *state;
	struct pod *pod = make_pod("u", "other", "true");

	assert_int_equal(labels__set(&of_crio.pod_annotations, "logtap.io/exclude", "true"), 0);
	assert_int_equal(labels__set(&of_crio.pod_labels, "app", "web"), 0);
	fixture->config.selection.annotations = true;
	assert_int_equal(selection__container(fixture->selection, &of_crio, NULL, STREAM_STDOUT), SELECTED_UNKNOWN);
	of_crio.tells_pod = true;
	assert_int_equal(selection__container(fixture->selection, &of_crio, NULL, STREAM_STDOUT), SELECTED_NO);
	assert_int_equal(selection__container(fixture->selection, &of_crio, pod, STREAM_STDOUT), SELECTED_YES);
	/* So do rules. */
	selection__free(fixture->selection);
	fixture->config.selection = (struct selection_config){ .include = &rule, .include_count = 1 };
	assert_int_equal(selection__new(&fixture->config, fixture->root, &fixture->selection), 0);
	assert_int_equal(selection__container(fixture->selection, &of_crio, NULL, STREAM_STDOUT), SELECTED_YES);
	assert_int_equal(selection__container(fixture->selection, &of_crio, pod, STREAM_STDOUT), SELECTED_NO);
	pod__put(pod);
	labels__free(&of_crio.pod_annotations);
	labels__free(&of_crio.pod_labels);
}

static void only_pods_that_ask_for_it_may_be_wanted(void **state)
{
	const struct identity of_docker = { .container_id = "id", .container_name = "main", .image = "image",
					    .runtime = "docker", .pod_name = "", .pod_namespace = "", .pod_uid = "",
					    .complete = true };
	struct fixture *fixture = *state;

	fixture->config.selection.annotations = true;
	assert_int_equal(selection__container(fixture->selection, &of_docker, NULL, STREAM_STDOUT), SELECTED_YES);
	fixture->config.selection.annotated_only = true;
	assert_int_equal(selected(fixture, make_pod("u", "logtap.io/include", "true")), SELECTED_YES);
	assert_int_equal(selected(fixture, make_pod("u", "co.elastic.logs/enabled", "true")), SELECTED_YES);
	assert_int_equal(selected(fixture, make_pod("u", "logtap.io/exclude", "false")), SELECTED_NO);
	assert_int_equal(selected(fixture, NULL), SELECTED_UNKNOWN);
	assert_int_equal(selection__container(fixture->selection, &of_docker, NULL, STREAM_STDOUT), SELECTED_NO);
}

static void rules_bound_what_pods_ask_for(void **state)
{
	static char *names[] = { "shop" };
	static struct selection_rule rule = { .namespaces = names, .namespaces_count = 1 };
	struct fixture *fixture = *state;

	selection__free(fixture->selection);
	fixture->config.selection = (struct selection_config){
		.exclude = &rule, .exclude_count = 1, .annotations = true, .unknown = UNKNOWN_EXCLUDE
	};
	assert_int_equal(selection__new(&fixture->config, fixture->root, &fixture->selection), 0);
	assert_int_equal(selected(fixture, make_pod("u", "logtap.io/include", "true")), SELECTED_NO);
	/* It does not take the pod's word to know it. */
	assert_int_equal(selected(fixture, NULL), SELECTED_NO);
	assert_false(selection__takes_unknown(fixture->selection));
}

/* The bytes that went to stderr meanwhile. */
static void read_said(FILE *said, char *text, size_t size)
{
	size_t length;

	rewind(said);
	length = fread(text, 1, size - 1, said);
	text[length] = 0;
}

static void what_means_nothing_is_said_once_a_pod(void **state)
{
	struct fixture *fixture = *state;
	int before = dup(STDERR_FILENO);
	FILE *said = tmpfile();
	char text[65536], uid[16];
	size_t lines = 0;

	assert_non_null(said);
	fixture->config.selection.annotations = true;
	dup2(fileno(said), STDERR_FILENO);
	for (int i = 0; i < 2; i++)
		selected(fixture, make_pod("once", "logtap.io/exclude", "perhaps"));
	dup2(before, STDERR_FILENO);
	read_said(said, text, sizeof(text));
	assert_string_equal(text, "logtap: warning: pod web?[2J in shop: logtap.io/exclude has a value that means nothing "
				  "and is ignored; use \"true\" or \"false\", or for streams stdout, stderr or file\n");
	dup2(fileno(said), STDERR_FILENO);
	for (int i = 0; i < 1000; i++) {
		snprintf(uid, sizeof(uid), "pod %d", i);
		selected(fixture, make_pod(uid, "logtap.io/exclude", "perhaps"));
	}
	dup2(before, STDERR_FILENO);
	close(before);
	read_said(said, text, sizeof(text));
	fclose(said);
	for (const char *c = text; *c; c++)
		lines += *c == '\n';
	assert_int_equal(lines, 64);
}

/* --- files. The host's root: what mountinfo says of /proc is known without a file system of the test's own. */

static void file_setup(struct fixture *fixture, const char *path)
{
	struct stat st;

	assert_int_equal(stat("/proc", &st), 0);
	fixture->slot.kind = STREAM_FILE;
	fixture->slot.dev = major(st.st_dev) << 20 | minor(st.st_dev);
	strcpy(fixture->slot.path, path);
}

/* Leaf first, each with its NUL. */
static void set_names(struct fixture *fixture, const char *names, size_t length)
{
	memcpy(fixture->slot.names, names, length);
	fixture->slot.names_length = length;
}

#define SET_NAMES(fixture, names) set_names(fixture, names, sizeof(names))

static void want(struct fixture *fixture, const char *glob)
{
	fixture->files[fixture->config.capture.files_count++] = (char *)glob;
}

static void exclude(struct fixture *fixture, const char *glob)
{
	fixture->excludes[fixture->config.capture.exclude_files_count++] = (char *)glob;
}

static const char *file(struct fixture *fixture)
{
	return selection__file(fixture->selection, &fixture->slot, NULL);
}

static void assert_file(struct fixture *fixture, const char *expected)
{
	const char *path = file(fixture);

	assert_non_null(path);
	assert_string_equal(path, expected);
}

static void a_file_is_wanted_by_the_path_its_writer_sees(void **state)
{
	struct fixture *fixture = *state;

	file_setup(fixture, "/app/log/a.log");
	assert_null(file(fixture));
	want(fixture, "/nothing/*");
	assert_null(file(fixture));
	want(fixture, "/app/**/*.log");
	assert_file(fixture, "/app/log/a.log");
}

static void a_file_is_wanted_by_the_hosts_path(void **state)
{
	struct fixture *fixture = *state;

	file_setup(fixture, "/seen/otherwise");
	SET_NAMES(fixture, "a.log\0volumes");
	want(fixture, "/proc/volumes/*.log");
	assert_file(fixture, "/proc/volumes/a.log");
	/* The writer's path comes first. */
	want(fixture, "/seen/*");
	assert_file(fixture, "/seen/otherwise");
}

static void a_file_at_the_file_systems_root_has_one_name(void **state)
{
	struct fixture *fixture = *state;

	file_setup(fixture, "/x");
	SET_NAMES(fixture, "a.log");
	want(fixture, "/proc/a.log");
	assert_file(fixture, "/proc/a.log");
}

static void an_unknown_device_leaves_the_writers_path(void **state)
{
	struct fixture *fixture = *state;

	file_setup(fixture, "/app/a.log");
	fixture->slot.dev = 0xfffu << 20 | 0xfffff;
	SET_NAMES(fixture, "a.log\0proc");
	want(fixture, "/proc/*");
	assert_null(file(fixture));
	want(fixture, "/app/*");
	assert_file(fixture, "/app/a.log");
}

static void names_that_are_cut_or_too_long_name_nothing(void **state)
{
	struct fixture *fixture = *state;

	file_setup(fixture, "");
	want(fixture, "/**");
	fixture->slot.names_length = 0;
	assert_null(file(fixture));
	memset(fixture->slot.names, 0, sizeof(fixture->slot.names));
	fixture->slot.names_length = sizeof(fixture->slot.names) + 1;
	assert_null(file(fixture));
	/* The longest that can be: nothing but empty names. */
	fixture->slot.names_length = sizeof(fixture->slot.names);
	file(fixture);
}

static void excludes_win_by_either_path(void **state)
{
	struct fixture *fixture = *state;

	file_setup(fixture, "/app/a.log");
	SET_NAMES(fixture, "a.log\0volumes");
	want(fixture, "/app/*");
	want(fixture, "/proc/**");
	assert_non_null(file(fixture));
	exclude(fixture, "/app/b*");
	assert_non_null(file(fixture));
	exclude(fixture, "/proc/volumes/a*");
	assert_null(file(fixture));
	fixture->config.capture.exclude_files_count = 1;
	exclude(fixture, "/app/a*");
	assert_null(file(fixture));
}

static void the_runtimes_copies_are_never_wanted(void **state)
{
	static const char *const copies[] = {
		"/var/log/pods/ns_pod_uid/web/0.log",
		"/var/log/containers/web.log",
		"/var/lib/docker/containers/" C "/" C "-json.log",
		"/var/lib/containers/storage/overlay-containers/" C "/userdata/ctr.log",
	};
	struct fixture *fixture = *state;

	want(fixture, "/**");
	for (size_t i = 0; i < sizeof(copies) / sizeof(copies[0]); i++) {
		file_setup(fixture, copies[i]);
		assert_null(file(fixture));
	}
	file_setup(fixture, "/var/log/podsx/0.log");
	assert_file(fixture, "/var/log/podsx/0.log");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(pipes_outside_of_containers_are_refused),
		TEST(without_containers_no_pipe_is_admitted),
		TEST(a_pipe_seen_at_the_first_exec_needs_no_file),
		TEST(a_pipe_seen_before_capture_began_is_the_inits_unless_a_file_denies_it),
		TEST(a_found_pipe_must_be_the_inits),
		TEST(the_runtime_says_which_of_the_two_it_is),
		TEST(without_a_file_the_oldest_tasks_pipes_are_taken),
		TEST(pods_may_ask_to_be_left_out),
		TEST(the_runtimes_word_counts_until_the_apis_comes),
		TEST(only_pods_that_ask_for_it_may_be_wanted),
		TEST(rules_bound_what_pods_ask_for),
		TEST(what_means_nothing_is_said_once_a_pod),
		TEST(a_file_is_wanted_by_the_path_its_writer_sees),
		TEST(a_file_is_wanted_by_the_hosts_path),
		TEST(a_file_at_the_file_systems_root_has_one_name),
		TEST(an_unknown_device_leaves_the_writers_path),
		TEST(names_that_are_cut_or_too_long_name_nothing),
		TEST(excludes_win_by_either_path),
		TEST(the_runtimes_copies_are_never_wanted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
