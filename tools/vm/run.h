// SPDX-License-Identifier: BSD-2-Clause
//
// The state of one life of the machine, between run.c (the loop), start.c (its beginning) and
// report.c (its end).

#ifndef CAUSEWAY_TOOLS_RUN_H
#define CAUSEWAY_TOOLS_RUN_H

#include "vm.h"

// Why the loop ended.
enum run_end {
	RUNNING,
	END_EXIT,   // the command ended; status is its
	END_SIGNAL, // a signal before the command ran; status says so
	END_TOLD,   // failed, and the user knows
	END_QEMU,   // QEMU ended
	END_DAEMON, // a daemon ended
	END_PANIC,  // the guest's kernel panicked
	END_SILENT, // the guest never said a word
	END_STUCK,  // the guest stopped answering
	END_BROKEN, // the guest breaks the protocol
	RUN_ENDS,
};

// What a child says, kept in case that it is the explanation: the last TRANSCRIPT_MAX bytes.
#define TRANSCRIPT_MAX 16384u

struct transcript {
	int fd;
	bool echo; // to our standard error as it comes
	struct bytes text;
};

struct run {
	const struct vm_options *o;
	const struct vm_kernel *k;
	struct vm_share *shares; // those of o, with this run's connections
	bool kvm;
	pid_t qemu, daemons[VM_SHARES_MAX]; // 0: none
	int qemu_status;
	int sigfd;
	struct link link;
	struct transcript console, errors; // the kernel's, QEMU's
	struct source in;
	struct sink out[2];
	bool said_hello, ready, panic, stdin_ended, daemon_failed;
	int64_t deadline;  // of what we wait for; 0: nothing
	unsigned int dead; // END_DAEMON: whose
	enum run_end end;
	int status;
};

// start.c. Starts the daemons and QEMU. 0 or -1 after saying what is wrong.
int run_start(struct run *r, int initrd);

// report.c. Reads what has come; true when a kernel panic is in it.
bool transcript_ready(struct transcript *t);
// Reads the rest of what QEMU and the guest's kernel have said so far.
void run_hear_out(struct run *r);
// Tells the user what went wrong, if anything; the exit status, or RUN_RETRY.
int run_report(struct run *r);
void run_close(struct run *r);

#endif
