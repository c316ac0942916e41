/* A name server that does not answer, for the rest of the process. As root. */
#ifndef LOGTAP_SILENT_NAME_SERVER_H
#define LOGTAP_SILENT_NAME_SERVER_H

#include <arpa/inet.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

/*
 * In a network of our own: *out is its socket, readable once it was asked. False where that cannot be
 * had.
 */
static inline bool own_silent_name_server(int *out)
{
	const struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons(53),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	char path[] = "/tmp/test_resolv.XXXXXX";
	int fd = mkstemp(path);
	int server = -1;
	bool made;

	/* For longer than this test may take. */
	dprintf(fd, "nameserver 127.0.0.1\noptions timeout:30 attempts:5\n");
	close(fd);
	made = !unshare(CLONE_NEWNS | CLONE_NEWNET) && !mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) &&
	       !mount(path, "/etc/resolv.conf", NULL, MS_BIND, NULL) && !system("ip link set lo up");
	if (made)
		server = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	made = made && !bind(server, (const struct sockaddr *)&address, sizeof(address));
	unlink(path);
	*out = server;
	return made;
}

#endif
