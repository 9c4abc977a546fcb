// SPDX-License-Identifier: BSD-2-Clause
/*
 * Copies to and from memory that may go away meanwhile: files that are mapped in the window.
 *
 * A page of a mapped file is not there when the file was truncated, when the back-end has taken it
 * away, or when its disk fails or is full: SIGBUS. A copy made here comes back and says so. It
 * costs nothing more than sigsetjmp() while all goes well: 8 ns, where a 4 KiB page that is in no
 * cache takes 700 ns by memcpy(), 1800 by pread() from its file, and 2800 by process_vm_readv() on
 * ourselves.
 *
 * The handler is the process's, from the first connection with a window to the last. A SIGBUS that
 * has nothing to do with such a copy goes where it went before: the handler that was there, or the
 * end of the process.
 */
#ifndef CLIENT_FAULT_H
#define CLIENT_FAULT_H

#include <stdbool.h>
#include <stddef.h>

/* Installs the handler, or counts one more user; and one less. 0 or -errno. */
int fault_begin(void);
void fault_end(void);

/* Copies len bytes, of which `shared` is the side that may go away. false: some of it was not
 * there, and nobody knows what was copied. */
bool fault_copy(void *to, const void *from, size_t len, const void *shared);

#endif
