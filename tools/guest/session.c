// SPDX-License-Identifier: BSD-2-Clause
//
// The command: started with pipes or a terminal as its streams, its bytes carried by one poll loop,
// and buried with everything that it left running.
//
// Input: frames of the port (DATA, EOF and CREDIT to the streams; SIGNAL, WINSIZE, PING), SIGCHLD,
// the pipes' other ends. States: running; draining (the command has ended, what its pipes still
// hold goes out); done.

#include "init.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define GRACE_MS 300

struct session {
	struct guest *g;
	pid_t pid;
	bool ended;
	unsigned int status;
	int master, slave;    // the terminal, or -1
	int child[3], own[3]; // ends of the three pipes; own[] of a terminal is a dup of master
	struct sink in;
	struct source out[2];
};

static bool any_tty(const struct guest *g)
{
	return g->tty[0] || g->tty[1] || g->tty[2];
}

static void open_terminal(struct session *s)
{
	struct guest *g = s->g;

	s->master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	if (s->master < 0 || grantpt(s->master) || unlockpt(s->master))
		die(g, "cannot open a terminal: %s", strerror(errno));
	// Ours stays open: without any holder of the slave, reading the master fails, and shells
	// close and reopen theirs.
	s->slave = open(ptsname(s->master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (s->slave < 0)
		die(g, "cannot open a terminal: %s", strerror(errno));
	ioctl(s->master, TIOCSWINSZ, &g->winsize);
}

static void open_streams(struct session *s)
{
	struct guest *g = s->g;

	s->master = s->slave = -1;
	if (any_tty(g))
		open_terminal(s);
	for (int i = 0; i < 3; i++) {
		int p[2];

		s->own[i] = -1;
		if (g->tty[i]) {
			s->child[i] = s->slave;
			// One reader of the terminal: it stands for stdout if that is one.
			if (i != 2 || !g->tty[1])
				s->own[i] = s->master;
			continue;
		}
		if (i == 2 && g->merge) {
			s->child[2] = s->child[1];
			continue;
		}
		if (pipe2(p, O_CLOEXEC))
			die(g, "cannot make a pipe: %s", strerror(errno));
		s->child[i] = i ? p[1] : p[0];
		s->own[i] = i ? p[0] : p[1];
		fcntl(s->own[i], F_SETFL, O_NONBLOCK);
	}
	s->in = (struct sink){.fd = s->own[0], .stream = 0, .close_fd = !g->tty[0]};
	for (int i = 0; i < 2; i++)
		s->out[i] = (struct source){
			.fd = s->own[i + 1], .stream = i + 1, .credit = FRAME_WINDOW};
}

static const char *guest_env(const struct guest *g, const char *name)
{
	size_t n = strlen(name);

	for (size_t i = 0; i < g->envc; i++)
		if (!strncmp(g->env[i], name, n) && g->env[i][n] == '=')
			return g->env[i] + n + 1;
	return NULL;
}

static _Noreturn void exec_command(struct session *s)
{
	struct guest *g = s->g;
	char dir[512], name[64];
	const char *shell;
	sigset_t none;
	int err;

	setsid();
	if (s->slave >= 0)
		ioctl(s->slave, TIOCSCTTY, 0);
	for (int i = 0; i < 3; i++)
		if (dup2(s->child[i], i) < 0)
			_exit(126);
	environ = g->env;
	start_directory(g, dir, sizeof(dir));
	if (chdir(dir))
		dprintf(2, "causeway: %s: %s\n", dir, strerror(errno));
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (g->argc) {
		execvp(g->argv[0], g->argv);
		err = errno;
		dprintf(2, "causeway: %s: %s\n", g->argv[0],
			err == ENOENT ? "command not found" : strerror(err));
		_exit(err == ENOENT ? 127 : 126);
	}
	shell = guest_env(g, "SHELL");
	if (!shell || access(shell, X_OK))
		shell = "/bin/sh";
	snprintf(name, sizeof(name), "-%s", strrchr(shell, '/') ? strrchr(shell, '/') + 1 : shell);
	execl(shell, name, NULL);
	dprintf(2, "causeway: %s: %s\n", shell, strerror(errno));
	_exit(126);
}

static void start(struct session *s)
{
	open_streams(s);
	frame_put(&s->g->link.out, FRAME_READY, 0, NULL, 0);
	s->pid = fork();
	if (s->pid < 0)
		die(s->g, "cannot fork: %s", strerror(errno));
	if (!s->pid)
		exec_command(s);
	for (int i = 0; i < 3; i++)
		if (s->child[i] != s->slave && (i != 2 || !s->g->merge))
			close(s->child[i]);
}

// The host's terminal sends what is typed as bytes; a signal is what somebody sent to `causeway`
// itself.
static void deliver(struct session *s, unsigned int sig)
{
	pid_t fg = s->master >= 0 && sig == SIGINT ? tcgetpgrp(s->master) : -1;

	if (!s->ended && sig < NSIG)
		kill(fg > 0 ? -fg : -s->pid, sig);
}

static void stream_frame(struct session *s, const struct frame *f)
{
	struct source *o;

	if (f->stream == 0) {
		// Only a terminal that hung up ends.
		if (f->type == FRAME_EOF && s->g->tty[0])
			deliver(s, SIGHUP);
		else if (f->type != FRAME_CREDIT && sink_frame(&s->in, &s->g->link, f))
			die(s->g, "the host sends more than asked for");
		return;
	}
	if (f->stream > 2 || f->type == FRAME_DATA)
		return;
	o = &s->out[f->stream - 1];
	source_frame(o, f);
	// Nobody reads any more: let the command have its SIGPIPE.
	if (f->type == FRAME_EOF && s->own[f->stream] != s->master && s->own[f->stream] >= 0) {
		close(s->own[f->stream]);
		s->own[f->stream] = -1;
	}
}

static void one_frame(struct session *s, const struct frame *f)
{
	struct winsize ws;

	switch (f->type) {
	case FRAME_DATA:
	case FRAME_EOF:
	case FRAME_CREDIT:
		stream_frame(s, f);
		break;
	case FRAME_SIGNAL:
		deliver(s, frame_u32(f));
		break;
	case FRAME_WINSIZE:
		if (f->len == sizeof(ws) && s->master >= 0) {
			memcpy(&ws, f->data, sizeof(ws));
			ioctl(s->master, TIOCSWINSZ, &ws);
		}
		break;
	case FRAME_PING:
		frame_put_u32(&s->g->link.out, FRAME_PONG, 0, frame_u32(f));
		break;
	}
}

static void reap(struct session *s)
{
	int st;
	pid_t pid;

	while ((pid = waitpid(-1, &st, WNOHANG)) > 0) {
		if (pid != s->pid)
			continue;
		s->ended = true;
		s->status = WIFSIGNALED(st) ? 128u + WTERMSIG(st) : (unsigned int)WEXITSTATUS(st);
	}
}

enum { P_SIGNAL, P_LINK, P_IN, P_OUT, P_ERR, P_COUNT };

// What the ended command wrote is in the pipes already, so a pipe without bytes now is finished.
static bool drained(struct session *s)
{
	for (int i = 0; i < 2; i++) {
		struct pollfd p = {.fd = s->out[i].fd, .events = POLLIN};

		if (p.fd >= 0 && poll(&p, 1, 0) > 0 && (p.revents & POLLIN))
			return false;
	}
	return true;
}

static void one_round(struct session *s, int sigfd)
{
	struct link *l = &s->g->link;
	struct pollfd p[P_COUNT] = {
		[P_SIGNAL] = {.fd = sigfd, .events = POLLIN},
		[P_LINK] = {.fd = l->fd, .events = POLLIN | (l->out.len ? POLLOUT : 0)},
		[P_IN] = {.fd = s->in.fd, .events = sink_wants(&s->in)},
	};
	struct signalfd_siginfo si;
	struct frame f;
	size_t n;

	for (int i = 0; i < 2; i++)
		p[P_OUT + i] = (struct pollfd){
			.fd = source_wants(&s->out[i], l) ? s->out[i].fd : -1, .events = POLLIN};
	if (poll(p, P_COUNT, -1) < 0)
		return;
	if (p[P_SIGNAL].revents && read(sigfd, &si, sizeof(si)) > 0)
		reap(s);
	if ((p[P_LINK].revents & POLLIN) && link_fill(l))
		usleep(1000);
	while ((n = frame_get(&l->in, FRAME_CONF_MAX, &f))) {
		one_frame(s, &f);
		bytes_drop(&l->in, n);
	}
	if (p[P_IN].revents)
		sink_ready(&s->in, l);
	for (int i = 0; i < 2; i++)
		if (p[P_OUT + i].revents)
			source_ready(&s->out[i], l);
	link_flush(l);
}

// Everything else ends with the command; politely first, so that an editor or a data base can save.
static void bury(void)
{
	struct timespec wait = {.tv_nsec = 10 * 1000 * 1000};
	sigset_t chld;

	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	kill(-1, SIGTERM);
	kill(-1, SIGHUP);
	kill(-1, SIGCONT);
	for (int ms = 0; ms < GRACE_MS; ms += 10) {
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		if (waitpid(-1, NULL, WNOHANG) < 0)
			return;
		sigtimedwait(&chld, NULL, &wait);
	}
	kill(-1, SIGKILL);
	for (int ms = 0; ms < 2000; ms += 10) {
		if (waitpid(-1, NULL, WNOHANG) < 0)
			return;
		sigtimedwait(&chld, NULL, &wait);
	}
}

unsigned int run_command(struct guest *g)
{
	struct session s = {.g = g};
	sigset_t chld;
	int sigfd;

	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	sigfd = signalfd(-1, &chld, SFD_CLOEXEC | SFD_NONBLOCK);
	if (sigfd < 0)
		die(g, "signalfd: %s", strerror(errno));
	start(&s);
	while (!s.ended || !drained(&s) || g->link.out.len)
		one_round(&s, sigfd);
	bury();
	return s.status;
}
