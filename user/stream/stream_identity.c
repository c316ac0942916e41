#include "stream_fields.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "capture/capture.h"
#include "identity/identity.h"
#include "identity/service.h"
#include "kubernetes/pod.h"
#include "kubernetes/pods.h"

static struct cgroup_names cgroup_names(const struct stream_slot *slot)
{
	return cgroup_path__names(slot->cgroup, slot->cgroup_top, slot->cgroup_level);
}

const struct identity *stream__identity(const struct stream *stream)
{
	const struct stream_slot *slot = stream->slot;
	struct cgroup_names names = cgroup_names(slot);

	return identity_cache__get(stream->context->identities, slot->cgroup_id, &names,
				   slot->flags & SLOT_PID_NAMESPACE &&
					   slot->flags & SLOT_MOUNT_NAMESPACE);
}

void stream__learn_pod(struct stream *stream)
{
	const struct identity *identity;

	if (!stream->context->pods)
		return;
	identity = stream__identity(stream);
	/* One that is longer is no pod's. */
	if (identity && strlen(identity->pod_uid) <= POD_UID_MAX)
		strcpy(stream->pod_uid, identity->pod_uid);
}

/*
 * Whoever may create pods may have one say that it is a static pod of this node, by the uid that the node knows that one by:
 * it has another name.
 */
static bool is_pod_of(struct stream *stream, const struct pod *pod)
{
	const struct identity *identity = stream__identity(stream);

	if (!identity || !*identity->pod_name)
		return true;
	if (pod->name && !strcmp(pod->name, identity->pod_name) && pod->namespace &&
	    !strcmp(pod->namespace, identity->pod_namespace))
		return true;
	if (!stream->pod_refused)
		log_warn("kubernetes: pod %s in namespace %s says that it is %s, which is pod %s in namespace %s of this node: "
			 "nothing is taken from it; delete it if nobody knows it",
			 pod->name ? pod->name : "?", pod->namespace ? pod->namespace : "?", stream->pod_uid, identity->pod_name, identity->pod_namespace);
	stream->pod_refused = true;
	return false;
}

/* The pod that is known was taken by all that there is to know. */
static bool is_sure_of_pod(const struct stream *stream)
{
	return stream->pod && stream->text && !(stream->text_lacks & TEXT_LACKS_FILES);
}

/* A reference of the caller's, or NULL. */
static const struct pod *get_pod(const struct stream *stream)
{
	struct pods *pods = stream->context->pods;
	const struct pod *known = stream->pod;
	const struct identity *identity;

	if (!*stream->pod_uid || !pods__has(pods, stream->pod_uid))
		return NULL;
	identity = is_sure_of_pod(stream) ? NULL : stream__identity(stream);
	if (identity && *identity->pod_name)
		return pods__get(pods, stream->pod_uid, identity->pod_namespace, identity->pod_name);
	return pods__get(pods, stream->pod_uid, known ? known->namespace : "", known ? known->name : "");
}

bool stream__take_pod(struct stream *stream)
{
	const struct pod *pod;

	if (stream->context->pods)
		stream->pods_version = pods__version(stream->context->pods);
	pod = get_pod(stream);
	/* One that is deleted and let go is the one that it was. */
	if (!pod || pod == stream->pod || !is_pod_of(stream, pod)) {
		pod__put(pod);
		return false;
	}
	pod__put(stream->pod);
	stream->pod = pod;
	return true;
}

bool stream__lacks_pod(const struct stream *stream)
{
	return *stream->pod_uid && !stream->pod;
}

/* What is not known now: see enum text_lacks. */
static unsigned int lacking(const struct stream *stream, const struct identity *identity)
{
	return (identity && !identity->complete ? TEXT_LACKS_FILES : 0) | (stream__lacks_pod(stream) ? TEXT_LACKS_POD : 0);
}

static int make_text(const struct stream *stream, const struct identity *identity, struct stream_text **out)
{
	struct stream_source source = {
		.kind = stream->kind,
		.file = stream->file,
		.identity = identity,
		.pod = stream->pod,
		.enrichment = stream->context->pods,
		.key = stream->context->key,
		.stream = (uint64_t)stream->index << 32 | stream->generation,
	};
	struct cgroup_names names;
	struct service service;

	if (stream->kind == STREAM_FILE && !identity && stream->slot) {
		names = cgroup_names(stream->slot);
		source.service = service__parse(&names, &service) ? &service : NULL;
	}
	return stream_text__new(stream->context->encoder, &source, out);
}

/* Only what the next agent finds again may wait: the ring is released. */
static void begin_wait(struct stream *stream)
{
	if (!stream->context->wait || stream->waiting.deadline || !(stream__lacks_pod(stream) || stream->undecided))
		return;
	if (stream->saved_text.block == HEAP_NONE || !checkpoint__has_place(stream->context->checkpoint, stream->index))
		return;
	stream->waiting.deadline = clock__ns(CLOCK_BOOTTIME) + stream->context->wait;
	stream->context->waits++;
	pods__want(stream->context->pods, stream->pod_uid);
}

const struct stream_text *stream__text(struct stream *stream)
{
	const struct identity *identity;

	if (stream->text || !stream->slot)
		return stream->text;
	stream__take_pod(stream);
	identity = stream__identity(stream);
	if (make_text(stream, identity, &stream->text)) {
		log_error("out of memory: a record of stream slot %u is lost", stream->index);
		return NULL;
	}
	stream->text_lacks = lacking(stream, identity);
	stream__save_text(stream);
	begin_wait(stream);
	/* In a transaction of its own, as the runtime's files may be others when the next line is made again. */
	stream__mark_changed(stream);
	stream__commit(stream);
	return stream->text;
}

static bool same_text(const struct stream_text *one, const struct stream_text *other)
{
	struct text_parts a, b;

	stream_text__parts(one, &a);
	stream_text__parts(other, &b);
	return a.names == b.names && a.untold == b.untold && a.fields_length == b.fields_length && a.key_length == b.key_length &&
	       !memcmp(a.fields, b.fields, a.fields_length) && !memcmp(a.key, b.key, a.key_length);
}

/* If who the stream is can be had: a container may have ended whose last lines these are. */
static void make_text_anew(struct stream *stream)
{
	const struct identity *identity = stream__identity(stream);
	struct saved_text before = stream->saved_text;
	struct stream_text *text;

	stream->text_restored = false;
	if (lacking(stream, identity) & ~stream->text_lacks || (!identity && stream->kind != STREAM_FILE))
		return;
	if (make_text(stream, identity, &text))
		return;
	if (same_text(text, stream->text)) {
		stream_text__free(text);
		return;
	}
	stream__commit(stream);
	stream_text__free(stream->text);
	stream->text = text;
	stream->text_lacks = lacking(stream, identity);
	stream__save_text(stream);
	/* What it was called before is better than nothing. */
	if (stream->saved_text.block == HEAP_NONE)
		stream->saved_text = before;
	else
		heap__give(stream__heap(stream), before.block);
	stream__mark_changed(stream);
	stream__commit(stream);
}

/*
 * The configuration may have changed what the stream is called (node, kafka.key). A record that the agent before may have
 * published keeps the text it had then; with the first that certainly none has seen the text is made anew. What it says of
 * a pod that is not known again yet is better than nothing; if it said nothing of one, nothing is lost.
 */
void stream__renew_text(struct stream *stream, uint64_t position)
{
	if (stream->text_restored && position >= stream->context->replayed &&
	    (!stream__lacks_pod(stream) || stream->text_lacks & TEXT_LACKS_POD))
		make_text_anew(stream);
}

/* Bytes that the stream's waiting lines may take. A configuration before may have allowed more. */
static uint64_t wait_limit(const struct stream *stream)
{
	const struct stream_context *context = stream->context;
	uint64_t spare = context->waiting_limit > context->waiting_bytes ? context->waiting_limit - context->waiting_bytes : 0;
	uint64_t limit = stream->waiting.bytes + spare;

	return limit < context->waiting_stream_limit ? limit : context->waiting_stream_limit;
}

bool stream__has_room_to_wait(const struct stream *stream, size_t length)
{
	return waiting__fits(&stream->waiting, stream__heap(stream), wait_limit(stream), length);
}

bool stream__wait(struct stream *stream, const struct line *line, const struct process *process)
{
	struct stream_context *context = stream->context;
	struct waiting *waiting = &stream->waiting;
	uint64_t before = waiting->bytes;

	if (waiting__add(waiting, stream__heap(stream), wait_limit(stream), line, process))
		return false;
	context->waiting_bytes += waiting->bytes - before;
	stream__mark_changed(stream);
	return true;
}

void stream__forget_wait(struct stream *stream)
{
	stream->context->waits -= stream->waiting.deadline != 0;
	waiting__init(&stream->waiting);
}

/* The oldest line. False when there is none, or it is the next agent's. */
static bool release_first(struct stream *stream)
{
	struct heap *heap = stream__heap(stream);
	uint64_t before = stream->waiting.bytes;
	struct process process;
	struct line line;
	bool known;

	if (!waiting__first(&stream->waiting, heap, &line, &process, &known) ||
	    !stream__append(stream, &line, known ? &process : NULL))
		return false;
	waiting__remove_first(&stream->waiting, heap);
	stream->context->waiting_bytes -= before - stream->waiting.bytes;
	stream__mark_changed(stream);
	return true;
}

/* Unless what is left is the next agent's. */
static void end_wait(struct stream *stream)
{
	if (stream->context->cancelled)
		return;
	stream__forget_wait(stream);
	stream__mark_changed(stream);
}

void stream__release(struct stream *stream)
{
	while (release_first(stream))
		;
	end_wait(stream);
}

/*
 * While a full journal is waited for, the sink sees what is appended, and what a transaction has appended before it is
 * committed may be made again: here in another way, as clock and pod may be others then.
 */
void stream__end_wait(struct stream *stream)
{
	stream__commit(stream);
	if (!stream->waiting.deadline || stream->context->cancelled)
		return;
	if (stream__is_left_out(stream)) {
		stream__commit(stream);
		return;
	}
	/* It may not have been saved. */
	stream__text(stream);
	stream__settle(stream);
	while (release_first(stream)) {
		stream__commit(stream);
		stream__settle(stream);
	}
	end_wait(stream);
	stream__commit(stream);
}

bool stream__waits(const struct stream *stream)
{
	return stream->waiting.deadline;
}

void stream__follow_pod(struct stream *stream, uint64_t now)
{
	bool changed = stream__take_pod(stream);
	bool known = !stream__lacks_pod(stream);
	bool over = stream->waiting.deadline && (known || now >= stream->waiting.deadline);

	if (changed || over)
		stream__decide(stream, over);
	/* It may have been known when the stream was taken up: what waits was not to come without it. */
	if ((changed || (over && known && stream->text_lacks & TEXT_LACKS_POD)) && stream->text && stream__wanted(stream))
		make_text_anew(stream);
	if (over)
		stream__end_wait(stream);
}
