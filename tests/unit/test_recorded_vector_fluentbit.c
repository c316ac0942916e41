/* The presets default and fluentbit beside what Vector and Fluent Bit said: see recorded/vector_fluentbit.md. */
#include "recorded.h"

/* Lines of lines.json. */
#define JOINED "first, second, third"
#define UNFINISHED "a question? "

static const struct exception of_vector[] = {
	{ OURS_ALONE, "id", NULL, NULL, "our own" },
	{ OURS_ALONE, "process", NULL, NULL, "our own" },
	{ OURS_ALONE, "container", NULL, NULL, "our own" },
	{ OURS_ALONE, "host", NULL, NULL, "our own, but in a file's record" },
	{ OURS_ALONE, "kubernetes.workload", NULL, NULL, "our own" },
	{ OURS_ALONE, "kubernetes.service_account", NULL, NULL, "our own" },
	{ OURS_ALONE, "kubernetes.qos_class", NULL, NULL, "our own" },
	{ OURS_ALONE, "kubernetes.restart_count", NULL, NULL, "our own" },
	{ OURS_ALONE, "kubernetes.container_id", "migrate", NULL, "it does not look among init containers" },
	{ OURS_ALONE, "kubernetes.container_image", "migrate", NULL, "it does not look among init containers" },
	{ OURS_ALONE, "kubernetes.container_image_id", "migrate", NULL, "it does not look among init containers" },
	{ OURS_ALONE, "kubernetes.container_id", "debugger-4kz7q", NULL, "it does not look among ephemeral ones" },
	{ OURS_ALONE, "kubernetes.container_image", "debugger-4kz7q", NULL, "it does not look among ephemeral ones" },
	{ OTHER_VALUE, "kubernetes.pod_uid", "etcd", NULL, "a static pod's is the node's, known without the API server" },
	{ OTHER_VALUE, "timestamp", "nginx", JOINED, "that of the runtime's first piece" },
	{ THEIRS_ALONE, "_partial", "nginx", JOINED, "that of the runtime's first piece; the line was written at once" },
	{ THEIRS_ALONE, "_partial", "nginx", UNFINISHED, "`partial` says more" },
	{ OURS_ALONE, "partial", "nginx", UNFINISHED, "our own" },
	{ OTHER_VALUE, "timestamp", "file", NULL, "when it was read, not when it was written" },
	{ OTHER_VALUE, "host", "file", NULL, "it ran on another" },
	{ 0 },
};

static const struct exception of_fluentbit[] = {
	{ OURS_ALONE, "logtap", NULL, NULL, "what Fluent Bit does not know" },
	{ OURS_ALONE, "kubernetes.container_image", "debugger-4kz7q", NULL, "it does not look among ephemeral containers" },
	{ OTHER_VALUE, "kubernetes.pod_id", "etcd", NULL, "a static pod's is the node's, known without the API server" },
	{ OTHER_VALUE, "_p", "nginx", JOINED, "that of the runtime's first piece; the line was written at once" },
	{ OTHER_VALUE, "time", "nginx", JOINED, "that of the runtime's first piece" },
	{ OTHER_VALUE, "@timestamp", "nginx", JOINED, "that of the runtime's first piece" },
	{ OTHER_VALUE, "log", "nginx", "progress", "it takes the CR away" },
	{ OTHER_VALUE, "log", "nginx", "caf", "it leaves out what is not UTF-8" },
	{ OTHER_VALUE, "log", "bare", NULL, "of Docker's files it keeps the newline" },
	{ OURS_ALONE, "_p", "bare", NULL, "Docker's files have no such tag" },
	{ OURS_ALONE, "_p", "file", NULL, "a file has no such tag" },
	{ OURS_ALONE, "time", "file", NULL, "a file has no time" },
	{ OTHER_VALUE, "@timestamp", "file", NULL, "when it was read, not when it was written" },
	{ 0 },
};

static void place(const json_t *record, const char **container, const char **stream)
{
	*container = text(json_object_get(record, "kubernetes"), "container_name");
	*stream = text(record, "stream");
}

static const struct agent vector = {
	.file = RECORDED "vector.jsonl",
	.names = NAMES_DEFAULT,
	.place = place,
	.exceptions = of_vector,
	.short_times = true,
};

static const struct agent fluentbit = {
	.file = RECORDED "fluentbit.jsonl",
	.names = NAMES_FLUENTBIT,
	.place = place,
	.exceptions = of_fluentbit,
	.short_times = true,
};

static void default_is_what_vector_says(void **state)
{
	(void)state;
	compare_all(&vector);
}

static void fluentbit_is_what_fluent_bit_says(void **state)
{
	(void)state;
	compare_all(&fluentbit);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(default_is_what_vector_says),
		cmocka_unit_test(fluentbit_is_what_fluent_bit_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
