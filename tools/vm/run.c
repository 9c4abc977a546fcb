// SPDX-License-Identifier: BSD-2-Clause
//
// One life of the machine: the daemons and QEMU started, one poll loop between the guest's port and
// our streams, signals passed on, every end of it told apart. vm.c has the theory of operation.

#include "run.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define BOOT_KVM_MS 5000   // far more than a working KVM needs
#define BOOT_TCG_MS 120000 // a crowded machine emulates slowly
#define ANSWER_MS 15000	   // of the guest to a PING
#define PANIC_TEXT_MS 300  // for the rest of the kernel's words
#define QEMU_END_MS 3000
#define DAEMON_END_MS 5000

static const int forwarded[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2};

static void finish(struct run *r, enum run_end end)
{
	if (r->end == RUNNING)
		r->end = end;
}

// The terminal belongs to the guest only while we are in the foreground of it; reading it from the
// background would stop us.
static void attach_stdin(struct run *r)
{
	if (!r->ready || r->stdin_ended)
		return;
	r->in.fd = isatty(0) && !terminal_foreground() ? -1 : 0;
	if (r->in.fd == 0 && vm_wants_tty(0))
		terminal_raw();
}

static void send_winsize(struct run *r)
{
	uint16_t ws[4];

	terminal_size(ws);
	frame_put(&r->link.out, FRAME_WINSIZE, 0, ws, sizeof(ws));
}

static void lost_daemon(struct run *r, unsigned int nr)
{
	if (r->end == RUNNING)
		r->dead = nr;
	finish(r, END_DAEMON);
}

// A new boot, the first or after a reset: whatever was on its way to the old one is void.
static void on_hello(struct run *r, const struct frame *f)
{
	bool again = r->said_hello;

	if (f->len < sizeof(uint64_t))
		return;
	bytes_free(&r->link.out);
	r->said_hello = true;
	r->ready = false;
	r->in = (struct source){.fd = -1, .stream = 0, .credit = FRAME_WINDOW};
	r->deadline = vm_now_ms() + BOOT_TCG_MS;
	terminal_restore();
	progress("%s Linux %.*s%s ...", again ? "starting again" : "starting",
		(int)(f->len - sizeof(uint64_t)), (const char *)f->data + sizeof(uint64_t),
		r->kvm ? "" : " (emulated)");
	frame_put(&r->link.out, FRAME_START, 0, f->data, sizeof(uint64_t));
	vm_conf_put(&r->link.out, r->o, r->k);
}

static void on_ready(struct run *r, const struct frame *f)
{
	progress(NULL);
	r->ready = true;
	r->deadline = 0;
	if (r->stdin_ended)
		frame_put(&r->link.out, FRAME_EOF, 0, NULL, 0);
	attach_stdin(r);
}

static void on_stream(struct run *r, const struct frame *f)
{
	if (f->stream == 0) {
		source_frame(&r->in, f);
		if (f->type == FRAME_EOF)
			r->stdin_ended = true;
	} else if (f->stream <= 2 && sink_frame(&r->out[f->stream - 1], &r->link, f)) {
		finish(r, END_BROKEN);
	}
}

static void on_note(struct run *r, const struct frame *f)
{
	say("%.*s", (int)f->len, (const char *)f->data);
}

static void on_pong(struct run *r, const struct frame *f)
{
	r->deadline = 0;
}

static void on_exit_frame(struct run *r, const struct frame *f)
{
	r->status = (int)frame_u32(f);
	finish(r, END_EXIT);
}

static void on_fail(struct run *r, const struct frame *f)
{
	terminal_restore();
	on_note(r, f);
	finish(r, END_TOLD);
}

static void (*const on_frame[FRAME_TYPES])(struct run *, const struct frame *) = {
	[FRAME_HELLO] = on_hello,
	[FRAME_READY] = on_ready,
	[FRAME_DATA] = on_stream,
	[FRAME_EOF] = on_stream,
	[FRAME_CREDIT] = on_stream,
	[FRAME_NOTE] = on_note,
	[FRAME_PONG] = on_pong,
	[FRAME_EXIT] = on_exit_frame,
	[FRAME_FAIL] = on_fail,
};

static void port_ready(struct run *r, short revents)
{
	struct frame f;
	size_t n;
	int err = revents & (POLLIN | POLLHUP | POLLERR) ? link_fill(&r->link) : 0;

	while (r->end == RUNNING && (n = frame_get(&r->link.in, FRAME_DATA_MAX, &f))) {
		// Data of a boot that we have not seen begin is the tail of one that was reset.
		if (on_frame[f.type] && (r->said_hello || f.type == FRAME_HELLO))
			on_frame[f.type](r, &f);
		bytes_drop(&r->link.in, n);
	}
	if (err)
		finish(r, END_QEMU);
}

// Stopped by the terminal or by hand: the machine stops with us, and both go on together.
static void stop(struct run *r)
{
	terminal_restore();
	kill(r->qemu, SIGSTOP);
	raise(SIGSTOP);
	kill(r->qemu, SIGCONT);
	attach_stdin(r);
	if (r->ready)
		send_winsize(r);
}

static void forward(struct run *r, int sig)
{
	if (!r->ready) {
		r->status = 128 + sig;
		finish(r, END_SIGNAL);
		return;
	}
	frame_put_u32(&r->link.out, FRAME_SIGNAL, 0, sig);
	frame_put_u32(&r->link.out, FRAME_PING, 0, sig);
	if (!r->deadline)
		r->deadline = vm_now_ms() + ANSWER_MS;
}

static bool has_ended(pid_t pid)
{
	siginfo_t si = {0};

	return pid > 0 && !waitid(P_PID, pid, &si, WEXITED | WNOHANG | WNOWAIT) && si.si_pid;
}

// A child has ended by itself, which none should. Daemons do not end because QEMU did: we hold
// their connections too.
static void children(struct run *r)
{
	if (has_ended(r->qemu))
		finish(r, END_QEMU);
	for (unsigned int i = 0; i < r->o->nshares; i++)
		if (has_ended(r->daemons[i]))
			lost_daemon(r, i);
}

static void signal_ready(struct run *r)
{
	struct signalfd_siginfo si;

	while (read(r->sigfd, &si, sizeof(si)) == sizeof(si)) {
		switch (si.ssi_signo) {
		case SIGCHLD:
			children(r);
			break;
		case SIGWINCH:
			if (r->ready)
				send_winsize(r);
			break;
		case SIGTSTP:
			stop(r);
			break;
		case SIGCONT:
			attach_stdin(r);
			break;
		default:
			forward(r, si.ssi_signo);
		}
	}
}

static void timeout(struct run *r)
{
	if (r->panic)
		finish(r, END_PANIC);
	else if (!r->said_hello)
		finish(r, END_SILENT);
	else
		finish(r, END_STUCK);
}

enum { P_SIGNAL, P_PORT, P_CONSOLE, P_ERRORS, P_IN, P_OUT, P_ERR, P_DAEMONS };

// The guest blocks for good when a daemon is gone, so that it is must be seen here.
static void watch_daemons(struct run *r, const struct pollfd *p)
{
	for (unsigned int i = 0; i < r->o->nshares; i++)
		if (p[i].revents)
			lost_daemon(r, i);
}

static void one_round(struct run *r)
{
	struct pollfd p[P_DAEMONS + VM_SHARES_MAX] = {
		[P_SIGNAL] = {.fd = r->sigfd, .events = POLLIN},
		[P_PORT] = {.fd = r->link.fd, .events = POLLIN | (r->link.out.len ? POLLOUT : 0)},
		[P_CONSOLE] = {.fd = r->console.fd, .events = POLLIN},
		[P_ERRORS] = {.fd = r->errors.fd, .events = POLLIN},
		[P_IN] = {.fd = source_wants(&r->in, &r->link) ? r->in.fd : -1, .events = POLLIN},
	};
	int64_t left = r->deadline ? r->deadline - vm_now_ms() : -1;

	// A sink with nothing to write is watched for its reader going away.
	for (int i = 0; i < 2; i++)
		p[P_OUT + i] =
			(struct pollfd){.fd = r->out[i].fd, .events = sink_wants(&r->out[i])};
	for (unsigned int i = 0; i < r->o->nshares; i++)
		p[P_DAEMONS + i] = (struct pollfd){.fd = r->shares[i].conn, .events = POLLRDHUP};
	if (r->deadline && left <= 0) {
		timeout(r);
		return;
	}
	if (poll(p, P_DAEMONS + r->o->nshares, (int)left) < 0)
		return;
	if (p[P_CONSOLE].revents && transcript_ready(&r->console) && !r->panic) {
		r->panic = true;
		r->deadline = vm_now_ms() + PANIC_TEXT_MS;
	}
	if (p[P_ERRORS].revents)
		transcript_ready(&r->errors);
	if (p[P_PORT].revents)
		port_ready(r, p[P_PORT].revents);
	if (p[P_SIGNAL].revents)
		signal_ready(r);
	watch_daemons(r, p + P_DAEMONS);
	if (p[P_IN].revents && r->in.fd >= 0) {
		source_ready(&r->in, &r->link);
		r->stdin_ended = r->in.fd < 0;
	}
	for (int i = 0; i < 2; i++)
		if (p[P_OUT + i].revents)
			sink_ready(&r->out[i], &r->link);
	if (r->link.out.len && link_flush(&r->link))
		finish(r, END_QEMU);
}

static int open_signals(sigset_t *before)
{
	static const int others[] = {SIGCHLD, SIGWINCH, SIGTSTP, SIGCONT};
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(forwarded) / sizeof(forwarded[0]); i++) {
		struct sigaction now;

		// What our parent wants ignored (nohup, a background job of a script) stays so.
		if (sigaction(forwarded[i], NULL, &now) || now.sa_handler != SIG_IGN)
			sigaddset(&set, forwarded[i]);
	}
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		sigaddset(&set, others[i]);
	signal(SIGPIPE, SIG_IGN);
	sigprocmask(SIG_BLOCK, &set, before);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

// What the command wrote goes out even if the reader is slow; the machine is gone by then, so a
// signal ends us as usual.
static void flush_output(struct run *r)
{
	while (r->out[0].held.len || r->out[1].held.len) {
		struct pollfd p[2];

		for (int i = 0; i < 2; i++)
			p[i] = (struct pollfd){
				.fd = r->out[i].held.len ? r->out[i].fd : -1, .events = POLLOUT};
		if (poll(p, 2, -1) < 0)
			continue;
		for (int i = 0; i < 2; i++)
			if (p[i].revents)
				sink_ready(&r->out[i], &r->link);
	}
}

static void end_children(struct run *r)
{
	// What QEMU says about being ended by us is no explanation; about an end of its own it is.
	if (r->end != END_QEMU)
		run_hear_out(r);
	if (r->qemu > 0)
		r->qemu_status = vm_reap(r->qemu, r->end != END_QEMU, QEMU_END_MS);
	if (r->end == END_QEMU)
		run_hear_out(r);
	for (unsigned int i = 0; i < r->o->nshares; i++) {
		if (r->shares[i].conn >= 0)
			close(r->shares[i].conn);
		r->shares[i].conn = -1;
	}
	for (unsigned int i = 0; i < r->o->nshares; i++) {
		int st;

		if (r->daemons[i] <= 0)
			continue;
		st = vm_reap(r->daemons[i], r->qemu <= 0, DAEMON_END_MS);
		if (!st || r->end == END_TOLD)
			continue;
		say("causewayd of the share '%s' ended with %s %d", r->shares[i].tag,
			WIFSIGNALED(st) ? "signal" : "status",
			WIFSIGNALED(st) ? WTERMSIG(st) : WEXITSTATUS(st));
		r->daemon_failed = true;
	}
}

int vm_run(struct vm_options *o, const struct vm_kernel *k, int initrd, bool kvm)
{
	struct run r = {.o = o,
		.k = k,
		.shares = o->shares,
		.kvm = kvm,
		.in = {.fd = -1},
		.status = VM_EXIT_FAILURE};
	sigset_t before;
	int status;

	r.sigfd = open_signals(&before);
	r.out[0] = (struct sink){.fd = 1, .stream = 1, .close_fd = !isatty(1)};
	r.out[1] = (struct sink){.fd = 2, .stream = 2};
	r.link.fd = r.console.fd = r.errors.fd = -1;
	progress("starting the machine ...");
	if (run_start(&r, initrd))
		finish(&r, END_TOLD);
	r.deadline = vm_now_ms() + (kvm && o->accel == ACCEL_AUTO ? BOOT_KVM_MS : BOOT_TCG_MS);
	while (r.end == RUNNING)
		one_round(&r);
	// A message must not begin behind the guest's prompt.
	if (say_to_raw_terminal && r.end != END_EXIT)
		dprintf(2, "\r\n");
	terminal_restore();
	progress(NULL);
	end_children(&r);
	sigprocmask(SIG_SETMASK, &before, NULL);
	flush_output(&r);
	status = run_report(&r);
	run_close(&r);
	return status;
}
