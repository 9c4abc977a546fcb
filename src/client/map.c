// SPDX-License-Identifier: BSD-2-Clause
/*
 * Pointers into the window: parts of files that the program reads and writes itself. Their ranges
 * lie one behind the other, and stay until the program gives them back.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#include "base/util.h"
#include "client/file.h"

struct map {
	struct map *next;
	struct node *node;
	char *address;
	size_t length;
	struct range *first;
	unsigned int n;
	bool write;
};

/* What is to be mapped: indices of ranges, and where it ends in the file. */
struct wanted {
	struct causeway_file *f;
	uint64_t index, end;
	unsigned int n;
	bool write;
};

/* How many bytes the i-th range has to have. */
static uint32_t bytes_of(const struct window *w, const struct wanted *m, unsigned int i)
{
	uint64_t left = m->end - ((m->index + i) << w->shift);

	return (uint32_t)min_t(uint64_t, window_range_bytes(w), left);
}

/* Whether it is there as a whole already, beginning with a range. */
static bool is_there(const struct window *w, const struct wanted *m, const struct range *first)
{
	if (!first || m->n > w->n - (size_t)(first - w->ranges))
		return false;
	for (unsigned int i = 0; i < m->n; i++) {
		const struct range *r = first + i;

		if (r->state != RANGE_LIVE || r->node != m->f->node || r->index != m->index + i ||
			r->len < bytes_of(w, m, i) || (m->write && !r->writable))
			return false;
	}
	return true;
}

static bool may_take(const struct range *r, bool spare)
{
	if (r->state == RANGE_FREE || spare)
		return r->state == RANGE_FREE;
	return r->state != RANGE_BUSY && r->maps == 0 && atomic_load(&r->pins) == 0;
}

static void free_run(struct window *w, struct range *first, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		window_free(w, first + i);
}

static bool take_all(struct causeway *c, struct range *first, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		if (!window_take(c, first + i)) {
			free_run(&c->window, first, i);
			return false;
		}
	}
	return true;
}

/* Takes n ranges one behind the other: the first, or NULL. spare: only such that nobody has. */
static struct range *take_run(struct causeway *c, unsigned int n, bool spare)
{
	struct window *w = &c->window;
	unsigned int from = 0;

	for (unsigned int i = 0; i < w->n; i++) {
		if (!may_take(&w->ranges[i], spare)) {
			from = i + 1;
		} else if (i - from + 1 == n) {
			if (take_all(c, &w->ranges[from], n))
				return &w->ranges[from];
			from = i + 1;
		}
	}
	return NULL;
}

/* Gives a run its names. Where the program has mapped a range before, and it is not where it would
 * have to be now, reads and writes go on to find that one. */
static void name_run(struct window *w, const struct wanted *m, struct range *first)
{
	for (unsigned int i = 0; i < m->n; i++) {
		struct range *other = window_find(w, m->f->node, m->index + i);

		if (other && other->state == RANGE_LIVE && other->maps == 0) {
			window_doom(w, other);
			other = NULL;
		}
		window_name(w, first + i, m->f->node, m->index + i, !other);
	}
}

/* Has a busy run mapped and makes it live. */
static int map_run(const struct wanted *m, struct range *first)
{
	struct causeway_file *f = m->f;
	struct window *w = &f->c->window;
	struct range *last = first + m->n - 1;
	uint64_t from = m->index << w->shift;
	bool writable = (f->flags & O_ACCMODE) == O_RDWR;
	int r;

	if (last->mapped > bytes_of(w, m, m->n - 1))
		window_remove(f->c, f->node->id, &last, 1);
	r = window_setup(f, first, from, m->end - from, writable);
	pthread_mutex_lock(&w->lock);
	for (unsigned int i = 0; i < m->n; i++) {
		uint32_t len = bytes_of(w, m, i);

		first[i].mapped = max_t(uint32_t, first[i].mapped, len);
		if (r == 0)
			window_publish(f->c, first + i, len, writable);
		else
			window_free(w, first + i);
		/* Not to be given up before it is the program's. */
		first[i].maps += r == 0;
	}
	pthread_mutex_unlock(&w->lock);
	return r;
}

/* Has it in the window, its ranges counted as the program's: the first of them. */
static int have(const struct wanted *m, struct range **first)
{
	struct causeway *c = m->f->c;
	struct window *w = &c->window;
	bool there;
	int r;

	pthread_mutex_lock(&w->lock);
	*first = window_find(w, m->f->node, m->index);
	there = is_there(w, m, *first);
	for (unsigned int i = 0; there && i < m->n; i++)
		(*first)[i].maps++;
	if (!there) {
		*first = take_run(c, m->n, true);
		if (!*first)
			*first = take_run(c, m->n, false);
		if (*first)
			name_run(w, m, *first);
	}
	pthread_mutex_unlock(&w->lock);
	if (there)
		return 0;
	if (!*first)
		return client_fail(c, -ENOSPC, "the window has not %u ranges of %u bytes side by "
					       "side that are not in use", m->n,
			window_range_bytes(w));
	r = map_run(m, *first);
	return r < 0 ? client_fail(c, r, "the back-end does not map that: %s", strerror(-r)) : 0;
}

/* What of a file may be mapped: 0 or -errno. */
static int check(struct causeway_file *f, size_t length, int prot, off_t offset)
{
	struct fuse_attr attr;
	uint64_t whole;
	int r = client_check_open(f, O_WRONLY);

	if (r < 0)
		return r;
	if (f->c->window.n == 0)
		return client_fail(f->c, -ENODEV, "there is no window; see the option 'dax'");
	if ((prot != PROT_READ && prot != (PROT_READ | PROT_WRITE)) || length == 0 || offset < 0 ||
		offset % WINDOW_PAGE != 0 || length > (uint64_t)(INT64_MAX - offset))
		return client_fail(f->c, -EINVAL, "%zu bytes from %lld on, protection %#x: whole "
						  "pages are mapped, to be read or to be read and "
						  "written", length, (long long)offset, prot);
	if ((prot & PROT_WRITE) && (f->flags & O_ACCMODE) != O_RDWR)
		return client_fail(f->c, -EACCES, "the file is not open for writing");
	r = client_getattr(f->c, f->node, f, &attr);
	if (r < 0)
		return r;
	whole = window_whole(min_t(uint64_t, attr.size, INT64_MAX));
	if ((uint64_t)offset + length > whole)
		return client_fail(f->c, -ENXIO, "of a file of %llu bytes, the whole pages can be "
						 "mapped: %llu bytes",
			(unsigned long long)attr.size, (unsigned long long)whole);
	return 0;
}

EXPORT int causeway_map(struct causeway_file *f, size_t length, int prot, off_t offset,
	void **address)
{
	int r = check(f, length, prot, offset);
	struct window *w = &f->c->window;
	struct wanted wanted = {.f = f, .write = prot & PROT_WRITE};
	struct range *first;
	uint64_t from;
	struct map *m;

	*address = NULL;
	if (r < 0)
		return r;
	wanted.index = (uint64_t)offset >> w->shift;
	wanted.end = window_whole((uint64_t)offset + length + WINDOW_PAGE - 1);
	from = wanted.index << w->shift;
	if (wanted.end - from > (uint64_t)w->n << w->shift)
		return client_fail(f->c, -ENOSPC, "the window has %u ranges of %u bytes: less than "
						  "that", w->n, window_range_bytes(w));
	wanted.n = (unsigned int)((wanted.end - from + window_range_bytes(w) - 1) >> w->shift);
	m = malloc(sizeof(*m));
	if (!m)
		return client_fail(f->c, -ENOMEM, "no memory for a mapping");
	r = have(&wanted, &first);
	if (r < 0) {
		free(m);
		return r;
	}
	*address = window_address(w, first) + ((uint64_t)offset - from);
	*m = (struct map){.node = node_ref(f->c, f->node), .address = *address, .length = length,
		.first = first, .n = wanted.n, .write = wanted.write};
	pthread_mutex_lock(&w->lock);
	m->next = w->maps;
	w->maps = m;
	pthread_mutex_unlock(&w->lock);
	return 0;
}

EXPORT int causeway_unmap(struct causeway *c, void *address, size_t length)
{
	struct window *w = &c->window;
	struct map *m = NULL, **at;

	if (w->n > 0) {
		pthread_mutex_lock(&w->lock);
		for (at = &w->maps; *at; at = &(*at)->next) {
			if ((*at)->address == address && (*at)->length == length)
				break;
		}
		m = *at;
		for (unsigned int i = 0; m && i < m->n; i++) {
			struct range *r = m->first + i;

			if (--r->maps == 0 && !r->linked)
				window_doom(w, r);
		}
		if (m)
			*at = m->next;
		pthread_mutex_unlock(&w->lock);
	}
	if (!m)
		return client_fail(c, -EINVAL, "%zu bytes at %p were not mapped as one", length,
			address);
	if (m->write)
		atomic_store(&m->node->stored, true);
	node_put(c, m->node);
	free(m);
	return 0;
}

void window_free_maps(struct causeway *c)
{
	for (struct map *m = c->window.maps, *next; m; m = next) {
		next = m->next;
		free(m);
	}
	c->window.maps = NULL;
}
