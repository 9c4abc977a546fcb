// SPDX-License-Identifier: BSD-2-Clause
//
// causeway-init, the guest's pid 1. One struct for the one conversation it has; everything in it
// lives until power-off.

#ifndef CAUSEWAY_GUEST_INIT_H
#define CAUSEWAY_GUEST_INIT_H

#include "../vm/stream.h"

#include <sys/ioctl.h>

#define SHARES_MAX 64

struct share {
	char *tag;
	char *bind; // where else it is visible, or NULL
	char *type, *options, *device; // as CONF_TYPE and so on, or NULL
	bool readonly;
};

struct guest {
	struct link link;
	char *root; // tag of the root's lower layer; "" or NULL: stay in the initramfs
	char *kmod;
	struct share shares[SHARES_MAX];
	size_t nshares;
	char **argv, **env; // NULL-terminated
	size_t argc, envc;
	bool tty[3];
	bool merge;
	struct winsize winsize;
};

// Ends the machine with a message: through the port when the conversation has begun, else on the
// console.
_Noreturn void die(struct guest *g, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

// A line for the user while the command goes on.
void note(struct guest *g, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

// Writes out all frames, waiting for the host to take them.
void link_drain(struct guest *g);

// mount.c: early mounts and modules; the root and the shares as configured; the end of the shares.
void mount_early(struct guest *g);
void mount_root(struct guest *g);
void mount_shares(struct guest *g);
void unmount_shares(struct guest *g);

// module.c: loads /modules/*.ko in the order of their names.
void load_modules(struct guest *g);

// device.c: gives the share's device to the driver that is called like the share's type.
void bind_device(struct guest *g, const struct share *s);

// session.c: runs the command and carries its streams; the status a shell would report. Leaves no
// process behind.
unsigned int run_command(struct guest *g);

// Where the command starts: the first share, or the root directory.
void start_directory(const struct guest *g, char *buf, size_t size);

#endif
