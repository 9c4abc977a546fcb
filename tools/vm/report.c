// SPDX-License-Identifier: BSD-2-Clause
//
// The end of a machine's life: what to tell the user, and the exit status.

#include "run.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define PANIC "Kernel panic - not syncing"
#define TAIL_LINES 40

bool transcript_ready(struct transcript *t)
{
	char buf[4096];
	ssize_t n = read(t->fd, buf, sizeof(buf));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n <= 0) {
		close(t->fd);
		t->fd = -1;
		return false;
	}
	if (t->echo && write(2, buf, n) < 0) {
		// Still kept below.
	}
	// The NUL behind the text, which is not counted, lets it be searched as a string.
	if (bytes_add(&t->text, buf, n) || bytes_add(&t->text, "", 1))
		return false;
	t->text.len--;
	if (t->text.len > 2 * TRANSCRIPT_MAX)
		bytes_drop(&t->text, t->text.len - TRANSCRIPT_MAX);
	return memmem(bytes_head(&t->text), t->text.len, PANIC, strlen(PANIC));
}

void run_hear_out(struct run *r)
{
	struct transcript *both[] = {&r->console, &r->errors};

	for (int t = 0; t < 2; t++)
		for (int i = 0; both[t]->fd >= 0 && i < 16; i++)
			transcript_ready(both[t]);
}

static void show_tail(struct transcript *t, const char *title)
{
	const char *start = (char *)bytes_head(&t->text), *end = start + t->text.len, *p = end;
	int lines = 0;

	if (t->echo || !t->text.len)
		return;
	while (p > start && (p[-1] != '\n' || p == end || ++lines < TAIL_LINES))
		p--;
	say("%s", title);
	fprintf(stderr, "%.*s%s", (int)(end - p), p, end[-1] == '\n' ? "" : "\n");
}

static int qemu_ended(struct run *r)
{
	int st = r->qemu_status;

	// Without a command the user is who powered off.
	if (WIFEXITED(st) && !WEXITSTATUS(st) && r->ready && !*r->o->command)
		return 0;
	show_tail(&r->errors, "QEMU said:");
	if (!r->ready)
		show_tail(&r->console, "the guest's console said:");
	if (WIFSIGNALED(st))
		say("QEMU was killed by signal %d (%s)", WTERMSIG(st), strsignal(WTERMSIG(st)));
	else if (WEXITSTATUS(st))
		say("QEMU ended with status %d", WEXITSTATUS(st));
	else
		say("the guest was powered off before the command ended");
	return VM_EXIT_FAILURE;
}

static int with_console(struct run *r, const char *text)
{
	show_tail(&r->errors, "QEMU said:");
	show_tail(&r->console, "the guest's console said:");
	say("%s", text);
	return VM_EXIT_FAILURE;
}

static int own_status(struct run *r)
{
	return r->status;
}

static int told(struct run *r)
{
	return VM_EXIT_FAILURE;
}

static int daemon_ended(struct run *r)
{
	say("the back-end of the share '%s' hung up; the machine was stopped",
		r->o->shares[r->dead].tag);
	return VM_EXIT_FAILURE;
}

static int panicked(struct run *r)
{
	// "Kernel panic - not syncing: REASON"
	const char *text = (char *)bytes_head(&r->console.text);
	const char *at = memmem(text, r->console.text.len, PANIC, strlen(PANIC));
	AUTO_FREE char *why = NULL;

	if (at) {
		at += strlen(PANIC);
		at += strspn(at, ": ");
		why = strndup(at, strcspn(at, "\r\n"));
	}
	show_tail(&r->console, "the guest's console said:");
	say("the guest's kernel panicked%s%s", why ? ": " : "", why ? why : "");
	return VM_EXIT_FAILURE;
}

static int silent(struct run *r)
{
	return with_console(r, "the guest did not start");
}

static int stuck(struct run *r)
{
	return with_console(r, r->ready ? "the guest does not answer; the machine was stopped"
					: "the guest does not get its command started");
}

static int broken(struct run *r)
{
	return with_console(r, "the guest sent something that makes no sense");
}

static int (*const reports[RUN_ENDS])(struct run *) = {
	[END_EXIT] = own_status,
	[END_SIGNAL] = own_status,
	[END_TOLD] = told,
	[END_QEMU] = qemu_ended,
	[END_DAEMON] = daemon_ended,
	[END_PANIC] = panicked,
	[END_SILENT] = silent,
	[END_STUCK] = stuck,
	[END_BROKEN] = broken,
};

int run_report(struct run *r)
{
	int status;

	if (r->kvm && r->o->accel == ACCEL_AUTO && !r->said_hello && !r->daemon_failed &&
		(r->end == END_QEMU || r->end == END_SILENT || r->end == END_PANIC))
		return RUN_RETRY;
	status = reports[r->end](r);
	// A daemon that fails at the end may have lost something: the command's success is not the
	// whole truth then.
	return r->daemon_failed && !status ? VM_EXIT_FAILURE : status;
}

void run_close(struct run *r)
{
	const int fds[] = {r->sigfd, r->link.fd, r->console.fd, r->errors.fd};

	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	bytes_free(&r->link.in);
	bytes_free(&r->link.out);
	bytes_free(&r->console.text);
	bytes_free(&r->errors.text);
	for (int i = 0; i < 2; i++)
		bytes_free(&r->out[i].held);
}
