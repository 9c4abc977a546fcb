// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Forgets: lookups that the server counts and nobody here needs any more, given back together.
 *
 * They wait in a list until there are enough for a message, or some milliseconds have passed. What
 * waits when the connection ends is not sent: DESTROY says it all.
 */
#include <linux/slab.h>

#include "conn.h"

#define BATCH 128 /* in one message */
#define DELAY msecs_to_jiffies(10)

struct batch {
	struct fuse_batch_forget_in head;
	struct fuse_forget_one one[BATCH];
};

/* Takes up to a batch out of the list; how many. */
static unsigned int take(struct cw_conn *c, struct batch *batch)
{
	struct cw_forget *f;
	unsigned int n = 0;
	LIST_HEAD(taken);

	spin_lock(&c->forget_lock);
	while (n < BATCH && (f = list_first_entry_or_null(&c->forgets, struct cw_forget, entry))) {
		batch->one[n++] = (struct fuse_forget_one){ f->nodeid, f->lookups };
		list_move(&f->entry, &taken);
	}
	c->nforgets -= n;
	spin_unlock(&c->forget_lock);
	while ((f = list_first_entry_or_null(&taken, struct cw_forget, entry))) {
		list_del(&f->entry);
		kfree(f);
	}
	return n;
}

static void send(struct work_struct *work)
{
	struct cw_conn *c = container_of(work, struct cw_conn, forget_work.work);
	struct batch *batch = kzalloc(sizeof(*batch), GFP_NOFS | __GFP_NOFAIL);
	unsigned int n;

	while ((n = take(c, batch)) > 0) {
		const struct cw_in in = { batch, struct_size(batch, one, n) };

		batch->head = (struct fuse_batch_forget_in){ .count = n };
		/* Without memory or a server they stay known to it until DESTROY. */
		if (cw_send(c, FUSE_BATCH_FORGET, 0, &in, 1, CW_WAIT) < 0)
			break;
	}
	kfree(batch);
}

void cw_forget(struct cw_conn *c, struct cw_forget *forget, u64 nodeid, u64 lookups)
{
	bool many;

	if (!forget)
		forget = kzalloc(sizeof(*forget), GFP_NOFS | __GFP_NOFAIL);
	forget->nodeid = nodeid;
	forget->lookups = lookups;
	spin_lock(&c->forget_lock);
	list_add_tail(&forget->entry, &c->forgets);
	many = ++c->nforgets >= BATCH;
	spin_unlock(&c->forget_lock);
	if (many)
		mod_delayed_work(system_unbound_wq, &c->forget_work, 0);
	else
		queue_delayed_work(system_unbound_wq, &c->forget_work, DELAY);
}

void cw_forget_init(struct cw_conn *c)
{
	spin_lock_init(&c->forget_lock);
	INIT_LIST_HEAD(&c->forgets);
	INIT_DELAYED_WORK(&c->forget_work, send);
}

void cw_forget_end(struct cw_conn *c)
{
	struct cw_forget *f, *next;

	cancel_delayed_work_sync(&c->forget_work);
	list_for_each_entry_safe(f, next, &c->forgets, entry)
		kfree(f);
	INIT_LIST_HEAD(&c->forgets);
	c->nforgets = 0;
}
