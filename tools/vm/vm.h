// SPDX-License-Identifier: BSD-2-Clause
//
// `causeway vm`: what its files share. vm.c has the theory of operation.

#ifndef CAUSEWAY_TOOLS_VM_H
#define CAUSEWAY_TOOLS_VM_H

#include "../tool.h"
#include "stream.h"

#include <stdint.h>
#include <sys/types.h>

#define VM_EXIT_FAILURE 125 // as `timeout` and `docker run`: the tool failed, not the command
#define VM_SHARES_MAX 24    // PCI slots of the root bus bound it
#define VM_ROOT_TAG "causeway-root"
#define VM_TAG_MAX 36
#define VM_SHARE_SLOT 2 // of the root bus, for the first share; the others follow
#define VM_DAX_DEVICE "vhost-user-test-device-pci"
#define VM_DAX_MIN (4ull << 20) // two of the pieces that Linux cuts a window into

struct vm_share {
	char *dir;    // directory to share; NULL for a foreign back-end
	char *socket; // where a foreign back-end listens; NULL for a causewayd of ours
	char *tag;
	char *type;    // of file system that the guest mounts it as; NULL: virtiofs
	char *options; // for that type; NULL: none
	bool readonly;
	bool is_root; // serves the guest's root
	int conn; // the VMM's end of the connection to its daemon; kept to see the daemon hang up
};

enum vm_accel { ACCEL_AUTO, ACCEL_KVM, ACCEL_TCG };

struct vm_options {
	struct vm_share shares[VM_SHARES_MAX];
	unsigned int nshares;
	const char *cache;
	bool writeback;
	uint64_t dax;	 // bytes of each share's DAX window; 0: none
	const char *version_table; // file; NULL: none
	long cpus;	 // 0: choose
	uint64_t memory; // bytes; 0: choose
	const char *kernel;
	bool root_minimal;
	int accel;
	long queues;
	const char *qemu;
	struct words modules; // files
	struct words daemon_options, qemu_options, append, env;
	bool verbose;
	char **command; // NULL-terminated; empty: a shell
};

// options.c. 0 to go on; else *status is the exit status (--help: 0).
int vm_options_parse(struct vm_options *o, int argc, char **argv, int *status);

// shares.c: shares as the option of that name has them. 0 or -EINVAL after saying what is wrong.
int vm_share_add_dir(struct vm_options *o, const char *name, char *value);
int vm_share_add_socket(struct vm_options *o, const char *name, char *value);

struct vm_kernel {
	char *image;   // what the VMM loads
	char *version; // as uname -r says it
	char *modules; // its module tree, or NULL
};

// kernel.c. 0 or -1 after saying what is wrong.
int vm_kernel_choose(struct vm_kernel *k, const char *file);
// A name below the directory that tools/setup keeps its trees in. Owned by the caller.
char *vm_cache_file(const char *name);
// True when the kernel's version is at least major.minor.
bool vm_kernel_at_least(const struct vm_kernel *k, int major, int minor);

// modules.c. Files of the modules that `names` (NULL-terminated) need, in the order to load them,
// without those that are built in. 0 or -1 after saying what is wrong.
int vm_modules_find(const struct vm_kernel *k, const char *const *names, struct words *files);

// modfile.c. The same for a module in a file: what it needs, then itself.
int vm_module_file(const struct vm_kernel *k, const char *file, struct words *files);

// initramfs.c. A memfd with the archive, or -1 after saying what is wrong.
int vm_initramfs(const struct vm_kernel *k, const struct vm_options *o);

// What of a share goes through a window. Not what is read-only: no QEMU can map without letting
// the guest write.
static inline bool vm_share_has_dax(const struct vm_options *o, const struct vm_share *s)
{
	return o->dax && !s->is_root && !s->readonly;
}

// find.c. Chooses the VMM: one that can do what the options ask for. 0 or -1 after saying what is
// wrong.
int vm_qemu_find(struct vm_options *o);
// True when the VMM's version is at least major.minor.
bool vm_qemu_at_least(const char *qemu, int major, int minor);

// qemu.c. The VMM's command line; descriptors in it are inherited by it (keep: -1-terminated, room
// for VM_SHARES_MAX + 8).
struct vm_plumbing {
	int initrd, console, port; // the VMM's ends
	int table;		   // -1: none
	uint64_t table_size;
	bool kvm;
};

void vm_qemu_command(const struct vm_options *o, const struct vm_kernel *k,
	const struct vm_plumbing *p, struct words *argv, int *keep);

// table.c. Finds the file of --version-table=auto. 0 or -1 after saying what is wrong.
int vm_table_choose(struct vm_options *o);

struct vtable;

struct vm_table {
	struct vtable *attached; // NULL: none is wanted
	int fd;			 // read-only; not owned
	uint64_t size;
};

// Attaches to the version table in a file (NULL: to none), which is made where there is none. 0 or
// -1 after saying what is wrong. Children do not inherit anything of it but what they are given.
int vm_table_open(struct vm_table *t, const char *file);
void vm_table_close(struct vm_table *t);

// child.c. A child that dies with us and keeps only the descriptors named (and 0-2, with `err` as 1
// and 2 unless it is -1). Its pid, or -errno.
pid_t vm_spawn(char **argv, const int *keep, int err);
// One that reads `in` and writes `out`.
pid_t vm_spawn_between(char **argv, int in, int out);
// Ends a child: after SIGTERM (`soft`) or just waiting it has `ms` milliseconds, then SIGKILL. Its
// wait status.
int vm_reap(pid_t pid, bool soft, int ms);
// The output of a program, at most max bytes, as a string; NULL on failure. Owned by the caller.
char *vm_output_of(char **argv, size_t max, size_t *len);
// True when a program of that name (or path) can be run.
bool vm_in_path(const char *name);
int64_t vm_now_ms(void);

// terminal.c. The host's terminal; restored at every exit that is not a SIGKILL.
bool terminal_foreground(void);
void terminal_raw(void);
void terminal_restore(void);
void terminal_size(uint16_t ws[4]);

// conf.c. What the guest is to do, as frames.
int vm_conf_put(struct bytes *out, const struct vm_options *o, const struct vm_kernel *k);
// Which of our descriptors 0-2 the guest gives the command a terminal for.
bool vm_wants_tty(int fd);

// run.c. One life of the machine, from QEMU's start to its end.
#define RUN_RETRY (-1) // KVM did not get the guest going
int vm_run(struct vm_options *o, const struct vm_kernel *k, int initrd, bool kvm);

#endif
