/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A connection to a server, and requests to it.
 *
 * The way of a request: a room (dir.c, file.c, ...) fills in a struct cw_call and hands it to
 * cw_call() or cw_call_start(); request.c puts headers, arguments and room for the reply into
 * memory that the device may use; virtio.c puts that into a virtqueue; reply.c gets the reply,
 * checks it once, and copies it to where the call says.
 *
 * What a server sends is not trusted: lengths, errors and numbers are checked in reply.c, what
 * they mean in the room that asked.
 */
#ifndef KMOD_CONN_H
#define KMOD_CONN_H

#include <linux/bitmap.h>
#include <linux/completion.h>
#include <linux/bvec.h>
#include <linux/fs.h>
#include <linux/kobject.h>
#include <linux/list.h>
#include <linux/llist.h>
#include <linux/refcount.h>
#include <linux/rwsem.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "compat/compat.h"
#include "proto/fuse_ops.h"
#include "proto/version_wire.h"
#include "proto/causeway_wire.h"

#define CW_NAME_MAX    1024 /* of a name, as FUSE has it */
#define CW_MAGIC       0x65735546 /* of statfs(2): FUSE's, for programs know it */

enum cw_cache { CW_CACHE_AUTO, CW_CACHE_NONE, CW_CACHE_ALWAYS, CW_CACHE_SHARED };
enum cw_dax_mode { CW_DAX_INODE_DEFAULT, CW_DAX_NEVER, CW_DAX_INODE, CW_DAX_ALWAYS };

/* What mount(8) was told; options.c. Times are in milliseconds; CW_UNSET: not told. */
#define CW_UNSET (~0u)
struct cw_options {
	enum cw_cache cache;
	enum cw_dax_mode dax;
	bool writeback;
	bool no_writeback;
	unsigned int attr_ms, entry_ms, negative_ms;
	unsigned int max_read;     /* bytes; 0: what the server takes */
	unsigned int server_ms;    /* how long the server may leave its high-priority queue alone */
};

struct cw_dev;   /* virtio.h */
struct cw_table; /* table.c */
struct cw_search; /* coherence.c */
struct cw_dax_window; /* dax.c */

/*
 * A mounted server. All super blocks of one mount (its submounts) share it. What INIT settled does
 * not change after it.
 */
struct cw_conn {
	refcount_t refs;
	struct cw_dev *dev;
	bool dead; /* nothing is sent any more; never unset */
	struct cw_options opt;

	/* From INIT (init.c). */
	u32 minor;
	u64 flags;           /* of FUSE_INIT that both sides want */
	unsigned int max_write, max_read; /* bytes, whole pages */
	unsigned int max_pages;
	u32 time_gran;
	u32 map_alignment;   /* log2 of bytes: of what may be mapped (DAX) */
	DECLARE_BITMAP(absent, FUSE_OPCODE_MAX); /* what the server answered ENOSYS to */

	atomic64_t unique;
	atomic64_t attr_version; /* counts what we know better than a reply that is under way */
	atomic64_t evicted_version; /* the highest attr_version of inodes that have gone */

	/* coherence.c: NULL without cache=shared, or without a table. */
	struct cw_table __rcu *table;
	struct cw_search *search; /* of the next table; NULL in other modes */
	bool words;          /* replies have them (VT_HELLO_BEGIN) */
	bool ours;           /* the server knows CW_HELLO */
	u32 extensions;      /* CW_EXT_* that both sides have */

	struct cw_dax_window *window; /* dax.c: or NULL */

	/* Super blocks, for what comes from the server, and for the end. */
	struct rw_semaphore supers_lock;
	struct list_head supers; /* of cw_super.entry */

	/* Forgets that wait to be sent together (forget.c). */
	spinlock_t forget_lock;
	struct list_head forgets;
	unsigned int nforgets;
	struct delayed_work forget_work;

	/* Whether the server still lives (conn.c). */
	atomic_t waiting;            /* requests without a reply, but those nobody waits for */
	atomic_t returned;           /* what the server has given back */
	unsigned int seen;           /* ... when it was looked at last */
	bool asked;                  /* for a sign of life, since then */
	struct delayed_work watch_work;

	/* Replies that are handled outside the interrupt (reply.c). */
	struct llist_head answered;
	struct work_struct answered_work;

	atomic64_t sent; /* requests, forgets too; shown in /sys/fs/causeway */
	atomic64_t sent_by_op[FUSE_OPCODE_MAX]; /* [0]: of the opcodes beyond */
	struct kobject kobj; /* /sys/fs/causeway/TAG */
	struct completion kobj_gone;
};

/* ---- a call ------------------------------------------------------------------------------- */

struct cw_words; /* coherence.h */

struct cw_in {
	const void *data;
	unsigned int len;
};

/*
 * One request. All zero but what is needed. With pages, data goes from or to them behind the
 * arguments (WRITE) or the reply (READ, READDIR): never both.
 */
struct cw_call {
	u32 opcode;
	u64 nodeid;
	unsigned int nin;
	struct cw_in in[4];

	void *out;            /* a successful reply's fixed part is copied here */
	unsigned int out_size;
	bool out_short;       /* it may be shorter: the rest is not touched */

	struct bio_vec *pages; /* data; the caller holds them until the end */
	unsigned int npages;
	unsigned int data_len; /* bytes in pages that are sent, or may come */
	bool to_server;        /* direction of pages */

	struct cw_words *words; /* or NULL: what the reply had of them is not wanted */

	unsigned int ext_len; /* so much of the last in[] is extensions (total_extlen), 8 times n */

	bool as_kernel;  /* uid and gid 0: nobody in particular asks (writeback) */
	bool nofail;     /* memory for it is waited for */
	bool unkillable; /* RELEASE and the like: a signal does not end the wait */
	bool through;    /* goes also while requests are held up: CW_THROUGH */
	unsigned long limit; /* jiffies for the reply, else -EINTR; 0: any time. No pages with it */
	bool ids;        /* uid and gid are set already: a creator's, through an idmapped mount */
	kuid_t uid;      /* else set by cw_call() */
	kgid_t gid;
	pid_t pid;

	/* cw_call_start() only: called once, with the result. It may not sleep for long: others
	 * wait behind it. */
	void (*end)(struct cw_call *call, int result);
};

/*
 * Sends a request and waits for the reply. The number of bytes of payload (fixed part and data,
 * words not counted), or -errno: the server's, or -ENOTCONN (the server or the device has gone),
 * -EIO (a reply that makes no sense), -ENOMEM, -EINTR (interrupted, and the server agreed or the
 * task is being killed: nobody waits for the reply then, request.c keeps all memory that it needs
 * until it comes; pages included, by references).
 */
int cw_call(struct cw_conn *c, struct cw_call *call);

/* The same without waiting; call and all that it points to stay until end() is called, by a kernel
 * thread, which may be before this returns. 0, or -errno, and end() is not called. It may sleep for
 * room in the queue. */
int cw_call_start(struct cw_conn *c, struct cw_call *call);

/* Names and simple replies: cw_simple(c, op, nodeid, arg, name, out). Any but op may be NULL/0. */
int cw_simple(struct cw_conn *c, u32 opcode, u64 nodeid, const void *arg, unsigned int arg_len,
	      const struct qstr *name, void *out, unsigned int out_size, struct cw_words *words);

/* Gives lookups of a node back; later, together with others. Never fails: the memory for it is
 * allocated with the inode (NULL: allocated now, and waited for). */
struct cw_forget {
	struct list_head entry;
	u64 nodeid, lookups;
};
void cw_forget(struct cw_conn *c, struct cw_forget *forget, u64 nodeid, u64 lookups);

/* readdir.c: gives back what a READDIRPLUS brought that nobody is going to see. */
void cw_forget_listed(struct cw_conn *c, struct page *page, unsigned int len);

/* Whether the server does not know an operation; and that it does not. */
static inline bool cw_is_absent(const struct cw_conn *c, u32 opcode)
{
	return test_bit(opcode, c->absent);
}

static inline void cw_set_absent(struct cw_conn *c, u32 opcode)
{
	set_bit(opcode, c->absent);
}

/* Ends all that waits, and all that will be asked, with -ENOTCONN. Any context that may sleep. */
void cw_conn_abort(struct cw_conn *c);

/* A connection to a device, which it opens: an error pointer. The last reference closes it. */
struct cw_conn *cw_conn_new(struct cw_dev *dev, const struct cw_options *opt);
void cw_conn_put(struct cw_conn *c);

static inline struct cw_conn *cw_conn_get(struct cw_conn *c)
{
	refcount_inc(&c->refs);
	return c;
}

/* conn.c, for request.c: a request waits for the server from now on; and the server has given one
 * back, or what gets no answer. */
void cw_conn_waits(struct cw_conn *c);
void cw_conn_heard(struct cw_conn *c, bool answer);

/* forget.c: sends what waits; frees what cannot be sent any more. */
void cw_forget_init(struct cw_conn *c);
void cw_forget_end(struct cw_conn *c);

/* Sends what gets no reply, on the high-priority queue: FORGET, BATCH_FORGET, INTERRUPT. */
enum cw_wait { CW_WAIT, CW_WAIT_KILLABLE, CW_NO_WAIT }; /* for room in the queue */
int cw_send(struct cw_conn *c, u32 opcode, u64 nodeid, const struct cw_in *in, unsigned int nin,
	    enum cw_wait wait);

/* ---- virtio.c, reply.c --------------------------------------------------------------------- */

struct cw_req; /* request.h */

/* Puts a request into a queue: that of this processor, the high-priority one, or the first one for
 * requests, there also while a suspend holds up all others. The device reads the first `out` lists,
 * and writes the others. -ENOTCONN, -EINTR, -ENOMEM, and without waiting for room -ENOSPC. */
enum cw_way { CW_AS_EVER, CW_HIGH_PRIORITY, CW_THROUGH };
struct cw_sgs {
	struct scatterlist *sgs[4];
	unsigned int out, in;
};

int cw_dev_submit(struct cw_dev *dev, enum cw_way way, struct cw_sgs *sgs, struct cw_req *req,
		  enum cw_wait wait);

/* reply.c, from the interrupt: a request that the device is done with (it has written len bytes)
 * becomes part of a chain; the chain, without locks; and one that the device will not answer. */
struct cw_req *cw_req_chain(struct cw_req *chain, struct cw_req *req, unsigned int len);
void cw_reqs_done(struct cw_req *chain);
void cw_req_gone(struct cw_req *req, int err);

/* ---- device.c ------------------------------------------------------------------------------- */

/* The device of a tag, referenced: -ENODEV. The reference is to our memory; the device may go. */
struct cw_dev *cw_dev_find(const char *tag);
void cw_dev_put(struct cw_dev *dev);

/* Takes the device for one connection (-EBUSY, -ENODEV), and gives it back when no request is in it
 * any more; what is still there after so many milliseconds (0: never) is given up. After
 * cw_dev_closing() whoever wants to open it waits for the end. */
int cw_dev_open(struct cw_dev *dev, struct cw_conn *c);
void cw_dev_closing(struct cw_dev *dev);
void cw_dev_close(struct cw_dev *dev, unsigned int ms);

/* Gives the server up: the device is reset, and all requests in it end with -ENOTCONN. Nothing
 * happens where another connection has the device by now. */
void cw_dev_stop(struct cw_dev *dev, const struct cw_conn *c);

/* Shared memory (virtio 1.2, section 2.10): false where the device has no such region. */
bool cw_dev_region(struct cw_dev *dev, u8 id, phys_addr_t *start, size_t *size);
unsigned int cw_dev_max_pages(const struct cw_dev *dev); /* of one request; virtio.c */
int cw_dev_in_flight(const struct cw_dev *dev); /* requests that the device has */
const char *cw_dev_tag(const struct cw_dev *dev);

#endif
