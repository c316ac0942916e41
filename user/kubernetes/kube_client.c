#include "kube_client.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>
#include <jansson.h>

#include "base/clock.h"
#include "base/counters.h"
#include "kube_access.h"
#include "pod_json.h"

#define CONNECT_MS 10000L
/* Of an error's body: what the server says of it. */
#define ERROR_BODY_MAX 2048
/* Where the server speaks HTTP/1.1: as many for watches, lists and the like. */
#define CONNECTIONS_MAX 8L

struct kube_request {
	struct kube_client *client;
	struct kube_request *next;
	struct kube_handler handler;
	void *owner;
	CURL *easy;
	CURLM *multi;                /* that it is of; NULL: it is not sent yet */
	struct curl_slist *headers;
	struct curl_slist *connect_to;
	uint64_t silence_ms;
	uint64_t heard_ms;           /* when the last byte came */
	bool garbage;                /* said the handler */
	int token_err;
	char curl_why[CURL_ERROR_SIZE];
	char error_body[ERROR_BODY_MAX];
	size_t error_len;
};

struct kube_client {
	const struct kube_access *access;
	struct counters *counters;
	CURLM *multi;
	struct kube_request *requests;
	bool hangs;                  /* a request got no answer in its time */
};

static CURLM *new_multi(void)
{
	CURLM *multi = curl_multi_init();

	if (!multi)
		return NULL;
	curl_multi_setopt(multi, CURLMOPT_PIPELINING, CURLPIPE_MULTIPLEX);
	curl_multi_setopt(multi, CURLMOPT_MAX_HOST_CONNECTIONS, CONNECTIONS_MAX);
	return multi;
}

int kube_client__new(const struct kube_access *access, struct counters *counters, struct kube_client **out)
{
	struct kube_client *client = calloc(1, sizeof(*client));

	if (!client)
		return -ENOMEM;
	client->access = access;
	client->counters = counters;
	client->multi = new_multi();
	if (!client->multi) {
		free(client);
		return -ENOMEM;
	}
	*out = client;
	return 0;
}

static void free_request(struct kube_request *request)
{
	struct kube_request **at = &request->client->requests;

	while (*at != request)
		at = &(*at)->next;
	*at = request->next;
	if (request->multi)
		curl_multi_remove_handle(request->multi, request->easy);
	curl_easy_cleanup(request->easy);
	curl_slist_free_all(request->headers);
	curl_slist_free_all(request->connect_to);
	free(request);
}

void kube_request__cancel(struct kube_request *request)
{
	if (request)
		free_request(request);
}

void kube_client__free(struct kube_client *client)
{
	if (!client)
		return;
	while (client->requests)
		free_request(client->requests);
	curl_multi_cleanup(client->multi);
	free(client);
}

static size_t on_body(char *data, size_t size, size_t count, void *context)
{
	struct kube_request *request = context;
	size_t len = size * count;
	size_t room = sizeof(request->error_body) - 1 - request->error_len;
	long status = 0;

	request->heard_ms = clock__ms();
	curl_easy_getinfo(request->easy, CURLINFO_RESPONSE_CODE, &status);
	if (status != 200) {
		room = len < room ? len : room;
		memcpy(request->error_body + request->error_len, data, room);
		request->error_len += room;
		return len;
	}
	if (request->handler.body && request->handler.body(request->owner, data, len)) {
		request->garbage = true;
		return 0;
	}
	return len;
}

/* An empty line ends the header. */
static size_t on_header(char *data, size_t size, size_t count, void *context)
{
	struct kube_request *request = context;
	long status = 0;

	request->heard_ms = clock__ms();
	curl_easy_getinfo(request->easy, CURLINFO_RESPONSE_CODE, &status);
	if (status == 200 && size * count == 2 && data[0] == '\r' && request->handler.open)
		request->handler.open(request->owner);
	return size * count;
}

static int on_progress(void *context, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
	const struct kube_request *request = context;

	(void)a, (void)b, (void)c, (void)d;
	return request->silence_ms && clock__ms() - request->heard_ms > request->silence_ms;
}

static void set_blob(CURL *easy, CURLoption option, const struct kube_blob *blob)
{
	struct curl_blob curl_blob = { blob->text, blob->len, CURL_BLOB_COPY };

	curl_easy_setopt(easy, option, &curl_blob);
}

static void set_tls(CURL *easy, const struct kube_access *access)
{
	curl_easy_setopt(easy, CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, access->insecure ? 0L : 1L);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, access->insecure ? 0L : 2L);
	/* An authority that is put right is taken at the next connection. */
	curl_easy_setopt(easy, CURLOPT_CA_CACHE_TIMEOUT, 0L);
	if (access->ca.text)
		set_blob(easy, CURLOPT_CAINFO_BLOB, &access->ca);
	else if (access->ca_file)
		curl_easy_setopt(easy, CURLOPT_CAINFO, access->ca_file);
	/* What an authority of the system's has signed is not the cluster's. */
	if (access->ca.text || access->ca_file)
		curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
	if (access->cert.text)
		set_blob(easy, CURLOPT_SSLCERT_BLOB, &access->cert);
	else if (access->cert_file)
		curl_easy_setopt(easy, CURLOPT_SSLCERT, access->cert_file);
	if (access->key.text)
		set_blob(easy, CURLOPT_SSLKEY_BLOB, &access->key);
	else if (access->key_file)
		curl_easy_setopt(easy, CURLOPT_SSLKEY, access->key_file);
}

static void set_times(CURL *easy, struct kube_request *request, uint64_t total_ms)
{
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)total_ms);
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, 15L);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, 5L);
	curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
	curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, on_progress);
	curl_easy_setopt(easy, CURLOPT_XFERINFODATA, request);
	/* A name server that hangs does not hold up the end. */
	curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
}

/* It is read anew each time: the kubelet replaces a service account's token long before it expires. */
static int add_token(struct kube_request *request, const struct kube_access *access)
{
	struct curl_slist *headers;
	char *token = NULL, *line = NULL;

	request->token_err = kube_access__token(access, &token);
	if (!token)
		return 0;
	if (asprintf(&line, "Authorization: Bearer %s", token) < 0)
		line = NULL;
	headers = line ? curl_slist_append(request->headers, line) : NULL;
	if (headers)
		request->headers = headers;
	if (line)
		explicit_bzero(line, strlen(line));
	explicit_bzero(token, strlen(token));
	free(line);
	free(token);
	return headers ? 0 : -ENOMEM;
}

static int set_url(CURL *easy, const char *server, const char *path)
{
	char *url;
	CURLcode code;

	if (asprintf(&url, "%s%s", server, path) < 0)
		return -ENOMEM;
	code = curl_easy_setopt(easy, CURLOPT_URL, url);
	free(url);
	return code ? -ENOMEM : 0;
}

/*
 * Where the certificate is for another name than the host's: the request is for that name, and the
 * connection goes to the host all the same.
 */
static int set_server(struct kube_request *request, const struct kube_access *access, const char *path)
{
	const char *host = access->server + strlen("https://");
	int host_len = strcspn(host, "/");
	const char *port = strchr(host[0] == '[' ? host + strcspn(host, "]") : host, ':');
	char *line, *url;
	int err;

	if (!access->server_name)
		return set_url(request->easy, access->server, path);
	if (asprintf(&url, "https://%s%s", access->server_name, host + host_len) < 0)
		return -ENOMEM;
	err = set_url(request->easy, url, path);
	free(url);
	if (err || asprintf(&line, "::%.*s%s", host_len, host, port && port < host + host_len ? "" : ":443") < 0)
		return -ENOMEM;
	request->connect_to = curl_slist_append(NULL, line);
	free(line);
	curl_easy_setopt(request->easy, CURLOPT_CONNECT_TO, request->connect_to);
	return request->connect_to ? 0 : -ENOMEM;
}

static int set_up(struct kube_request *request, const struct kube_get *get)
{
	const struct kube_access *access = request->client->access;
	CURL *easy = request->easy;
	int err = set_server(request, access, get->path);

	err = err ? err : add_token(request, access);
	if (err)
		return err;
	curl_easy_setopt(easy, CURLOPT_PRIVATE, request);
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "https");
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
	curl_easy_setopt(easy, CURLOPT_PIPEWAIT, 1L);
	curl_easy_setopt(easy, CURLOPT_USERAGENT, "logtap/" LOGTAP_VERSION);
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, request->headers);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, request);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, request);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, request->curl_why);
	if (access->direct)
		curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
	set_times(easy, request, get->total_ms);
	set_tls(easy, access);
	return 0;
}

int kube_client__get(struct kube_client *client, const struct kube_get *get, struct kube_request **out)
{
	struct kube_request *request = calloc(1, sizeof(*request));

	if (!request)
		return -ENOMEM;
	request->client = client;
	request->handler = *get->handler;
	request->owner = get->owner;
	request->silence_ms = get->silence_ms;
	request->heard_ms = clock__ms();
	request->easy = curl_easy_init();
	request->next = client->requests;
	client->requests = request;
	if (!request->easy || set_up(request, get)) {
		free_request(request);
		return -ENOMEM;
	}
	counters__add(client->counters, COUNTER_kube_requests, 1);
	*out = request;
	return 0;
}

void kube_request__set_silence(struct kube_request *request, uint64_t silence_ms)
{
	request->silence_ms = silence_ms;
}

static enum kube_failure failure_of(const struct kube_request *request, CURLcode code, long status)
{
	if (request->garbage)
		return KUBE_GARBAGE;
	if (request->token_err)
		return KUBE_NO_TOKEN;
	switch (code) {
	case CURLE_OK:
		break;
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_ISSUER_ERROR:
		return KUBE_UNTRUSTED;
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_CERTPROBLEM:
		return KUBE_NO_TOKEN;
	default:
		return KUBE_UNREACHABLE;
	}
	switch (status) {
	case 200:
		return KUBE_FINE;
	case 401:
		return KUBE_UNAUTHORIZED;
	case 403:
		return KUBE_FORBIDDEN;
	case 410:
		return KUBE_GONE;
	default:
		return KUBE_REFUSED;
	}
}

/* An error's body is a Status, whose message is for people. */
static void put_message(const struct kube_request *request, char *out, size_t size)
{
	json_t *status = json_loadb(request->error_body, request->error_len, JSON_ALLOW_NUL, NULL);
	const char *message = pod_json__text(status, "message");

	if (message)
		snprintf(out, size, ": %.300s", message);
	json_decref(status);
	for (; *out; out++)
		if ((unsigned char)*out < ' ')
			*out = ' ';
}

static void explain(const struct kube_request *request, struct kube_answer *answer, CURLcode code, char *why)
{
	const struct kube_access *access = request->client->access;
	char message[KUBE_WHY_SIZE - 64] = "";

	switch (answer->failure) {
	case KUBE_NO_TOKEN:
		if (request->token_err)
			snprintf(why, KUBE_WHY_SIZE, "the token in %s cannot be used: %s", access->token_file ?: "the kubeconfig",
				 request->token_err == -EINVAL ? "it is empty or no token" : strerror(-request->token_err));
		else
			snprintf(why, KUBE_WHY_SIZE, "%s", *request->curl_why ? request->curl_why : curl_easy_strerror(code));
		break;
	case KUBE_UNTRUSTED:
		snprintf(why, KUBE_WHY_SIZE, "%.250s; the authority is %.150s",
			 *request->curl_why ? request->curl_why : curl_easy_strerror(code),
			 access->ca.text ? "in the kubeconfig" : access->ca_file ?: "one of the system's");
		break;
	case KUBE_UNREACHABLE:
		if (code == CURLE_ABORTED_BY_CALLBACK)
			snprintf(why, KUBE_WHY_SIZE, "it has said nothing for %llu s",
				 (unsigned long long)request->silence_ms / 1000);
		else
			snprintf(why, KUBE_WHY_SIZE, "%s", *request->curl_why ? request->curl_why : curl_easy_strerror(code));
		break;
	case KUBE_GARBAGE:
		snprintf(why, KUBE_WHY_SIZE, "its answer is not what was asked for");
		break;
	case KUBE_FINE:
		break;
	default:
		put_message(request, message, sizeof(message));
		snprintf(why, KUBE_WHY_SIZE, "HTTP %ld%s%s", answer->status,
			 answer->status >= 300 && answer->status < 400 ? " (redirects are not followed)" : "", message);
	}
}

static void finish(struct kube_request *request, CURLcode code)
{
	struct kube_handler handler = request->handler;
	void *owner = request->owner;
	struct kube_answer answer = { 0 };
	char why[KUBE_WHY_SIZE] = "";
	curl_off_t retry_s = 0;

	curl_easy_getinfo(request->easy, CURLINFO_RESPONSE_CODE, &answer.status);
	curl_easy_getinfo(request->easy, CURLINFO_RETRY_AFTER, &retry_s);
	answer.retry_ms = retry_s > 0 ? (uint64_t)retry_s * 1000 : 0;
	answer.failure = failure_of(request, code, answer.status);
	request->client->hangs |= request->silence_ms &&
				  (code == CURLE_OPERATION_TIMEDOUT || code == CURLE_ABORTED_BY_CALLBACK);
	explain(request, &answer, code, why);
	answer.why = why;
	free_request(request);
	handler.end(owner, &answer);
}

static struct kube_request *sent_on(const struct kube_client *client, const CURLM *multi)
{
	struct kube_request *request = client->requests;

	while (request && request->multi != multi)
		request = request->next;
	return request;
}

/*
 * A connection on which one request gets no answer would swallow the others, and new ones: all of
 * them end with it.
 */
static void give_connections_up(struct kube_client *client)
{
	CURLM *before = client->multi;
	CURLM *multi = new_multi();
	struct kube_request *request;

	client->hangs = false;
	if (!multi)
		return;
	client->multi = multi;
	while ((request = sent_on(client, before)))
		finish(request, CURLE_OPERATION_TIMEDOUT);
	curl_multi_cleanup(before);
	client->hangs = false;
}

/*
 * Not when it is made: that may be within a handler, where libcurl takes none. Without its token it
 * is not sent at all.
 */
static void send_new(struct kube_client *client)
{
	struct kube_request *request;

	while ((request = sent_on(client, NULL))) {
		request->multi = client->multi;
		if (request->token_err || curl_multi_add_handle(client->multi, request->easy))
			finish(request, CURLE_OUT_OF_MEMORY);
	}
}

void kube_client__turn(struct kube_client *client, uint64_t wait_ms, int fd)
{
	struct curl_waitfd extra = { .fd = fd, .events = CURL_WAIT_POLLIN };
	struct kube_request *request;
	CURLMsg *message;
	CURLcode code;
	int count;

	send_new(client);
	curl_multi_perform(client->multi, &count);
	curl_multi_poll(client->multi, &extra, fd >= 0, sent_on(client, NULL) ? 0 : wait_ms, NULL);
	curl_multi_perform(client->multi, &count);
	while ((message = curl_multi_info_read(client->multi, &count))) {
		if (message->msg != CURLMSG_DONE)
			continue;
		code = message->data.result;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &request);
		finish(request, code);
	}
	if (client->hangs)
		give_connections_up(client);
}

void kube_client__wake(struct kube_client *client)
{
	curl_multi_wakeup(client->multi);
}
