#include "kubeconfig.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <yaml.h>

struct reading {
	yaml_document_t *document;
	const char *directory;
	struct kube_access *access;
	char *why;
	size_t why_size;
};

static int refuse(const struct reading *reading, const yaml_node_t *node, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* `node`: at which line; NULL: of the file. */
static int refuse(const struct reading *reading, const yaml_node_t *node, const char *format, ...)
{
	size_t len = node ? snprintf(reading->why, reading->why_size, "line %zu: ", node->start_mark.line + 1) : 0;
	va_list args;

	va_start(args, format);
	vsnprintf(reading->why + len, reading->why_size - len, format, args);
	va_end(args);
	return -EINVAL;
}

/* NULL when `map` is none, or has no such key. */
static yaml_node_t *member(const struct reading *reading, yaml_node_t *map, const char *key)
{
	if (!map || map->type != YAML_MAPPING_NODE)
		return NULL;
	for (yaml_node_pair_t *pair = map->data.mapping.pairs.start; pair < map->data.mapping.pairs.top; pair++) {
		yaml_node_t *name = yaml_document_get_node(reading->document, pair->key);

		if (name && name->type == YAML_SCALAR_NODE && strcmp((char *)name->data.scalar.value, key) == 0)
			return yaml_document_get_node(reading->document, pair->value);
	}
	return NULL;
}

/* NULL when it is not there, empty, or no scalar. Belongs to the document. */
static const char *text_of(const struct reading *reading, yaml_node_t *map, const char *key)
{
	yaml_node_t *value = member(reading, map, key);
	const char *text;

	if (!value || value->type != YAML_SCALAR_NODE)
		return NULL;
	text = (const char *)value->data.scalar.value;
	return *text && strlen(text) == value->data.scalar.length ? text : NULL;
}

/* Of the list at `list`: what the entry of this name has at `key`. */
static yaml_node_t *named(const struct reading *reading, const char *list, const char *name, const char *key)
{
	yaml_node_t *entries = member(reading, yaml_document_get_root_node(reading->document), list);

	if (!entries || entries->type != YAML_SEQUENCE_NODE)
		return NULL;
	for (yaml_node_item_t *item = entries->data.sequence.items.start; item < entries->data.sequence.items.top; item++) {
		yaml_node_t *entry = yaml_document_get_node(reading->document, *item);
		const char *its_name = text_of(reading, entry, "name");

		if (its_name && strcmp(its_name, name) == 0)
			return member(reading, entry, key);
	}
	return NULL;
}

/* What is there and cannot be read is not as if it were not there. */
static int check_text(const struct reading *reading, yaml_node_t *map, const char *key)
{
	yaml_node_t *value = member(reading, map, key);

	if (!value || text_of(reading, map, key) || (value->type == YAML_SCALAR_NODE && !value->data.scalar.length))
		return 0;
	return refuse(reading, value, "%s must be plain text", key);
}

static int copy_text(const struct reading *reading, yaml_node_t *map, const char *key, char **out)
{
	const char *text = text_of(reading, map, key);
	int err = check_text(reading, map, key);

	if (err)
		return err;
	if (text)
		*out = strdup(text);
	return text && !*out ? -ENOMEM : 0;
}

static int copy_path(const struct reading *reading, yaml_node_t *map, const char *key, char **out)
{
	const char *text = text_of(reading, map, key);

	if (!text || *text == '/')
		return copy_text(reading, map, key, out);
	if (asprintf(out, "%s/%s", reading->directory, text) < 0) {
		*out = NULL;
		return -ENOMEM;
	}
	return 0;
}

static int base64_digit(char c)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? at - digits : -1;
}

/* RFC 4648; white space between is skipped. `out` has room for 3/4 of the text. -1: it is none. */
static long base64_decode(const char *text, char *out)
{
	unsigned int bits = 0, have = 0;
	char *end = out;

	for (; *text && *text != '='; text++) {
		int digit = base64_digit(*text);

		if (strchr(" \t\r\n", *text))
			continue;
		if (digit < 0)
			return -1;
		bits = bits << 6 | digit;
		have += 6;
		if (have >= 8) {
			have -= 8;
			*end++ = bits >> have;
		}
	}
	return text[strspn(text, "= \t\r\n")] || have >= 6 ? -1 : end - out;
}

static int copy_data(const struct reading *reading, yaml_node_t *map, const char *key, struct kube_blob *out)
{
	const char *text = text_of(reading, map, key);
	long len;

	if (!text)
		return check_text(reading, map, key);
	out->text = malloc(strlen(text) + 1);
	if (!out->text)
		return -ENOMEM;
	len = base64_decode(text, out->text);
	if (len <= 0)
		return refuse(reading, member(reading, map, key), "%s is no base64", key);
	out->len = len;
	return 0;
}

static int read_cluster(const struct reading *reading, yaml_node_t *cluster)
{
	struct kube_access *access = reading->access;
	const char *insecure = text_of(reading, cluster, "insecure-skip-tls-verify");
	const char *server = text_of(reading, cluster, "server");
	int err;

	if (!server || !kube_access__valid_server(server))
		return refuse(reading, cluster, "the cluster's server must be https://HOST:PORT, not \"%s\"", server ?: "");
	if (member(reading, cluster, "proxy-url"))
		return refuse(reading, member(reading, cluster, "proxy-url"),
			      "proxy-url is not supported; set HTTPS_PROXY in logtap's environment");
	access->insecure = insecure && strcmp(insecure, "true") == 0;
	err = copy_text(reading, cluster, "server", &access->server);
	err = err ? err : copy_text(reading, cluster, "tls-server-name", &access->server_name);
	err = err ? err : copy_data(reading, cluster, "certificate-authority-data", &access->ca);
	if (!err && !access->ca.text)
		err = copy_path(reading, cluster, "certificate-authority", &access->ca_file);
	for (size_t len = err ? 0 : strlen(access->server); len && access->server[len - 1] == '/'; len--)
		access->server[len - 1] = '\0';
	return err;
}

static int refuse_user(const struct reading *reading, yaml_node_t *user)
{
	static const char *const unsupported[] = { "exec", "auth-provider", "username", "password", "as", "as-uid", "as-groups" };

	for (size_t i = 0; i < sizeof(unsupported) / sizeof(unsupported[0]); i++)
		if (member(reading, user, unsupported[i]))
			return refuse(reading, member(reading, user, unsupported[i]),
				      "the user's \"%s\" is not supported; use a token, a tokenFile or a client certificate",
				      unsupported[i]);
	return 0;
}

static int read_user(const struct reading *reading, yaml_node_t *user)
{
	struct kube_access *access = reading->access;
	int err = refuse_user(reading, user);

	err = err ? err : copy_data(reading, user, "client-certificate-data", &access->cert);
	if (!err && !access->cert.text)
		err = copy_path(reading, user, "client-certificate", &access->cert_file);
	err = err ? err : copy_data(reading, user, "client-key-data", &access->key);
	if (!err && !access->key.text)
		err = copy_path(reading, user, "client-key", &access->key_file);
	err = err ? err : copy_path(reading, user, "tokenFile", &access->token_file);
	if (!err && !access->token_file)
		err = copy_text(reading, user, "token", &access->token);
	if (!err && (access->cert.text || access->cert_file) != (access->key.text || access->key_file))
		return refuse(reading, user, "the user's client-certificate and client-key belong together; one is missing");
	return err;
}

static int read_document(const struct reading *reading)
{
	yaml_node_t *root = yaml_document_get_root_node(reading->document);
	const char *current = text_of(reading, root, "current-context");
	yaml_node_t *context = current ? named(reading, "contexts", current, "context") : NULL;
	const char *cluster = text_of(reading, context, "cluster");
	const char *user = text_of(reading, context, "user");
	yaml_node_t *cluster_node = cluster ? named(reading, "clusters", cluster, "cluster") : NULL;
	yaml_node_t *user_node = user ? named(reading, "users", user, "user") : NULL;
	int err;

	if (!current)
		return refuse(reading, NULL, "there is no current-context; set it to one of the contexts");
	if (!context)
		return refuse(reading, member(reading, root, "current-context"),
			      "the current-context \"%s\" is not among the contexts", current);
	if (!cluster_node)
		return refuse(reading, context, "the context's cluster \"%s\" is not among the clusters", cluster ?: "");
	if (user && !user_node)
		return refuse(reading, context, "the context's user \"%s\" is not among the users", user);
	err = read_cluster(reading, cluster_node);
	return err ? err : read_user(reading, user_node);
}

static int refuse_syntax(const struct reading *reading, const yaml_parser_t *parser)
{
	const char *problem = parser->problem ?: "unknown problem";

	if (parser->error == YAML_READER_ERROR)
		return refuse(reading, NULL, "it is no text at byte %zu: %s", parser->problem_offset, problem);
	return refuse(reading, NULL, "line %zu: it is not valid YAML: %s", parser->problem_mark.line + 1, problem);
}

int kubeconfig__parse(const char *text, size_t len, const char *directory, struct kube_access **out,
		      char *why, size_t why_size)
{
	yaml_document_t document;
	struct reading reading = { .document = &document, .directory = directory, .why = why, .why_size = why_size };
	yaml_parser_t parser;
	int err;

	reading.access = calloc(1, sizeof(*reading.access));
	if (!reading.access || !yaml_parser_initialize(&parser)) {
		free(reading.access);
		return -ENOMEM;
	}
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
	if (!yaml_parser_load(&parser, &document)) {
		err = refuse_syntax(&reading, &parser);
	} else {
		err = read_document(&reading);
		yaml_document_delete(&document);
	}
	yaml_parser_delete(&parser);
	if (err)
		kube_access__free(reading.access);
	else
		*out = reading.access;
	return err;
}

int kubeconfig__load(const char *path, struct kube_access **out, char *why, size_t why_size)
{
	const char *slash = strrchr(path, '/');
	char *text, *directory;
	size_t len;
	int err = kube_access__read(path, &text, &len);

	if (err) {
		snprintf(why, why_size, "it cannot be read: %s", strerror(-err));
		return err;
	}
	directory = slash ? strndup(path, slash == path ? 1 : slash - path) : strdup(".");
	err = directory ? kubeconfig__parse(text, len, directory, out, why, why_size) : -ENOMEM;
	free(directory);
	explicit_bzero(text, len);
	free(text);
	return err;
}
