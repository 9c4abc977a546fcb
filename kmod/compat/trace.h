/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What differs between kernels for trace.h. */
#ifndef KMOD_COMPAT_TRACE_H
#define KMOD_COMPAT_TRACE_H

#include "compat.h"

/* 6.10: the source of a string is known from its declaration. */
#if CW_KERNEL(6, 10)
#define cw_assign_str(dst, src) __assign_str(dst)
#else
#define cw_assign_str(dst, src) __assign_str(dst, src)
#endif

#endif
