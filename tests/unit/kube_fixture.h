/* A real TLS server that speaks Kubernetes' protocol (tests/kubernetes/api_server), and the thread that asks it. */
#ifndef LOGTAP_KUBE_FIXTURE_H
#define LOGTAP_KUBE_FIXTURE_H

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../user/base/clock.h"
#include "../../user/base/config.h"
#include "../../user/base/counters.h"
#include "../../user/kubernetes/kube_timing.h"
#include "../../user/kubernetes/kubernetes.h"
#include "../../user/kubernetes/pod.h"
#include "../../user/kubernetes/pods.h"
#include "parallel.h"

#define SERVER "tests/kubernetes/api_server"
#define PATIENCE_MS 120000

struct fixture {
	char dir[32];            /* of the server's; it stands for the service account's as well */
	pid_t server;
	FILE *commands, *answers;
	struct kubernetes_config config;
	struct kube_timing timing;
	struct counters counters;
	struct pods *pods;
	struct kubernetes *kubernetes;
	bool namespace_labels, node_labels;
};

#define wait_for(condition)                                                  \
	do {                                                                 \
		uint64_t end = clock__ms() + PATIENCE_MS;                    \
		while (!(condition)) {                                       \
			if (clock__ms() > end)                               \
				fail_msg("waited in vain for " #condition);  \
			usleep(2000);                                        \
		}                                                            \
	} while (0)

static inline void write_file(const char *path, const char *text)
{
	char name[128];
	FILE *file;

	snprintf(name, sizeof(name), "%s.new", path);
	file = fopen(name, "w");
	assert_non_null(file);
	fputs(text, file);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(rename(name, path), 0);
}

static inline void set_token(const struct fixture *f, const char *token)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/token", f->dir);
	write_file(path, token);
}

/* The answer belongs to the fixture until the next one. */
static inline const char *command(struct fixture *f, const char *format, ...)
{
	static char answer[256];
	va_list args;

	va_start(args, format);
	vfprintf(f->commands, format, args);
	va_end(args);
	fputc('\n', f->commands);
	fflush(f->commands);
	assert_non_null(fgets(answer, sizeof(answer), f->answers));
	answer[strcspn(answer, "\n")] = '\0';
	return answer;
}

static inline void tell(struct fixture *f, const char *text)
{
	assert_string_equal(command(f, "%s", text), "ok");
}

static inline int count_of(struct fixture *f, const char *what)
{
	return atoi(command(f, "count %s", what));
}

/* A pod of node-1 in the namespace shop, with the label app. */
static inline void put_pod(struct fixture *f, const char *uid, const char *app)
{
	assert_string_equal(command(f,
		"put pods {\"metadata\":{\"uid\":\"%s\",\"name\":\"web\",\"namespace\":\"shop\",\"labels\":{\"app\":\"%s\"}},"
		"\"spec\":{\"nodeName\":\"node-1\"},\"status\":{}}", uid, app), "ok");
}

static inline void start_server(struct fixture *f, const char *option)
{
	int in[2], out[2];
	char path[64], port[16] = "";
	FILE *file;

	assert_int_equal(pipe2(in, O_CLOEXEC) | pipe2(out, O_CLOEXEC), 0);
	f->server = fork();
	if (f->server == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(in[0], STDIN_FILENO);
		dup2(out[1], STDOUT_FILENO);
		execl(SERVER, SERVER, f->dir, option, NULL);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	f->commands = fdopen(in[1], "w");
	f->answers = fdopen(out[0], "r");
	snprintf(path, sizeof(path), "%s/port", f->dir);
	wait_for(access(path, F_OK) == 0 || waitpid(f->server, NULL, WNOHANG));
	file = fopen(path, "r");
	assert_non_null(file);
	assert_non_null(fgets(port, sizeof(port), file));
	fclose(file);
	setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1", 1);
	setenv("KUBERNETES_SERVICE_PORT", port, 1);
}

static inline void stop_server(struct fixture *f)
{
	if (!f->server)
		return;
	fclose(f->commands);
	fclose(f->answers);
	waitpid(f->server, NULL, 0);
	f->server = 0;
}

static inline struct fixture *fixture__new(const char *option)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	signal(SIGPIPE, SIG_IGN);
	strcpy(f->dir, "/tmp/test_kube.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	start_server(f, option);
	set_token(f, "first\n");
	f->config = (struct kubernetes_config){
		.source = KUBERNETES_AUTO, .kubeconfig = "", .kubelet = "", .kubelet_ca = "",
	};
	f->timing = (struct kube_timing){
		.retry_ms = 20, .retry_max_ms = 200, .request_ms = 60000, .request_silence_ms = 60000,
		.watch_ms = 60000, .bookmark_ms = 30000, .resync_ms = 3600000, .poll_ms = 200,
		.poll_least_ms = 20, .job_ms = 20000,
	};
	assert_int_equal(pods__new(&f->pods), 0);
	return f;
}

static inline int try_start(struct fixture *f)
{
	struct kubernetes_options options = {
		.config = &f->config, .node = "node-1", .counters = &f->counters, .pods = f->pods,
		.namespace_labels = f->namespace_labels, .node_labels = f->node_labels,
		.secrets = f->dir, .timing = &f->timing,
	};

	return kubernetes__start(&options, &f->kubernetes);
}

static inline void start(struct fixture *f)
{
	assert_int_equal(try_start(f), 0);
	assert_non_null(f->kubernetes);
}

static inline void stop(struct fixture *f)
{
	kubernetes__stop(f->kubernetes);
	f->kubernetes = NULL;
}

static inline void fixture__free(struct fixture *f)
{
	char line[64];

	stop(f);
	pods__free(f->pods);
	stop_server(f);
	snprintf(line, sizeof(line), "rm -rf %s", f->dir);
	assert_int_equal(system(line), 0);
	free(f);
}

/* What the pod's label `name` is; "" when the pod is not known, "-" when it has no such label. */
static inline const char *label_of(struct fixture *f, const char *uid, const char *name)
{
	static char value[256];
	const struct pod *pod = pods__get(f->pods, uid, "", "");

	snprintf(value, sizeof(value), "%s", pod ? labels__get(&pod->labels, name) ?: "-" : "");
	pod__put(pod);
	return value;
}

static inline bool app_is(struct fixture *f, const char *uid, const char *app)
{
	return strcmp(label_of(f, uid, "app"), app) == 0;
}

/* Deleted pods are kept for a while, so that this is only known by letting them go. */
static inline bool is_gone(struct fixture *f, const char *uid)
{
	uint64_t now_ms = clock__ms();

	pods__expire(f->pods, now_ms);
	pods__expire(f->pods, now_ms + 2 * PODS_DELETED_MS);
	return !*label_of(f, uid, "app");
}

static inline uint64_t counter(const struct fixture *f, enum counter which)
{
	return counters__get(&f->counters, which);
}

#endif
