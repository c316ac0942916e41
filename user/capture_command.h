/* `logtap attach` and `logtap detach`: capture without an agent. Main thread. */
#ifndef LOGTAP_CAPTURE_COMMAND_H
#define LOGTAP_CAPTURE_COMMAND_H

/* Both read the configuration at `path`, NULL for the defaults, and return the exit status. */

/* Pins capture, or goes over to this build and configuration where it is pinned already. */
int capture_command__attach(const char *path);
/* Removes every trace of it; refused while an agent runs. */
int capture_command__detach(const char *path);

#endif
