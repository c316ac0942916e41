/* libFuzzer on a SQLite file: Podman's database of a user. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../user/identity/sqlite.h"
#include "../unit/sqlite_fixture.h"

#define VALUE_MAX 1000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t len, value_len;
	char *bytes = sqlite_podmans("c1", "{}", "{\"restartCount\":2}", &len), *value;

	/* The first byte: where the others overwrite a good file. */
	if (size > 1) {
		size_t at = data[0] * len / 256, room = len - at;

		memcpy(bytes + at, data + 1, size - 1 < room ? size - 1 : room);
	}
	if (!sqlite__text(bytes, len, "ContainerState", "JSON", "c1", VALUE_MAX, &value, &value_len)) {
		if (value_len > VALUE_MAX || value[value_len])
			abort();
		free(value);
	}
	sqlite3_free(bytes);
	return 0;
}
