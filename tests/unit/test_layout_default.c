#include "layout_fixture.h"

static int setup(void **state)
{
	*state = open_fixture(NAMES_DEFAULT);
	return 0;
}

static void a_line_of_a_pod(void **state)
{
	struct fixture *fixture = *state;
	struct stream_source source = { .kind = STREAM_STDOUT, .identity = &identity, .pod = fixture->pod, .enrichment = true };

	assert_value(encode_line(fixture, &source, "GET \"/\"", 7, PARTIAL_NONE, &process),
		     "{\"timestamp\":\"2023-11-14T22:13:20.123456789Z\",\"stream\":\"stdout\","
		     "\"source_type\":\"kubernetes_logs\",\"host\":\"node-1\","
		     "\"file\":\"/var/log/pods/shop_web-7d4b9c6f5-x2x9p_8a3bf2b1-0c4d-4e5f-9a6b-7c8d9e0f1a2b/web/2.log\","
		     "\"container\":{\"id\":\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\","
		     "\"name\":\"web\",\"image\":\"registry.example.org:5000/shop/web:1.2\","
		     "\"runtime\":\"containerd\"},\"kubernetes\":{\"pod_name\":\"web-7d4b9c6f5-x2x9p\","
		     "\"pod_namespace\":\"shop\",\"pod_uid\":\"8a3bf2b1-0c4d-4e5f-9a6b-7c8d9e0f1a2b\","
		     "\"pod_node_name\":\"node-1\",\"container_name\":\"web\","
		     "\"container_id\":\"containerd://0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\","
		     "\"container_image\":\"shop/web:1.2\","
		     "\"container_image_id\":\"registry.example.org:5000/shop/web@sha256:ab12\","
		     "\"pod_ip\":\"10.1.2.3\",\"pod_ips\":[\"10.1.2.3\",\"fd00::3\"],\"pod_owner\":\"Shop/berlin\",\"workload\":{"
		     "\"kind\":\"Deployment\",\"name\":\"web\"},\"service_account\":\"default\","
		     "\"qos_class\":\"Burstable\",\"pod_labels\":{\"app.kubernetes.io/name\":\"web\",\"canary\":\"\"},"
		     "\"pod_annotations\":{\"prometheus.io/port\":\"9100\"},\"namespace_labels\":{\"team\":\"cart\"},"
		     "\"node_labels\":{\"zone\":\"a\"},\"restart_count\":2},"
		     "\"id\":\"be5cdbf3.a924f201.0.1bd3.780.10\",\"process\":{\"pid\":41,\"tid\":42,"
		     "\"name\":\"nginx\",\"uid\":1000},\"message\":\"GET \\\"/\\\"\"}");
}

static void a_pod_that_is_not_known(void **state)
{
	struct fixture *fixture = *state;
	struct stream_source source = { .kind = STREAM_STDERR, .identity = &identity, .enrichment = true };

	assert_value(encode_line(fixture, &source, "x", 1, PARTIAL_START, NULL),
		     "{\"timestamp\":\"2023-11-14T22:13:20.123456789Z\",\"stream\":\"stderr\","
		     "\"source_type\":\"kubernetes_logs\",\"host\":\"node-1\","
		     "\"file\":\"/var/log/pods/shop_web-7d4b9c6f5-x2x9p_8a3bf2b1-0c4d-4e5f-9a6b-7c8d9e0f1a2b/web/2.log\","
		     "\"container\":{\"id\":\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\","
		     "\"name\":\"web\",\"image\":\"registry.example.org:5000/shop/web:1.2\","
		     "\"runtime\":\"containerd\"},\"kubernetes\":{\"pod_name\":\"web-7d4b9c6f5-x2x9p\","
		     "\"pod_namespace\":\"shop\",\"pod_uid\":\"8a3bf2b1-0c4d-4e5f-9a6b-7c8d9e0f1a2b\","
		     "\"pod_node_name\":\"node-1\",\"container_name\":\"web\","
		     "\"container_id\":\"containerd://0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\","
		     "\"container_image\":\"registry.example.org:5000/shop/web:1.2\",\"restart_count\":2,"
		     "\"enriched\":false},\"id\":\"be5cdbf3.a924f201.0.1bd3.780.10\",\"process\":{\"pid\":41,"
		     "\"tid\":42},\"message\":\"x\",\"partial\":\"start\"}");
}

static void a_file_of_a_service(void **state)
{
	struct fixture *fixture = *state;
	struct stream_source source = { .kind = STREAM_FILE, .file = "/var/log/nginx/a.log", .service = &service };

	tell_the_host(fixture);
	assert_value(encode_line(fixture, &source, "x", 1, PARTIAL_MAX_SIZE, &process),
		     "{\"timestamp\":\"2023-11-14T22:13:20.123456789Z\",\"source_type\":\"file\",\"host\":\"node-1\","
		     "\"host_id\":\"00112233445566778899aabbccddeeff\","
		     "\"boot_id\":\"11111111-2222-3333-4444-555555555555\",\"cloud\":{\"provider\":\"aws\","
		     "\"instance_id\":\"i-07\",\"region\":\"eu-west-1\",\"zone\":\"eu-west-1b\",\"account\":\"4711\"},"
		     "\"file\":\"/var/log/nginx/a.log\",\"systemd\":{\"unit\":\"nginx.service\","
		     "\"slice\":\"system.slice\"},\"id\":\"be5cdbf3.a924f201.0.1bd3.780.10\",\"process\":{\"pid\":41,"
		     "\"tid\":42,\"name\":\"nginx\",\"uid\":1000},\"message\":\"x\",\"partial\":\"max_size\"}");
}

static void a_container_of_no_pod(void **state)
{
	struct fixture *fixture = *state;
	struct stream_source source = { .kind = STREAM_STDOUT, .identity = &lone, .enrichment = true };

	fixture->options.invalid_utf8 = INVALID_UTF8_BASE64;
	start_encoder(fixture);
	assert_value(encode_line(fixture, &source, "\xff", 1, PARTIAL_EOF, &process),
		     "{\"timestamp\":\"2023-11-14T22:13:20.123456789Z\",\"stream\":\"stdout\","
		     "\"source_type\":\"container\",\"host\":\"node-1\",\"container\":{"
		     "\"id\":\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\",\"name\":\"db\","
		     "\"image\":\"postgres\",\"runtime\":\"docker\",\"labels\":{\"com.example/tier\":\"db\"},"
		     "\"restart_count\":1},\"id\":\"be5cdbf3.a924f201.0.1bd3.780.10\",\"process\":{\"pid\":41,"
		     "\"tid\":42,\"name\":\"nginx\",\"uid\":1000},\"encoding\":\"base64\",\"message\":\"/w==\","
		     "\"partial\":\"eof\"}");
}

static void a_gap(void **state)
{
	struct fixture *fixture = *state;
	struct stream_source source = { .kind = STREAM_FILE, .file = "/a.log" };

	assert_value(encode_gap(fixture, &source),
		     "{\"timestamp\":\"2023-11-14T22:13:20.123456789Z\",\"source_type\":\"file\",\"host\":\"node-1\","
		     "\"file\":\"/a.log\",\"id\":\"be5cdbf3.a924f201.0.1bd3.gap.3.4.5\",\"lost\":{\"bytes\":100,"
		     "\"writes\":2,\"reason\":\"ring_full\"}}");
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
