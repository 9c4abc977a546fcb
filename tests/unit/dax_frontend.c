// SPDX-License-Identifier: BSD-2-Clause
#include "dax_frontend.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/mman.h>

#include "dax/window.h"

const struct dax_frontend_map *fake_map_at(const struct dax_fake *fake, uint64_t at)
{
	for (unsigned int i = 0; i < fake->nmaps; i++) {
		if (fake->maps[i].at <= at && at < fake->maps[i].at + fake->maps[i].len)
			return &fake->maps[i];
	}
	return NULL;
}

static void clear(struct dax_fake *fake, uint64_t at, uint64_t len)
{
	assert_ptr_not_equal(mmap(fake->memory + at, len, PROT_NONE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0), MAP_FAILED);
}

/* Takes a range away: of a map, what is beside it remains. */
static void cut(struct dax_fake *fake, uint64_t at, uint64_t len)
{
	for (unsigned int i = 0; i < fake->nmaps; i++) {
		struct dax_frontend_map *map = &fake->maps[i], right = *map;
		uint64_t end = map->at + map->len;

		if (map->at >= at + len || end <= at)
			continue;
		if (end > at + len && map->at < at) {
			assert_true(fake->nmaps < DAX_FRONTEND_MAPS);
			right.at = at + len;
			right.len = end - right.at;
			right.offset += right.at - map->at;
			fake->maps[fake->nmaps++] = right;
			map->len = at - map->at;
		} else if (map->at < at) {
			map->len = at - map->at;
		} else if (end > at + len) {
			map->offset += at + len - map->at;
			map->len = end - (at + len);
			map->at = at + len;
		} else {
			*map = fake->maps[--fake->nmaps];
			i--;
		}
	}
	clear(fake, at, len);
}

static int unmap(struct dax_fake *fake, const struct dax_change *c)
{
	const struct dax_frontend_map *map = fake_map_at(fake, c->at);

	if (!fake->maps_over && (!map || map->at != c->at || map->len != c->len))
		return -EIO;
	cut(fake, c->at, c->len);
	return 0;
}

static bool is_free(const struct dax_fake *fake, const struct dax_change *c)
{
	for (uint64_t at = c->at; at < c->at + c->len; at += DAX_PAGE) {
		if (fake_map_at(fake, at))
			return false;
	}
	return true;
}

static bool is_memory(int fd)
{
	char path[64], name[64] = "";

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	assert_true(readlink(path, name, sizeof(name) - 1) > 0);
	return strstr(name, "memfd:causeway-dax") != NULL;
}

static int map(struct dax_fake *fake, const struct dax_change *c)
{
	bool readonly = (fcntl(c->fd, F_GETFL) & O_ACCMODE) == O_RDONLY;
	bool memory = is_memory(c->fd);
	int protection = PROT_READ | (c->writable ? PROT_WRITE : 0);
	struct stat st;

	assert_int_equal(fstat(c->fd, &st), 0);
	/* Whoever announces memory of a map asks whether it is one of ours. */
	assert_true(dax_window_has(fake->w, &st));
	assert_true(c->offset + c->len <= dax_page_up((uint64_t)st.st_size));
	assert_false(c->writable && readonly);
	if (!fake->maps_over && !is_free(fake, c))
		return -EIO;
	if ((readonly && !fake->takes_readonly) || (fake->refuses_files && !memory) ||
		fake->nmaps >= fake->room)
		return -EIO;
	cut(fake, c->at, c->len);
	assert_ptr_not_equal(mmap(fake->memory + c->at, c->len, protection, MAP_SHARED | MAP_FIXED,
		c->fd, (off_t)c->offset), MAP_FAILED);
	assert_true(fake->nmaps < DAX_FRONTEND_MAPS);
	fake->maps[fake->nmaps++] = (struct dax_frontend_map){
		.at = c->at,
		.len = c->len,
		.offset = c->offset,
		.dev = st.st_dev,
		.ino = st.st_ino,
		.writable = c->writable,
	};
	return 0;
}

static void call_once(struct dax_fake *fake, void (**hook)(void *))
{
	void (*call)(void *) = *hook;

	*hook = NULL;
	if (call)
		call(fake->opaque);
}

static bool is_interrupted(struct dax_fake *fake)
{
	if (fake->interrupt_after > 0) {
		fake->interrupt_after--;
		return false;
	}
	if (fake->interrupt_most-- > 1)
		return true;
	fake->interrupt_after = UINT_MAX;
	fake->interrupt_most = UINT_MAX;
	return true;
}

static void apply(void *opaque, struct dax_change *changes, unsigned int n)
{
	struct dax_fake *fake = opaque;

	assert_in_range(n, 1, DAX_BATCH);
	call_once(fake, &fake->meanwhile);
	fake->applied++;
	for (unsigned int i = 0; i < n; i++) {
		struct dax_change *c = &changes[i];
		bool interrupted = is_interrupted(fake);

		assert_true(c->len > 0 && c->at + c->len <= fake->size);
		if (fake->nasked < DAX_FRONTEND_MAPS)
			fake->asked[fake->nasked++] = *c;
		c->result = 0;
		if (fake->is_gone)
			c->result = -ENOTCONN;
		else if (!interrupted || fake->interrupted_are_made)
			c->result = c->fd < 0 ? unmap(fake, c) : map(fake, c);
		fake->refused += c->result == -EIO;
		if (interrupted)
			c->result = -EINTR;
	}
	if (fake->resume_after > 0 && --fake->resume_after == 0)
		fake->interrupt_after = UINT_MAX;
	call_once(fake, &fake->afterwards);
}

static unsigned int room(void *opaque)
{
	const struct dax_fake *fake = opaque;

	return fake->told > fake->nmaps ? fake->told - fake->nmaps : 0;
}

struct dax_fake *fake_new(unsigned int pages, unsigned int pieces)
{
	struct dax_fake *fake = calloc(1, sizeof(*fake));
	const struct dax_frontend frontend = {.apply = apply, .room = room, .opaque = fake};

	assert_non_null(fake);
	fake->size = (uint64_t)pages * DAX_PAGE;
	fake->room = pieces;
	fake->told = DAX_FRONTEND_MAPS;
	fake->interrupt_after = UINT_MAX;
	fake->interrupt_most = UINT_MAX;
	fake->memory = mmap(NULL, fake->size, PROT_NONE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_ptr_not_equal(fake->memory, MAP_FAILED);
	fake->w = dax_window_new(fake->size, pieces, &frontend);
	assert_non_null(fake->w);
	return fake;
}

void fake_free(struct dax_fake *fake)
{
	dax_window_free(fake->w);
	munmap(fake->memory, fake->size);
	free(fake);
}

void fake_listen(struct dax_fake *fake)
{
	fake->applied = 0;
	fake->nasked = 0;
	fake->refused = 0;
}

void fake_check(struct dax_fake *fake)
{
	struct dax_window *w = fake->w;
	unsigned int known = 0, doubtful = 0;
	const struct dax_frontend_map *map;
	const struct dax_piece *p;

	TAILQ_FOREACH(p, &w->strays, link) {
		assert_true(p->is_doubtful);
		doubtful++;
	}
	for (unsigned int i = 0; i < w->nclaims; i++) {
		const struct dax_claim *c = w->claims[i];

		assert_true(i == 0 || w->claims[i - 1]->at + w->claims[i - 1]->len <= c->at);
		TAILQ_FOREACH(p, &c->pieces, link) {
			map = fake_map_at(fake, p->at);
			assert_int_equal(p->way, DAX_STAYS);
			assert_non_null(map);
			assert_int_equal(map->at, p->at);
			assert_int_equal(map->len, p->len);
			assert_int_equal(map->offset, p->offset);
			assert_int_equal(map->offset - c->offset, p->at - c->at);
			assert_true(map->dev == p->dev && map->ino == p->ino);
			assert_true(p->at >= c->at && p->at + p->len <= c->at + c->len);
			known++;
		}
	}
	assert_int_equal(w->npieces, known + doubtful);
	if (doubtful == 0)
		assert_int_equal(fake->nmaps, known);
}
