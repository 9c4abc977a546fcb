// SPDX-License-Identifier: BSD-2-Clause
//
// What the guest is to mount and run, as CONF frames.

#include "vm.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

// Variables that the command gets from ours. With the host's root those of the second group fit as
// well.
static const char *const env_always[] = {"TERM", "COLORTERM", "LANG", "LANGUAGE", "TZ", NULL};
static const char *const env_host_root[] = {
	"PATH", "HOME", "SHELL", "USER", "LOGNAME", "EDITOR", "VISUAL", "PAGER", NULL};

// Where those are missing.
static const char *const env_default[] = {"TERM=linux", "HOME=/root", "USER=root", "LOGNAME=root",
	"SHELL=/bin/sh", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", NULL};

// Places where a share is not shown a second time: the guest has its own there, or the shares are
// below.
static const char *const own_places[] = {"/proc", "/sys", "/dev", "/run", "/mnt"};

static void put(struct bytes *out, enum conf_key key, const char *value)
{
	AUTO_FREE char *text = format("%c%s", key, value);

	frame_put(out, FRAME_CONF, 0, text, strlen(text));
}

bool vm_wants_tty(int fd)
{
	return isatty(0) && isatty(1) && isatty(fd);
}

// 2>&1: one file for both, whose order of bytes must stay.
static bool same_output(void)
{
	struct stat a, b;

	return !fstat(1, &a) && !fstat(2, &b) && a.st_dev == b.st_dev && a.st_ino == b.st_ino &&
	       !S_ISCHR(a.st_mode);
}

static bool has_name(const struct words *w, const char *word)
{
	size_t n = strcspn(word, "=");

	for (unsigned int i = 0; i < w->n; i++)
		if (!strncmp(w->v[i], word, n) && w->v[i][n] == '=')
			return true;
	return false;
}

static void inherit(struct words *w, const char *const *names)
{
	for (; *names; names++) {
		const char *value = getenv(*names);

		if (value && !has_name(w, *names))
			words_addf(w, "%s=%s", *names, value);
	}
}

static void put_env(struct bytes *out, const struct vm_options *o)
{
	AUTO_WORDS struct words w = {0};

	for (unsigned int i = o->env.n; i-- > 0;)
		if (!has_name(&w, o->env.v[i]))
			words_add(&w, o->env.v[i]);
	inherit(&w, env_always);
	for (char **e = environ; *e; e++)
		if (!strncmp(*e, "LC_", 3) && !has_name(&w, *e))
			words_add(&w, *e);
	if (!o->root_minimal)
		inherit(&w, env_host_root);
	for (const char *const *d = env_default; *d; d++)
		if (!has_name(&w, *d))
			words_add(&w, *d);
	for (unsigned int i = 0; i < w.n; i++)
		put(out, CONF_ENV, w.v[i]);
}

static bool below(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	return !strncmp(path, dir, n) && (!path[n] || path[n] == '/');
}

// With the host's root, a path below the shared directory must not lead into the overlay, where
// writes are lost: the share is visible at its own place too.
static void put_bind(struct bytes *out, const struct vm_options *o, const struct vm_share *s)
{
	if (o->root_minimal || !s->dir || !strcmp(s->dir, "/"))
		return;
	for (size_t i = 0; i < sizeof(own_places) / sizeof(own_places[0]); i++)
		if (below(s->dir, own_places[i]))
			return;
	put(out, CONF_BIND, s->dir);
}

// What the guest cannot know of a share: nothing of a device says its tag before a driver has it.
static void put_type(struct bytes *out, const struct vm_share *s, unsigned int nr)
{
	AUTO_FREE char *device = format("0000:00:%02x.0", VM_SHARE_SLOT + nr);

	if (s->type) {
		put(out, CONF_TYPE, s->type);
		put(out, CONF_DEVICE, device);
	}
	if (s->options)
		put(out, CONF_OPTIONS, s->options);
}

int vm_conf_put(struct bytes *out, const struct vm_options *o, const struct vm_kernel *k)
{
	char tty[4] = "", *t = tty;
	struct timespec ts;
	uint16_t ws[4];
	AUTO_FREE char *now = NULL;

	clock_gettime(CLOCK_REALTIME, &ts);
	now = format("%ld.%09ld", ts.tv_sec, ts.tv_nsec);
	put(out, CONF_CLOCK, now);
	put(out, CONF_ROOT, o->root_minimal ? "" : VM_ROOT_TAG);
	if (k->modules)
		put(out, CONF_KMOD, k->modules);
	for (unsigned int i = 0; i < o->nshares; i++) {
		AUTO_FREE char *share =
			format("%s:%s", o->shares[i].readonly ? "ro" : "rw", o->shares[i].tag);

		if (o->shares[i].is_root)
			continue;
		put(out, CONF_SHARE, share);
		put_type(out, &o->shares[i], i);
		put_bind(out, o, &o->shares[i]);
	}
	put_env(out, o);
	for (char **a = o->command; *a; a++)
		put(out, CONF_ARG, *a);
	for (int fd = 0; fd < 3; fd++)
		if (vm_wants_tty(fd))
			*t++ = '0' + fd;
	put(out, CONF_TTY, tty);
	if (same_output())
		put(out, CONF_MERGE, "");
	terminal_size(ws);
	frame_put(out, FRAME_WINSIZE, 0, ws, sizeof(ws));
	return frame_put(out, FRAME_GO, 0, NULL, 0);
}
