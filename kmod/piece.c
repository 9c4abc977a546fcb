// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * READ and WRITE of memory that is not the page cache's: one request of it.
 *
 * Pages of a user are held while the device has them, and marked dirty when it has written to them.
 * Where an iterator has no pages that can be held (a kernel's buffer, a pipe), or the pages are to
 * become those of the cache, a piece has pages of its own, and data is copied.
 */
#include <linux/capability.h>
#include <linux/pagemap.h>
#include <linux/slab.h>

#include "compat/data.h"
#include "data.h"

u32 cw_write_flags(const struct kiocb *kiocb)
{
	u32 flags = kiocb->ki_filp->f_flags & ~(O_APPEND | O_DSYNC | __O_SYNC | O_DIRECT);

	if (kiocb->ki_flags & IOCB_APPEND)
		flags |= O_APPEND;
	if (kiocb->ki_flags & IOCB_DSYNC)
		flags |= O_DSYNC;
	if (kiocb->ki_flags & IOCB_SYNC)
		flags |= O_SYNC;
	if (kiocb->ki_flags & IOCB_DIRECT)
		flags |= O_DIRECT;
	return flags;
}

static void add(struct cw_piece *p, struct page *page, unsigned int off, unsigned int len)
{
	p->pages[p->npages++] = (struct bio_vec){
		.bv_page = page,
		.bv_offset = off,
		.bv_len = len,
	};
	p->len += len;
}

static int hold(struct cw_piece *p, struct iov_iter *iter, size_t most)
{
	p->held = cw_extract_holds(iter);
	p->dirties = !p->to_server && user_backed_iter(iter);
	while (p->npages < p->room && p->len < most && iov_iter_count(iter)) {
		struct page *pages[16];
		unsigned int room = min_t(unsigned int, p->room - p->npages, ARRAY_SIZE(pages));
		size_t off;
		ssize_t got = cw_extract_pages(iter, pages, most - p->len, room, &off);

		if (got <= 0)
			return p->len ? 0 : got ?: -EFAULT;
		for (unsigned int i = 0; got > 0; i++) {
			unsigned int n = min_t(size_t, got, PAGE_SIZE - off);

			add(p, pages[i], off, n);
			got -= n;
			off = 0;
		}
	}
	return 0;
}

static int copy_in(struct cw_piece *p, struct iov_iter *iter, size_t most)
{
	size_t off = offset_in_page(p->pos);

	p->own = true;
	most = min_t(size_t, most, iov_iter_count(iter));
	while (p->npages < p->room && p->len < most) {
		size_t n = min_t(size_t, most - p->len, PAGE_SIZE - off);
		struct page *page = alloc_page(GFP_KERNEL);

		if (!page)
			return p->len ? 0 : -ENOMEM;
		if (p->to_server) {
			size_t want = n;

			n = copy_page_from_iter(page, off, n, iter);
			if (!n) {
				put_page(page);
				return p->len ? 0 : -EFAULT;
			}
			add(p, page, off, n);
			if (n < want)
				return 0;
		} else {
			add(p, page, off, n);
		}
		off = 0;
	}
	return 0;
}

static void fill_call(struct cw_piece *p, struct kiocb *kiocb)
{
	struct file *file = kiocb->ki_filp;
	struct cw_conn *c = cw_conn_of(p->inode);
	const u64 fh = READ_ONCE(CW_F(file)->fh);
	const u64 owner = cw_lock_owner(c, current->files);

	p->call = (struct cw_call){
		.opcode = p->to_server ? FUSE_WRITE : FUSE_READ,
		.nodeid = CW_I(p->inode)->nodeid,
		.nin = 1,
		.pages = p->pages,
		.npages = p->npages,
		.data_len = p->len,
		.to_server = p->to_server,
		.words = &p->words,
	};
	if (!p->to_server) {
		p->read = (struct fuse_read_in){
			.fh = fh,
			.offset = p->pos,
			.size = p->len,
			.read_flags = FUSE_READ_LOCKOWNER,
			.lock_owner = owner,
			.flags = cw_write_flags(kiocb),
		};
		p->call.in[0] = (struct cw_in){ &p->read, sizeof(p->read) };
		return;
	}
	p->write.in = (struct fuse_write_in){
		.fh = fh,
		.offset = p->pos,
		.size = p->len,
		.write_flags = FUSE_WRITE_LOCKOWNER,
		.lock_owner = owner,
		.flags = cw_write_flags(kiocb),
	};
	if ((c->flags & FUSE_HANDLE_KILLPRIV_V2) && !capable(CAP_FSETID))
		p->write.in.write_flags |= FUSE_WRITE_KILL_SUIDGID;
	p->call.in[0] = (struct cw_in){ &p->write.in, sizeof(p->write.in) };
	p->call.out = &p->write.out;
	p->call.out_size = sizeof(p->write.out);
}

struct cw_piece *cw_piece_new(struct kiocb *kiocb, struct iov_iter *iter, bool own)
{
	struct inode *inode = file_inode(kiocb->ki_filp);
	struct cw_conn *c = cw_conn_of(inode);
	const bool to_server = iov_iter_rw(iter) == WRITE;
	const size_t most =
		min_t(size_t, iov_iter_count(iter), to_server ? c->max_write : c->max_read);
	unsigned int room = min_t(size_t, DIV_ROUND_UP(most, PAGE_SIZE) + 1, c->max_pages);
	struct cw_piece *p;
	int err;

	p = kvzalloc(struct_size(p, pages, room), GFP_KERNEL);
	if (!p)
		return ERR_PTR(-ENOMEM);
	p->inode = inode;
	p->pos = kiocb->ki_pos;
	p->to_server = to_server;
	p->room = room;
	if (own || !(user_backed_iter(iter) || iov_iter_is_bvec(iter)))
		err = copy_in(p, iter, most);
	else
		err = hold(p, iter, most);
	if (err) {
		cw_piece_free(p);
		return ERR_PTR(err);
	}
	fill_call(p, kiocb);
	return p;
}

ssize_t cw_piece_result(const struct cw_piece *p, int result)
{
	if (result < 0 || !p->to_server)
		return result;
	/* To have written nothing is no success: whoever writes would ask for ever. */
	if (!p->write.out.size || p->write.out.size > p->len)
		return -EIO;
	return p->write.out.size;
}

size_t cw_piece_copy_out(struct cw_piece *p, size_t n, struct iov_iter *to)
{
	size_t done = 0;

	for (unsigned int i = 0; done < n; i++) {
		size_t part = min_t(size_t, n - done, p->pages[i].bv_len);
		size_t got;

		/* A pipe takes the page itself, as if it were a cache's. */
		SetPageUptodate(p->pages[i].bv_page);
		got = copy_page_to_iter(p->pages[i].bv_page, p->pages[i].bv_offset, part, to);
		done += got;
		if (got < part)
			break;
	}
	return done;
}

void cw_piece_free(struct cw_piece *p)
{
	for (unsigned int i = 0; i < p->npages; i++) {
		if (p->own)
			put_page(p->pages[i].bv_page);
		else if (p->held)
			cw_extract_release(p->pages[i].bv_page, p->dirties);
	}
	kvfree(p);
}
