#include "capture_command.h"

#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/config.h"
#include "base/log.h"
#include "capture/capture.h"
#include "capture/capture_maps.h"
#include "capture/capture_pin.h"
#include "capture/capture_programs.h"
#include "config/config_load.h"
#include "doctor.h"

enum status { STATUS_FINE = 0, STATUS_FAILED = 1, STATUS_USAGE = 2 };

static int say_failure(const struct config *config, int err)
{
	if (err == -EALREADY)
		return STATUS_FAILED;
	if (err == -ENOTSUP)
		log_error("there is nothing to attach to: capture.pin (\"%s\") is no directory on a bpffs; mount -t bpf bpf /sys/fs/bpf",
			  config->capture.pin);
	else if (doctor__explain(stderr) == 0)
		log_error("capture cannot start: %s; `logtap -v attach` tells what the kernel said",
			  strerror(-err));
	return STATUS_FAILED;
}

int capture_command__attach(const char *path)
{
	struct capture *capture = NULL;
	struct config *config = NULL;
	int status = STATUS_FINE;
	int err = config__load(path, stderr, &config);

	if (err)
		return STATUS_USAGE;
	err = capture__open(config, &capture);
	if (!err && !capture__pinned(capture))
		err = -ENOTSUP;
	err = err ? err : capture__attach(capture);
	if (err)
		status = say_failure(config, err);
	else
		log_info("capture is %s in %s and goes on by itself: `logtap run` ships what is written, `logtap detach` ends it",
			 capture__adopted(capture) ? "renewed" : "pinned", config->capture.pin);
	capture__close(capture);
	config__free(config);
	return status;
}

/* Of a build that we do not know, nothing can be told. */
static void say_unread(const struct capture_maps *maps, const char *directory)
{
	uint64_t unread = 0;
	__u64 bytes;

	for (unsigned int i = 0; i < maps->about.shards; i++)
		if (maps->rings[i] >= 0 && !capture_maps__unread(maps, i, &bytes))
			unread += bytes;
	log_info("%s is removed; with it went %" PRIu64 " bytes of records that nobody had read",
		 directory, unread);
}

static int detach(const struct capture_pin *pin, const char *directory)
{
	struct capture_maps maps;
	bool known;
	int err;

	capture_maps__clear(&maps);
	known = !capture_maps__adopt(pin, &maps);
	/* Without hooks it is nothing to be adopted: killed in between, the next agent makes capture anew. */
	err = capture_pin__remove(pin, "about");
	capture_programs__switch_off_pinned(pin);
	if (!err && known)
		err = capture_maps__wait(&maps);
	err = err ? err : capture_pin__destroy(pin);
	if (err)
		log_error("%s cannot be removed: %s", directory, strerror(-err));
	else if (known)
		say_unread(&maps, directory);
	else
		log_info("%s is removed", directory);
	capture_maps__close(&maps);
	return err ? STATUS_FAILED : STATUS_FINE;
}

static int refuse(const char *directory, int err, pid_t holder)
{
	if (err == -ENOENT || err == -ENOTSUP) {
		if (*directory)
			log_info("nothing is attached: there is no capture in %s (capture.pin)", directory);
		else
			log_info("nothing is attached: without capture.pin capture ends with logtap");
		return STATUS_FINE;
	}
	if (err == -EBUSY && holder)
		log_error("logtap runs: process %d holds %s; end it first", (int)holder, directory);
	else if (err == -EBUSY)
		log_error("logtap runs: another process holds %s; end it first", directory);
	else
		log_error("%s cannot be opened: %s", directory, strerror(-err));
	return STATUS_FAILED;
}

int capture_command__detach(const char *path)
{
	struct capture_pin *pin = NULL;
	struct config *config = NULL;
	const char *directory;
	pid_t holder = 0;
	int status;
	int err = config__load(path, stderr, &config);

	if (err)
		return STATUS_USAGE;
	directory = config->capture.pin;
	err = directory[0] ? capture_pin__open(directory, false, &holder, &pin) : -ENOENT;
	status = err ? refuse(directory, err, holder) : detach(pin, directory);
	capture_pin__close(pin);
	config__free(config);
	return status;
}
