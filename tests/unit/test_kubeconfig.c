#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../user/kubernetes/kube_access.h"
#include "../../user/kubernetes/kubeconfig.h"

#define CONTEXTS "current-context: c\ncontexts: [{name: x}, {name: c, context: {cluster: k, user: u}}]\n"
#define CLUSTER(text) "clusters: [{name: k, cluster: {" text "}}]\n"
#define USER(text) "users: [{name: u, user: {" text "}}]\n"
#define SERVER "server: 'https://api:6443'"

static struct kube_access *accept(const char *text)
{
	struct kube_access *access = NULL;
	char why[256] = "";

	if (kubeconfig__parse(text, strlen(text), "/etc/kube", &access, why, sizeof(why)))
		fail_msg("%s", why);
	return access;
}

static void refuse(const char *text, const char *expected)
{
	struct kube_access *untouched = (struct kube_access *)text, *access = untouched;
	char why[256] = "";

	assert_int_equal(kubeconfig__parse(text, strlen(text), "/etc/kube", &access, why, sizeof(why)), -EINVAL);
	assert_string_equal(why, expected);
	assert_ptr_equal(access, untouched);
}

static void everything_that_is_known_is_taken(void **state)
{
	struct kube_access *access = accept(
		"apiVersion: v1\nkind: Config\npreferences: {}\n" CONTEXTS
		CLUSTER("server: 'https://api:6443/prefix/', certificate-authority-data: Y2E=, tls-server-name: n")
		USER("client-certificate-data: Y2VydA==, client-key-data: 'a2V5', token: t"));

	(void)state;
	assert_string_equal(access->server, "https://api:6443/prefix");
	assert_string_equal(access->server_name, "n");
	assert_int_equal(access->ca.len, 2);
	assert_memory_equal(access->ca.text, "ca", 2);
	assert_null(access->ca_file);
	assert_memory_equal(access->cert.text, "cert", 4);
	assert_memory_equal(access->key.text, "key", 3);
	assert_string_equal(access->token, "t");
	assert_false(access->insecure);
	kube_access__free(access);
}

static void files_are_found_beside_it(void **state)
{
	struct kube_access *access = accept(CONTEXTS CLUSTER(SERVER ", certificate-authority: ca.crt, insecure-skip-tls-verify: true")
					    USER("client-certificate: /a/c, client-key: k, tokenFile: t, token: not-used"));

	(void)state;
	assert_string_equal(access->ca_file, "/etc/kube/ca.crt");
	assert_string_equal(access->cert_file, "/a/c");
	assert_string_equal(access->key_file, "/etc/kube/k");
	assert_string_equal(access->token_file, "/etc/kube/t");
	assert_null(access->token);
	assert_true(access->insecure);
	kube_access__free(access);
}

static void data_wins_over_files(void **state)
{
	struct kube_access *access = accept(CONTEXTS CLUSTER(SERVER ", certificate-authority: f, certificate-authority-data: Y2E=")
					    USER("token: t"));

	(void)state;
	assert_null(access->ca_file);
	assert_int_equal(access->ca.len, 2);
	kube_access__free(access);
}

static void json_is_yaml(void **state)
{
	struct kube_access *access = accept(
		"{\"current-context\":\"c\",\"contexts\":[{\"name\":\"c\",\"context\":{\"cluster\":\"k\"}}],"
		"\"clusters\":[{\"name\":\"k\",\"cluster\":{\"server\":\"https://[::1]:6443\"}}]}");

	(void)state;
	assert_string_equal(access->server, "https://[::1]:6443");
	kube_access__free(access);
}

static void what_would_run_a_program_is_refused(void **state)
{
	(void)state;
	refuse(CONTEXTS CLUSTER(SERVER) USER("exec: {command: aws}"),
	       "line 4: the user's \"exec\" is not supported; use a token, a tokenFile or a client certificate");
	refuse(CONTEXTS CLUSTER(SERVER) USER("auth-provider: {name: gcp}"),
	       "line 4: the user's \"auth-provider\" is not supported; use a token, a tokenFile or a client certificate");
	refuse(CONTEXTS CLUSTER(SERVER) USER("username: u, password: p"),
	       "line 4: the user's \"username\" is not supported; use a token, a tokenFile or a client certificate");
	refuse(CONTEXTS CLUSTER(SERVER ", proxy-url: 'http://p'") USER("token: t"),
	       "line 3: proxy-url is not supported; set HTTPS_PROXY in logtap's environment");
}

static void mistakes_are_told(void **state)
{
	(void)state;
	refuse("", "there is no current-context; set it to one of the contexts");
	refuse("[]", "there is no current-context; set it to one of the contexts");
	refuse("current-context: d\n", "line 1: the current-context \"d\" is not among the contexts");
	refuse(CONTEXTS, "line 2: the context's cluster \"k\" is not among the clusters");
	refuse(CONTEXTS CLUSTER(SERVER), "line 2: the context's user \"u\" is not among the users");
	refuse(CONTEXTS CLUSTER("server: 'http://api'") USER("token: t"),
	       "line 3: the cluster's server must be https://HOST:PORT, not \"http://api\"");
	refuse(CONTEXTS CLUSTER("server: 'https://user@api'") USER("token: t"),
	       "line 3: the cluster's server must be https://HOST:PORT, not \"https://user@api\"");
	refuse(CONTEXTS CLUSTER(SERVER ", certificate-authority-data: '#'") USER("token: t"),
	       "line 3: certificate-authority-data is no base64");
	refuse(CONTEXTS CLUSTER(SERVER) USER("client-certificate: c"),
	       "line 4: the user's client-certificate and client-key belong together; one is missing");
	refuse("a: [\n", "line 2: it is not valid YAML: did not find expected node content");
	refuse("a: b\nc: \x01\n", "it is no text at byte 8: control characters are not allowed");
}

static void what_cannot_be_read_is_not_left_out(void **state)
{
	(void)state;
	refuse(CONTEXTS CLUSTER(SERVER) USER("token: [t]"), "line 4: token must be plain text");
	refuse(CONTEXTS CLUSTER(SERVER) USER("client-certificate: {a: b}, client-key: k"),
	       "line 4: client-certificate must be plain text");
	refuse(CONTEXTS CLUSTER(SERVER ", certificate-authority-data: [a]") USER("token: t"),
	       "line 3: certificate-authority-data must be plain text");
}

static void a_server_is_a_host_with_a_port_or_none(void **state)
{
	(void)state;
	assert_true(kube_access__valid_server("https://api"));
	assert_true(kube_access__valid_server("https://api/prefix"));
	assert_true(kube_access__valid_server("https://api:65535/prefix"));
	assert_true(kube_access__valid_server("https://[fd00::1]"));
	assert_true(kube_access__valid_server("https://[fd00::1]:6443/"));
	assert_false(kube_access__valid_server("https://"));
	assert_false(kube_access__valid_server("https://:1"));
	assert_false(kube_access__valid_server("https:///p"));
	assert_false(kube_access__valid_server("https://api:"));
	assert_false(kube_access__valid_server("https://api:port"));
	assert_false(kube_access__valid_server("https://api:0"));
	assert_false(kube_access__valid_server("https://api:65536"));
	assert_false(kube_access__valid_server("https://a:1:2"));
	assert_false(kube_access__valid_server("https://[fd00::1"));
	assert_false(kube_access__valid_server("https://[]:1"));
	assert_false(kube_access__valid_server("https://[::1]x"));
}

static void file_that_is_missing_is_told(void **state)
{
	struct kube_access *access;
	char why[256];

	(void)state;
	assert_int_equal(kubeconfig__load("/no/such/file", &access, why, sizeof(why)), -ENOENT);
	assert_string_equal(why, "it cannot be read: No such file or directory");
	assert_int_equal(kubeconfig__load("/", &access, why, sizeof(why)), -EISDIR);
	assert_int_equal(kubeconfig__load("/dev/zero", &access, why, sizeof(why)), -EFBIG);
}

static void set_service(const char *host, const char *port)
{
	setenv("KUBERNETES_SERVICE_HOST", host, 1);
	setenv("KUBERNETES_SERVICE_PORT", port, 1);
}

static void service_account_is_found(void **state)
{
	struct kube_access *access;

	(void)state;
	set_service("fd00::1", "443");
	assert_int_equal(kube_access__in_cluster("/secrets", &access), 0);
	assert_string_equal(access->server, "https://[fd00::1]:443");
	assert_string_equal(access->token_file, "/secrets/token");
	assert_string_equal(access->ca_file, "/secrets/ca.crt");
	kube_access__free(access);
	set_service("10.0.0.1/x", "443");
	assert_int_equal(kube_access__in_cluster("/secrets", &access), -EINVAL);
	set_service("10.0.0.1", "443@x");
	assert_int_equal(kube_access__in_cluster("/secrets", &access), -EINVAL);
	set_service("", "");
	assert_int_equal(kube_access__in_cluster("/secrets", &access), -ENOENT);
}

static void token_is_what_may_stand_in_a_header(void **state)
{
	struct kube_access access = { .token = "\n abc.d-e \r\n" };
	char *token = NULL;

	(void)state;
	assert_int_equal(kube_access__token(&access, &token), 0);
	assert_string_equal(token, "abc.d-e");
	free(token);
	access.token = "abc\r\nHost: x";
	assert_int_equal(kube_access__token(&access, &token), -EINVAL);
	access.token = " \n";
	assert_int_equal(kube_access__token(&access, &token), -EINVAL);
	access.token = NULL;
	assert_int_equal(kube_access__token(&access, &token), 0);
	assert_null(token);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everything_that_is_known_is_taken),
		cmocka_unit_test(files_are_found_beside_it),
		cmocka_unit_test(data_wins_over_files),
		cmocka_unit_test(json_is_yaml),
		cmocka_unit_test(what_would_run_a_program_is_refused),
		cmocka_unit_test(mistakes_are_told),
		cmocka_unit_test(what_cannot_be_read_is_not_left_out),
		cmocka_unit_test(a_server_is_a_host_with_a_port_or_none),
		cmocka_unit_test(file_that_is_missing_is_told),
		cmocka_unit_test(service_account_is_found),
		cmocka_unit_test(token_is_what_may_stand_in_a_header),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
