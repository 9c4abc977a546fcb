/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What submount.c takes from super.c. */
#ifndef KMOD_SUPER_H
#define KMOD_SUPER_H

#include <linux/fs.h>

extern struct file_system_type cw_type;

/* What does not depend on the server. */
int cw_super_set_up(struct super_block *sb);
/* What INIT has settled. */
void cw_super_set_agreed(struct super_block *sb);
/* Among those of its connection; kill_sb takes it out. */
void cw_super_join(struct super_block *sb);

#endif
