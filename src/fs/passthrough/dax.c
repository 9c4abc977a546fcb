// SPDX-License-Identifier: BSD-2-Clause
#include "fs/passthrough/dax.h"

#include <errno.h>

#include "fs/passthrough/cred.h"
#include "fs/passthrough/io.h"

/* #syscalls: faccessat faccessat2 close */

/* Into the list at head; dax->lock is held. */
static void link_file(struct pt_dax_file *d, struct pt_dax_file **head)
{
	d->next = *head;
	d->link = head;
	if (*head)
		(*head)->link = &d->next;
	*head = d;
}

static void unlink_file(struct pt_dax_file *d)
{
	*d->link = d->next;
	if (d->next)
		d->next->link = d->link;
}

struct pt_dax_file *pt_dax_get(struct passthrough *pt, struct pt_node *node)
{
	struct pt_dax_file *d;

	if (!pt->dax || !atomic_load_explicit(&node->dax, memory_order_acquire))
		return NULL;
	pthread_mutex_lock(&pt->dax->lock);
	d = atomic_load_explicit(&node->dax, memory_order_relaxed);
	if (d)
		d->refs++;
	pthread_mutex_unlock(&pt->dax->lock);
	return d;
}

static struct pt_dax_file *new_file(struct passthrough *pt, struct pt_node *node)
{
	struct pt_dax_file *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	d->pt = pt;
	d->node = node;
	d->refs = 1;
	d->fd = -1;
	pthread_mutex_init(&d->change, NULL);
	return d;
}

struct pt_dax_file *pt_dax_take(struct passthrough *pt, struct pt_node *node)
{
	struct pt_dax_file *there = pt_dax_get(pt, node), *d;

	if (there)
		return there;
	d = new_file(pt, node);
	if (!d)
		return NULL;
	pthread_mutex_lock(&pt->dax->lock);
	there = atomic_load_explicit(&node->dax, memory_order_relaxed);
	if (there) {
		there->refs++;
	} else {
		/* The caller has a reference and a pin, so that these can be had. */
		idtab_get(pt->nodes, idtab_id(&node->slot));
		atomic_fetch_add(&node->pins, 1);
		link_file(d, &pt->dax->files);
		atomic_store_explicit(&node->dax, d, memory_order_release);
	}
	pthread_mutex_unlock(&pt->dax->lock);
	if (there) {
		pthread_mutex_destroy(&d->change);
		free(d);
	}
	return there ? there : d;
}

/* Gives a reference back; dax->lock is held. */
static void put_locked(struct pt_dax_file *d)
{
	struct pt_dax *dax = dax_of(d);

	if (--d->refs > 0)
		return;
	atomic_store_explicit(&d->node->dax, NULL, memory_order_relaxed);
	unlink_file(d);
	link_file(d, &dax->retired);
	pthread_cond_signal(&dax->work);
}

void pt_dax_put(struct pt_dax_file *d)
{
	struct pt_dax *dax;

	if (!d)
		return;
	dax = dax_of(d);
	pthread_mutex_lock(&dax->lock);
	put_locked(d);
	pthread_mutex_unlock(&dax->lock);
}

void pt_dax_note_claims(struct passthrough *pt)
{
	struct pt_dax *dax = pt->dax;
	struct pt_dax_file *d, *next;

	pthread_mutex_lock(&dax->lock);
	for (d = dax->files; d; d = next) {
		struct dax_file *file = atomic_load(&d->file);
		bool claimed = file && dax_file_is_claimed(file);

		next = d->next;
		if (claimed == d->claimed)
			continue;
		d->claimed = claimed;
		if (claimed)
			d->refs++;
		else
			put_locked(d);
	}
	pthread_mutex_unlock(&dax->lock);
}

int pt_dax_flush_all(struct passthrough *pt)
{
	struct pt_dax *dax = pt->dax;
	struct pt_dax_file *d, *next;
	int first = 0;

	if (!dax)
		return 0;
	PT_INSIDE struct pt_inside in = pt_enter_table(pt);
	cred_be_daemon();
	pthread_mutex_lock(&dax->lock);
	for (d = dax->files; d; d = next) {
		struct dax_file *file = atomic_load(&d->file);
		int r;

		/* Referenced, it keeps its place in the list. */
		d->refs++;
		pthread_mutex_unlock(&dax->lock);
		r = file ? dax_flush(file) : 0;
		if (first == 0)
			first = r;
		pthread_mutex_lock(&dax->lock);
		next = d->next;
		put_locked(d);
	}
	pthread_mutex_unlock(&dax->lock);
	return first;
}

/* The one who ends files. */
static void end_file(struct pt_dax *dax, struct pt_dax_file *d)
{
	PT_INSIDE struct pt_inside in = pt_enter_table(d->pt);
	struct dax_file *file = atomic_load(&d->file);

	/* What a reset left may be mapped still, and is safe while the lease lasts. */
	dax_settle_all(dax->window);
	if (file && dax->leases)
		lease_end(dax->leases, d->fd);
	if (file)
		dax_file_free(file);
	close_fd(&d->fd);
	pt_unpin(d->node);
	pt_node_put(d->pt, d->node);
	pthread_mutex_destroy(&d->change);
	free(d);
}

static void *keep(void *opaque)
{
	struct pt_dax *dax = opaque;
	struct pt_dax_file *d;

	pthread_setname_np(pthread_self(), "dax");
	pthread_mutex_lock(&dax->lock);
	for (;;) {
		while (!dax->retired && !dax->stop)
			pthread_cond_wait(&dax->work, &dax->lock);
		d = dax->retired;
		if (!d)
			break;
		unlink_file(d);
		pthread_mutex_unlock(&dax->lock);
		end_file(dax, d);
		pthread_mutex_lock(&dax->lock);
	}
	pthread_mutex_unlock(&dax->lock);
	return NULL;
}

int pt_dax_start(struct passthrough *pt)
{
	const struct passthrough_config *config = &pt->config;
	struct pt_dax *dax;
	int r = 0;

	if (!config->window)
		return 0;
	dax = calloc(1, sizeof(*dax));
	if (!dax)
		return -ENOMEM;
	dax->window = config->window;
	dax->no_open = config->no_open;
	pthread_mutex_init(&dax->lock, NULL);
	pthread_cond_init(&dax->work, NULL);
	if (config->dax == PT_DAX_AUTO)
		r = leases_start(&dax->leases);
	if (r == 0)
		r = -pthread_create(&dax->keeper, NULL, keep, dax);
	if (r == 0) {
		pt->dax = dax;
		return 0;
	}
	if (dax->leases)
		leases_stop(dax->leases);
	pthread_cond_destroy(&dax->work);
	pthread_mutex_destroy(&dax->lock);
	free(dax);
	return r;
}

void pt_dax_stop(struct passthrough *pt)
{
	struct pt_dax *dax = pt->dax;

	if (!dax)
		return;
	pthread_mutex_lock(&dax->lock);
	dax->stop = true;
	pthread_cond_signal(&dax->work);
	pthread_mutex_unlock(&dax->lock);
	pthread_join(dax->keeper, NULL);
	if (dax->leases)
		leases_stop(dax->leases);
	pthread_cond_destroy(&dax->work);
	pthread_mutex_destroy(&dax->lock);
	free(dax);
	pt->dax = NULL;
}

void pt_dax_reset(struct passthrough *pt)
{
	struct pt_dax *dax = pt->dax;
	struct pt_dax_file *d, *next;

	if (!dax)
		return;
	PT_INSIDE struct pt_inside in = pt_enter_table(pt);
	dax_window_reset(dax->window);
	pthread_mutex_lock(&dax->lock);
	for (d = dax->files; d; d = next) {
		next = d->next;
		if (!d->claimed)
			continue;
		d->claimed = false;
		put_locked(d);
	}
	pthread_mutex_unlock(&dax->lock);
}

void passthrough_drop_window(struct fs *fs)
{
	struct passthrough *pt = pt_of(fs);
	PT_INSIDE struct pt_inside in = pt_enter_table(pt);

	dax_window_dropped(pt->config.window);
}

/* What copies hold is written back at any time: a change of its own (version.h). */
static int before_write(void *opaque)
{
	struct pt_dax_file *d = opaque;

	return pt_own_begin(d->pt, d->node, &d->writing);
}

static void after_write(void *opaque)
{
	struct pt_dax_file *d = opaque;

	pt_own_end(&d->writing);
}

/* Times of access are left alone where we may. */
static int open_quietly(struct pt_dax_file *d, int flags)
{
	int fd = pt_open_node(d->pt, d->node, flags | O_NOATIME);

	return fd == -EPERM ? pt_open_node(d->pt, d->node, flags) : fd;
}

int pt_dax_describe(struct pt_dax_file *d)
{
	const struct passthrough *pt = d->pt;
	struct dax_file *file;
	bool writable = !pt->config.readonly;
	int fd = -EROFS;

	if (d->fd >= 0)
		return 0;
	cred_be_daemon();
	if (writable)
		fd = open_quietly(d, O_RDWR);
	if (fd == -EROFS || fd == -EACCES || fd == -EPERM || fd == -ETXTBSY) {
		writable = false;
		fd = open_quietly(d, O_RDONLY);
	}
	if (fd < 0)
		return fd;
	file = dax_file_new(dax_of(d)->window, fd, writable, !dax_of(d)->leases);
	if (!file) {
		close(fd);
		return -ENOMEM;
	}
	dax_file_watch(file, &(struct dax_watch){before_write, after_write, d});
	d->fd = fd;
	d->writable = writable;
	atomic_store(&d->file, file);
	return 0;
}

/* Whether a file is better accessed through the window, as far as its attributes tell. */
static bool suits(const struct passthrough *pt, const struct pt_node *node,
	const struct statx *attr)
{
	if (!S_ISREG(attr->stx_mode) || node->barred || pt->config.readonly ||
		attr->stx_attributes & (STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND))
		return false;
	if (!pt->dax->leases)
		return true;
	return attr->stx_size >= PT_DAX_BYTES_LEAST && attr->stx_size % DAX_PAGE == 0 &&
		!node->mount->no_leases;
}

/* Front-ends map memory that can be stored to, whatever is asked for; so only what the daemon may
 * write is handed out to those that cannot do otherwise. */
static bool may_write(struct passthrough *pt, const struct pt_node *node)
{
	cred_be_daemon();
	return faccessat(pt->proc_fd, pt_fdname(node->fd).s, W_OK, AT_EACCESS) == 0;
}

void pt_dax_mark(struct passthrough *pt, struct pt_node *node, struct statx *attr)
{
	uint8_t told = PT_DAX_UNDECIDED;

	attr->stx_attributes &= ~(uint64_t)STATX_ATTR_DAX;
	if (!pt->dax)
		return;
	if (atomic_load_explicit(&node->dax_told, memory_order_relaxed) == PT_DAX_UNDECIDED)
		/* Who decides first decides for all. */
		atomic_compare_exchange_strong(&node->dax_told, &told,
			suits(pt, node, attr) && may_write(pt, node) ? PT_DAX_MAP : PT_DAX_NOT);
	if (atomic_load_explicit(&node->dax_told, memory_order_relaxed) == PT_DAX_MAP)
		attr->stx_attributes |= STATX_ATTR_DAX;
}

bool pt_dax_opens_late(struct passthrough *pt, struct pt_node *node)
{
	if (!pt->dax || node->type != S_IFREG)
		return false;
	return atomic_load(&node->dax) ||
		(pt->dax->leases && atomic_load(&node->dax_told) == PT_DAX_MAP);
}
