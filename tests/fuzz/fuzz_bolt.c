/*
 * libFuzzer on a BoltDB file: Podman's database of a user. The checksums of both metas are made right, so that what
 * is behind them is reached.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../user/identity/bolt.h"
#include "../unit/bolt_fixture.h"

#define VALUE_MAX 1000

static void mend(struct bolt_image *image)
{
	for (int i = 0; i < 2; i++) {
		uint64_t root, transaction;

		memcpy(&root, image->bytes + i * BOLT_PAGE + 32, 8);
		memcpy(&transaction, image->bytes + i * BOLT_PAGE + 64, 8);
		/* The page that it is written to is the transaction's. */
		bolt_meta(image, root, (transaction & ~1ull) + i);
	}
}

static void look_up(int fd, const char *const bucket[], const char *key)
{
	char *value;
	size_t length;

	if (bolt__get(fd, bucket, key, VALUE_MAX, &value, &length))
		return;
	if (length > VALUE_MAX || value[length])
		abort();
	free(value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const root[] = { NULL }, *const container[] = { "ctr", "c1", NULL };
	static struct bolt_image image;
	static int fd = -1;

	if (fd < 0)
		fd = memfd_create("bolt", MFD_CLOEXEC);
	bolt_podmans(&image, "c1", "{}", "{\"restartCount\":2}");
	/* The first byte: where the others overwrite a good file. */
	if (size > 1) {
		size_t at = data[0] * 128u, room = sizeof(image.bytes) - at;

		memcpy(image.bytes + at, data + 1, size - 1 < room ? size - 1 : room);
	}
	mend(&image);
	if (fd < 0 || pwrite(fd, image.bytes, sizeof(image.bytes), 0) < 0)
		abort();
	look_up(fd, container, "state");
	look_up(fd, container, "config");
	look_up(fd, root, "all-ctrs");
	return 0;
}
