// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The one place where trace points are made. */
#define CREATE_TRACE_POINTS
#include "trace.h"
