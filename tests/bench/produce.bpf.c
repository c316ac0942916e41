/*
 * Fills a ring with the records of writes, as the hooks would. A program of this kind needs no
 * tracing, so it runs where the hooks may not, and what comes after the ring can be measured on any
 * machine.
 */
#include "vmlinux.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "record.h"

#include "../../bpf/maps.bpf.h"
#include "../../bpf/ring.bpf.h"
#include "produce.h"

char LICENSE[] SEC("license") = "GPL";

/* The size class of bpf/writes.bpf.h that a line falls into. */
#define ROOM 256

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, LINES);
	__type(key, u32);
	__type(value, struct line_text);
} lines SEC(".maps");

static __always_inline void fill_record(struct record *record, u32 slot, u8 type, u32 payload)
{
	__builtin_memset(record, 0, sizeof(*record));
	record->version = RECORD_VERSION;
	record->header_length = sizeof(*record);
	record->type = type;
	record->length = sizeof(*record) + payload;
	record->slot = slot;
	record->generation = 1;
	record->time = bpf_ktime_get_boot_ns();
	record->tgid = 1000 + slot;
	record->tid = 1000 + slot;
	record->writer = 1 + slot;
	record->start_time = 1 + slot;
	record->write_length = payload;
}

static long produce_one(u32 i, struct produce *run)
{
	u32 line = (run->first + i) % LINES, shard = 0;
	struct line_text *text = bpf_map_lookup_elem(&lines, &line);
	void *ring = bpf_map_lookup_elem(&rings, &shard);
	struct record *record;

	if (!text || !ring)
		return 1;
	record = bpf_ringbuf_reserve(ring, sizeof(*record) + ROOM, 0);
	if (!record)
		return 1;
	fill_record(record, line % STREAMS, RECORD_DATA, LINE_SIZE);
	__builtin_memcpy(record + 1, text, LINE_SIZE);
	bpf_ringbuf_submit(record, wakeup_flags(ring, shard));
	run->done++;
	return 0;
}

SEC("syscall")
int produce_lines(struct produce *context)
{
	struct produce run = { .first = context->first };

	bpf_loop(context->count, produce_one, &run, 0);
	context->done = run.done;
	return 0;
}

/* Who writes: once for each stream, before its first line. */
SEC("syscall")
int produce_process(struct produce *context)
{
	u32 slot = context->first, shard = 0;
	void *ring = bpf_map_lookup_elem(&rings, &shard);
	struct process_payload *process;
	struct record *record;

	if (!ring)
		return 0;
	record = bpf_ringbuf_reserve(ring, sizeof(*record) + sizeof(*process), 0);
	if (!record)
		return 0;
	fill_record(record, slot, RECORD_PROCESS, sizeof(*process));
	process = (void *)(record + 1);
	__builtin_memset(process, 0, sizeof(*process));
	__builtin_memcpy(process->name, "web", 4);
	bpf_ringbuf_submit(record, BPF_RB_FORCE_WAKEUP);
	context->done = 1;
	return 0;
}
