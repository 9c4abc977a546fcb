// SPDX-License-Identifier: BSD-2-Clause
/*
 * fcntl() and flock(). A lock's owner is the process, or for F_OFD_* the open file.
 */
#include "over.h"

#include <stdarg.h>

/* Beyond the numbers of processes. */
#define OFD_OWNERS (1ull << 40)

/* The process that took locks as one: a child of it has none. */
static pid_t locker;

static uint64_t owner_of(int fd, int cmd)
{
	bool of_file = cmd == F_OFD_SETLK || cmd == F_OFD_SETLKW || cmd == F_OFD_GETLK;

	return of_file ? OFD_OWNERS + (uint64_t)fd : (uint64_t)getpid();
}

static int lock(int fd, struct causeway_file *f, int cmd, struct flock *l)
{
	uint64_t owner = owner_of(fd, cmd);

	if (owner < OFD_OWNERS)
		locker = getpid();
	switch (cmd) {
	case F_GETLK:
	case F_OFD_GETLK:
		return causeway_getlk(f, owner, l);
	case F_SETLKW:
	case F_OFD_SETLKW:
		return causeway_setlkw(f, owner, l, NULL);
	default:
		return causeway_setlk(f, owner, l);
	}
}

int over_fcntl(int fd, int cmd, ...)
{
	struct causeway_file *f = over_file(fd);
	va_list ap;
	int r;

	if (!f)
		return -1;
	va_start(ap, cmd);
	if (cmd == F_GETFL)
		r = causeway_getfl(f);
	else if (cmd == F_SETFL)
		r = causeway_setfl(f, va_arg(ap, int));
	else
		r = lock(fd, f, cmd, va_arg(ap, struct flock *));
	va_end(ap);
	return (int)over_result(r);
}

/* The library knows owners and no processes: what close(2) does for a process is done here. */
void over_drop_locks(struct causeway_file *f)
{
	struct flock all = {.l_type = F_UNLCK, .l_whence = SEEK_SET};

	if (locker == getpid())
		causeway_setlk(f, (uint64_t)getpid(), &all);
}

int over_flock(int fd, int operation)
{
	struct causeway_file *f = over_file(fd);

	return f ? (int)over_result(causeway_flock(f, operation, NULL)) : -1;
}
