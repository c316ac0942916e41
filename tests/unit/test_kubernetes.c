/* What is known of pods, with a real server over TLS that does what servers do, and worse. */
#include "kube_fixture.h"

#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>

#define fact(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static int setup(void **state)
{
	*state = fixture__new(NULL);
	return 0;
}

static int setup_http2(void **state)
{
	*state = fixture__new("--h2");
	return 0;
}

static int teardown(void **state)
{
	fixture__free(*state);
	return 0;
}

/* Listed, and watched: what changes from here on comes as events. */
static void start_watching(struct fixture *f)
{
	start(f);
	wait_for(count_of(f, "watching") == 1);
}

/* --- list and watch */

static void pods_of_the_node_are_listed_and_watched(void **state)
{
	struct fixture *f = *state;

	put_pod(f, "a", "one");
	tell(f, "put pods {\"metadata\":{\"uid\":\"b\",\"name\":\"b\",\"namespace\":\"shop\"},\"spec\":{\"nodeName\":\"node-2\"}}");
	start_watching(f);
	assert_true(app_is(f, "a", "one"));
	assert_true(app_is(f, "b", ""));
	put_pod(f, "c", "three");
	wait_for(app_is(f, "c", "three"));
	put_pod(f, "a", "changed");
	wait_for(app_is(f, "a", "changed"));
	tell(f, "delete pods c");
	put_pod(f, "d", "four");
	wait_for(app_is(f, "d", "four"));
	assert_true(app_is(f, "c", "three"));
	stop(f);
	assert_true(is_gone(f, "c"));
	assert_true(app_is(f, "a", "changed"));
	assert_int_equal(counter(f, COUNTER_kube_events), 4);
	assert_int_equal(counter(f, COUNTER_kube_relists), 0);
	assert_int_equal(counter(f, COUNTER_kube_errors), 0);
	assert_int_equal(counter(f, COUNTER_kube_pods), 4);
	assert_int_equal(said("warning"), 0);
}

static void long_list_comes_in_pages(void **state)
{
	struct fixture *f = *state;
	char uid[16];

	for (int i = 0; i < 25; i++) {
		snprintf(uid, sizeof(uid), "p%02d", i);
		put_pod(f, uid, "one");
	}
	tell(f, "page 10");
	start_watching(f);
	for (int i = 0; i < 25; i++) {
		snprintf(uid, sizeof(uid), "p%02d", i);
		assert_true(app_is(f, uid, "one"));
	}
	assert_int_equal(count_of(f, "list"), 1);
	assert_int_equal(count_of(f, "page"), 2);
}

#define LARGE (250 << 10)
#define LARGE_PODS 40

/* Together they are more than a page may be, and the first list comes from the server's cache, whole. */
static void node_of_large_pods_is_listed(void **state)
{
	struct fixture *f = *state;
	char *note = malloc(LARGE + 1);

	assert_non_null(note);
	memset(note, 'x', LARGE);
	note[LARGE] = '\0';
	for (int i = 0; i < LARGE_PODS; i++)
		assert_string_equal(command(f,
			"put pods {\"metadata\":{\"uid\":\"p%d\",\"name\":\"web\",\"namespace\":\"shop\",\"labels\":{\"app\":\"one\"},"
			"\"annotations\":{\"note\":\"%s\"}},\"spec\":{\"nodeName\":\"node-1\"}}", i, note), "ok");
	free(note);
	start_watching(f);
	assert_true(app_is(f, "p0", "one") && app_is(f, "p39", "one"));
}

static void short_lived_pod_is_known_when_it_is_gone(void **state)
{
	struct fixture *f = *state;

	start_watching(f);
	tell(f, "behave silent");
	put_pod(f, "short", "one");
	tell(f, "delete pods short");
	tell(f, "behave fine");
	wait_for(app_is(f, "short", "one"));
	stop(f);
	assert_true(is_gone(f, "short"));
}

static void bookmark_saves_a_list_after_compaction(void **state)
{
	struct fixture *f = *state;

	put_pod(f, "a", "one");
	start_watching(f);
	/* The history from before is forgotten while the watch is on, and the bookmark says so. */
	tell(f, "advance");
	tell(f, "bookmark");
	wait_for(counter(f, COUNTER_kube_events) == 1);
	tell(f, "forget");
	tell(f, "cut");
	wait_for(count_of(f, "watching") == 1 && count_of(f, "watch") == 2);
	put_pod(f, "b", "two");
	wait_for(app_is(f, "b", "two"));
	assert_int_equal(counter(f, COUNTER_kube_relists), 0);
}

static void assert_relists(struct fixture *f, const char *how)
{
	put_pod(f, "a", "one");
	put_pod(f, "b", "two");
	start_watching(f);
	tell(f, "behave silent");
	tell(f, "drop pods a");
	put_pod(f, "b", "changed");
	put_pod(f, "c", "three");
	tell(f, how);
	tell(f, "cut");
	tell(f, "behave fine");
	wait_for(app_is(f, "c", "three"));
	wait_for(app_is(f, "b", "changed"));
	wait_for(count_of(f, "watching") == 1);
	put_pod(f, "d", "four");
	wait_for(app_is(f, "d", "four"));
	stop(f);
	assert_true(is_gone(f, "a"));
	assert_true(app_is(f, "b", "changed"));
	assert_true(counter(f, COUNTER_kube_relists) >= 1);
}

static void expired_version_by_an_event_is_listed_anew(void **state)
{
	assert_relists(*state, "compact");
}

static void expired_version_by_http_is_listed_anew(void **state)
{
	assert_relists(*state, "compact_http");
}

static void expired_page_begins_the_list_anew(void **state)
{
	struct fixture *f = *state;

	put_pod(f, "a", "one");
	put_pod(f, "b", "two");
	put_pod(f, "c", "three");
	tell(f, "page 1");
	tell(f, "forget_pages");
	start_watching(f);
	assert_true(app_is(f, "a", "one") && app_is(f, "b", "two") && app_is(f, "c", "three"));
	assert_int_equal(count_of(f, "list"), 2);
}

/* What is so now. The second is asked for when all of the first is taken. */
static void wait_for_whole_list(struct fixture *f)
{
	int lists = count_of(f, "list");

	wait_for(count_of(f, "list") >= lists + 2);
}

static void resync_finds_what_no_event_told(void **state)
{
	struct fixture *f = *state;

	f->timing.watch_ms = 1000;
	f->timing.resync_ms = 100;
	put_pod(f, "a", "one");
	start_watching(f);
	tell(f, "drop pods a");
	wait_for_whole_list(f);
	stop(f);
	assert_true(is_gone(f, "a"));
}

/* It will not reach the version that we know, and is silent on a watch from there. */
static void server_that_was_restored_from_a_backup_is_listed_anew(void **state)
{
	struct fixture *f = *state;

	f->timing.watch_ms = 1000;
	f->timing.resync_ms = 100;
	put_pod(f, "a", "one");
	tell(f, "advance");
	start_watching(f);
	tell(f, "version 50");
	tell(f, "drop pods a");
	put_pod(f, "b", "two");
	wait_for(said("answers again"));
	wait_for_whole_list(f);
	stop(f);
	assert_true(app_is(f, "b", "two"));
	assert_true(is_gone(f, "a"));
}

static void storm_of_events_is_taken_whole(void **state)
{
	struct fixture *f = *state;

	start_watching(f);
	tell(f, "storm 5000");
	wait_for(strcmp(label_of(f, "storm-49", "turn"), "4999") == 0);
	assert_int_equal(counter(f, COUNTER_kube_events), 5000);
	wait_for(counter(f, COUNTER_kube_pods) == 5000);
	assert_int_equal(counter(f, COUNTER_kube_relists), 0);
}

/* --- what goes wrong, and is over again */

static void assert_survives_list(struct fixture *f, const char *trouble, const char *words)
{
	put_pod(f, "a", "one");
	tell(f, trouble);
	start(f);
	wait_for(said(words));
	wait_for(counter(f, COUNTER_kube_errors) >= 3);
	assert_int_equal(said(words), 1);
	assert_int_equal(said("warning"), 1);
	tell(f, strncmp(trouble, "behave", 6) ? "fail 0" : "behave fine");
	tell(f, "forbid none");
	wait_for(app_is(f, "a", "one"));
	wait_for(said("answers again"));
	wait_for(count_of(f, "watching") == 1);
	put_pod(f, "b", "two");
	wait_for(app_is(f, "b", "two"));
	assert_int_equal(said("answers again"), 1);
}

static void garbage_is_not_taken(void **state)
{
	assert_survives_list(*state, "behave garbage", "its answer is no JSON");
}

static void half_a_list_is_not_taken(void **state)
{
	assert_survives_list(*state, "behave half", "its answer breaks off");
}

static void empty_answer_is_not_taken(void **state)
{
	assert_survives_list(*state, "behave empty", "its answer breaks off");
}

static void huge_list_is_not_taken(void **state)
{
	assert_survives_list(*state, "behave huge", "too large");
}

static void failing_server_is_said_once(void **state)
{
	assert_survives_list(*state, "fail 500", "HTTP 500: it was told to fail");
}

static void redirect_is_not_followed(void **state)
{
	assert_survives_list(*state, "behave redirect", "redirects are not followed");
}

static void reset_connections_are_made_again(void **state)
{
	struct fixture *f = *state;

	put_pod(f, "a", "one");
	tell(f, "behave reset");
	start(f);
	wait_for(counter(f, COUNTER_kube_errors) >= 3);
	assert_int_equal(said("warning"), 1);
	tell(f, "behave fine");
	wait_for(app_is(f, "a", "one"));
}

static void missing_right_is_said_once_with_its_name(void **state)
{
	struct fixture *f = *state;

	put_pod(f, "a", "one");
	tell(f, "forbid pods");
	start(f);
	wait_for(said("allow `get`, `list` and `watch` on pods"));
	wait_for(counter(f, COUNTER_kube_errors) >= 3);
	assert_int_equal(said("warning"), 1);
	tell(f, "forbid none");
	wait_for(app_is(f, "a", "one"));
}

static void slow_answers_are_taken(void **state)
{
	struct fixture *f = *state;

	put_pod(f, "a", "one");
	tell(f, "behave drip");
	start(f);
	wait_for(app_is(f, "a", "one"));
	assert_int_equal(said("warning"), 0);
}

/* For a second each time; at the end come a list and a watch. */
static void server_that_asks_to_wait_is_obeyed(void **state)
{
	struct fixture *f = *state;
	uint64_t begun_ms = clock__ms(), took_ms;

	f->timing.retry_max_ms = 1000;
	put_pod(f, "a", "one");
	tell(f, "behave retry");
	start(f);
	wait_for(said("HTTP 429"));
	tell(f, "behave fine");
	wait_for(app_is(f, "a", "one"));
	took_ms = clock__ms() - begun_ms;
	assert_true(took_ms >= 1000);
	assert_true(counter(f, COUNTER_kube_requests) <= took_ms / 1000 + 3);
}

static void list_that_hangs_is_given_up(void **state)
{
	struct fixture *f = *state;

	f->timing.request_silence_ms = 2000;
	put_pod(f, "a", "one");
	tell(f, "behave hang");
	start(f);
	wait_for(said("it has said nothing"));
	tell(f, "behave fine");
	wait_for(app_is(f, "a", "one"));
}

/* Its server sends bookmarks, so that silence is no peace. */
static void watch_that_hangs_is_given_up(void **state)
{
	struct fixture *f = *state;

	f->timing.bookmark_ms = 3000;
	start_watching(f);
	tell(f, "bookmark");
	wait_for(counter(f, COUNTER_kube_events) == 1);
	tell(f, "behave silent");
	wait_for(said("it has said nothing"));
	tell(f, "behave fine");
	put_pod(f, "b", "two");
	wait_for(app_is(f, "b", "two"));
	assert_int_equal(counter(f, COUNTER_kube_relists), 0);
}

static void broken_watch_goes_on_from_where_it_was(void **state)
{
	struct fixture *f = *state;

	put_pod(f, "a", "one");
	start_watching(f);
	tell(f, "behave half");
	put_pod(f, "b", "two");
	wait_for(counter(f, COUNTER_kube_errors) >= 1);
	tell(f, "behave fine");
	wait_for(app_is(f, "b", "two"));
	wait_for(count_of(f, "watching") == 1);
	put_pod(f, "c", "three");
	wait_for(app_is(f, "c", "three"));
}

static void errors_of_a_watch_are_endured(void **state)
{
	struct fixture *f = *state;

	start_watching(f);
	tell(f, "behave error500");
	wait_for(said("etcd is away"));
	/* The lists in between are fine, and nobody knows for longer than that. */
	wait_for(counter(f, COUNTER_kube_relists) >= 3);
	assert_int_equal(said("etcd is away"), 1);
	assert_int_equal(said("answers again"), 0);
	tell(f, "behave fine");
	put_pod(f, "b", "two");
	wait_for(app_is(f, "b", "two"));
	wait_for(said("answers again"));
}

static void watches_that_are_closed_at_once_are_not_asked_for_in_a_rage(void **state)
{
	struct fixture *f = *state;

	f->timing.retry_ms = 100;
	f->timing.retry_max_ms = 100000;
	start_watching(f);
	tell(f, "behave close");
	wait_for(count_of(f, "watch") >= 5);
	assert_true(counter(f, COUNTER_kube_requests) < 12);
	assert_int_equal(said("warning"), 0);
}

static void server_that_is_gone_and_comes_back_is_found(void **state)
{
	struct fixture *f = *state;

	put_pod(f, "a", "one");
	start_watching(f);
	stop_server(f);
	wait_for(said("warning"));
	assert_true(app_is(f, "a", "one"));
	wait_for(counter(f, COUNTER_kube_errors) >= 5);
	assert_int_equal(said("warning"), 1);
}

static void *hang_up(void *opaque)
{
	const int *listener = opaque;
	int fd;

	while ((fd = accept(*listener, NULL, NULL)) >= 0)
		close(fd);
	return NULL;
}

/* As of a load balancer that has no server left. */
static void handshake_that_breaks_off_is_no_question_of_trust(void **state)
{
	struct fixture *f = *state;
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(address);
	pthread_t thread;
	char port[16];

	assert_int_equal(bind(listener, (struct sockaddr *)&address, len), 0);
	assert_int_equal(listen(listener, 16), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &len), 0);
	assert_int_equal(pthread_create(&thread, NULL, hang_up, &listener), 0);
	snprintf(port, sizeof(port), "%d", ntohs(address.sin_port));
	setenv("KUBERNETES_SERVICE_PORT", port, 1);
	start(f);
	wait_for(counter(f, COUNTER_kube_errors) >= 3);
	stop(f);
	shutdown(listener, SHUT_RDWR);
	pthread_join(thread, NULL);
	close(listener);
	assert_int_equal(said("warning"), 1);
	assert_int_equal(said("its certificate must be"), 0);
}

static void odd_objects_are_left_out_and_the_others_taken(void **state)
{
	struct fixture *f = *state;

	tell(f, "put pods {\"metadata\":{\"uid\":\"odd\",\"name\":7,\"namespace\":[]},\"spec\":{\"nodeName\":\"node-1\"}}");
	put_pod(f, "a", "one");
	start_watching(f);
	assert_true(app_is(f, "a", "one"));
	tell(f, "put pods {\"metadata\":{\"uid\":\"odd\",\"name\":8,\"namespace\":[]},\"spec\":{\"nodeName\":\"node-1\"}}");
	put_pod(f, "b", "two");
	wait_for(app_is(f, "b", "two"));
	assert_int_equal(counter(f, COUNTER_kube_errors), 2);
	assert_true(app_is(f, "odd", ""));
}

/* Whoever may make pods may make one that is larger than a list may be. */
static void pod_that_is_too_large_is_left_out_and_the_others_taken(void **state)
{
	static const char owner[] = "{\"kind\":\"C\",\"name\":\"c\",\"uid\":\"u\"},";
	const int owners = 40000;
	struct fixture *f = *state;
	char *text = malloc(owners * strlen(owner) + 1);

	assert_non_null(text);
	for (int i = 0; i < owners; i++)
		strcpy(text + i * strlen(owner), owner);
	text[owners * strlen(owner) - 1] = '\0';
	put_pod(f, "a", "one");
	assert_string_equal(command(f,
		"put pods {\"metadata\":{\"uid\":\"large\",\"name\":\"large\",\"namespace\":\"shop\",\"ownerReferences\":[%s]},"
		"\"spec\":{\"nodeName\":\"node-1\"}}", text), "ok");
	free(text);
	put_pod(f, "z", "two");
	start_watching(f);
	assert_true(app_is(f, "a", "one") && app_is(f, "z", "two"));
	assert_true(app_is(f, "large", ""));
	assert_int_equal(counter(f, COUNTER_kube_errors), 1);
}

/* --- who we are, and who they are */

static void token_that_rotates_is_read_again(void **state)
{
	struct fixture *f = *state;

	put_pod(f, "a", "one");
	start_watching(f);
	set_token(f, "second");
	tell(f, "token second");
	tell(f, "cut");
	wait_for(count_of(f, "watch") >= 2);
	put_pod(f, "b", "two");
	wait_for(app_is(f, "b", "two"));
	assert_int_equal(count_of(f, "unauthorized"), 0);
}

static void refused_token_is_said_and_the_next_one_taken(void **state)
{
	struct fixture *f = *state;

	tell(f, "token second");
	put_pod(f, "a", "one");
	start(f);
	wait_for(count_of(f, "unauthorized") >= 3);
	assert_int_equal(said("HTTP 401: Unauthorized; it does not take the token"), 1);
	set_token(f, "second");
	wait_for(app_is(f, "a", "one"));
}

static void missing_token_is_said_and_waited_for(void **state)
{
	struct fixture *f = *state;
	char path[64];

	snprintf(path, sizeof(path), "%s/token", f->dir);
	assert_int_equal(unlink(path), 0);
	put_pod(f, "a", "one");
	start(f);
	wait_for(said("No such file or directory"));
	wait_for(counter(f, COUNTER_kube_errors) >= 3);
	assert_int_equal(said("warning"), 1);
	assert_int_equal(count_of(f, "unauthorized"), 0);
	set_token(f, "two\nlines");
	wait_for(counter(f, COUNTER_kube_errors) >= 6);
	set_token(f, "first");
	wait_for(app_is(f, "a", "one"));
}

static void assert_untrusted(struct fixture *f, const char *certificate)
{
	put_pod(f, "a", "one");
	assert_string_equal(command(f, "certificate %s", certificate), "ok");
	start(f);
	wait_for(said("its certificate must be for this name and from that authority"));
	wait_for(counter(f, COUNTER_kube_errors) >= 3);
	assert_int_equal(said("warning"), 1);
	assert_int_equal(count_of(f, "list"), 0);
	assert_true(app_is(f, "a", ""));
	tell(f, "certificate server");
	wait_for(app_is(f, "a", "one"));
}

static void certificate_of_another_authority_is_refused(void **state)
{
	assert_untrusted(*state, "foreign");
}

static void certificate_for_another_name_is_refused(void **state)
{
	assert_untrusted(*state, "name");
}

static void authority_that_is_put_right_is_taken(void **state)
{
	struct fixture *f = *state;
	char line[128];

	snprintf(line, sizeof(line), "cd %s && mv ca.crt right.crt && cp other.crt ca.crt", f->dir);
	assert_int_equal(system(line), 0);
	put_pod(f, "a", "one");
	start(f);
	wait_for(said("its certificate must be"));
	snprintf(line, sizeof(line), "cd %s && mv right.crt ca.crt", f->dir);
	assert_int_equal(system(line), 0);
	wait_for(app_is(f, "a", "one"));
}

static void kubeconfig_says_where_and_how(void **state)
{
	struct fixture *f = *state;
	char path[64], text[1024];

	snprintf(path, sizeof(path), "%s/kubeconfig", f->dir);
	snprintf(text, sizeof(text),
		 "current-context: c\n"
		 "contexts: [{name: c, context: {cluster: k, user: u}}]\n"
		 "clusters: [{name: k, cluster: {server: 'https://127.0.0.1:%s/', tls-server-name: localhost, certificate-authority: ca.crt}}]\n"
		 "users: [{name: u, user: {tokenFile: token, client-certificate: client.crt, client-key: client.key}}]\n",
		 getenv("KUBERNETES_SERVICE_PORT"));
	write_file(path, text);
	unsetenv("KUBERNETES_SERVICE_HOST");
	f->config.kubeconfig = path;
	put_pod(f, "a", "one");
	start_watching(f);
	assert_true(app_is(f, "a", "one"));
	stop(f);
	f->config.kubeconfig = "/no/such/kubeconfig";
	assert_int_equal(try_start(f), -EINVAL);
	assert_int_equal(said("kubernetes.kubeconfig: /no/such/kubeconfig cannot be used: it cannot be read: No such file"), 1);
}

static void outside_of_a_cluster_nobody_is_asked(void **state)
{
	struct fixture *f = *state;

	unsetenv("KUBERNETES_SERVICE_HOST");
	assert_int_equal(try_start(f), 0);
	assert_null(f->kubernetes);
	f->config.source = KUBERNETES_API;
	assert_int_equal(try_start(f), -EINVAL);
	assert_int_equal(said("needs a cluster or a kubeconfig"), 1);
	setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1", 1);
	f->config.source = KUBERNETES_NONE;
	assert_int_equal(try_start(f), 0);
	assert_null(f->kubernetes);
}

/* --- the end */

static void assert_stops_at_once(struct fixture *f)
{
	uint64_t ms = clock__ms();

	stop(f);
	ms = clock__ms() - ms;
	print_message("stopped in %d ms\n", (int)ms);
	/* Its own time-outs are far longer. */
	assert_true(ms < 10000);
}

static void hanging_server_does_not_hold_up_the_end(void **state)
{
	struct fixture *f = *state;

	f->timing.request_silence_ms = 600000;
	f->timing.request_ms = 600000;
	tell(f, "behave hang");
	start(f);
	wait_for(counter(f, COUNTER_kube_requests) == 1);
	usleep(100000);
	assert_stops_at_once(f);
	tell(f, "behave fine");
}

static void stopped_server_does_not_hold_up_the_end(void **state)
{
	struct fixture *f = *state;

	f->timing.request_silence_ms = 600000;
	f->timing.request_ms = 600000;
	kill(f->server, SIGSTOP);
	start(f);
	wait_for(counter(f, COUNTER_kube_requests) == 1);
	assert_stops_at_once(f);
	kill(f->server, SIGCONT);
}

static void cache_outlives_the_thread(void **state)
{
	struct fixture *f = *state;

	put_pod(f, "a", "one");
	start_watching(f);
	stop(f);
	assert_true(app_is(f, "a", "one"));
	tell(f, "drop pods a");
	put_pod(f, "b", "two");
	start(f);
	wait_for(app_is(f, "b", "two"));
	stop(f);
	assert_true(is_gone(f, "a"));
}

/* --- what belongs to pods */

static const char *workload_of(struct fixture *f, const char *uid)
{
	static char text[256];
	const struct pod *pod = pods__get(f->pods, uid, "", "");

	snprintf(text, sizeof(text), "%s/%s", pod && pod->workload_kind ? pod->workload_kind : "",
		 pod && pod->workload_name ? pod->workload_name : "");
	pod__put(pod);
	return text;
}

static void put_job_pod(struct fixture *f, const char *uid, const char *job)
{
	assert_string_equal(command(f,
		"put pods {\"metadata\":{\"uid\":\"%s\",\"name\":\"%s\",\"namespace\":\"shop\",\"ownerReferences\":"
		"[{\"kind\":\"Job\",\"name\":\"%s\",\"controller\":true}]},\"spec\":{\"nodeName\":\"node-1\"}}", uid, uid, job), "ok");
}

static void pod_of_a_cron_job_is_its(void **state)
{
	struct fixture *f = *state;
	const struct pod *pod;

	tell(f, "put jobs {\"metadata\":{\"name\":\"backup-1\",\"ownerReferences\":[{\"kind\":\"CronJob\",\"name\":\"backup\",\"uid\":\"u9\",\"controller\":true}]}}");
	tell(f, "put jobs {\"metadata\":{\"name\":\"alone\"}}");
	put_job_pod(f, "a", "backup-1");
	put_job_pod(f, "b", "backup-1");
	put_job_pod(f, "c", "alone");
	put_job_pod(f, "d", "unknown");
	start(f);
	wait_for(strcmp(workload_of(f, "a"), "CronJob/backup") == 0);
	wait_for(strcmp(workload_of(f, "b"), "CronJob/backup") == 0);
	wait_for(strcmp(workload_of(f, "c"), "Job/alone") == 0);
	wait_for(strcmp(workload_of(f, "d"), "Job/unknown") == 0);
	wait_for(count_of(f, "watching") == 1);
	put_job_pod(f, "e", "backup-1");
	wait_for(strcmp(workload_of(f, "e"), "CronJob/backup") == 0);
	tell(f, "delete pods e");
	put_pod(f, "f", "last");
	wait_for(app_is(f, "f", "last"));
	assert_int_equal(count_of(f, "job"), 3);
	stop(f);
	assert_true(is_gone(f, "e"));
	assert_string_equal(workload_of(f, "a"), "CronJob/backup");
	pod = pods__get(f->pods, "a", "", "");
	assert_string_equal(pod->workload_uid, "u9");
	pod__put(pod);
}

static void put_pod_of_job_with_uid(struct fixture *f, const char *uid, const char *job_uid)
{
	assert_string_equal(command(f,
		"put pods {\"metadata\":{\"uid\":\"%s\",\"name\":\"%s\",\"namespace\":\"shop\",\"ownerReferences\":"
		"[{\"kind\":\"Job\",\"name\":\"backup-1\",\"uid\":\"%s\",\"controller\":true}]},\"spec\":{\"nodeName\":\"node-1\"}}",
		uid, uid, job_uid), "ok");
}

static void job_that_is_made_again_under_its_name_is_another(void **state)
{
	struct fixture *f = *state;

	tell(f, "put jobs {\"metadata\":{\"name\":\"backup-1\",\"uid\":\"j1\",\"ownerReferences\":[{\"kind\":\"CronJob\",\"name\":\"backup\",\"controller\":true}]}}");
	start_watching(f);
	put_pod_of_job_with_uid(f, "a", "j1");
	wait_for(strcmp(workload_of(f, "a"), "CronJob/backup") == 0);
	/* What is said of the present one holds not for the one before. */
	put_pod_of_job_with_uid(f, "c", "j0");
	wait_for(*workload_of(f, "c") != '/');
	assert_string_equal(workload_of(f, "c"), "Job/backup-1");
	tell(f, "delete jobs j1");
	tell(f, "put jobs {\"metadata\":{\"name\":\"backup-1\",\"uid\":\"j2\"}}");
	put_pod_of_job_with_uid(f, "b", "j2");
	wait_for(*workload_of(f, "b") != '/');
	assert_string_equal(workload_of(f, "b"), "Job/backup-1");
	assert_string_equal(workload_of(f, "a"), "CronJob/backup");
}

/* More than wait for one Job. */
static void many_events_of_a_jobs_pod_keep_their_order(void **state)
{
	struct fixture *f = *state;

	tell(f, "put jobs {\"metadata\":{\"name\":\"backup-1\",\"ownerReferences\":[{\"kind\":\"CronJob\",\"name\":\"backup\",\"controller\":true}]}}");
	start_watching(f);
	tell(f, "behave slow_jobs");
	for (int i = 0; i < 300; i++)
		put_job_pod(f, "a", "backup-1");
	tell(f, "delete pods a");
	put_pod(f, "z", "last");
	wait_for(app_is(f, "z", "last"));
	tell(f, "behave fine");
	wait_for(strcmp(workload_of(f, "a"), "CronJob/backup") == 0);
	stop(f);
	assert_true(is_gone(f, "a"));
}

/* A mirror of a uid that an annotation names is another pod than the one that has it. */
static void pods_that_wait_for_their_job_do_not_take_each_others_place(void **state)
{
	struct fixture *f = *state;
	const struct pod *pod;

	tell(f, "put jobs {\"metadata\":{\"name\":\"backup-1\",\"ownerReferences\":[{\"kind\":\"CronJob\",\"name\":\"backup\",\"controller\":true}]}}");
	start_watching(f);
	tell(f, "behave slow_jobs");
	put_job_pod(f, "a", "backup-1");
	tell(f, "put pods {\"metadata\":{\"uid\":\"b\",\"name\":\"forged\",\"namespace\":\"shop\",\"annotations\":"
		"{\"kubernetes.io/config.mirror\":\"a\"},\"ownerReferences\":[{\"kind\":\"Job\",\"name\":\"backup-1\",\"controller\":true}]},"
		"\"spec\":{\"nodeName\":\"node-1\"}}");
	put_pod(f, "z", "last");
	wait_for(app_is(f, "z", "last"));
	tell(f, "behave fine");
	wait_for(strcmp(workload_of(f, "a"), "CronJob/backup") == 0);
	pod = pods__get(f->pods, "a", "shop", "a");
	assert_non_null(pod);
	assert_string_equal(pod->name, "a");
	pod__put(pod);
}

static void jobs_that_may_not_be_asked_for_stay_jobs(void **state)
{
	struct fixture *f = *state;

	tell(f, "forbid jobs");
	put_job_pod(f, "a", "backup-1");
	start_watching(f);
	wait_for(strcmp(workload_of(f, "a"), "Job/backup-1") == 0);
	put_job_pod(f, "b", "backup-2");
	wait_for(strcmp(workload_of(f, "b"), "Job/backup-2") == 0);
	assert_int_equal(count_of(f, "job"), 1);
	assert_int_equal(said("allow `get` on jobs in its ClusterRole"), 1);
}

static const char *around_of(struct fixture *f, const char *uid, bool namespace)
{
	static char value[64];
	const struct pod *pod = pods__get(f->pods, uid, "", "");
	const struct labels *labels = !pod ? NULL : namespace ? &pod->namespace_labels : &pod->node_labels;

	snprintf(value, sizeof(value), "%s", labels ? labels__get(labels, "v") ?: "-" : "");
	pod__put(pod);
	return value;
}

static void labels_and_uids_of_namespace_and_node_are_the_pods(void **state)
{
	struct fixture *f = *state;
	const struct pod *pod;

	f->namespace_labels = f->node_labels = true;
	tell(f, "put namespaces {\"metadata\":{\"name\":\"kube-system\",\"uid\":\"u0\"}}");
	tell(f, "put namespaces {\"metadata\":{\"name\":\"shop\",\"uid\":\"u1\",\"labels\":{\"v\":\"n1\"}}}");
	tell(f, "put nodes {\"metadata\":{\"name\":\"node-1\",\"uid\":\"u2\",\"labels\":{\"v\":\"d1\"}},\"status\":{\"addresses\":"
		"[{\"type\":\"InternalIP\",\"address\":\"10.0.0.1\"},{\"type\":\"Hostname\",\"address\":\"one.example\"}]}}");
	tell(f, "put nodes {\"metadata\":{\"name\":\"node-2\",\"labels\":{\"v\":\"other\"}}}");
	put_pod(f, "a", "one");
	start(f);
	wait_for(app_is(f, "a", "one"));
	assert_string_equal(around_of(f, "a", true), "n1");
	assert_string_equal(around_of(f, "a", false), "d1");
	pod = pods__get(f->pods, "a", "", "");
	assert_string_equal(pod->namespace_uid, "u1");
	assert_string_equal(pod->cluster_uid, "u0");
	assert_string_equal(pod->node_uid, "u2");
	assert_string_equal(pod->node_hostname, "one.example");
	pod__put(pod);
	wait_for(count_of(f, "watching") == 3);
	tell(f, "put namespaces {\"metadata\":{\"name\":\"shop\",\"labels\":{\"v\":\"n2\"}}}");
	wait_for(strcmp(around_of(f, "a", true), "n2") == 0);
	tell(f, "put nodes {\"metadata\":{\"name\":\"node-1\",\"labels\":{\"v\":\"d2\"}}}");
	wait_for(strcmp(around_of(f, "a", false), "d2") == 0);
	assert_true(app_is(f, "a", "one"));
}

/* Its pod is in no cache yet when the namespace's labels come. */
static void pod_that_waits_for_its_job_gets_its_namespaces_present_labels(void **state)
{
	struct fixture *f = *state;

	f->namespace_labels = true;
	tell(f, "put namespaces {\"metadata\":{\"name\":\"other\",\"labels\":{\"v\":\"o1\"}}}");
	put_pod(f, "y", "first");
	start(f);
	wait_for(count_of(f, "watching") == 2);
	tell(f, "behave slow_jobs");
	put_job_pod(f, "a", "backup-1");
	put_pod(f, "z", "last");
	wait_for(app_is(f, "z", "last"));
	tell(f, "put namespaces {\"metadata\":{\"name\":\"shop\",\"labels\":{\"v\":\"n1\"}}}");
	wait_for(strcmp(around_of(f, "z", true), "n1") == 0);
	tell(f, "behave fine");
	wait_for(strcmp(workload_of(f, "a"), "Job/backup-1") == 0);
	assert_string_equal(around_of(f, "a", true), "n1");
}

static const char *cluster_of(struct fixture *f, const char *uid)
{
	static char value[64];
	const struct pod *pod = pods__get(f->pods, uid, "", "");

	snprintf(value, sizeof(value), "%s", pod && pod->cluster_uid ? pod->cluster_uid : "");
	pod__put(pod);
	return value;
}

/* Its pods are gone before it is, but their last words may come later. */
static void pod_keeps_the_labels_of_a_namespace_that_is_gone(void **state)
{
	struct fixture *f = *state;

	f->namespace_labels = f->node_labels = true;
	tell(f, "put namespaces {\"metadata\":{\"name\":\"shop\",\"uid\":\"u1\",\"labels\":{\"v\":\"n1\"}}}");
	tell(f, "put nodes {\"metadata\":{\"name\":\"node-1\",\"uid\":\"u2\",\"labels\":{\"v\":\"d1\"}}}");
	put_pod(f, "a", "one");
	start(f);
	wait_for(count_of(f, "watching") == 3);
	assert_string_equal(around_of(f, "a", true), "n1");
	/* Events of one kind come in order: with the second of each the first has been taken. */
	tell(f, "delete namespaces u1");
	tell(f, "put namespaces {\"metadata\":{\"name\":\"kube-system\",\"uid\":\"u0\"}}");
	wait_for(strcmp(cluster_of(f, "a"), "u0") == 0);
	assert_string_equal(around_of(f, "a", true), "n1");
	put_pod(f, "a", "two");
	wait_for(app_is(f, "a", "two"));
	assert_string_equal(around_of(f, "a", true), "n1");
	assert_string_equal(around_of(f, "a", false), "d1");
	tell(f, "delete pods a");
	put_pod(f, "b", "last");
	wait_for(app_is(f, "b", "last"));
	assert_string_equal(around_of(f, "a", true), "n1");
	assert_string_equal(around_of(f, "b", true), "-");
}

static void missing_right_to_namespaces_costs_their_labels_alone(void **state)
{
	struct fixture *f = *state;

	f->namespace_labels = true;
	tell(f, "forbid namespaces");
	put_pod(f, "a", "one");
	start(f);
	wait_for(app_is(f, "a", "one"));
	assert_int_equal(said("`get`, `list` and `watch` on namespaces"), 1);
	assert_string_equal(around_of(f, "a", true), "-");
}

static bool has_cluster(struct fixture *f, const char *uid, const char *cluster)
{
	const struct pod *pod = pods__get(f->pods, uid, "", "");
	bool has = pod && pod->cluster_uid && !strcmp(pod->cluster_uid, cluster);

	pod__put(pod);
	return has;
}

/* The pods are there, then the right to namespaces comes. */
static void cluster_is_told_to_pods_of_every_namespace(void **state)
{
	struct fixture *f = *state;

	f->namespace_labels = true;
	tell(f, "forbid namespaces");
	tell(f, "put namespaces {\"metadata\":{\"name\":\"apps\",\"uid\":\"u0\"}}");
	tell(f, "put namespaces {\"metadata\":{\"name\":\"kube-system\",\"uid\":\"u1\"}}");
	tell(f, "put pods {\"metadata\":{\"uid\":\"a\",\"name\":\"a\",\"namespace\":\"apps\",\"labels\":{\"app\":\"one\"}},"
		"\"spec\":{\"nodeName\":\"node-1\"}}");
	start(f);
	wait_for(app_is(f, "a", "one"));
	tell(f, "forbid none");
	wait_for(has_cluster(f, "a", "u1"));
}

/* --- HTTP/2, and the kubelet */

static void one_http2_connection_serves_all(void **state)
{
	struct fixture *f = *state;

	f->namespace_labels = f->node_labels = true;
	tell(f, "put namespaces {\"metadata\":{\"name\":\"shop\",\"labels\":{\"v\":\"n1\"}}}");
	tell(f, "put jobs {\"metadata\":{\"name\":\"backup-1\",\"ownerReferences\":[{\"kind\":\"CronJob\",\"name\":\"backup\",\"controller\":true}]}}");
	put_job_pod(f, "a", "backup-1");
	start(f);
	wait_for(strcmp(workload_of(f, "a"), "CronJob/backup") == 0);
	wait_for(count_of(f, "watching") == 3);
	tell(f, "storm 1000");
	wait_for(strcmp(label_of(f, "storm-49", "turn"), "999") == 0);
	assert_int_equal(count_of(f, "connections"), 1);
}

/* What hangs is the connection: the next request needs another. */
static void hanging_http2_connection_is_left(void **state)
{
	struct fixture *f = *state;

	f->timing.request_silence_ms = 2000;
	put_pod(f, "a", "one");
	tell(f, "behave hang");
	start(f);
	wait_for(said("it has said nothing"));
	tell(f, "behave fine");
	wait_for(app_is(f, "a", "one"));
	assert_true(count_of(f, "connections") >= 2);
}

static void use_kubelet(struct fixture *f, char *url, size_t size)
{
	snprintf(url, size, "https://127.0.0.1:%s", getenv("KUBERNETES_SERVICE_PORT"));
	f->config.source = KUBERNETES_KUBELET;
	f->config.kubelet = url;
}

static void kubelet_is_polled(void **state)
{
	struct fixture *f = *state;
	char url[64];
	int polls;

	use_kubelet(f, url, sizeof(url));
	start(f);
	wait_for(count_of(f, "kubelet") >= 1);
	put_pod(f, "a", "one");
	put_pod(f, "b", "two");
	wait_for(app_is(f, "a", "one") && app_is(f, "b", "two"));
	tell(f, "drop pods a");
	polls = count_of(f, "kubelet");
	/* The second is asked for when the first is taken. */
	wait_for(count_of(f, "kubelet") >= polls + 2);
	stop(f);
	assert_true(is_gone(f, "a"));
	assert_true(app_is(f, "b", "two"));
	assert_int_equal(counter(f, COUNTER_kube_pods), 2);
}

static void kubelets_list_that_is_too_large_leaves_what_is_known(void **state)
{
	struct fixture *f = *state;
	char url[64];

	use_kubelet(f, url, sizeof(url));
	put_pod(f, "a", "one");
	start(f);
	wait_for(app_is(f, "a", "one"));
	tell(f, "behave huge");
	put_pod(f, "b", "two");
	wait_for(said("is more than 16 MiB or 262144 values, and none of it is taken; with `source: api` it comes in pages"));
	assert_true(app_is(f, "a", "one"));
	assert_false(app_is(f, "b", "two"));
	tell(f, "behave fine");
	wait_for(app_is(f, "b", "two"));
	wait_for(said("answers again"));
}

static void kubelet_is_asked_at_once_when_a_pod_is_missed(void **state)
{
	struct fixture *f = *state;
	char url[64];

	f->timing.poll_ms = 3600000;
	f->timing.poll_least_ms = 1;
	use_kubelet(f, url, sizeof(url));
	start(f);
	wait_for(count_of(f, "kubelet") == 1);
	put_pod(f, "a", "one");
	pods__want(f->pods, "a");
	wait_for(app_is(f, "a", "one"));
	assert_int_equal(count_of(f, "kubelet"), 2);
}

static void kubelet_that_is_missed_much_is_asked_seldom(void **state)
{
	struct fixture *f = *state;
	char url[64];

	f->timing.poll_ms = 3600000;
	f->timing.poll_least_ms = 3600000;
	use_kubelet(f, url, sizeof(url));
	start(f);
	wait_for(count_of(f, "kubelet") == 1);
	for (int i = 0; i < 100; i++)
		pods__want(f->pods, "a");
	usleep(200000);
	assert_int_equal(count_of(f, "kubelet"), 1);
}

static void kubelet_with_its_own_certificate_needs_a_word(void **state)
{
	struct fixture *f = *state;
	char url[64], ca[64];

	use_kubelet(f, url, sizeof(url));
	put_pod(f, "a", "one");
	tell(f, "certificate foreign");
	start(f);
	wait_for(said("its certificate must be"));
	assert_int_equal(count_of(f, "kubelet"), 0);
	stop(f);
	snprintf(ca, sizeof(ca), "%s/other.crt", f->dir);
	f->config.kubelet_ca = ca;
	start(f);
	wait_for(app_is(f, "a", "one"));
	stop(f);
	f->config.kubelet_ca = "";
	f->config.kubelet_insecure = true;
	put_pod(f, "b", "two");
	start(f);
	wait_for(app_is(f, "b", "two"));
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		fact(pods_of_the_node_are_listed_and_watched),
		fact(long_list_comes_in_pages),
		fact(node_of_large_pods_is_listed),
		fact(short_lived_pod_is_known_when_it_is_gone),
		fact(bookmark_saves_a_list_after_compaction),
		fact(expired_version_by_an_event_is_listed_anew),
		fact(expired_version_by_http_is_listed_anew),
		fact(expired_page_begins_the_list_anew),
		fact(resync_finds_what_no_event_told),
		fact(server_that_was_restored_from_a_backup_is_listed_anew),
		fact(storm_of_events_is_taken_whole),
		fact(garbage_is_not_taken),
		fact(half_a_list_is_not_taken),
		fact(empty_answer_is_not_taken),
		fact(huge_list_is_not_taken),
		fact(failing_server_is_said_once),
		fact(redirect_is_not_followed),
		fact(reset_connections_are_made_again),
		fact(missing_right_is_said_once_with_its_name),
		fact(slow_answers_are_taken),
		fact(server_that_asks_to_wait_is_obeyed),
		fact(list_that_hangs_is_given_up),
		fact(watch_that_hangs_is_given_up),
		fact(broken_watch_goes_on_from_where_it_was),
		fact(errors_of_a_watch_are_endured),
		fact(watches_that_are_closed_at_once_are_not_asked_for_in_a_rage),
		fact(server_that_is_gone_and_comes_back_is_found),
		fact(handshake_that_breaks_off_is_no_question_of_trust),
		fact(odd_objects_are_left_out_and_the_others_taken),
		fact(pod_that_is_too_large_is_left_out_and_the_others_taken),
		fact(token_that_rotates_is_read_again),
		fact(refused_token_is_said_and_the_next_one_taken),
		fact(missing_token_is_said_and_waited_for),
		fact(certificate_of_another_authority_is_refused),
		fact(certificate_for_another_name_is_refused),
		fact(authority_that_is_put_right_is_taken),
		fact(kubeconfig_says_where_and_how),
		fact(outside_of_a_cluster_nobody_is_asked),
		fact(hanging_server_does_not_hold_up_the_end),
		fact(stopped_server_does_not_hold_up_the_end),
		fact(cache_outlives_the_thread),
		fact(pod_of_a_cron_job_is_its),
		fact(job_that_is_made_again_under_its_name_is_another),
		fact(many_events_of_a_jobs_pod_keep_their_order),
		fact(pods_that_wait_for_their_job_do_not_take_each_others_place),
		fact(jobs_that_may_not_be_asked_for_stay_jobs),
		fact(labels_and_uids_of_namespace_and_node_are_the_pods),
		fact(pod_that_waits_for_its_job_gets_its_namespaces_present_labels),
		fact(pod_keeps_the_labels_of_a_namespace_that_is_gone),
		fact(missing_right_to_namespaces_costs_their_labels_alone),
		fact(cluster_is_told_to_pods_of_every_namespace),
		cmocka_unit_test_setup_teardown(one_http2_connection_serves_all, setup_http2, teardown),
		cmocka_unit_test_setup_teardown(hanging_http2_connection_is_left, setup_http2, teardown),
		fact(kubelet_is_polled),
		fact(kubelets_list_that_is_too_large_leaves_what_is_known),
		fact(kubelet_is_asked_at_once_when_a_pod_is_missed),
		fact(kubelet_that_is_missed_much_is_asked_seldom),
		fact(kubelet_with_its_own_certificate_needs_a_word),
	};

	return run_in_parallel(tests, sizeof(tests) / sizeof(tests[0]), argc > 1 ? argv[1] : NULL);
}
