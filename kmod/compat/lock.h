/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What differs between kernels for file locks: 6.3 gave them a header, 6.9 what they share with
 * leases.
 */
#ifndef KMOD_COMPAT_LOCK_H
#define KMOD_COMPAT_LOCK_H

#include <linux/fs.h>

#include "compat.h"

#if CW_KERNEL(6, 3)
#include <linux/filelock.h>
#endif

/* cw_fl(fl, type): fl->fl_type, and likewise. */
#if CW_KERNEL(6, 9)
#define cw_fl(lock, field) ((lock)->c.flc_##field)
#else
#define cw_fl(lock, field) ((lock)->fl_##field)
#endif

#endif
