#include "stream_fields.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/counters.h"
#include "base/log.h"
#include "capture/capture.h"
#include "identity/identity.h"
#include "kubernetes/pods.h"
#include "selection/selection.h"

/* Said once for each kind: the names that containers choose must not fill the log. */
static void warn_of_file_system(const char *file, uint64_t magic)
{
	static _Thread_local uint64_t told[16];

	for (size_t i = 0; i < sizeof(told) / sizeof(told[0]); i++) {
		if (told[i] == magic)
			return;
		if (told[i])
			continue;
		told[i] = magic;
		log_warn("%s: writes to its file system (magic 0x%" PRIx64 ") cannot be seen, so it is not captured: "
			 "`logtap doctor` lists the file systems; a module must be loaded before logtap starts",
			 file, magic);
		return;
	}
}

/* A file's path out of its slot. False when it is not wanted, or there is no memory. */
static bool admit_file(struct stream *stream)
{
	const struct stream_context *context = stream->context;
	const char *file = selection__file(context->selection, stream->slot, NULL);

	if (!file)
		return false;
	if (!capture__covers(context->capture, stream->slot->magic)) {
		warn_of_file_system(file, stream->slot->magic);
		return false;
	}
	stream->file = strdup(file);
	return stream->file;
}

/* What cannot be known by now. Its pod may come all the same, and say otherwise. */
static bool takes_unknown(const struct stream *stream)
{
	if (selection__takes_unknown(stream->context->selection))
		return true;
	if (stream->context->pods)
		pods__leave_out(stream->context->pods, stream->pods_version);
	return false;
}

/* With what is known by now; what is not may be waited for. What no container writes is selected, and *out NULL. */
static enum selected ask(struct stream *stream, const struct identity **out)
{
	const struct identity *identity;
	enum selected selected;

	/* Which asks for the identity, too. */
	stream__take_pod(stream);
	*out = identity = stream__identity(stream);
	if (!identity)
		return SELECTED_YES;
	selected = selection__container(stream->context->selection, identity, stream->pod, stream->kind);
	stream->undecided = selected == SELECTED_UNKNOWN && stream__lacks_pod(stream) && stream->context->wait;
	/* By the runtime's word: the pod's own may be another by now. */
	if (selected == SELECTED_NO && stream__lacks_pod(stream) && identity->tells_pod)
		pods__leave_out(stream->context->pods, stream->pods_version);
	return selected;
}

/* Returns what it is to be counted as. A file that no container writes is chosen by its path alone. */
static enum counter admit(struct stream *stream)
{
	const struct selection *selection = stream->context->selection;
	bool is_file = stream->kind == STREAM_FILE;
	const struct identity *identity;
	enum selected selected;

	if (is_file && !admit_file(stream))
		return COUNTER_streams_rejected;
	if (!is_file && !selection__admits_pipe(selection, stream->slot, stream__identity(stream), &stream->kind))
		return COUNTER_streams_rejected;
	selected = ask(stream, &identity);
	if (selected == SELECTED_NO ||
	    (selected == SELECTED_UNKNOWN && !stream->undecided && !takes_unknown(stream)))
		return COUNTER_streams_deselected;
	return COUNTER_streams_opened;
}

void stream__admit(struct stream *stream)
{
	enum counter admitted;

	stream->kind = stream->slot->kind;
	admitted = admit(stream);
	stream->wanted = admitted == COUNTER_streams_opened ? WANTED_NOW : WANTED_NEVER;
	counters__add(stream->context->counters, admitted, 1);
}

static int set_file(struct stream *stream, const char *file)
{
	char *copy = strdup(file);

	if (!copy)
		return -ENOMEM;
	free(stream->file);
	stream->file = copy;
	return 0;
}

/* Whatever its pod says now, which is not known yet: what the runtime was told of it is from its sandbox's start. */
static bool is_out_by_name(const struct stream *stream, const struct identity *identity)
{
	struct identity named = *identity;

	named.tells_pod &= !stream__lacks_pod(stream);
	return selection__container(stream->context->selection, &named, stream->pod, stream->kind) == SELECTED_NO;
}

/*
 * As the agent before has left it: lines wait, and what is known without the pod does not tell whether they are wanted. The
 * runtime's files may have told more than is there now.
 */
static bool was_undecided(const struct stream *stream, const struct identity *identity)
{
	if (!identity->complete && !(stream->text_lacks & TEXT_LACKS_FILES))
		return false;
	return stream->waiting.deadline && stream->context->wait && *stream->pod_uid &&
	       selection__container(stream->context->selection, identity, NULL, stream->kind) == SELECTED_UNKNOWN;
}

/*
 * A container's stream keeps what was decided of it unless the contrary is certain: the runtime's files, by which it was decided,
 * may be gone, and the API's word may have been another than the runtime's.
 */
static bool stays_selected(struct stream *stream)
{
	const struct identity *identity;
	enum selected selected = ask(stream, &identity);

	/* stream__follow_pod decides, and what waits is discarded then. */
	if (identity && was_undecided(stream, identity)) {
		stream->undecided = true;
		return true;
	}
	if (selected != SELECTED_NO || !identity->complete || !is_out_by_name(stream, identity))
		return true;
	counters__add(stream->context->counters, COUNTER_streams_deselected, 1);
	return false;
}

/* The path of a file that stays, "" for a pipe that does, else NULL. */
static const char *stays(struct stream *stream)
{
	struct selection *selection = stream->context->selection;
	const char *file = "";

	if (stream->kind == STREAM_FILE)
		file = selection__file(selection, stream->slot, stream->file);
	else if (!selection__takes_pipes(selection))
		file = NULL;
	return file && stays_selected(stream) ? file : NULL;
}

/*
 * The path by which a file is known tells as much as its mounts did. It may not have been saved, before its first record.
 */
int stream__admit_again(struct stream *stream)
{
	const char *file;

	if (stream->wanted == WANTED_BEFORE && stream->kind == STREAM_FILE && !stream->file)
		return set_file(stream, stream->slot->path);
	if (stream->wanted != WANTED_NOW)
		return 0;
	file = stays(stream);
	/* What has come out is not called back. */
	stream->undecided = stream->undecided && (!stream->text || stream->waiting.deadline);
	if (!file) {
		stream->wanted = WANTED_BEFORE;
		stream__mark_changed(stream);
		file = stream->file ? stream->file : stream->slot->path;
	}
	if (stream->kind != STREAM_FILE || file == stream->file)
		return 0;
	return set_file(stream, file);
}

/* Returns the bytes of the lines. */
static uint64_t discard_waiting(struct stream *stream)
{
	struct heap *heap = stream__heap(stream);
	struct process process;
	uint64_t bytes = 0;
	struct line line;
	bool known;

	stream->context->waiting_bytes -= stream->waiting.bytes;
	while (waiting__first(&stream->waiting, heap, &line, &process, &known)) {
		bytes += line_bytes(&line);
		waiting__remove_first(&stream->waiting, heap);
	}
	stream__forget_wait(stream);
	return bytes;
}

/* Nothing of an undecided one has come out; of another, all that was written by now does. */
static void leave_out(struct stream *stream)
{
	struct counters *counters = stream->context->counters;

	counters__add(counters, COUNTER_streams_deselected, 1);
	if (stream->undecided)
		counters__add(counters, COUNTER_bytes_discarded, discard_waiting(stream));
	stream->wanted = stream->undecided ? WANTED_NEVER : WANTED_BEFORE;
	stream->undecided = false;
	stream__mark_changed(stream);
}

static void deselect(struct stream *stream)
{
	stream__commit(stream);
	leave_out(stream);
	stream__commit(stream);
}

bool stream__is_left_out(struct stream *stream)
{
	const struct identity *identity = stream->undecided ? stream__identity(stream) : NULL;
	enum selected selected;

	if (!identity)
		return false;
	selected = selection__container(stream->context->selection, identity, stream->pod, stream->kind);
	if (selected == SELECTED_YES || (selected == SELECTED_UNKNOWN && takes_unknown(stream)))
		return false;
	leave_out(stream);
	return true;
}

void stream__decide(struct stream *stream, bool over)
{
	const struct selection *selection = stream->context->selection;
	const struct identity *identity;
	enum selected selected;

	if (stream->wanted != WANTED_NOW)
		return;
	identity = stream__identity(stream);
	if (!identity)
		return;
	selected = selection__container(selection, identity, stream->pod, stream->kind);
	if (selected == SELECTED_UNKNOWN && stream->undecided && !over)
		return;
	if (selected == SELECTED_UNKNOWN && stream->undecided && !takes_unknown(stream))
		selected = SELECTED_NO;
	if (selected == SELECTED_NO)
		deselect(stream);
	stream->undecided = false;
}
