// SPDX-License-Identifier: BSD-2-Clause
/*
 * When a file's own pages are mapped: while it is leased, and there is room.
 */
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "fs/passthrough/cred.h"
#include "fs/passthrough/dax.h"

/* Whether the guest may have the file open, by who has its node pinned beside us and (asker) the
 * operation that asks: what only runs for a moment counts too. */
static bool is_in_use(const struct pt_dax_file *d, bool asker)
{
	return dax_of(d)->no_open || (atomic_load(&d->node->pins) & ~PT_COLD) > (asker ? 2 : 1);
}

/* Nothing of it is mapped any more; change is held. */
static void make_idle(struct pt_dax_file *d)
{
	struct dax_file *file = atomic_load(&d->file);

	dax_set_safe(file, false, false);
	d->idle = true;
}

/* The lease's thread: somebody on the host wants the file. */
static void lease_broken(void *opaque)
{
	struct pt_dax_file *d = opaque;
	PT_INSIDE struct pt_inside in = pt_enter_table(d->pt);

	pthread_mutex_lock(&d->change);
	cred_be_daemon();
	if (is_in_use(d, false))
		dax_set_safe(atomic_load(&d->file), false, true);
	else
		make_idle(d);
	d->leased = false;
	pthread_mutex_unlock(&d->change);
}

void pt_dax_lease(struct pt_dax_file *d)
{
	struct pt_dax *dax = dax_of(d);
	int r;

	if (!dax->leases || d->leased || d->node->mount->no_leases)
		return;
	cred_be_daemon();
	r = lease_take(dax->leases, d->fd, lease_broken, d);
	if (r == 0) {
		d->leased = true;
		dax_set_safe(atomic_load(&d->file), true, true);
		return;
	}
	if (r == -EAGAIN)
		return;
	if (r != -EACCES)
		d->node->mount->no_leases = true;
	if (!atomic_exchange(&dax->told, true))
		log_warn("--dax=auto: no lease to be had on a file (%s): its contents are copied "
			 "into the window; --dax=always would map it", strerror(-r));
}

/* The next file after d in the list that is mapped and not open, with a reference and its change
 * locked; or NULL. */
static struct pt_dax_file *next_unused(struct pt_dax *dax, const struct pt_dax_file *not)
{
	struct pt_dax_file *d;

	pthread_mutex_lock(&dax->lock);
	for (d = dax->files; d; d = d->next) {
		/* Two that look for room must not wait for each other. */
		if (d == not || !d->claimed || pthread_mutex_trylock(&d->change) != 0)
			continue;
		if (!d->idle && !is_in_use(d, false)) {
			d->refs++;
			break;
		}
		pthread_mutex_unlock(&d->change);
	}
	pthread_mutex_unlock(&dax->lock);
	return d;
}

bool pt_dax_make_room(struct pt_dax_file *d, bool needed)
{
	struct pt_dax *dax = dax_of(d);
	struct dax_count count;
	bool some = false;

	dax_window_count(dax->window, &count);
	for (size_t n = 0; n < PT_DAX_ROOM && (needed || count.pieces > PT_DAX_PIECES); n++) {
		struct pt_dax_file *victim = next_unused(dax, d);

		if (!victim)
			break;
		make_idle(victim);
		pthread_mutex_unlock(&victim->change);
		pt_dax_put(victim);
		dax_window_count(dax->window, &count);
		some = true;
	}
	return some;
}

static int renew(struct pt_dax_file *d)
{
	struct dax_file *file = atomic_load(&d->file);

	/* What is in use is not exchanged. */
	if (d->idle || !is_in_use(d, true))
		pt_dax_lease(d);
	/* Copies are renewed: the host may have changed the file. */
	if (dax_of(d)->leases && !d->leased)
		return dax_settle(file);
	return d->idle ? dax_set_safe(file, true, true) : 0;
}

int pt_dax_renew(struct pt_dax_file *d)
{
	int r;

	if (!d->idle && !dax_file_is_claimed(atomic_load(&d->file)))
		return 0;
	cred_be_daemon();
	if (d->idle)
		pt_dax_make_room(d, false);
	do
		r = renew(d);
	while (r == -ENOSPC && pt_dax_make_room(d, true));
	if (r == 0)
		d->idle = false;
	else if (d->idle)
		make_idle(d);
	return r;
}
