#include "layout_fixture.h"

static int setup(void **state)
{
	*state = open_fixture(NAMES_OTEL);
	return 0;
}

static void a_line_of_a_pod(void **state)
{
	struct fixture *fixture = *state;
	struct stream_source source = { .kind = STREAM_STDOUT, .identity = &identity, .pod = fixture->pod, .enrichment = true };

	assert_value(encode_line(fixture, &source, "GET \"/\"", 7, PARTIAL_NONE, &process),
		     "{\"resourceLogs\":[{\"resource\":{\"attributes\":[{\"key\":\"host.name\",\"value\":{"
		     "\"stringValue\":\"node-1\"}},{\"key\":\"container.id\",\"value\":{\"stringValue\":"
		     "\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"}},{\"key\":"
		     "\"container.image.name\",\"value\":{\"stringValue\":\"shop/web\"}},{\"key\":"
		     "\"container.image.tag\",\"value\":{\"stringValue\":\"1.2\"}},{\"key\":"
		     "\"container.image.id\",\"value\":{\"stringValue\":"
		     "\"registry.example.org:5000/shop/web@sha256:ab12\"}},{\"key\":\"container.runtime\","
		     "\"value\":{\"stringValue\":\"containerd\"}},{\"key\":\"k8s.pod.name\",\"value\":{"
		     "\"stringValue\":\"web-7d4b9c6f5-x2x9p\"}},{\"key\":\"k8s.namespace.name\",\"value\":{"
		     "\"stringValue\":\"shop\"}},{\"key\":\"k8s.pod.uid\",\"value\":{\"stringValue\":"
		     "\"8a3bf2b1-0c4d-4e5f-9a6b-7c8d9e0f1a2b\"}},{\"key\":\"k8s.node.name\",\"value\":{"
		     "\"stringValue\":\"node-1\"}},{\"key\":\"k8s.container.name\",\"value\":{\"stringValue\":"
		     "\"web\"}},{\"key\":\"k8s.container.restart_count\",\"value\":{\"stringValue\":\"2\"}},{"
		     "\"key\":\"k8s.pod.ip\",\"value\":{\"stringValue\":\"10.1.2.3\"}},{\"key\":"
		     "\"k8s.replicaset.name\",\"value\":{\"stringValue\":\"web-7d4b9c6f5\"}},{\"key\":"
		     "\"k8s.deployment.name\",\"value\":{\"stringValue\":\"web\"}},{\"key\":\"k8s.pod.qos_class\","
		     "\"value\":{\"stringValue\":\"Burstable\"}},{\"key\":\"logtap.service_account\",\"value\":{"
		     "\"stringValue\":\"default\"}},{\"key\":\"service.name\",\"value\":{\"stringValue\":\"web\"}}"
		     ",{\"key\":\"service.namespace\",\"value\":{\"stringValue\":\"shop\"}},{\"key\":"
		     "\"service.version\",\"value\":{\"stringValue\":\"1.2\"}},{\"key\":\"service.instance.id\","
		     "\"value\":{\"stringValue\":\"shop.web-7d4b9c6f5-x2x9p.web\"}},{\"key\":"
		     "\"k8s.pod.labels.app.kubernetes.io/name\",\"value\":{\"stringValue\":\"web\"}},{\"key\":"
		     "\"k8s.pod.labels.canary\",\"value\":{\"stringValue\":\"\"}},{\"key\":"
		     "\"k8s.pod.annotations.prometheus.io/port\",\"value\":{\"stringValue\":\"9100\"}},{\"key\":"
		     "\"k8s.namespace.labels.team\",\"value\":{\"stringValue\":\"cart\"}},{\"key\":"
		     "\"k8s.node.labels.zone\",\"value\":{\"stringValue\":\"a\"}}]},\"scopeLogs\":[{\"scope\":{},"
		     "\"logRecords\":[{\"timeUnixNano\":\"1700000000123456789\",\"observedTimeUnixNano\":"
		     "\"1700000000123456789\",\"attributes\":[{\"key\":\"log.iostream\",\"value\":{"
		     "\"stringValue\":\"stdout\"}},{\"key\":\"logtag\",\"value\":{\"stringValue\":\"F\"}},{"
		     "\"key\":\"log.file.path\",\"value\":{\"stringValue\":"
		     "\"/var/log/pods/shop_web-7d4b9c6f5-x2x9p_8a3bf2b1-0c4d-4e5f-9a6b-7c8d9e0f1a2b/web/2.log\"}},"
		     "{\"key\":\"log.file.name\",\"value\":{\"stringValue\":\"2.log\"}},{\"key\":\"logtap.id\","
		     "\"value\":{\"stringValue\":\"be5cdbf3.a924f201.0.1bd3.780.10\"}},{\"key\":\"process.pid\","
		     "\"value\":{\"intValue\":\"41\"}},{\"key\":\"logtap.tid\",\"value\":{\"intValue\":\"42\"}},{"
		     "\"key\":\"process.executable.name\",\"value\":{\"stringValue\":\"nginx\"}},{\"key\":"
		     "\"process.real_user.id\",\"value\":{\"intValue\":\"1000\"}}],\"body\":{\"stringValue\":"
		     "\"GET \\\"/\\\"\"}}]}]}]}");
}

static void a_pod_that_is_not_known(void **state)
{
	struct fixture *fixture = *state;
	struct stream_source source = { .kind = STREAM_STDERR, .identity = &identity, .enrichment = true };

	assert_value(encode_line(fixture, &source, "x", 1, PARTIAL_START, NULL),
		     "{\"resourceLogs\":[{\"resource\":{\"attributes\":[{\"key\":\"host.name\",\"value\":{"
		     "\"stringValue\":\"node-1\"}},{\"key\":\"container.id\",\"value\":{\"stringValue\":"
		     "\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"}},{\"key\":"
		     "\"container.image.name\",\"value\":{\"stringValue\":\"registry.example.org:5000/shop/web\"}}"
		     ",{\"key\":\"container.image.tag\",\"value\":{\"stringValue\":\"1.2\"}},{\"key\":"
		     "\"container.runtime\",\"value\":{\"stringValue\":\"containerd\"}},{\"key\":\"k8s.pod.name\","
		     "\"value\":{\"stringValue\":\"web-7d4b9c6f5-x2x9p\"}},{\"key\":\"k8s.namespace.name\","
		     "\"value\":{\"stringValue\":\"shop\"}},{\"key\":\"k8s.pod.uid\",\"value\":{\"stringValue\":"
		     "\"8a3bf2b1-0c4d-4e5f-9a6b-7c8d9e0f1a2b\"}},{\"key\":\"k8s.node.name\",\"value\":{"
		     "\"stringValue\":\"node-1\"}},{\"key\":\"k8s.container.name\",\"value\":{\"stringValue\":"
		     "\"web\"}},{\"key\":\"k8s.container.restart_count\",\"value\":{\"stringValue\":\"2\"}},{"
		     "\"key\":\"service.name\",\"value\":{\"stringValue\":\"web-7d4b9c6f5-x2x9p\"}},{\"key\":"
		     "\"service.namespace\",\"value\":{\"stringValue\":\"shop\"}},{\"key\":\"service.version\","
		     "\"value\":{\"stringValue\":\"1.2\"}},{\"key\":\"service.instance.id\",\"value\":{"
		     "\"stringValue\":\"shop.web-7d4b9c6f5-x2x9p.web\"}},{\"key\":\"logtap.enriched\",\"value\":{"
		     "\"boolValue\":false}}]},\"scopeLogs\":[{\"scope\":{},\"logRecords\":[{\"timeUnixNano\":"
		     "\"1700000000123456789\",\"observedTimeUnixNano\":\"1700000000123456789\",\"attributes\":[{"
		     "\"key\":\"log.iostream\",\"value\":{\"stringValue\":\"stderr\"}},{\"key\":\"logtag\","
		     "\"value\":{\"stringValue\":\"F\"}},{\"key\":\"log.file.path\",\"value\":{\"stringValue\":"
		     "\"/var/log/pods/shop_web-7d4b9c6f5-x2x9p_8a3bf2b1-0c4d-4e5f-9a6b-7c8d9e0f1a2b/web/2.log\"}},"
		     "{\"key\":\"log.file.name\",\"value\":{\"stringValue\":\"2.log\"}},{\"key\":\"logtap.id\","
		     "\"value\":{\"stringValue\":\"be5cdbf3.a924f201.0.1bd3.780.10\"}},{\"key\":"
		     "\"logtap.partial\",\"value\":{\"stringValue\":\"start\"}},{\"key\":\"process.pid\","
		     "\"value\":{\"intValue\":\"41\"}},{\"key\":\"logtap.tid\",\"value\":{\"intValue\":\"42\"}}],"
		     "\"body\":{\"stringValue\":\"x\"}}]}]}]}");
}

static void a_file_of_a_service(void **state)
{
	struct fixture *fixture = *state;
	struct stream_source source = { .kind = STREAM_FILE, .file = "/var/log/nginx/a.log", .service = &service };

	tell_the_host(fixture);
	assert_value(encode_line(fixture, &source, "x", 1, PARTIAL_MAX_SIZE, &process),
		     "{\"resourceLogs\":[{\"resource\":{\"attributes\":[{\"key\":\"host.name\",\"value\":{"
		     "\"stringValue\":\"node-1\"}},{\"key\":\"host.id\",\"value\":{\"stringValue\":\"i-07\"}},{"
		     "\"key\":\"logtap.host_id\",\"value\":{\"stringValue\":\"00112233445566778899aabbccddeeff\"}},{"
		     "\"key\":\"logtap.boot_id\",\"value\":{"
		     "\"stringValue\":\"11111111-2222-3333-4444-555555555555\"}},{\"key\":\"cloud.provider\","
		     "\"value\":{\"stringValue\":\"aws\"}},{\"key\":\"cloud.region\",\"value\":{"
		     "\"stringValue\":\"eu-west-1\"}},{\"key\":\"cloud.availability_zone\",\"value\":{"
		     "\"stringValue\":\"eu-west-1b\"}},{\"key\":\"cloud.account.id\",\"value\":{"
		     "\"stringValue\":\"4711\"}},{\"key\":\"systemd.unit\",\"value\":{"
		     "\"stringValue\":\"nginx.service\"}},{\"key\":\"systemd.slice\",\"value\":{"
		     "\"stringValue\":\"system.slice\"}}]},\"scopeLogs\":[{\"scope\":{},\"logRecords\":[{"
		     "\"timeUnixNano\":\"1700000000123456789\",\"observedTimeUnixNano\":\"1700000000123456789\","
		     "\"attributes\":[{\"key\":\"log.file.path\",\"value\":{"
		     "\"stringValue\":\"/var/log/nginx/a.log\"}},{\"key\":\"log.file.name\",\"value\":{"
		     "\"stringValue\":\"a.log\"}},{\"key\":\"logtap.id\",\"value\":{"
		     "\"stringValue\":\"be5cdbf3.a924f201.0.1bd3.780.10\"}},{\"key\":\"logtap.partial\",\"value\":{"
		     "\"stringValue\":\"max_size\"}},{\"key\":\"process.pid\",\"value\":{\"intValue\":\"41\"}},{"
		     "\"key\":\"logtap.tid\",\"value\":{\"intValue\":\"42\"}},{\"key\":\"process.executable.name\","
		     "\"value\":{\"stringValue\":\"nginx\"}},{\"key\":\"process.real_user.id\",\"value\":{"
		     "\"intValue\":\"1000\"}}],\"body\":{\"stringValue\":\"x\"}}]}]}]}");
}

static void a_container_of_no_pod(void **state)
{
	struct fixture *fixture = *state;
	struct stream_source source = { .kind = STREAM_STDOUT, .identity = &lone, .enrichment = true };

	fixture->options.invalid_utf8 = INVALID_UTF8_BASE64;
	start_encoder(fixture);
	assert_value(encode_line(fixture, &source, "\xff", 1, PARTIAL_EOF, &process),
		     "{\"resourceLogs\":[{\"resource\":{\"attributes\":[{\"key\":\"host.name\",\"value\":{"
		     "\"stringValue\":\"node-1\"}},{\"key\":\"container.id\",\"value\":{\"stringValue\":"
		     "\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"}},{\"key\":"
		     "\"container.name\",\"value\":{\"stringValue\":\"db\"}},{\"key\":\"logtap.restart_count\","
		     "\"value\":{\"stringValue\":\"1\"}},{\"key\":\"container.image.name\",\"value\":{"
		     "\"stringValue\":\"postgres\"}},{\"key\":\"container.image.tag\",\"value\":{\"stringValue\":"
		     "\"latest\"}},{\"key\":\"container.runtime\",\"value\":{\"stringValue\":\"docker\"}},{"
		     "\"key\":\"container.label.com.example/tier\",\"value\":{\"stringValue\":\"db\"}}]},"
		     "\"scopeLogs\":[{\"scope\":{},\"logRecords\":[{\"timeUnixNano\":\"1700000000123456789\","
		     "\"observedTimeUnixNano\":\"1700000000123456789\",\"attributes\":[{\"key\":\"log.iostream\","
		     "\"value\":{\"stringValue\":\"stdout\"}},{\"key\":\"logtap.id\",\"value\":{\"stringValue\":"
		     "\"be5cdbf3.a924f201.0.1bd3.780.10\"}},{\"key\":\"logtap.partial\",\"value\":{"
		     "\"stringValue\":\"eof\"}},{\"key\":\"process.pid\",\"value\":{\"intValue\":\"41\"}},{"
		     "\"key\":\"logtap.tid\",\"value\":{\"intValue\":\"42\"}},{\"key\":"
		     "\"process.executable.name\",\"value\":{\"stringValue\":\"nginx\"}},{\"key\":"
		     "\"process.real_user.id\",\"value\":{\"intValue\":\"1000\"}}],\"body\":{\"bytesValue\":"
		     "\"/w==\"}}]}]}]}");
}

static void a_gap(void **state)
{
	struct fixture *fixture = *state;
	struct stream_source source = { .kind = STREAM_FILE, .file = "/a.log" };

	assert_value(encode_gap(fixture, &source),
		     "{\"resourceLogs\":[{\"resource\":{\"attributes\":[{\"key\":\"host.name\",\"value\":{"
		     "\"stringValue\":\"node-1\"}}]},\"scopeLogs\":[{\"scope\":{},\"logRecords\":[{"
		     "\"timeUnixNano\":\"1700000000123456789\",\"observedTimeUnixNano\":\"1700000000123456789\","
		     "\"attributes\":[{\"key\":\"log.file.path\",\"value\":{\"stringValue\":\"/a.log\"}},{"
		     "\"key\":\"log.file.name\",\"value\":{\"stringValue\":\"a.log\"}},{\"key\":\"logtap.id\","
		     "\"value\":{\"stringValue\":\"be5cdbf3.a924f201.0.1bd3.gap.3.4.5\"}},{"
		     "\"key\":\"logtap.lost.bytes\",\"value\":{\"intValue\":\"100\"}},{\"key\":\"logtap.lost.writes\","
		     "\"value\":{\"intValue\":\"2\"}},{\"key\":\"logtap.lost.reason\",\"value\":{"
		     "\"stringValue\":\"ring_full\"}}]}]}]}]}");
}

static void an_endless_service_name_is_not_told(void **state)
{
	struct fixture *fixture = *state;
	struct stream_source source = { .kind = STREAM_STDOUT, .identity = &identity, .pod = fixture->pod };
	static const char told[] = "\"service.name\",\"value\":{\"stringValue\":\"web\"";
	char name[20001];
	const struct journal_record *record;

	memset(name, '\1', sizeof(name) - 1);
	name[sizeof(name) - 1] = 0;
	assert_int_equal(labels__set(&fixture->pod->annotations, "resource.opentelemetry.io/service.name", name), 0);
	assert_int_equal(labels__set(&fixture->pod->annotations, "resource.opentelemetry.io/service.namespace", name), 0);
	record = encode_line(fixture, &source, "x", 1, PARTIAL_NONE, &process);
	assert_true(record->meta.value_len < 10000);
	assert_non_null(memmem(record->value, record->meta.value_len, told, sizeof(told) - 1));
}

static void assert_says(const struct journal_record *record, const char *text)
{
	if (!memmem(record->value, record->meta.value_len, text, strlen(text)))
		fail_msg("no %s in %.*s", text, (int)record->meta.value_len, record->value);
}

#define DIGEST "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void an_image_with_a_digest(void **state)
{
	struct fixture *fixture = *state;
	struct stream_source source = { .kind = STREAM_STDOUT, .identity = &identity, .pod = fixture->pod };
	struct pod_container *container = fixture->pod->containers;
	const struct journal_record *record;

	free(container->asked_image);
	free(container->image_id);
	container->asked_image = strdup("host:5000/a/b@" DIGEST);
	container->image_id = strdup("host:5000/a/b@" DIGEST);
	record = encode_line(fixture, &source, "x", 1, PARTIAL_NONE, &process);
	assert_says(record, "\"container.image.name\",\"value\":{\"stringValue\":\"host:5000/a/b\"}");
	assert_says(record, "\"container.image.tag\",\"value\":{\"stringValue\":\"latest\"}");
	assert_says(record, "\"service.version\",\"value\":{\"stringValue\":\"" DIGEST "\"}");
	assert_says(record, "\"container.image.repo_digests\",\"value\":{\"arrayValue\":{\"values\":[{\"stringValue\":\"host:5000/a/b@" DIGEST "\"}]}}");
}

/* An annotation goes before labels, the label of the instance before that of the name. */
static void a_pods_own_word_of_its_service(void **state)
{
	struct fixture *fixture = *state;
	struct stream_source source = { .kind = STREAM_STDOUT, .identity = &identity, .pod = fixture->pod };
	struct labels *annotations = &fixture->pod->annotations;

	assert_int_equal(labels__set(&fixture->pod->labels, "app.kubernetes.io/instance", "web-7"), 0);
	assert_int_equal(labels__set(&fixture->pod->labels, "app.kubernetes.io/version", "v3"), 0);
	assert_says(encode_line(fixture, &source, "x", 1, PARTIAL_NONE, &process), "\"service.name\",\"value\":{\"stringValue\":\"web-7\"}");
	assert_says(&fixture->read, "\"service.version\",\"value\":{\"stringValue\":\"v3\"}");
	assert_int_equal(labels__set(annotations, "resource.opentelemetry.io/service.name", "own"), 0);
	assert_int_equal(labels__set(annotations, "resource.opentelemetry.io/service.version", "v4"), 0);
	assert_int_equal(labels__set(annotations, "resource.opentelemetry.io/service.instance.id", "i9"), 0);
	assert_says(encode_line(fixture, &source, "x", 1, PARTIAL_NONE, &process), "\"service.name\",\"value\":{\"stringValue\":\"own\"}");
	assert_says(&fixture->read, "\"service.version\",\"value\":{\"stringValue\":\"v4\"}");
	assert_says(&fixture->read, "\"service.instance.id\",\"value\":{\"stringValue\":\"i9\"}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_line_of_a_pod, setup, close_fixture),
		cmocka_unit_test_setup_teardown(a_pod_that_is_not_known, setup, close_fixture),
		cmocka_unit_test_setup_teardown(a_file_of_a_service, setup, close_fixture),
		cmocka_unit_test_setup_teardown(a_container_of_no_pod, setup, close_fixture),
		cmocka_unit_test_setup_teardown(an_endless_service_name_is_not_told, setup, close_fixture),
		cmocka_unit_test_setup_teardown(a_gap, setup, close_fixture),
		cmocka_unit_test_setup_teardown(an_image_with_a_digest, setup, close_fixture),
		cmocka_unit_test_setup_teardown(a_pods_own_word_of_its_service, setup, close_fixture),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
