// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Agreeing with the server on a version table (docs/coherence.md, "Agreement"), at the mount, and
 * again when that one is poisoned.
 *
 * conn->table is replaced in one place (install), by the thread that mounts or by the search's work
 * item, of which there is one, and never both at once; the table before it is unmapped when no RCU
 * reader looks at it any more.
 */
#include <linux/fs_context.h>
#include <linux/jiffies.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "coherence.h"
#include "conn.h"
#include "table.h"

/* How often the table may be another one between asking and agreeing, at the mount. */
#define TRIES     5
#define TRY_AGAIN (HZ / TRIES)

/* Looks for the next table. */
struct cw_search {
	struct cw_conn *conn;
	struct work_struct work;
	u64 next; /* not before this; get_jiffies_64() */
};

static int hello(struct cw_conn *c, u32 flags, struct vt_hello_out *out)
{
	struct vt_hello_in in = { .wire = VT_WIRE, .flags = flags };
	struct vt_hello_out reply;
	int r;

	if (flags & VT_HELLO_BEGIN)
		memcpy(in.id, out->id, VT_ID_SIZE);
	r = cw_simple(c, VT_HELLO, 0, &in, sizeof(in), NULL, &reply, sizeof(reply), NULL);
	if (r < 0)
		return r;
	if (reply.wire != VT_WIRE || reply.layout != VT_LAYOUT || !vt_are_slots(reply.slots) ||
	    ((flags & VT_HELLO_BEGIN) && memcmp(reply.id, in.id, VT_ID_SIZE)))
		return -EPROTO;
	*out = reply;
	return 0;
}

static void install(struct cw_conn *c, struct cw_table *t)
{
	/* No two do this at once, see above. */
	struct cw_table *old = rcu_replace_pointer(c->table, t, true);

	if (!old)
		return;
	synchronize_rcu();
	cw_table_put(old);
}

/* Asks for the table, maps it, and agrees to it: -ESTALE where it became another one meanwhile. The
 * first time also to one that is poisoned, for words begin while nothing else is under way; later
 * that is -EAGAIN. */
static int agree(struct cw_conn *c)
{
	struct vt_hello_out out;
	struct cw_table *t;
	int r = hello(c, 0, &out);

	if (r < 0)
		return r;
	t = cw_table_find(c->dev, out.id, out.slots);
	if (IS_ERR(t))
		return PTR_ERR(t);
	r = c->words && cw_table_head(t, poison) ? -EAGAIN : hello(c, VT_HELLO_BEGIN, &out);
	if (r < 0) {
		cw_table_put(t);
		return r;
	}
	install(c, t);
	WRITE_ONCE(c->words, true);
	return 0;
}

static void search(struct work_struct *work)
{
	struct cw_search *s = container_of(work, struct cw_search, work);

	/* What goes wrong is tried again in a second. */
	agree(s->conn);
}

static int explain(struct fs_context *fc, int r)
{
	switch (r) {
	case -ENOSYS:
		errorf(fc, "cache=shared: the server has no version table; causewayd has one with "
			   "--version-table");
		return -EOPNOTSUPP;
	case -ENOENT:
		errorf(fc, "cache=shared: this machine has not the server's version table, neither "
			   "as shared memory of the device nor as an ivshmem device; see "
			   "docs/coherence.md of causeway");
		return -ENODEV;
	case -EBUSY:
		errorf(fc, "cache=shared and writeback exclude each other");
		return -EINVAL;
	case -EPROTO:
		errorf(fc, "cache=shared: the server's answer to VT_HELLO names no version table "
			   "that is known here");
		return r;
	default:
		errorf(fc, "cache=shared: no agreement on a version table (error %d)", -r);
		return r;
	}
}

int cw_coherence_start(struct cw_conn *c, struct fs_context *fc)
{
	struct cw_search *s;
	int r = -ESTALE;

	if (c->opt.cache != CW_CACHE_SHARED)
		return 0;
	s = kzalloc(sizeof(*s), GFP_KERNEL);
	if (!s)
		return -ENOMEM;
	s->conn = c;
	INIT_WORK(&s->work, search);
	for (int i = 0; r == -ESTALE && i < TRIES; i++) {
		if (i)
			schedule_timeout_killable(TRY_AGAIN);
		if (fatal_signal_pending(current))
			break;
		r = agree(c);
	}
	if (r < 0) {
		kfree(s);
		return explain(fc, r);
	}
	/* Not before the first table is there: requests look for it. */
	smp_store_release(&c->search, s);
	return 0;
}

void cw_coherence_stop(struct cw_conn *c)
{
	struct cw_search *s = c->search;

	if (!s)
		return;
	cancel_work_sync(&s->work);
	c->search = NULL;
	kfree(s);
	install(c, NULL);
}

static bool is_good(const struct cw_conn *c)
{
	const struct cw_table *t;
	bool good;

	rcu_read_lock();
	t = rcu_dereference(c->table);
	good = t && !cw_table_head(t, poison);
	rcu_read_unlock();
	return good;
}

void cw_coherence_tend(struct cw_conn *c)
{
	struct cw_search *s = smp_load_acquire(&c->search);
	u64 now, next;

	if (!s || is_good(c))
		return;
	now = get_jiffies_64();
	next = READ_ONCE(s->next);
	/* Of several that come at once, one; the search's own requests come here too. */
	if (now >= next && cmpxchg64(&s->next, next, now + HZ) == next)
		schedule_work(&s->work);
}
