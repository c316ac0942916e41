/* A BoltDB file as go.etcd.io/bbolt lays it out, page by page. */
#ifndef LOGTAP_TEST_BOLT_FIXTURE_H
#define LOGTAP_TEST_BOLT_FIXTURE_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define BOLT_PAGE 4096u
#define BOLT_PAGES 16
#define BOLT_BRANCH 1
#define BOLT_LEAF 2

struct bolt_image {
	unsigned char bytes[BOLT_PAGES * BOLT_PAGE];
};

/* What a page or an inline bucket holds. `page`: of a branch's element. */
struct bolt_item {
	const char *key;
	const void *value;
	uint32_t length;
	bool bucket;
	uint64_t page;
};

static inline void bolt_put(unsigned char *at, const void *value, size_t size)
{
	memcpy(at, value, size);
}

/* Writes a page of that many items to `at`; returns its length. */
static inline size_t bolt_write(unsigned char *at, uint64_t id, uint16_t flags, const struct bolt_item *item, uint16_t count)
{
	unsigned char *data = at + 16 + 16 * count;

	bolt_put(at, &id, 8);
	bolt_put(at + 8, &flags, 2);
	bolt_put(at + 10, &count, 2);
	for (unsigned int i = 0; i < count; i++) {
		unsigned char *element = at + 16 + 16 * i;
		uint32_t place = data - element, key_length = strlen(item[i].key), is_bucket = item[i].bucket;

		if (flags & BOLT_BRANCH) {
			bolt_put(element, &place, 4);
			bolt_put(element + 4, &key_length, 4);
			bolt_put(element + 8, &item[i].page, 8);
		} else {
			bolt_put(element, &is_bucket, 4);
			bolt_put(element + 4, &place, 4);
			bolt_put(element + 8, &key_length, 4);
			bolt_put(element + 12, &item[i].length, 4);
		}
		bolt_put(data, item[i].key, key_length);
		data += key_length;
		if (!(flags & BOLT_BRANCH) && item[i].length)
			bolt_put(data, item[i].value, item[i].length);
		data += flags & BOLT_BRANCH ? 0 : item[i].length;
	}
	return data - at;
}

/* The file's root bucket is page `root` as of `transaction`. */
static inline void bolt_meta(struct bolt_image *image, uint64_t root, uint64_t transaction)
{
	unsigned char *page = image->bytes + transaction % 2 * BOLT_PAGE, *meta = page + 16;
	const uint32_t head[] = { 0xED0CDAED, 2, BOLT_PAGE, 0 };
	const uint64_t rest[] = { root, 0, 2, BOLT_PAGES, transaction };
	uint64_t id = transaction % 2, hash = 14695981039346656037ull;
	uint16_t flags = 4;

	bolt_put(page, &id, 8);
	bolt_put(page + 8, &flags, 2);
	bolt_put(meta, head, sizeof(head));
	bolt_put(meta + 16, rest, sizeof(rest));
	for (int i = 0; i < 56; i++)
		hash = (hash ^ meta[i]) * 1099511628211ull;
	bolt_put(meta + 56, &hash, 8);
}

/* The value of a bucket's element: {root, sequence}. */
struct bolt_bucket {
	uint64_t root, sequence;
};

/* Podman's: the bucket `ctr` has one for each container, with `config` and `state`. */
static inline void bolt_podmans(struct bolt_image *image, const char *id, const char *config, const char *state)
{
	static const struct bolt_bucket containers = { 4, 0 }, container = { 5, 0 };
	const struct bolt_item values[] = {
		{ .key = "config", .value = config, .length = strlen(config) },
		{ .key = "state", .value = state, .length = strlen(state) },
	};
	const struct bolt_item ids[] = { { .key = id, .value = &container, .length = sizeof(container), .bucket = true } };
	const struct bolt_item root[] = {
		{ .key = "all-ctrs", .value = "", .length = 0 },
		{ .key = "ctr", .value = &containers, .length = sizeof(containers), .bucket = true },
	};

	memset(image, 0, sizeof(*image));
	bolt_write(image->bytes + 3 * BOLT_PAGE, 3, BOLT_LEAF, root, 2);
	bolt_write(image->bytes + 4 * BOLT_PAGE, 4, BOLT_LEAF, ids, 1);
	bolt_write(image->bytes + 5 * BOLT_PAGE, 5, BOLT_LEAF, values, 2);
	bolt_meta(image, 3, 6);
	bolt_meta(image, 3, 7);
}

/* An item whose value is a bucket of these items, right there, in `room`. */
static inline struct bolt_item bolt_inline(const char *key, const struct bolt_item *item, uint16_t count,
					   unsigned char room[1024])
{
	memset(room, 0, 1024);
	return (struct bolt_item){
		.key = key, .value = room, .length = 16 + bolt_write(room + 16, 0, BOLT_LEAF, item, count), .bucket = true,
	};
}

/* containerd's: v1/NAMESPACE/containers/ID has the image and a bucket of labels, here of one. */
static inline void bolt_containerds(struct bolt_image *image, const char *namespace, const char *id, const char *reference,
				    const char *label, const char *value)
{
	unsigned char room[5][1024];
	const struct bolt_item labels[] = { { .key = label, .value = value, .length = strlen(value) } };
	const struct bolt_item container[] = {
		{ .key = "image", .value = reference, .length = strlen(reference) },
		bolt_inline("labels", labels, 1, room[0]),
	};
	const struct bolt_item ids[] = { bolt_inline(id, container, 2, room[1]) };
	const struct bolt_item objects[] = { bolt_inline("containers", ids, 1, room[2]) };
	const struct bolt_item namespaces[] = { bolt_inline(namespace, objects, 1, room[3]) };
	const struct bolt_item root[] = { bolt_inline("v1", namespaces, 1, room[4]) };

	memset(image, 0, sizeof(*image));
	bolt_write(image->bytes + 3 * BOLT_PAGE, 3, BOLT_LEAF, root, 1);
	bolt_meta(image, 3, 6);
	bolt_meta(image, 3, 7);
}

#endif
