/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What differs between the kernels that the module is built for (6.1 to 7.2), for all rooms. What
 * one room needs stands beside this, in compat/ROOM.h. No other file asks for the version.
 */
#ifndef KMOD_COMPAT_H
#define KMOD_COMPAT_H

#include <linux/fs.h>
#include <linux/version.h>

#define CW_KERNEL(a, b) (LINUX_VERSION_CODE >= KERNEL_VERSION(a, b, 0))

/* 6.3: inode operations take the mount's idmap, no more its user namespace. */
#if CW_KERNEL(6, 3)
typedef struct mnt_idmap cw_idmap;
#define CW_NOP_IDMAP (&nop_mnt_idmap)
#else
typedef struct user_namespace cw_idmap;
#define CW_NOP_IDMAP (&init_user_ns)
#endif

/* 6.17: what ioctls of inode flags are about has another name. */
#if CW_KERNEL(6, 17)
typedef struct file_kattr cw_fileattr;
#else
struct fileattr;
typedef struct fileattr cw_fileattr;
#endif

#endif
