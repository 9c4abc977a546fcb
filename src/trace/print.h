// SPDX-License-Identifier: BSD-2-Clause
/*
 * FUSE messages as text: the only printer, for the log of causewayd and for `causeway decode`.
 *
 * What is printed may come from anywhere: nothing beyond its length is read, and names are quoted
 * (log_quote()). Members that are 0 are left out. A text that does not fit is cut.
 */
#ifndef TRACE_PRINT_H
#define TRACE_PRINT_H

#include <stddef.h>
#include <stdint.h>

#include "trace/ops.h"

/* Enough for a request with two names. */
#define TRACE_TEXT_MAX 1600

/* "OPCODE UNIQUE node ID uid ID gid ID, members, names"; args: what stands behind the header, as
 * far as it is known. Returns the length of the text. */
size_t trace_print_request(char *text, size_t size, const struct fuse_in_header *in,
	const void *args, size_t len);

/* "done, N bytes, members" or "-ERRNO"; error as in struct fuse_out_header, bytes: of payload,
 * payload: as much of it as is known. */
size_t trace_print_reply(char *text, size_t size, uint32_t opcode, int32_t error, size_t bytes,
	const void *payload, size_t len);

#endif
