// SPDX-License-Identifier: BSD-2-Clause
//
// A server as a process: started until its socket takes us, watched, ended. What it uses is counted
// over its whole tree of processes: sandboxes fork, and a command may be a script.

#ifndef CAUSEWAY_TOOLS_BENCH_SERVER_H
#define CAUSEWAY_TOOLS_BENCH_SERVER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define SERVER_START_SECONDS 30

struct server {
	pid_t pid; // 0: none runs
	int pidfd;
};

// Starts it, and connects to the socket that it makes: the connection, or -errno with a text.
int server_start(struct server *s, char **argv, const char *socket, char *error, size_t size);

// Nanoseconds of CPU time until now.
uint64_t server_cpu_ns(const struct server *s);

// Bytes of memory that are its own: what it shares with others counts in part, guest memory not at
// all. 0 where the kernel does not tell us.
uint64_t server_memory(const struct server *s);

// Why there is no connection any more: what was seen of it, and how the server ended, where it has.
void server_explain(const struct server *s, const char *seen, char *text, size_t size);

// Ends all of it that is still there.
void server_end(struct server *s);

#endif
