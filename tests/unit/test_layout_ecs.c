#include "layout_fixture.h"

static int setup(void **state)
{
	*state = open_fixture(NAMES_ECS);
	return 0;
}

static void a_line_of_a_pod(void **state)
{
	struct fixture *fixture = *state;
	struct stream_source source = { .kind = STREAM_STDOUT, .identity = &identity, .pod = fixture->pod, .enrichment = true };

	assert_value(encode_line(fixture, &source, "GET \"/\"", 7, PARTIAL_NONE, &process),
		     "{\"@timestamp\":\"2023-11-14T22:13:20.123Z\",\"@metadata\":{\"beat\":\"filebeat\",\"type\":"
		     "\"_doc\",\"version\":\"8.7.1\"},\"stream\":\"stdout\",\"input\":{\"type\":\"container\"},"
		     "\"log\":{\"file\":{\"path\":"
		     "\"/var/log/containers/web-7d4b9c6f5-x2x9p_shop_web-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef.log\""
		     "}},\"ecs\":{\"version\":\"8.0.0\"},\"agent\":{\"type\":\"logtap\",\"version\":\"0.1.0\","
		     "\"name\":\"node-1\"},\"host\":{\"name\":\"node-1\"},\"container\":{\"id\":"
		     "\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\",\"image\":{\"name\":"
		     "\"registry.example.org:5000/shop/web:1.2\"},\"runtime\":\"containerd\"},\"kubernetes\":{"
		     "\"container\":{\"name\":\"web\"},\"node\":{\"name\":\"node-1\",\"labels\":{\"zone\":\"a\"}},"
		     "\"pod\":{\"name\":\"web-7d4b9c6f5-x2x9p\",\"uid\":\"8a3bf2b1-0c4d-4e5f-9a6b-7c8d9e0f1a2b\","
		     "\"ip\":\"10.1.2.3\"},\"namespace\":\"shop\",\"namespace_labels\":{\"team\":\"cart\"},"
		     "\"replicaset\":{\"name\":\"web-7d4b9c6f5\"},\"deployment\":{\"name\":\"web\"},\"labels\":{"
		     "\"app_kubernetes_io/name\":\"web\",\"canary\":\"\"},\"annotations\":{\"prometheus_io/port\":"
		     "\"9100\"}},\"logtap\":{\"container_image_id\":"
		     "\"registry.example.org:5000/shop/web@sha256:ab12\",\"workload\":{\"kind\":\"Deployment\","
		     "\"name\":\"web\"},\"service_account\":\"default\",\"qos_class\":\"Burstable\","
		     "\"restart_count\":2,\"id\":\"be5cdbf3.a924f201.0.1bd3.780.10\"},\"process\":{\"pid\":41,"
		     "\"thread\":{\"id\":42},\"name\":\"nginx\"},\"user\":{\"id\":\"1000\"},\"message\":\"GET \\\""
		     "/\\\"\"}");
}

static void a_pod_that_is_not_known(void **state)
{
	struct fixture *fixture = *state;
	struct stream_source source = { .kind = STREAM_STDERR, .identity = &identity, .enrichment = true };

	assert_value(encode_line(fixture, &source, "x", 1, PARTIAL_START, NULL),
		     "{\"@timestamp\":\"2023-11-14T22:13:20.123Z\",\"@metadata\":{\"beat\":\"filebeat\",\"type\":"
		     "\"_doc\",\"version\":\"8.7.1\"},\"stream\":\"stderr\",\"input\":{\"type\":\"container\"},"
		     "\"log\":{\"file\":{\"path\":"
		     "\"/var/log/containers/web-7d4b9c6f5-x2x9p_shop_web-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef.log\""
		     "}},\"ecs\":{\"version\":\"8.0.0\"},\"agent\":{\"type\":\"logtap\",\"version\":\"0.1.0\","
		     "\"name\":\"node-1\"},\"host\":{\"name\":\"node-1\"},\"container\":{\"id\":"
		     "\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\",\"image\":{\"name\":"
		     "\"registry.example.org:5000/shop/web:1.2\"},\"runtime\":\"containerd\"},\"kubernetes\":{"
		     "\"container\":{\"name\":\"web\"},\"node\":{\"name\":\"node-1\"},\"pod\":{\"name\":"
		     "\"web-7d4b9c6f5-x2x9p\",\"uid\":\"8a3bf2b1-0c4d-4e5f-9a6b-7c8d9e0f1a2b\"},\"namespace\":"
		     "\"shop\"},\"logtap\":{\"restart_count\":2,\"enriched\":false,\"id\":"
		     "\"be5cdbf3.a924f201.0.1bd3.780.10\",\"partial\":\"start\"},\"process\":{\"pid\":41,"
		     "\"thread\":{\"id\":42}},\"message\":\"x\"}");
}

static void a_file_of_a_service(void **state)
{
	struct fixture *fixture = *state;
	struct stream_source source = { .kind = STREAM_FILE, .file = "/var/log/nginx/a.log", .service = &service };

	tell_the_host(fixture);
	assert_value(encode_line(fixture, &source, "x", 1, PARTIAL_MAX_SIZE, &process),
		     "{\"@timestamp\":\"2023-11-14T22:13:20.123Z\",\"@metadata\":{\"beat\":\"filebeat\","
		     "\"type\":\"_doc\",\"version\":\"8.7.1\"},\"input\":{\"type\":\"filestream\"},\"log\":{\"file\":{"
		     "\"path\":\"/var/log/nginx/a.log\"}},\"ecs\":{\"version\":\"8.0.0\"},\"agent\":{"
		     "\"type\":\"logtap\",\"version\":\"0.1.0\",\"name\":\"node-1\"},\"host\":{\"name\":\"node-1\","
		     "\"id\":\"00112233445566778899aabbccddeeff\",\"boot\":{"
		     "\"id\":\"11111111-2222-3333-4444-555555555555\"}},\"cloud\":{\"provider\":\"aws\",\"instance\":{"
		     "\"id\":\"i-07\"},\"region\":\"eu-west-1\",\"availability_zone\":\"eu-west-1b\",\"account\":{"
		     "\"id\":\"4711\"}},\"systemd\":{\"unit\":\"nginx.service\",\"slice\":\"system.slice\"},"
		     "\"logtap\":{\"id\":\"be5cdbf3.a924f201.0.1bd3.780.10\",\"partial\":\"max_size\"},\"process\":{"
		     "\"pid\":41,\"thread\":{\"id\":42},\"name\":\"nginx\"},\"user\":{\"id\":\"1000\"},"
		     "\"message\":\"x\"}");
}

static void a_container_of_no_pod(void **state)
{
	struct fixture *fixture = *state;
	struct stream_source source = { .kind = STREAM_STDOUT, .identity = &lone, .enrichment = true };

	fixture->options.invalid_utf8 = INVALID_UTF8_BASE64;
	start_encoder(fixture);
	assert_value(encode_line(fixture, &source, "\xff", 1, PARTIAL_EOF, &process),
		     "{\"@timestamp\":\"2023-11-14T22:13:20.123Z\",\"@metadata\":{\"beat\":\"filebeat\","
		     "\"type\":\"_doc\",\"version\":\"8.7.1\"},\"stream\":\"stdout\",\"input\":{"
		     "\"type\":\"container\"},\"ecs\":{\"version\":\"8.0.0\"},\"agent\":{\"type\":\"logtap\","
		     "\"version\":\"0.1.0\",\"name\":\"node-1\"},\"host\":{\"name\":\"node-1\"},\"container\":{"
		     "\"id\":\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\",\"name\":\"db\","
		     "\"image\":{\"name\":\"postgres\"},\"runtime\":\"docker\",\"labels\":{"
		     "\"com_example/tier\":\"db\"}},\"logtap\":{\"restart_count\":1,"
		     "\"id\":\"be5cdbf3.a924f201.0.1bd3.780.10\",\"partial\":\"eof\",\"encoding\":\"base64\"},"
		     "\"process\":{\"pid\":41,\"thread\":{\"id\":42},\"name\":\"nginx\"},\"user\":{\"id\":\"1000\"},"
		     "\"message\":\"/w==\"}");
}

static void a_gap(void **state)
{
	struct fixture *fixture = *state;
	struct stream_source source = { .kind = STREAM_FILE, .file = "/a.log" };

	assert_value(encode_gap(fixture, &source),
		     "{\"@timestamp\":\"2023-11-14T22:13:20.123Z\",\"@metadata\":{\"beat\":\"filebeat\","
		     "\"type\":\"_doc\",\"version\":\"8.7.1\"},\"input\":{\"type\":\"filestream\"},\"log\":{\"file\":{"
		     "\"path\":\"/a.log\"}},\"ecs\":{\"version\":\"8.0.0\"},\"agent\":{\"type\":\"logtap\","
		     "\"version\":\"0.1.0\",\"name\":\"node-1\"},\"host\":{\"name\":\"node-1\"},\"logtap\":{"
		     "\"id\":\"be5cdbf3.a924f201.0.1bd3.gap.3.4.5\",\"lost\":{\"bytes\":100,\"writes\":2,"
		     "\"reason\":\"ring_full\"}}}");
}

/* A file's name has 255 bytes at most: the kubelet cuts it before the end. */
static void a_long_link_is_cut(void **state)
{
	struct fixture *fixture = *state;
	struct identity long_identity = identity;
	struct stream_source source = { .kind = STREAM_STDOUT, .identity = &long_identity };
	static const char start[] = "\"path\":\"/var/log/containers/";
	const struct journal_record *record;
	char name[254] = "";
	const char *path;

	memset(name, 'n', sizeof(name) - 1);
	long_identity.pod_name = name;
	record = encode_line(fixture, &source, "x", 1, PARTIAL_NONE, &process);
	path = memmem(record->value, record->meta.value_len, start, sizeof(start) - 1);
	assert_non_null(path);
	path += sizeof(start) - 1;
	assert_memory_equal(path + 251, ".log\"", 5);
}

/* Filebeat leaves it to chance which of the two it tells. */
static void names_that_dots_made_different_come_once(void **state)
{
	struct fixture *fixture = *state;
	struct stream_source source = { .kind = STREAM_STDOUT, .identity = &identity, .pod = fixture->pod };
	const struct journal_record *record;
	json_t *json, *labels;

	assert_int_equal(labels__set(&fixture->pod->labels, "app", "shop"), 0);
	assert_int_equal(labels__set(&fixture->pod->labels, "app_kubernetes_io/name", "other"), 0);
	record = encode_line(fixture, &source, "x", 1, PARTIAL_NONE, &process);
	json = parse(record->value, record->meta.value_len);
	labels = json_object_get(json_object_get(json, "kubernetes"), "labels");
	assert_int_equal(json_object_size(labels), 3);
	assert_string_equal(json_string_value(json_object_get(labels, "app")), "shop");
	json_decref(json);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_line_of_a_pod, setup, close_fixture),
		cmocka_unit_test_setup_teardown(a_pod_that_is_not_known, setup, close_fixture),
		cmocka_unit_test_setup_teardown(a_file_of_a_service, setup, close_fixture),
		cmocka_unit_test_setup_teardown(a_container_of_no_pod, setup, close_fixture),
		cmocka_unit_test_setup_teardown(a_gap, setup, close_fixture),
		cmocka_unit_test_setup_teardown(a_long_link_is_cut, setup, close_fixture),
		cmocka_unit_test_setup_teardown(names_that_dots_made_different_come_once, setup, close_fixture),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
