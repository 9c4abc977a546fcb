// SPDX-License-Identifier: BSD-2-Clause
/*
 * A process as a guest: its connection, its descriptors, and what becomes of them with fork() and
 * with another user.
 */
#include "over.h"

#include <limits.h>
#include <string.h>

#include "fs/fscases.h"
#include "server.h"

enum { DESCRIPTORS = 1024 };

static struct {
	struct causeway *c;
	char *export;
	uid_t uid;
	gid_t gid;
	struct over cwd;
	struct over files[DESCRIPTORS];
} process;

static void die(const char *what, const char *why)
{
	fprintf(stderr, "%s: %s\n", what, why);
	exit(1);
}

static struct causeway_file *open_again(const struct over *o)
{
	struct causeway_file *f = NULL;

	causeway_open(process.c, NULL, o->path, o->flags & ~(O_CREAT | O_EXCL | O_TRUNC), 0, &f);
	return f;
}

struct causeway *over_connection(void)
{
	if (process.c)
		return process.c;
	process.c = server_connect(process.export, process.uid, process.gid);
	process.cwd.f = open_again(&process.cwd);
	for (int i = 0; i < DESCRIPTORS; i++) {
		if (process.files[i].used)
			process.files[i].f = open_again(&process.files[i]);
	}
	return process.c;
}

/* Ends what the back-end has of the process; the next call opens it again. */
static int end_connection(void)
{
	int r;

	if (!process.c)
		return 0;
	causeway_close(process.cwd.f);
	process.cwd.f = NULL;
	for (int i = 0; i < DESCRIPTORS; i++) {
		causeway_close(process.files[i].f);
		process.files[i].f = NULL;
	}
	r = server_disconnect(process.c);
	process.c = NULL;
	return r;
}

/* In a child: the connection is the parent's, whose memory and queues these are too. So nothing of
 * it is used, nor freed, since freeing speaks to the back-end. */
static void leave_to_parent(void)
{
	process.c = NULL;
	process.cwd.f = NULL;
	for (int i = 0; i < DESCRIPTORS; i++)
		process.files[i].f = NULL;
	server_leave_to_parent();
}

pid_t over_fork(void)
{
	pid_t pid = fork();

	if (pid == 0)
		leave_to_parent();
	return pid;
}

void over_exit(int status)
{
	_exit(end_connection() ? 1 : status);
}

int over_setgroups(size_t n, const gid_t *groups)
{
	/* A request tells of no groups but its own. */
	return 0;
}

int over_setresgid(gid_t r, gid_t e, gid_t s)
{
	process.gid = e;
	return end_connection();
}

int over_setresuid(uid_t r, uid_t e, uid_t s)
{
	process.uid = e;
	return end_connection();
}

struct over *over_slot(int fd)
{
	if (fd >= POSIX_FD && fd < POSIX_FD + DESCRIPTORS && process.files[fd - POSIX_FD].used)
		return &process.files[fd - POSIX_FD];
	errno = EBADF;
	return NULL;
}

struct causeway_file *over_file(int fd)
{
	struct over *o = over_slot(fd);

	if (!o)
		return NULL;
	over_connection();
	if (!o->f)
		errno = EBADF;
	return o->f;
}

int over_start(int at, struct causeway_file **start)
{
	over_connection();
	*start = at == AT_FDCWD ? process.cwd.f : over_file(at);
	return *start ? 0 : -1;
}

static void fill_in(struct over *o, struct causeway_file *f, int at, const char *path, int flags)
{
	const struct over *base = at == AT_FDCWD ? &process.cwd : over_slot(at);
	char *whole;

	if (asprintf(&whole, "%s/%s", *path == '/' ? "" : base->path, path) < 0)
		die("path", "no memory");
	free(o->path);
	*o = (struct over){.used = true, .path = whole, .flags = flags, .f = f};
}

int over_install(struct causeway_file *f, int at, const char *path, int flags)
{
	for (int i = 0; i < DESCRIPTORS; i++) {
		if (!process.files[i].used) {
			fill_in(&process.files[i], f, at, path, flags);
			return POSIX_FD + i;
		}
	}
	causeway_close(f);
	errno = EMFILE;
	return -1;
}

void over_enter(struct causeway_file *f, int at, const char *path)
{
	causeway_close(process.cwd.f);
	fill_in(&process.cwd, f, at, path, O_PATH | O_DIRECTORY);
}

struct causeway_file *over_proc(const char *path)
{
	int fd;

	return sscanf(path, "/proc/self/fd/%d", &fd) == 1 ? over_file(fd) : NULL;
}

int over_close(int fd)
{
	struct over *o;
	int r;

	if (fd >= 0 && fd < POSIX_FD)
		return close(fd);
	if (!over_file(fd))
		return -1;
	o = over_slot(fd);
	over_drop_locks(o->f);
	r = causeway_close(o->f);
	free(o->path);
	*o = (struct over){.used = false};
	return (int)over_result(r);
}

mode_t over_masked(mode_t mode)
{
	mode_t mask = umask(0);

	umask(mask);
	return mode & ~mask;
}

int way_enter(const char *dir, const char *name)
{
	struct causeway_file *f;
	int r;

	process.export = realpath(dir, NULL);
	process.uid = geteuid();
	process.gid = getegid();
	process.cwd.path = strdup("");
	over_connection();
	r = causeway_open(process.c, NULL, name, O_PATH | O_DIRECTORY, 0, &f);
	if (r < 0)
		die(name, causeway_error(process.c));
	over_enter(f, AT_FDCWD, name);
	return 0;
}

int way_leave(void)
{
	return end_connection();
}
