/*
 * Our records beside those that Vector and Fluent Bit made of the same lines of the same pods: see
 * recorded/vector_fluentbit.md. Each field of theirs is in ours with the same type and value, and
 * each of ours is in theirs, but for those that are named here, with the reason.
 */
#include "layout_fixture.h"

#include <time.h>

#include "pod_json.h"
#include "timestamp.h"

#define RECORDED "tests/unit/recorded/"
#define PODS "tests/kubernetes/pods/"
#define LINE_TIME 123456789 /* of all lines of the fixture */

/* Whose word a field is not. */
enum difference { OURS_ALONE, THEIRS_ALONE, OTHER_VALUE };

struct exception {
	enum difference difference;
	const char *path;        /* of the field; what is below it, too, if it is an object */
	const char *container;   /* of which it holds, or is the file's: "file"; NULL: of all */
	const char *message;     /* of the one line of which it holds; NULL: of all */
	const char *reason;
};

struct agent {
	const char *file;
	enum record_names names;
	const char *message;     /* the name of a record's text */
	const struct exception *exceptions;
};

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
	{ OTHER_VALUE, "log", "nginx", "progress\r", "it takes the CR away" },
	{ OTHER_VALUE, "log", "nginx", "caf\xef\xbf\xbd latte", "it leaves out what is not UTF-8" },
	{ OTHER_VALUE, "log", "bare", NULL, "of Docker's files it keeps the newline" },
	{ OURS_ALONE, "_p", "bare", NULL, "Docker's files have no such tag" },
	{ OURS_ALONE, "_p", "file", NULL, "a file has no such tag" },
	{ OURS_ALONE, "time", "file", NULL, "a file has no time" },
	{ OTHER_VALUE, "@timestamp", "file", NULL, "when it was read, not when it was written" },
	{ 0 },
};

static const struct agent vector = { RECORDED "vector.jsonl", NAMES_DEFAULT, "message", of_vector };
static const struct agent fluentbit = { RECORDED "fluentbit.jsonl", NAMES_FLUENTBIT, "log", of_fluentbit };

static json_t *load(const char *path)
{
	json_error_t error;
	json_t *json = json_load_file(path, 0, &error);

	if (!json)
		fail_msg("%s:%d: %s", path, error.line, error.text);
	return json;
}

static json_t *load_lines(const char *path)
{
	json_t *all = json_array();
	FILE *file = fopen(path, "r");
	char *line = NULL;
	size_t size = 0;
	ssize_t length;

	assert_non_null(file);
	while ((length = getline(&line, &size, file)) > 0)
		json_array_append_new(all, parse(line, length));
	free(line);
	fclose(file);
	return all;
}

static const char *text(const json_t *object, const char *name)
{
	return json_string_value(json_object_get(object, name));
}

/* --- what is compared */

struct comparison {
	const struct agent *agent;
	const char *container;
	const char *message;     /* of our record */
	unsigned int differences;
	unsigned int used;       /* bits of the exceptions that were met */
};

static bool excepted(struct comparison *comparison, enum difference difference, const char *path)
{
	const struct exception *exceptions = comparison->agent->exceptions;

	for (int i = 0; exceptions[i].path; i++) {
		size_t length = strlen(exceptions[i].path);

		if (exceptions[i].difference != difference || strncmp(path, exceptions[i].path, length) ||
		    (path[length] && path[length] != '.'))
			continue;
		if (exceptions[i].container && strcmp(exceptions[i].container, comparison->container))
			continue;
		if (exceptions[i].message && strcmp(exceptions[i].message, comparison->message))
			continue;
		comparison->used |= 1u << i;
		return true;
	}
	return false;
}

static void differ(struct comparison *comparison, enum difference difference, const char *path, const json_t *theirs,
		   const json_t *ours)
{
	char *their_text = theirs ? json_dumps(theirs, JSON_ENCODE_ANY) : NULL;
	char *our_text = ours ? json_dumps(ours, JSON_ENCODE_ANY) : NULL;

	if (!excepted(comparison, difference, path)) {
		comparison->differences++;
		print_error("%s, %s: %s: theirs %s, ours %s\n", comparison->agent->file, comparison->container, path,
			    their_text ? their_text : "-", our_text ? our_text : "-");
	}
	free(their_text);
	free(our_text);
}

/* Nanoseconds; 0: it is no time. */
static uint64_t time_of(const char *text)
{
	struct tm tm = { 0 };
	char *end = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
	uint64_t fraction = 0;
	int digits = 0;

	if (!end)
		return 0;
	if (*end == '.')
		for (end++; *end >= '0' && *end <= '9'; end++, digits++)
			fraction = fraction * 10 + *end - '0';
	if (strcmp(end, "Z"))
		return 0;
	for (; digits < 9; digits++)
		fraction *= 10;
	return timegm(&tm) * 1000000000ull + fraction;
}

/* Two texts of one time are the same: ours have nine digits behind the point, theirs as many as they need. */
static bool same(const json_t *theirs, const json_t *ours)
{
	if (json_equal(theirs, ours))
		return true;
	return json_is_string(theirs) && json_is_string(ours) && time_of(json_string_value(theirs)) &&
	       time_of(json_string_value(theirs)) == time_of(json_string_value(ours));
}

static void compare(struct comparison *comparison, const char *path, const json_t *theirs, const json_t *ours)
{
	const char *name;
	const json_t *value;
	char below[512];

	if (!json_is_object(theirs) || !json_is_object(ours)) {
		if (!same(theirs, ours))
			differ(comparison, OTHER_VALUE, path, theirs, ours);
		return;
	}
	json_object_foreach((json_t *)theirs, name, value) {
		snprintf(below, sizeof(below), "%s%s%s", path, *path ? "." : "", name);
		if (json_object_get(ours, name))
			compare(comparison, below, value, json_object_get(ours, name));
		else
			differ(comparison, THEIRS_ALONE, below, value, NULL);
	}
	json_object_foreach((json_t *)ours, name, value) {
		snprintf(below, sizeof(below), "%s%s%s", path, *path ? "." : "", name);
		if (!json_object_get(theirs, name))
			differ(comparison, OURS_ALONE, below, NULL, value);
	}
}

/* --- our record of what was written */

static struct pod *pod_of(const json_t *object, const json_t *cluster)
{
	const json_t *metadata = json_object_get(object, "metadata"), *namespace;
	struct pod *pod = NULL;
	size_t i;

	assert_int_equal(pod_json__parse(object, &pod), 0);
	json_array_foreach(json_object_get(cluster, "namespaces"), i, namespace) {
		const json_t *its = json_object_get(namespace, "metadata");

		if (!strcmp(text(its, "name"), text(metadata, "namespace")))
			assert_int_equal(labels__set_all(&pod->namespace_labels, json_object_get(its, "labels")), 0);
	}
	assert_int_equal(labels__set_all(&pod->node_labels,
					 json_object_get(json_object_get(json_object_get(cluster, "node"), "metadata"), "labels")),
			 0);
	return pod;
}

/* What was written, in as many pieces as the runtime made of it; or hexadecimal, where it is no text. */
static size_t bytes_of(const json_t *line, char *out)
{
	const json_t *parts = json_object_get(line, "text"), *part;
	size_t length = 0, i;
	unsigned int byte;

	for (const char *hex = text(line, "hex"); hex && sscanf(hex, "%2x", &byte) == 1; hex += 2)
		out[length++] = byte;
	if (json_is_string(parts))
		length += sprintf(out, "%s", json_string_value(parts));
	json_array_foreach((json_t *)parts, i, part)
		length += sprintf(out + length, "%s", json_string_value(part));
	return length;
}

static json_t *our_record(struct fixture *fixture, const struct stream_source *source, const json_t *line)
{
	const struct journal_record *record;
	char bytes[1024];
	size_t length;

	encoder__restore_clock(fixture->encoder, time_of(text(line, "time")) - LINE_TIME);
	length = bytes_of(line, bytes);
	record = encode_line(fixture, source, bytes, length, text(line, "partial") ? PARTIAL_TIMEOUT : PARTIAL_NONE, &process);
	return parse(record->value, record->meta.value_len);
}

/* The first of theirs of this container and stream, which keep their order; it is taken out. */
static json_t *take_theirs(json_t *recorded, const char *container, const json_t *ours)
{
	const json_t *stream = json_object_get(ours, "stream");
	json_t *event;
	size_t i;

	json_array_foreach(recorded, i, event) {
		const char *its = text(json_object_get(event, "kubernetes"), "container_name");

		if (strcmp(its ? its : "file", container) || (stream && !json_equal(json_object_get(event, "stream"), stream)))
			continue;
		json_incref(event);
		json_array_remove(recorded, i);
		return event;
	}
	return NULL;
}

static void compare_lines(struct fixture *fixture, struct comparison *comparison, json_t *recorded,
			  const struct stream_source *source, const json_t *lines)
{
	struct stream_source stream = *source;
	const json_t *line;
	size_t i;

	json_array_foreach((json_t *)lines, i, line) {
		json_t *ours, *theirs;

		if (stream.kind != STREAM_FILE)
			stream.kind = strcmp(text(line, "stream"), "stderr") ? STREAM_STDOUT : STREAM_STDERR;
		ours = our_record(fixture, &stream, line);
		comparison->message = text(ours, comparison->agent->message);
		theirs = take_theirs(recorded, comparison->container, ours);
		if (theirs)
			compare(comparison, "", theirs, ours);
		else
			differ(comparison, OURS_ALONE, comparison->agent->message, NULL,
			       json_object_get(ours, comparison->agent->message));
		json_decref(ours);
		json_decref(theirs);
	}
}

static void compare_container(struct fixture *fixture, struct comparison *comparison, json_t *recorded,
			      const json_t *container, const json_t *cluster)
{
	char path[512], attempt[16];
	json_t *object;
	struct pod *pod;
	struct identity identity;
	struct stream_source source;

	snprintf(path, sizeof(path), PODS "%s", text(container, "pod"));
	object = load(path);
	pod = pod_of(object, cluster);
	snprintf(attempt, sizeof(attempt), "%d", (int)json_integer_value(json_object_get(container, "attempt")));
	snprintf(path, sizeof(path), "/var/log/pods/%s_%s_%s/%s/%s.log", pod->namespace, pod->name, pod->uid,
		 text(container, "container"), attempt);
	identity = (struct identity){
		.container_id = (char *)text(container, "id"),
		.container_name = (char *)text(container, "container"),
		.image = (char *)text(container, "image"),
		.runtime = (char *)text(container, "runtime"),
		.pod_name = pod->name,
		.pod_namespace = pod->namespace,
		.pod_uid = pod->uid,
		.restart_count = attempt,
		.log_path = path,
	};
	source = (struct stream_source){ .identity = &identity, .pod = pod, .enrichment = true };
	comparison->container = identity.container_name;
	compare_lines(fixture, comparison, recorded, &source, json_object_get(container, "lines"));
	pod__put(pod);
	json_decref(object);
}

static void compare_all(const struct agent *agent)
{
	struct comparison comparison = { .agent = agent };
	struct fixture *fixture = open_fixture(agent->names);
	json_t *cluster = load(RECORDED "cluster.json"), *written = load(RECORDED "lines.json");
	json_t *recorded = load_lines(agent->file), *one;
	size_t i;

	json_array_foreach(written, i, one) {
		struct stream_source file = { .kind = STREAM_FILE, .file = text(one, "file") };

		comparison.container = "file";
		if (file.file)
			compare_lines(fixture, &comparison, recorded, &file, json_object_get(one, "lines"));
		else
			compare_container(fixture, &comparison, recorded, one, cluster);
	}
	comparison.container = "left over";
	json_array_foreach(recorded, i, one)
		differ(&comparison, THEIRS_ALONE, agent->message, one, NULL);
	for (i = 0; agent->exceptions[i].path; i++)
		if (!(comparison.used & 1u << i))
			differ(&comparison, agent->exceptions[i].difference, agent->exceptions[i].reason, NULL, NULL);
	json_decref(recorded);
	json_decref(written);
	json_decref(cluster);
	close_fixture((void **)&fixture);
	assert_int_equal(comparison.differences, 0);
}

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
