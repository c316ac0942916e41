#include "layout_own.h"

#include <inttypes.h>

#include "identity/service.h"
#include "json_writer.h"
#include "kubernetes/pod.h"
#include "layout_source.h"
#include "record_facts.h"

void layout_own__cloud(struct json_writer *writer, const struct cloud_config *cloud)
{
	if (!cloud)
		return;
	json_writer__open(writer, "cloud");
	json_writer__string(writer, "provider", cloud->provider);
	json_writer__string(writer, "instance_id", cloud->instance_id);
	json_writer__string(writer, "region", cloud->region);
	json_writer__string(writer, "zone", cloud->zone);
	json_writer__string(writer, "account", cloud->account);
	json_writer__close(writer);
}

void layout_own__host_ids(struct json_writer *writer, const struct layout_source *source)
{
	json_writer__string(writer, "host_id", source->facts->machine_id);
	json_writer__string(writer, "boot_id", source->facts->boot_id);
	if (!source->facts->has_os)
		return;
	json_writer__open(writer, "os");
	json_writer__string(writer, "id", source->facts->os.id);
	json_writer__string(writer, "name", source->facts->os.name);
	json_writer__string(writer, "version", source->facts->os.version_id);
	json_writer__string(writer, "kernel", source->facts->os.kernel);
	json_writer__string(writer, "architecture", source->facts->os.architecture);
	json_writer__close(writer);
}

void layout_own__service(struct json_writer *writer, const struct service *service)
{
	json_writer__open(writer, "systemd");
	json_writer__string(writer, "unit", service->unit);
	json_writer__string(writer, "slice", service->slice);
	json_writer__string(writer, "session", service->session);
	json_writer__string(writer, "user_unit", service->user_unit);
	json_writer__close(writer);
}

void layout_own__pod(struct json_writer *writer, const struct pod *pod)
{
	json_writer__open(writer, "workload");
	json_writer__string(writer, "kind", pod->workload_kind);
	json_writer__string(writer, "name", pod->workload_name);
	json_writer__close(writer);
	json_writer__string(writer, "service_account", pod->service_account);
	json_writer__string(writer, "qos_class", pod->qos_class);
}

void layout_own__container(struct json_writer *writer, const struct layout_source *source)
{
	char restarts[RESTART_COUNT_SIZE];

	json_writer__digits(writer, "restart_count", layout_source__restart_count(source, restarts));
	if (layout_source__unenriched(source))
		json_writer__raw(writer, "enriched", "false");
}

char *layout_own__some_process(char *out, const struct layout_line *line)
{
	return layout_own__put_process(out, line, line->untold);
}

static int put_loss(char *out, size_t size, const struct layout_loss *loss, const char *close)
{
	return snprintf(out, size, "%s\",\"lost\":{\"bytes\":%" PRIu64 ",\"%s\":%" PRIu64 ",\"reason\":\"%s\"}%s",
			loss->id_suffix, loss->bytes, loss->unit, loss->count, loss->reason, close);
}

int layout_own__loss(char *out, size_t size, const struct layout_loss *loss)
{
	return put_loss(out, size, loss, "}");
}

int layout_own__loss_in_object(char *out, size_t size, const struct layout_loss *loss)
{
	return put_loss(out, size, loss, "}}");
}
