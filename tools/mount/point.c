// SPDX-License-Identifier: BSD-2-Clause
//
// The mount itself: made with mount(2) where we may, else by fusermount3, which has the right to,
// opens /dev/fuse and hands the descriptor over a socket.

#include "mount.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define FUSERMOUNT "fusermount3"
#define COMMFD     "_FUSE_COMMFD"

// What tells our mount from another at the same place. Nothing of this asks the back-end, which may
// not have had its INIT, or be gone.
static int identify(struct point *p)
{
	struct statx st;

	if (statx(AT_FDCWD, p->path, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT | AT_SYMLINK_NOFOLLOW,
		    STATX_MNT_ID, &st))
		return -errno;
	p->id = st.stx_mnt_id;
	p->device = (uint64_t)st.stx_dev_major << 32 | st.stx_dev_minor;
	return 0;
}

// fusermount3 splits at commas, but for those behind a backslash.
static void add_name(struct words *w, const char *key, const char *name)
{
	AUTO_FREE char *escaped = format("%s=%*s", key, 2 * (int)strlen(name), "");
	char *to = escaped + strlen(key) + 1;

	for (; *name; name++) {
		if (*name == ',' || *name == '\\')
			*to++ = '\\';
		*to++ = *name;
	}
	*to = 0;
	words_add(w, escaped);
}

static char *join(const struct words *w)
{
	char *list = format("%s", w->n ? w->v[0] : "");

	for (unsigned int i = 1; i < w->n; i++) {
		char *longer = format("%s,%s", list, w->v[i]);

		free(list);
		list = longer;
	}
	return list;
}

static void add_all(struct words *to, const struct words *from)
{
	for (unsigned int i = 0; i < from->n; i++)
		words_add(to, from->v[i]);
}

// As virtio-fs has it: the back-end does as it is told by whoever asks, so the kernel has to check.
#define ALWAYS "default_permissions"

static int mount_directly(const struct mount_options *o)
{
	AUTO_WORDS struct words w = {0};
	AUTO_FREE char *type = format("fuse.%s", o->subtype);
	int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC), ret;

	if (fd < 0)
		return -errno;
	words_addf(&w, "fd=%d,rootmode=40000,user_id=%u,group_id=%u," ALWAYS, fd, geteuid(),
		getegid());
	add_all(&w, &o->kernel);
	AUTO_FREE char *data = join(&w);

	if (!mount(o->fsname, o->point, type, o->flags, data))
		return fd;
	ret = -errno;
	close(fd);
	return ret;
}

// The descriptor that comes with a byte.
static int receive_fd(int sock)
{
	char byte, control[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec iov = {&byte, 1};
	struct msghdr msg = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control)};
	struct cmsghdr *c;
	ssize_t n;
	int fd;

	do
		n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	c = n > 0 ? CMSG_FIRSTHDR(&msg) : NULL;
	if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS ||
		c->cmsg_len != CMSG_LEN(sizeof(int)))
		return -1;
	memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	return fd;
}

// Runs fusermount3, without our signal mask; keep is a descriptor that it inherits, or -1.
static pid_t run_helper(const char *const *argv, int keep)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none;
	pid_t pid;
	int ret;

	sigemptyset(&none);
	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attr);
	if (keep >= 0)
		posix_spawn_file_actions_adddup2(&actions, keep, keep);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
	ret = posix_spawnp(&pid, argv[0], &actions, &attr, (char **)argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attr);
	return ret ? -ret : pid;
}

static int wait_for(pid_t pid)
{
	int status = -1;

	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

static int mount_by_helper(const struct mount_options *o, int denied)
{
	AUTO_WORDS struct words w = {0};
	char number[16];
	int pair[2], fd, status;
	pid_t pid;

	add_all(&w, &o->vfs);
	add_all(&w, &o->kernel);
	words_add(&w, ALWAYS);
	add_name(&w, "fsname", o->fsname);
	add_name(&w, "subtype", o->subtype);
	AUTO_FREE char *list = join(&w);
	const char *argv[] = {FUSERMOUNT, "-o", list, "--", o->point, NULL};

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair)) {
		say("mount: socketpair: %s", strerror(errno));
		return -1;
	}
	snprintf(number, sizeof(number), "%d", pair[1]);
	setenv(COMMFD, number, 1);
	pid = run_helper(argv, pair[1]);
	unsetenv(COMMFD);
	close(pair[1]);
	if (pid < 0) {
		say("mount: %s: %s, and without that right " FUSERMOUNT
		    " is needed (package fuse3): %s", o->point, strerror(-denied), strerror(-pid));
		close(pair[0]);
		return -1;
	}
	fd = receive_fd(pair[0]);
	close(pair[0]);
	status = wait_for(pid);
	if (fd >= 0 && !status)
		return fd;
	say("mount: %s: " FUSERMOUNT " has not mounted it (see above)", o->point);
	if (fd >= 0)
		close(fd);
	return -1;
}

int point_mount(struct point *p, const struct mount_options *o)
{
	int fd = mount_directly(o);

	*p = (struct point){.path = o->point};
	if (fd == -EPERM || fd == -EACCES) {
		p->by_helper = true;
		fd = mount_by_helper(o, fd);
	} else if (fd < 0) {
		say("mount: %s: %s", fd == -ENOENT || fd == -ENXIO ? "/dev/fuse" : o->point,
			fd == -ENODEV ? "this kernel has no FUSE" : strerror(-fd));
	}
	if (fd < 0)
		return -1;
	// Whoever waits for a request must be able to do other things.
	if (fcntl(fd, F_SETFL, O_NONBLOCK) || fcntl(fd, F_SETFD, FD_CLOEXEC) ||
		identify(p)) {
		say("mount: %s: %s", o->point, strerror(errno));
		umount2(o->point, MNT_DETACH | UMOUNT_NOFOLLOW);
		close(fd);
		return -1;
	}
	return fd;
}

bool point_is_there(const struct point *p)
{
	struct point now = {.path = p->path};

	return !identify(&now) && now.id == p->id && now.device == p->device;
}

void point_detach(const struct point *p)
{
	const char *argv[] = {FUSERMOUNT, "-u", "-q", "-z", "--", p->path, NULL};
	pid_t pid;

	if (!point_is_there(p))
		return;
	if (!p->by_helper) {
		umount2(p->path, MNT_DETACH | UMOUNT_NOFOLLOW);
		return;
	}
	pid = run_helper(argv, -1);
	if (pid > 0)
		wait_for(pid);
}
