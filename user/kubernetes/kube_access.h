/*
 * Where a Kubernetes server is, how it is known to be the right one, and who we are to it. Owner:
 * whoever holds the struct; immutable once it is made.
 */
#ifndef LOGTAP_KUBE_ACCESS_H
#define LOGTAP_KUBE_ACCESS_H

#include <stdbool.h>
#include <stddef.h>

/* Where Kubernetes mounts a pod's service account. */
#define KUBE_SECRETS "/var/run/secrets/kubernetes.io/serviceaccount"
/* Of a token, a certificate, a kubeconfig. */
#define KUBE_FILE_MAX (1u << 20)

/* Bytes of a file that is given in place; text NULL: none. */
struct kube_blob {
	char *text;
	size_t len;
};

/* Strings are NULL where there is none. Files are read whenever they are needed, as they rotate. */
struct kube_access {
	char *server;            /* https://HOST[:PORT][/PATH], without a slash at the end */
	char *server_name;       /* what its certificate must be for; NULL: the host */
	char *ca_file;           /* neither file nor data: the system's authorities */
	struct kube_blob ca;
	bool insecure;           /* any certificate will do */
	char *cert_file, *key_file;
	struct kube_blob cert, key;
	char *token, *token_file;
	bool direct;             /* never through a proxy of the environment */
};

/*
 * A pod's own: the server of KUBERNETES_SERVICE_HOST and _PORT, token and ca.crt of the directory
 * `secrets`. -ENOENT when this is no pod of a cluster. 0, -EINVAL for a broken environment, -ENOMEM.
 */
int kube_access__in_cluster(const char *secrets, struct kube_access **out);

/*
 * The kubelet at `url` with the service account's token; `ca_file` "": the service account's.
 * 0 or -ENOMEM.
 */
int kube_access__kubelet(const char *url, const char *secrets, const char *ca_file, bool insecure,
			 struct kube_access **out);
void kube_access__free(struct kube_access *access);

/* "https://HOST[:PORT][/PATH]". A token is not sent in the clear. */
bool kube_access__valid_server(const char *server);
/* The whole file, with a NUL behind it; *len may be NULL. The caller frees it. -errno, -EFBIG beyond KUBE_FILE_MAX. */
int kube_access__read(const char *path, char **out, size_t *len);
/*
 * The token at this moment, without white space around it; NULL in *out where there is none to be
 * had by design. -errno of its file, -EINVAL where it is no token.
 */
int kube_access__token(const struct kube_access *access, char **out);

#endif
