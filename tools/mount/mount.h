// SPDX-License-Identifier: BSD-2-Clause
//
// `causeway mount`: what its files share. mount.c has the theory of operation.

#ifndef CAUSEWAY_TOOLS_MOUNT_H
#define CAUSEWAY_TOOLS_MOUNT_H

#include "../tool.h"

#include <stdint.h>
#include <sys/types.h>

// Exit status, also in mount(8)'s way where we are its helper.
#define MOUNT_EXIT_FAILURE        1
#define MOUNT_EXIT_HELPER_USAGE   1
#define MOUNT_EXIT_HELPER_FAILURE 32

struct mount_options {
	const char *source; // as it was given
	char *path;         // the same without symlinks
	bool is_dir;        // shared by a causewayd of ours
	char *point;        // where to mount: without symlinks
	bool foreground, fake, sloppy;
	bool helper; // called by mount(8)

	unsigned long flags; // of mount(2)
	struct words vfs;    // the same, as words for fusermount3
	struct words kernel; // options that the kernel's FUSE takes, as they are
	const char *fsname, *subtype;
	unsigned int queues; // 0: choose
	const char *daemon;
	struct words daemon_options;
	struct words lists; // what `const char *` above points into
};

// options.c. 0 to go on; else *status is the exit status (--help: 0).
int mount_options_parse(struct mount_options *o, int argc, char **argv, int *status);
void mount_options_free(struct mount_options *o);

// point.c. A place where something is mounted, and how one knows that it is still ours.
struct point {
	const char *path;
	uint64_t id, device; // of the mount
	bool by_helper;      // fusermount3 has the rights that we lack
};

// Mounts: a descriptor of /dev/fuse, or -1 after saying what is wrong.
int point_mount(struct point *p, const struct mount_options *o);
// Whether our mount is still there.
bool point_is_there(const struct point *p);
// Detaches it, if it is: gone for who comes, there until the last one has left.
void point_detach(const struct point *p);

// guard.c. A process that detaches the mount if we end without having done so, as by SIGKILL.
struct guard {
	pid_t pid;
	int life; // what we hold while we live
};

int guard_start(struct guard *g, const struct point *p);
void guard_end(struct guard *g);

// background.c. Being started in the background: the process that was started waits until the
// mount is ready, and shows what is said until then.
struct background {
	int ready; // -1: in the foreground, or done
	int log;   // what is said here and by the daemon; -1 in the foreground
};

// 0 to go on; 1 in the process that was started, when all is said, with its exit status; -1 after
// saying what is wrong.
int background_enter(struct background *b, int *status);
// -1 when nobody waits for it any more.
int background_ready(struct background *b);
// Hands what was said since to the system's log.
void background_log(const struct background *b);

#endif
