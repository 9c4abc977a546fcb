// SPDX-License-Identifier: BSD-2-Clause
/*
 * A file system that answers from memory: a root directory with one file, which reads as
 * whatever is in the buffer and swallows writes. It isolates the transport in benches and fuzzing.
 */
#ifndef FS_NULL_H
#define FS_NULL_H

#include "fs/fs.h"

/* The one null file system; it has no state. */
struct fs *fs_null(void);

#endif
