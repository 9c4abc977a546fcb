// SPDX-License-Identifier: BSD-2-Clause
/*
 * One line for a request and its outcome.
 */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "fuse/request.h"

void fuse_print(const struct fuse_req *req, int result)
{
	const struct fuse_in_header *in = &req->in;
	char names[600] = "";
	char number[24];
	size_t used = 0;

	for (unsigned int i = 0; req->op && i < req->op->names && req->name[i]; i++) {
		char quoted[280];

		log_quote(quoted, sizeof(quoted), req->name[i], strlen(req->name[i]));
		used += (size_t)snprintf(names + used, sizeof(names) - used, " \"%s\"", quoted);
	}
	if (result == FUSE_LATER) {
		log_print(LOG_TRACE, "queue %u: %s %llu node %#llx uid %u gid %u: waits",
			req->w->queue, req->op->name, (unsigned long long)in->unique,
			(unsigned long long)in->nodeid, in->uid, in->gid);
		return;
	}
	snprintf(number, sizeof(number), "opcode %u", in->opcode);
	log_print(LOG_TRACE, "queue %u: %s %llu node %#llx uid %u gid %u%s: %s%s, %d bytes",
		req->w->queue, req->op ? req->op->name : number, (unsigned long long)in->unique,
		(unsigned long long)in->nodeid, in->uid, in->gid, names,
		result < 0 ? "-" : "", result < 0 ? strerrorname_np(-result) : "done",
		result < 0 ? 0 : result);
}
