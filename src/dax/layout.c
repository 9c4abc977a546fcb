// SPDX-License-Identifier: BSD-2-Clause
/*
 * What is to be mapped of a file, by its size and safety: its pages first, then copies, then
 * nothing.
 */
#include <errno.h>

#include "base/util.h"
#include "dax/window.h"

/* #syscalls(dax): fstat newfstatat */
int dax_file_size(const struct dax_file *f, uint64_t *size)
{
	const struct dax_shrink *s;
	struct stat st;

	if (fstat(f->fd, &st) < 0)
		return -errno;
	*size = (uint64_t)max_t(int64_t, st.st_size, 0);
	LIST_FOREACH(s, &f->shrinks, link)
		*size = min_t(uint64_t, *size, s->size);
	return 0;
}

void dax_layout_ends(struct dax_file *f)
{
	uint64_t pages = f->safe && !f->refused && !f->bare ? dax_page_down(f->size) : 0;
	uint64_t copies = f->bare ? 0 : dax_page_up(f->size);
	struct dax_claim *c;

	if (pages == f->end[DAX_PAGES] && copies == f->end[DAX_COPY] && !f->unsettled)
		return;
	f->end[DAX_PAGES] = pages;
	f->end[DAX_COPY] = copies;
	f->unsettled = false;
	LIST_FOREACH(c, &f->claims, of_file)
		dax_claim_unsettle(c);
}

int dax_layout(struct dax_file *f)
{
	uint64_t size, least;
	int r = dax_file_size(f, &size);

	if (r == 0 && size != f->size) {
		r = dax_copy_flush(f);
		/* What cannot be written back where the file has grown stays to be written; in one
		 * that is cut that is no reason to keep more of it. */
		if (r == 0 || size < f->size) {
			least = min_t(uint64_t, size, f->size);
			f->size = size;
			/* What the guest stored beyond the end is nobody's. */
			dax_copy_renew(f, least, dax_page_up(least));
			r = 0;
		}
	}
	dax_layout_ends(f);
	return r;
}
