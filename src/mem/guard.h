// SPDX-License-Identifier: BSD-2-Clause
/*
 * What happens when guest memory goes away under us.
 *
 * A front-end can shorten the file behind a region after it was mapped; a load or store there is
 * then a SIGBUS in this process. The guard puts empty private memory in the region's place and
 * lets the access go on: the guest that lost its memory reads zeros, everybody else is served.
 */
#ifndef MEM_GUARD_H
#define MEM_GUARD_H

#include "mem/mem.h"

/* Guards the regions of mem, one table for the whole process, until it is called with NULL. A
 * SIGBUS anywhere else ends the process as ever. */
void mem_guard(struct mem *mem);

#endif
