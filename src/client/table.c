// SPDX-License-Identifier: BSD-2-Clause
#include "client/table.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "base/clock.h"
#include "base/util.h"
#include "client/client.h"
#include "proto/version_wire.h"

#define AGAIN_MS 1000

/* How often the table may be another one between asking and agreeing. */
#define TRIES 5

void table_init(struct table *t)
{
	*t = (struct table){.view = NULL};
	pthread_mutex_init(&t->lock, NULL);
}

void table_destroy(struct table *t)
{
	for (unsigned int i = 0; i < TABLE_SIZES; i++)
		vtable_view_unmap(&t->views[i]);
	pthread_mutex_destroy(&t->lock);
}

/* Whether what can shrink a file is nobody whom we have to fear. */
static int check_file(int fd, bool *may_shrink)
{
	struct statfs fs;
	struct stat st;
	int seals = fcntl(fd, F_GET_SEALS);

	if (fstat(fd, &st) < 0 || fstatfs(fd, &fs) < 0)
		return -errno;
	*may_shrink = seals < 0 || !(seals & F_SEAL_SHRINK);
	/* On a disk it would be there after the next start, when nobody keeps it. */
	if (!S_ISREG(st.st_mode) || fs.f_type != TMPFS_MAGIC)
		return -EXDEV;
	if (*may_shrink && ((st.st_uid != 0 && st.st_uid != geteuid()) ||
				   (st.st_mode & (S_IWGRP | S_IWOTH))))
		return -EPERM;
	return 0;
}

/* A descriptor of the table that there is now, or -errno. */
static int find(struct causeway *c, int patience_ms)
{
	const char *path = c->options.version_table;
	int fd;

	if (!path)
		return vhost_window_table(&c->t.fe.window, patience_ms);
	/* Not to wait for one that is a FIFO. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	return fd < 0 ? -errno : fd;
}

static int explain(struct causeway *c, int r)
{
	const char *path = c->options.version_table, *what;

	switch (r) {
	case -ENOENT:
		what = path ? "there is none" : "the back-end shares none; name the file that "
						"causewayd has with the option version-table";
		break;
	case -EXDEV:
		what = "it is no file on a tmpfs";
		break;
	case -EPERM:
		what = "others may write to it or shrink it";
		break;
	case -EINVAL:
		what = "that is no version table";
		break;
	case -ESTALE:
		what = "it is another one than the back-end's";
		break;
	default:
		what = strerror(-r);
	}
	return client_fail(c, r, "cache=shared: the version table%s%.100s: %s", path ? " " : "",
		path ? path : "", what);
}

/* The next one takes the place of the one that had as many slots. */
static void install(struct table *t, struct vtable_view *v)
{
	struct vtable_view *place = &t->views[__builtin_ctzll(v->slots)];

	if (!place->map) {
		place->map = v->map;
		place->bytes = v->bytes;
		place->slots = v->slots;
	} else if (mremap((void *)v->map, v->bytes, place->bytes, MREMAP_MAYMOVE | MREMAP_FIXED,
			   (void *)place->map) == MAP_FAILED) {
		vtable_view_unmap(v);
		return;
	}
	atomic_store_explicit(&t->view, place, memory_order_release);
}

static int hello(struct causeway *c, uint32_t flags, struct vt_hello_out *out)
{
	struct vt_hello_in in = {.wire = VT_WIRE, .flags = flags};
	struct vt_hello_out reply;
	struct call call = {
		.opcode = VT_HELLO,
		.args = {CALL_STRUCT(in)},
		.nargs = 1,
		.out = &reply,
		.out_size = sizeof(reply),
		.out_least = sizeof(reply),
	};
	int r;

	if (flags & VT_HELLO_BEGIN)
		memcpy(in.id, out->id, VT_ID_SIZE);
	r = client_call(c, &call);
	if (r < 0)
		return r;
	if (reply.wire != VT_WIRE || reply.layout != VT_LAYOUT || !vt_are_slots(reply.slots) ||
		((flags & VT_HELLO_BEGIN) && memcmp(reply.id, in.id, VT_ID_SIZE) != 0))
		return client_fail(c, -EPROTO, "the back-end's reply to VT_HELLO is malformed: it "
					       "names no version table that is known here");
	*out = reply;
	return 0;
}

static bool is_poisoned(const struct vtable_view *v)
{
	return atomic_load_explicit(words_head(v, poison), memory_order_acquire) != 0;
}

/*
 * Asks for the table, maps it, and agrees to it: -ESTALE where it became another one meanwhile. The
 * first time also to one that is poisoned, for words begin while nothing else is under way; later
 * that is -EAGAIN.
 */
static int agree_once(struct causeway *c, int patience_ms)
{
	struct vt_hello_out out;
	struct vtable_view view;
	bool may_shrink = true;
	CLEANUP_FD int fd = -1;
	int r = hello(c, 0, &out);

	if (r < 0)
		return r;
	fd = find(c, patience_ms);
	r = fd < 0 ? fd : check_file(fd, &may_shrink);
	if (r == 0)
		r = vtable_view_map(&view, fd, out.id, may_shrink);
	if (r < 0)
		return explain(c, r);
	if (view.slots != out.slots)
		r = explain(c, -ESTALE);
	else if (c->table.words && is_poisoned(&view))
		r = -EAGAIN;
	if (r == 0)
		r = hello(c, VT_HELLO_BEGIN, &out);
	if (r < 0) {
		vtable_view_unmap(&view);
		return r;
	}
	install(&c->table, &view);
	/* Others may be looking at it from the second time on. */
	if (!c->table.words)
		c->table.words = true;
	return 0;
}

int table_agree(struct causeway *c)
{
	int r = -ESTALE;

	for (int i = 0; r == -ESTALE && i < TRIES; i++) {
		/* The file of the next one is there a moment after the poison of this one. */
		if (i > 0)
			nanosleep(&(struct timespec){.tv_nsec = AGAIN_MS / TRIES * 1000000L}, NULL);
		r = agree_once(c, (int)c->options.timeout_ms);
	}
	if (r == -ENOSYS)
		r = client_fail(c, -EOPNOTSUPP, "cache=shared: the back-end has no version table; "
						"causewayd has one with --version-table");
	return r;
}

static bool is_good(const struct table *t)
{
	const struct vtable_view *view = table_view(t);

	return view && !is_poisoned(view);
}

uint64_t table_slots(const struct table *t)
{
	const struct vtable_view *view = table_view(t);

	return view && !is_poisoned(view) ? view->slots : 0;
}

void table_tend(struct causeway *c)
{
	struct table *t = &c->table;

	if (!t->words || is_good(t))
		return;
	/* Held by another thread that does this, or by this one, whose request this is. */
	if (pthread_mutex_trylock(&t->lock) != 0)
		return;
	if (table_view(t) && !is_good(t)) {
		atomic_store_explicit(&t->view, NULL, memory_order_release);
		entries_clear(c);
		nodes_forget_data(c);
		pages_clear(c);
	}
	if (!table_view(t) && clock_ms() >= t->next_ms) {
		agree_once(c, 0);
		t->next_ms = clock_ms() + AGAIN_MS;
	}
	pthread_mutex_unlock(&t->lock);
}
