#include "kube_access.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SPACE " \t\r\n"

/* What follows the host: a port or none, a path or none. */
static bool valid_rest(const char *rest)
{
	size_t digits;

	if (*rest == ':') {
		digits = strspn(++rest, "0123456789");
		if (!digits || digits > 5 || atoi(rest) < 1 || atoi(rest) > 65535)
			return false;
		rest += digits;
	}
	return !*rest || *rest == '/';
}

bool kube_access__valid_server(const char *server)
{
	const char *host = server + strlen("https://");
	size_t len;

	if (strncmp(server, "https://", strlen("https://")) || server[strcspn(server, SPACE "?#@\"")])
		return false;
	len = *host == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":/");
	if (*host == '[' ? len < 3 || host[len - 1] != ']' : !len)
		return false;
	return valid_rest(host + len);
}

int kube_access__read(const char *path, char **out, size_t *len)
{
	FILE *file = fopen(path, "re");
	char *text = file ? malloc(KUBE_FILE_MAX + 1) : NULL;
	size_t got = 0;
	int err = text ? 0 : -errno;

	if (!err) {
		got = fread(text, 1, KUBE_FILE_MAX + 1, file);
		err = ferror(file) ? -errno : got > KUBE_FILE_MAX ? -EFBIG : 0;
	}
	if (file)
		fclose(file);
	if (err) {
		free(text);
		return err;
	}
	text[got] = '\0';
	*out = realloc(text, got + 1) ?: text;
	if (len)
		*len = got;
	return 0;
}

/* What may stand in a header: printable ASCII (RFC 6750's b68token and more). */
static int trim_token(char *token)
{
	size_t space = strspn(token, SPACE);
	size_t len;

	memmove(token, token + space, strlen(token) - space + 1);
	len = strlen(token);
	while (len && strchr(SPACE, token[len - 1]))
		token[--len] = '\0';
	for (size_t i = 0; i < len; i++)
		if (token[i] <= ' ' || token[i] > '~')
			return -EINVAL;
	return len ? 0 : -EINVAL;
}

int kube_access__token(const struct kube_access *access, char **out)
{
	char *token = NULL;
	int err;

	if (access->token_file) {
		err = kube_access__read(access->token_file, &token, NULL);
	} else if (access->token) {
		token = strdup(access->token);
		err = token ? 0 : -ENOMEM;
	} else {
		*out = NULL;
		return 0;
	}
	err = err ? err : trim_token(token);
	if (err)
		free(token);
	else
		*out = token;
	return err;
}

static bool valid_host(const char *host)
{
	return host && *host && strspn(host, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:") == strlen(host);
}

/* A token and an authority of a service account. */
static int add_secrets(struct kube_access *access, const char *secrets)
{
	if (asprintf(&access->token_file, "%s/token", secrets) < 0)
		access->token_file = NULL;
	if (!access->ca_file && asprintf(&access->ca_file, "%s/ca.crt", secrets) < 0)
		access->ca_file = NULL;
	return access->token_file && access->ca_file ? 0 : -ENOMEM;
}

int kube_access__in_cluster(const char *secrets, struct kube_access **out)
{
	const char *host = getenv("KUBERNETES_SERVICE_HOST");
	const char *port = getenv("KUBERNETES_SERVICE_PORT") ?: "443";
	struct kube_access *access;
	bool v6;
	int err;

	if (!host || !*host)
		return -ENOENT;
	if (!valid_host(host) || !*port || port[strspn(port, "0123456789")])
		return -EINVAL;
	access = calloc(1, sizeof(*access));
	if (!access)
		return -ENOMEM;
	v6 = strchr(host, ':');
	if (asprintf(&access->server, "https://%s%s%s:%s", v6 ? "[" : "", host, v6 ? "]" : "", port) < 0)
		access->server = NULL;
	err = access->server ? add_secrets(access, secrets) : -ENOMEM;
	if (err)
		kube_access__free(access);
	else
		*out = access;
	return err;
}

int kube_access__kubelet(const char *url, const char *secrets, const char *ca_file, bool insecure,
			 struct kube_access **out)
{
	struct kube_access *access = calloc(1, sizeof(*access));
	int err;

	if (!access)
		return -ENOMEM;
	access->server = strdup(url);
	access->ca_file = *ca_file ? strdup(ca_file) : NULL;
	access->insecure = insecure;
	access->direct = true;
	err = access->server && (!*ca_file || access->ca_file) ? add_secrets(access, secrets) : -ENOMEM;
	if (err)
		kube_access__free(access);
	else
		*out = access;
	return err;
}

/* A secret is not left in memory that others get. */
static void free_secret(char *text, size_t len)
{
	if (text)
		explicit_bzero(text, len);
	free(text);
}

void kube_access__free(struct kube_access *access)
{
	if (!access)
		return;
	free(access->server);
	free(access->server_name);
	free(access->ca_file);
	free(access->ca.text);
	free(access->cert_file);
	free(access->key_file);
	free(access->cert.text);
	free_secret(access->key.text, access->key.len);
	free_secret(access->token, access->token ? strlen(access->token) : 0);
	free(access->token_file);
	free(access);
}
