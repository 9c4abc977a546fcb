// SPDX-License-Identifier: BSD-2-Clause
//
// File systems of the guest: first what the kernel offers, then the root, then the shares; and the
// end of the shares.

#include "init.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#define SHARE_DIR "/mnt"

struct fixed_mount {
	const char *type, *dir, *options;
	unsigned long flags;
};

static const struct fixed_mount early[] = {
	{"proc", "/proc", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC},
	{"sysfs", "/sys", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC},
	{"devtmpfs", "/dev", "mode=755", MS_NOSUID},
};

// In the final root, whatever that is.
static const struct fixed_mount late[] = {
	{"devpts", "/dev/pts", "mode=620,gid=5,ptmxmode=666", MS_NOSUID | MS_NOEXEC},
	{"tmpfs", "/dev/shm", "mode=1777", MS_NOSUID | MS_NODEV},
	{"tmpfs", "/run", "mode=755", MS_NOSUID | MS_NODEV},
	{"tmpfs", "/tmp", "mode=1777", MS_NOSUID | MS_NODEV},
};

static const char *const dev_links[][2] = {
	{"/proc/self/fd", "/dev/fd"},
	{"/proc/self/fd/0", "/dev/stdin"},
	{"/proc/self/fd/1", "/dev/stdout"},
	{"/proc/self/fd/2", "/dev/stderr"},
};

static void make_dirs(const char *path)
{
	char buf[4096];

	if (snprintf(buf, sizeof(buf), "%s/", path) >= (int)sizeof(buf))
		return;
	for (char *p = buf + 1; (p = strchr(p, '/')); p++) {
		*p = 0;
		mkdir(buf, 0755);
		*p = '/';
	}
}

static void mount_fixed(struct guest *g, const struct fixed_mount *m)
{
	make_dirs(m->dir);
	if (mount(m->type, m->dir, m->type, m->flags, m->options))
		die(g, "cannot mount %s: %s", m->dir, strerror(errno));
}

void mount_early(struct guest *g)
{
	for (size_t i = 0; i < sizeof(early) / sizeof(early[0]); i++)
		mount_fixed(g, &early[i]);
}

// The host's root below, memory above. The layers are not visible afterwards.
static void mount_overlay(struct guest *g)
{
	make_dirs("/lower");
	make_dirs("/upper");
	make_dirs("/new");
	if (mount(g->root, "/lower", "virtiofs", MS_RDONLY, NULL))
		die(g, "cannot mount the host's root: %s", strerror(errno));
	if (mount("tmpfs", "/upper", "tmpfs", 0, "mode=755"))
		die(g, "cannot mount a tmpfs: %s", strerror(errno));
	make_dirs("/upper/data");
	make_dirs("/upper/work");
	if (mount("causeway-root", "/new", "overlay", 0,
		    "lowerdir=/lower,upperdir=/upper/data,workdir=/upper/work"))
		die(g, "cannot put an overlay over the host's root: %s", strerror(errno));
}

static void switch_root(struct guest *g)
{
	for (size_t i = 0; i < sizeof(early) / sizeof(early[0]); i++) {
		char to[64];

		snprintf(to, sizeof(to), "/new%s", early[i].dir);
		make_dirs(to);
		if (mount(early[i].dir, to, NULL, MS_MOVE, NULL))
			die(g, "cannot move %s: %s", early[i].dir, strerror(errno));
	}
	if (chdir("/new") || mount(".", "/", NULL, MS_MOVE, NULL) || chroot(".") || chdir("/"))
		die(g, "cannot switch to the new root: %s", strerror(errno));
}

// So that modprobe finds modules of this kernel, which is not the host's. Not needed for anything
// else: failures are no news.
static void bind_modules(const char *tree)
{
	struct utsname u;
	char to[128];

	uname(&u);
	snprintf(to, sizeof(to), "/lib/modules/%s", u.release);
	if (access(tree, R_OK) || !strcmp(tree, to))
		return;
	make_dirs(to);
	mount(tree, to, NULL, MS_BIND, NULL);
}

// The minimal root stays in the initramfs; busybox makes its own links.
static void install_busybox(struct guest *g)
{
	pid_t pid = fork();
	int status = 0;

	if (!pid) {
		execl("/bin/busybox", "busybox", "--install", "-s", "/bin", NULL);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
		die(g, "busybox --install failed in the guest");
}

void mount_root(struct guest *g)
{
	if (g->root && *g->root) {
		mount_overlay(g);
		switch_root(g);
		if (g->kmod)
			bind_modules(g->kmod);
	} else {
		install_busybox(g);
		make_dirs("/root");
	}
	for (size_t i = 0; i < sizeof(late) / sizeof(late[0]); i++)
		mount_fixed(g, &late[i]);
	make_dirs("/run/lock");
	for (size_t i = 0; i < sizeof(dev_links) / sizeof(dev_links[0]); i++)
		if (symlink(dev_links[i][0], dev_links[i][1])) {
			// There already: also good.
		}
}

void start_directory(const struct guest *g, char *buf, size_t size)
{
	if (g->nshares)
		snprintf(buf, size, SHARE_DIR "/%s", g->shares[0].tag);
	else
		snprintf(buf, size, "/");
}

static void mount_share(struct guest *g, const struct share *s, const char *dir)
{
	const char *type = s->type ? s->type : "virtiofs";

	if (s->device)
		bind_device(g, s);
	if (mount(s->tag, dir, type, s->readonly ? MS_RDONLY : 0, s->options))
		die(g, "cannot mount the share %s as %s%s%s: %s", s->tag, type,
			s->options ? " with " : "", s->options ? s->options : "", strerror(errno));
}

void mount_shares(struct guest *g)
{
	for (size_t i = 0; i < g->nshares; i++) {
		const struct share *s = &g->shares[i];
		char dir[512];

		snprintf(dir, sizeof(dir), SHARE_DIR "/%s", s->tag);
		make_dirs(dir);
		mount_share(g, s, dir);
		if (!s->bind)
			continue;
		make_dirs(s->bind);
		if (mount(dir, s->bind, NULL, MS_BIND, NULL))
			note(g, "cannot bind %s to %s: %s", dir, s->bind, strerror(errno));
	}
}

// What the host did not get is lost with the machine, so an error here is the user's news.
void unmount_shares(struct guest *g)
{
	if (chdir("/")) {
		// Then unmounting says so.
	}
	for (size_t i = g->nshares; i-- > 0;) {
		const struct share *s = &g->shares[i];
		char dir[512];
		int fd;

		snprintf(dir, sizeof(dir), SHARE_DIR "/%s", s->tag);
		fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		// A share without SYNCFS answers ENOSYS to the kernel, which then counts it as
		// done.
		if (fd >= 0 && syncfs(fd) && errno != EROFS)
			note(g, "data of the share %s may be lost: %s", s->tag, strerror(errno));
		if (fd >= 0)
			close(fd);
		if (s->bind)
			umount2(s->bind, MNT_DETACH);
		if (umount2(dir, 0) && errno != EINVAL && errno != ENOENT)
			umount2(dir, MNT_DETACH);
	}
}
