// SPDX-License-Identifier: BSD-2-Clause
#include "fs/passthrough/dirbuf.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>

#include "base/util.h"

void pt_dir_pool_init(struct pt_dir_pool *pool, size_t max)
{
	pthread_mutex_init(&pool->lock, NULL);
	pool->max = max;
}

size_t pt_dir_pool_bytes(struct pt_dir_pool *pool)
{
	size_t bytes;

	pthread_mutex_lock(&pool->lock);
	bytes = pool->bytes;
	pthread_mutex_unlock(&pool->lock);
	return bytes;
}

struct pt_dir *pt_dir_new(void)
{
	struct pt_dir *dir = calloc(1, sizeof(*dir));

	if (dir)
		pthread_mutex_init(&dir->lock, NULL);
	return dir;
}

static size_t bytes_of(const struct pt_dir *dir)
{
	size_t bytes = 0;

	for (size_t i = 0; i < ARRAY_SIZE(dir->piece); i++)
		bytes += dir->piece[i] ? sizeof(*dir->piece[i]) + dir->piece[i]->len : 0;
	return bytes;
}

/* Takes a directory out of the pool, whose lock is held. */
static void leave(struct pt_dir_pool *pool, struct pt_dir *dir)
{
	if (!dir->pooled)
		return;
	*(dir->older ? &dir->older->newer : &pool->oldest) = dir->newer;
	*(dir->newer ? &dir->newer->older : &pool->newest) = dir->older;
	pool->bytes -= bytes_of(dir);
	dir->pooled = false;
}

/* Makes a directory the newest in the pool, whose lock is held. */
static void join(struct pt_dir_pool *pool, struct pt_dir *dir)
{
	dir->older = pool->newest;
	dir->newer = NULL;
	*(dir->older ? &dir->older->newer : &pool->oldest) = dir;
	pool->newest = dir;
	pool->bytes += bytes_of(dir);
	dir->pooled = true;
}

static void empty(struct pt_dir_pool *pool, struct pt_dir *dir)
{
	leave(pool, dir);
	for (size_t i = 0; i < ARRAY_SIZE(dir->piece); i++) {
		free(dir->piece[i]);
		dir->piece[i] = NULL;
	}
	dir->at = 1;
	dir->pos = 0;
}

static void drop_pieces(struct pt_dir_pool *pool, struct pt_dir *dir)
{
	pthread_mutex_lock(&pool->lock);
	empty(pool, dir);
	pthread_mutex_unlock(&pool->lock);
}

void pt_dir_free(struct pt_dir_pool *pool, struct pt_dir *dir)
{
	if (!dir)
		return;
	drop_pieces(pool, dir);
	pthread_mutex_destroy(&dir->lock);
	free(dir);
}

/* Makes a piece the last one of a directory, and the directory the newest of the pool. Those that
 * are being read now keep theirs. */
static void add_piece(struct pt_dir_pool *pool, struct pt_dir *dir, struct pt_dir_piece *piece)
{
	pthread_mutex_lock(&pool->lock);
	leave(pool, dir);
	free(dir->piece[0]);
	dir->piece[0] = dir->piece[1];
	dir->piece[1] = piece;
	dir->at = 1;
	dir->pos = 0;
	join(pool, dir);
	for (struct pt_dir *d = pool->oldest, *next; d && pool->bytes > pool->max; d = next) {
		next = d->newer;
		if (d == dir || pthread_mutex_trylock(&d->lock) != 0)
			continue;
		empty(pool, d);
		pthread_mutex_unlock(&d->lock);
	}
	pthread_mutex_unlock(&pool->lock);
}

static const struct pt_dirent *entry_at(const struct pt_dir_piece *piece, size_t pos)
{
	return (const void *)(piece->data + pos);
}

/* Where in a piece the entry at an offset begins; false where it does not. The end of a piece is
 * the place of whatever comes after it. */
static bool find(const struct pt_dir_piece *piece, uint64_t offset, size_t *pos)
{
	if (!piece)
		return false;
	*pos = 0;
	if (piece->start == offset)
		return true;
	while (*pos < piece->len) {
		const struct pt_dirent *entry = entry_at(piece, *pos);

		*pos += entry->reclen;
		if (entry->off == offset)
			return true;
	}
	return false;
}

static bool find_kept(struct pt_dir *dir, uint64_t offset)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(dir->piece); i++) {
		size_t pos;

		if (!find(dir->piece[i], offset, &pos))
			continue;
		dir->at = i;
		dir->pos = pos;
		return true;
	}
	return false;
}

bool pt_dir_holds(struct pt_dir *dir, uint64_t offset)
{
	bool held = false;
	size_t pos;

	if (pthread_mutex_trylock(&dir->lock) != 0)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(dir->piece); i++)
		held = held || find(dir->piece[i], offset, &pos);
	pthread_mutex_unlock(&dir->lock);
	return held;
}

/* #syscalls: lseek */
static int seek_host(struct pt_dir *dir, int fd, uint64_t offset)
{
	if (lseek(fd, (off_t)offset, SEEK_SET) < 0)
		return -errno;
	dir->host_offset = offset;
	return 0;
}

int pt_dir_seek(struct pt_dir_pool *pool, struct pt_dir *dir, int fd, uint64_t offset)
{
	bool anew = offset == 0 && (dir->offset != 0 || dir->piece[1]);
	int r = 0;

	if (!anew && (offset == dir->offset || find_kept(dir, offset))) {
		dir->offset = offset;
		return 0;
	}
	/* Where the host refuses to go, the pieces stay right. */
	r = seek_host(dir, fd, offset);
	if (r < 0)
		return r;
	drop_pieces(pool, dir);
	dir->offset = offset;
	return 0;
}

/* Reads the piece after the last one: 1, 0 at the end, or -errno. #syscalls: getdents64 */
static int read_piece(struct pt_dir_pool *pool, struct pt_dir *dir, int fd)
{
	char data[PT_DIR_PIECE] __attribute__((aligned(8)));
	struct pt_dir_piece *piece;
	long n = 0;
	int r = 0;

	/* Pieces were lost on the way. */
	if (dir->host_offset != dir->offset)
		r = seek_host(dir, fd, dir->offset);
	if (r == 0)
		n = neg_errno(syscall(SYS_getdents64, fd, data, sizeof(data)));
	if (r < 0 || n <= 0)
		return r < 0 ? r : (int)n;
	for (size_t at = 0; at < (size_t)n; at += ((struct pt_dirent *)(data + at))->reclen)
		dir->host_offset = ((struct pt_dirent *)(data + at))->off;
	piece = malloc(sizeof(*piece) + (size_t)n);
	if (!piece)
		return -ENOMEM;
	piece->start = dir->offset;
	piece->serial = ++dir->serial;
	piece->stamp = dir->next;
	piece->len = (size_t)n;
	memcpy(piece->data, data, (size_t)n);
	add_piece(pool, dir, piece);
	return 1;
}

bool pt_dir_has_next(const struct pt_dir *dir)
{
	const struct pt_dir_piece *piece = dir->piece[dir->at];

	return (piece && dir->pos < piece->len) || (dir->at == 0 && dir->piece[1]);
}

int pt_dir_next(struct pt_dir_pool *pool, struct pt_dir *dir, int fd, uint64_t *first,
	const struct pt_dirent **entry)
{
	int r = 1;

	*entry = NULL;
	if (dir->at == 0 && (!dir->piece[0] || dir->pos >= dir->piece[0]->len)) {
		dir->at = 1;
		dir->pos = 0;
	}
	if (!dir->piece[dir->at] || dir->pos >= dir->piece[dir->at]->len) {
		if (*first != 0 && *first < dir->serial)
			return 0;
		r = read_piece(pool, dir, fd);
	}
	if (r <= 0)
		return r;
	if (*first == 0)
		*first = dir->piece[dir->at]->serial;
	*entry = entry_at(dir->piece[dir->at], dir->pos);
	return 0;
}

unsigned int pt_dir_ahead(const struct pt_dir *dir, const struct pt_dirent **entries,
	unsigned int max)
{
	const struct pt_dir_piece *piece = dir->piece[dir->at];
	unsigned int n = 0;

	for (size_t pos = dir->pos; n < max && pos < piece->len; pos += entries[n++]->reclen)
		entries[n] = entry_at(piece, pos);
	return n;
}

void pt_dir_step(struct pt_dir *dir)
{
	const struct pt_dirent *entry = entry_at(dir->piece[dir->at], dir->pos);

	dir->offset = entry->off;
	dir->pos += entry->reclen;
}
