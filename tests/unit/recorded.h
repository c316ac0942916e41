/*
 * Our records beside those that other agents made of the same lines of the same pods: of
 * recorded/lines.json, whose pods are in tests/kubernetes/pods and whose cluster is
 * recorded/cluster.json. Each field of theirs is in ours with the same type and value, and each of
 * ours is in theirs, but for exceptions, which are named with their reason. For the tests
 * test_recorded_*.c.
 */
#ifndef LOGTAP_TEST_RECORDED_H
#define LOGTAP_TEST_RECORDED_H

#include "layout_fixture.h"

#include <time.h>

#include "kubernetes/pod_json.h"

#define RECORDED "tests/unit/recorded/"
#define PODS "tests/kubernetes/pods/"
#define LINE_TIME 123456789 /* of all lines of the fixture */
#define LINE_MAX_BYTES 1024

static const char *const stream_names[STREAM_FILE + 1] = { [STREAM_STDOUT] = "stdout", [STREAM_STDERR] = "stderr", [STREAM_FILE] = "" };

/* Whose word a field is not. */
enum difference { OURS_ALONE, THEIRS_ALONE, OTHER_VALUE };

struct exception {
	enum difference difference;
	const char *path;        /* of the field; what is below it, too, if it is an object */
	const char *container;   /* of which it holds, or is the file's: "file"; NULL: of all */
	const char *line;        /* whose text begins so, or is "", too; NULL: of all */
	const char *reason;
};

/* What differs from agent to agent; records are compared as `shape` has them. */
struct agent {
	const char *file;        /* a line of JSON each */
	enum record_names names;
	/* Appends the records of a line to `all`; NULL: it is one. */
	void (*split)(const json_t *line, json_t *all);
	/* A new reference; NULL: as it is. */
	json_t *(*shape)(const json_t *record);
	/* Of a record in its shape; what it does not say stays NULL. */
	void (*place)(const json_t *record, const char **container, const char **stream);
	const struct exception *exceptions;
	const char *more;        /* more lines, and more of the cluster; NULL: none */
	bool host;               /* it tells of its host */
	bool short_times;        /* without zeros at their ends */
};

static json_t *load(const char *path)
{
	json_error_t error;
	json_t *json = json_load_file(path, 0, &error);

	if (!json)
		fail_msg("%s:%d: %s", path, error.line, error.text);
	return json;
}

static void append(const struct agent *agent, json_t *all, const char *text, size_t length)
{
	json_t *line = parse(text, length), *records = json_array(), *record;
	size_t i;

	if (agent->split)
		agent->split(line, records);
	else
		json_array_append(records, line);
	json_array_foreach(records, i, record)
		json_array_append_new(all, agent->shape ? agent->shape(record) : json_incref(record));
	json_decref(records);
	json_decref(line);
}

static json_t *load_lines(const struct agent *agent)
{
	json_t *all = json_array();
	FILE *file = fopen(agent->file, "r");
	char *line = NULL;
	size_t size = 0;
	ssize_t length;

	assert_non_null(file);
	while ((length = getline(&line, &size, file)) > 0)
		append(agent, all, line, length);
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
	const char *container, *line;
	unsigned int differences;
	uint64_t used;           /* bits of the exceptions that were met */
};

static bool begins(const char *line, const char *text)
{
	return *text ? !strncmp(line, text, strlen(text)) : !*line;
}

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
		if (exceptions[i].line && !begins(comparison->line, exceptions[i].line))
			continue;
		comparison->used |= 1ull << i;
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

/* Two texts of one time may be the same: ours have nine digits behind the point, theirs as many as they need. */
static bool same(const struct agent *agent, const json_t *theirs, const json_t *ours)
{
	if (json_equal(theirs, ours))
		return true;
	return agent->short_times && json_is_string(theirs) && json_is_string(ours) && time_of(json_string_value(theirs)) &&
	       time_of(json_string_value(theirs)) == time_of(json_string_value(ours));
}

static void compare(struct comparison *comparison, const char *path, const json_t *theirs, const json_t *ours)
{
	const char *name;
	const json_t *value;
	char below[512];

	if (!json_is_object(theirs) || !json_is_object(ours)) {
		if (!same(comparison->agent, theirs, ours))
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

static void put_node(struct pod *pod, const json_t *node)
{
	const json_t *metadata = json_object_get(node, "metadata");
	const json_t *address = json_array_get(json_object_get(json_object_get(node, "status"), "addresses"), 0);

	assert_int_equal(labels__set_all(&pod->node_labels, json_object_get(metadata, "labels")), 0);
	pod->node_uid = strdup(text(metadata, "uid"));
	if (address)
		pod->node_hostname = strdup(text(address, "address"));
}

/* As kube_jobs.c does it. */
static void put_cron_job(struct pod *pod, const json_t *jobs)
{
	const json_t *job;
	size_t i;

	json_array_foreach((json_t *)jobs, i, job) {
		const json_t *owner = pod_json__controller(job);

		if (!pod->owner_name || strcmp(text(json_object_get(job, "metadata"), "name"), pod->owner_name))
			continue;
		free(pod->workload_kind);
		free(pod->workload_name);
		free(pod->workload_uid);
		pod->workload_kind = strdup(text(owner, "kind"));
		pod->workload_name = strdup(text(owner, "name"));
		pod->workload_uid = strdup(text(owner, "uid"));
	}
}

static struct pod *pod_of(const json_t *object, const json_t *cluster)
{
	const json_t *metadata = json_object_get(object, "metadata"), *namespace;
	struct pod *pod = NULL;
	size_t i;

	assert_int_equal(pod_json__parse(object, &pod), 0);
	json_array_foreach(json_object_get(cluster, "namespaces"), i, namespace) {
		const json_t *its = json_object_get(namespace, "metadata");

		if (!strcmp(text(its, "name"), text(metadata, "namespace"))) {
			assert_int_equal(labels__set_all(&pod->namespace_labels, json_object_get(its, "labels")), 0);
			pod->namespace_uid = strdup(text(its, "uid"));
		}
		if (!strcmp(text(its, "name"), "kube-system"))
			pod->cluster_uid = strdup(text(its, "uid"));
	}
	put_node(pod, json_object_get(cluster, "node"));
	put_cron_job(pod, json_object_get(cluster, "jobs"));
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
	out[length] = '\0';
	if (json_is_string(parts))
		length += sprintf(out, "%s", json_string_value(parts));
	json_array_foreach((json_t *)parts, i, part)
		length += sprintf(out + length, "%s", json_string_value(part));
	return length;
}

static json_t *our_record(struct fixture *fixture, const struct agent *agent, const struct stream_source *source,
			  const json_t *line, char bytes[LINE_MAX_BYTES])
{
	const struct journal_record *record;
	size_t length;
	json_t *json;

	encoder__restore_clock(fixture->encoder, time_of(text(line, "time")) - LINE_TIME);
	length = bytes_of(line, bytes);
	record = encode_line(fixture, source, bytes, length, text(line, "partial") ? PARTIAL_TIMEOUT : PARTIAL_NONE, &process);
	json = parse(record->value, record->meta.value_len);
	if (agent->shape) {
		json_t *shaped = agent->shape(json);

		json_decref(json);
		json = shaped;
	}
	return json;
}

/* The first of theirs of this container and stream, which keep their order; it is taken out. */
static json_t *take_theirs(const struct agent *agent, json_t *recorded, const char *container, enum stream_kind kind)
{
	json_t *record;
	size_t i;

	json_array_foreach(recorded, i, record) {
		const char *its = NULL, *stream = NULL;

		agent->place(record, &its, &stream);
		if (strcmp(its ? its : "file", container) || (stream && strcmp(stream, stream_names[kind])))
			continue;
		json_incref(record);
		json_array_remove(recorded, i);
		return record;
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
		char bytes[LINE_MAX_BYTES];
		json_t *ours, *theirs;

		if (stream.kind != STREAM_FILE)
			stream.kind = strcmp(text(line, "stream"), "stderr") ? STREAM_STDOUT : STREAM_STDERR;
		ours = our_record(fixture, comparison->agent, &stream, line, bytes);
		comparison->line = bytes;
		theirs = take_theirs(comparison->agent, recorded, comparison->container, stream.kind);
		if (theirs)
			compare(comparison, "", theirs, ours);
		else
			differ(comparison, OURS_ALONE, "record", NULL, ours);
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

/* On which they were recorded. */
static void tell_their_host(struct fixture *fixture)
{
	fixture->cloud = (struct cloud_config){ (char *)"aws", (char *)"i-07", (char *)"eu-west-1", (char *)"eu-west-1b", (char *)"4711" };
	fixture->facts.cloud = &fixture->cloud;
	strcpy(fixture->facts.machine_id, "00112233445566778899aabbccddeeff");
	fixture->facts.has_os = true;
	fixture->facts.os = (struct host_os){
		.architecture = "x86_64",
		.kernel = "6.1.0-28-amd64",
		.id = "debian",
		.name = "Debian GNU/Linux",
		.version = "12 (bookworm)",
		.version_id = "12",
		.codename = "bookworm",
	};
}

static void add_more(const char *path, json_t *cluster, json_t *written)
{
	json_t *more = load(path);

	json_object_update(json_object_get(cluster, "node"), json_object_get(more, "node"));
	json_object_set(cluster, "jobs", json_object_get(more, "jobs"));
	json_array_extend(written, json_object_get(more, "lines"));
	json_decref(more);
}

static void compare_all(const struct agent *agent)
{
	struct comparison comparison = { .agent = agent };
	struct fixture *fixture = open_fixture(agent->names);
	json_t *cluster = load(RECORDED "cluster.json"), *written = load(RECORDED "lines.json");
	json_t *recorded = load_lines(agent), *one;
	size_t i;

	if (agent->host)
		tell_their_host(fixture);
	if (agent->more)
		add_more(agent->more, cluster, written);
	json_array_foreach(written, i, one) {
		struct stream_source file = { .kind = STREAM_FILE, .file = text(one, "file") };

		comparison.container = "file";
		if (file.file)
			compare_lines(fixture, &comparison, recorded, &file, json_object_get(one, "lines"));
		else
			compare_container(fixture, &comparison, recorded, one, cluster);
	}
	comparison.container = comparison.line = "left over";
	json_array_foreach(recorded, i, one)
		differ(&comparison, THEIRS_ALONE, "record", one, NULL);
	for (i = 0; agent->exceptions[i].path; i++)
		if (!(comparison.used & 1ull << i)) {
			print_error("%s: no record differs in %s (%s)\n", agent->file, agent->exceptions[i].path,
				    agent->exceptions[i].reason);
			comparison.differences++;
		}
	json_decref(recorded);
	json_decref(written);
	json_decref(cluster);
	close_fixture((void **)&fixture);
	assert_int_equal(comparison.differences, 0);
}

#endif
