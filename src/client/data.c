// SPDX-License-Identifier: BSD-2-Clause
/*
 * Data, read and written: at an offset, or at the handle's position.
 *
 * As many requests as it takes, each with as much as the back-end takes at once; what comes short
 * ends it. Where data is kept (pages.h), whole pages are read, and some ahead of who reads a file
 * from its beginning on. The position is under the handle's lock for as long as data moves, so that
 * threads that share a handle never get or overwrite the same part (as POSIX wants it).
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include "base/util.h"
#include "client/behind.h"
#include "client/file.h"
#include "client/notify.h"
#include "mem/cursor.h"

/* Pages that are read ahead at most, and in one request. */
#define AHEAD_MAX 15u
#define PAGES_MAX 64u

/* So much at once is not kept beside a window. */
#define PASSING_MIN (4 * PAGE_BYTES)

/* Reads into buffers once: how many bytes; and how they may be kept. */
static ssize_t read_to_keep(struct causeway_file *f, const struct iovec *iov, unsigned int n,
	size_t size, off_t offset, struct fill *fill)
{
	struct fuse_read_in in = {
		.fh = f->fh,
		.offset = (uint64_t)offset,
		.size = (uint32_t)size,
		.flags = client_open_flags(f),
	};
	struct call call = {
		.opcode = FUSE_READ,
		.nodeid = f->node->id,
		.args = {CALL_STRUCT(in)},
		.nargs = 1,
		.take = iov,
		.ntake = n,
		.in_place = true,
	};
	int r;

	fill->generation = node_generation(f->c, f->node);
	r = client_call(f->c, &call);
	fill->asof = call.asof;
	fill->valid = cache_validity(f->c, &call, VT_NODE_DATA, 0, 0);
	return r < 0 ? r : (ssize_t)call.taken;
}

static ssize_t read_once(struct causeway_file *f, const struct iovec *iov, unsigned int n,
	size_t size, off_t offset)
{
	struct fill fill;

	return read_to_keep(f, iov, n, size, offset, &fill);
}

ssize_t client_write_once(struct causeway_file *f, const struct iovec *iov, unsigned int n,
	size_t size, off_t offset)
{
	struct fuse_write_in in = {
		.fh = f->fh,
		.offset = (uint64_t)offset,
		.size = (uint32_t)size,
		.flags = client_open_flags(f),
	};
	struct fuse_write_out out;
	struct call call = {
		.opcode = FUSE_WRITE,
		.nodeid = f->node->id,
		.args = {CALL_STRUCT(in)},
		.nargs = 1,
		.send = iov,
		.nsend = n,
		.in_place = true,
		.out = &out,
		.out_size = sizeof(out),
		.out_least = sizeof(out),
	};
	int r;

	if (client_kills_priv(f->c))
		in.write_flags = FUSE_WRITE_KILL_SUIDGID;
	r = client_call(f->c, &call);
	if (r == 0 && out.size > size)
		r = client_fail(f->c, -EPROTO, "the back-end's reply to WRITE is malformed: it "
					       "wrote more than it was given");
	/* What failed may be written in part. */
	if (r < 0)
		node_drop_data(f->c, f->node);
	else if (f->flags & O_APPEND)
		node_appended(f->c, f->node, &call.words);
	else
		node_wrote(f->c, f->node, offset, offset + out.size, &call.words);
	return r < 0 ? r : (ssize_t)out.size;
}

/* How many bytes there are in buffers; -EINVAL where they are too many, or end at no offset. */
static ssize_t measure(struct causeway_file *f, const struct iovec *iov, int n, off_t offset)
{
	size_t size = 0;

	if (offset < 0)
		return client_fail(f->c, -EINVAL, "there is no offset %lld", (long long)offset);
	if (n < 0 || n > IOV_MAX)
		return client_fail(f->c, -EINVAL, "%d buffers: 0 to %d may be given", n, IOV_MAX);
	for (int i = 0; i < n; i++) {
		if (iov[i].iov_len > SSIZE_MAX - size)
			return client_fail(f->c, -EINVAL, "the buffers are too large");
		size += iov[i].iov_len;
	}
	if (size > (uint64_t)(INT64_MAX - offset))
		return client_fail(f->c, -EINVAL, "there is no offset behind %lld bytes from %lld",
			(long long)size, (long long)offset);
	return (ssize_t)size;
}

typedef ssize_t (*once_fn)(struct causeway_file *f, const struct iovec *iov, unsigned int n,
	size_t size, off_t offset);

/* Moves all that there is, without a cache between. */
static ssize_t move(struct causeway_file *f, once_fn once, struct cursor *all, off_t offset)
{
	struct iovec part[IOV_MAX];
	ssize_t moved = 0;
	size_t done = 0;

	while (all->left > 0) {
		size_t len;
		int pieces = cursor_lend(all, f->c->session.max_data, part, IOV_MAX, &len);

		moved = once(f, part, (unsigned int)pieces, len, offset + (off_t)done);
		if (moved < 0)
			break;
		done += (size_t)moved;
		if ((size_t)moved < len)
			break;
	}
	return moved < 0 && done == 0 ? moved : (ssize_t)done;
}

/* How many pages to ask for, where one is missing: more with each read that goes on where the last
 * one ended. */
static unsigned int pages_wanted(struct causeway_file *f, off_t offset, size_t left)
{
	size_t most = min_t(size_t, f->c->session.max_data / PAGE_BYTES,
		f->c->options.cache_memory / PAGE_BYTES / 2);
	unsigned int ahead = atomic_load_explicit(&f->ahead, memory_order_relaxed);
	size_t wanted = (offset % PAGE_BYTES + left + PAGE_BYTES - 1) / PAGE_BYTES;

	if (atomic_load_explicit(&f->read_end, memory_order_relaxed) == offset)
		ahead = min_t(unsigned int, 2 * ahead + 1, AHEAD_MAX);
	else
		ahead = 0;
	atomic_store_explicit(&f->ahead, ahead, memory_order_relaxed);
	return (unsigned int)min_t(size_t, wanted + ahead, max_t(size_t, 1, most));
}

/* What a READ into pages brought: each but the last is full, or the file ends in it. Copies what
 * was wanted of it. */
static size_t take_pages(struct causeway_file *f, struct page **pages, unsigned int n, size_t came,
	off_t offset, struct cursor *to)
{
	size_t within = (size_t)offset % PAGE_BYTES, done = 0;

	for (unsigned int i = 0; i < n; i++) {
		pages[i]->len = (uint32_t)min_t(size_t, came, PAGE_BYTES);
		came -= pages[i]->len;
		if (within < pages[i]->len)
			done += cursor_write(to, pages[i]->data + within, pages[i]->len - within);
		within = 0;
	}
	return done;
}

/* Reads pages from where one is missing, keeps them, and copies what was wanted: how many bytes, 0
 * at the end of the file. */
static ssize_t read_pages(struct causeway_file *f, off_t offset, struct cursor *to)
{
	unsigned int wanted = pages_wanted(f, offset, to->left), n;
	uint64_t first = (uint64_t)offset / PAGE_BYTES;
	struct fill fill;
	struct page *pages[PAGES_MAX];
	struct iovec iov[PAGES_MAX];
	ssize_t came;

	for (n = 0; n < wanted && n < PAGES_MAX; n++) {
		pages[n] = page_new(f->c);
		if (!pages[n])
			break;
		pages[n]->index = first + n;
		iov[n] = (struct iovec){pages[n]->data, PAGE_BYTES};
	}
	if (n == 0)
		return move(f, read_once, to, offset);
	came = read_to_keep(f, iov, n, (size_t)n * PAGE_BYTES, (off_t)(first * PAGE_BYTES), &fill);
	for (unsigned int i = 0; came >= 0 && i < n; i++) {
		if (i == 0)
			came = (ssize_t)take_pages(f, pages, n, (size_t)came, offset, to);
		/* What is beyond the page with the file's end is no page. */
		if (i == 0 || pages[i - 1]->len == PAGE_BYTES)
			page_publish(f->c, f->node, pages[i], &fill);
	}
	for (unsigned int i = 0; i < n; i++)
		page_put(f->c, pages[i]);
	return came;
}

/* Beside a window, where what is used again is one day, it pays to keep only what is read in small
 * pieces one after the other: a page is many times a piece, and is copied twice. */
static bool is_passing(const struct causeway_file *f, off_t offset, size_t left)
{
	return f->in_window && (left >= PASSING_MIN ||
		atomic_load_explicit(&f->read_end, memory_order_relaxed) != offset);
}

static ssize_t read_kept(struct causeway_file *f, struct cursor *all, off_t offset)
{
	struct fuse_attr attr;
	ssize_t n = 0;
	size_t done = 0;
	bool ends, passing;

	/* Attributes that are not believed any more may say that the data is another. */
	client_hear(f->c);
	if (f->c->options.cache->looks)
		n = client_know_attr(f->c, f->node, f, &attr);
	else
		behind_send(f->c, f->node);
	while (n >= 0 && all->left > 0) {
		n = (ssize_t)pages_copy(f->c, f->node, offset + (off_t)done, all, &ends);
		done += (size_t)n;
		if (ends || all->left == 0)
			break;
		passing = is_passing(f, offset + (off_t)done, all->left);
		n = passing ? move(f, read_once, all, offset + (off_t)done) :
			read_pages(f, offset + (off_t)done, all);
		if (n <= 0)
			break;
		done += (size_t)n;
		if (passing)
			break;
	}
	if (done > 0)
		atomic_store_explicit(&f->read_end, offset + (off_t)done, memory_order_relaxed);
	return n < 0 && done == 0 ? n : (ssize_t)done;
}

/* Reads by requests, or what they brought before. */
static ssize_t read_asked(struct causeway_file *f, struct cursor *all, off_t offset)
{
	/* Into a registered buffer the back-end writes itself. */
	if (f->keeps_data && !(all->left > 0 && arena_holds(&f->c->t.arena, all->iov->iov_base, 1)))
		return read_kept(f, all, offset);
	behind_send(f->c, f->node);
	return move(f, read_once, all, offset);
}

static ssize_t read_at(struct causeway_file *f, const struct iovec *iov, int n, off_t offset)
{
	ssize_t size = client_check_open(f, O_WRONLY);
	struct cursor all;

	if (size == 0)
		size = measure(f, iov, n, offset);
	if (size < 0)
		return size;
	all = cursor_over(iov, (size_t)size);
	return f->in_window ? window_read(f, &all, offset, read_asked) :
			      read_asked(f, &all, offset);
}

static ssize_t write_asked(struct causeway_file *f, struct cursor *all, off_t offset)
{
	size_t size = all->left;

	if (size > 0 && behind_take(f, all, offset))
		return (ssize_t)size;
	return move(f, client_write_once, all, offset);
}

static ssize_t write_at(struct causeway_file *f, const struct iovec *iov, int n, off_t offset)
{
	ssize_t size = client_check_open(f, O_RDONLY);
	struct cursor all;

	if (size == 0)
		size = measure(f, iov, n, offset);
	if (size < 0)
		return size;
	all = cursor_over(iov, (size_t)size);
	return f->in_window ? window_write(f, &all, offset, write_asked) :
			      write_asked(f, &all, offset);
}

EXPORT ssize_t causeway_preadv(struct causeway_file *f, const struct iovec *iov, int n,
	off_t offset)
{
	return read_at(f, iov, n, offset);
}

EXPORT ssize_t causeway_pwritev(struct causeway_file *f, const struct iovec *iov, int n,
	off_t offset)
{
	return write_at(f, iov, n, offset);
}

/* One buffer; more than a count can say is not asked for. */
static struct iovec one(const void *buf, size_t size)
{
	return (struct iovec){(void *)buf, min_t(size_t, size, SSIZE_MAX)};
}

EXPORT ssize_t causeway_pread(struct causeway_file *f, void *buf, size_t size, off_t offset)
{
	struct iovec iov = one(buf, size);

	return read_at(f, &iov, 1, offset);
}

EXPORT ssize_t causeway_pwrite(struct causeway_file *f, const void *buf, size_t size, off_t offset)
{
	struct iovec iov = one(buf, size);

	return write_at(f, &iov, 1, offset);
}

EXPORT ssize_t causeway_read(struct causeway_file *f, void *buf, size_t size)
{
	struct iovec iov = one(buf, size);
	ssize_t n;

	pthread_mutex_lock(&f->lock);
	n = read_at(f, &iov, 1, f->position);
	if (n > 0)
		f->position += n;
	pthread_mutex_unlock(&f->lock);
	return n;
}

/* Where what was appended ends: the back-end does not say, so it is where the file ends. */
static void go_to_end(struct causeway_file *f)
{
	struct fuse_attr attr;

	if (client_getattr(f->c, f->node, f, &attr) == 0 && attr.size <= INT64_MAX)
		f->position = (off_t)attr.size;
}

EXPORT ssize_t causeway_write(struct causeway_file *f, const void *buf, size_t size)
{
	struct iovec iov = one(buf, size);
	ssize_t n;

	pthread_mutex_lock(&f->lock);
	n = write_at(f, &iov, 1, f->position);
	if (n > 0)
		f->position += n;
	if (n > 0 && (f->flags & O_APPEND))
		go_to_end(f);
	pthread_mutex_unlock(&f->lock);
	return n;
}
