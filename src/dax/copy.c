// SPDX-License-Identifier: BSD-2-Clause
/*
 * Copies of files: memory that the guest changes, and what was there before it did.
 *
 * Both have the offsets of the file, so that all claims on a page share one copy. The guest may
 * store at any moment: its memory is read once, and that is what is compared, written to the file,
 * and from then on what was there before.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#include "base/log.h"
#include "base/util.h"
#include "dax/window.h"

/* A page in more runs than that is written by laying them over what is there. */
#define RUNS_MAX 16

/* Parts of w->chunks: what the guest has, what was there before, what the file has. */
enum { NOW, BEFORE, FILE_NOW };

/* Reads n bytes, zeros where there are none. #syscalls(dax): pread64 */
static int read_all(int fd, char *buf, size_t n, uint64_t offset)
{
	size_t done = 0;

	while (done < n) {
		ssize_t r = pread(fd, buf + done, n - done, (off_t)(offset + done));

		if (r < 0 && errno != EINTR)
			return -errno;
		if (r == 0)
			break;
		done += r > 0 ? (size_t)r : 0;
	}
	memset(buf + done, 0, n - done);
	return 0;
}

/* #syscalls(dax): pwrite64 */
static int write_all(int fd, const char *buf, size_t n, uint64_t offset)
{
	size_t done = 0;

	while (done < n) {
		ssize_t r = pwrite(fd, buf + done, n - done, (off_t)(offset + done));

		if (r < 0 && errno != EINTR)
			return -errno;
		if (r == 0)
			return -EIO;
		done += r > 0 ? (size_t)r : 0;
	}
	return 0;
}

/* What the file has, as far as its size goes that claims are settled for. */
static int read_file(const struct dax_file *f, char *buf, size_t n, uint64_t offset)
{
	size_t there = offset < f->size ? min_t(uint64_t, n, f->size - offset) : 0;

	memset(buf + there, 0, n - there);
	return read_all(f->fd, buf, there, offset);
}

/* Finds the next bytes from *from on in which two buffers differ; how many, or 0. */
static size_t next_run(const char *a, const char *b, size_t n, size_t *from)
{
	size_t end;

	while (*from < n && a[*from] == b[*from])
		(*from)++;
	for (end = *from; end < n && a[end] != b[end];)
		end++;
	return end - *from;
}

/* Writes those bytes of a page that differ from others, and as few besides as is feasible: somebody
 * else may change those. */
static int write_changed(int fd, const char *want, const char *other, size_t n, uint64_t offset)
{
	char page[DAX_PAGE];
	unsigned int runs = 0;
	size_t first = n, end = 0, len;
	int r = 0;

	for (size_t at = 0; (len = next_run(want, other, n, &at)) > 0; at += len) {
		first = min_t(size_t, first, at);
		end = at + len;
		runs++;
	}
	if (runs > RUNS_MAX) {
		r = read_all(fd, page, n, offset);
		for (size_t i = first; i < end; i++)
			page[i] = want[i] != other[i] ? want[i] : page[i];
		return r < 0 ? r : write_all(fd, page + first, end - first, offset + first);
	}
	for (size_t at = 0; r == 0 && (len = next_run(want, other, n, &at)) > 0; at += len)
		r = write_all(fd, want + at, len, offset + at);
	return r;
}

/* #syscalls(dax): memfd_create ftruncate fstat newfstatat */
static int make_copy(struct dax_file *f, uint64_t size)
{
	struct stat st;

	if (f->copy < 0) {
		CLEANUP_FD int fd = memfd_create("causeway-dax", MFD_CLOEXEC);

		if (fd < 0 || fstat(fd, &st) < 0)
			return -errno;
		f->before = f->writable ? memfd_create("causeway-dax-before", MFD_CLOEXEC) : -1;
		if (f->writable && f->before < 0)
			return -errno;
		f->copy = steal_fd(&fd);
		f->copy_dev = st.st_dev;
		f->copy_ino = st.st_ino;
		f->copy_size = 0;
	}
	if (size <= f->copy_size)
		return 0;
	if (ftruncate(f->copy, (off_t)size) < 0 ||
		(f->before >= 0 && ftruncate(f->before, (off_t)size) < 0))
		return -errno;
	f->copy_size = size;
	return 0;
}

/* Whether a copy has the page at from; *to is brought to where that changes. */
static bool has_page(const struct dax_file *f, uint64_t from, uint64_t *to)
{
	const struct dax_piece *p;

	LIST_FOREACH(p, &f->copies, copied) {
		if (p->offset <= from && from < p->offset + p->len) {
			*to = min_t(uint64_t, *to, p->offset + p->len);
			return true;
		}
		if (p->offset > from)
			*to = min_t(uint64_t, *to, p->offset);
	}
	return false;
}

/* Puts the file's bytes into both copies. */
static int put(struct dax_file *f, uint64_t from, uint64_t to)
{
	char *buf = f->w->chunks[FILE_NOW];
	int r = 0;

	for (size_t n; r == 0 && from < to; from += n) {
		n = min_t(uint64_t, to - from, DAX_CHUNK);
		r = read_file(f, buf, n, from);
		if (r == 0)
			r = write_all(f->copy, buf, n, from);
		if (r == 0 && f->before >= 0)
			r = write_all(f->before, buf, n, from);
	}
	return r;
}

int dax_copy_fill(struct dax_piece *p)
{
	struct dax_file *f = p->file;
	uint64_t end = p->offset + p->len;
	int r = make_copy(f, end);

	for (uint64_t at = p->offset, to; r == 0 && at < end; at = to) {
		to = end;
		if (!has_page(f, at, &to))
			r = put(f, at, to);
	}
	if (r < 0)
		return r;
	p->dev = f->copy_dev;
	p->ino = f->copy_ino;
	p->is_filled = true;
	LIST_INSERT_HEAD(&f->copies, p, copied);
	atomic_fetch_add(&f->ncopies, 1);
	return 0;
}

/* Where the file has other bytes than there were before, they stay. */
static int leave_newer(struct dax_file *f, char *now, const char *before, size_t n, uint64_t offset)
{
	char *file = f->w->chunks[FILE_NOW];
	int r = read_all(f->fd, file, n, offset);

	for (size_t i = 0; r == 0 && i < n; i++)
		now[i] = file[i] != before[i] ? before[i] : now[i];
	return r;
}

/* The file is about to be written: said once, until flush_piece() has ended. */
static int begin_writing(struct dax_file *f)
{
	int r = f->watch.before && !f->is_written ? f->watch.before(f->watch.opaque) : 0;

	f->is_written |= r == 0;
	return r;
}

static void end_writing(struct dax_file *f)
{
	if (f->watch.after && f->is_written)
		f->watch.after(f->watch.opaque);
	f->is_written = false;
}

/* Writes back what was changed in a page, or in as much of it as the file has. */
static int flush_page(struct dax_file *f, char *now, const char *before, size_t n, uint64_t offset,
	bool careful)
{
	int r;

	if (memcmp(now, before, n) == 0)
		return 0;
	r = begin_writing(f);
	if (r == 0 && careful)
		r = leave_newer(f, now, before, n, offset);
	if (r == 0)
		r = write_changed(f->fd, now, before, n, offset);
	return r < 0 ? r : write_all(f->before, now, n, offset);
}

static int flush_range(struct dax_file *f, uint64_t from, uint64_t to, bool careful)
{
	char *now = f->w->chunks[NOW], *before = f->w->chunks[BEFORE];
	int r = 0, first = 0;

	for (size_t n; from < to && r == 0; from += n) {
		n = min_t(uint64_t, to - from, DAX_CHUNK);
		r = read_all(f->copy, now, n, from);
		if (r == 0)
			r = read_all(f->before, before, n, from);
		for (size_t at = 0; r == 0 && at < n; at += DAX_PAGE) {
			int written = flush_page(f, now + at, before + at,
				min_t(size_t, n - at, DAX_PAGE), from + at, careful);

			first = first ? first : written;
		}
	}
	return first ? first : r;
}

/* Nothing is written beyond the end, neither of the file that claims are settled for nor of the one
 * there is. */
static int flush_piece(const struct dax_piece *p, bool careful)
{
	struct dax_file *f = p->file;
	struct stat st;
	uint64_t end;
	int r;

	if (f->before < 0)
		return 0;
	if (fstat(f->fd, &st) < 0)
		return -errno;
	end = min_t(uint64_t, p->offset + p->len, min_t(uint64_t, f->size, st.st_size));
	r = flush_range(f, p->offset, end, careful);
	end_writing(f);
	return r;
}

int dax_copy_flush(struct dax_file *f)
{
	const struct dax_piece *p;
	int first = 0;

	LIST_FOREACH(p, &f->copies, copied) {
		int r = flush_piece(p, false);

		first = first ? first : r;
	}
	return first;
}

void dax_copy_trim(struct dax_file *f)
{
	if (!LIST_EMPTY(&f->copies))
		return;
	close_fd(&f->copy);
	close_fd(&f->before);
}

/* Gives back the memory of pages that no copy has any more. #syscalls(dax): fallocate */
static void punch(struct dax_file *f, uint64_t from, uint64_t end)
{
	const int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;

	for (uint64_t to; from < end; from = to) {
		to = end;
		if (has_page(f, from, &to))
			continue;
		fallocate(f->copy, mode, (off_t)from, (off_t)(to - from));
		if (f->before >= 0)
			fallocate(f->before, mode, (off_t)from, (off_t)(to - from));
	}
}

void dax_copy_end(struct dax_piece *p, bool careful)
{
	int r;

	if (!p->is_filled)
		return;
	r = flush_piece(p, careful);
	if (r < 0)
		log_error("DAX: what a guest has stored in the last page of a file, or in one that "
			  "others use, is lost: %s", strerror(-r));
	LIST_REMOVE(p, copied);
	p->is_filled = false;
	atomic_fetch_sub(&p->file->ncopies, 1);
	if (LIST_EMPTY(&p->file->copies))
		dax_copy_trim(p->file);
	else
		punch(p->file, p->offset, p->offset + p->len);
}

void dax_copy_renew(struct dax_file *f, uint64_t from, uint64_t to)
{
	const struct dax_piece *p;

	LIST_FOREACH(p, &f->copies, copied) {
		uint64_t first = max_t(uint64_t, from, p->offset);

		put(f, first, min_t(uint64_t, to, p->offset + p->len));
	}
}

/* Takes in what the file has and there was not before, where the guest has changed nothing. */
static int refresh_page(struct dax_file *f, const char *now, const char *before, char *file,
	size_t n, uint64_t offset)
{
	int r;

	if (memcmp(file, before, n) == 0)
		return 0;
	for (size_t i = 0; i < n; i++)
		file[i] = now[i] == before[i] ? file[i] : now[i];
	r = write_changed(f->copy, file, now, n, offset);
	if (r < 0 || f->before < 0)
		return r;
	for (size_t i = 0; i < n; i++)
		file[i] = now[i] == before[i] ? file[i] : before[i];
	return write_all(f->before, file, n, offset);
}

static void refresh_range(struct dax_file *f, uint64_t from, uint64_t to)
{
	char(*chunks)[DAX_CHUNK] = f->w->chunks;
	int r = 0;

	for (size_t n; r == 0 && from < to; from += n) {
		n = min_t(uint64_t, to - from, DAX_CHUNK);
		r = read_all(f->copy, chunks[NOW], n, from);
		if (r == 0 && f->before >= 0)
			r = read_all(f->before, chunks[BEFORE], n, from);
		else
			memcpy(chunks[BEFORE], chunks[NOW], n);
		if (r == 0)
			r = read_file(f, chunks[FILE_NOW], n, from);
		for (size_t at = 0; r == 0 && at < n; at += DAX_PAGE)
			r = refresh_page(f, chunks[NOW] + at, chunks[BEFORE] + at,
				chunks[FILE_NOW] + at, min_t(size_t, n - at, DAX_PAGE), from + at);
	}
}

void dax_copy_refresh(struct dax_file *f, uint64_t from, uint64_t to)
{
	const struct dax_piece *p;

	LIST_FOREACH(p, &f->copies, copied)
		refresh_range(f, max_t(uint64_t, from, p->offset),
			min_t(uint64_t, to, p->offset + p->len));
}
