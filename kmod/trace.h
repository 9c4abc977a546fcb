/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Trace points: what is sent, answered, interrupted and given up (events/causeway in tracefs). */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM causeway

#if !defined(KMOD_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define KMOD_TRACE_H

#include <linux/fuse.h>
#include <linux/tracepoint.h>

#include "compat/trace.h"

DECLARE_EVENT_CLASS(causeway_request,
	TP_PROTO(const char *tag, const struct fuse_in_header *in),
	TP_ARGS(tag, in),
	TP_STRUCT__entry(
		__string(tag, tag)
		__field(u64, unique)
		__field(u64, nodeid)
		__field(u32, opcode)
		__field(u32, len)
	),
	TP_fast_assign(
		cw_assign_str(tag, tag);
		__entry->unique = in->unique;
		__entry->nodeid = in->nodeid;
		__entry->opcode = in->opcode;
		__entry->len = in->len;
	),
	TP_printk("%s: unique %llu opcode %u node %#llx, %u bytes", __get_str(tag),
		  __entry->unique, __entry->opcode, __entry->nodeid, __entry->len)
);

DEFINE_EVENT(causeway_request, causeway_send,
	TP_PROTO(const char *tag, const struct fuse_in_header *in), TP_ARGS(tag, in));
DEFINE_EVENT(causeway_request, causeway_interrupt,
	TP_PROTO(const char *tag, const struct fuse_in_header *in), TP_ARGS(tag, in));

TRACE_EVENT(causeway_abort,
	TP_PROTO(const char *tag, int waiting),
	TP_ARGS(tag, waiting),
	TP_STRUCT__entry(
		__string(tag, tag)
		__field(int, waiting)
	),
	TP_fast_assign(
		cw_assign_str(tag, tag);
		__entry->waiting = waiting;
	),
	TP_printk("%s: %d requests wait", __get_str(tag), __entry->waiting)
);

TRACE_EVENT(causeway_reply,
	TP_PROTO(const char *tag, const struct fuse_in_header *in, int result),
	TP_ARGS(tag, in, result),
	TP_STRUCT__entry(
		__string(tag, tag)
		__field(u64, unique)
		__field(u32, opcode)
		__field(int, result)
	),
	TP_fast_assign(
		cw_assign_str(tag, tag);
		__entry->unique = in->unique;
		__entry->opcode = in->opcode;
		__entry->result = result;
	),
	TP_printk("%s: unique %llu opcode %u: %d", __get_str(tag), __entry->unique,
		  __entry->opcode, __entry->result)
);

#endif

#undef TRACE_INCLUDE_PATH
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_PATH .
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
