// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * A connection's life: from the device that it takes to the last super block that has it, and
 * whether the server at the other end still lives.
 *
 * A server may take as long as it likes for a request. But it takes what is on the high-priority
 * queue at once, whatever else it does. So where requests wait, and nothing has come back for half
 * of the time that a server has (the option server_timeout), it is sent a FORGET of nothing, which
 * has only to be taken. If that is still there when the other half has passed, nobody serves any
 * more: the device is reset, and all who wait get -ENOTCONN, as does whoever asks later, until
 * the file system is mounted anew.
 */
#include <linux/jiffies.h>
#include <linux/slab.h>

#include "coherence.h"
#include "conn.h"
#include "dax.h"
#include "request.h"
#include "sysfs.h"
#include "trace.h"

static unsigned long half_limit(const struct cw_conn *c)
{
	return max(msecs_to_jiffies(c->opt.server_ms) / 2, 1ul);
}

void cw_conn_waits(struct cw_conn *c)
{
	atomic_inc(&c->waiting);
	if (c->opt.server_ms && !delayed_work_pending(&c->watch_work))
		queue_delayed_work(system_unbound_wq, &c->watch_work, half_limit(c));
}

void cw_conn_heard(struct cw_conn *c, bool answer)
{
	atomic_inc(&c->returned);
	if (answer)
		atomic_dec(&c->waiting);
}

static void ask(struct cw_conn *c)
{
	const struct fuse_forget_in nothing = {};
	const struct cw_in in = { &nothing, sizeof(nothing) };

	/* Where it cannot even be put into the queue, the time goes on all the same. */
	cw_send(c, FUSE_FORGET, FUSE_ROOT_ID, &in, 1, CW_NO_WAIT);
}

/* Each half of the server's time. */
static void watch(struct work_struct *work)
{
	struct cw_conn *c = container_of(work, struct cw_conn, watch_work.work);
	unsigned int returned = atomic_read(&c->returned);

	if (READ_ONCE(c->dead) || atomic_read(&c->waiting) == 0) {
		c->asked = false;
		return;
	}
	/* None with the device: they wait for the end of a suspend. */
	if (returned != c->seen || cw_dev_in_flight(c->dev) == 0) {
		c->seen = returned;
		c->asked = false;
	} else if (c->asked) {
		pr_err("causeway: the server of '%s' does not answer: given up\n",
		       cw_dev_tag(c->dev));
		cw_conn_abort(c);
		return;
	} else {
		c->asked = true;
		ask(c);
	}
	queue_delayed_work(system_unbound_wq, &c->watch_work, half_limit(c));
}

void cw_conn_abort(struct cw_conn *c)
{
	trace_causeway_abort(cw_dev_tag(c->dev), atomic_read(&c->waiting));
	cw_dev_stop(c->dev, c);
}

struct cw_conn *cw_conn_new(struct cw_dev *dev, const struct cw_options *opt)
{
	struct cw_conn *c = kzalloc(sizeof(*c), GFP_KERNEL_ACCOUNT);
	int r;

	if (!c)
		return ERR_PTR(-ENOMEM);
	refcount_set(&c->refs, 1);
	c->dev = dev;
	c->opt = *opt;
	init_rwsem(&c->supers_lock);
	INIT_LIST_HEAD(&c->supers);
	atomic64_set(&c->attr_version, 1);
	cw_forget_init(c);
	init_llist_head(&c->answered);
	INIT_WORK(&c->answered_work, cw_answered);
	INIT_DELAYED_WORK(&c->watch_work, watch);
	init_completion(&c->kobj_gone);
	r = cw_dev_open(dev, c);
	if (r == 0) {
		r = cw_sysfs_add(c);
		if (r < 0)
			cw_dev_close(dev, 0);
	}
	if (r < 0) {
		kfree(c);
		return ERR_PTR(r);
	}
	return c;
}

/* INIT may never have been answered: what is sent then is refused, and that is all. */
static void say_goodbye(struct cw_conn *c)
{
	struct cw_call call = { .opcode = FUSE_DESTROY, .as_kernel = true, .unkillable = true,
				.nofail = true };

	if (!READ_ONCE(c->dead) && c->minor)
		cw_call(c, &call);
	WRITE_ONCE(c->dead, true);
}

void cw_conn_put(struct cw_conn *c)
{
	if (!refcount_dec_and_test(&c->refs))
		return;
	cw_dev_closing(c->dev);
	cw_forget_end(c);
	cw_dax_stop(c);
	say_goodbye(c);
	cw_coherence_stop(c);
	cancel_delayed_work_sync(&c->watch_work);
	cw_dev_close(c->dev, c->opt.server_ms);
	/* What came back last may still be with the thread. */
	flush_work(&c->answered_work);
	cw_forget_end(c);
	cw_sysfs_remove(c);
	WARN_ON_ONCE(atomic_read(&c->waiting) != 0);
	cw_dev_put(c->dev);
	kfree(c);
}
