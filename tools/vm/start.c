// SPDX-License-Identifier: BSD-2-Clause
//
// The beginning of a machine's life: one causewayd per share, then QEMU. Daemons and QEMU are
// connected by socket pairs that both inherit, so there is no socket file to wait for or to leave
// behind.

#include "run.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int make_pair(int *ours, int *theirs)
{
	int p[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, p)) {
		say("socketpair: %s", strerror(errno));
		return -1;
	}
	*ours = p[0];
	*theirs = p[1];
	return 0;
}

// The host's root changes little and is never written through: cached for good. Options meant for
// shares stay theirs.
static void daemon_words(
	struct words *w, const struct vm_options *o, const struct vm_share *s, char *fd)
{
	const char *fixed[] = {"--shared-dir", s->dir, "--fd", fd, "--tag", s->tag, "--cache",
		s->is_root ? "always" : o->cache, "--log-level", o->verbose ? "info" : "warn"};

	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
		words_add(w, fixed[i]);
	if (o->writeback && !s->is_root)
		words_add(w, "--writeback");
	if (s->readonly)
		words_add(w, "--readonly");
	if (o->version_table && !s->is_root)
		words_add(w, "--version-table"), words_add(w, o->version_table);
	if (vm_share_has_dax(o, s)) {
		words_add(w, "--dax-window");
		words_addf(w, "%lluM", (unsigned long long)o->dax >> 20);
	}
	// The guest puts an overlay over it, which does not enter what announces itself.
	if (s->is_root)
		words_add(w, "--no-announce-submounts");
	// In an ordinary user's user namespace files of others belong to nobody: a guest's programs
	// would not trust their own configuration.
	if (s->is_root && geteuid() != 0)
		words_add(w, "--sandbox"), words_add(w, "none");
	for (unsigned int i = 0; !s->is_root && i < o->daemon_options.n; i++)
		words_add(w, o->daemon_options.v[i]);
}

static int start_daemon(struct run *r, struct vm_share *s, pid_t *pid)
{
	AUTO_WORDS struct words w = {0};
	AUTO_FREE char *program = find_causewayd();
	AUTO_FREE char *number = NULL;
	AUTO_CLOSE int fd = -1;
	int keep[2];

	if (!vm_in_path(program)) {
		say("no %s here: build it, or name one in the variable CAUSEWAYD", program);
		return -1;
	}
	if (make_pair(&s->conn, &fd))
		return -1;
	number = format("%d", fd);
	words_add(&w, program);
	daemon_words(&w, r->o, s, number);
	keep[0] = fd;
	keep[1] = -1;
	*pid = vm_spawn(w.v, keep, -1);
	if (*pid < 0) {
		say("cannot start causewayd: %s", strerror(-*pid));
		*pid = 0;
		return -1;
	}
	return 0;
}

static void show_command(char **argv)
{
	for (; *argv; argv++)
		fprintf(stderr, strpbrk(*argv, " \t\"'$\\*?") ? "'%s' " : "%s ", *argv);
	fputc('\n', stderr);
}

static int start_qemu(struct run *r, int initrd, const struct vm_table *t)
{
	AUTO_WORDS struct words w = {0};
	AUTO_CLOSE int port = -1;
	AUTO_CLOSE int console = -1;
	AUTO_CLOSE int errors = -1;
	struct vm_plumbing p = {
		.initrd = initrd, .table = t->fd, .table_size = t->size, .kvm = r->kvm};
	int keep[VM_SHARES_MAX + 8], pair[2];

	if (make_pair(&r->link.fd, &port) || make_pair(&r->console.fd, &console))
		return -1;
	if (pipe2(pair, O_CLOEXEC)) {
		say("pipe: %s", strerror(errno));
		return -1;
	}
	r->errors.fd = pair[0];
	errors = pair[1];
	p.port = port;
	p.console = console;
	fcntl(r->link.fd, F_SETFL, O_NONBLOCK);
	fcntl(r->console.fd, F_SETFL, O_NONBLOCK);
	fcntl(r->errors.fd, F_SETFL, O_NONBLOCK);
	r->console.echo = r->errors.echo = r->o->verbose;
	vm_qemu_command(r->o, r->k, &p, &w, keep);
	if (r->o->verbose)
		show_command(w.v);
	r->qemu = vm_spawn(w.v, keep, errors);
	if (r->qemu < 0) {
		say("cannot start %s: %s", r->o->qemu, strerror(-r->qemu));
		r->qemu = 0;
		return -1;
	}
	return 0;
}

// A back-end that listens already. Connecting here and not in QEMU lets us see it hang up.
static int connect_share(struct vm_share *s)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	size_t n = strlen(s->socket);

	if (n >= sizeof(sun.sun_path)) {
		say("--socket: %s: %s", s->socket, strerror(ENAMETOOLONG));
		return -1;
	}
	memcpy(sun.sun_path, s->socket, n);
	s->conn = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (s->conn < 0 || connect(s->conn, (struct sockaddr *)&sun, sizeof(sun))) {
		say("--socket: %s: %s", s->socket, strerror(errno));
		return -1;
	}
	return 0;
}

static int start_all(struct run *r, int initrd, const struct vm_table *t)
{
	for (unsigned int i = 0; i < r->o->nshares; i++) {
		struct vm_share *s = &r->shares[i];

		if (s->socket ? connect_share(s) : start_daemon(r, s, &r->daemons[i]))
			return -1;
	}
	return start_qemu(r, initrd, t);
}

int run_start(struct run *r, int initrd)
{
	struct vm_table t;
	int ret;

	if (vm_table_open(&t, r->o->version_table))
		return -1;
	ret = start_all(r, initrd, &t);
	vm_table_close(&t);
	return ret;
}
