/* What `logtap --help` says, and what is said where it was not followed. Main thread. */
#ifndef LOGTAP_USAGE_H
#define LOGTAP_USAGE_H

/* All return the exit status. */
int usage__print(void);
/* There is no command at all. */
int usage__missing(void);
int usage__wrong(const char *command, const char *takes);
int usage__no_option(const char *word);
int usage__no_command(const char *name);

#endif
