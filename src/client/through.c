// SPDX-License-Identifier: BSD-2-Clause
/*
 * Data, through the window where it is there, and by requests where it is not.
 *
 * By requests: what is beyond the last whole page of a file and what makes it longer; and writes
 * that a store in memory would not be enough for: with O_APPEND, O_SYNC or O_DSYNC, to a file with
 * set-id bits, and the first through each handle, which takes off capabilities (as the back-end
 * does for a WRITE). The times that a write sets are told when somebody could look at them, at the
 * latest when the handle is synced or closed.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/util.h"
#include "client/behind.h"
#include "client/fault.h"
#include "client/file.h"
#include "client/notify.h"

/* How much of the file is in whole pages, as far as that is known now: 0 where it is not, or where
 * the window is not the way. */
static uint64_t whole_pages(struct causeway_file *f, bool write)
{
	struct fuse_attr attr;
	bool once;

	/* Requests say what happened. */
	if (atomic_load_explicit(&f->c->t.lost, memory_order_relaxed))
		return 0;
	client_hear(f->c);
	if (!node_get_size(f->c, f->node, &attr, &once)) {
		/* Who makes a file longer would be asking for its length each time. */
		if (write && !once && f->c->window.mode != DAX_ALWAYS)
			return 0;
		if (client_know_attr(f->c, f->node, f, &attr) < 0)
			return 0;
	}
	if ((write && (attr.mode & (S_ISUID | S_ISGID))) || !window_suits(f->c, &attr))
		return 0;
	return window_whole(min_t(uint64_t, attr.size, INT64_MAX));
}

/* Copies between a range and what the cursor goes over; false: some of it is not there. */
static bool copy(char *at, struct cursor *c, size_t n, bool write)
{
	while (n > 0) {
		struct iovec iov;
		size_t len;

		cursor_lend(c, n, &iov, 1, &len);
		if (!(write ? fault_copy(at, iov.iov_base, len, at) :
			      fault_copy(iov.iov_base, at, len, at)))
			return false;
		at += len;
		n -= len;
	}
	return true;
}

/* Moves what is in the window from an offset on, without a gap: how many bytes. */
static size_t move(struct causeway_file *f, struct cursor *all, uint64_t offset, bool write)
{
	struct window *w = &f->c->window;
	uint64_t whole = whole_pages(f, write);
	size_t done = 0;

	while (all->left > 0 && offset + done < whole) {
		uint64_t within = (offset + done) & (window_range_bytes(w) - 1);
		struct range *r = window_get(f, offset + done, whole, write);
		struct cursor part = *all;
		size_t n;
		bool there;

		if (!r)
			break;
		/* What was written before comes first. */
		behind_send(f->c, f->node);
		n = min_t(uint64_t, all->left, r->len - within);
		n = min_t(uint64_t, n, whole - offset - done);
		there = copy(window_address(w, r) + within, &part, n, write);
		if (there && write)
			atomic_store_explicit(&f->node->stored, true, memory_order_relaxed);
		if (!there)
			window_broke(f->c, r);
		window_put(r);
		if (!there)
			break;
		*all = part;
		done += n;
	}
	return done;
}

/* Goes through a file range by range. */
static ssize_t go_through(struct causeway_file *f, struct cursor *all, off_t offset, bool write,
	window_asks asks)
{
	uint64_t range = window_range_bytes(&f->c->window);
	size_t done = 0;

	for (;;) {
		uint64_t at;
		struct cursor part;
		size_t wanted;
		ssize_t n;

		done += move(f, all, (uint64_t)offset + done, write);
		if (all->left == 0 && done > 0)
			return (ssize_t)done;
		/* The next range may be there again, and is then to be read there. */
		at = (uint64_t)offset + done;
		part = *all;
		part.left = wanted = min_t(uint64_t, all->left, range - at % range);
		n = asks(f, &part, (off_t)at);
		if (n < 0)
			return done > 0 ? (ssize_t)done : n;
		done += (size_t)n;
		atomic_store_explicit(&f->asked_end, offset + (off_t)done, memory_order_relaxed);
		if ((size_t)n < wanted || cursor_skip(all, wanted) == 0)
			return (ssize_t)done;
	}
}

ssize_t window_read(struct causeway_file *f, struct cursor *to, off_t offset, window_asks asks)
{
	return go_through(f, to, offset, false, asks);
}

ssize_t window_write(struct causeway_file *f, struct cursor *from, off_t offset, window_asks asks)
{
	if ((f->flags & (O_APPEND | O_SYNC | O_DSYNC)) ||
		(!atomic_load_explicit(&f->has_written, memory_order_relaxed) &&
			!atomic_exchange(&f->has_written, true)))
		return asks(f, from, offset);
	return go_through(f, from, offset, true, asks);
}

void window_tell_times(struct causeway *c, struct node *node, struct causeway_file *f)
{
	struct fuse_setattr_in in;

	if (!atomic_load_explicit(&node->stored, memory_order_relaxed) ||
		!atomic_exchange(&node->stored, false))
		return;
	/* Not before: clearing it takes longer than all else that a stat of what is kept does. */
	in = (struct fuse_setattr_in){.valid = FATTR_MTIME | FATTR_MTIME_NOW};
	/* Where it is refused, as to one who may write but no more, the host's own will do. */
	client_setattr(c, node, f, &in);
}
