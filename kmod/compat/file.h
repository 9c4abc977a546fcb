/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What differs between kernels for the operations of open files.
 */
#ifndef KMOD_COMPAT_FILE_H
#define KMOD_COMPAT_FILE_H

#include <linux/fs.h>
#include <linux/pipe_fs_i.h>
#include <linux/splice.h>

#include "compat.h"

/* 6.5: pages of the cache go into a pipe, or copies of what read_iter gives. Before, read_iter gets
 * the pipe itself. */
static inline ssize_t cw_splice_cached(struct file *file, loff_t *pos, struct pipe_inode_info *pipe,
				       size_t len, unsigned int flags)
{
#if CW_KERNEL(6, 5)
	return filemap_splice_read(file, pos, pipe, len, flags);
#else
	return generic_file_splice_read(file, pos, pipe, len, flags);
#endif
}

static inline ssize_t cw_splice_copied(struct file *file, loff_t *pos, struct pipe_inode_info *pipe,
				       size_t len, unsigned int flags)
{
#if CW_KERNEL(6, 5)
	return copy_splice_read(file, pos, pipe, len, flags);
#else
	return generic_file_splice_read(file, pos, pipe, len, flags);
#endif
}

/* 6.8: a copy by splicing has another name. */
static inline ssize_t cw_copy_by_splice(struct file *in, loff_t pos_in, struct file *out,
					loff_t pos_out, size_t len, unsigned int flags)
{
#if CW_KERNEL(6, 8)
	return splice_copy_file_range(in, pos_in, out, pos_out, len);
#else
	return generic_copy_file_range(in, pos_in, out, pos_out, len, flags);
#endif
}

#endif
