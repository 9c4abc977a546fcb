/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What init.c has for super.c. */
#ifndef KMOD_INIT_H
#define KMOD_INIT_H

#include <linux/virtio_fs.h>

struct cw_conn;
struct fs_context;
struct super_block;

/* Agrees with the server on all there is; sets what conn.h says is from INIT, and the read-ahead of
 * sb. 0, or -errno and a message by fc. */
int cw_init(struct cw_conn *c, struct super_block *sb, struct fs_context *fc);

#endif
