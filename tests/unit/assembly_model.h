/*
 * What assembly must do, said in another way: byte by byte, half lines in a plain array, nothing clever. A line that
 * the model expects is compared with the line that came. For random tests and the fuzzer.
 */
#ifndef LOGTAP_ASSEMBLY_MODEL_H
#define LOGTAP_ASSEMBLY_MODEL_H

#include <stdlib.h>
#include <string.h>

#include "../../user/lines/assembly.h"

/* A half line is never longer than the limit and one byte. */
#define MODEL_TEXT_MAX 128
#define MODEL_WRITERS 8

struct model_line {
	char text[MODEL_TEXT_MAX];
	size_t length;
	enum partial partial;
	uint64_t position;
	uint64_t offset;
	uint64_t time;
	struct writer writer;
};

/* A half line. `writing`: the write that touched it last is not over. `owned`: only its process may go on. */
struct model_half {
	struct model_line line;
	bool writing;
	bool owned;
};

struct model {
	enum assembly_mode mode;
	size_t max_line;
	bool start_missing;
	struct model_half halves[2 * MODEL_WRITERS];
	unsigned int count;
	struct model_line *lines;    /* expected; the first `lines_seen` came */
	size_t lines_count;
	size_t lines_room;
	size_t lines_seen;
	size_t bytes_in;
	size_t bytes_out;
	const char *wrong;           /* what was wrong first, or NULL */
};

static inline void model__expect(struct model *model, struct model_line line, enum partial partial)
{
	line.partial = partial == PARTIAL_NONE && model->start_missing ? PARTIAL_START : partial;
	model->start_missing = false;
	if (model->lines_count == model->lines_room) {
		model->lines_room = 2 * model->lines_room + 16;
		model->lines = realloc(model->lines, model->lines_room * sizeof(line));
	}
	model->lines[model->lines_count++] = line;
}

/* One byte too many is there: what goes out ends where a character ends, if one ends within the last four bytes. */
static inline void model__cut(struct model *model, struct model_line *line)
{
	size_t cut = model->max_line;
	struct model_line head = *line;

	for (size_t back = 0; back <= 3; back++) {
		if (((unsigned char)line->text[model->max_line - back] >> 6) != 2) {
			cut = model->max_line - back;
			break;
		}
	}
	head.length = cut;
	model__expect(model, head, PARTIAL_MAX_SIZE);
	line->length -= cut;
	line->offset += cut;
	memmove(line->text, line->text + cut, line->length);
}

static inline bool model__may_take(const struct model_half *half, const struct piece *piece, int rank)
{
	const struct writer *a = &half->line.writer, *b = &piece->writer;
	bool own = a->tgid == b->tgid && a->start_time == b->start_time;

	if (rank == 0)
		return half->writing && a->tid == b->tid;
	if (half->writing || piece->write_offset)
		return false;
	return rank == 1 ? half->owned && own : !half->owned;
}

/* Takes the half line that the piece goes on with: its own write's, its own process's, anybody's. */
static inline bool model__take(struct model *model, const struct piece *piece, struct model_half *out)
{
	for (int rank = 0; rank < 3; rank++) {
		for (unsigned int i = 0; i < model->count; i++) {
			if (!model__may_take(&model->halves[i], piece, rank))
				continue;
			*out = model->halves[i];
			memmove(&model->halves[i], &model->halves[i + 1],
				(--model->count - i) * sizeof(*out));
			if (rank || piece->write_offset)
				return true;
			/* A new write of the same thread: the rest of the old one never came. */
			model__expect(model, out->line, PARTIAL_LOST);
			break;
		}
	}
	return false;
}

static inline struct model_half model__begin(const struct piece *piece, size_t at)
{
	return (struct model_half){
		.line = { .position = piece->position, .offset = at },
	};
}

/* Call it before the real one, with pieces that are not empty. */
static inline void model__add(struct model *model, const struct piece *piece)
{
	bool last = piece->write_offset + piece->length == piece->write_length;
	struct model_half half;
	bool open = model__take(model, piece, &half);

	model->bytes_in += piece->length;
	for (size_t i = 0; i < piece->length; i++) {
		if (!open)
			half = model__begin(piece, i);
		open = true;
		half.line.time = piece->time;
		half.line.writer = piece->writer;
		if (piece->bytes[i] == '\n') {
			model__expect(model, half.line, PARTIAL_NONE);
			open = false;
			continue;
		}
		half.line.text[half.line.length++] = piece->bytes[i];
		if (half.line.length > model->max_line)
			model__cut(model, &half.line);
	}
	if (!open)
		return;
	half.writing = !last;
	half.owned |= model->mode == ASSEMBLY_PROCESS ||
		      (model->mode == ASSEMBLY_AUTO && piece->write_length % 1024 == 0);
	model->halves[model->count++] = half;
}

static inline void model__flush(struct model *model, enum partial why)
{
	for (unsigned int i = 0; i < model->count; i++)
		model__expect(model, model->halves[i].line, why);
	model->count = 0;
}

/* The same of the real one. */
static inline void flush_all(struct assembly *assembly, uint64_t before, enum partial why)
{
	while (assembly__flush_one(assembly, before, why))
		;
}

static inline void flush_and_break(struct assembly *assembly)
{
	flush_all(assembly, UINT64_MAX, PARTIAL_LOST);
	assembly__break(assembly);
}

/* What assembly's emit must call. */
static inline void model__check(struct model *model, const struct line *line)
{
	const struct model_line *expected = model->lines + model->lines_seen;

	model->bytes_out += line->length + (line->partial <= PARTIAL_START);
	if (!model->lines_count)
		model->wrong = "a line that nobody expects";
	else if (line->length != expected->length || memcmp(line->text, expected->text, line->length))
		model->wrong = "another text";
	else if (line->partial != expected->partial)
		model->wrong = "another reason for being partial";
	else if (line->position != expected->position || line->offset != expected->offset)
		model->wrong = "another id";
	else if (line->time != expected->time || line->writer.tid != expected->writer.tid)
		model->wrong = "another writer or time";
	if (model->lines_seen < model->lines_count)
		model->lines_seen++;
	if (model->lines_seen == model->lines_count)
		model->lines_seen = model->lines_count = 0;
}

/* After a flush: what is wrong, or NULL. */
static inline const char *model__verdict(const struct model *model)
{
	if (model->wrong)
		return model->wrong;
	if (model->lines_count)
		return "a line is missing";
	return model->bytes_in == model->bytes_out ? NULL : "bytes out are not bytes in";
}

#endif
