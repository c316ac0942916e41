#include "layout_fixture.h"

static int setup(void **state)
{
	*state = open_fixture(NAMES_FLUENTBIT);
	return 0;
}

static void a_line_of_a_pod(void **state)
{
	struct fixture *fixture = *state;
	struct stream_source source = { .kind = STREAM_STDOUT, .identity = &identity, .pod = fixture->pod, .enrichment = true };

	assert_value(encode_line(fixture, &source, "GET \"/\"", 7, PARTIAL_NONE, &process),
		     "{\"@timestamp\":1700000000.123457,\"time\":\"2023-11-14T22:13:20.123456789Z\","
		     "\"stream\":\"stdout\",\"kubernetes\":{\"pod_name\":\"web-7d4b9c6f5-x2x9p\","
		     "\"namespace_name\":\"shop\",\"pod_id\":\"8a3bf2b1-0c4d-4e5f-9a6b-7c8d9e0f1a2b\",\"labels\":{"
		     "\"app.kubernetes.io/name\":\"web\",\"canary\":\"\"},\"annotations\":{"
		     "\"prometheus.io/port\":\"9100\"},\"host\":\"node-1\",\"pod_ip\":\"10.1.2.3\","
		     "\"container_name\":\"web\","
		     "\"docker_id\":\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\","
		     "\"container_hash\":\"registry.example.org:5000/shop/web@sha256:ab12\","
		     "\"container_image\":\"registry.example.org:5000/shop/web:1.2\"},\"kubernetes_namespace\":{"
		     "\"name\":\"shop\",\"labels\":{\"team\":\"cart\"}},\"logtap\":{"
		     "\"file\":\"/var/log/pods/shop_web-7d4b9c6f5-x2x9p_8a3bf2b1-0c4d-4e5f-9a6b-7c8d9e0f1a2b/web/2.log\","
		     "\"container\":{\"runtime\":\"containerd\"},\"owner\":{\"kind\":\"ReplicaSet\","
		     "\"name\":\"web-7d4b9c6f5\"},\"workload\":{\"kind\":\"Deployment\",\"name\":\"web\"},"
		     "\"service_account\":\"default\",\"qos_class\":\"Burstable\",\"node_labels\":{\"zone\":\"a\"},"
		     "\"restart_count\":2,\"id\":\"be5cdbf3.a924f201.0.1bd3.780.10\",\"process\":{\"pid\":41,"
		     "\"tid\":42,\"name\":\"nginx\",\"uid\":1000}},\"log\":\"GET \\\"/\\\"\",\"_p\":\"F\"}");
}

static void a_pod_that_is_not_known(void **state)
{
	struct fixture *fixture = *state;
	struct stream_source source = { .kind = STREAM_STDERR, .identity = &identity, .enrichment = true };

	assert_value(encode_line(fixture, &source, "x", 1, PARTIAL_START, NULL),
		     "{\"@timestamp\":1700000000.123457,\"time\":\"2023-11-14T22:13:20.123456789Z\","
		     "\"stream\":\"stderr\",\"kubernetes\":{\"pod_name\":\"web-7d4b9c6f5-x2x9p\","
		     "\"namespace_name\":\"shop\",\"pod_id\":\"8a3bf2b1-0c4d-4e5f-9a6b-7c8d9e0f1a2b\","
		     "\"host\":\"node-1\",\"container_name\":\"web\","
		     "\"docker_id\":\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\","
		     "\"container_image\":\"registry.example.org:5000/shop/web:1.2\"},\"logtap\":{"
		     "\"file\":\"/var/log/pods/shop_web-7d4b9c6f5-x2x9p_8a3bf2b1-0c4d-4e5f-9a6b-7c8d9e0f1a2b/web/2.log\","
		     "\"container\":{\"runtime\":\"containerd\"},\"restart_count\":2,\"enriched\":false,"
		     "\"id\":\"be5cdbf3.a924f201.0.1bd3.780.10\",\"partial\":\"start\",\"process\":{\"pid\":41,"
		     "\"tid\":42}},\"log\":\"x\",\"_p\":\"F\"}");
}

static void a_file_of_a_service(void **state)
{
	struct fixture *fixture = *state;
	struct stream_source source = { .kind = STREAM_FILE, .file = "/var/log/nginx/a.log", .service = &service };

	tell_the_host(fixture);
	assert_value(encode_line(fixture, &source, "x", 1, PARTIAL_MAX_SIZE, &process),
		     "{\"@timestamp\":1700000000.123457,\"time\":\"2023-11-14T22:13:20.123456789Z\","
		     "\"_SYSTEMD_UNIT\":\"nginx.service\",\"_SYSTEMD_SLICE\":\"system.slice\",\"logtap\":{"
		     "\"host\":\"node-1\",\"host_id\":\"00112233445566778899aabbccddeeff\","
		     "\"boot_id\":\"11111111-2222-3333-4444-555555555555\",\"cloud\":{\"provider\":\"aws\","
		     "\"instance_id\":\"i-07\",\"region\":\"eu-west-1\",\"zone\":\"eu-west-1b\",\"account\":\"4711\"},"
		     "\"file\":\"/var/log/nginx/a.log\",\"id\":\"be5cdbf3.a924f201.0.1bd3.780.10\","
		     "\"partial\":\"max_size\",\"process\":{\"pid\":41,\"tid\":42,\"name\":\"nginx\",\"uid\":1000}},"
		     "\"log\":\"x\",\"_p\":\"P\"}");
}

static void a_container_of_no_pod(void **state)
{
	struct fixture *fixture = *state;
	struct stream_source source = { .kind = STREAM_STDOUT, .identity = &lone, .enrichment = true };

	fixture->options.invalid_utf8 = INVALID_UTF8_BASE64;
	start_encoder(fixture);
	assert_value(encode_line(fixture, &source, "\xff", 1, PARTIAL_EOF, &process),
		     "{\"@timestamp\":1700000000.123457,\"time\":\"2023-11-14T22:13:20.123456789Z\","
		     "\"stream\":\"stdout\",\"logtap\":{\"host\":\"node-1\",\"container\":{"
		     "\"id\":\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\",\"name\":\"db\","
		     "\"image\":\"postgres\",\"runtime\":\"docker\",\"labels\":{\"com.example/tier\":\"db\"}},"
		     "\"restart_count\":1,\"id\":\"be5cdbf3.a924f201.0.1bd3.780.10\",\"partial\":\"eof\","
		     "\"encoding\":\"base64\",\"process\":{\"pid\":41,\"tid\":42,\"name\":\"nginx\",\"uid\":1000}},"
		     "\"log\":\"/w==\",\"_p\":\"F\"}");
}

static void a_gap(void **state)
{
	struct fixture *fixture = *state;
	struct stream_source source = { .kind = STREAM_FILE, .file = "/a.log" };

	assert_value(encode_gap(fixture, &source),
		     "{\"@timestamp\":1700000000.123457,\"time\":\"2023-11-14T22:13:20.123456789Z\",\"logtap\":{"
		     "\"host\":\"node-1\",\"file\":\"/a.log\",\"id\":\"be5cdbf3.a924f201.0.1bd3.gap.3.4.5\",\"lost\":{"
		     "\"bytes\":100,\"writes\":2,\"reason\":\"ring_full\"}}}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_line_of_a_pod, setup, close_fixture),
		cmocka_unit_test_setup_teardown(a_pod_that_is_not_known, setup, close_fixture),
		cmocka_unit_test_setup_teardown(a_file_of_a_service, setup, close_fixture),
		cmocka_unit_test_setup_teardown(a_container_of_no_pod, setup, close_fixture),
		cmocka_unit_test_setup_teardown(a_gap, setup, close_fixture),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
