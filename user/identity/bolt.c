#include "bolt.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC 0xED0CDAEDu
#define VERSION 2
#define FLAG_BRANCH 1
#define FLAG_LEAF 2
#define FLAG_BUCKET 1    /* of a leaf's element: its value is a bucket */
#define DEPTH_MAX 32
#define KEY_MAX 256      /* bytes of a key that are compared: those looked for are shorter */
#define TRIES 4

struct meta {
	uint32_t magic, version, page_size, flags;
	uint64_t root, sequence, freelist, pages, transaction;
	uint64_t checksum; /* FNV-1a of what is before it */
};

struct page {
	uint64_t id;
	uint16_t flags, count;
	uint32_t overflow;
};

/* Places count from the element. Value and key of a leaf's lie one behind the other. */
struct branch_element {
	uint32_t place, key_length;
	uint64_t page;
};

struct leaf_element {
	uint32_t flags, place, key_length, value_length;
};

struct bolt {
	int fd;
	uint64_t size;
	struct meta meta;
};

/* What an element says; offsets are those of the file. */
struct element {
	bool bucket;
	uint64_t key, value;
	uint32_t key_length, value_length;
	uint64_t page;           /* a branch's */
};

static int read_at(const struct bolt *bolt, uint64_t offset, void *out, size_t length)
{
	size_t done = 0;

	if (offset > bolt->size || length > bolt->size - offset)
		return -EBADMSG;
	while (done < length) {
		ssize_t n = pread(bolt->fd, (char *)out + done, length - done, offset + done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EBADMSG;
		done += n;
	}
	return 0;
}

static uint64_t checksum(const struct meta *meta)
{
	const unsigned char *byte = (const unsigned char *)meta;
	uint64_t hash = 14695981039346656037ull;

	for (size_t i = 0; i < offsetof(struct meta, checksum); i++)
		hash = (hash ^ byte[i]) * 1099511628211ull;
	return hash;
}

/*
 * Pages 0 and 1 have one each; the valid one of the latest transaction counts. Where the first tells how large pages are, what
 * lies further behind is no state, whatever it looks like: values are others' to write.
 */
static int read_meta(struct bolt *bolt)
{
	static const uint32_t place[] = { 0, 4096, 8192, 16384, 32768, 65536 };
	struct stat st;
	bool found = false;

	if (fstat(bolt->fd, &st) < 0)
		return -errno;
	bolt->size = st.st_size;
	for (size_t i = 0; i < sizeof(place) / sizeof(place[0]); i++) {
		struct meta meta;

		if (read_at(bolt, place[i] + sizeof(struct page), &meta, sizeof(meta)) || meta.magic != MAGIC ||
		    meta.version != VERSION || meta.checksum != checksum(&meta) || !meta.page_size ||
		    (place[i] && place[i] != meta.page_size) ||
		    (found && (meta.page_size != bolt->meta.page_size || meta.transaction <= bolt->meta.transaction)))
			continue;
		bolt->meta = meta;
		found = true;
	}
	return found ? 0 : -EBADMSG;
}

static int page_at(const struct bolt *bolt, uint64_t id, uint64_t *offset)
{
	if (id < 2 || id > bolt->size / bolt->meta.page_size)
		return -EBADMSG;
	*offset = id * bolt->meta.page_size;
	return 0;
}

static int read_branch_element(const struct bolt *bolt, uint64_t at, struct element *out)
{
	struct branch_element element;
	int err = read_at(bolt, at, &element, sizeof(element));

	if (!err)
		*out = (struct element){ .key = at + element.place, .key_length = element.key_length, .page = element.page };
	return err;
}

static int read_leaf_element(const struct bolt *bolt, uint64_t at, struct element *out)
{
	struct leaf_element element;
	int err = read_at(bolt, at, &element, sizeof(element));

	if (!err)
		*out = (struct element){
			.bucket = element.flags & FLAG_BUCKET,
			.key = at + element.place,
			.key_length = element.key_length,
			.value = at + element.place + element.key_length,
			.value_length = element.value_length,
		};
	return err;
}

static int read_element(const struct bolt *bolt, uint64_t page, bool branch, unsigned int i, struct element *out)
{
	_Static_assert(sizeof(struct branch_element) == sizeof(struct leaf_element), "both kinds have the same size");
	uint64_t at = page + sizeof(struct page) + i * sizeof(struct leaf_element);

	return branch ? read_branch_element(bolt, at, out) : read_leaf_element(bolt, at, out);
}

/* How the element's key compares with another, as memcmp does, in *order. */
static int compare(const struct bolt *bolt, const struct element *element, const char *key, int *order)
{
	size_t key_length = strlen(key);
	size_t length = element->key_length < KEY_MAX ? element->key_length : KEY_MAX;
	size_t common = length < key_length ? length : key_length;
	char its[KEY_MAX];
	int err = read_at(bolt, element->key, its, length);

	if (err)
		return err;
	*order = memcmp(its, key, common);
	if (!*order)
		*order = (length > key_length) - (length < key_length);
	return 0;
}

/* The first element whose key is not less, `count` when there is none; *order compares that one. */
static int search_page(const struct bolt *bolt, uint64_t page, bool branch, unsigned int count, const char *key,
		       unsigned int *index, int *order)
{
	unsigned int low = 0, high = count;

	*order = 1;
	while (low < high) {
		unsigned int middle = (low + high) / 2;
		struct element element;
		int its;
		int err = read_element(bolt, page, branch, middle, &element);

		err = err ? err : compare(bolt, &element, key, &its);
		if (err)
			return err;
		if (its < 0) {
			low = middle + 1;
		} else {
			high = middle;
			*order = its;
		}
	}
	*index = low;
	return 0;
}

/* The element of a key below a page. */
static int find(const struct bolt *bolt, uint64_t page, const char *key, struct element *out)
{
	for (unsigned int depth = 0; depth < DEPTH_MAX; depth++) {
		unsigned int index;
		struct page header;
		bool branch;
		int order;
		int err = read_at(bolt, page, &header, sizeof(header));

		if (err)
			return err;
		branch = header.flags & FLAG_BRANCH;
		if (!(header.flags & (FLAG_BRANCH | FLAG_LEAF)))
			return -EBADMSG;
		err = search_page(bolt, page, branch, header.count, key, &index, &order);
		if (err)
			return err;
		if (!branch)
			return order ? -ENOENT : read_element(bolt, page, false, index, out);
		/* What is before the first key of a branch may only be below that one. */
		if (order && index > 0)
			index--;
		err = read_element(bolt, page, true, index, out);
		err = err ? err : page_at(bolt, out->page, &page);
		if (err)
			return err;
	}
	return -EBADMSG;
}

/* The page of a bucket that is an element's value: one of the file's, or right there. */
static int bucket_page(const struct bolt *bolt, const struct element *element, uint64_t *page)
{
	uint64_t bucket[2]; /* root, sequence */
	int err = element->bucket ? read_at(bolt, element->value, bucket, sizeof(bucket)) : -ENOENT;

	if (err)
		return err;
	if (bucket[0])
		return page_at(bolt, bucket[0], page);
	*page = element->value + sizeof(bucket);
	return 0;
}

static int read_value(const struct bolt *bolt, const struct element *element, size_t max, char **out, size_t *out_len)
{
	char *value;
	int err;

	if (element->bucket)
		return -ENOENT;
	if (element->value_length > max)
		return -EFBIG;
	value = malloc((size_t)element->value_length + 1);
	if (!value)
		return -ENOMEM;
	err = read_at(bolt, element->value, value, element->value_length);
	if (err) {
		free(value);
		return err;
	}
	value[element->value_length] = '\0';
	*out = value;
	*out_len = element->value_length;
	return 0;
}

static int look_up(const struct bolt *bolt, const char *const bucket[], const char *key, size_t max, char **out,
		   size_t *out_len)
{
	struct element element;
	uint64_t page;
	int err = page_at(bolt, bolt->meta.root, &page);

	for (; !err && *bucket; bucket++) {
		err = find(bolt, page, *bucket, &element);
		err = err ? err : bucket_page(bolt, &element, &page);
	}
	err = err ? err : find(bolt, page, key, &element);
	return err ? err : read_value(bolt, &element, max, out, out_len);
}

/*
 * A transaction writes into pages that are free. Those of the state that was read become free with the transaction after it and
 * are written by the one after that: when that state is still the latest, all was of it.
 */
int bolt__get(int fd, const char *const bucket[], const char *key, size_t max, char **out, size_t *out_len)
{
	struct bolt bolt = { .fd = fd };
	int err = read_meta(&bolt);

	for (unsigned int i = 0; !err && i < TRIES; i++) {
		uint64_t transaction = bolt.meta.transaction;
		char *value = NULL;
		size_t length = 0;
		int result = look_up(&bolt, bucket, key, max, &value, &length);

		err = read_meta(&bolt);
		if (!err && bolt.meta.transaction == transaction) {
			if (!result) {
				*out = value;
				*out_len = length;
			}
			return result;
		}
		free(value);
	}
	return err ? err : -EAGAIN;
}
