/* `logtap run`: capture and ship until a signal ends it. Main thread. */
#ifndef LOGTAP_AGENT_H
#define LOGTAP_AGENT_H

/*
 * `path` of the configuration, or NULL for the defaults. The exit status: 0, 1 failed, 2 wrong
 * configuration.
 */
int agent__run(const char *path);

#endif
