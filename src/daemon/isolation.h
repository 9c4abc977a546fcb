// SPDX-License-Identifier: BSD-2-Clause
/*
 * What the serving process is kept from, in stages.
 *
 * A guest talks to us and is an attacker. Should it ever make this process run code of its own,
 * that code shall find the shared directory and nothing else. The stages, in their order:
 *
 *   split      (monitor.c)       --sandbox namespace, chroot: the process that was started stays
 *                                outside, passes signals on and removes the socket at the end;
 *                                its child serves, in a pid namespace of its own, and dies with it
 *   user       (userns.c)        a user namespace: an ordinary user's way to the stages below, or
 *                                where --uid-map, --gid-map ask for it
 *   root       (root.c)          mount, net and ipc namespaces; the shared directory becomes the
 *                                root of all names, or --sandbox chroot's; a proc of its own
 *   caps       (capabilities.c)  the capabilities that the options need, no others ever again
 *   landlock   (landlock.c)      file access beneath the shared directory only, where it can be had
 *   seccomp    (seccomp.c)       the system calls that the source declares, no others
 *
 * The first four end with isolation_enter(), before the shared directory is opened; the others are
 * isolation_seal(), just before serving. A stage that cannot do what it is asked for ends the
 * program with a line that says what to do (die()): nothing is left out silently. docs/security.md
 * says what each stage is worth.
 */
#ifndef DAEMON_ISOLATION_H
#define DAEMON_ISOLATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum sandbox { SANDBOX_NAMESPACE, SANDBOX_CHROOT, SANDBOX_NONE };

/* What a system call that the profile does not have does to the process. */
enum seccomp_mode { SECCOMP_KILL, SECCOMP_LOG, SECCOMP_TRAP, SECCOMP_NONE };

#define ID_RANGES_MAX 32

/* Ids inside a user namespace, and what they are outside. */
struct id_map {
	size_t n;
	struct id_range {
		uint32_t inside, outside, count;
	} ranges[ID_RANGES_MAX];
};

struct isolation {
	enum sandbox sandbox;
	enum seccomp_mode seccomp;
	uint64_t caps_added, caps_dropped; /* by --modcaps, as bits */
	struct id_map uid_map, gid_map;

	/* What the other options need; filled in by whoever knows them all. */
	bool readonly;     /* nothing is changed */
	bool xattr;        /* attributes are served */
	bool file_handles; /* files may be found by handle */
	bool dax;          /* files are mapped in a window */
	bool leases;       /* are taken on files */
	bool versions;     /* there is a version table, */
	int versions_dir;  /* ... whose FILE is in this folder; or -1 */
	bool syslog;
	bool record;
	bool control; /* there is a control socket */
	const char *sockets[2]; /* removed at the end; or NULL */
};

/* Where the shared directory is for whom isolation_enter() has left to serve. */
struct isolated {
	const char *root;
	int proc_fd; /* /proc/self/fd; the caller's */
};

/* Closes what the program was started with, but standard input, output, error and fd (or -1): a
 * directory among them would lead out. */
void isolation_close_inherited(int fd);

/* Splits the process where the sandbox wants it: the pid of the child in the process that stays
 * outside, 0 in the one that goes on to serve. */
pid_t isolation_split(const struct isolation *config);

/* What the process outside does: passes the signals of fds (signalfd(2)) on to the child until it
 * has ended. Its status as of waitpid(2). */
int monitor_run(pid_t child, const int *fds, size_t n);

/* Ends the calling process as its child has ended. */
_Noreturn void monitor_end_like(int status);

/* What the watcher of host processes is kept from: it has no part in what is served. */
void isolation_seal_watcher(const struct isolation *config);

/* The stages up to the capabilities. share_fd is the shared directory, named path. */
void isolation_enter(const struct isolation *config, int share_fd, const char *path,
	struct isolated *where);

/* The stages after it, before the first byte of a guest is read; no threads run yet. */
void isolation_seal(const struct isolation *config, const struct isolated *where);

#endif
