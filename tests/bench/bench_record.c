/*
 * What a line of LENGTH bytes (216) costs as a record with the NAMES (0: default; see enum
 * record_names), in instructions, when linked with all of build/user but main.o:
 * valgrind --tool=callgrind --toggle-collect=encoder__line bench_record [LENGTH [NAMES]]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../user/base/counters.h"
#include "../../user/identity/identity.h"
#include "../../user/journal/journal.h"
#include "../../user/stream/encode.h"

#define LINES 10000
#define MIB (1ull << 20)

static const struct identity identity = {
	.container_id = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
	.container_name = "web",
	.image = "registry.example.org/shop/web:1.2.3",
	.runtime = "containerd",
	.pod_name = "web-7d4b9c6f5-x2x9p",
	.pod_namespace = "shop",
	.pod_uid = "8a3bf2b1-0c4d-4e5f-9a6b-7c8d9e0f1a2b",
	.restart_count = "",
	.log_path = "",
};

static void encode(struct encoder *encoder, size_t length)
{
	static const struct process process = { .tag = 1, .tgid = 4711, .uid = 1000, .name = "nginx" };
	const struct stream_source source = { .kind = STREAM_STDOUT, .identity = &identity };
	struct stream_text *text;
	char *message = malloc(length);

	if (!message || stream_text__new(encoder, &source, &text))
		exit(1);
	memset(message, 'x', length);
	for (unsigned int i = 0; i < LINES; i++) {
		const struct line line = {
			.text = message,
			.length = length,
			.time = i * 1000ull,
			.position = 0x12340000 + i * 256,
			.writer = { .tgid = 4711, .tid = 4712, .tag = 1 },
		};

		if (encoder__line(encoder, text, &line, &process))
			exit(1);
	}
	stream_text__free(text);
	free(message);
}

int main(int argc, char **argv)
{
	char directory[] = "/dev/shm/logtap-bench-XXXXXX";
	char *all = "*";
	const struct record_config record = {
		.names = argc > 2 ? strtoul(argv[2], NULL, 10) : NAMES_DEFAULT,
		.fields = { .allow = &all, .allow_count = 1 },
	};
	struct counters counters = { 0 };
	bool abandon = false;
	struct journal_options journal = {
		.directory = mkdtemp(directory), .max_size = 64 * MIB, .segment_size = 8 * MIB, .data_fd = -1, .space_fd = -1,
	};
	struct encoder_options options = {
		.space_fd = -1,
		.wake_fd = -1,
		.abandon = &abandon,
		.counters = &counters,
		.id_prefix = "be5cdbf3.a924f201.0.",
		.layout = { "node-1", &record, NULL },
	};
	struct encoder *encoder;
	char command[64];

	if (journal__open(&journal, NULL, &options.journal) || encoder__new(&options, &encoder))
		return 1;
	encode(encoder, argc > 1 ? strtoul(argv[1], NULL, 10) : 216);
	printf("%u lines, records of %llu bytes\n", LINES,
	       (unsigned long long)counters.value[COUNTER_journal_bytes] / LINES);
	encoder__free(encoder);
	journal__close(options.journal);
	snprintf(command, sizeof(command), "rm -rf %s", directory);
	return system(command);
}
