/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the rooms of a file's data share: data.c, read.c, write.c, writeback.c, direct.c, piece.c,
 * map.c.
 */
#ifndef KMOD_DATA_H
#define KMOD_DATA_H

#include <linux/bvec.h>
#include <linux/pagemap.h>
#include <linux/uio.h>
#include <linux/workqueue.h>

#include "node.h"

/* file.c: what is left to do when a request has ended, and may sleep. */
extern struct workqueue_struct *cw_work;

static inline bool cw_is_shared(const struct cw_conn *c)
{
	return c->opt.cache == CW_CACHE_SHARED;
}

/* Writes are kept, and sent later. */
static inline bool cw_writes_back(const struct cw_conn *c)
{
	return c->flags & FUSE_WRITEBACK_CACHE;
}

/* Data of an open file goes beside the page cache. */
static inline bool cw_is_direct(const struct file *file)
{
	return (CW_F(file)->open_flags & FOPEN_DIRECT_IO) ||
	       cw_conn_of(file_inode(file))->opt.cache == CW_CACHE_NONE;
}

/* A file that may store pages goes into cw_inode.writers. */
void cw_writer_add(struct cw_file *f);
/* The handle that writeback may use: with a reference in *f, which may be NULL. -EBADF. */
int cw_writer_handle(struct inode *inode, struct cw_file **f, u64 *fh);

/* Bits of open(2) that mean something for each WRITE. */
u32 cw_write_flags(const struct kiocb *kiocb);

/* data.c: whether a page with this reply's data may be kept beside those that are. */
bool cw_data_take(struct inode *inode, const struct cw_words *words);
/* A READ ended before what it was asked for: the file ends at `end`, if nobody knows better. */
void cw_data_ends(struct inode *inode, loff_t end, u64 attr_version);

/*
 * The server acknowledged a WRITE of n bytes at pos. pages (first byte at offset_in_page(pos)) hold
 * what was sent: the cache gets it. NULL: pages of that range go.
 */
struct cw_wrote {
	loff_t pos;
	size_t n;
	const struct bio_vec *pages;
	const struct cw_words *words;
	bool append; /* where it went is the server's secret */
};
void cw_data_wrote(struct inode *inode, const struct cw_wrote *w);

/* read.c: reads a page whose lock we have, and keep; 0 or -errno. */
int cw_fill_folio(struct file *file, struct folio *folio);

/* direct.c: cw_direct_write() under i_rwsem, by who holds it already. */
ssize_t cw_direct_write_locked(struct kiocb *kiocb, struct iov_iter *from);

/* map.c: of pages of the cache, for what maps them now and then only (daxio.c). */
vm_fault_t cw_page_mkwrite(struct vm_fault *vmf);
void cw_unmapped(struct vm_area_struct *vma);

/* range.c; ops.c */
loff_t cw_llseek(struct file *file, loff_t offset, int whence);
long cw_fallocate(struct file *file, int mode, loff_t offset, loff_t len);
ssize_t cw_copy_file_range(struct file *in, loff_t pos_in, struct file *out, loff_t pos_out,
			   size_t len, unsigned int flags);
extern const struct file_operations cw_file_fops;

/* later.c, writeback.c */
ssize_t cw_write_later(struct kiocb *kiocb, struct iov_iter *from);
int cw_writepages(struct address_space *mapping, struct writeback_control *wbc);

/*
 * piece.c: one READ or WRITE of memory that is not the page cache's: pages of a user (or of a
 * kernel's list), or our own, copied from and to.
 */
struct cw_piece {
	struct cw_call call;
	union {
		struct fuse_read_in read;
		struct {
			struct fuse_write_in in;
			struct fuse_write_out out;
		} write;
	};
	struct cw_words words;
	struct inode *inode;
	loff_t pos;
	size_t len;
	bool to_server;
	bool own;     /* pages are ours */
	bool held;    /* users' pages have references */
	bool dirties; /* users' pages are written to by a reply */
	int result;
	void *owner;  /* direct.c */
	struct work_struct work;
	unsigned int npages, room;
	struct bio_vec pages[];
};

/* At kiocb->ki_pos, as much as a request may have, from or to iter, which goes on. own: by copies.
 * Or an ERR_PTR. */
struct cw_piece *cw_piece_new(struct kiocb *kiocb, struct iov_iter *iter, bool own);
/* After the reply: bytes that were read or written, or -errno. Pages are still there. */
ssize_t cw_piece_result(const struct cw_piece *p, int result);
void cw_piece_free(struct cw_piece *p);
/* Copies what was read, n bytes, out of own pages: how many were taken. */
size_t cw_piece_copy_out(struct cw_piece *p, size_t n, struct iov_iter *to);

#endif
