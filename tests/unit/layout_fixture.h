/* Streams as presets are shown them, and their records as text. For the tests of layouts. */
#ifndef LOGTAP_TEST_LAYOUT_FIXTURE_H
#define LOGTAP_TEST_LAYOUT_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/counters.h"
#include "identity/identity.h"
#include "identity/service.h"
#include "journal/journal.h"
#include "kubernetes/pod.h"
#include "record/record_facts.h"
#include "stream/encode.h"

#define C "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define POD_UID "8a3bf2b1-0c4d-4e5f-9a6b-7c8d9e0f1a2b"
#define MIB (1u << 20)

struct fixture {
	char directory[64];
	struct journal *journal;
	struct counters counters;
	bool abandon;
	char *all[1];
	struct record_config record;
	struct cloud_config cloud;
	struct record_facts facts;
	struct encoder_options options;
	struct encoder *encoder;
	struct pod *pod;
	struct journal_record read; /* the latest */
};

static const struct identity identity = {
	.container_id = C,
	.container_name = "web",
	.image = "registry.example.org:5000/shop/web:1.2",
	.runtime = "containerd",
	.pod_name = "web-7d4b9c6f5-x2x9p",
	.pod_namespace = "shop",
	.pod_uid = POD_UID,
	.restart_count = (char *)"2",
	.log_path = (char *)"/var/log/pods/shop_web-7d4b9c6f5-x2x9p_" POD_UID "/web/2.log",
};
static struct label own_label = { (char *)"com.example/tier", (char *)"db" };
static const struct identity lone = {
	.container_id = C,
	.container_name = "db",
	.image = "postgres",
	.runtime = "docker",
	.pod_name = "",
	.pod_namespace = "",
	.pod_uid = "",
	.restart_count = (char *)"1",
	.log_path = (char *)"",
	.labels = { &own_label, 1, 18 },
};
static const struct service service = { .unit = "nginx.service", .slice = "system.slice" };
static const struct process process = { .tag = 9, .tgid = 41, .uid = 1000, .name = "nginx" };

static struct pod *make_pod(void)
{
	struct pod *pod = pod__new();

	assert_non_null(pod);
	pod->uid = strdup(POD_UID);
	pod->name = strdup("web-7d4b9c6f5-x2x9p");
	pod->namespace = strdup("shop");
	pod->ip = strdup("10.1.2.3");
	pod->qos_class = strdup("Burstable");
	pod->service_account = strdup("default");
	pod->ips[0] = strdup("10.1.2.3");
	pod->ips[1] = strdup("fd00::3");
	pod->first_owner = strdup("Shop/berlin");
	pod->owner_kind = strdup("ReplicaSet");
	pod->owner_name = strdup("web-7d4b9c6f5");
	pod->workload_kind = strdup("Deployment");
	pod->workload_name = strdup("web");
	assert_int_equal(labels__set(&pod->labels, "app.kubernetes.io/name", "web"), 0);
	assert_int_equal(labels__set(&pod->labels, "canary", ""), 0);
	assert_int_equal(labels__set(&pod->annotations, "prometheus.io/port", "9100"), 0);
	assert_int_equal(labels__set(&pod->namespace_labels, "team", "cart"), 0);
	assert_int_equal(labels__set(&pod->node_labels, "zone", "a"), 0);
	pod->containers = calloc(1, sizeof(*pod->containers));
	pod->containers_count = 1;
	pod->containers[0] = (struct pod_container){ strdup("web"), strdup(C), strdup("registry.example.org:5000/shop/web@sha256:ab12"),
						  strdup("shop/web:1.2"), strdup("registry.example.org:5000/shop/web:1.2"), 3 };
	return pod;
}

static void start_encoder(struct fixture *fixture)
{
	encoder__free(fixture->encoder);
	assert_int_equal(encoder__new(&fixture->options, &fixture->encoder), 0);
	encoder__restore_clock(fixture->encoder, 1700000000000000000ull);
}

static struct fixture *open_fixture(enum record_names names)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	struct globs_config all = { fixture->all, 1, NULL, 0 };
	struct journal_options journal = {
		.directory = fixture->directory, .max_size = 16 * MIB, .segment_size = 4 * MIB, .data_fd = -1, .space_fd = -1,
	};

	fixture->all[0] = (char *)"*";
	strcpy(fixture->directory, "/dev/shm/logtap-layout-XXXXXX");
	assert_non_null(mkdtemp(fixture->directory));
	assert_int_equal(journal__open(&journal, NULL, &fixture->journal), 0);
	fixture->record = (struct record_config){
		.names = names,
		.fields = all,
		.pod_labels = all,
		.pod_annotations = all,
		.namespace_labels = all,
		.node_labels = all,
		.container_labels = all,
		.labels_max = 8192,
	};
	fixture->options = (struct encoder_options){
		.journal = fixture->journal,
		.space_fd = -1,
		.wake_fd = -1,
		.abandon = &fixture->abandon,
		.counters = &fixture->counters,
		.id_prefix = "be5cdbf3.a924f201.0.1bd3.",
		.layout = { "node-1", &fixture->record, &fixture->facts },
	};
	fixture->pod = make_pod();
	start_encoder(fixture);
	return fixture;
}

static int close_fixture(void **state)
{
	struct fixture *fixture = *state;
	DIR *dir = opendir(fixture->directory);
	struct dirent *entry;

	encoder__free(fixture->encoder);
	journal__close(fixture->journal);
	pod__put(fixture->pod);
	while (dir && (entry = readdir(dir)))
		unlinkat(dirfd(dir), entry->d_name, 0);
	closedir(dir);
	rmdir(fixture->directory);
	free(fixture);
	return 0;
}

static inline void tell_the_host(struct fixture *fixture)
{
	fixture->cloud = (struct cloud_config){ (char *)"aws", (char *)"i-07", (char *)"eu-west-1", (char *)"eu-west-1b", (char *)"4711" };
	fixture->facts = (struct record_facts){ .cloud = &fixture->cloud };
	strcpy(fixture->facts.machine_id, "00112233445566778899aabbccddeeff");
	strcpy(fixture->facts.boot_id, "11111111-2222-3333-4444-555555555555");
}

static inline struct stream_text *text_of(struct fixture *fixture, const struct stream_source *source)
{
	struct stream_text *text;

	assert_int_equal(stream_text__new(fixture->encoder, source, &text), 0);
	return text;
}

static inline const struct journal_record *next_record(struct fixture *fixture)
{
	journal__publish(fixture->journal);
	assert_int_equal(journal__next(fixture->journal, &fixture->read), 1);
	return &fixture->read;
}

static inline struct journal_record encode_text(struct fixture *fixture, struct stream_text *text, const struct process *by)
{
	const struct line line = { .text = "x", .length = 1, .time = 5, .writer = { .tgid = 1, .tid = 1 } };

	assert_int_equal(encoder__line(fixture->encoder, text, &line, by), 0);
	return *next_record(fixture);
}

/* Made anew from its parts, as checkpoints keep them, the text makes the same record, whatever is configured by then. */
static inline void assert_restored(struct fixture *fixture, const struct stream_text *text, const struct process *by,
				   const struct journal_record *first)
{
	struct stream_text *restored;
	struct journal_record second;
	struct text_parts parts;

	stream_text__parts(text, &parts);
	assert_int_equal(stream_text__restore(&parts, &restored), 0);
	second = encode_text(fixture, restored, by);
	assert_int_equal(second.meta.value_len, first->meta.value_len);
	assert_memory_equal(second.value, first->value, first->meta.value_len);
	assert_int_equal(second.meta.flags, first->meta.flags);
	stream_text__free(restored);
}

/* All records of a stream share the fixture's time, writer and place. */
static inline const struct journal_record *encode_line(struct fixture *fixture, const struct stream_source *source,
						       const char *bytes, size_t length, enum partial partial,
						       const struct process *by)
{
	struct stream_text *text = text_of(fixture, source);
	const struct line line = {
		.text = bytes,
		.length = length,
		.partial = partial,
		.time = 123456789,
		.position = 0x780,
		.offset = 16,
		.writer = { .tgid = 41, .tid = 42, .tag = 9 },
	};

	assert_int_equal(encoder__line(fixture->encoder, text, &line, by), 0);
	stream_text__free(text);
	return next_record(fixture);
}

static inline const struct journal_record *encode_gap(struct fixture *fixture, const struct stream_source *source)
{
	struct stream_text *text = text_of(fixture, source);
	const struct gap gap = {
		.bytes = 100, .writes = 2, .reason = LOSS_RING_FULL, .time = 123456789, .slot = 3, .generation = 4, .total = 5,
	};

	assert_int_equal(encoder__gap(fixture->encoder, text, &gap), 0);
	stream_text__free(text);
	return next_record(fixture);
}

static inline void assert_value(const struct journal_record *record, const char *expected)
{
	if (record->meta.value_len != strlen(expected) || memcmp(record->value, expected, record->meta.value_len))
		fail_msg("\nis   %.*s\nmust %s", (int)record->meta.value_len, record->value, expected);
}

static inline json_t *parse(const char *value, size_t length)
{
	json_error_t error;
	json_t *json = json_loadb(value, length, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);

	if (!json)
		fail_msg("%s in %.*s", error.text, (int)length, value);
	return json;
}

#endif
