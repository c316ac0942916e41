/*
 * Names of logtap's own: the default preset's, which the others have in their object `logtap` where
 * they have no name for a thing. Pure functions, any thread.
 */
#ifndef LOGTAP_LAYOUT_OWN_H
#define LOGTAP_LAYOUT_OWN_H

#include "base/json.h"
#include "base/text_put.h"
#include "layout.h"
#include "process.h"

struct cloud_config;
struct json_writer;
struct layout_source;
struct pod;
struct service;

/* "cloud":{...}; nothing for NULL. */
void layout_own__cloud(struct json_writer *writer, const struct cloud_config *cloud);
/* "host_id", "boot_id", "os":{...}. */
void layout_own__host_ids(struct json_writer *writer, const struct layout_source *source);
/* "systemd":{...}: journalbeat's names, too. */
void layout_own__service(struct json_writer *writer, const struct service *service);
/* "workload":{...}, "service_account", "qos_class". */
void layout_own__pod(struct json_writer *writer, const struct pod *pod);
/* "restart_count", "enriched". */
void layout_own__container(struct json_writer *writer, const struct layout_source *source);

static inline bool layout_own__tells(unsigned int untold, enum process_field field)
{
	return !(untold & 1u << field);
}

#define LAYOUT_OWN_PROCESS ",\"process\":"

/* Inlined with a constant 0, these ask nothing of a line. ,"process":{...}, still open: what all who tell of a process have. */
static inline __attribute__((always_inline)) char *layout_own__open_process(char *out, const struct layout_line *line,
									    unsigned int untold, bool thread)
{
	const struct process *process = line->process;

	out = PUT_LITERAL(out, LAYOUT_OWN_PROCESS);
	if (layout_own__tells(untold, PROCESS_PID)) {
		out = PUT_LITERAL(out, ",\"pid\":");
		out = put_number(out, line->writer->tgid);
	}
	if (layout_own__tells(untold, PROCESS_TID)) {
		out = thread ? PUT_LITERAL(out, ",\"thread\":{\"id\":") : PUT_LITERAL(out, ",\"tid\":");
		out = put_number(out, line->writer->tid);
		if (thread)
			*out++ = '}';
	}
	if (process && layout_own__tells(untold, PROCESS_NAME)) {
		out = PUT_LITERAL(out, ",\"name\":\"");
		out = json__put(out, process->name);
		*out++ = '"';
	}
	return out;
}

/* `start`: where it was opened. One without members is taken back. */
static inline __attribute__((always_inline)) char *layout_own__close_process(char *start, char *out, unsigned int untold)
{
	char *members = start + sizeof(LAYOUT_OWN_PROCESS) - 1;

	if (untold && out == members)
		return start;
	/* In the first comma's place. */
	*members = '{';
	*out++ = '}';
	return out;
}

static inline __attribute__((always_inline)) char *layout_own__put_process(char *start, const struct layout_line *line,
									   unsigned int untold)
{
	const struct process *process = line->process;
	char *out = layout_own__open_process(start, line, untold, false);

	if (process && layout_own__tells(untold, PROCESS_UID)) {
		out = PUT_LITERAL(out, ",\"uid\":");
		out = put_number(out, process->uid);
	}
	return layout_own__close_process(start, out, untold);
}

/* The same where fields are left out. */
char *layout_own__some_process(char *out, const struct layout_line *line);

/* ,"process":{...} */
static inline char *layout_own__process(char *out, const struct layout_line *line)
{
	return line->untold ? layout_own__some_process(out, line) : layout_own__put_process(out, line, 0);
}

/* ,"partial":"..." */
static inline char *layout_own__partial(char *out, enum partial partial)
{
	if (partial == PARTIAL_NONE)
		return out;
	out = PUT_LITERAL(out, ",\"partial\":\"");
	out = put_string(out, layout__partial(partial));
	*out++ = '"';
	return out;
}

/* ,"encoding":"base64" */
static inline char *layout_own__encoding(char *out, bool base64)
{
	return base64 ? PUT_LITERAL(out, ",\"encoding\":\"base64\"") : out;
}

/* "lost":{...} behind the id, and the record's end; in an object of the record, that one's, too. As snprintf. */
int layout_own__loss(char *out, size_t size, const struct layout_loss *loss);
int layout_own__loss_in_object(char *out, size_t size, const struct layout_loss *loss);

#endif
