#include "config_check.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <librdkafka/rdkafka.h>

#include "base/config.h"
#include "base/nearest.h"
#include "base/quantity.h"
#include "config_memory.h"
#include "config_source.h"
#include "kubernetes/kube_access.h"
#include "record/field_filter.h"
#include "record/layout.h"
#include "record/layout_sample.h"
#include "selection/label_selector.h"

/*
 * A mistake of `key`, told at its line or, when the file leaves it out, at the line of the key that
 * asks for it.
 */
#define mistake(source, key, asked_by, ...) \
	config_source__mistake(source, line_of(source, key, asked_by), key, __VA_ARGS__)

static unsigned int line_of(const struct config_source *source, const char *key,
			    const char *asked_by)
{
	unsigned int line = config_source__line(source, key);

	return line ? line : config_source__line(source, asked_by);
}

/* Of a list's entry. Where one was left out as mistaken (not `complete`), those behind it have other indexes. */
static unsigned int item_line(const struct config_source *source, const char *key, unsigned int index, bool complete)
{
	char item[CONFIG_KEY_MAX + 16];

	snprintf(item, sizeof(item), "%s[%u]", key, index);
	return line_of(source, complete ? item : key, key);
}

static void check_globs(char *const *globs, unsigned int count, const char *key,
			struct config_source *source)
{
	bool complete = !config_source__mistaken(source, key);

	for (unsigned int i = 0; i < count; i++)
		if (globs[i][0] != '/')
			config_source__mistake(source, item_line(source, key, i, complete), key,
					       "\"%s\" must be an absolute path: begin it with /", globs[i]);
		else if (globs[i][strlen(globs[i]) - 1] == '/')
			config_source__mistake(source, item_line(source, key, i, complete), key,
					       "\"%s\" matches no file; for all that is below it write \"%s**\"", globs[i],
					       globs[i]);
}

static void check_capture(const struct capture_config *capture, struct config_source *source)
{
	check_globs(capture->files, capture->files_count, "capture.files", source);
	if (capture->pin[0] && capture->pin[0] != '/')
		mistake(source, "capture.pin", "capture",
			"\"%s\" must be an absolute path: begin it with /, or leave it empty",
			capture->pin);
	check_globs(capture->exclude_files, capture->exclude_files_count, "capture.exclude_files",
		    source);
	if (!capture->containers && !capture->files_count &&
	    !config_source__mistaken(source, "capture.files"))
		mistake(source, "capture.containers", "capture",
			"nothing to capture: set it to true, or list files in capture.files");
}

/* "selection.include[0].labels" */
static void check_selectors(const struct selection_rule *rule, const char *key, struct config_source *source)
{
	bool complete = !config_source__mistaken(source, key);

	for (unsigned int i = 0; i < rule->labels_count; i++) {
		struct label_selector *selector = NULL;
		char problem[512];

		if (label_selector__parse(rule->labels[i], &selector, problem, sizeof(problem)) == -EINVAL)
			config_source__mistake(source, item_line(source, key, i, complete), key, "%s", problem);
		label_selector__free(selector);
	}
}

static void check_rules(const struct selection_rule *rules, unsigned int count, const char *key,
			struct config_source *source)
{
	for (unsigned int i = 0; i < count; i++) {
		const struct selection_rule *rule = &rules[i];
		char item[CONFIG_KEY_MAX], labels[CONFIG_KEY_MAX];

		snprintf(item, sizeof(item), "%s[%u]", key, i);
		snprintf(labels, sizeof(labels), "%s[%u].labels", key, i);
		check_selectors(rule, labels, source);
		if (!rule->namespaces_count && !rule->pods_count && !rule->containers_count && !rule->images_count &&
		    !rule->labels_count && !rule->streams_count && !config_source__mistaken(source, item) &&
		    !config_source__mistaken_in(source, item))
			mistake(source, item, key,
				"an empty rule would match everything; give it one of namespaces, pods, containers, images, labels, streams, or remove it");
	}
}

static void check_selection(const struct selection_config *selection, struct config_source *source)
{
	check_rules(selection->include, selection->include_count, "selection.include", source);
	check_rules(selection->exclude, selection->exclude_count, "selection.exclude", source);
	if (selection->annotated_only && !selection->annotations &&
	    !config_source__mistaken(source, "selection.annotations"))
		mistake(source, "selection.annotated_only", "selection",
			"nothing could ask to be captured: it needs \"annotations: true\"");
}

/* How many fields the glob matches; *told: of those, the ones that are always told. */
static unsigned int count_fields(json_t *fields, const char *glob, unsigned int *told)
{
	unsigned int count = 0;
	const char *path;
	json_t *always;

	*told = 0;
	json_object_foreach(fields, path, always) {
		bool matches = field_filter__matches(glob, path);

		count += matches;
		*told += matches && json_is_true(always);
	}
	return count;
}

/* Of the fields and the objects that they are in. */
static void find_nearest(struct nearest *nearest, json_t *fields, const char *glob)
{
	char object[FIELD_PATH_MAX];
	const char *path;
	json_t *always;
	char *dot;

	nearest__begin(nearest, glob);
	json_object_foreach(fields, path, always) {
		snprintf(object, sizeof(object), "%s", path);
		do {
			nearest__offer(nearest, object);
			dot = strrchr(object, '.');
			if (dot)
				*dot = 0;
		} while (dot);
	}
}

static void check_field(const char *glob, unsigned int line, const char *key, bool denied, json_t *fields,
			struct config_source *source)
{
	struct nearest nearest;
	unsigned int told;
	unsigned int count = count_fields(fields, glob, &told);

	if (!count) {
		find_nearest(&nearest, fields, glob);
		config_source__mistake(source, line, key, "\"%s\" is no field of records with these record.names; %s%s%s", glob,
				       *nearest.found ? "did you mean \"" : "README.md has those that there are",
				       nearest.found, *nearest.found ? "\"?" : "");
	} else if (denied && told == count) {
		config_source__mistake(source, line, key, "\"%s\" is told in any case; remove the entry", glob);
	}
}

static void check_field_list(char *const *globs, unsigned int count, const char *key, bool denied, json_t *fields,
			     struct config_source *source)
{
	bool complete = !config_source__mistaken(source, key);

	for (unsigned int i = 0; i < count; i++)
		check_field(globs[i], item_line(source, key, i, complete), key, denied, fields, source);
}

/* A field that is misspelt would be told, although somebody does not want it to be. */
static void check_fields(const struct record_config *record, struct config_source *source)
{
	const struct globs_config *globs = &record->fields;
	bool all = globs->allow_count == 1 && !strcmp(globs->allow[0], "*") && !globs->deny_count;
	json_t *fields;

	if (all || config_source__mistaken(source, "record.names"))
		return;
	fields = layout_sample__fields(record->names);
	if (!fields) {
		mistake(source, "record.fields", "record", "cannot be checked: out of memory");
		return;
	}
	check_field_list(globs->allow, globs->allow_count, "record.fields.allow", false, fields, source);
	check_field_list(globs->deny, globs->deny_count, "record.fields.deny", true, fields, source);
	json_decref(fields);
}

static void check_lines(const struct config *config, struct config_source *source)
{
	const struct lines_config *lines = &config->lines;
	uint64_t needed = 2 * lines->max_line * config->capture.shards;
	char is[QUANTITY_TEXT], must[QUANTITY_TEXT];

	if (lines->memory >= needed || config_source__mistaken(source, "lines.memory") ||
	    config_source__mistaken(source, "lines.max_line") ||
	    config_source__mistaken(source, "capture.shards"))
		return;
	mistake(source, "lines.memory", "lines.max_line",
		"%s is too small; use at least %s: two of the longest lines (lines.max_line) for each of %u shards",
		quantity__format(QUANTITY_SIZE, lines->memory, is),
		quantity__format(QUANTITY_SIZE, needed, must), config->capture.shards);
}

/* Slashes at the end or in a row stand for nothing. */
static bool same_path(const char *one, const char *other)
{
	for (;; one++, other++) {
		size_t slashes = strspn(one, "/"), others = strspn(other, "/");

		one += slashes;
		other += others;
		if (!*one || !*other)
			return !*one && !*other;
		if (*one != *other || !slashes != !others)
			return false;
	}
}

static void check_disk(const struct config *config, struct config_source *source)
{
	const struct journal_config *journal = &config->journal;
	uint64_t needed = 2 * journal->segment_size * config->capture.shards;
	char is[QUANTITY_TEXT], must[QUANTITY_TEXT];

	if (!*journal->disk.directory)
		return;
	if (journal->disk.directory[0] != '/')
		mistake(source, "journal.disk.directory", "journal",
			"\"%s\" must be an absolute path: begin it with /",
			journal->disk.directory);
	else if (same_path(journal->disk.directory, journal->directory))
		mistake(source, "journal.disk.directory", "journal",
			"must be another directory than journal.directory, on a disk");
	if (journal->disk.max_size < needed && !config_source__mistaken(source, "journal.disk.max_size") &&
	    !config_source__mistaken(source, "capture.shards"))
		mistake(source, "journal.disk.max_size", "journal.disk.directory",
			"%s is too small; use at least %s: two segments (journal.segment_size) "
			"for each of %u shards",
			quantity__format(QUANTITY_SIZE, journal->disk.max_size, is),
			quantity__format(QUANTITY_SIZE, needed, must), config->capture.shards);
}

/* With a disk, two more are kept free for what comes back from it. */
static unsigned int least_segments(const struct config *config)
{
	return *config->journal.disk.directory ? 4 : 2;
}

static void check_journal(const struct config *config, struct config_source *source)
{
	const struct journal_config *journal = &config->journal;
	uint64_t record = config__max_record(config);
	unsigned int least = least_segments(config);
	uint64_t needed = least * journal->segment_size * config->capture.shards;
	char is[QUANTITY_TEXT], must[QUANTITY_TEXT];

	if (journal->directory[0] != '/')
		mistake(source, "journal.directory", "journal",
			"\"%s\" must be an absolute path: begin it with /", journal->directory);
	if (config_source__mistaken(source, "journal.segment_size"))
		return;
	if (journal->segment_size < record && !config_source__mistaken(source, "lines.max_line"))
		mistake(source, "journal.segment_size", "lines.max_line",
			"%s cannot hold the largest record, %s: lines.max_line six times, as "
			"escaping may lengthen it, record.labels_max and 64KiB; "
			"use at least that, or a smaller lines.max_line",
			quantity__format(QUANTITY_SIZE, journal->segment_size, is),
			quantity__format(QUANTITY_SIZE, record, must));
	if (journal->max_size < needed && !config_source__mistaken(source, "journal.max_size") &&
	    !config_source__mistaken(source, "capture.shards"))
		mistake(source, "journal.max_size", "journal.segment_size",
			"%s is too small; use at least %s: %s segments (journal.segment_size) "
			"for each of %u shards%s",
			quantity__format(QUANTITY_SIZE, journal->max_size, is),
			quantity__format(QUANTITY_SIZE, needed, must), least == 2 ? "two" : "four",
			config->capture.shards,
			least == 2 ? "" : ", as with journal.disk two of them are for what comes back");
	check_disk(config, source);
}

/* [PROTOCOL://]HOST[:PORT]; an IPv6 address stands in brackets. */
static bool broker_is_valid(const char *broker)
{
	const char *scheme = strstr(broker, "://");
	const char *host = scheme ? scheme + 3 : broker;
	const char *port;
	size_t len;

	if (host[0] == '[') {
		len = strcspn(host, "]");
		if (len < 2 || host[len] != ']')
			return false;
		port = host + len + 1;
	} else {
		len = strcspn(host, ":");
		if (!len || strcspn(host, " \t\n,/[]") < len)
			return false;
		port = host + len;
	}
	if (!*port)
		return true;
	len = strspn(port + 1, "0123456789");
	return *port == ':' && len >= 1 && len <= 5 && !port[1 + len] && atoi(port + 1) >= 1 &&
	       atoi(port + 1) <= 65535;
}

static void check_brokers(const struct kafka_config *kafka, struct config_source *source)
{
	bool complete = !config_source__mistaken(source, "kafka.brokers");

	for (unsigned int i = 0; i < kafka->brokers_count; i++)
		if (!broker_is_valid(kafka->brokers[i]))
			config_source__mistake(source, item_line(source, "kafka.brokers", i, complete), "kafka.brokers",
					       "\"%s\" is no broker's address; use HOST:PORT", kafka->brokers[i]);
}

static void check_topic(const char *topic, struct config_source *source)
{
	static const char allowed[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";

	if (topic[strspn(topic, allowed)] || strcmp(topic, ".") == 0 || strcmp(topic, "..") == 0)
		mistake(source, "kafka.topic", "kafka",
			"\"%s\" is no topic name; use letters, digits, \".\", \"_\" and \"-\"",
			topic);
}

/*
 * librdkafka's properties that logtap's promises rest on, and the few values that keep them. The
 * sink sets them after what is passed through, so that this only tells the user what would have no
 * effect, or end in a failure later.
 */
static const struct owned {
	const char *property;
	const char *allowed[6];  /* none: not to be set at all */
	const char *reason;
} owned[] = {
	{ "bootstrap.servers", {}, "cannot be set here; use kafka.brokers" },
	{ "metadata.broker.list", {}, "cannot be set here; use kafka.brokers" },
	{ "compression.codec", {}, "cannot be set here; use kafka.compression" },
	{ "compression.type", {}, "cannot be set here; use kafka.compression" },
	{ "enable.idempotence",
	  { "true" },
	  "must be true: else a retry could double or reorder lines" },
	{ "acks",
	  { "all", "-1" },
	  "must be all: a line counts as delivered when all replicas in sync have it" },
	{ "request.required.acks",
	  { "all", "-1" },
	  "must be all: a line counts as delivered when all replicas in sync have it" },
	{ "delivery.report.only.error",
	  { "false" },
	  "must be false: only a delivery report counts as delivered" },
	{ "max.in.flight",
	  { "1", "2", "3", "4", "5" },
	  "must be 1 to 5: the idempotent producer's order rests on it" },
	{ "max.in.flight.requests.per.connection",
	  { "1", "2", "3", "4", "5" },
	  "must be 1 to 5: the idempotent producer's order rests on it" },
	{ "queuing.strategy", { "fifo" }, "must be fifo: anything else reorders lines" },
	{ "transactional.id", {}, "cannot be set: logtap makes no transactions" },
	{ "enable.gapless.guarantee",
	  { "true" },
	  "must be true: else what follows a failed batch would overtake it" },
	{ "log.queue", { "false" }, "must be false: logtap tells librdkafka's messages itself" },
};

/* Why the property cannot have this value; NULL: nothing speaks against it. */
static const char *refusal(const struct name_value *property)
{
	for (size_t i = 0; i < sizeof(owned) / sizeof(owned[0]); i++) {
		if (strcmp(owned[i].property, property->name) != 0)
			continue;
		for (int j = 0; owned[i].allowed[j]; j++)
			if (strcasecmp(owned[i].allowed[j], property->value) == 0)
				return NULL;
		return owned[i].reason;
	}
	return NULL;
}

/* What librdkafka says may end its line. */
static const char *chomp(char *reason)
{
	size_t len = strlen(reason);

	while (len && reason[len - 1] == '\n')
		reason[--len] = '\0';
	return reason;
}

static void check_property(rd_kafka_conf_t *conf, const struct name_value *property,
			   struct config_source *source)
{
	const char *refused = refusal(property);
	char key[CONFIG_KEY_MAX];
	char reason[512];

	snprintf(key, sizeof(key), "kafka.rdkafka.%s", property->name);
	if (refused)
		mistake(source, key, "kafka", "%s", refused);
	else if (rd_kafka_conf_set(conf, property->name, property->value, reason, sizeof(reason)) !=
		 RD_KAFKA_CONF_OK)
		mistake(source, key, "kafka", "librdkafka refuses it: %s", chomp(reason));
}

static void check_kafka(const struct config *config, struct config_source *source)
{
	const struct kafka_config *kafka = &config->kafka;
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	char reason[512];

	if (config->sink == SINK_KAFKA && !kafka->brokers_count &&
	    !config_source__mistaken(source, "kafka.brokers"))
		mistake(source, "kafka.brokers", "sink",
			"\"sink: kafka\" needs it: list HOST:PORT of at least one");
	check_brokers(kafka, source);
	check_topic(kafka->topic, source);
	if (rd_kafka_conf_set(conf, "compression.codec", kafka->compression, reason,
			      sizeof(reason)) != RD_KAFKA_CONF_OK)
		mistake(source, "kafka.compression", "kafka",
			"librdkafka refuses it: %s; use none, gzip, snappy, lz4 or zstd", reason);
	for (unsigned int i = 0; i < kafka->rdkafka_count; i++)
		check_property(conf, &kafka->rdkafka[i], source);
	rd_kafka_conf_destroy(conf);
}

static void check_kubernetes(const struct kubernetes_config *kubernetes, struct config_source *source)
{
	if (*kubernetes->kubeconfig && kubernetes->kubeconfig[0] != '/')
		mistake(source, "kubernetes.kubeconfig", "kubernetes",
			"\"%s\" must be an absolute path: begin it with /, or leave it empty", kubernetes->kubeconfig);
	if (*kubernetes->kubelet_ca && kubernetes->kubelet_ca[0] != '/')
		mistake(source, "kubernetes.kubelet_ca", "kubernetes",
			"\"%s\" must be an absolute path: begin it with /, or leave it empty", kubernetes->kubelet_ca);
	if (*kubernetes->kubelet_ca && kubernetes->kubelet_insecure)
		mistake(source, "kubernetes.kubelet_ca", "kubernetes",
			"has no effect with kubelet_insecure: true; leave one of them out");
	if (!kube_access__valid_server(kubernetes->kubelet))
		mistake(source, "kubernetes.kubelet", "kubernetes",
			"\"%s\" is no kubelet's address; use https://HOST:PORT", kubernetes->kubelet);
}

void config_check(const struct config *config, struct config_source *source)
{
	check_capture(&config->capture, source);
	check_selection(&config->selection, source);
	check_fields(&config->record, source);
	check_lines(config, source);
	check_journal(config, source);
	check_kafka(config, source);
	check_kubernetes(&config->kubernetes, source);
}
